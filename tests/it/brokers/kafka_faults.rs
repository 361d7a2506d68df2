//! Each fault by Kafka's own administration on one real cluster: it proves that it bites, the world is as before when
//! it is healed, and where there is nothing to change it proves nothing. And the selectors that brokers are asked for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lossproof::cluster::Cluster;
use lossproof::cluster::engine::Engine as Docker;
use lossproof::cluster::readiness::{known, settled, with_any};
use lossproof::cluster::session::Session;
use lossproof::cluster::wire::{ConfigEntry, NewTopic, PartitionView, Reassignment, Resource};
use lossproof::experiment::{
    BrokerFault, ClusterSpec, Coordinator, Denied, Destination, Election, FaultKind, KafkaFault, OfPartition, Selector,
};
use lossproof::fault::exec::Commands;
use lossproof::fault::net::Network;
use lossproof::fault::{self, Draw, Followed, Subjects, Undo, World};
use lossproof_ledger::event::Proof;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::engine::Engine;

const LIMIT: Duration = Duration::from_secs(60);

struct Stage {
    cluster: Cluster,
    network: Network,
    commands: Commands,
    followed: Followed,
    topics: Vec<String>,
}

impl Stage {
    fn world(&self) -> World<'_> {
        World {
            cluster: &self.cluster,
            network: &self.network,
            commands: &self.commands,
            followed: &self.followed,
            gone: &[],
            clients: None,
        }
    }

    async fn resolved(&self, selector: &Selector) -> fault::Target {
        let subjects = Subjects { topics: &self.topics, groups: &[], transactional_ids: &[] };
        let kind = FaultKind::Broker(BrokerFault::Pause { target: selector.clone() });
        fault::target(self.world(), &kind, subjects, Draw { seed: 0, fault: 0 }).await.unwrap()
    }

    async fn inject(&self, kind: &KafkaFault) -> (Proof, Undo) {
        let kind = FaultKind::Kafka(kind.clone());
        let target = self.resolved(kind.target().unwrap()).await;
        let undo = fault::undo(0, &kind, &target, self.world()).await.unwrap();
        let spec = super::faults::spec_of(kind);
        (fault::inject(0, &spec, &target, self.world(), &|_| ()).await.unwrap(), undo)
    }

    async fn bites(&self, kind: &KafkaFault, says: &str) -> Undo {
        let (proof, undo) = self.inject(kind).await;
        assert!(proof.holds && proof.summary.contains(says), "{kind}: {}", proof.summary);
        undo
    }

    async fn proves_nothing(&self, kind: &KafkaFault, says: &str) {
        let (proof, _) = self.inject(kind).await;
        assert!(!proof.holds && proof.summary.contains(says), "{kind}: {}", proof.summary);
    }

    async fn heal(&self, undo: &Undo) {
        let proof = undo.heal(self.world()).await.unwrap();
        assert!(proof.holds, "{}: {}", undo.describe(), proof.summary);
    }

    async fn partition(&self, topic: &str) -> PartitionView {
        let asked = [topic.to_owned()];
        let view = with_any(&self.cluster.harness(), async |wire| wire.view(Some(&asked)).await).await.unwrap();
        view.partition(topic, 0).unwrap().clone()
    }

    async fn option(&self, resource: Resource, name: &str) -> ConfigEntry {
        let names = [name.to_owned()];
        let mut asked = self.cluster.harness();
        if let Resource::Broker(of) = resource {
            asked.retain(|(id, _)| *id == of);
        }
        with_any(&asked, async |wire| wire.config(&resource, Some(&names)).await).await.unwrap().remove(0)
    }

    async fn create(&self, topic: &str, replicas: &[i32], config: &[(&str, &str)]) {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let topic = NewTopic { name: topic.to_owned(), assignment: vec![replicas.to_vec(); 2], config };
        with_any(&self.cluster.harness(), async |wire| wire.create_topic(&topic).await).await.unwrap();
        known(&self.cluster.harness(), &[(topic.name, topic.assignment.len())], LIMIT).await.unwrap();
    }

    fn produce(&self, topic: &str, records: usize, acks: &str) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.harness_bootstrap())
            .set("acks", acks)
            .create()
            .unwrap();
        for _ in 0..records {
            producer.send(BaseRecord::<(), str>::to(topic).partition(0).payload("payload")).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds().await {
            assert!(Instant::now() < deadline, "{what} did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn kill(&self, broker: i32) {
        let container = &self.cluster.broker(broker).unwrap().container;
        self.cluster.engine.kill(container, "SIGKILL").await.unwrap();
    }

    async fn start(&self, broker: i32) {
        self.cluster.engine.start(&self.cluster.broker(broker).unwrap().container).await.unwrap();
    }
}

#[tokio::test]
async fn every_fault_of_administration_bites_and_heals_and_proves_nothing_where_nothing_changes() {
    let engine = Engine::exclusive();
    let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:3.9.2".to_owned());
    let options = [
        // So that the dead are noticed sooner.
        ("broker.session.timeout.ms", "6000"),
        ("broker.heartbeat.interval.ms", "1000"),
        // So that there are rules to keep to.
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let broker_config = options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let spec = ClusterSpec { definition: "three-brokers".to_owned(), broker_config, disk_bytes: 256 << 20 };
    let docker = Docker::connect().await.unwrap();
    let cluster = Cluster::start(docker, &image, &spec, Session::begin().unwrap()).await.unwrap();
    let session = cluster.session().to_owned();
    let topics = ["inherits", "has-its-own"].map(str::to_owned).to_vec();
    let logs = tempfile::tempdir().unwrap();
    let commands = Commands::new(env!("CARGO_BIN_EXE_lossproof").into(), logs.path(), &[], &[]).unwrap();
    let (network, followed) = (Network::default(), Followed::default());
    let mut stage = Stage { cluster, network, commands, followed, topics };
    checked(&stage).await;
    stage.create("inherits", &[1, 2, 3], &[]).await;
    stage.create("has-its-own", &[1, 2, 3], &[("min.insync.replicas", "1")]).await;

    topic_config(&stage).await;
    broker_config_of_one(&stage).await;
    leadership(&stage).await;
    records(&stage).await;
    rules(&stage).await;
    coordinators_and_features(&stage).await;
    unclean(&mut stage).await;

    assert!(stage.cluster.tear_down().await.unwrap().is_empty());
    assert_eq!(engine.left_of(&session), Vec::<String>::new());
}

/// `lossproof check` finds nothing on a cluster as it should be, and exactly what is planted on it.
async fn checked(stage: &Stage) {
    let check = |bootstrap: &str| crate::check::check("off", &["--bootstrap", bootstrap, "--output", "json"]);
    let bootstrap = stage.cluster.client_bootstrap();
    let output = check(&bootstrap);
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");

    type Planted = (&'static str, &'static [i32], &'static [(&'static str, &'static str)]);
    let planted: [Planted; 4] = [
        ("one-replica", &[1], &[]),
        ("all-in-sync", &[1, 2, 3], &[("min.insync.replicas", "3")]),
        ("one-in-sync", &[1, 2, 3], &[("min.insync.replicas", "1")]),
        ("unclean", &[1, 2, 3], &[("unclean.leader.election.enable", "true")]),
    ];
    for (topic, replicas, config) in planted {
        stage.create(topic, replicas, config).await;
    }
    let output = check(bootstrap.split(',').next().unwrap());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let found: Vec<(&str, &serde_json::Value)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["rule"].as_str().unwrap(), &finding["topics"]))
        .collect();
    let expected = [
        ("replication-factor-one", &serde_json::json!(["one-replica"])),
        ("min-insync-all", &serde_json::json!(["all-in-sync"])),
        ("min-insync-one", &serde_json::json!(["one-in-sync"])),
        ("unclean-election", &serde_json::json!(["unclean"])),
        ("single-bootstrap-broker", &serde_json::json!([])),
    ];
    assert_eq!(found, expected, "{report:#}");
    for (topic, ..) in planted {
        with_any(&stage.cluster.harness(), async |wire| wire.delete_topic(topic).await).await.unwrap();
    }
}

fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn topic_config(stage: &Stage) {
    let min_isr = "min.insync.replicas";
    let of = async |topic: &str| stage.option(Resource::Topic(topic.to_owned()), min_isr).await;
    let fault = |value: &str| KafkaFault::TopicConfig { topic: None, config: options(&[(min_isr, value)]) };
    let undo = stage.bites(&fault("3"), "topic inherits: min.insync.replicas is 3, before 2, as brokers 1, 2, 3").await;
    assert_eq!(of("has-its-own").await.value.as_deref(), Some("3"));
    stage.proves_nothing(&fault("3"), "topic inherits: min.insync.replicas was 3 already").await;
    stage.heal(&undo).await;
    stage.heal(&undo).await;
    let (inherits, own) = (of("inherits").await, of("has-its-own").await);
    assert!(!inherits.is_own && inherits.value.as_deref() == Some("2"), "{inherits:?}");
    assert!(own.is_own && own.value.as_deref() == Some("1"), "{own:?}");
    stage.proves_nothing(&fault("many"), "Invalid value many").await;
    let internal = KafkaFault::TopicConfig { topic: Some("inherits".to_owned()), config: options(&[(min_isr, "3")]) };
    let undo = stage.bites(&internal, "topic inherits").await;
    assert_eq!(of("has-its-own").await.value.as_deref(), Some("1"));
    stage.heal(&undo).await;
}

async fn broker_config_of_one(stage: &Stage) {
    let fault = |name: &str, value: &str| KafkaFault::BrokerConfig {
        target: Selector::Broker(2),
        config: options(&[(name, value)]),
    };
    let of = async |id| stage.option(Resource::Broker(id), "num.io.threads").await;
    let before = of(2).await;
    let undo = stage.bites(&fault("num.io.threads", "4"), "num.io.threads is 4, before 8, as broker 2 told").await;
    assert_eq!((of(2).await.value.as_deref(), of(1).await.value), (Some("4"), before.value.clone()));
    let changed = stage.cluster.has_no_changed_option().await.unwrap_err();
    assert_eq!(format!("{changed:#}"), "num.io.threads is set on broker 2");
    stage.heal(&undo).await;
    assert_eq!(of(2).await, before);
    stage.proves_nothing(&fault("broker.session.timeout.ms", "7000"), "Cannot update these configs dynamically").await;
}

async fn leadership(stage: &Stage) {
    let partition = OfPartition::new(0);
    let elect = |election| KafkaFault::ElectLeader { partition: partition.clone(), election };
    let to = |id| KafkaFault::MoveLeader { partition: partition.clone(), to: Destination::Broker(id) };
    stage.proves_nothing(&elect(Election::Preferred), "broker 1 led before").await;
    stage.proves_nothing(&elect(Election::Unclean), "broker 1 led before").await;

    let undo = stage.bites(&to(2), "inherits/0: broker 2 leads in epoch 1, as brokers 1, 2, 3 told").await;
    assert_eq!(stage.partition("has-its-own").await.leader, 2);
    stage.proves_nothing(&to(2), "broker 2 leads it already").await;
    stage.proves_nothing(&to(4), "broker 4 holds no replica of it").await;
    stage.heal(&undo).await;
    let healed = stage.partition("inherits").await;
    assert_eq!((healed.leader, healed.replicas.as_slice()), (1, [1, 2, 3].as_slice()));
    let follower = KafkaFault::MoveLeader { partition: partition.clone(), to: Destination::Follower };
    let undo = stage.bites(&follower, "broker 2 leads").await;
    stage.heal(&undo).await;

    // Another order of replicas alone moves nothing, until the preferred leader is elected.
    let order = |replicas: [i32; 3]| -> Vec<Reassignment> {
        let of = |topic: &String| Reassignment { topic: topic.clone(), partition: 0, replicas: replicas.to_vec() };
        stage.topics.iter().map(of).collect()
    };
    with_any(&stage.cluster.harness(), async |wire| wire.reassign(&order([3, 1, 2])).await).await.unwrap();
    assert_eq!(stage.partition("inherits").await.leader, 1);
    let undo = stage.bites(&elect(Election::Preferred), "broker 3, the preferred leader, was elected").await;
    stage.heal(&undo).await;
    assert_eq!(stage.partition("inherits").await.leader, 3);
}

async fn records(stage: &Stage) {
    let delete = |oldest_percent| KafkaFault::DeleteRecords { partition: OfPartition::new(0), oldest_percent };
    stage.proves_nothing(&delete(100), "nothing to delete: the log begins at 0 and ends at 0").await;
    for topic in &stage.topics {
        stage.produce(topic, 100, "all");
        stage.followed.advance(topic, 0, 100);
    }
    let undo = stage.bites(&delete(30), "inherits/0: 30 offsets from 0 deleted of 100 up to the high watermark").await;
    stage.heal(&undo).await;
    let undo = stage.bites(&delete(100), "70 offsets from 30 deleted of 70").await;
    stage.heal(&undo).await;
    stage.proves_nothing(&delete(100), "nothing to delete: the log begins at 100 and ends at 100").await;
}

async fn rules(stage: &Stage) {
    let fault = KafkaFault::Acl { deny: Denied::Write };
    let send = |topic: &str| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", stage.cluster.harness_bootstrap()).set("message.timeout.ms", "20000");
        let producer: ThreadedProducer<Refusals> = config.create_with_context(Refusals::default()).unwrap();
        producer.send(BaseRecord::<(), str>::to(topic).partition(0).payload("payload")).unwrap();
        producer.flush(LIMIT).unwrap();
        producer.context().0.lock().unwrap().clone()
    };
    assert_eq!(send("inherits"), []);
    let says = "writing to topic inherits was allowed, and is refused now by brokers 1, 2, 3";
    let undo = stage.bites(&fault, says).await;
    assert_eq!(send("has-its-own"), [RDKafkaErrorCode::TopicAuthorizationFailed]);
    let read = stage.option(Resource::Topic("inherits".to_owned()), "min.insync.replicas").await;
    assert_eq!(read.value.as_deref(), Some("2"), "all but writing is allowed");
    stage.proves_nothing(&fault, "writing to topic inherits was not allowed by all brokers before").await;
    stage.heal(&undo).await;
    stage.heal(&undo).await;
    assert_eq!(send("has-its-own"), []);
}

