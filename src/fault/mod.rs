//! Faults: what breaks the cluster, one file a kind, in groups by what they act on.
//!
//! The contract (each kind keeps it): the way back is known, and on disk, before anything is broken;
//! `inject` returns what the world showed, so that a fault that did not bite is never taken for one
//! that did; `Undo::heal` returns a proof too, and works from any half-way state.

mod broker;
pub mod client;
mod disk;
pub mod exec;
mod followed;
pub mod journal;
mod kafka;
pub mod needs;
pub mod net;
pub mod network;
pub mod pages;
mod random;
mod selector;
mod undo;

use anyhow::{Result, bail};
use lossproof_ledger::event::Proof;
use serde_json::{Map, Value};

use self::client::ClientControl;
use self::exec::Commands;
use self::net::Network;
use self::network::Ground;
use crate::cluster::Cluster;
use crate::exit::EnvironmentProblem;
use crate::experiment::{BrokerFault, DiskFault, FaultKind, FaultSpec, Held, NetworkFault};

pub use followed::Followed;
pub use kafka::{Led, Options};
pub use random::Draw;
pub use selector::{Subjects, Target};
pub use undo::Undo;

/// Tells of a step of a fault that takes several.
pub type Notes<'a> = &'a (dyn Fn(String) + Send + Sync);

/// What faults work on.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The network effects of this run.
    pub network: &'a Network,
    /// The experiment's own commands.
    pub commands: &'a Commands,
    /// Brokers that never come back.
    pub gone: &'a [i32],
    /// The clients of this run, while there are any.
    pub clients: Option<&'a dyn ClientControl>,
    /// How far the logs were read that the harness follows.
    pub followed: &'a Followed,
}

/// Images that the faults need besides the one that the brokers are started from.
pub fn images(faults: &[FaultSpec]) -> impl Iterator<Item = &str> {
    faults.iter().filter_map(|fault| match &fault.kind {
        FaultKind::Broker(BrokerFault::Upgrade { to, .. }) => Some(to.as_str()),
        _ => None,
    })
}

/// What must be before the clients start, for faults that need it.
///
/// # Errors
/// When the engine refuses.
pub async fn prepare(world: World<'_>, faults: &[FaultSpec]) -> Result<()> {
    let World { cluster, network, .. } = world;
    let mut of_packets: Vec<&NetworkFault> = faults.iter().filter_map(|fault| fault.kind.network()).collect();
    let is_latency = |fault: &&NetworkFault| matches!(fault, NetworkFault::Latency { .. });
    if of_packets.iter().any(is_latency) && !network.delays_by_tc(cluster, cluster.ids()[0]).await? {
        // It comes and goes without a touch on other packets anyhow.
        of_packets.retain(|fault| !is_latency(fault));
    }
    if !of_packets.is_empty() {
        let incoming = of_packets.into_iter().any(network::acts_on_incoming);
        network.prepare(cluster, &cluster.ids(), incoming).await.map_err(|error| {
            let what = format!("this kernel can't do what the network faults need: {error:#}");
            EnvironmentProblem::new(what, "`lossproof doctor` tells what is missing, and how to get it")
        })?;
    }
    if faults.iter().any(|fault| matches!(fault.kind, FaultKind::Disk(DiskFault::PowerLoss { .. }))) {
        disk::power_loss::prepare(cluster).await?;
    }
    Ok(())
}

/// Whom a fault hits, asked at the moment when it fires.
///
/// # Errors
/// When no broker answers.
pub async fn target(world: World<'_>, kind: &FaultKind, subjects: Subjects<'_>, draw: Draw) -> Result<Target> {
    match (kind, kind.target()) {
        (FaultKind::Network(kind), _) => network::target(world.cluster, kind, subjects, draw).await,
        (FaultKind::Client(kind), _) => Ok(client::resolve(world.clients, kind.chosen())),
        (_, Some(selector)) => selector::resolve(world.cluster, selector, subjects, draw).await,
        (_, None) => bail!("`{}` hits nobody", kind.name()),
    }
}

