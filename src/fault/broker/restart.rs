//! `restart`: orderly stop and start of one broker after another, as a managed patch does it.
//!
//! Proof, for each broker: it ended by SIGTERM within its grace (not by the SIGKILL after it), and runs
//! again with a new start time; between two, all replicas were in sync again if that was asked for.

use std::time::{Duration, Instant};

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::kill;
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
        let container = &cluster.broker(id)?.container;
        let before = cluster.engine.state(container).await?;
        let began = Instant::now();
        note(format!("broker {id} is asked to stop"));
        cluster.engine.stop(container, GRACE).await?;
        let after = cluster.engine.ended(container, GRACE).await?;
        let stopping_ms = began.elapsed().as_millis();
        note(format!("broker {id} has stopped, exit code {}, after {stopping_ms} ms", after.exit_code));
        // How long it stays down is the experiment's choice, not a wait for something.
        tokio::time::sleep(down_for).await;
        let (started_at, running) = kill::start(cluster, id).await?;

        let mut in_sync = None;
        if wait == RestartWait::InSync {
            let result = readiness::settled(&cluster.harness(), gone, IN_SYNC_LIMIT).await;
            let text = match &result {
                Ok(()) => format!(
                    "broker {id} is back, all replicas in sync {} ms after the call",
                    began.elapsed().as_millis()
                ),
                Err(reason) => format!("broker {id}: replicas are not in sync again {reason}"),
            };
            note(text);
            in_sync = Some(result.is_ok());
        }
        let orderly = before.running && matches!(after.exit_code, TERMINATED | 0);
        let renewed = running && started_at != before.started_at;
        let sentence = if !before.running {
            format!("broker {id} was not running when it should have been restarted")
        } else if !orderly {
            format!("broker {id} ended with exit code {} instead of an orderly {TERMINATED}", after.exit_code)
        } else if !renewed {
            format!("broker {id} did not start again")
        } else if in_sync == Some(false) {
            format!("broker {id} restarted, but replicas did not come back in sync within {IN_SYNC_LIMIT:?}")
        } else {
            format!("broker {id} stopped in order (exit code {}) and started again", after.exit_code)
        };
        let evidence = json!({
            "was_running": before.running, "exit_code": after.exit_code, "stopping_ms": stopping_ms,
            "started_before": before.started_at, "started_after": started_at, "in_sync_again": in_sync,
        });
        findings.add(id, orderly && renewed && in_sync != Some(false), sentence, evidence);
    }
    Ok(findings.proof())
}
