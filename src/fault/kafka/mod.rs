//! Faults by means of Kafka's own administration, one file a kind: what an operator, a script or a rebalancing tool
//! does at the wrong moment. What they change is read back from every broker that answers.

pub(super) mod acl;
pub(super) mod config;
pub(super) mod delete_records;
pub(super) mod elect_leader;
pub(super) mod move_leader;

pub use self::config::Options;
pub use self::move_leader::Led;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::event::Proof;

use super::{Target, Undo, World};
use crate::cluster::Cluster;
use crate::cluster::readiness::views;
use crate::cluster::wire::{PartitionView, Resource, TopicPartition, View};
use crate::experiment::{Denied, KafkaFault};

/// How long brokers may take to learn of a change. On an idle host it is milliseconds.
const NEWS_LIMIT: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The way back, with what there was before.
pub(super) async fn undo(cluster: &Cluster, fault: &KafkaFault, target: &Target) -> Result<Undo> {
    match fault {
        KafkaFault::ElectLeader { .. } => Ok(Undo::Nothing("an election stands".to_owned())),
        KafkaFault::DeleteRecords { .. } => Ok(Undo::Nothing("deleted records are gone for good".to_owned())),
        KafkaFault::Acl { .. } => Ok(Undo::AllowWrites(target.topics.clone())),
        KafkaFault::MoveLeader { partition, .. } => move_leader::undo(cluster, &target.topics, partition.number).await,
        KafkaFault::TopicConfig { config, .. } | KafkaFault::BrokerConfig { config, .. } => {
            config::undo(cluster, &resources(fault, target), config).await
        }
    }
}

pub(super) async fn inject(world: World<'_>, fault: &KafkaFault, target: &Target) -> Result<Proof> {
    let (cluster, topics) = (world.cluster, target.topics.as_slice());
    match fault {
        KafkaFault::ElectLeader { partition, election } => {
            elect_leader::inject(cluster, topics, partition.number, *election).await
        }
        KafkaFault::MoveLeader { partition, to } => move_leader::inject(cluster, topics, partition.number, *to).await,
        KafkaFault::Acl { deny: Denied::Write } => acl::inject(cluster, topics).await,
        KafkaFault::DeleteRecords { partition, oldest_percent } => {
            delete_records::inject(world, topics, partition.number, *oldest_percent).await
        }
        KafkaFault::TopicConfig { config, .. } | KafkaFault::BrokerConfig { config, .. } => {
            config::inject(cluster, &resources(fault, target), config).await
        }
    }
}

/// Whose options are changed.
fn resources(fault: &KafkaFault, target: &Target) -> Vec<Resource> {
    match fault {
        KafkaFault::BrokerConfig { .. } => target.brokers.iter().map(|&id| Resource::Broker(id)).collect(),
        KafkaFault::TopicConfig { topic: Some(topic), .. } => vec![Resource::Topic(topic.clone())],
        _ => target.topics.iter().cloned().map(Resource::Topic).collect(),
    }
}

/// The partition of each topic, as the brokers see it that know of the newest election: one that is cut off does not.
async fn partitions(cluster: &Cluster, topics: &[String], partition: i32) -> Result<Vec<PartitionView>> {
    let (views, silent) = views(&cluster.harness()).await;
    anyhow::ensure!(!views.is_empty(), "{} not answering", super::brokers_of(&silent));
    let of = |topic: &String| {
        let seen = views.iter().filter_map(|(id, view)| Some((*id, view.partition(topic, partition)?)));
        let newest = seen.max_by_key(|(id, state)| (state.leader_epoch, state.leader == *id));
        newest.map(|(_, state)| state.clone()).with_context(|| format!("topic {topic} has no partition {partition}"))
    };
    topics.iter().map(of).collect()
}

fn names(states: &[PartitionView]) -> Vec<TopicPartition> {
    states.iter().map(|state| (state.topic.clone(), state.partition)).collect()
}

/// How a partition is called, in sentences and in evidence.
fn name(topic: &str, partition: i32) -> String {
    format!("{topic}/{partition}")
}

/// What was seen of a change that all brokers should learn of.
struct Seen {
    /// Brokers that answered at the last look.
    by: Vec<i32>,
    /// The last view of one of them.
    view: Option<View>,
    /// What the first of them that is behind lacks.
    lacks: Option<String>,
}

impl Seen {
    /// `, as brokers 1, 2 see it`, or what one lacks.
    fn words(&self) -> String {
        match (&self.lacks, self.view.is_some()) {
            (Some(lacks), _) => format!(", but {lacks}"),
            (None, false) => ", but no broker answers".to_owned(),
            (None, true) => format!(", as {} told", super::brokers_of(&self.by)),
        }
    }

    fn by_all(&self) -> bool {
        self.view.is_some() && self.lacks.is_none()
    }
}

/// Waits until no broker lacks anything that answers and that the others count among them: one that the controller has
/// given up, as it is cut off, hears of nothing.
async fn everywhere(cluster: &Cluster, lacks: impl Fn(&View) -> Option<String>) -> Seen {
    let deadline = Instant::now() + NEWS_LIMIT;
    loop {
        let (mut views, _) = views(&cluster.harness()).await;
        let counted = |id: i32| views.iter().all(|(_, view)| view.brokers.contains(&id));
        let away: Vec<i32> = views.iter().map(|(id, _)| *id).filter(|id| !counted(*id)).collect();
        views.retain(|(id, _)| !away.contains(id));
        let behind = views.iter().find_map(|(id, view)| Some(format!("broker {id} sees {}", lacks(view)?)));
        let seen = Seen {
            by: views.iter().map(|(id, _)| *id).collect(),
            view: views.into_iter().next().map(|(_, view)| view),
            lacks: behind,
        };
        if seen.by_all() || Instant::now() >= deadline {
            return seen;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
