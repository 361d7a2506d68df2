//! Each fault of a broker's process or disk on one real cluster: it proves that it bites, it heals and the
//! world is as before; and on a broker that is dead already it proves nothing.

use std::time::Duration;

use lossproof::cluster::disks::{Backing, helper_name, images_volume};
use lossproof::cluster::engine::Engine as Docker;
use lossproof::cluster::session::Session;
use lossproof::cluster::{Cluster, readiness};
use lossproof::experiment::{
    BrokerFault, ClusterSpec, DiskFault, FaultKind, FaultSpec, Leave, Place, RestartWait, Selector,
};
use lossproof::fault::exec::Commands;
use lossproof::fault::net::Network;
use lossproof::fault::{self, Followed, Target, World};
use lossproof_ledger::event::Proof;

use super::engine::Engine;
use super::experiments::experiment;
use super::program::{LONG, Program};

const DISK_BYTES: u64 = 256 << 20;
const RECOVERY_LIMIT: Duration = Duration::from_secs(90);

struct Stage {
    cluster: Cluster,
    network: Network,
    commands: Commands,
    followed: Followed,
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

    async fn settled(&self) {
        readiness::settled(&self.cluster.harness(), &[], RECOVERY_LIMIT).await.unwrap();
    }

    async fn inject(&self, kind: &FaultKind, broker: i32) -> Proof {
        fault::inject(0, &spec_of(kind.clone()), &target(broker), self.world(), &|_| ()).await.unwrap()
    }

    /// Injects and heals on one broker, held for as long as it takes to look.
    async fn hit(&self, kind: &FaultKind, broker: i32) -> (Proof, Proof) {
        let undo = fault::undo(0, kind, &target(broker), self.world()).await.unwrap();
        let injected = self.inject(kind, broker).await;
        (injected, undo.heal(self.world()).await.unwrap())
    }
}

fn target(broker: i32) -> Target {
    Target { brokers: vec![broker], same_for_all: true, ..Target::default() }
}

fn faults(broker: i32) -> Vec<(FaultKind, &'static str, &'static str)> {
    let target = Selector::Broker(broker);
    let crash_loop = FaultKind::Broker(BrokerFault::CrashLoop {
        target: target.clone(),
        times: 2,
        up: Duration::from_secs(1),
        down: Duration::from_millis(100),
    });
    vec![
        (
            FaultKind::Broker(BrokerFault::Kill { target: target.clone() }),
            "gone by SIGKILL (exit code 137)",
            "was not running when it should have been killed",
        ),
        (
            FaultKind::Broker(BrokerFault::Pause { target: target.clone() }),
            "frozen, its port accepts and nothing answers",
            "did not answer when it should have been frozen",
        ),
        (
            FaultKind::Broker(BrokerFault::Restart { target: target.clone(), wait: RestartWait::InSync }),
            "stopped in order (exit code 143) and started again",
            "was not running when it should have been restarted",
        ),
        (
            crash_loop,
            "2 processes gone one after the other",
            "ran 0 times only when it should have been killed 2 times",
        ),
        (
            FaultKind::Disk(DiskFault::Fill { target: target.clone(), leave: Leave::Nothing }),
            "it reported the storage error and halted",
            "was not running when its disk should have filled",
        ),
        (
            FaultKind::Disk(DiskFault::Fill { target: target.clone(), leave: Leave::PerCent(5) }),
            "are left free",
            "was not running when its disk should have filled",
        ),
        (
            FaultKind::Disk(DiskFault::Slow { target: target.clone(), bytes_per_second: 1 << 20 }),
            "a flushed write that took",
            "was not running when its disk should have slowed",
        ),
        (
            FaultKind::Disk(DiskFault::Wipe { target: target.clone() }),
            "segments on its disk removed",
            "was not running when its disk should have been wiped",
        ),
        (
            FaultKind::Disk(DiskFault::PowerLoss { target: target.clone() }),
            "the flushed one is left",
            "was not running when its power should have failed",
        ),
    ]
}

