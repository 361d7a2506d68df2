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
        let over_the_cut = |to: &[&Broker]| -> Vec<String> {
            to.iter().flat_map(|to| ports.iter().map(|&port| to.address(port))).collect()
        };
        let beside_it = broker.address(HARNESS_PORT);
        let mut open = answered(cluster, broker.id, &over_the_cut(&outside)).await?;
        let mut beside = true;
        let inwards = [over_the_cut(&[broker]), vec![beside_it.clone()]].concat();
        for found in try_join_all(outside.iter().map(|peer| answered(cluster, peer.id, &inwards))).await? {
            beside &= found.contains(&beside_it);
            open.extend(found.into_iter().filter(|address| *address != beside_it));
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

/// Which of these addresses answer a TCP connection from a broker's namespace within 400 ms, by
/// acceptance or refusal: both show that packets pass.
async fn answered(cluster: &Cluster, from: i32, addresses: &[String]) -> Result<Vec<String>> {
    let probes: Vec<String> = addresses
        .iter()
        .map(|address| {
            let path = address.replace(':', "/");
            format!("{{ timeout 0.4 bash -c '</dev/tcp/{path}' 2>/dev/null; [ $? -ne 124 ] && echo {address}; }} &")
        })
        .collect();
    // All at the same time, each a process of its own.
    let printed = cluster.in_namespace(from, &format!("{} wait", probes.join(" "))).await?;
    Ok(printed.lines().map(str::to_owned).collect())
}
