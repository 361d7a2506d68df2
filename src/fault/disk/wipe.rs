//! `disk_wipe`: SIGKILL, and everything on the broker's data volume is removed, as when a machine is
//! replaced and comes back with a new disk. It formats the empty disk when it starts and copies from its
//! peers; what only this broker had is gone for good.
//!
//! Proof: the process is gone by SIGKILL, and of the partitions that lay on the volume not one file is left.
//!
//! A new machine takes minutes to come, and by then the others have another leader of the metadata quorum. One
//! that is back before that, and is told that it leads itself, ends with a fatal error: the epoch of its
//! leadership was on its disk (3.9.2: "Received request or response with leader OptionalInt[3] and epoch 1 which
//! is inconsistent with current leader OptionalInt.empty and epoch 0"). So healing waits for the others.

use std::time::{Duration, Instant};

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::volume::on_volume;
use crate::cluster::{Broker, Cluster};
use crate::fault::Findings;
use crate::fault::broker::kill::{self, DEATH_LIMIT};

/// Counts the segments below the log directory, then removes all there is, and counts all that is left.
const WIPE: &str =
    "find /data/logs -name '*.log' | wc -l; rm -rf /data/logs; find /data -mindepth 1 -not -name lost+found | wc -l";

/// What a voter knows of the metadata quorum.
const QUORUM_STATE: &str = "/data/logs/__cluster_metadata-0/quorum-state";
/// The others look for another leader when they have not heard of theirs for two seconds
/// (`controller.quorum.fetch.timeout.ms`), and again after each vote without a result.
const ELECTION_LIMIT: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn inject(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let broker = cluster.broker(id)?;
        let before = cluster.engine.state(&broker.container).await?;
        cluster.engine.kill(&broker.container, "SIGKILL").await?;
        let after = cluster.engine.ended(&broker.container, DEATH_LIMIT).await?;
        let counts = on_volume(cluster, id, WIPE).await?;
        let mut counts = counts.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(segments)), Some(Ok(left))) = (counts.next(), counts.next()) else {
            anyhow::bail!("the files on the disk of broker {id} could not be counted");
        };
        let (holds, sentence) = if !before.running {
            (false, format!("broker {id} was not running when its disk should have been wiped"))
        } else if segments == 0 {
            (false, format!("broker {id} had no partition on its disk: there was nothing to lose"))
        } else if left > 0 {
            (false, format!("broker {id}: {left} files are still on its disk"))
        } else {
            (true, format!("broker {id}: process {} gone, {segments} segments on its disk removed", before.pid))
        };
        let evidence = json!({
            "was_running": before.running, "exit_code": after.exit_code, "segments_before": segments, "files_left": left,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Starts the brokers once no other one takes them for the leader of the metadata quorum.
pub(in crate::fault) async fn heal(cluster: &Cluster, ids: &[i32]) -> Result<Proof> {
    let mut down = Vec::new();
    for &id in ids {
        if !cluster.engine.state(&cluster.broker(id)?.container).await?.running {
            down.push(id);
        }
    }
    let deadline = Instant::now() + ELECTION_LIMIT;
    for broker in cluster.brokers.iter().filter(|broker| !down.contains(&broker.id)) {
        while leader_known_to(cluster, broker).await.is_some_and(|leader| down.contains(&leader))
            && Instant::now() < deadline
        {
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
    kill::heal(cluster, ids).await
}

/// Whom a broker takes for the leader of the metadata quorum; none if it does not run, or knows of none.
async fn leader_known_to(cluster: &Cluster, broker: &Broker) -> Option<i32> {
    let state = cluster.engine.exec(&broker.container, None, &["cat", QUORUM_STATE]).await.ok()?.success().ok()?;
    leader(&state)
}

fn leader(quorum_state: &str) -> Option<i32> {
    let state: serde_json::Value = serde_json::from_str(quorum_state).ok()?;
    state["leaderId"].as_i64().and_then(|id| id.try_into().ok()).filter(|id| *id >= 0)
}

#[cfg(test)]
mod tests {
    use super::leader;

    #[test]
    fn a_leader_is_read_from_the_quorum_s_state() {
        let of_3_9 = r#"{"clusterId":"","leaderId":3,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
        assert_eq!(leader(of_3_9), Some(3));
        assert_eq!(leader(r#"{"leaderId":-1,"leaderEpoch":4,"votedId":2,"data_version":1}"#), None);
        assert_eq!(leader("{"), None);
    }
}