/// The errors of messages that were not delivered.
#[derive(Default)]
struct Refusals(Mutex<Vec<RDKafkaErrorCode>>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let refusal = report.as_ref().err().and_then(|(error, _)| error.rdkafka_error_code());
        self.0.lock().unwrap().extend(refusal);
    }
}

async fn coordinators_and_features(stage: &Stage) {
    let internal = |partition| Selector::LeaderOfTopic { topic: "__consumer_offsets".to_owned(), partition };
    let none = stage.resolved(&internal(0)).await;
    assert!(none.brokers.is_empty() && none.basis.contains("there is no partition 0"), "{}", none.basis);
    // Asked for a coordinator, brokers create the topic of coordinators.
    let group = Selector::CoordinatorOf(Coordinator::GroupId("lossproof".to_owned()));
    stage.until("a coordinator", async || stage.resolved(&group).await.brokers.len() == 1).await;
    settled(&stage.cluster.harness(), &[], LIMIT).await.unwrap();
    let found = stage.resolved(&group).await;
    // "lossproof".hashCode() is 629866497, and there are six partitions.
    assert_eq!(found.brokers, stage.resolved(&internal(629_866_497 % 6)).await.brokers, "{}", found.basis);

    let features = with_any(&stage.cluster.harness(), async |wire| wire.features().await).await.unwrap();
    let metadata = features.features.iter().find(|feature| feature.name == "metadata.version").unwrap();
    assert!(features.epoch >= 0 && metadata.finalized >= metadata.supported_min, "{features:?}");
    let beyond = [("metadata.version".to_owned(), metadata.supported_max + 1)];
    let refused = with_any(&stage.cluster.harness(), async |wire| wire.raise_features(&beyond).await).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("metadata.version")));
}

