//! What accounting costs per message: the producer and the consumer as experiments run them, against
//! bare loops with the same librdkafka options, in turn on one real cluster. Ratios only: the machine's
//! speed is not lossproof's. Needs a Docker engine (`make setup`).
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use lossproof::cluster::engine::Engine;
use lossproof::cluster::readiness::with_any;
use lossproof::cluster::session::Session;
use lossproof::cluster::wire::NewTopic;
use lossproof::cluster::{Cluster, readiness};
use lossproof::experiment::{ClusterSpec, Commit, OnFatal, OnQueueFull};
use lossproof::workload::{Behaviour, ClientProcess, ClientSpec, Consuming, Producing};
use lossproof_ledger::event::{ClientId, Progress, Role};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const ROUNDS: usize = 3;
const RUN_FOR: Duration = Duration::from_secs(5);
/// More than any producer takes, so that it is never the pace that limits.
const BEYOND_REACH: f64 = 20_000_000.0;
const OPTIONS: [(&str, &str); 3] = [("acks", "1"), ("linger.ms", "5"), ("queue.buffering.max.messages", "200000")];

struct Bench {
    cluster: Cluster,
    run_dir: tempfile::TempDir,
    topics: u32,
}

#[tokio::main]
async fn main() {
    let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:3.9.2".to_owned());
    let spec = ClusterSpec { definition: "three-brokers".to_owned(), broker_config: Vec::new(), disk_bytes: 8 << 30 };
    let engine = Engine::connect().await.unwrap();
    let cluster = Cluster::start(engine, &image, &spec, Session::begin().unwrap()).await.unwrap();
    let mut bench = Bench { cluster, run_dir: tempfile::tempdir().unwrap(), topics: 0 };
    for payload_bytes in [200, 1024] {
        let (mut producing, mut consuming) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let topic = bench.topic().await;
            let bare = bench.bare_producer(&topic, payload_bytes).await;
            let topic = bench.topic().await;
            let ours = bench.our_producer(&topic, payload_bytes).await;
            let (bare_read, ours_read) = (bench.bare_consumer(&topic).await, bench.our_consumer(&topic).await);
            println!(
                "{payload_bytes} B, round {round}: produce {:.0} k/s against {:.0} k/s bare; consume {:.0} k/s against {:.0} k/s bare",
                ours / 1e3,
                bare / 1e3,
                ours_read / 1e3,
                bare_read / 1e3
            );
            producing.push(ours / bare);
            consuming.push(ours_read / bare_read);
        }
        println!("{payload_bytes} B: producer {}, consumer {}", spread(&mut producing), spread(&mut consuming));
    }
    assert!(bench.cluster.tear_down().await.unwrap().is_empty());
}

fn spread(ratios: &mut [f64]) -> String {
    ratios.sort_by(f64::total_cmp);
    format!("min {:.2} median {:.2} max {:.2}", ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1])
}

impl Bench {
    /// A new topic of one partition and one replica: replication would only hide the clients' cost.
    async fn topic(&mut self) -> String {
        self.topics += 1;
        let name = format!("bench-{}", self.topics);
        let config = vec![("min.insync.replicas".to_owned(), "1".to_owned())];
        let topic = NewTopic { name: name.clone(), assignment: vec![vec![1]], config };
        with_any(&self.cluster.harness(), async |wire| wire.create_topic(&topic).await).await.unwrap();
        readiness::settled(&self.cluster.harness(), Duration::from_secs(20)).await.unwrap();
        name
    }

    async fn bare_producer(&self, topic: &str, payload_bytes: usize) -> f64 {
        let (bootstrap, topic) = (self.cluster.client_bootstrap(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", bootstrap);
            for (name, value) in OPTIONS {
                config.set(name, value);
            }
            let producer: BaseProducer = config.create().unwrap();
            let payload = vec![0x5a; payload_bytes];
            let started = Instant::now();
            let mut sent = 0u64;
            while started.elapsed() < RUN_FOR {
                match producer.send(BaseRecord::<(), [u8]>::to(&topic).partition(0).payload(&payload)) {
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
                producer.poll(Duration::from_millis(5));
            }
            rate(sent, started)
        })
        .await
        .unwrap()
    }

    async fn our_producer(&self, topic: &str, payload_bytes: usize) -> f64 {
        let behaviour = Behaviour::Producer(Producing {
            producer: 0,
            partitions: 1,
            rate_per_s: BEYOND_REACH,
            payload_bytes,
            on_queue_full: OnQueueFull::Block,
            on_fatal: OnFatal::Stop,
            keys: None,
            transactions: None,
            witness: None,
        });
        let options = OPTIONS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let client = self.spawn(topic, Role::Producer, options, behaviour).await;
        let mut status = client.status();
        status.wait_for(|status| status.ready).await.unwrap();
        let begun = acked(&status.borrow().progress);
        let started = Instant::now();
        tokio::time::sleep(RUN_FOR).await;
        client.drain(Duration::from_secs(60)).await.unwrap();
        let ended = client.ended(tokio::time::Instant::now() + Duration::from_secs(90)).await;
        assert!(ended.expected, "{}", ended.how);
        rate(acked(&client.status().borrow().progress) - begun, started)
    }

    async fn bare_consumer(&self, topic: &str) -> f64 {
        let (bootstrap, topic) = (self.cluster.client_bootstrap(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .set("group.id", format!("{topic}-bare"))
                .set("auto.offset.reset", "earliest")
                .set("enable.partition.eof", "true")
                .create()
                .unwrap();
            consumer.subscribe(&[&topic]).unwrap();
            let begun = Instant::now();
            let (mut read, mut started) = (0u64, begun);
            loop {
                match consumer.poll(Duration::from_secs(10)) {
                    Some(Ok(_)) => {
                        if read == 0 {
                            started = Instant::now();
                        }
                        read += 1;
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => return rate(read, started),
                    // The group forms, or a fetch is under way.
                    None => assert!(begun.elapsed() < Duration::from_secs(60), "nothing to read"),
                    Some(Err(error)) => panic!("{error}"),
                }
            }
        })
        .await
        .unwrap()
    }

    async fn our_consumer(&self, topic: &str) -> f64 {
        let behaviour = Behaviour::Consumer(Consuming { group: format!("{topic}-ours"), commit: Commit::Auto });
        let options = vec![("auto.offset.reset".to_owned(), "earliest".to_owned())];
        let total = self.records(topic).await;
        let client = self.spawn(topic, Role::Consumer, options, behaviour).await;
        let mut status = client.status();
        let first = status.wait_for(|status| processed(&status.progress) > 0).await.unwrap().clone();
        let started = Instant::now();
        status.wait_for(|status| processed(&status.progress) >= total).await.unwrap();
        let rate = rate(total - processed(&first.progress), started);
        client.kill().await;
        rate
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

    async fn spawn(
        &self,
        topic: &str,
        role: Role,
        options: Vec<(String, String)>,
        behaviour: Behaviour,
    ) -> ClientProcess {
        let spec = ClientSpec {
            id: ClientId { profile: topic.to_owned(), role, member: 0, incarnation: 0 },
            run: 1,
            bootstrap: self.cluster.client_bootstrap(),
            topic: topic.to_owned(),
            options,
            journal_dir: self.run_dir.path().join("journal"),
            behaviour,
        };
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let exe = Path::new(env!("CARGO_BIN_EXE_lossproof"));
        ClientProcess::spawn(&spec, exe, self.run_dir.path(), events).await.unwrap()
    }
}

fn rate(messages: u64, since: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let messages = messages as f64;
    messages / since.elapsed().as_secs_f64()
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
