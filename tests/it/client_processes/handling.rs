//! What consumers do with messages, behaviour by behaviour: what is processed, and what is committed by then.

use std::path::Path;

use lossproof::experiment::{Failure, OnFailure, ServiceDown, Sink, Stragglers, Work, Workers};
use lossproof::workload::{SINKS, effects, sink_path};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};

use super::*;

/// A topic of two partitions with messages and fences.
pub(super) struct Topic {
    pub(super) mock: Mock,
    pub(super) run: Run,
    pub(super) offered: u64,
}

impl Topic {
    pub(super) async fn with(messages: u64) -> Self {
        let mock = mock(2);
        let run = Run::new(mock.bootstrap_servers());
        let (process, _events) = run.start(&run.producer(2, 2000.0, &[])).await;
        until(&process, |now, _, _| acked(now) >= messages).await;
        process.drain(Duration::from_secs(10)).await.unwrap();
        assert!(process.ended(soon()).await.expected);
        let offered = run.journals().values().map(|journal| journal.next).sum();
        write_fences(&mock.bootstrap_servers(), 2);
        Self { mock, run, offered }
    }

    /// A member's journal, from its start to both fences and a clean end.
    async fn consumed(&self, handling: Handling) -> Journal {
        let spec = self.run.handler(handling, &[("auto.commit.interval.ms", "100")]);
        self.consumed_by(&spec).await
    }

    pub(super) async fn consumed_by(&self, spec: &ClientSpec) -> Journal {
        let (process, _events) = self.run.start(spec).await;
        until(&process, |_, ready, fences| ready && fences.len() == 2).await;
        process.drain(Duration::from_secs(10)).await.unwrap();
        let end = process.ended(soon()).await;
        assert!(end.expected, "{end:?}: {}", self.run.log(spec));
        let journal = self.run.journals().remove(&format!("{}.ljr", spec.name())).unwrap();
        assert!(journal.tail.sealed);
        journal
    }

    /// What the group has committed in both partitions.
    pub(super) fn committed(&self) -> i64 {
        let member: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.mock.bootstrap_servers())
            .set("group.id", "g")
            .create()
            .unwrap();
        let mut asked = rdkafka::TopicPartitionList::new();
        for partition in 0..2 {
            asked.add_partition(TOPIC, partition);
        }
        let told = member.committed_offsets(asked, Duration::from_secs(10)).unwrap();
        told.elements().iter().filter_map(|element| element.offset().to_raw()).filter(|offset| *offset > 0).sum()
    }
}

/// What a journal says of commits.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    processed: BTreeSet<(i32, i64)>,
    /// Processed more than once.
    again: usize,
    /// Commits beyond a message that was polled and not processed yet.
    too_early: usize,
    /// Fences that were seen with such a message in hand.
    early_fences: usize,
    commits: usize,
}

fn seen(journal: &Journal) -> Seen {
    let mut seen = Seen::default();
    let mut open = BTreeSet::new();
    let mut committed = BTreeMap::new();
    for record in &journal.records {
        match *record {
            Record::Polled { partition, offset, .. } => assert!(open.insert((partition, offset))),
            Record::Processed { partition, offset, .. } => {
                open.remove(&(partition, offset));
                seen.again += usize::from(!seen.processed.insert((partition, offset)));
            }
            Record::Committed { partition, offset, ok, .. } => {
                assert!(ok);
                let before = committed.insert(partition, offset);
                assert!(before <= Some(offset), "never back");
                seen.commits += 1;
                seen.too_early += usize::from(open.range((partition, 0)..(partition, offset)).next().is_some());
            }
            Record::FenceSeen { partition, .. } => {
                let in_hand = open.range((partition, 0)..(partition, i64::MAX)).next();
                seen.early_fences += usize::from(in_hand.is_some());
            }
            _ => {}
        }
    }
    seen
}

const MILLI: Work = Work { each: Duration::from_millis(1), stragglers: None };

