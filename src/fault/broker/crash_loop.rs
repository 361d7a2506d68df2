//! `crash_loop`: a broker that dies again and again a while after each start, as one that the kernel's
//! OOM killer finds whenever it has warmed up.
//!
//! Proof, for each broker: as many processes as asked for ran, each another one, and each ended with exit
//! code 137.

use std::time::Duration;

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::kill::{DEATH_LIMIT, KILLED};
use crate::cluster::Cluster;
use crate::fault::{Findings, Notes};

/// How long each life and the time after it last.
#[derive(Clone, Copy)]
pub(super) struct Rhythm {
    pub times: u32,
    pub up: Duration,
    pub down: Duration,
}

/// Each broker in its own rhythm, side by side; ends with all of them down for the last time.
pub(super) async fn inject(cluster: &Cluster, brokers: &[i32], rhythm: Rhythm, note: Notes<'_>) -> Result<Proof> {
    let loops = brokers.iter().map(|&id| one(cluster, id, rhythm, note));
    let mut findings = Findings::default();
    for (&id, deaths) in brokers.iter().zip(futures_util::future::try_join_all(loops).await?) {
        let killed = deaths.iter().filter(|death| death.exit_code == KILLED).count();
        let mut pids: Vec<i64> = deaths.iter().map(|death| death.pid).collect();
        pids.dedup();
        let times = rhythm.times as usize;
        let (holds, sentence) = if deaths.len() < times {
            (
                false,
                format!("broker {id} ran {} times only when it should have been killed {times} times", deaths.len()),
            )
        } else if killed < times || pids.len() < times {
            (false, format!("broker {id}: {killed} of {times} deaths by SIGKILL, {} processes", pids.len()))
        } else {
            (true, format!("broker {id}: {times} processes gone one after the other by SIGKILL (exit code 137)"))
        };
        let evidence: Vec<_> =
            deaths.iter().map(|death| json!({ "pid": death.pid, "exit_code": death.exit_code })).collect();
        findings.add(id, holds, sentence, json!({ "deaths": evidence }));
    }
    Ok(findings.proof())
}

struct Death {
    pid: i64,
    exit_code: i64,
}

/// The deaths of one broker, up to the first time that there was none to die.
async fn one(cluster: &Cluster, id: i32, rhythm: Rhythm, note: Notes<'_>) -> Result<Vec<Death>> {
    let container = &cluster.broker(id)?.container;
    let mut deaths = Vec::new();
    for round in 1..=rhythm.times {
        let born = Instant::now();
        if round > 1 {
            cluster.engine.start(container).await?;
            sleep_until(born + rhythm.up).await;
        }
        let before = cluster.engine.state(container).await?;
        if !before.running || !cluster.engine.kill(container, "SIGKILL").await? {
            break;
        }
        let after = cluster.engine.ended(container, DEATH_LIMIT).await?;
        note(format!("broker {id}: death {round} of {}, exit code {}", rhythm.times, after.exit_code));
        deaths.push(Death { pid: before.pid, exit_code: after.exit_code });
        tokio::time::sleep(rhythm.down).await;
    }
    Ok(deaths)
}
