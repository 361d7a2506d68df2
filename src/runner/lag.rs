//! How far the groups are behind the ends of their logs: watched during the run, and compared with what Kafka's own
//! tools tell when nothing moves any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use lossproof_ledger::event::{Behind, EventKind};

use super::recorder::Recorder;
use crate::cluster::readiness::Address;
use crate::cluster::wire::{Coordinated, TopicPartition, Wire};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A broker that does not answer so soon is left out of a look.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// A profile's topic and group.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The profile.
    pub profile: String,
    /// Its topic.
    pub topic: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Its group's id.
    pub group: String,
}

impl Watched {
    fn topic_partitions(&self) -> Vec<TopicPartition> {
        (0..self.partitions).map(|partition| (self.topic.clone(), partition)).collect()
    }
}

/// Records each look that differs from the one before, until dropped.
///
/// # Errors
/// When an event can't be stored.
pub async fn watch(addresses: Vec<Address>, all: Vec<Watched>, recorder: Arc<Recorder>) -> Result<()> {
    let mut known: BTreeMap<String, Vec<Behind>> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for (watched, partitions) in all.iter().zip(look(&addresses, &all).await) {
            if !partitions.is_empty() && known.get(&watched.profile) != Some(&partitions) {
                known.insert(watched.profile.clone(), partitions.clone());
                recorder.emit(EventKind::GroupLag { profile: watched.profile.clone(), partitions })?;
            }
        }
    }
}

/// How far each group is behind, by partition. Left out is what nobody tells.
pub async fn look(addresses: &[Address], all: &[Watched]) -> Vec<Vec<Behind>> {
    // The commits first: they only grow, so that no lag is told that never was.
    let coordinators = coordinators(addresses, all).await;
    let asked = all.iter().map(|watched| committed(coordinators.get(&watched.group).copied(), watched));
    let committed = join_all(asked).await;
    let partitions: Vec<TopicPartition> = all.iter().flat_map(Watched::topic_partitions).collect();
    let ends = join_all(addresses.iter().map(|(_, address)| led(address, &partitions))).await;
    let ends: BTreeMap<TopicPartition, i64> =
        ends.into_iter().flatten().map(|(topic, partition, end)| ((topic, partition), end)).collect();
    let behind = all.iter().zip(committed).map(|(watched, committed)| {
        let told = watched.topic_partitions().into_iter().filter_map(|key| {
            let (log_end, committed) = (*ends.get(&key)?, *committed.get(&key)?);
            Some(Behind { partition: key.1, log_end, committed })
        });
        told.collect()
    });
    behind.collect()
}

/// High watermarks of what this broker leads; nothing if it does not answer.
async fn led(address: &str, partitions: &[TopicPartition]) -> Vec<(String, i32, i64)> {
    let asked = async { Wire::connect(address, ANSWER_LIMIT).await?.high_watermarks(partitions).await };
    asked.await.unwrap_or_default()
}

/// What a group has committed, as its coordinator at an address tells; nothing if that does not answer.
async fn committed(coordinator: Option<&str>, watched: &Watched) -> BTreeMap<TopicPartition, Option<i64>> {
    let asked = async {
        let address = coordinator.context("no broker knows the group's coordinator")?;
        let mut wire = Wire::connect(address, ANSWER_LIMIT).await?;
        wire.committed(&watched.group, &watched.topic_partitions()).await
    };
    asked.await.unwrap_or_default().into_iter().collect()
}

/// The coordinators' addresses by group, of each as the first broker tells that knows it.
async fn coordinators<'a>(addresses: &'a [Address], all: &[Watched]) -> BTreeMap<String, &'a str> {
    let mut known = BTreeMap::new();
    for (_, address) in addresses {
        let missing = all.iter().map(|watched| watched.group.clone()).filter(|group| !known.contains_key(group));
        let missing: Vec<String> = missing.collect();
        if missing.is_empty() {
            break;
        }
        let asked = async {
            let mut wire = Wire::connect(address, ANSWER_LIMIT).await?;
            wire.coordinators(Coordinated::Groups, &missing).await
        };
        for (group, found) in asked.await.unwrap_or_default() {
            if let Ok(broker) = found
                && let Some((_, address)) = addresses.iter().find(|(id, _)| *id == broker)
            {
                known.insert(group, address.as_str());
            }
        }
    }
    known
}
