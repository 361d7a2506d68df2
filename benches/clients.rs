//! What accounting costs per message: the producer and the consumer as experiments run them, against
//! bare loops with the same librdkafka options, in turn on one real cluster. Ratios only: the machine's
//! speed is not lossproof's. Needs a Docker engine (`make setup`).
//!
//! The bare loops are processes of their own with the clients' niceness, started by this program as
//! `clients bare …`: on a small machine what a client may take of the processor decides what is left for
//! the brokers. Rounds are short, and who goes first takes turns; the median of their ratios counts.
//! Beside the speed stands the processor time that a client's process took for a message, which a busy
//! host disturbs less.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::result_large_err, missing_docs)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lossproof::cluster::engine::Engine;
use lossproof::cluster::readiness::with_any;
use lossproof::cluster::session::Session;
use lossproof::cluster::wire::NewTopic;
use lossproof::cluster::{Cluster, readiness};
use lossproof::experiment::{ClusterSpec, Handling, OnFatal, OnQueueFull, Sending};
use lossproof::workload::child::stand_back;
use lossproof::workload::{Behaviour, ClientProcess, ClientSpec, Consuming, Producing};
use lossproof_ledger::event::{ClientId, Progress, Role};
use lossproof_ledger::journal::JournalReader;
use lossproof_ledger::record::Record;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const ROUNDS: usize = 7;
/// How often consumers of both kinds read a round's messages.
const READINGS: usize = 3;
const RUN_FOR: Duration = Duration::from_secs(3);
/// What the ratios should reach.
const GOAL: f64 = 0.9;
/// More than any producer takes, so that it is never the pace that limits.
const BEYOND_REACH: f64 = 20_000_000.0;
const PRODUCER: [(&str, &str); 3] = [("acks", "1"), ("linger.ms", "5"), ("queue.buffering.max.messages", "200000")];
/// By default librdkafka pauses fetches for a second whenever 100,000 messages wait, which would be what
/// is measured here.
const CONSUMER: [(&str, &str); 2] = [("auto.offset.reset", "earliest"), ("fetch.queue.backoff.ms", "1")];

struct Bench {
    cluster: Cluster,
    run_dir: tempfile::TempDir,
    topics: u32,
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [bare, role, bootstrap, topic, number] = args.as_slice()
        && bare == "bare"
    {
        stand_back();
        let (messages, time) = match role.as_str() {
            "producer" => bare_producer(bootstrap, topic, number.parse().unwrap()),
            _ => bare_consumer(bootstrap, topic, number.parse().unwrap()),
        };
        println!("{messages} {}", time.as_nanos());
        return;
    }
    let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:3.9.2".to_owned());
    // Topics of rounds that are over give their room back at once.
    let brokers = vec![("log.segment.delete.delay.ms".to_owned(), "1000".to_owned())];
    let spec = ClusterSpec { definition: "three-brokers".to_owned(), broker_config: brokers, disk_bytes: 8 << 30 };
    let engine = Engine::connect().await.unwrap();
    let cluster = Cluster::start(engine, &image, &spec, Session::begin().unwrap()).await.unwrap();
    let mut bench = Bench { cluster, run_dir: tempfile::tempdir().unwrap(), topics: 0 };
    for payload_bytes in [200, 1024] {
        let (mut producing, mut consuming) = (Ratios::default(), Ratios::default());
        for round in 1..=ROUNDS {
            let (produced, consumed) = bench.round(payload_bytes, round % 2 == 0).await;
            println!("{payload_bytes} B, round {round}: produce {produced}");
            producing.push(&produced);
            for pair in consumed {
                println!("{payload_bytes} B, round {round}: consume {pair}");
                consuming.push(&pair);
            }
        }
        println!("{payload_bytes} B: producer {producing}");
        println!("{payload_bytes} B: consumer {consuming}");
    }
    assert!(bench.cluster.tear_down().await.unwrap().is_empty());
}

/// How one client did.
#[derive(Clone, Copy)]
struct Pace {
    /// Messages a second, by the clock.
    by_clock: f64,
    /// Messages for a second of processor time.
    by_processor: f64,
}

impl Pace {
    /// `before` is the processor time that children had taken before this one.
    fn new(messages: u64, time: Duration, before: Duration) -> Self {
        Self { by_clock: rate(messages, time), by_processor: rate(messages, children_time() - before) }
    }
}

/// With accounting and without.
struct Pair {
    ours: Pace,
    bare: Pace,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ours, bare } = self;
        let micros = |pace: &Pace| 1e6 / pace.by_processor;
        write!(f, "{:.0} k/s, {:.2} µs each", ours.by_clock / 1e3, micros(ours))?;
        write!(f, " (bare {:.0} k/s, {:.2} µs)", bare.by_clock / 1e3, micros(bare))
    }
}