fn eight(keep_polling: bool) -> Option<Workers> {
    Some(Workers { threads: 8, queue: 40, keep_polling })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_by_the_time_that_it_is_done() {
    let topic = Topic::with(300).await;
    let inline = |commit, batch| Handling { commit, batch, work: MILLI, ..Handling::default() };
    let slow = Some(Stragglers { every: 40, work: Duration::from_millis(400) });
    let work = Work { stragglers: slow, ..MILLI };
    let pool = |commit, batch, keep_polling| Handling {
        commit,
        batch,
        workers: eight(keep_polling),
        work: work.clone(),
        ..Handling::default()
    };
    let cases = [
        (inline(Commit::Auto, 100), true),
        (inline(Commit::Before, 100), true),
        (inline(Commit::AfterSync, 1), false),
        (inline(Commit::AfterSync, 50), false),
        (inline(Commit::AfterAsync, 1), false),
        (inline(Commit::AfterAsyncSyncClose, 1), false),
        (inline(Commit::Batch, 100), false),
        (pool(Commit::Auto, 1, false), true),
        (pool(Commit::Before, 50, false), true),
        (pool(Commit::Batch, 50, false), false),
        (pool(Commit::Batch, 50, true), false),
        (pool(Commit::Contiguous, 1, false), false),
        (pool(Commit::Contiguous, 1, true), false),
        (pool(Commit::Highest, 1, false), true),
    ];
    let all = (0u16..).zip(cases).map(async |(number, (handling, is_early))| {
        let mut spec = topic.run.handler(handling.clone(), &[("auto.commit.interval.ms", "50")]);
        spec.id.member = number;
        let Behaviour::Consumer(consuming) = &mut spec.behaviour else { panic!("a consumer") };
        consuming.group = format!("g{number}");
        let seen = seen(&topic.consumed_by(&spec).await);
        assert_eq!((seen.processed.len() as u64, seen.again), (topic.offered, 0), "{handling:?}");
        assert!(seen.commits > 0 && seen.early_fences == 0, "{handling:?}");
        assert_eq!(seen.too_early > 0, is_early, "{handling:?}: {} of {}", seen.too_early, seen.commits);
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_commits_what_was_done_unless_commits_are_only_asynchronous() {
    let topic = Topic::with(300).await;
    let all = i64::try_from(topic.offered).unwrap() + 2;
    let late = Duration::from_secs(3600);
    let rarely = |commit| Handling { commit, commit_interval: late, ..Handling::default() };
    assert_eq!(seen(&topic.consumed(rarely(Commit::AfterAsync)).await).commits, 0);
    assert_eq!(topic.committed(), 0);
    let mut spec = topic.run.handler(rarely(Commit::AfterAsyncSyncClose), &[]);
    spec.id.member = 1;
    assert_eq!(seen(&topic.consumed_by(&spec).await).processed.len() as u64, topic.offered);
    assert_eq!(topic.committed(), all);
}

/// A kill while messages wait in memory: what automatic commits have passed is gone, what a low watermark has is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_takes_the_workers_queue() {
    for commit in [Commit::Auto, Commit::Contiguous] {
        let topic = Topic::with(300).await;
        let workers = Some(Workers { threads: 2, queue: 1000, keep_polling: false });
        let work = Work { each: Duration::from_millis(20), stragglers: None };
        let handling = Handling { commit, workers, work, ..Handling::default() };
        let first = topic.run.handler(handling, &[("auto.commit.interval.ms", "50"), ("session.timeout.ms", "6000")]);
        let (process, _events) = topic.run.start(&first).await;
        until(&process, |now, _, _| processed(now) > 40).await;
        poll(|| (commit != Commit::Auto || topic.committed() > 250).then_some(())).await;
        process.kill().await;
        let before = seen(&topic.run.journals()[&format!("{}.ljr", first.name())]);
        if commit == Commit::Auto {
            // The group is at the end, and nobody will be handed the rest.
            assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2);
            assert!((before.processed.len() as u64) < topic.offered);
            continue;
        }
        let mut second = first.next_incarnation().unwrap();
        let Behaviour::Consumer(consuming) = &mut second.behaviour else { panic!("a consumer") };
        consuming.handling.work = MILLI;
        let after = seen(&topic.consumed_by(&second).await);
        assert_eq!(before.processed.union(&after.processed).count() as u64, topic.offered);
    }
}

fn failing(then: OnFailure, commit: Commit) -> Handling {
    let failure = Failure { poison_every: Some(10), service_down: None, then, tries: 2 };
    Handling { commit, work: MILLI, failure: Some(failure), ..Handling::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_passed_over_by_a_commit_in_the_handler() {
    let topic = Topic::with(100).await;
    let journal = topic.consumed(failing(OnFailure::Commit, Commit::AfterSync)).await;
    let polled = journal.records.iter().filter(|record| matches!(record, Record::Polled { .. })).count() as u64;
    let seen = seen(&journal);
    let poison = polled - seen.processed.len() as u64;
    assert_eq!(polled, topic.offered);
    // Of two streams.
    assert!((topic.offered / 10 - 2..=topic.offered / 10).contains(&poison), "{poison} of {}", topic.offered);
    assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_in_place_stops_at_poison_and_outlasts_an_outage() {
    let topic = Topic::with(100).await;
    let spec = topic.run.handler(failing(OnFailure::Retry, Commit::AfterSync), &[]);
    let (process, _events) = topic.run.start(&spec).await;
    until(&process, |now, _, _| processed(now) >= 9).await;
    let stuck = processed(&process.status().borrow().progress);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(processed(&process.status().borrow().progress), stuck);
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);

    let service_down = Some(ServiceDown { at: Duration::ZERO, lasts: Duration::from_secs(3) });
    let failure = Some(Failure { poison_every: None, service_down, then: OnFailure::Retry, tries: 1 });
    let handling = Handling { commit: Commit::AfterSync, failure, ..Handling::default() };
    let mut spec = topic.run.handler(handling, &[]);
    spec.id.member = 1;
    let Behaviour::Consumer(consuming) = &mut spec.behaviour else { panic!("a consumer") };
    consuming.group = "other".to_owned();
    consuming.started_ns = lossproof_ledger::clock::boottime_ns();
    let until_ns = consuming.started_ns + 3_000_000_000;
    let journal = topic.consumed_by(&spec).await;
    assert_eq!(seen(&journal).processed.len() as u64, topic.offered);
    let first = journal.records.iter().find(|record| matches!(record, Record::Processed { .. })).unwrap();
    assert!(first.at_ns().unwrap() >= until_ns);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_safe_before_their_offsets_are_committed() {
    for (handling, member) in [
        (failing(OnFailure::Dlq, Commit::AfterSync), 0),
        (Handling { batch: 50, ..failing(OnFailure::Dlq, Commit::Batch) }, 1),
        (Handling { workers: eight(true), ..failing(OnFailure::Dlq, Commit::Contiguous) }, 2),
    ] {
        let topic = Topic::with(200).await;
        topic.mock.create_topic("t.consumer.dlq", 2, 1).unwrap();
        let mut spec = topic.run.handler(handling, &[]);
        spec.id.member = member;
        let seen = seen(&topic.consumed_by(&spec).await);
        assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2, "{spec:?}");

        let letters = letters(&topic.mock.bootstrap_servers(), topic.offered - seen.processed.len() as u64);
        for (partition, offset) in &letters {
            assert!(!seen.processed.contains(&(*partition, *offset)));
        }
        assert_eq!(letters.len() as u64 + seen.processed.len() as u64, topic.offered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_was_refused_is_sent_again() {
    let topic = Topic::with(200).await;
    topic.mock.create_topic("t.consumer.dlq", 2, 1).unwrap();
    // Two batches at most are written, of each partition one, as long as nothing fails.
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    topic.mock.request_errors(RDKafkaApiKey::Produce, &[refusal; 5]);
    let spec = topic.run.handler(Handling { batch: 50, ..failing(OnFailure::Dlq, Commit::Batch) }, &[]);
    let seen = seen(&topic.consumed_by(&spec).await);
    assert!(topic.run.log(&spec).contains("a dead letter is sent again"));
    assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2);
    let wanted = topic.offered - seen.processed.len() as u64;
    assert_eq!(letters(&topic.mock.bootstrap_servers(), wanted).len() as u64, wanted);
}

/// The places that the dead letters name.
fn letters(bootstrap: &str, wanted: u64) -> BTreeSet<(i32, i64)> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut all = rdkafka::TopicPartitionList::new();
    for partition in 0..2 {
        all.add_partition_offset("t.consumer.dlq", partition, rdkafka::Offset::Beginning).unwrap();
    }
    reader.assign(&all).unwrap();
    let mut found = BTreeSet::new();
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while (found.len() as u64) < wanted && std::time::Instant::now() < until {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else { continue };
        let header = |wanted: &str| {
            let headers = message.headers().unwrap();
            let header = headers.iter().find(|header| header.key == wanted);
            header.and_then(|header| header.value).map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(header("dlq.topic").as_deref(), Some(TOPIC));
        assert_eq!(header("dlq.reason").as_deref(), Some("it can't be processed at all"));
        assert_eq!(header("dlq.attempts").as_deref(), Some("2"));
        let identity = lossproof_ledger::payload::decode(message.payload().unwrap(), RUN);
        let lossproof_ledger::payload::Decoded::Ours(identity) = identity else { panic!("{identity:?}") };
        assert_eq!(header("dlq.sequence"), Some(identity.sequence.to_string()));
        found.insert((message.partition(), header("dlq.offset").unwrap().parse().unwrap()));
    }
    found
}

/// Killed with its rows written and nothing committed, a member leaves deeds that nobody does again.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_holds_each_message_once() {
    let topic = Topic::with(200).await;
    let dir: &Path = topic.run.dir.path();
    std::fs::create_dir(dir.join(SINKS)).unwrap();
    let late = Duration::from_secs(3600);
    let handling =
        Handling { commit: Commit::AfterSync, commit_interval: late, sink: Sink::SqliteDedup, ..Handling::default() };
    let mut first = topic.run.handler(handling, &[("session.timeout.ms", "6000")]);
    let path = sink_path(dir, "baseline");
    let Behaviour::Consumer(consuming) = &mut first.behaviour else { panic!("a consumer") };
    consuming.sink = Some(path.clone());
    let (process, _events) = topic.run.start(&first).await;
    until(&process, |now, _, _| processed(now) > 50).await;
    process.kill().await;
    assert_eq!(topic.committed(), 0);
    let before = effects(&path, RUN).unwrap().len();
    assert!(before > 50);
    let second = topic.consumed_by(&first.next_incarnation().unwrap()).await;
    let polled = second.records.iter().filter(|record| matches!(record, Record::Polled { .. })).count() as u64;
    assert_eq!(polled, topic.offered, "handed everything once more");
    assert_eq!(seen(&second).processed.len(), 0, "the sink is where it is done");
    let held: Vec<_> = effects(&path, RUN)
        .unwrap()
        .into_iter()
        .map(|record| match record {
            Record::Processed { identity: Some(identity), .. } => (identity.partition, identity.sequence),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(held.len() as u64, topic.offered);
    assert_eq!(held.into_iter().collect::<BTreeSet<_>>().len() as u64, topic.offered);
}