/// How fault number `fault` will be taken back.
///
/// # Errors
/// When what it would change can't be read beforehand; nothing was done then.
pub async fn undo(fault: usize, kind: &FaultKind, target: &Target, world: World<'_>) -> Result<Undo> {
    Ok(match kind {
        FaultKind::Broker(kind) => broker::undo(kind, &target.brokers),
        // Rules may stand at both ends of a connection.
        FaultKind::Network(_) => Undo::Reconnect { fault, brokers: world.cluster.ids() },
        FaultKind::Disk(kind) => disk::undo(kind, &target.brokers),
        FaultKind::Kafka(kind) => kafka::undo(world.cluster, kind, target).await?,
        FaultKind::Exec(kind) => Undo::Exec { fault, way: world.commands.way(fault, kind, target, world.cluster) },
        FaultKind::Client(kind) => client::undo(kind, &target.clients, world.clients),
    })
}

/// How long a fault is held after its injection; none when it has ended by itself by then.
#[must_use]
pub const fn held(spec: &FaultSpec) -> Option<Held> {
    if spec.kind.ends_by_itself() { None } else { spec.held }
}

/// Applies fault number `fault` and returns what the world showed.
///
/// # Errors
/// When the engine refuses; the fault may then be half applied, and its undo must run.
pub async fn inject(
    fault: usize,
    spec: &FaultSpec,
    target: &Target,
    world: World<'_>,
    note: Notes<'_>,
) -> Result<Proof> {
    match &spec.kind {
        FaultKind::Broker(kind) => broker::inject(world, kind, spec.held, &target.brokers, note).await,
        FaultKind::Network(kind) => network::inject(&Ground::of(world)?, fault, kind, target, note).await,
        FaultKind::Disk(kind) => disk::inject(world.cluster, kind, &target.brokers).await,
        FaultKind::Kafka(kind) => kafka::inject(world, kind, target).await,
        FaultKind::Exec(kind) => {
            let way = world.commands.way(fault, kind, target, world.cluster);
            world.commands.inject(fault, &kind.start, &way).await
        }
        FaultKind::Client(kind) => Ok(client::inject(world, kind, &target.clients).await),
    }
}

/// `broker 2`, `brokers 1, 3`.
fn brokers_of(ids: &[i32]) -> String {
    let plural = if ids.len() == 1 { "" } else { "s" };
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("broker{plural} {}", ids.join(", "))
}

/// Collects what was found of several brokers, clients or partitions into one proof, which holds only if every finding
/// does.
#[derive(Debug, Default)]
struct Findings {
    failed: bool,
    sentences: Vec<String>,
    evidence: Map<String, Value>,
}

impl Findings {
    fn add(&mut self, broker: i32, holds: bool, sentence: String, evidence: Value) {
        self.note(format!("broker_{broker}"), holds, sentence, evidence);
    }

    fn note(&mut self, of: String, holds: bool, sentence: String, evidence: Value) {
        self.failed |= !holds;
        self.sentences.push(sentence);
        self.evidence.insert(of, evidence);
    }

    /// Without a single finding nothing is proven.
    fn proof(self) -> Proof {
        Proof {
            holds: !self.failed && !self.sentences.is_empty(),
            summary: self.sentences.join("; "),
            evidence: self.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Findings;

    #[test]
    fn a_proof_holds_only_if_every_finding_does() {
        assert!(!Findings::default().proof().holds, "no finding proves nothing");
        let mut good = Findings::default();
        good.add(1, true, "a".to_owned(), 1.into());
        assert!(good.proof().holds);
        let mut mixed = Findings::default();
        mixed.add(1, true, "a".to_owned(), 1.into());
        mixed.add(2, false, "b".to_owned(), 2.into());
        let proof = mixed.proof();
        assert!(!proof.holds);
        assert_eq!(proof.summary, "a; b");
    }
}