/// Ours of bare, round by round.
#[derive(Default)]
struct Ratios {
    by_clock: Vec<f64>,
    by_processor: Vec<f64>,
}

impl Ratios {
    fn push(&mut self, pair: &Pair) {
        self.by_clock.push(pair.ours.by_clock / pair.bare.by_clock);
        self.by_processor.push(pair.ours.by_processor / pair.bare.by_processor);
    }
}

impl std::fmt::Display for Ratios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [speed, thrift] = [&self.by_clock, &self.by_processor].map(|ratios| {
            let mut ratios = ratios.clone();
            ratios.sort_by(f64::total_cmp);
            (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1])
        });
        let word = if speed.1 >= GOAL { "reaches" } else { "MISSES" };
        write!(f, "{:.2} of bare (median; {:.2} to {:.2}; {word} {GOAL}), ", speed.1, speed.0, speed.2)?;
        write!(f, "{:.2} by processor time ({:.2} to {:.2})", thrift.1, thrift.0, thrift.2)
    }
}

/// Processor time of all children that have ended.
fn children_time() -> Duration {
    /// `USER_HZ`, the same on every Linux.
    const TICKS_A_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name in parentheses: the state is field 3, cutime and cstime are fields 16 and 17.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[13..15].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

impl Bench {
    /// Producers once each; then consumers, in turn, read what the first producer wrote.
    async fn round(&mut self, payload_bytes: usize, ours_first: bool) -> (Pair, Vec<Pair>) {
        let (first, second) = (self.topic().await, self.topic().await);
        let number = payload_bytes.to_string();
        let produced = if ours_first {
            let ours = self.our_producer(&first, payload_bytes).await;
            Pair { ours, bare: self.bare("producer", &second, &number).await }
        } else {
            let bare = self.bare("producer", &first, &number).await;
            Pair { ours: self.our_producer(&second, payload_bytes).await, bare }
        };
        // Only what we wrote can be decoded: a stranger's messages would cost us less.
        let topic = if ours_first { &first } else { &second };
        let total = self.records(topic).await;
        let mut consumed = Vec::new();
        for reading in 0..READINGS {
            let group = format!("{topic}-{reading}");
            consumed.push(if ours_first == reading.is_multiple_of(2) {
                let ours = self.our_consumer(topic, &group, total).await;
                Pair { ours, bare: self.bare("consumer", topic, &total.to_string()).await }
            } else {
                let bare = self.bare("consumer", topic, &total.to_string()).await;
                Pair { ours: self.our_consumer(topic, &group, total).await, bare }
            });
        }
        for topic in [&first, &second] {
            with_any(&self.cluster.harness(), async |wire| wire.delete_topic(topic).await).await.unwrap();
        }
        (produced, consumed)
    }

    /// A new topic of one partition and one replica: replication would only hide the clients' cost.
    async fn topic(&mut self) -> String {
        self.topics += 1;
        let name = format!("bench-{}", self.topics);
        let config = vec![("min.insync.replicas".to_owned(), "1".to_owned())];
        let topic = NewTopic { name: name.clone(), assignment: vec![vec![1]], config };
        with_any(&self.cluster.harness(), async |wire| wire.create_topic(&topic).await).await.unwrap();
        readiness::known(&self.cluster.harness(), &[(name.clone(), 1)], Duration::from_secs(20)).await.unwrap();
        name
    }

    /// Runs a bare loop in a process of its own.
    async fn bare(&self, role: &str, topic: &str, number: &str) -> Pace {
        let before = children_time();
        let output = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["bare", role, &self.cluster.client_bootstrap(), topic, number])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{role}: {}", output.status);
        let said = String::from_utf8(output.stdout).unwrap();
        let (messages, nanos) = said.trim().split_once(' ').unwrap();
        Pace::new(messages.parse().unwrap(), Duration::from_nanos(nanos.parse().unwrap()), before)
    }

    async fn our_producer(&self, topic: &str, payload_bytes: usize) -> Pace {
        let before = children_time();
        let behaviour = Behaviour::Producer(Producing {
            producer: 0,
            partitions: 1,
            first: Vec::new(),
            rate_per_s: BEYOND_REACH,
            payload_bytes,
            on_queue_full: OnQueueFull::Block,
            on_fatal: OnFatal::Stop,
            keys: None,
            transactions: None,
            sending: Sending::default(),
            parking: None,
            witness: None,
        });
        let client = self.spawn(topic, topic, &PRODUCER, behaviour).await;
        let mut status = client.status();
        status.wait_for(|status| status.ready).await.unwrap();
        tokio::time::sleep(RUN_FOR).await;
        client.drain(Duration::from_secs(60)).await.unwrap();
        let ended = client.ended(tokio::time::Instant::now() + Duration::from_secs(90)).await;
        assert!(ended.expected, "{}", ended.how);
        self.journalled(&format!("{topic}-producer-0-0-p0.ljr"), before)
    }

    async fn our_consumer(&self, topic: &str, group: &str, total: u64) -> Pace {
        let before = children_time();
        let behaviour = Behaviour::Consumer(Consuming {
            group: group.to_owned(),
            handling: Handling::default(),
            started_ns: 0,
            sink: None,
            results: None,
        });
        let client = self.spawn(group, topic, &CONSUMER, behaviour).await;
        let mut status = client.status();
        status.wait_for(|status| processed(&status.progress) >= total).await.unwrap();
        client.kill().await;
        self.journalled(&format!("{group}-consumer-0-0.ljr"), before)
    }

    /// From the first to the last message that a client journalled.
    fn journalled(&self, name: &str, before: Duration) -> Pace {
        let times = JournalReader::open(&self.run_dir.path().join("journal").join(name)).unwrap();
        let times = times.filter_map(|record| match record.unwrap() {
            Record::Told { at_ns, .. } | Record::Processed { at_ns, .. } => Some(at_ns),
            _ => None,
        });
        let (mut messages, mut first, mut last) = (0, u64::MAX, 0);
        for at_ns in times {
            messages += 1;
            first = first.min(at_ns);
            last = last.max(at_ns);
        }
        Pace::new(messages, Duration::from_nanos(last - first), before)
    }

    /// Records in the topic, which has seen no transaction and no other writer.
    async fn records(&self, topic: &str) -> u64 {
        let (bootstrap, topic) = (self.cluster.client_bootstrap(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let asker: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
            let (low, high) = asker.fetch_watermarks(&topic, 0, Duration::from_secs(10)).unwrap();
            u64::try_from(high - low).unwrap()
        })
        .await
        .unwrap()
    }

    async fn spawn(&self, name: &str, topic: &str, options: &[(&str, &str)], behaviour: Behaviour) -> ClientProcess {
        let role = match behaviour {
            Behaviour::Producer(_) => Role::Producer,
            Behaviour::Consumer(_) => Role::Consumer,
        };
        let spec = ClientSpec {
            id: ClientId { profile: name.to_owned(), role, member: 0, incarnation: 0 },
            run: 1,
            bootstrap: self.cluster.client_bootstrap(),
            topic: topic.to_owned(),
            options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            journal_dir: self.run_dir.path().join("journal"),
            behaviour,
        };
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let exe = Path::new(env!("CARGO_BIN_EXE_lossproof"));
        ClientProcess::spawn(&spec, exe, self.run_dir.path(), events).await.unwrap()
    }
}

