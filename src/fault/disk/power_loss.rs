//! `power_loss`: the power of one or more machines fails. Their disks stop in the middle of whatever they
//! do (`EXT4_IOC_SHUTDOWN` without flushing the journal) and their processes are gone. What was not flushed
//! to disk is lost, and what was is still there, as SIGKILL alone would never show: then the kernel still
//! has it. All targets fail at the same moment; they are frozen for that moment, as a broker that outlived its
//! disk would answer its clients that the disk has failed.
//!
//! Proof, for each: two files were written to the disk just before, one flushed and one not, and only the
//! flushed one is left; the disk refused every write from that moment on, and the process is gone.
//!
//! Needs disks on loop devices: a tmpfs keeps what a disk would lose.

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use lossproof_ledger::event::Proof;
use serde_json::json;
use testcontainers::bollard;

use bollard::models::HostConfig;
use bollard::query_parameters::RemoveContainerOptionsBuilder;

use super::volume::on_volume;
use crate::cluster::disks::{Backing, data_volume, run_helper};
use crate::cluster::session::project_of;
use crate::cluster::{Broker, Cluster};
use crate::fault::Findings;
use crate::fault::broker::kill::{self, DEATH_LIMIT};

const FLUSHED: &str = "lossproof-flushed";
const UNFLUSHED: &str = "lossproof-unflushed";
/// Prints which of the two files still have their content.
const LEFT: &str = "cd /data; for file in flushed unflushed; do [ -s lossproof-$file ] && echo $file; done; true";

/// Flushes the disks once, as those of a cluster that has been up for a while are. `kafka-storage format`
/// does not flush its `bootstrap.checkpoint`, and a broker that loses power within the kernel's write-back time
/// (30 s) after it was formatted never starts again: seen with 3.9.2, "No FeatureLevelRecord for
/// metadata.version was found".
pub(in crate::fault) async fn prepare(cluster: &Cluster) -> Result<()> {
    if cluster.backing == Backing::Loop {
        try_join_all(cluster.brokers.iter().map(|broker| on_volume(cluster, broker.id, "sync -f /data"))).await?;
    }
    Ok(())
}

