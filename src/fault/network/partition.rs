//! `partition … from: brokers`: packets between a broker and its peers on some ports are dropped, at both ends,
//! by tc in the holders' network namespaces. Clients and the harness still reach everyone.
//!
//! Proof: the brokers' own packets met the rule (its drop counter rose before lossproof probed anything),
//! a new connection over the cut is not answered, and one beside it is. A cut on a port that nothing
//! uses drops nothing, and so proves nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use ipnet::Ipv4Net;
use lossproof_ledger::event::Proof;
use serde_json::json;

use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;
use crate::fault::net::{Action, Direction, Effect, End, Scope};
use crate::fault::{Findings, World, brokers_of};

/// Followers fetch at least twice a second (`replica.fetch.wait.max.ms` is 500), controllers too.
pub(super) const TRAFFIC_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn inject(world: World<'_>, fault: usize, isolated: &[i32], ports: &[u16]) -> Result<Proof> {
    let World { cluster, network } = world;
    let (inside, outside): (Vec<&Broker>, Vec<&Broker>) =
        cluster.brokers.iter().partition(|broker| isolated.contains(&broker.id));
    let mut cuts = BTreeMap::new();
    for (brokers, peers) in [(&inside, &outside), (&outside, &inside)] {
        for broker in brokers {
            cuts.insert(broker.id, cut_from(peers, ports)?);
        }
    }
    if inside.is_empty() || outside.is_empty() {
        // Nobody to cut off: found below.
        cuts.clear();
    }
    network.put(cluster, fault, &cuts, true).await?;

    let mut findings = Findings::default();
    for broker in &inside {
        let dropped = first_drops(world, fault, broker.id).await?;
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

/// What a broker does not send to these peers: at either end of a connection on one of the ports.
fn cut_from(peers: &[&Broker], ports: &[u16]) -> Result<Effect> {
    let peers = peers.iter().map(|peer| host(peer)).collect::<Result<_>>()?;
    let scope = Scope { direction: Direction::To, peers, except: vec![], ports: ports.to_vec(), end: End::Either };
    Ok(Effect { action: Action::Cut, scopes: vec![scope] })
}

/// A broker's address, as a network of one.
pub(super) fn host(broker: &Broker) -> Result<Ipv4Net> {
    Ok(Ipv4Net::from(broker.ip.parse::<Ipv4Addr>()?))
}

/// Takes the rules off. Others, of other faults, stay.
pub(in crate::fault) async fn heal(world: World<'_>, fault: usize, brokers: &[i32]) -> Result<Proof> {
    let World { cluster, network } = world;
    // Unreadable counters tell nothing; then what stands must become less.
    let counters = network.counters(cluster, fault).await.ok();
    let mut before = Vec::new();
    for &id in brokers {
        before.push(network.standing(cluster, id).await?);
    }
    if let Err(error) = network.take_off(cluster, fault).await {
        tracing::warn!("network rules: {error:#}");
    }
    let mut findings = Findings::default();
    for (&id, before) in brokers.iter().zip(before) {
        let after = network.standing(cluster, id).await?;
        let counted = counters.as_ref().map(|counters| counters.get(&id).map(|counters| counters.dropped));
        let dropped = counted.flatten();
        let gone = after.queues == 0 || counted == Some(None) || after.queues < before.queues;
        let others =
            if gone && after.queues > 0 { format!(", {} of other faults stay", after.queues) } else { String::new() };
        let sentence = match (gone, dropped) {
            (true, Some(dropped)) => format!("broker {id}: rule removed after {dropped} dropped packets{others}"),
            (true, None) => format!("broker {id}: no rule was there{others}"),
            (false, _) => format!("broker {id}: {} rules are still there", after.queues),
        };
        findings.add(id, gone, sentence, json!({ "rules": after.queues, "dropped": dropped }));
    }
    Ok(findings.proof())
}

/// Packets dropped at a broker, as soon as there are any.
pub(super) async fn first_drops(world: World<'_>, fault: usize, broker: i32) -> Result<u64> {
    let World { cluster, network } = world;
    let deadline = Instant::now() + TRAFFIC_LIMIT;
    loop {
        let counters = network.counters(cluster, fault).await?;
        let dropped = counters.get(&broker).map_or(0, |counters| counters.dropped);
        if dropped > 0 || Instant::now() >= deadline {
            return Ok(dropped);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Which of these addresses answer a TCP connection from a broker's namespace within 400 ms, by
/// acceptance or refusal: both show that packets pass.
pub(super) async fn answered(cluster: &Cluster, from: i32, addresses: &[String]) -> Result<Vec<String>> {
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
