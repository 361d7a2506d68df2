//! Faults: what breaks the cluster, one file a kind.
//!
//! The contract (each kind keeps it): the way back is known, and on disk, before anything is broken;
//! `inject` returns what the world showed, so that a fault that did not bite is never taken for one
//! that did; `Undo::heal` returns a proof too, and works from any half-way state.

mod client_cut;
mod crash_loop;
mod disk_fill;
mod disk_wipe;
mod kill;
pub mod net;
pub mod pages;
mod partition;
mod pause;
mod power_loss;
mod restart;
mod selector;
mod volume;

use std::time::Duration;

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::net::Network;
use crate::cluster::Cluster;
use crate::exit::EnvironmentProblem;
use crate::experiment::{FaultKind, FaultSpec, Peers};

pub use selector::{Target, resolve};

/// Tells of a step of a fault that takes several.
pub type Notes<'a> = &'a (dyn Fn(String) + Send + Sync);

/// What faults work on.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The network effects of this run.
    pub network: &'a Network,
}

/// How to take a fault back. Data, so that it can be kept on disk before the fault is applied.
#[must_use = "a fault that is not taken back outlives its window"]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Start those of these brokers that do not run.
    StartBrokers(Vec<i32>),
    /// Take a fault's effects on the network off these brokers.
    Reconnect {
        /// The fault's number.
        fault: usize,
        /// Both ends of what it cut.
        brokers: Vec<i32>,
    },
    /// Remove the filler from these brokers' disks, and start those that do not run.
    FreeDisks(Vec<i32>),
    /// Thaw these brokers.
    Thaw(Vec<i32>),
    /// Mount the disks of these brokers anew, and start those that do not run.
    RestorePower(Vec<i32>),
}

/// What must be before the clients start, for faults that need it.
///
/// # Errors
/// When the engine refuses.
pub async fn prepare(world: World<'_>, faults: &[FaultSpec]) -> Result<()> {
    let World { cluster, network } = world;
    let cuts = || faults.iter().filter(|fault| matches!(fault.kind, FaultKind::Partition { .. }));
    if cuts().next().is_some() {
        let of_clients = |fault: &FaultSpec| matches!(fault.kind, FaultKind::Partition { from: Peers::Clients, .. });
        let incoming = cuts().any(of_clients);
        network.prepare(cluster, &cluster.ids(), incoming).await.map_err(|error| {
            let what = format!("this kernel can't do what the network faults need: {error:#}");
            EnvironmentProblem::new(what, "`lossproof doctor` tells what is missing, and how to get it")
        })?;
    }
    if faults.iter().any(|fault| matches!(fault.kind, FaultKind::PowerLoss { .. })) {
        power_loss::prepare(cluster).await?;
    }
    Ok(())
}

/// How fault number `fault` on these brokers will be taken back.
pub fn undo(fault: usize, kind: &FaultKind, target: &Target, cluster: &Cluster) -> Undo {
    match kind {
        FaultKind::Kill { .. }
        | FaultKind::Restart { .. }
        | FaultKind::CrashLoop { .. }
        | FaultKind::DiskWipe { .. } => Undo::StartBrokers(target.brokers.clone()),
        FaultKind::Pause { .. } => Undo::Thaw(target.brokers.clone()),
        FaultKind::PowerLoss { .. } => Undo::RestorePower(target.brokers.clone()),
        // Rules stand at both ends of a cut.
        FaultKind::Partition { .. } => Undo::Reconnect { fault, brokers: cluster.ids() },
        FaultKind::DiskFill { .. } => Undo::FreeDisks(target.brokers.clone()),
    }
}

/// How long a fault is held after its injection; none when it has ended by itself by then.
#[must_use]
pub const fn held(spec: &FaultSpec) -> Option<Duration> {
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
    let cluster = world.cluster;
    match &spec.kind {
        FaultKind::Kill { .. } => kill::inject(cluster, &target.brokers).await,
        FaultKind::Restart { wait, .. } => {
            restart::inject(cluster, &target.brokers, spec.held.unwrap_or_default(), *wait, note).await
        }
        FaultKind::Partition { from: Peers::Brokers, ports, .. } => {
            partition::inject(world, fault, &target.brokers, ports).await
        }
        FaultKind::Partition { from: Peers::Clients, ports, .. } => {
            client_cut::inject(world, fault, &target.brokers, ports).await
        }
        FaultKind::Pause { .. } => pause::inject(cluster, &target.brokers).await,
        FaultKind::CrashLoop { times, up, down, .. } => {
            let rhythm = crash_loop::Rhythm { times: *times, up: *up, down: *down };
            crash_loop::inject(cluster, &target.brokers, rhythm, note).await
        }
        FaultKind::DiskFill { .. } => disk_fill::inject(cluster, &target.brokers).await,
        FaultKind::DiskWipe { .. } => disk_wipe::inject(cluster, &target.brokers).await,
        FaultKind::PowerLoss { .. } => power_loss::inject(cluster, &target.brokers).await,
    }
}

impl Undo {
    /// One sentence for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::StartBrokers(brokers) => format!("start {}", brokers_of(brokers)),
            Self::Reconnect { brokers, .. } => format!("remove the network rules of {}", brokers_of(brokers)),
            Self::FreeDisks(brokers) => {
                format!("remove the filler from the disk of {} and start it", brokers_of(brokers))
            }
            Self::Thaw(brokers) => format!("thaw {}", brokers_of(brokers)),
            Self::RestorePower(brokers) => format!("mount the disk of {} anew and start it", brokers_of(brokers)),
        }
    }

    /// Takes the fault back and returns what the world showed. May be repeated.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn heal(&self, world: World<'_>) -> Result<Proof> {
        let cluster = world.cluster;
        match self {
            Self::StartBrokers(brokers) => kill::heal(cluster, brokers).await,
            Self::Reconnect { fault, brokers } => partition::heal(world, *fault, brokers).await,
            Self::FreeDisks(brokers) => disk_fill::heal(cluster, brokers).await,
            Self::Thaw(brokers) => pause::heal(cluster, brokers).await,
            Self::RestorePower(brokers) => power_loss::heal(cluster, brokers).await,
        }
    }
}

/// `broker 2`, `brokers 1, 3`.
fn brokers_of(ids: &[i32]) -> String {
    let plural = if ids.len() == 1 { "" } else { "s" };
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("broker{plural} {}", ids.join(", "))
}

/// Collects what was found of several brokers into one proof, which holds only if every finding does.
#[derive(Debug, Default)]
struct Findings {
    failed: bool,
    sentences: Vec<String>,
    evidence: Map<String, Value>,
}

impl Findings {
    fn add(&mut self, broker: i32, holds: bool, sentence: String, evidence: Value) {
        self.failed |= !holds;
        self.sentences.push(sentence);
        self.evidence.insert(format!("broker_{broker}"), evidence);
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
