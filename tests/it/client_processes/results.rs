//! Members whose results are records of another topic.

use lossproof::experiment::Sink;
use lossproof::workload::ResultsTo;
use lossproof::workload::results::ResultOf;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use test_case::test_case;

use super::handling::Topic;
use super::*;

const RESULTS: &str = "t.results";

fn spec(topic: &Topic, commit: Commit) -> ClientSpec {
    topic.mock.create_topic(RESULTS, 2, 1).unwrap();
    let handling = Handling { commit, batch: 50, sink: Sink::Topic, ..Handling::default() };
    let mut spec = topic.run.handler(handling, &[]);
    let Behaviour::Consumer(consuming) = &mut spec.behaviour else { panic!("a consumer") };
    let transactional_id = (commit == Commit::Transactional).then(|| "id".to_owned());
    consuming.results = Some(ResultsTo { topic: RESULTS.to_owned(), transactional_id });
    spec
}

type Found = BTreeMap<(i32, i64), u64>;

/// How often there is a result of each message, by partition and offset: as soon as all are there that are waited for.
fn results(topic: &Topic, are_all: impl Fn(&Found) -> bool) -> Found {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", topic.mock.bootstrap_servers())
        .set("group.id", "reader")
        // The mock marks nothing as aborted.
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    let mut all = rdkafka::TopicPartitionList::new();
    for partition in 0..2 {
        all.add_partition_offset(RESULTS, partition, rdkafka::Offset::Beginning).unwrap();
    }
    reader.assign(&all).unwrap();
    let mut found = Found::new();
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !are_all(&found) && std::time::Instant::now() < until {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else { continue };
        let ResultOf { offset, at_ns } = ResultOf::of(&message).unwrap();
        assert!(at_ns > 0);
        let identity = lossproof_ledger::payload::decode(message.payload().unwrap(), RUN);
        assert!(matches!(identity, lossproof_ledger::payload::Decoded::Ours(_)), "{identity:?}");
        *found.entry((message.partition(), offset)).or_default() += 1;
    }
    found
}

#[test_case(Commit::Before)]
#[test_case(Commit::Batch)]
#[test_case(Commit::Transactional)]
#[tokio::test(flavor = "multi_thread")]
async fn each_message_has_a_result(commit: Commit) {
    let topic = Topic::with(200).await;
    let journal = topic.consumed_by(&spec(&topic, commit)).await;
    let told = |wanted: fn(&Record) -> bool| journal.records.iter().filter(|record| wanted(record)).count() as u64;
    assert_eq!(told(|record| matches!(record, Record::Polled { .. })), topic.offered);
    assert_eq!(told(|record| matches!(record, Record::Processed { .. })), 0, "the topic is where it is done");
    assert_ne!(told(|record| matches!(record, Record::Committed { ok: true, .. })), 0);
    let found = results(&topic, |found| found.len() as u64 == topic.offered);
    assert_eq!(found.len() as u64, topic.offered);
    assert!(found.values().all(|times| *times == 1));
    if commit != Commit::Transactional {
        // The mock keeps no offsets of transactions.
        assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2);
    }
}

/// The group has gone on without the member, as the coordinator tells it once: what it made of the batch does not count,
/// and the batch is made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_could_not_be_committed_is_done_again() {
    let topic = Topic::with(200).await;
    let spec = spec(&topic, Commit::Transactional);
    let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
    topic.mock.request_errors(RDKafkaApiKey::TxnOffsetCommit, &[fenced]);
    let journal = topic.consumed_by(&spec).await;
    assert!(topic.run.log(&spec).contains("a transaction is not committed"), "{}", topic.run.log(&spec));
    let polled = journal.records.iter().filter(|record| matches!(record, Record::Polled { .. })).count() as u64;
    assert!(polled > topic.offered, "{polled} of {}", topic.offered);
    // The mock shows what was aborted.
    let found = results(&topic, |found| found.values().sum::<u64>() == polled);
    assert_eq!((found.len() as u64, found.values().sum()), (topic.offered, polled));
}

/// Results that a broker refuses for good are no results: their offsets wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_results_were_refused_is_done_again() {
    let topic = Topic::with(200).await;
    let spec = spec(&topic, Commit::Batch);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    topic.mock.request_errors(RDKafkaApiKey::Produce, &[refusal]);
    let journal = topic.consumed_by(&spec).await;
    assert!(topic.run.log(&spec).contains("a result is not in the log"));
    let polled = journal.records.iter().filter(|record| matches!(record, Record::Polled { .. })).count() as u64;
    assert!(polled > topic.offered);
    let found = results(&topic, |found| found.len() as u64 == topic.offered);
    assert_eq!(found.len() as u64, topic.offered);
    assert_eq!(topic.committed(), i64::try_from(topic.offered).unwrap() + 2);
}