#[tokio::test]
async fn every_fault_of_a_broker_bites_and_heals_and_proves_nothing_of_the_dead() {
    let engine = Engine::exclusive();
    let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:3.9.2".to_owned());
    let spec =
        ClusterSpec { definition: "three-brokers".to_owned(), broker_config: Vec::new(), disk_bytes: DISK_BYTES };
    let docker = Docker::connect().await.unwrap();
    let cluster = Cluster::start(docker, &image, &spec, Session::begin().unwrap()).await.unwrap();
    let session = cluster.session().to_owned();
    let logs = tempfile::tempdir().unwrap();
    let commands = Commands::new(env!("CARGO_BIN_EXE_lossproof").into(), logs.path(), &[], &[]).unwrap();
    let stage = Stage { cluster, network: Network::default(), commands, followed: Followed::default() };

    for (broker, (kind, bites, _)) in [1, 2, 3].into_iter().cycle().zip(faults(1)) {
        let name = kind.name();
        fault::prepare(stage.world(), &[spec_of(kind.clone())]).await.unwrap();
        let (injected, healed) = stage.hit(&kind, broker).await;
        assert!(injected.holds && injected.summary.contains(bites), "{name}: {}", injected.summary);
        assert!(healed.holds, "{name}: {}", healed.summary);
        stage.settled().await;
        // As before, files of the faults' own included.
        let container = &stage.cluster.broker(broker).unwrap().container;
        let files = engine.docker(&["exec", container, "ls", "/data", "/data/logs"]);
        // The probe topic's folders go a second after the topic.
        let left = files.lines().find(|file| file.starts_with("lossproof-") && !file.starts_with("lossproof-probe"));
        assert!(files.contains("meta.properties") && left.is_none(), "{name}: {files}");
    }
    host_is_spared(&engine, &stage);
    let too_full = FaultKind::Disk(DiskFault::Fill { target: Selector::Broker(1), leave: Leave::PerCent(99) });
    let injected = stage.inject(&too_full, 1).await;
    assert!(!injected.holds && injected.summary.contains("below the mark"), "{}", injected.summary);
    stage.cluster.is_as_new().await.unwrap();

    let other = OtherImage::of(&engine, &image);
    upgrades(&engine, &stage, &image).await;

    // Dead before any of them, and left so.
    let container = &stage.cluster.broker(2).unwrap().container;
    stage.cluster.engine.kill(container, "SIGKILL").await.unwrap();
    stage.cluster.engine.ended(container, Duration::from_secs(10)).await.unwrap();
    // A restart starts it, so that it comes last.
    let (starts, leaves): (Vec<_>, Vec<_>) = faults(2).into_iter().partition(|(kind, ..)| kind.name() == "restart");
    for (kind, _, dead) in leaves {
        let injected = stage.inject(&kind, 2).await;
        assert!(!injected.holds && injected.summary.contains(dead), "{}: {}", kind.name(), injected.summary);
    }
    let injected = stage.inject(&upgrade_to(&image), 1).await;
    let dead = "broker 2 was not running when it should have been upgraded";
    assert!(!injected.holds && injected.summary == dead, "{}", injected.summary);
    for (kind, _, dead) in starts {
        let injected = stage.inject(&kind, 2).await;
        assert!(!injected.holds && injected.summary.contains(dead), "{}: {}", kind.name(), injected.summary);
    }
    assert!(stage.cluster.tear_down().await.unwrap().is_empty());
    assert_eq!(engine.left_of(&session), Vec::<String>::new());
    drop(other);
}

#[test]
fn without_the_image_of_an_upgrade_nothing_starts() {
    let engine = Engine::exclusive();
    let fault = "{ at: 0s, upgrade: { to: \"lossproof/no-such-image:1\" } }";
    let mut program = Program::run(&engine, &[experiment("no-image", &[fault], "")], &[]);
    assert_eq!(program.end_within(LONG).code(), Some(4), "{}", program.stdout());
    assert!(program.sessions().is_empty());
}

