//! `disk_fill`: the broker's data volume is filled to the last block. It is a small file system of its
//! own, so the host's disk is in no danger.
//!
//! Proof: no free block is left, and the broker itself says that it could not write. A combined node
//! keeps its metadata log there too, and so halts (`LogDirFailureChannel`, exit code 1).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::volume::on_volume;
use crate::cluster::{Broker, Cluster};
use crate::fault::Findings;
use crate::fault::broker::kill;

const FILLER: &str = "/data/lossproof-filler";
const FAILURE_LIMIT: Duration = Duration::from_secs(30);
/// A remainder that no segment or index fits into.
const FULL_KIB: u64 = 64;
const HALT_LIMIT: Duration = Duration::from_secs(5);
/// What Kafka logs for ENOSPC, from the JDK's message.
const STORAGE_ERROR: &str = "No space left on device";

pub(super) async fn inject(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let broker = cluster.broker(id)?;
        let before = cluster.engine.state(&broker.container).await?;
        if !before.running {
            findings.add(
                id,
                false,
                format!("broker {id} was not running when its disk should have filled"),
                json!(null),
            );
            continue;
        }
        // An earlier fault of this container may have left the same words in its log.
        let since = jiff::Timestamp::now().as_second();
        fill(cluster, broker).await;
        let error = storage_error(cluster, broker, since).await?;
        // It halts a moment after it has said so; whether it does is told, and either is a proof.
        let after = match cluster.engine.ended(&broker.container, HALT_LIMIT).await {
            Ok(ended) => ended,
            Err(_) => cluster.engine.state(&broker.container).await?,
        };
        // A halting broker takes the filling command with it, and tmpfs then takes back what that was about
        // to get; so it is done to the end here. The disk stays full for as long as the fault is held.
        let script = format!(
            "dd if=/dev/zero bs=1M >>{FILLER} 2>/dev/null; dd if=/dev/zero bs=4096 >>{FILLER} 2>/dev/null; \
             df -Pk /data | awk 'NR==2 {{print $4}}'"
        );
        let free = on_volume(cluster, id, &script).await?;
        let free_kib: u64 = free.trim().parse().with_context(|| format!("df said {free}"))?;
        let (holds, sentence) = match &error {
            _ if free_kib > FULL_KIB => (false, format!("broker {id}: the disk is not full, {free_kib} KiB are free")),
            None => (
                false,
                format!("broker {id}: {free_kib} KiB are free, and it reported no storage error in {FAILURE_LIMIT:?}"),
            ),
            Some(_) if after.running => (
                true,
                format!("broker {id}: disk full ({free_kib} KiB free), it reported the storage error and runs on"),
            ),
            Some(_) => (
                true,
                format!(
                    "broker {id}: disk full ({free_kib} KiB free), it reported the storage error and halted with exit code {}",
                    after.exit_code
                ),
            ),
        };
        let evidence = json!({ "free_kib": free_kib, "storage_error": error, "running": after.running, "exit_code": after.exit_code });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

pub(in crate::fault) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let script = format!("rm -f {FILLER}; df -Pk /data | awk 'NR==2 {{print $4}}'");
        let free = on_volume(cluster, id, &script).await?;
        let free_kib: u64 = free.trim().parse().with_context(|| format!("df said {free}"))?;
        let started = kill::start(cluster, id).await?;
        let sentence = match &started.ended {
            None => format!("broker {id}: {free_kib} KiB free again, started {}", started.at),
            Some(end) => format!("broker {id} does not stay up with {free_kib} KiB free: {end}"),
        };
        let mut evidence = started.evidence();
        evidence["free_kib"] = free_kib.into();
        findings.add(id, started.ended.is_none() && free_kib > 1024, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Takes every free block, from inside the broker, which is the only one that mounts the volume. When
/// the broker halts half-way this command dies with it, so what matters is read back afterwards.
async fn fill(cluster: &Cluster, broker: &Broker) {
    // One quick large piece, then the rest block by block until not one more can be had.
    let script = format!(
        "free=$(df -Pk /data | awk 'NR==2 {{print $4}}'); fallocate -l $((free - 512))K {FILLER}; \
         dd if=/dev/zero bs=4096 >>{FILLER}"
    );
    if let Err(error) = cluster.engine.exec(&broker.container, None, &["sh", "-c", &script]).await {
        tracing::debug!("the command that filled the disk of broker {} ended early: {error:#}", broker.id);
    }
}

/// The broker's own words, once it has said them.
async fn storage_error(cluster: &Cluster, broker: &Broker, since: i64) -> Result<Option<String>> {
    let deadline = Instant::now() + FAILURE_LIMIT;
    loop {
        let ended = !cluster.engine.state(&broker.container).await?.running;
        let log = cluster.engine.log_since(&broker.container, since).await?;
        let said = log.lines().find(|line| line.contains(STORAGE_ERROR)).map(str::to_owned);
        if said.is_some() || ended || Instant::now() >= deadline {
            return Ok(said);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
