//! How applications send: what they look at, what they wait for, and what they do about errors.

use lossproof::experiment::{Close, Delivery, Large, OnError};
use lossproof::workload::parking::{self, Parking, database, spool};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};

use super::*;

const DEAD_LETTERS: &str = "t.dlq";
const FIRST: &str = "baseline-producer-0-0-p0.ljr";

/// A producer of one partition that sends so.
fn sending(run: &Run, rate_per_s: f64, pairs: &[(&str, &str)], sending: Sending) -> ClientSpec {
    let mut spec = run.producer(1, rate_per_s, pairs);
    let dir = run.dir.path().join(parking::FOLDER);
    std::fs::create_dir_all(&dir).unwrap();
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.on_queue_full = OnQueueFull::Block;
    producing.sending = sending;
    producing.parking = Some(Parking { dir, dead_letters: DEAD_LETTERS.to_owned() });
    spec
}

fn on_error(on_error: OnError) -> Sending {
    Sending { on_error, ..Sending::default() }
}

fn errors(progress: &Progress) -> u64 {
    match progress {
        Progress::Producer { errors, .. } => *errors,
        Progress::Consumer { .. } => 0,
    }
}

/// Runs it until so many reports were acknowledged, then ends it well.
async fn drained(run: &Run, spec: &ClientSpec, enough: u64) -> Journal {
    let (process, _events) = run.start(spec).await;
    until(&process, |now, _, _| acked(now) >= enough).await;
    end(run, spec, &process).await
}

async fn end(run: &Run, spec: &ClientSpec, process: &ClientProcess) -> Journal {
    process.drain(Duration::from_secs(20)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(spec));
    let name = FIRST.replace("-0-p0", &format!("-{}-p0", spec.id.incarnation));
    let journal = run.journals().remove(&name).unwrap();
    assert!(journal.tail.sealed);
    journal
}

/// By sequence, what was told of each attempt, in order.
fn attempts(journal: &Journal) -> BTreeMap<u64, Vec<(u16, Told)>> {
    let mut all: BTreeMap<u64, Vec<(u16, Told)>> = BTreeMap::new();
    for record in &journal.records {
        if let Record::Told { sequence, attempt, told, .. } = *record {
            all.entry(sequence).or_default().push((attempt, told));
        }
    }
    all
}

