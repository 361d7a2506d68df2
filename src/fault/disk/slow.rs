//! `disk_slow`: the broker's reads from its disk, and its writes that wait for the disk, take as long as on a disk
//! of so many bytes a second: a limit of its cgroup on the loop device of its data volume. With cgroups of
//! version 1 what the kernel writes back later is not the broker's, and not slowed.
//!
//! Proof: the kernel tells the limit, and a flushed write by a process of the broker's container takes as long
//! as the limit says, where the same one was much quicker before. Healed: the kernel tells no limit, and it is quick
//! again. The limit goes with the container, at the latest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use crate::cluster::disks::data_volume;
use crate::cluster::{Broker, Cluster, cgroup};
use crate::fault::Findings;
use crate::fault::broker::kill;

const BLOCK: u64 = 64 << 10;
/// What is written on trial takes a second at the limited rate.
const TRIAL: Duration = Duration::from_secs(1);
/// The kernel grants the first tenths of a second in advance.
const SLOW: Duration = Duration::from_millis(700);
const QUICK: Duration = Duration::from_millis(400);
/// The broker's own writes count against the same limit.
const TRIAL_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn inject(cluster: &Cluster, ids: &[i32], bytes_per_second: u64) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in ids {
        let broker = cluster.broker(id)?;
        if !cluster.engine.state(&broker.container).await?.running {
            let sentence = format!("broker {id} was not running when its disk should have slowed");
            findings.add(id, false, sentence, Value::Null);
            continue;
        }
        let before = trial(cluster, broker, bytes_per_second).await?;
        let told = limit(cluster, broker, Some(bytes_per_second)).await?;
        let after = trial(cluster, broker, bytes_per_second).await?;
        let (before_ms, after_ms) = (before.as_millis(), after.as_millis());
        let (holds, sentence) = if !told.contains(&bytes_per_second.to_string()) {
            (false, format!("broker {id}: the kernel does not tell the limit of its disk"))
        } else if before > QUICK {
            (false, format!("broker {id}: its disk took {before_ms} ms for what the limit grants a second for"))
        } else if after < SLOW {
            (false, format!("broker {id}: a flushed write took {after_ms} ms, where the limit grants a second"))
        } else {
            (true, format!("broker {id}: a flushed write that took {before_ms} ms takes {after_ms} ms"))
        };
        let evidence = json!({ "limit": told, "trial_before_ms": before_ms, "trial_ms": after_ms });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

pub(in crate::fault) async fn heal(cluster: &Cluster, ids: &[i32], bytes_per_second: u64) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in ids {
        let broker = cluster.broker(id)?;
        // One that has ended took its limit along.
        if !cluster.engine.state(&broker.container).await?.running {
            kill::start(cluster, id).await?;
        }
        let told = limit(cluster, broker, None).await?;
        let after = trial(cluster, broker, bytes_per_second).await?;
        let after_ms = after.as_millis();
        let (holds, sentence) = if told.is_empty() && after <= QUICK {
            (true, format!("broker {id}: no limit, a flushed write takes {after_ms} ms again"))
        } else {
            (false, format!("broker {id}: a flushed write still takes {after_ms} ms, limits: {told:?}"))
        };
        findings.add(id, holds, sentence, json!({ "limit": told, "trial_ms": after_ms }));
    }
    Ok(findings.proof())
}

async fn limit(cluster: &Cluster, broker: &Broker, bytes_per_second: Option<u64>) -> Result<String> {
    let session = cluster.session();
    let volume = cluster.engine.api().inspect_volume(&data_volume(session, broker.id)).await?;
    let number = volume.options.get("device").and_then(|device| device.strip_prefix("/dev/loop"));
    let number = number.context("the disk is no loop device")?.parse()?;
    cgroup::limit(&cluster.engine, session, &broker.container, number, bytes_per_second).await
}

/// How long the broker's container takes to write and flush what takes a second at this rate.
async fn trial(cluster: &Cluster, broker: &Broker, bytes_per_second: u64) -> Result<Duration> {
    let blocks = (bytes_per_second * TRIAL.as_secs() / BLOCK).max(1);
    let file = "/data/lossproof-trial";
    let script = format!("dd if=/dev/zero of={file} bs={BLOCK} count={blocks} conv=fsync 2>/dev/null; rm {file}");
    let command = ["sh", "-c", &script];
    let began = Instant::now();
    let write = cluster.engine.exec(&broker.container, None, &command);
    tokio::time::timeout(TRIAL_LIMIT, write).await.context("a flushed write on trial does not end")??.success()?;
    Ok(began.elapsed())
}