/// Full disks have taken from the host no more than their image files are long, and nothing beside these.
fn host_is_spared(engine: &Engine, stage: &Stage) {
    let session = stage.cluster.session();
    if stage.cluster.backing == Backing::Loop {
        let folder = format!("/{}", images_volume(session));
        let sizes = engine.docker(&["exec", &helper_name(session), "sh", "-c", &format!("stat -c '%s %b' {folder}/*")]);
        assert_eq!(sizes.lines().count(), 3, "{sizes}");
        for file in sizes.lines() {
            let (length, blocks) = file.split_once(' ').unwrap();
            assert_eq!(length.parse::<u64>().unwrap(), DISK_BYTES);
            assert!(blocks.parse::<u64>().unwrap() * 512 <= DISK_BYTES, "{sizes}");
        }
    }
    for broker in &stage.cluster.brokers {
        let layer = engine.docker(&["inspect", "--size", "--format", "{{ .SizeRw }}", &broker.container]);
        assert!(layer.parse::<u64>().unwrap() < 1 << 20, "broker {} has written {layer} bytes elsewhere", broker.id);
    }
}

/// An image that differs from the brokers' in its id alone.
struct OtherImage<'a>(&'a Engine);

impl<'a> OtherImage<'a> {
    const NAME: &'static str = "lossproof/test-upgrade:1";

    fn of(engine: &'a Engine, image: &str) -> Self {
        let container = engine.docker(&["create", image]);
        engine.docker(&["commit", "--change", "LABEL lossproof.test=1", &container, Self::NAME]);
        engine.docker(&["rm", "--volumes", &container]);
        Self(engine)
    }
}

impl Drop for OtherImage<'_> {
    fn drop(&mut self) {
        self.0.try_docker(&["rmi", "--force", Self::NAME]).ok();
    }
}

fn upgrade_to(image: &str) -> FaultKind {
    FaultKind::Broker(BrokerFault::Upgrade { to: image.to_owned(), finalize: true })
}

/// All brokers from another image and back by halves.
async fn upgrades(engine: &Engine, stage: &Stage, image: &str) {
    let cluster = &stage.cluster;
    let same = stage.inject(&upgrade_to(image), 1).await;
    assert!(!same.holds && same.summary.contains("broker 3 runs from"), "{}", same.summary);
    cluster.is_as_new().await.unwrap();

    let (upgraded, healed) = stage.hit(&upgrade_to(OtherImage::NAME), 1).await;
    assert!(upgraded.holds, "{}", upgraded.summary);
    let levels = &upgraded.evidence["features"]["levels"];
    assert!(levels["broker_1"]["metadata.version"].as_u64() > Some(0), "{levels}");
    assert!((2..=3).all(|id| levels[format!("broker_{id}")] == levels["broker_1"]), "{levels}");
    assert!(healed.holds, "{}", healed.summary);
    assert!(cluster.is_as_new().await.unwrap_err().to_string().contains("was upgraded"));
    for broker in &cluster.brokers {
        let inspect = |format| engine.docker(&["inspect", "--format", format, &broker.container]);
        assert_eq!(inspect("{{ .Config.Image }}"), OtherImage::NAME);
        assert_eq!(
            inspect("{{ index .Config.Labels \"com.docker.compose.service\" }}"),
            format!("kafka-{}", broker.id)
        );
        assert_eq!(inspect("{{ index .Config.Labels \"lossproof.test\" }}"), "1");
        // Of both containers.
        let log = cluster.log_since(broker, 0).await.unwrap();
        assert!(log.matches("Kafka Server started").count() >= 2, "{log}");
    }

    // Lossproof has died between two containers of the same broker.
    let broker = &cluster.brokers[2];
    cluster.engine.stop(&broker.container, RECOVERY_LIMIT).await.unwrap();
    let id = engine.docker(&["inspect", "--format", "{{ .Id }}", &broker.container]);
    engine.docker(&["rename", &broker.container, &format!("{}-{}", broker.container, &id[..12])]);
    let undo = fault::undo(0, &upgrade_to(image), &target(3), stage.world()).await.unwrap();
    let healed = undo.heal(stage.world()).await.unwrap();
    assert!(healed.holds, "{}", healed.summary);
    stage.settled().await;
}

pub fn spec_of(kind: FaultKind) -> FaultSpec {
    let place = Place { file: String::new(), line: 1, column: 1 };
    FaultSpec {
        at: Duration::ZERO,
        after: None,
        repeat: None,
        planned: Duration::ZERO,
        held: None,
        kind,
        place,
        entry: 0,
    }
}