/// Errors for the next produce requests.
fn refuse(mock: &Mock, error: RDKafkaRespErr, times: usize) {
    mock.request_errors(RDKafkaApiKey::Produce, &vec![error; times]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_abandons_what_it_holds_waits_for_nothing() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let abandons = Sending { delivery: Delivery::FireAndForget, close: Close::Abandon, ..Sending::default() };
    let spec = sending(&run, 1000.0, &[("linger.ms", "1500")], abandons);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 100).await;
    let journal = end(&run, &spec, &process).await;
    let told = journal.told();
    assert_eq!(told.len() as u64, journal.next);
    // Delivered first, then what waited for its batch.
    let purged = told.values().rev().take_while(|told| **told == (Told::Indeterminate, -152)).count();
    let delivered = told.values().take_while(|told| **told == (Told::Acked, 0)).count();
    assert_eq!(purged + delivered, told.len(), "{told:?}");
    assert!(purged > 0 && delivered > 0);
    let mut notices = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            notices.push(text);
        }
    }
    assert_eq!(notices, [format!("partition 0: closed without a flush, with {purged} messages")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_awaits_each_report_has_one_message_at_a_time() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let awaits = Sending { delivery: Delivery::Await, ..Sending::default() };
    // Ten reports take a second at least; an application that does not wait would have offered a thousand.
    let spec = sending(&run, 1000.0, &[("linger.ms", "100")], awaits);
    let journal = drained(&run, &spec, 10).await;
    assert!(journal.told().values().all(|told| *told == (Told::Acked, 0)));
    assert!(journal.next < 300, "{}", journal.next);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_refused_for_themselves() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let large = Sending { large: Some(Large { every: 10, payload_bytes: 2000 }), ..Sending::default() };
    let journal = drained(&run, &sending(&run, 500.0, &[("message.max.bytes", "1000")], large), 50).await;
    for (sequence, told) in journal.told() {
        let expected = if sequence % 10 == 9 { (Told::Failed, 10) } else { (Told::Acked, 0) };
        assert_eq!(told, expected, "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_as_another_attempt() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    // Each of these errors ends a batch for good.
    refuse(&mock, RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, 3);
    let spec = sending(&run, 200.0, &[("linger.ms", "5")], on_error(OnError::Retry { attempts: 5 }));
    let journal = drained(&run, &spec, 100).await;
    let all = attempts(&journal);
    assert_eq!(all.len() as u64, journal.next);
    let again: Vec<_> = all.values().filter(|attempts| attempts.len() > 1).collect();
    assert!(!again.is_empty());
    for attempts in all.values() {
        let (last, failed) = attempts.split_last().unwrap();
        assert_eq!(*last, (u16::try_from(failed.len()).unwrap(), Told::Acked));
        assert!((0..).zip(failed).all(|(n, failed)| *failed == (n, Told::Indeterminate)), "{attempts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_have_a_limit() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = sending(&run, 20.0, &[("message.max.bytes", "1000")], on_error(OnError::Retry { attempts: 3 }));
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.payload_bytes = 2000;
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| errors(now) > 9).await;
    let journal = end(&run, &spec, &process).await;
    let three = [(0, Told::Failed), (1, Told::Failed), (2, Told::Failed)];
    assert!(attempts(&journal).values().all(|attempts| *attempts == three), "{:?}", attempts(&journal));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spooled_follows_when_the_cluster_takes_it() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    refuse(&mock, RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, 3);
    let spec = sending(&run, 200.0, &[("linger.ms", "5")], on_error(OnError::Spool));
    let journal = drained(&run, &spec, 100).await;
    let all = attempts(&journal);
    assert!(all.values().any(|attempts| attempts.len() > 1));
    assert!(all.values().all(|attempts| attempts.last().unwrap().1 == Told::Acked), "{all:?}");
    let path = parking::spool_path(&run.dir.path().join(parking::FOLDER), "baseline", 0, 0);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_outlives_its_process() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    refuse(&mock, RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, 10_000);
    let spec = sending(&run, 200.0, &[("linger.ms", "5")], on_error(OnError::Spool));
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| errors(now) > 50).await;
    process.kill().await;
    let path = parking::spool_path(&run.dir.path().join(parking::FOLDER), "baseline", 0, 0);
    let held = spool::held(&path, RUN).unwrap();
    assert!(held.len() > 40, "{}", held.len());

    mock.clear_request_errors(RDKafkaApiKey::Produce);
    let next = spec.next_incarnation().unwrap();
    let journal = drained(&run, &next, 50 + held.len() as u64).await;
    let all = attempts(&journal);
    for left in held {
        assert_eq!(all[&left.sequence], [(left.attempt + 1, Told::Acked)]);
    }
    assert_eq!(spool::held(&path, RUN).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_say_what_became_of_them() {
    let mock = mock(1);
    mock.create_topic(DEAD_LETTERS, 1, 1).unwrap();
    let run = Run::new(mock.bootstrap_servers());
    let mut sends = on_error(OnError::Dlq);
    sends.large = Some(Large { every: 10, payload_bytes: 2000 });
    let mut spec = sending(&run, 500.0, &[("message.max.bytes", "1000")], sends);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.keys = Some(7);
    let journal = drained(&run, &spec, 50).await;
    let failed: Vec<u64> = journal
        .told()
        .into_iter()
        .filter(|(_, told)| *told == (Told::Failed, 10))
        .map(|(sequence, _)| sequence)
        .collect();
    assert!(!failed.is_empty() && failed.iter().all(|sequence| sequence % 10 == 9), "{failed:?}");

    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &run.bootstrap).set("group.id", "g").create().unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    assignment.add_partition_offset(DEAD_LETTERS, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    for sequence in failed {
        let message = consumer.poll(Duration::from_secs(20)).expect("a dead letter").unwrap();
        let headers = message.headers().unwrap();
        let header = |name: &str| {
            let header = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
            header.map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert!(header("dlq.reason").unwrap().contains("too large"), "{:?}", header("dlq.reason"));
        assert_eq!(header("dlq.topic").as_deref(), Some(TOPIC));
        assert_eq!(header("dlq.partition").as_deref(), Some("0"));
        assert_eq!(header("dlq.sequence"), Some(sequence.to_string()));
        assert_eq!(header("dlq.key"), Some((sequence % 7).to_string()));
        assert_eq!(header("dlq.attempts").as_deref(), Some("1"));
        assert_eq!(header("dlq.offset"), None);
        assert_eq!(message.key(), Some((sequence % 7).to_string().as_bytes()));
        assert_eq!(message.payload().unwrap().len(), 2000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dead_letter_topic_messages_are_spooled() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    drop(mock);
    let spec = sending(&run, 20.0, &[("message.timeout.ms", "500")], on_error(OnError::Dlq));
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| errors(now) > 10).await;
    // Less time than a dead letter is given: what waits for that is spooled at the end.
    process.drain(Duration::from_secs(1)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let path = parking::spool_path(&run.dir.path().join(parking::FOLDER), "baseline", 0, 0);
    let held: BTreeSet<u64> = spool::held(&path, RUN).unwrap().iter().map(|held| held.sequence).collect();
    let journal = run.journals().remove(FIRST).unwrap();
    assert!(held.into_iter().eq(0..journal.next));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_loses_nothing_to_a_kill() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    // What was sent waits for its batch when the process dies.
    let spec = sending(&run, 200.0, &[("linger.ms", "500")], on_error(OnError::Outbox));
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 50).await;
    process.kill().await;
    let path = parking::database_path(&run.dir.path().join(parking::FOLDER), "baseline", 0, 0);
    let held = database::held(&path, RUN).unwrap();
    assert!(!held.is_empty());

    let next = spec.next_incarnation().unwrap();
    let journal = drained(&run, &next, 50 + held.len() as u64).await;
    let first = run.journals().remove(FIRST).unwrap();
    assert_eq!(database::held(&path, RUN).unwrap(), []);
    let mut acked: BTreeMap<u64, u16> = BTreeMap::new();
    for record in first.records.iter().chain(&journal.records) {
        if let Record::Told { sequence, attempt, told, .. } = *record {
            assert_eq!(told, Told::Acked, "{record:?}");
            acked.insert(sequence, attempt);
        }
    }
    // Dense over both processes; what was sent and not marked was sent again as another attempt.
    assert!(acked.keys().copied().eq(0..journal.next));
    assert!(held.iter().all(|held| acked[&held.sequence] <= 1) && acked.values().any(|attempt| *attempt == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dual_write_leaves_rows_without_a_message() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let writes = Sending { dual_write: true, ..Sending::default() };
    let spec = sending(&run, 200.0, &[("linger.ms", "1000")], writes);
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 10).await;
    process.kill().await;
    let path = parking::database_path(&run.dir.path().join(parking::FOLDER), "baseline", 0, 0);
    let rows = database::Database::open(&path).unwrap().next_sequence().unwrap();
    let first = run.journals().remove(FIRST).unwrap();
    assert!(rows == first.next || rows == first.next + 1, "{rows} rows, {} offered", first.next);
    assert!((first.told().len() as u64) < first.next, "all had been sent");
    // The next process does not use a row's number again.
    let next = spec.next_incarnation().unwrap();
    let journal = drained(&run, &next, 10).await;
    assert_eq!(*journal.told().keys().next().unwrap(), rows);
}
