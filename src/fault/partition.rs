//! `partition`: packets between a broker and its peers on some ports are dropped, at both ends, by tc in
//! the holders' network namespaces. Clients and the harness still reach everyone.
//!
//! Proof: the brokers' own packets met the rule (its drop counter rose before lossproof probed anything),
//! a new connection over the cut is not answered, and one beside it is. A cut on a port that nothing
//! uses drops nothing, and so proves nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::tc::{self, Plan};
use super::{Findings, brokers_of};
use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;

/// Followers fetch at least twice a second (`replica.fetch.wait.max.ms` is 500), controllers too.
const TRAFFIC_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn inject(cluster: &Cluster, isolated: &[i32], ports: &[u16]) -> Result<Proof> {
    let (inside, outside): (Vec<&Broker>, Vec<&Broker>) =
        cluster.brokers.iter().partition(|broker| isolated.contains(&broker.id));
    let plan =
        |peers: &[&Broker]| Plan { peers: peers.iter().map(|peer| peer.ip.clone()).collect(), ports: ports.to_vec() };
    let mut lines: Vec<(i32, String)> = Vec::new();
    lines.extend(inside.iter().map(|broker| (broker.id, plan(&outside).apply())));
    lines.extend(outside.iter().map(|broker| (broker.id, plan(&inside).apply())));
    try_join_all(lines.iter().map(|(id, line)| cluster.in_namespace(*id, line))).await?;

    let mut findings = Findings::default();
    for broker in &inside {
        let dropped = first_drops(cluster, broker.id).await?;
        let mut open = Vec::new();
        for peer in &outside {
            for &port in ports {
                if connects(cluster, broker.id, peer, port).await? {
                    open.push(format!("{} port {port}", peer.id));
                }
                if connects(cluster, peer.id, broker, port).await? {
                    open.push(format!("{} port {port} from {}", broker.id, peer.id));
                }
            }
        }
        let mut beside = true;
        for peer in &outside {
            beside &= connects(cluster, peer.id, broker, HARNESS_PORT).await?;
        }
        let id = broker.id;
        let whom = brokers_of(&outside.iter().map(|peer| peer.id).collect::<Vec<_>>());
        let (holds, sentence) = if outside.is_empty() {
            (false, format!("broker {id} has no peers to be cut off from"))
        } else if dropped == 0 {
            (false, format!("broker {id}: not one of its packets met the cut on {ports:?} in {TRAFFIC_LIMIT:?}"))
        } else if !open.is_empty() {
            (false, format!("broker {id}: the cut leaks, it still connects to {}", open.join(", ")))
        } else if !beside {
            (false, format!("broker {id}: the cut takes more than it should, port {HARNESS_PORT} is blocked too"))
        } else {
            (
                true,
                format!(
                    "broker {id}: cut off from {whom} on ports {ports:?}, packets are dropped, probes over the cut blocked and beside it answered"
                ),
            )
        };
        let evidence = json!({ "dropped_before_probe": dropped, "leaks": open, "beside_answers": beside });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

pub(super) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut dropped = Vec::new();
    for &id in brokers {
        dropped.push(tc::dropped(&cluster.in_namespace(id, tc::STATISTICS).await?));
    }
    let qdiscs = try_join_all(brokers.iter().map(|&id| cluster.in_namespace(id, tc::CLEAR))).await?;
    let mut findings = Findings::default();
    for ((&id, qdiscs), dropped) in brokers.iter().zip(&qdiscs).zip(dropped) {
        let gone = !qdiscs.contains("htb");
        let sentence = match (gone, dropped) {
            (true, Some(dropped)) => format!("broker {id}: rule removed after {dropped} dropped packets"),
            (true, None) => format!("broker {id}: no rule was there"),
            (false, _) => format!("broker {id}: the rule is still there: {}", qdiscs.trim()),
        };
        findings.add(id, gone, sentence, json!({ "qdiscs": qdiscs.trim(), "dropped": dropped }));
    }
    Ok(findings.proof())
}

/// Packets dropped at a broker, as soon as there are any.
async fn first_drops(cluster: &Cluster, broker: i32) -> Result<u64> {
    let deadline = Instant::now() + TRAFFIC_LIMIT;
    loop {
        let dropped = tc::dropped(&cluster.in_namespace(broker, tc::STATISTICS).await?).unwrap_or(0);
        if dropped > 0 || Instant::now() >= deadline {
            return Ok(dropped);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a TCP connection from one broker's namespace to another broker is answered within 300 ms,
/// by acceptance or refusal: both show that packets pass.
async fn connects(cluster: &Cluster, from: i32, to: &Broker, port: u16) -> Result<bool> {
    let line = format!("timeout 0.3 bash -c '</dev/tcp/{}/{port}'; [ $? -ne 124 ] && echo answered; true", to.ip);
    Ok(cluster.in_namespace(from, &line).await?.contains("answered"))
}
