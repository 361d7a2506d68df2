//! `restart`: orderly stop and start of one broker after another, as a managed patch does it.
//!
//! Proof, for each broker: it ended by SIGTERM within its grace (not by the SIGKILL after it), and runs
//! again with a new start time; between two, all replicas were in sync again if that was asked for.

use std::time::{Duration, Instant};

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use super::kill::{self, Started};
use crate::cluster::engine::ContainerState;
use crate::cluster::{Cluster, readiness};
use crate::experiment::RestartWait;
use crate::fault::{Findings, Notes};

/// Controlled shutdown moves leaders first, and may take minutes (`controlled.shutdown.*`).
const GRACE: Duration = Duration::from_secs(300);
const IN_SYNC_LIMIT: Duration = Duration::from_secs(120);
/// A JVM that SIGTERM ended (128 + 15), after its shutdown hooks.
const TERMINATED: i64 = 143;

pub(super) async fn inject(
    cluster: &Cluster,
    brokers: &[i32],
    gone: &[i32],
    down_for: Duration,
    wait: RestartWait,
    note: Notes<'_>,
) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let began = Instant::now();
        let stopped = stop(cluster, id, note).await?;
        // How long it stays down is the experiment's choice, not a wait for something.
        tokio::time::sleep(down_for).await;
        let started = kill::start(cluster, id).await?;
        let in_sync = match wait {
            RestartWait::InSync => Some(in_sync(cluster, id, gone, began, note).await),
            RestartWait::None => None,
        };
        let (holds, sentence) = match failure(id, &stopped, &started, in_sync) {
            Some(failure) => (false, failure),
            None => (true, format!("broker {id} stopped in order (exit code {}) and started again", stopped.exit_code)),
        };
        findings.add(id, holds, sentence, evidence(&stopped, &started, in_sync));
    }
    Ok(findings.proof())
}

/// How a broker that was asked to stop did so.
pub(super) struct Stopped {
    /// How it was before.
    before: ContainerState,
    /// Of its process.
    pub exit_code: i64,
    took: Duration,
}

impl Stopped {
    fn in_order(&self) -> bool {
        self.before.running && matches!(self.exit_code, TERMINATED | 0)
    }
}

/// Stops a broker in order (controlled shutdown).
pub(super) async fn stop(cluster: &Cluster, id: i32, note: Notes<'_>) -> Result<Stopped> {
    let container = &cluster.broker(id)?.container;
    let before = cluster.engine.state(container).await?;
    let began = Instant::now();
    note(format!("broker {id} is asked to stop"));
    cluster.engine.stop(container, GRACE).await?;
    let exit_code = cluster.engine.ended(container, GRACE).await?.exit_code;
    let took = began.elapsed();
    note(format!("broker {id} has stopped, exit code {exit_code}, after {} ms", took.as_millis()));
    Ok(Stopped { before, exit_code, took })
}

/// Waits until all replicas are in sync again after a broker was started.
pub(super) async fn in_sync(cluster: &Cluster, id: i32, gone: &[i32], began: Instant, note: Notes<'_>) -> bool {
    let result = readiness::settled(&cluster.harness(), gone, IN_SYNC_LIMIT).await;
    note(match &result {
        Ok(()) => {
            format!("broker {id} is back, all replicas in sync {} ms after the call", began.elapsed().as_millis())
        }
        Err(reason) => format!("broker {id}: replicas are not in sync again {reason}"),
    });
    result.is_ok()
}

/// What was not as it should be of a broker that was stopped and started; none if all was.
pub(super) fn failure(id: i32, stopped: &Stopped, started: &Started, in_sync: Option<bool>) -> Option<String> {
    if !stopped.before.running {
        Some(format!("broker {id} was not running when it should have been restarted"))
    } else if !stopped.in_order() {
        Some(format!("broker {id} ended with exit code {} instead of an orderly {TERMINATED}", stopped.exit_code))
    } else if let Some(end) = &started.ended {
        Some(format!("broker {id} does not stay up: {end}"))
    } else if started.at == stopped.before.started_at {
        Some(format!("broker {id} did not start again"))
    } else if in_sync == Some(false) {
        Some(format!("broker {id} restarted, but replicas did not come back in sync within {IN_SYNC_LIMIT:?}"))
    } else {
        None
    }
}

/// What a proof keeps of a broker that was stopped and started.
pub(super) fn evidence(stopped: &Stopped, started: &Started, in_sync: Option<bool>) -> Value {
    json!({
        "was_running": stopped.before.running, "exit_code": stopped.exit_code,
        "stopping_ms": stopped.took.as_millis(), "started_before": stopped.before.started_at,
        "started_after": started.at, "in_sync_again": in_sync,
    })
}
