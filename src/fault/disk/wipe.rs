//! `disk_wipe`: SIGKILL, and everything on the broker's data volume is removed, as when a machine is
//! replaced and comes back with a new disk. It formats the empty disk when it starts and copies from its
//! peers; what only this broker had is gone for good.
//!
//! Proof: the process is gone by SIGKILL, and of the partitions that lay on the volume not one file is left.

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::volume::on_volume;
use crate::cluster::Cluster;
use crate::fault::Findings;
use crate::fault::broker::kill::DEATH_LIMIT;

/// Counts the segments below the log directory, then removes all there is, and counts all that is left.
const WIPE: &str =
    "find /data/logs -name '*.log' | wc -l; rm -rf /data/logs; find /data -mindepth 1 -not -name lost+found | wc -l";

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
