//! A kept cluster: its log counted by others than lossproof gives the report's numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::engine::Engine;
use super::experiments::experiment;
use super::program::{Program, lossproof};

const NAME: &str = "kept";
const PARTITIONS: i32 = 3;

/// What stands in a topic, fences apart.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    records: u64,
    distinct: u64,
}

/// The cut leader takes a batch and cannot replicate it; the broker answers REQUEST_TIMED_OUT after half a second,
/// and a client that is not idempotent sends it again: once the cut heals, all copies stay.
fn experiment_with_copies() -> String {
    let cut = "{ at: 0s, for: 4s, partition: { isolate: { leader_of: 0 }, from: brokers, listeners: [replication] } }";
    let options = "acks: all, enable.idempotence: false, request.timeout.ms: 500, retries: 1000";
    experiment(NAME, &[cut], "")
        .replace("{ extends: baseline }", &format!("{{ extends: baseline, producer: {{ {options} }} }}"))
}

/// The value that stands after a label on its line.
fn told(stdout: &str, label: &str) -> String {
    let line = stdout.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label:?} was told"));
    line.split_once(label).unwrap().1.trim().to_owned()
}

#[test]
fn a_kept_cluster_counts_the_same_by_other_tools() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[experiment_with_copies()], &["--keep"]);
    let code = program.end();
    assert_eq!(code, Some(0), "{}", program.stdout());
    let stdout = program.stdout();
    let bootstrap = told(&stdout, "bootstrap.servers=");
    let container = told(&stdout, "docker exec ").split(' ').next().unwrap().to_owned();
    let remove = told(&stdout, "remove it");
    let session = program.session();
    assert_eq!(remove, format!("lossproof clean --run {session}"));

    let report = program.report(NAME);
    let counts = |profile: &str| report["profiles"][profile]["counts"].clone();
    assert!(counts("baseline")["duplicate_records"].as_u64() > Some(0), "{}", counts("baseline"));
    assert_eq!(counts("resilient")["duplicate_records"], 0);
    for profile in ["baseline", "resilient"] {
        let topic = format!("{NAME}-{profile}");
        let counts = counts(profile);
        assert_eq!(Value::from(count_by_kafka(&engine, &container, &bootstrap, &topic)), counts["records_in_log"]);
        let found = decode(&bootstrap, &topic);
        assert_eq!(Value::from(found.records), counts["records_in_log"], "{profile}");
        assert_eq!(Value::from(found.distinct), counts["in_log"], "{profile}");
        assert_eq!(Value::from(found.records - found.distinct), counts["duplicate_records"], "{profile}");
    }

    let words: Vec<&str> = remove.split(' ').skip(1).collect();
    let clean = lossproof(&words);
    assert_eq!(clean.code, Some(0), "{}{}", clean.stdout, clean.stderr);
    program.assert_nothing_left(&engine);
}

/// By Kafka's own console consumer, in a broker's container.
fn count_by_kafka(engine: &Engine, container: &str, bootstrap: &str, topic: &str) -> u64 {
    let tool = "/opt/kafka/bin/kafka-console-consumer.sh";
    let printed = ["print.value=false", "print.headers=true", "print.partition=true", "print.offset=true"]
        .iter()
        .flat_map(|property| ["--property", property]);
    let mut command =
        vec!["exec", container, tool, "--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning"];
    // It has no other way to end at the log's end.
    command.extend(["--timeout-ms", "5000"]);
    command.extend(printed);
    let lines = engine.docker(&command);
    let (fences, records): (Vec<&str>, Vec<&str>) = lines
        .lines()
        .filter(|line| line.contains("Partition:") && line.contains("Offset:"))
        .partition(|line| line.contains("lossproof-fence"));
    assert_eq!(fences.len(), usize::try_from(PARTITIONS).unwrap(), "{fences:?}");
    records.len() as u64
}

/// By a reader that knows of a payload what `ledger/src/payload.rs` documents, and shares no code with it.
fn decode(bootstrap: &str, topic: &str) -> Found {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "somebody-else")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut records, mut identities, mut runs, mut at_end) = (0, BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    while at_end.len() < assignment.count() {
        let message = match consumer.poll(Duration::from_secs(20)).expect("a record or the end of a partition") {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(partition)) => {
                at_end.insert(partition);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        if message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == "lossproof-fence")) {
            continue;
        }
        let payload = message.payload().unwrap();
        assert_eq!(payload[..4], [0x4c, 0x50, 0xd7, 0x1e], "magic");
        assert_eq!(payload[4], 1, "version");
        assert_eq!(word(payload, 32, 4), u64::from(crc32(&[&payload[..32], &payload[36..]])), "checksum");
        assert_eq!(word(payload, 24, 4), u64::from(message.partition().cast_unsigned()), "partition");
        records += 1;
        runs.insert(word(payload, 8, 8));
        let (sequence, producer) = (word(payload, 16, 8), word(payload, 28, 2));
        identities.insert((producer, message.partition(), sequence));
    }
    assert_eq!(runs.len(), 1, "all of one run");
    Found { records, distinct: identities.len() as u64 }
}

/// A little-endian word of `bytes` bytes.
fn word(payload: &[u8], at: usize, bytes: usize) -> u64 {
    payload[at..at + bytes].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// CRC-32 as in zip files, bit by bit.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_checksum_is_the_common_one() {
    assert_eq!(crc32(&[b"12345", b"6789"]), 0xcbf4_3926);
}