fn config(bootstrap: &str, options: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in options {
        config.set(*name, *value);
    }
    config
}

/// From the first delivery report to the last.
fn bare_producer(bootstrap: &str, topic: &str, payload_bytes: usize) -> (u64, Duration) {
    let producer: BaseProducer = config(bootstrap, &PRODUCER).create().unwrap();
    let payload = vec![0x5a; payload_bytes];
    let record = || BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&payload);
    producer.send(record()).unwrap();
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    let started = Instant::now();
    let mut sent = 0u64;
    while started.elapsed() < RUN_FOR {
        match producer.send(record()) {
            Ok(()) => sent += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{error}"),
        }
        if sent.is_multiple_of(64) {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    (sent, started.elapsed())
}

/// From the first record to the last of `total`.
fn bare_consumer(bootstrap: &str, topic: &str, total: u64) -> (u64, Duration) {
    let mut config = config(bootstrap, &CONSUMER);
    let consumer: BaseConsumer =
        config.set("group.id", format!("{topic}-bare-{}", std::process::id())).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let begun = Instant::now();
    let (mut read, mut started) = (0u64, begun);
    while read < total {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(_)) => {
                if read == 0 {
                    started = Instant::now();
                }
                read += 1;
            }
            // The group forms, or a fetch is under way.
            None => assert!(begun.elapsed() < Duration::from_secs(60), "nothing to read"),
            Some(Err(error)) => panic!("{error}"),
        }
    }
    (read, started.elapsed())
}

fn rate(messages: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let messages = messages as f64;
    messages / time.as_secs_f64()
}

fn processed(progress: &Progress) -> u64 {
    match progress {
        Progress::Consumer { processed, .. } => *processed,
        Progress::Producer { .. } => 0,
    }
}
