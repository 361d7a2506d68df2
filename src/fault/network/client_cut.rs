//! `partition … from: clients`: packets between a broker's own listener and all that is no broker are dropped,
//! what it sends and what it receives, by its side alone: clients run on the host, whose rules are not touched.
//! Brokers and the harness still reach it, so that it keeps its leaderships and nothing is elected.
//!
//! Proof: clients' packets met the rule (its drop counter rose before lossproof probed anything), a new
//! connection from this host to the cut listener is not answered, and one to the harness's listener, and one
//! from another broker to the cut listener, are.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use ipnet::Ipv4Net;
use lossproof_ledger::event::Proof;
use serde_json::json;
use tokio::net::TcpStream;

use super::partition::{TRAFFIC_LIMIT, answered, first_drops, host};
use crate::experiment::HARNESS_PORT;
use crate::fault::net::{Action, Direction, Effect, End, Scope};
use crate::fault::{Findings, World};

const ANSWER_LIMIT: Duration = Duration::from_millis(400);

pub(super) async fn inject(world: World<'_>, fault: usize, isolated: &[i32], ports: &[u16]) -> Result<Proof> {
    let World { cluster, network } = world;
    let except = cluster.brokers.iter().map(host).collect::<Result<Vec<_>>>()?;
    let everybody = Ipv4Net::default();
    let scope =
        Scope { direction: Direction::Both, peers: vec![everybody], except, ports: ports.to_vec(), end: End::Own };
    let cut = Effect { action: Action::Cut, scopes: vec![scope] };
    let cuts: BTreeMap<i32, Effect> = isolated.iter().map(|&id| (id, cut.clone())).collect();
    network.put(cluster, fault, &cuts, true).await?;

    let mut findings = Findings::default();
    for &id in isolated {
        let broker = cluster.broker(id)?;
        let dropped = first_drops(world, fault, id).await?;
        let listeners: Vec<String> = ports.iter().map(|&port| broker.address(port)).collect();
        let probed = join_all(listeners.iter().map(|address| answers(address))).await;
        let leaks: Vec<&String> =
            listeners.iter().zip(probed).filter(|(_, open)| *open).map(|(address, _)| address).collect();
        let beside = answers(&broker.address(HARNESS_PORT)).await;
        let mut by_brokers = true;
        for peer in cluster.brokers.iter().filter(|peer| peer.id != id) {
            by_brokers &= answered(cluster, peer.id, &listeners).await?.len() == listeners.len();
        }
        let (holds, sentence) = if dropped == 0 {
            (false, format!("broker {id}: not one packet of a client met the cut on {ports:?} in {TRAFFIC_LIMIT:?}"))
        } else if !leaks.is_empty() {
            (false, format!("broker {id}: the cut leaks, {leaks:?} answers"))
        } else if !beside || !by_brokers {
            (false, format!("broker {id}: the cut takes more than clients from it"))
        } else {
            let what = "packets are dropped, a probe over the cut blocked, and probes by brokers and harness answered";
            (true, format!("broker {id}: cut off from clients on ports {ports:?}, {what}"))
        };
        let evidence = json!({
            "dropped_before_probe": dropped, "leaks": leaks, "harness_answers": beside, "brokers_answered": by_brokers,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Whether a connection from this host is answered, by acceptance or refusal: both show that packets pass.
async fn answers(address: &str) -> bool {
    tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(address)).await.is_ok()
}
