//! The way back from each fault.

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::client::ClientName;
use super::exec::Way;
use super::network::Ground;
use super::{Led, Options, World, broker, brokers_of, client, disk, kafka, network};

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
    /// Let these brokers' disks be as fast as they are.
    Unlimit {
        /// Whose.
        brokers: Vec<i32>,
        /// What they were limited to: how fast is quick again.
        bytes_per_second: u64,
    },
    /// Start those of these brokers that do not run, on their emptied disks.
    StartWiped(Vec<i32>),
    /// Mount the disks of these brokers anew, and start those that do not run.
    RestorePower(Vec<i32>),
    /// Let these brokers run, each from the image that it has by then: an upgrade is not taken back.
    RunAll(Vec<i32>),
    /// Give these options the values that they had.
    RestoreConfig(Vec<Options>),
    /// Let clients write to these topics again.
    AllowWrites(Vec<String>),
    /// Let those lead who led, and put the replicas in the order that they had.
    RestoreLeaders(Vec<Led>),
    /// There is nothing to take back, for this reason.
    Nothing(String),
    /// Run the experiment's own command.
    Exec {
        /// The fault's number.
        fault: usize,
        /// The command, and what it runs with.
        way: Way,
    },
    /// Start the next incarnations of those of these clients that are away.
    StartClients(Vec<ClientName>),
    /// Let these clients go on.
    ResumeClients {
        /// Which.
        clients: Vec<ClientName>,
        /// Their processes.
        pids: Vec<u32>,
    },
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
            Self::Unlimit { brokers, .. } => format!("take the limit off the disk of {}", brokers_of(brokers)),
            Self::StartWiped(brokers) => format!("start {} with an empty disk", brokers_of(brokers)),
            Self::RunAll(brokers) => format!("let {} run, whatever the image", brokers_of(brokers)),
            Self::RestorePower(brokers) => format!("mount the disk of {} anew and start it", brokers_of(brokers)),
            Self::RestoreConfig(before) => before.iter().map(Options::describe).collect::<Vec<_>>().join("; "),
            Self::AllowWrites(topics) => format!("remove the rules against writing to {}", topics.join(", ")),
            Self::RestoreLeaders(before) => before.iter().map(Led::describe).collect::<Vec<_>>().join("; "),
            Self::Nothing(why) => format!("nothing to do: {why}"),
            Self::Exec { way, .. } => format!("run `{}`", way.undo.trim()),
            Self::StartClients(clients) => format!("start {} again", names(clients)),
            Self::ResumeClients { clients, .. } => format!("let {} go on", names(clients)),
        }
    }

    /// What it puts back, in words: changed again meanwhile, nobody would know what there was at first.
    #[must_use]
    pub fn puts_back(&self) -> Vec<String> {
        match self {
            Self::RestoreConfig(before) => before.iter().flat_map(Options::names).collect(),
            Self::AllowWrites(topics) => topics.iter().map(|topic| format!("who may write to {topic}")).collect(),
            Self::RestoreLeaders(before) => {
                before.iter().map(|led| format!("the leadership of {}", led.name())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Takes the fault back and returns what the world showed. May be repeated.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn heal(&self, world: World<'_>) -> Result<Proof> {
        let cluster = world.cluster;
        match self {
            Self::StartBrokers(brokers) => broker::kill::heal(cluster, brokers).await,
            Self::Reconnect { fault, brokers } => network::heal(&Ground::of(world)?, *fault, brokers).await,
            Self::FreeDisks(brokers) => disk::fill::heal(cluster, brokers).await,
            Self::Thaw(brokers) => broker::pause::heal(cluster, brokers).await,
            Self::Unlimit { brokers, bytes_per_second } => disk::slow::heal(cluster, brokers, *bytes_per_second).await,
            Self::StartWiped(brokers) => disk::wipe::heal(cluster, brokers).await,
            Self::RunAll(brokers) => broker::upgrade::heal(cluster, brokers).await,
            Self::RestorePower(brokers) => disk::power_loss::heal(cluster, brokers).await,
            Self::RestoreConfig(before) => kafka::config::heal(cluster, before).await,
            Self::AllowWrites(topics) => kafka::acl::heal(cluster, topics).await,
            Self::RestoreLeaders(before) => kafka::move_leader::heal(cluster, before).await,
            Self::Nothing(why) => {
                Ok(Proof { holds: true, summary: format!("nothing to take back: {why}"), evidence: Map::new() })
            }
            Self::Exec { fault, way } => world.commands.heal(*fault, way).await,
            Self::StartClients(clients) => Ok(client::kill::heal(world.clients, clients).await),
            Self::ResumeClients { clients, pids } => Ok(client::pause::heal(world.clients, clients, pids).await),
        }
    }

    /// The command that must be run even when the cluster is gone. Of the other faults nothing outlives its
    /// containers, and clients die with lossproof.
    #[must_use]
    pub const fn outside(&self) -> Option<&Way> {
        match self {
            Self::Exec { way, .. } => Some(way),
            Self::StartBrokers(_)
            | Self::Reconnect { .. }
            | Self::FreeDisks(_)
            | Self::Thaw(_)
            | Self::Unlimit { .. }
            | Self::StartWiped(_)
            | Self::RestorePower(_)
            | Self::RunAll(_)
            | Self::RestoreConfig(_)
            | Self::AllowWrites(_)
            | Self::RestoreLeaders(_)
            | Self::Nothing(_)
            | Self::StartClients(_)
            | Self::ResumeClients { .. } => None,
        }
    }
}

fn names(clients: &[ClientName]) -> String {
    clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
