//! Real client processes against librdkafka's mock brokers: what goes into journals, how processes end.
//! The mock knows no replication and no idempotence; nothing here is about durability.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lossproof::experiment::{Commit, Handling, OnFatal, OnQueueFull, Sending};
use lossproof::workload::{Behaviour, ClientProcess, ClientSpec, Consuming, Producing, Transactions};
use lossproof_ledger::category::Told;
use lossproof_ledger::event::{ClientId, Event, EventKind, Progress, Role};
use lossproof_ledger::journal::{Header, JournalReader, Source, Tail};
use lossproof_ledger::payload::FENCE_HEADER;
use lossproof_ledger::record::{Record, TxnOutcome};
use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

mod consumers;
mod gaps;
mod handling;
mod kills;
mod lifecycle;
mod producers;
mod restarts;
mod results;
mod sending;

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
                first: Vec::new(),
                rate_per_s,
                payload_bytes: 200,
                on_queue_full: OnQueueFull::Drop,
                on_fatal: OnFatal::Stop,
                keys: None,
                transactions: None,
                sending: Sending::default(),
                parking: None,
                witness: None,
            }),
        )
    }

    fn consumer(&self, commit: Commit, pairs: &[(&str, &str)]) -> ClientSpec {
        self.handler(Handling { commit, ..Handling::default() }, pairs)
    }

    fn handler(&self, handling: Handling, pairs: &[(&str, &str)]) -> ClientSpec {
        let mut pairs = pairs.to_vec();
        pairs.push(("auto.offset.reset", "earliest"));
        self.spec(
            Role::Consumer,
            &pairs,
            Behaviour::Consumer(Consuming { group: "g".into(), handling, started_ns: 0, sink: None, results: None }),
        )
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
    Instant::now() + Duration::from_secs(60)
}

/// Waits for a state that the client reports.
async fn until(process: &ClientProcess, wanted: impl Fn(&Progress, bool, &BTreeSet<i32>) -> bool) {
    let mut status = process.status();
    let reached = status.wait_for(|now| wanted(&now.progress, now.ready, &now.fences_seen));
    tokio::time::timeout(Duration::from_secs(60), reached)
        .await
        .unwrap_or_else(|_| panic!("not reached: {:?}", process.status().borrow()))
        .expect("a live client");
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

fn stranger(bootstrap: &str) -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

fn write_fences(bootstrap: &str, partitions: i32) {
    let producer = stranger(bootstrap);
    for partition in 0..partitions {
        let header = rdkafka::message::Header { key: FENCE_HEADER, value: Some("1") };
        let fence = BaseRecord::<(), str>::to(TOPIC)
            .partition(partition)
            .payload("fence")
            .headers(OwnedHeaders::new().insert(header));
        producer.send(fence).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
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