pub(super) async fn inject(cluster: &Cluster, ids: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    if cluster.backing == Backing::Tmpfs {
        for &id in ids {
            let sentence = format!("broker {id}: its disk is in memory (tmpfs), which loses nothing with the power");
            findings.add(id, false, sentence, json!({ "backing": "tmpfs" }));
        }
        return Ok(findings.proof());
    }
    let brokers: Vec<&Broker> = ids.iter().map(|&id| cluster.broker(id)).collect::<Result<_>>()?;
    let before = try_join_all(brokers.iter().map(|broker| cluster.engine.state(&broker.container))).await?;
    start_hand(cluster, ids).await?;
    // Without power nobody says that the disk has failed: frozen first, they never run again.
    try_join_all(brokers.iter().map(|broker| cluster.engine.pause(&broker.container))).await?;
    let cut = cluster.engine.exec(&hand(cluster), None, &["sh", "-c", &cut_script(ids)]).await?.success();
    try_join_all(brokers.iter().map(|broker| cluster.engine.kill(&broker.container, "SIGKILL"))).await?;
    let refuses = cluster.engine.exec(&hand(cluster), None, &["sh", "-c", &refusal_script(ids)]).await?.stdout;
    // A disk comes back with its next mount, and that is there when nobody has the old one any more.
    remove_hand(cluster).await?;
    let after = try_join_all(brokers.iter().map(|broker| cluster.engine.ended(&broker.container, DEATH_LIMIT))).await?;
    let left = join_all(ids.iter().map(|&id| on_volume(cluster, id, LEFT))).await;
    for (((broker, before), after), left) in brokers.iter().zip(before).zip(after).zip(left) {
        let id = broker.id;
        let left = left.unwrap_or_else(|error| format!("{error:#}"));
        let flushed = left.lines().any(|line| line == "flushed");
        let unflushed = left.lines().any(|line| line == "unflushed");
        let refuses = refuses.lines().any(|line| line == format!("{id} refuses"));
        let (holds, sentence) = if !before.running {
            (false, format!("broker {id} was not running when its power should have failed"))
        } else if let Err(error) = &cut {
            (false, format!("broker {id}: its disk could not be shut down: {error:#}"))
        } else if !refuses {
            (false, format!("broker {id}: its disk took a write after the power had failed"))
        } else if !flushed {
            (false, format!("broker {id}: what had been flushed is not there after the power failed: {left}"))
        } else if unflushed {
            (false, format!("broker {id}: what had not been flushed is there after the power failed"))
        } else {
            (
                true,
                format!(
                    "broker {id}: power gone, process {} with it; of two files written just before, the flushed one is left",
                    before.pid
                ),
            )
        };
        let evidence = json!({
            "was_running": before.running, "pid": before.pid, "exit_code": after.exit_code, "refused_writes": refuses,
            "flushed_file_left": flushed, "unflushed_file_left": unflushed,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Starts the brokers; also from half-way, when the disks were shut down and a broker runs on them still.
pub(in crate::fault) async fn heal(cluster: &Cluster, ids: &[i32]) -> Result<Proof> {
    remove_hand(cluster).await.ok();
    let shut = join_all(ids.iter().map(async |&id| {
        let container = &cluster.broker(id)?.container;
        let state = cluster.engine.state(container).await?;
        let touch = || cluster.engine.exec(container, None, &["touch", "/data/logs/lossproof-alive"]);
        if state.paused || (state.running && touch().await.is_ok_and(|output| output.code != 0)) {
            cluster.engine.kill(container, "SIGKILL").await?;
            cluster.engine.ended(container, DEATH_LIMIT).await?;
        }
        anyhow::Ok(())
    }));
    for outcome in shut.await {
        outcome?;
    }
    let script = format!("rm -f /data/{FLUSHED} /data/{UNFLUSHED} /data/logs/lossproof-alive");
    try_join_all(ids.iter().map(|&id| on_volume(cluster, id, &script))).await.context("the disk does not come back")?;
    kill::heal(cluster, ids).await
}

/// The container that holds all targeted disks.
fn hand(cluster: &Cluster) -> String {
    format!("{}-power", project_of(cluster.session()))
}

/// Writes the flushed files, some time before the cut: a flush takes other files' changes along.
async fn start_hand(cluster: &Cluster, ids: &[i32]) -> Result<()> {
    let session = cluster.session();
    let host = HostConfig {
        init: Some(true),
        network_mode: Some("none".to_owned()),
        cap_add: Some(vec!["SYS_ADMIN".to_owned()]),
        binds: Some(ids.iter().map(|&id| format!("{}:/data-{id}", data_volume(session, id))).collect()),
        ..HostConfig::default()
    };
    run_helper(&cluster.engine, session, &hand(cluster), host).await?;
    let writes: Vec<String> = ids
        .iter()
        .map(|id| format!("dd if=/dev/zero of=/data-{id}/{FLUSHED} bs=4096 count=1 conv=fsync 2>/dev/null"))
        .collect();
    let script = writes.join(" && ");
    cluster.engine.exec(&hand(cluster), None, &["sh", "-c", &script]).await?.success()?;
    Ok(())
}

/// Writes the files that are not flushed, then shuts all disks down within microseconds of each other.
fn cut_script(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!(
        r#"perl -e '
for my $id (@ARGV) {{
  open(my $file, ">", "/data-$id/{UNFLUSHED}") or die "broker $id: $!\n";
  syswrite($file, "x" x 4096) == 4096 or die "broker $id: $!\n";
  close($file);
  open($disk{{$id}}, "<", "/data-$id") or die "broker $id: $!\n";
}}
for my $id (@ARGV) {{
  # EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH
  my $flags = pack("L", 2);
  ioctl($disk{{$id}}, 0x8004587d, $flags) or die "broker $id: $!\n";
}}' {}"#,
        ids.join(" ")
    )
}

/// Prints which disks refuse a write.
fn refusal_script(ids: &[i32]) -> String {
    let tries: Vec<String> =
        ids.iter().map(|id| format!("touch /data-{id}/lossproof-after 2>/dev/null || echo {id} refuses")).collect();
    tries.join("; ")
}

async fn remove_hand(cluster: &Cluster) -> Result<()> {
    let remove = RemoveContainerOptionsBuilder::new().force(true).build();
    Ok(cluster.engine.api().remove_container(&hand(cluster), Some(remove)).await?)
}
