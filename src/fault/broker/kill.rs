//! `kill`: SIGKILL to the broker's process, as by the kernel's OOM killer or a pulled plug of one machine
//! whose page cache survives.
//!
//! Proof: the process that ran is gone, with exit code 137, and its port refuses. A broker that did
//! not run before proves nothing.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use lossproof_ledger::event::Proof;
use serde_json::json;

use crate::cluster::wire::Wire;
use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;
use crate::fault::Findings;

/// Exit code of a process that SIGKILL ended: 128 + 9.
pub(in crate::fault) const KILLED: i64 = 137;
/// How long the engine may take to see a killed process gone.
pub(in crate::fault) const DEATH_LIMIT: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn inject(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let brokers: Vec<&Broker> = brokers.iter().map(|&id| cluster.broker(id)).collect::<Result<_>>()?;
    let before = try_join_all(brokers.iter().map(|broker| cluster.engine.state(&broker.container))).await?;
    // All at the same moment.
    let killed = try_join_all(brokers.iter().map(|broker| cluster.engine.kill(&broker.container, "SIGKILL"))).await?;
    let mut findings = Findings::default();
    for ((broker, before), killed) in brokers.iter().zip(before).zip(killed) {
        let after = cluster.engine.ended(&broker.container, DEATH_LIMIT).await?;
        let refuses = Wire::connect(&broker.address(HARNESS_PORT), Duration::from_secs(1)).await.is_err();
        let id = broker.id;
        let (holds, sentence) = if !before.running || !killed {
            (false, format!("broker {id} was not running when it should have been killed"))
        } else if after.exit_code != KILLED {
            (false, format!("broker {id} ended with exit code {} instead of {KILLED}", after.exit_code))
        } else if !refuses {
            (false, format!("broker {id}'s process is gone, yet its port answers"))
        } else {
            (true, format!("broker {id}: process {} gone by SIGKILL (exit code 137), port refuses", before.pid))
        };
        let evidence = json!({
            "was_running": before.running, "pid": before.pid, "exit_code": after.exit_code, "port_refuses": refuses,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Starts those that do not run. Also the way back from a restart that was interrupted.
pub(in crate::fault) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for (id, outcome) in join_all(brokers.iter().map(async |&id| (id, start(cluster, id).await))).await {
        let (started_at, running) = outcome?;
        let sentence = if running {
            format!("broker {id} runs, started {started_at}")
        } else {
            format!("broker {id} does not stay up")
        };
        findings.add(id, running, sentence, json!({ "running": running, "started_at": started_at }));
    }
    Ok(findings.proof())
}

/// Starts a broker if need be, until its port accepts or its process ends. Gives its start time and whether it runs.
pub(in crate::fault) async fn start(cluster: &Cluster, id: i32) -> Result<(String, bool)> {
    let broker = cluster.broker(id)?;
    cluster.engine.start(&broker.container).await?;
    let accepts = async {
        loop {
            let state = cluster.engine.state(&broker.container).await?;
            let port = Wire::connect(&broker.address(HARNESS_PORT), Duration::from_millis(200)).await;
            if !state.running || port.is_ok() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // A broker that takes longer is still coming up; that it comes back at all is recovery's question.
    if let Ok(outcome) = tokio::time::timeout(START_LIMIT, accepts).await {
        outcome?;
    }
    let state = cluster.engine.state(&broker.container).await?;
    Ok((state.started_at, state.running))
}
