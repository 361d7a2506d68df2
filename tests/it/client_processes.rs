//! Real client processes against librdkafka's mock brokers: what goes into journals, how processes end.
//! The mock knows no replication and no idempotence; nothing here is about durability.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lossproof::experiment::{Commit, OnQueueFull};
use lossproof::workload::{Behaviour, ClientProcess, ClientSpec, Consuming, Producing};
use lossproof_ledger::category::Told;
use lossproof_ledger::event::{ClientId, Event, EventKind, Progress, Role};
use lossproof_ledger::journal::{Header, JournalReader, Source, Tail};
use lossproof_ledger::payload::FENCE_HEADER;
use lossproof_ledger::record::Record;
use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

const RUN: u64 = 4711;
const TOPIC: &str = "t";

type Mock = MockCluster<'static, DefaultProducerContext>;

fn exe() -> PathBuf {
    assert_cmd::cargo::cargo_bin("lossproof")
}

fn mock(partitions: i32) -> Mock {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, partitions, 1).unwrap();
    mock
}

fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

struct Run {
    dir: tempfile::TempDir,
    bootstrap: String,
}

impl Run {
    fn new(bootstrap: String) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bootstrap }
    }

    fn spec(&self, role: Role, pairs: &[(&str, &str)], behaviour: Behaviour) -> ClientSpec {
        ClientSpec {
            id: ClientId { profile: "baseline".into(), role, member: 0, incarnation: 0 },
            run: RUN,
            bootstrap: self.bootstrap.clone(),
            topic: TOPIC.into(),
            options: options(pairs),
            journal_dir: self.dir.path().join("journal"),
            behaviour,
        }
    }

    fn producer(&self, partitions: i32, rate_per_s: f64, pairs: &[(&str, &str)]) -> ClientSpec {
        self.spec(
            Role::Producer,
            pairs,
            Behaviour::Producer(Producing {
                producer: 5,
                partitions,
                rate_per_s,
                payload_bytes: 200,
                on_queue_full: OnQueueFull::Drop,
            }),
        )
    }

    fn consumer(&self, commit: Commit, pairs: &[(&str, &str)]) -> ClientSpec {
        let mut pairs = pairs.to_vec();
        pairs.push(("auto.offset.reset", "earliest"));
        self.spec(Role::Consumer, &pairs, Behaviour::Consumer(Consuming { group: "g".into(), commit }))
    }

    async fn start(&self, spec: &ClientSpec) -> (ClientProcess, UnboundedReceiver<Event>) {
        let (sender, events) = unbounded_channel();
        let process = ClientProcess::spawn(spec, &exe(), self.dir.path(), sender).await.unwrap();
        (process, events)
    }

    /// All journals by file name.
    fn journals(&self) -> BTreeMap<String, Journal> {
        std::fs::read_dir(self.dir.path().join("journal"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, Journal::read(&path))
            })
            .collect()
    }

    fn log(&self, spec: &ClientSpec) -> String {
        let path = self.dir.path().join(format!("clients/{}.log", spec.name()));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

struct Journal {
    header: Header,
    next: u64,
    records: Vec<Record>,
    tail: Tail,
}

impl Journal {
    fn read(path: &Path) -> Self {
        let mut reader = JournalReader::open(path).unwrap();
        Self {
            header: reader.header().clone(),
            next: reader.next_sequence(),
            records: reader.by_ref().map(Result::unwrap).collect(),
            tail: reader.finish().unwrap(),
        }
    }

    /// What was told, by sequence; each once.
    fn told(&self) -> BTreeMap<u64, (Told, i32)> {
        let mut all = BTreeMap::new();
        for record in &self.records {
            if let Record::Told { sequence, told, error, .. } = record {
                assert!(all.insert(*sequence, (*told, *error)).is_none());
            }
        }
        all
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Waits for a state that the client reports.
async fn until(process: &ClientProcess, wanted: impl Fn(&Progress, bool, &BTreeSet<i32>) -> bool) {
    let mut status = process.status();
    let reached = status.wait_for(|now| wanted(&now.progress, now.ready, &now.fences_seen));
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the state in time").expect("a live client");
}

fn acked(progress: &Progress) -> u64 {
    match progress {
        Progress::Producer { acked, .. } => *acked,
        Progress::Consumer { .. } => 0,
    }
}

fn processed(progress: &Progress) -> u64 {
    match progress {
        Progress::Consumer { processed, .. } => *processed,
        Progress::Producer { .. } => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_producer_has_told_every_sequence() {
    let mock = mock(3);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(3, 3000.0, &[("acks", "1"), ("linger.ms", "5")]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, ready, _| ready && acked(now) > 2000).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    assert_eq!(end.how, "exit 0");

    let journals = run.journals();
    assert_eq!(journals.len(), 3);
    let mut offered = 0;
    for (name, journal) in &journals {
        assert!(journal.tail.sealed, "{name}: {:?}", journal.tail);
        let told = journal.told();
        assert_eq!(told.len() as u64, journal.next, "{name}");
        assert!(told.values().all(|told| *told == (Told::Acked, 0)));
        assert!(told.keys().copied().eq(0..journal.next));
        let Source::Producer { stream, .. } = journal.header.source else {
            panic!("{name} is no producer's");
        };
        assert_eq!(stream.producer, 5);
        assert_eq!(stream.period_ns, 999_999);
        // Never before its time, and none skipped.
        for record in &journal.records {
            if let Record::Told { sequence, at_ns, offset, .. } = *record {
                assert!(at_ns + 1000 >= stream.intended_ns(sequence));
                assert_eq!(offset, Some(sequence.cast_signed()));
            }
        }
        offered += journal.next;
    }
    let last = process.status().borrow().progress.clone();
    assert_eq!(last, Progress::Producer { offered, acked: offered, errors: 0, in_flight: 0 });

    let mut kinds = Vec::new();
    while let Ok(event) = events.try_recv() {
        kinds.push(event.kind);
    }
    assert!(matches!(
        &kinds[0],
        EventKind::ClientStarted { journal, .. } if journal == "journal/baseline-producer-0-0-p*.ljr"
    ));
    assert!(matches!(kinds.last().unwrap(), EventKind::ClientEnded { expected: true, how, .. } if how == "exit 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_0_proves_nothing() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 500.0, &[("acks", "0")]);
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 50).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    assert!(journal.next > 50);
    for record in &journal.records {
        assert!(matches!(record, Record::Told { told: Told::Unconfirmed, offset: None, .. }), "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_brokers_all_is_indeterminate_or_unsent() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    drop(mock);
    let spec = run.producer(1, 1000.0, &[("queue.buffering.max.messages", "100"), ("message.timeout.ms", "60000")]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| matches!(now, Progress::Producer { errors, .. } if *errors > 200)).await;
    // Shorter than the message timeout: what is queued is purged.
    process.drain(Duration::from_millis(300)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    let told = journal.told();
    assert_eq!(told.len() as u64, journal.next);
    let count = |wanted| told.values().filter(|told| **told == wanted).count();
    let (queue_full, purge_queue) = (-184, -152);
    assert_eq!(count((Told::Indeterminate, purge_queue)), 100);
    assert_eq!(count((Told::Unsent, queue_full)), told.len() - 100);
    let mut notices = 0;
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            assert!(text.contains("100 messages had no report"), "{text}");
            notices += 1;
        }
    }
    assert_eq!(notices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_failed() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(1, 200.0, &[("message.max.bytes", "1000")]);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.payload_bytes = 2000;
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| matches!(now, Progress::Producer { errors, .. } if *errors > 10)).await;
    process.drain(Duration::from_secs(5)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journals = run.journals();
    let told = journals["baseline-producer-0-0-p0.ljr"].told();
    assert!(told.values().all(|told| *told == (Told::Failed, 10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_producer_leaves_a_readable_journal() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 2000.0, &[]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 1000).await;
    let end = process.kill().await;
    assert!(end.expected);
    assert_eq!(end.how, "signal 9");
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(!journal.tail.sealed);
    assert!(journal.tail.is_undamaged());
    let told = journal.told();
    assert!(told.len() > 1000);
    assert!(told.keys().all(|sequence| *sequence < journal.next));
    let mut last = None;
    while let Ok(event) = events.try_recv() {
        last = Some(event.kind);
    }
    assert!(matches!(last, Some(EventKind::ClientEnded { expected: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails_says_why() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 10.0, &[("acks", "1"), ("enable.idempotence", "true")]);
    let (process, mut events) = run.start(&spec).await;
    let end = process.ended(soon()).await;
    assert!(!end.expected);
    assert_eq!(end.how, "exit 1");
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            told.push(text);
        }
    }
    assert!(told.iter().any(|text| text.contains("`acks` must be set to `all`")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_end_is_overdue() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 10.0, &[])).await;
    let end = process.ended(Instant::now() + Duration::from_millis(200)).await;
    assert!(!end.expected);
    assert_eq!(end.how, "signal 9, as it did not end in time");
}

/// Both ways to commit, from the first record to the fence and a clean end.
async fn consume(commit: Commit) -> (Run, Journal, u64) {
    let mock = mock(2);
    let run = Run::new(mock.bootstrap_servers());
    let producer = run.producer(2, 1000.0, &[]);
    let (process, _events) = run.start(&producer).await;
    until(&process, |now, _, _| acked(now) > 500).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let offered: u64 = run.journals().values().map(|journal| journal.next).sum();

    // A stranger's message, and the fences.
    let other: BaseProducer = ClientConfig::new().set("bootstrap.servers", mock.bootstrap_servers()).create().unwrap();
    let foreign = BaseRecord::<(), str>::to(TOPIC).partition(0).payload("hello");
    other.send(foreign).unwrap();
    for partition in 0..2 {
        let header = rdkafka::message::Header { key: FENCE_HEADER, value: Some("1") };
        let fence = BaseRecord::<(), str>::to(TOPIC)
            .partition(partition)
            .payload("fence")
            .headers(OwnedHeaders::new().insert(header));
        other.send(fence).unwrap();
    }
    other.flush(Duration::from_secs(10)).unwrap();

    let spec = run.consumer(commit, &[("auto.commit.interval.ms", "200")]);
    let (process, _events) = run.start(&spec).await;
    until(&process, |_, ready, fences| ready && fences.len() == 2).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    assert_eq!(processed(&process.status().borrow().progress), offered + 1);
    let journal = run.journals().remove("baseline-consumer-0-0.ljr").unwrap();
    assert!(journal.tail.sealed);
    (run, journal, offered)
}

/// What any consumer's journal must show.
fn check_consumed(journal: &Journal, offered: u64) {
    let mut identities = BTreeSet::new();
    let (mut polled, mut fences, mut foreign) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut done: BTreeMap<i32, i64> = BTreeMap::new();
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    let (mut assigned, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for record in &journal.records {
        match *record {
            Record::Assigned { partition, .. } => assert!(assigned.insert(partition)),
            Record::Revoked { partition, .. } => assert!(revoked.insert(partition)),
            Record::Polled { partition, offset, .. } => assert!(polled.insert((partition, offset))),
            Record::Processed { partition, offset, identity, .. } => {
                assert!(polled.contains(&(partition, offset)));
                done.insert(partition, offset + 1);
                match identity {
                    Some(identity) => {
                        assert_eq!(identity.partition, partition);
                        assert_eq!((identity.run, identity.producer), (RUN, 5));
                        assert!(identities.insert((identity.partition, identity.sequence)));
                    }
                    None => foreign += 1,
                }
            }
            Record::FenceSeen { partition, offset, .. } => {
                assert!(fences.insert(partition));
                assert_eq!(done.insert(partition, offset + 1), Some(offset));
            }
            Record::Committed { partition, offset, ok, .. } => {
                assert!(ok);
                assert!(offset <= done[&partition], "committed before processing");
                committed.insert(partition, offset);
            }
            ref other => panic!("{other:?} in a consumer's journal"),
        }
    }
    assert_eq!(identities.len() as u64, offered);
    assert_eq!(foreign, 1);
    assert_eq!(fences, BTreeSet::from([0, 1]));
    assert_eq!(assigned, BTreeSet::from([0, 1]));
    assert_eq!(revoked, BTreeSet::from([0, 1]));
    assert_eq!(committed, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_commits_after_processing() {
    let (_run, journal, offered) = consume(Commit::AfterSync).await;
    check_consumed(&journal, offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_with_automatic_commits() {
    let (_run, journal, offered) = consume(Commit::Auto).await;
    check_consumed(&journal, offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_a_terminal_do_not_end_a_client() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 100.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 5).await;
    for signal in ["-INT", "-TERM"] {
        let kill = Command::new("kill").args([signal, &process.pid().to_string()]).status();
        assert!(kill.unwrap().success());
    }
    let before = acked(&process.status().borrow().progress);
    until(&process, |now, _, _| acked(now) > before + 20).await;
    process.drain(Duration::from_secs(5)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
}

/// Not a test of its own: a parent that starts a client, names it, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn parent_to_be_killed() {
    let Some(dir) = std::env::var_os("LOSSPROOF_TEST_PARENT_DIR") else {
        return;
    };
    let dir = PathBuf::from(dir);
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 100.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 5).await;
    std::fs::write(dir.join("pid.part"), process.pid().to_string()).unwrap();
    std::fs::rename(dir.join("pid.part"), dir.join("pid")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_dies_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_processes::parent_to_be_killed"])
        .env("LOSSPROOF_TEST_PARENT_DIR", dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = dir.path().join("pid");
    let pid = poll(|| std::fs::read_to_string(&pid_file).ok()).await;
    // Its state letter; none when it is gone.
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    assert!(state().is_some());
    parent.kill().unwrap();
    parent.wait().unwrap();
    poll(|| matches!(state(), None | Some('Z')).then_some(())).await;
}

async fn poll<T>(probe: impl Fn() -> Option<T>) -> T {
    let deadline = soon();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not reached in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
