//! `pause`: all processes of the broker are frozen by the engine (cgroup freezer), as by a long
//! garbage collection or a stopped virtual machine. Its kernel goes on accepting connections.
//!
//! Proof: it answered before; now the engine calls it paused, its port still accepts, and a request is
//! not answered. Healed: it answers again, as the same process.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use lossproof_ledger::event::Proof;
use serde_json::json;

use crate::cluster::wire::Wire;
use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;
use crate::fault::Findings;

/// A broker that is well answers in milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// One that wakes up has a backlog.
const THAW_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn inject(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let brokers: Vec<&Broker> = brokers.iter().map(|&id| cluster.broker(id)).collect::<Result<_>>()?;
    let before = join_all(brokers.iter().map(|broker| answers(broker, ANSWER_LIMIT))).await;
    // All at the same moment.
    let frozen = try_join_all(brokers.iter().map(|broker| cluster.engine.pause(&broker.container))).await?;
    let after = join_all(brokers.iter().map(|broker| answers(broker, ANSWER_LIMIT))).await;
    let mut findings = Findings::default();
    for (n, broker) in brokers.iter().enumerate() {
        let id = broker.id;
        let state = cluster.engine.state(&broker.container).await?;
        let accepts = Wire::connect(&broker.address(HARNESS_PORT), ANSWER_LIMIT).await.is_ok();
        let (holds, sentence) = if !before[n] || !frozen[n] {
            (false, format!("broker {id} did not answer when it should have been frozen"))
        } else if !state.paused {
            (false, format!("broker {id} is not frozen, the engine says"))
        } else if after[n] {
            (false, format!("broker {id} is frozen, the engine says, and yet answers"))
        } else {
            let port = if accepts { "accepts" } else { "refuses" };
            (true, format!("broker {id}: process {} frozen, its port {port} and nothing answers", state.pid))
        };
        let evidence = json!({
            "answered_before": before[n], "paused": state.paused, "pid": state.pid, "answers": after[n], "accepts": accepts,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

pub(in crate::fault) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for &id in brokers {
        let broker = cluster.broker(id)?;
        cluster.engine.unpause(&broker.container).await?;
    }
    for &id in brokers {
        let broker = cluster.broker(id)?;
        let answers = answers(broker, THAW_LIMIT).await;
        let state = cluster.engine.state(&broker.container).await?;
        let sentence = match (state.paused, state.running, answers) {
            (true, ..) => format!("broker {id} is still frozen"),
            (_, false, _) => format!("broker {id} runs no more, exit code {}", state.exit_code),
            (_, _, false) => format!("broker {id}: process {} thawed, no answer in {THAW_LIMIT:?}", state.pid),
            _ => format!("broker {id}: process {} thawed, it answers", state.pid),
        };
        // A broker that takes long to answer is recovery's question.
        let evidence =
            json!({ "paused": state.paused, "running": state.running, "pid": state.pid, "answers": answers });
        findings.add(id, state.running && !state.paused, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Whether a broker answers a request.
async fn answers(broker: &Broker, limit: Duration) -> bool {
    let ask = async { Wire::connect(&broker.address(HARNESS_PORT), limit).await?.view(Some(&[])).await };
    matches!(tokio::time::timeout(limit, ask).await, Ok(Ok(_)))
}