/// A partition whose only replica in sync is dead, and another one that lives.
async fn unclean(stage: &mut Stage) {
    let controller = stage.resolved(&Selector::Controller).await.brokers[0];
    let others: Vec<i32> = stage.cluster.ids().into_iter().filter(|&id| id != controller).collect();
    let (ahead, behind) = (others[0], others[1]);
    let config = [("min.insync.replicas", "1")];
    stage.create("offline", &[ahead, behind], &config).await;
    stage.create("led", &[controller], &config).await;
    stage.topics = vec!["offline".to_owned()];
    stage.kill(behind).await;
    stage.until("a shrunk ISR", async || stage.partition("offline").await.isr == [ahead]).await;
    stage.produce("offline", 10, "1");
    stage.kill(ahead).await;
    stage.start(behind).await;
    let alive = || stage.cluster.harness().into_iter().filter(|(id, _)| *id == behind).collect::<Vec<_>>();
    stage
        .until("an offline partition", async || {
            let view = with_any(&alive(), async |wire| wire.view(None).await).await.unwrap();
            view.brokers == [behind.min(controller), behind.max(controller)]
                && view.partition("offline", 0).is_some_and(|state| state.leader == -1)
        })
        .await;
    let elect = |election| KafkaFault::ElectLeader { partition: OfPartition::new(0), election };
    let follower = KafkaFault::MoveLeader { partition: OfPartition::new(0), to: Destination::Follower };
    stage.proves_nothing(&follower, "nobody leads it, so there is nothing to move").await;
    stage.proves_nothing(&elect(Election::Preferred), "the election was refused").await;
    let delete = KafkaFault::DeleteRecords { partition: OfPartition::new(0), oldest_percent: 100 };
    stage.proves_nothing(&delete, "nobody leads it").await;
    stage.topics = vec!["led".to_owned()];
    stage.proves_nothing(&elect(Election::Unclean), "led/0: the election was refused").await;
    stage.topics = vec!["offline".to_owned(), "led".to_owned()];
    let says = format!("broker {behind}, not in sync ([{ahead}] last were), was elected");
    let undo = stage.bites(&elect(Election::Unclean), &says).await;
    stage.heal(&undo).await;
    stage.start(ahead).await;
    settled(&stage.cluster.harness(), &[], LIMIT).await.unwrap();
}
