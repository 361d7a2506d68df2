//! `disk_fill`: the broker's data volume is filled to the last block, or up to a mark. It is a small file system
//! of its own, so the host's disk is in no danger.
//!
//! Proof of a full disk: no free block is left, and the broker itself says that it could not write. A combined
//! node keeps its metadata log there too, and so halts (`LogDirFailureChannel`, exit code 1). Proof of a mark:
//! no more than that is free, and what is missing is in the filler.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use super::volume::on_volume;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::NewTopic;
use crate::cluster::{Broker, Cluster};
use crate::fault::Findings;
use crate::fault::broker::kill;

const FILLER: &str = "/data/lossproof-filler";
/// A busy broker needs a block at once.
const BUSY_LIMIT: Duration = Duration::from_secs(3);
const FAILURE_LIMIT: Duration = Duration::from_secs(30);
/// A remainder that no segment or index fits into.
const FULL_KIB: u64 = 64;
const POLL_EVERY: Duration = Duration::from_millis(100);
const HALT_LIMIT: Duration = Duration::from_secs(5);
/// What Kafka logs for ENOSPC, from the JDK's message.
const STORAGE_ERROR: &str = "No space left on device";

/// Fills the disks until only `leave` bytes are free; 0 for not a block.
pub(super) async fn inject(cluster: &Cluster, brokers: &[i32], leave: u64) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let broker = cluster.broker(id)?;
        let (holds, sentence, evidence) = if !cluster.engine.state(&broker.container).await?.running {
            let sentence = format!("broker {id} was not running when its disk should have filled");
            (false, sentence, Value::Null)
        } else if leave == 0 {
            to_the_end(cluster, broker).await?
        } else {
            to_mark(cluster, broker, leave / 1024).await?
        };
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

async fn to_the_end(cluster: &Cluster, broker: &Broker) -> Result<(bool, String, Value)> {
    let id = broker.id;
    // An earlier fault of this container may have left the same words in its log.
    let since = jiff::Timestamp::now().as_second();
    fill(cluster, broker).await;
    let mut error = storage_error(cluster, broker, since, BUSY_LIMIT).await?;
    let idle = error.is_none();
    if idle {
        let mut said = pin!(storage_error(cluster, broker, since, FAILURE_LIMIT));
        error = tokio::select! {
            said = &mut said => said?,
            () = give_partition(cluster, id) => said.await?,
        };
        take_partition(cluster, id).await;
    }
    // It halts a moment after it has said so; whether it does is told, and either is a proof.
    let after = match cluster.engine.ended(&broker.container, HALT_LIMIT).await {
        Ok(ended) => ended,
        Err(_) => cluster.engine.state(&broker.container).await?,
    };
    // A halting broker takes the filling command with it, and tmpfs then takes back what that was about
    // to get; so it is done to the end here. The disk stays full for as long as the fault is held.
    let script = format!(
        "dd if=/dev/zero bs=1M >>{FILLER} 2>/dev/null; dd if=/dev/zero bs=1024 >>{FILLER} 2>/dev/null; \
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
        Some(_) if after.running => {
            (true, format!("broker {id}: disk full ({free_kib} KiB free), it reported the storage error and runs on"))
        }
        Some(_) => (
            true,
            format!(
                "broker {id}: disk full ({free_kib} KiB free), it reported the storage error and halted with exit code {}",
                after.exit_code
            ),
        ),
    };
    let evidence = json!({
        "free_kib": free_kib, "storage_error": error, "running": after.running, "exit_code": after.exit_code,
        "given_a_partition": idle,
    });
    Ok((holds, sentence, evidence))
}

async fn to_mark(cluster: &Cluster, broker: &Broker, mark_kib: u64) -> Result<(bool, String, Value)> {
    let id = broker.id;
    // More than once, as the broker may free a segment meanwhile.
    let script = format!(
        r#"free() {{ df -Pk /data | awk 'NR==2 {{print $4}}'; }}
before=$(free)
for attempt in 1 2 3 4 5; do
  more=$(($(free) - {mark_kib}))
  [ $more -gt 0 ] || break
  fallocate -o $(stat -c %s {FILLER} 2>/dev/null || echo 0) -l ${{more}}K {FILLER}
done
filler=$(du -k {FILLER} 2>/dev/null | cut -f 1)
echo $before $(free) ${{filler:-0}}"#
    );
    let counts = cluster.engine.exec(&broker.container, None, &["sh", "-c", &script]).await?.success()?;
    let numbers: Vec<u64> = counts.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [before_kib, free_kib, filler_kib] = numbers[..] else {
        bail!("the free space on the disk of broker {id} could not be read: {counts}");
    };
    let (holds, sentence) = if before_kib <= mark_kib {
        (
            false,
            format!("broker {id}: only {before_kib} KiB were free before, which is below the mark of {mark_kib} KiB"),
        )
    } else if free_kib > mark_kib || filler_kib == 0 {
        (false, format!("broker {id}: {free_kib} KiB are free still, above the mark of {mark_kib} KiB"))
    } else {
        (true, format!("broker {id}: {free_kib} KiB of {before_kib} KiB are left free, {filler_kib} KiB are taken"))
    };
    let evidence = json!({
        "free_kib_before": before_kib, "free_kib": free_kib, "mark_kib": mark_kib, "filler_kib": filler_kib,
    });
    Ok((holds, sentence, evidence))
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
         dd if=/dev/zero bs=1024 >>{FILLER}"
    );
    if let Err(error) = cluster.engine.exec(&broker.container, None, &["sh", "-c", &script]).await {
        tracing::debug!("the command that filled the disk of broker {} ended early: {error:#}", broker.id);
    }
}

/// Gives an idle broker something to write, which may otherwise not need a block for minutes: the folder of a
/// partition of its own. Tries again while there is no controller.
async fn give_partition(cluster: &Cluster, broker: i32) {
    let topic = NewTopic { name: probe_topic(broker), assignment: vec![vec![broker]], config: Vec::new() };
    while let Err(error) = with_any(&cluster.harness(), async |wire| wire.create_topic(&topic).await).await {
        if format!("{error:#}").contains("already exists") {
            return;
        }
        tracing::debug!("topic {}: {error:#}", topic.name);
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The broker that halted may have been the controller, and the others elect another one first.
async fn take_partition(cluster: &Cluster, broker: i32) {
    let name = probe_topic(broker);
    let deadline = Instant::now() + FAILURE_LIMIT;
    while let Err(error) = with_any(&cluster.harness(), async |wire| wire.delete_topic(&name).await).await {
        if format!("{error:#}").contains("does not host this topic") {
            return;
        }
        if Instant::now() >= deadline {
            tracing::warn!("topic {name} stays: {error:#}");
            return;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

fn probe_topic(broker: i32) -> String {
    format!("lossproof-probe-disk-{broker}")
}

/// The broker's own words, once it has said them.
async fn storage_error(cluster: &Cluster, broker: &Broker, since: i64, limit: Duration) -> Result<Option<String>> {
    let deadline = Instant::now() + limit;
    loop {
        let ended = !cluster.engine.state(&broker.container).await?.running;
        let log = cluster.engine.log_since(&broker.container, since).await?;
        let said = log.lines().find(|line| line.contains(STORAGE_ERROR)).map(str::to_owned);
        if said.is_some() || ended || Instant::now() >= deadline {
            return Ok(said);
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
