//! What each broker's own disk holds of the experiment's topics: where its logs end, and under which leader
//! epochs they were written. Truncation erases that, so it is looked at before a fault is healed.
//!
//! Two sources: ListOffsets as a debugging replica, which any replica answers with its own log end, and the
//! file `leader-epoch-checkpoint` of each log. A broker that does not answer is recorded as such.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use lossproof_ledger::event::{EventKind, Look, ReplicaLog};

use super::recorder::Recorder;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::Wire;
use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;

/// How long a look may take; brokers are asked at the same time.
pub const LOOK_LIMIT: Duration = Duration::from_secs(1);
const LOGS: &str = "/data/logs";
const CHECKPOINT: &str = "leader-epoch-checkpoint";

/// Records what every broker holds now.
///
/// # Errors
/// When an event can't be stored. What can't be had is recorded as trouble.
pub async fn look(
    cluster: &Cluster,
    topics: &[String],
    look: Look,
    fault: Option<usize>,
    recorder: &Recorder,
) -> Result<()> {
    let placed = tokio::time::timeout(LOOK_LIMIT / 2, placement(cluster, topics)).await;
    let placed = placed.context("no broker names the partitions in time").and_then(|placed| placed);
    let looks = cluster.brokers.iter().map(async |broker| {
        let found = async {
            let placed = placed.as_ref().map_err(|error| format!("{error:#}"))?;
            let held: Vec<(String, i32)> =
                placed.iter().filter(|(_, replicas)| replicas.contains(&broker.id)).map(|(of, _)| of.clone()).collect();
            Ok::<_, String>(replicas(cluster, broker, &held).await)
        };
        (broker.id, found.await)
    });
    for (broker, found) in join_all(looks).await {
        let (replicas, trouble) = found.unwrap_or_else(|trouble| (Vec::new(), Some(trouble)));
        recorder.emit(EventKind::ReplicaLogs { look, fault, broker, replicas, trouble })?;
    }
    Ok(())
}

type Placement = Vec<((String, i32), Vec<i32>)>;

/// Which brokers hold which partition of the topics.
async fn placement(cluster: &Cluster, topics: &[String]) -> Result<Placement> {
    let view = with_any(&cluster.harness(), async |wire| wire.view(Some(topics)).await).await?;
    Ok(view.partitions.into_iter().map(|state| ((state.topic, state.partition), state.replicas)).collect())
}

/// The replicas of one broker, and what could not be learnt of them.
async fn replicas(cluster: &Cluster, broker: &Broker, held: &[(String, i32)]) -> (Vec<ReplicaLog>, Option<String>) {
    let limit = LOOK_LIMIT / 2;
    let ends = async { Wire::connect(&broker.address(HARNESS_PORT), limit).await?.log_ends(held).await };
    let (ends, epochs) = futures_util::future::join(
        tokio::time::timeout(limit, ends),
        tokio::time::timeout(limit, checkpoints(cluster, broker, held)),
    )
    .await;
    let late = || format!("not within {limit:?}");
    let ends = ends.context(late()).and_then(|ends| ends);
    let epochs = epochs.context(late()).and_then(|epochs| epochs);
    let trouble: Vec<String> = [
        ends.as_ref().err().map(|error| format!("log ends: {error:#}")),
        epochs.as_ref().err().map(|error| format!("leader epochs: {error:#}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let ends = ends.unwrap_or_default();
    let mut epochs = epochs.unwrap_or_default();
    let logs = held.iter().filter_map(|of| {
        let log_end = ends.iter().find(|(topic, partition, _)| (topic, partition) == (&of.0, &of.1)).map(|end| end.2);
        let epochs = epochs.remove(of).unwrap_or_default();
        let known = log_end.is_some() || !epochs.is_empty();
        known.then(|| ReplicaLog { topic: of.0.clone(), partition: of.1, log_end, epochs })
    });
    (logs.collect(), (!trouble.is_empty()).then(|| trouble.join("; ")))
}

type Epochs = BTreeMap<(String, i32), Vec<(i32, i64)>>;

/// The leader epochs that a broker's own logs begin at, from their checkpoint files.
async fn checkpoints(cluster: &Cluster, broker: &Broker, held: &[(String, i32)]) -> Result<Epochs> {
    let files: Vec<String> =
        held.iter().map(|(topic, partition)| format!("{LOGS}/{topic}-{partition}/{CHECKPOINT}")).collect();
    let mut command = vec!["grep", "-H", "."];
    command.extend(files.iter().map(String::as_str));
    let output = cluster.engine.exec(&broker.container, None, &command).await?;
    let mut epochs = Epochs::new();
    for (file, of) in files.iter().zip(held) {
        let lines = output.stdout.lines().filter_map(|line| line.strip_prefix(file)?.strip_prefix(':'));
        if let Some(entries) = checkpoint(lines) {
            epochs.insert(of.clone(), entries);
        }
    }
    let said = output.stderr.trim();
    anyhow::ensure!(!epochs.is_empty() || held.is_empty(), "no checkpoint could be read: {said}");
    Ok(epochs)
}

/// The entries of a checkpoint: after its version and their number, an epoch and its first offset a line.
/// None if it is not whole, as when it was just being written.
fn checkpoint<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Vec<(i32, i64)>> {
    const VERSION: &str = "0";
    if lines.next()? != VERSION {
        return None;
    }
    let number: usize = lines.next()?.parse().ok()?;
    let entries: Option<Vec<(i32, i64)>> = lines
        .map(|line| {
            let (epoch, offset) = line.split_once(' ')?;
            Some((epoch.parse().ok()?, offset.parse().ok()?))
        })
        .collect();
    entries.filter(|entries| entries.len() == number)
}

#[cfg(test)]
mod tests {
    use super::checkpoint;

    #[test]
    fn a_checkpoint_counts_only_when_it_is_whole() {
        let read = |text: &'static str| checkpoint(text.lines());
        assert_eq!(read("0\n2\n0 0\n3 6762\n"), Some(vec![(0, 0), (3, 6762)]));
        assert_eq!(read("0\n0\n"), Some(vec![]));
        assert_eq!(read("0\n2\n0 0\n"), None);
        assert_eq!(read("1\n0\n"), None);
        assert_eq!(read("0\n1\n0 x\n"), None);
        assert_eq!(read(""), None);
    }
}
