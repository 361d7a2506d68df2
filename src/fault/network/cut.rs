//! `partition`: packets between some brokers, or between brokers and clients, are dropped by tc in the holders'
//! network namespaces. Between brokers each end drops what it sends, so that every pair can be cut one way or both;
//! towards clients, who run on a host whose rules are not touched, the broker's own end drops both.
//!
//! Proof, for each broker that is hit: packets of its own or its peers' met the rule (the drop counter rose before
//! lossproof probed anything), new connections over the cut are not answered, datagrams pass just the ways that are
//! not cut, and connections beside it (the harness's listener, brokers that are not cut off) are answered. A cut
//! on a port that nothing uses drops nothing, and so proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use ipnet::Ipv4Net;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::probe::{answered, answers_host, passes};
use super::{Ground, Node, direction};
use crate::experiment::{Cut, HARNESS_PORT, Shape, Way};
use crate::fault::net::{Action, Direction, Effect, End, Namespaces, Scope};
use crate::fault::{Findings, Target, brokers_of};

/// Followers fetch at least twice a second (`replica.fetch.wait.max.ms` is 500), controllers too.
pub(super) const TRAFFIC_LIMIT: Duration = Duration::from_secs(5);

/// What is dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    /// Who sends to whom in vain.
    pairs: BTreeSet<(i32, i32)>,
    /// Whose clients are cut off, and which way.
    clients: BTreeMap<i32, Direction>,
}

impl Drops {
    pub(super) fn of(cut: &Cut, target: &Target) -> Self {
        let mut drops = Self::default();
        let Target { brokers, peers, .. } = target;
        match &cut.shape {
            Shape::Isolate { from, way, .. } => {
                for (&broker, &peer) in brokers.iter().flat_map(|broker| peers.iter().map(move |peer| (broker, peer))) {
                    if *way != Way::In {
                        drops.pairs.insert((broker, peer));
                    }
                    if *way != Way::Out {
                        drops.pairs.insert((peer, broker));
                    }
                }
                if from.has_clients() {
                    drops.clients.extend(brokers.iter().map(|&broker| (broker, direction(*way))));
                }
            }
            Shape::Bridge(_) => {
                let each = brokers.iter().flat_map(|one| brokers.iter().map(move |other| (*one, *other)));
                drops.pairs.extend(each.filter(|(one, other)| one != other));
            }
            Shape::Ring(_) => {
                let next = brokers.iter().cycle().skip(1);
                drops.pairs.extend(brokers.iter().zip(next).map(|(&broker, &next)| (next, broker)));
            }
        }
        drops
    }

    pub(super) fn effects<N>(&self, ground: &Ground<'_, N>, ports: &[u16]) -> Result<BTreeMap<i32, Effect>> {
        let mut effects: BTreeMap<i32, Effect> = BTreeMap::new();
        let mut add = |broker: i32, scope: Scope| {
            let none = || Effect { action: Action::Cut, scopes: Vec::new() };
            effects.entry(broker).or_insert_with(none).scopes.push(scope);
        };
        for node in &ground.nodes {
            let to = self.pairs.iter().filter(|(from, _)| *from == node.id);
            let peers = to.map(|(_, to)| Ok(ground.node(*to)?.net())).collect::<Result<Vec<_>>>()?;
            if !peers.is_empty() {
                let (direction, except) = (Direction::To, Vec::new());
                add(node.id, Scope { direction, peers, except, ports: ports.to_vec(), end: End::Either });
            }
            if let Some(&direction) = self.clients.get(&node.id) {
                add(node.id, clients_of(ground, direction, ports));
            }
        }
        Ok(effects)
    }

    /// Brokers whose rules drop packets that this one sends or is sent: its own, or else its peers'.
    pub(super) fn rules_for(&self, broker: i32) -> Vec<i32> {
        if self.clients.contains_key(&broker) || self.pairs.iter().any(|(from, _)| *from == broker) {
            return vec![broker];
        }
        self.pairs.iter().filter(|(_, to)| *to == broker).map(|(from, _)| *from).collect()
    }

    fn between(&self, one: i32, other: i32) -> bool {
        self.pairs.contains(&(one, other)) || self.pairs.contains(&(other, one))
    }
}

/// Connections of everybody who is no broker with a broker's own listeners.
pub(super) fn clients_of<N>(ground: &Ground<'_, N>, direction: Direction, ports: &[u16]) -> Scope {
    Scope {
        direction,
        peers: vec![Ipv4Net::default()],
        except: ground.nodes.iter().map(Node::net).collect(),
        ports: ports.to_vec(),
        end: End::Own,
    }
}

pub(super) async fn inject<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    cut: &Cut,
    target: &Target,
) -> Result<Proof> {
    let drops = Drops::of(cut, target);
    let ports = &cut.ports.numbers;
    ground.network.put(ground.namespaces, index, &drops.effects(ground, ports)?, true).await?;
    // Before anything is probed.
    let dropped =
        try_join_all(target.brokers.iter().map(|&id| first_drops(ground, index, drops.rules_for(id)))).await?;
    let seen = Survey::take(ground, index, ports, &drops).await?;
    let mut findings = Findings::default();
    for (&id, dropped) in target.brokers.iter().zip(dropped) {
        let found = Found::at(ground, id, dropped, ports, &drops, &seen).await?;
        found.tell(id, &drops, ports, &mut findings);
    }
    Ok(findings.proof())
}

/// What passes between brokers.
struct Survey {
    /// Addresses that answer connections, by who asks.
    answered: BTreeMap<i32, Vec<String>>,
    /// From whom to whom datagrams pass, of those pairs that are cut at least one way.
    datagrams: BTreeSet<(i32, i32)>,
    /// Brokers at which other network faults stand, and close what this one leaves open.
    disturbed: Vec<i32>,
}

impl Survey {
    async fn take<N: Namespaces>(ground: &Ground<'_, N>, index: usize, ports: &[u16], drops: &Drops) -> Result<Self> {
        let asked = ground.nodes.iter().map(async |from| {
            let others = ground.nodes.iter().filter(|to| to.id != from.id);
            let all = others.flat_map(|to| ports.iter().chain([&HARNESS_PORT]).map(|&port| to.address(port)));
            let found = answered(ground.namespaces, from.id, &all.collect::<Vec<_>>()).await?;
            anyhow::Ok((from.id, found))
        });
        let answered = try_join_all(asked).await?.into_iter().collect();
        let mut datagrams = BTreeSet::new();
        // In each round everybody sends to another one, so that who counts knows who sent.
        for round in 1..ground.nodes.len() {
            let receivers = ground.nodes.iter().cycle().skip(round);
            let pairs = ground.nodes.iter().zip(receivers).filter(|(from, to)| drops.between(from.id, to.id));
            let passed = pairs.map(async |(from, to)| {
                anyhow::Ok(passes(ground, *from, *to, ports[0]).await?.then_some((from.id, to.id)))
            });
            datagrams.extend(try_join_all(passed).await?.into_iter().flatten());
        }
        Ok(Self { answered, datagrams, disturbed: ground.network.with_others(index).await })
    }
}

/// What was seen of a cut at one broker.
struct Found {
    /// Packets that had met the rule before anything was probed.
    dropped: u64,
    /// Ways over the cut that are open.
    leaks: Vec<String>,
    /// Ways beside it that are closed.
    closed: Vec<String>,
}

impl Found {
    async fn at<N: Namespaces>(
        ground: &Ground<'_, N>,
        id: i32,
        dropped: u64,
        ports: &[u16],
        drops: &Drops,
        seen: &Survey,
    ) -> Result<Self> {
        let broker = ground.node(id)?;
        let mut found = Self { dropped, leaks: Vec::new(), closed: Vec::new() };
        for peer in ground.nodes.iter().filter(|peer| peer.id != id) {
            for (from, to) in [(&broker, peer), (peer, &broker)] {
                let answered = |port: u16| seen.answered[&from.id].contains(&to.address(port));
                let way = |port: u16| format!("{} to {}", from.id, to.address(port));
                if !answered(HARNESS_PORT) {
                    found.closed.push(way(HARNESS_PORT));
                }
                let undisturbed = !seen.disturbed.contains(&from.id) && !seen.disturbed.contains(&to.id);
                // A connection needs both ways.
                if !drops.between(from.id, to.id) {
                    if undisturbed {
                        found.closed.extend(ports.iter().filter(|&&port| !answered(port)).map(|&port| way(port)));
                    }
                    continue;
                }
                found.leaks.extend(ports.iter().filter(|&&port| answered(port)).map(|&port| way(port)));
                let pair = (from.id, to.id);
                let datagrams = format!("datagrams {} to {}", from.id, to.id);
                match (seen.datagrams.contains(&pair), drops.pairs.contains(&pair)) {
                    (true, true) => found.leaks.push(datagrams),
                    (false, false) if undisturbed => found.closed.push(datagrams),
                    _ => {}
                }
            }
        }
        let listeners: Vec<String> = ports.iter().map(|&port| broker.address(port)).collect();
        let from_host = join_all(listeners.iter().map(|address| answers_host(address))).await;
        for (address, open) in listeners.iter().zip(from_host) {
            match (open, drops.clients.contains_key(&id)) {
                (true, true) => found.leaks.push(format!("a client to {address}")),
                (false, false) if !seen.disturbed.contains(&id) => {
                    found.closed.push(format!("a client to {address}"));
                }
                _ => {}
            }
        }
        let harness = broker.address(HARNESS_PORT);
        if !answers_host(&harness).await {
            found.closed.push(format!("the harness to {harness}"));
        }
        Ok(found)
    }

    fn tell(self, id: i32, drops: &Drops, ports: &[u16], findings: &mut Findings) {
        let peers: Vec<i32> = drops.pairs.iter().filter(|(from, to)| *from == id || *to == id).fold(
            Vec::new(),
            |mut peers, (from, to)| {
                let peer = if *from == id { *to } else { *from };
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
                peers
            },
        );
        let mut whom: Vec<String> = (!peers.is_empty()).then(|| brokers_of(&peers)).into_iter().collect();
        whom.extend(drops.clients.contains_key(&id).then(|| "clients".to_owned()));
        let whom = whom.join(" and ");
        let Self { dropped, leaks, closed } = self;
        let (holds, sentence) = if whom.is_empty() {
            (false, format!("broker {id} has nobody to be cut off from"))
        } else if dropped == 0 {
            (false, format!("broker {id}: not one packet met the cut on {ports:?} in {TRAFFIC_LIMIT:?}"))
        } else if !leaks.is_empty() {
            (false, format!("broker {id}: the cut leaks, open: {}", leaks.join(", ")))
        } else if !closed.is_empty() {
            (false, format!("broker {id}: the cut takes more than it should, closed: {}", closed.join(", ")))
        } else {
            let seen = "packets are dropped, probes over the cut blocked and beside it answered";
            (true, format!("broker {id}: cut off from {whom} on ports {ports:?}, {seen}"))
        };
        let ways: Vec<String> = (drops.pairs.iter().filter(|(from, to)| *from == id || *to == id))
            .map(|(from, to)| format!("{from} to {to}"))
            .collect();
        let evidence = json!({ "dropped_before_probe": dropped, "cut": ways, "leaks": leaks, "closed_beside": closed });
        findings.add(id, holds, sentence, evidence);
    }
}

/// Packets dropped at some brokers together, as soon as there are any.
async fn first_drops<N: Namespaces>(ground: &Ground<'_, N>, index: usize, brokers: Vec<i32>) -> Result<u64> {
    if brokers.is_empty() {
        return Ok(0);
    }
    let deadline = Instant::now() + TRAFFIC_LIMIT;
    loop {
        let counters = ground.network.counters(ground.namespaces, index).await?;
        let dropped = brokers.iter().filter_map(|id| counters.get(id)).map(|counters| counters.dropped).sum();
        if dropped > 0 || Instant::now() >= deadline {
            return Ok(dropped);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::Drops;
    use crate::experiment::{Cut, Peers, Ports, Selector, Shape, Way};
    use crate::fault::Target;
    use crate::fault::net::Direction;

    fn isolate(from: Peers, way: Way) -> Shape {
        Shape::Isolate { isolate: Selector::Broker(1), from, way }
    }

    #[test_case(isolate(Peers::Brokers, Way::Both), &[1], &[2, 3], &[(1, 2), (1, 3), (2, 1), (3, 1)]; "both ways")]
    #[test_case(isolate(Peers::Brokers, Way::Out), &[1], &[2, 3], &[(1, 2), (1, 3)]; "what it sends")]
    #[test_case(isolate(Peers::Brokers, Way::In), &[1], &[2], &[(2, 1)]; "what it is sent")]
    #[test_case(isolate(Peers::Brokers, Way::Both), &[1, 2], &[3], &[(1, 3), (2, 3), (3, 1), (3, 2)]; "halves")]
    #[test_case(isolate(Peers::Brokers, Way::Both), &[1, 2, 3], &[], &[]; "nobody else")]
    #[test_case(Shape::Bridge(Selector::Broker(2)), &[1, 3], &[1, 3], &[(1, 3), (3, 1)]; "bridge")]
    #[test_case(Shape::Ring(Selector::All), &[2, 1, 3], &[], &[(1, 2), (2, 3), (3, 1)]; "ring")]
    fn who_does_not_reach_whom(shape: Shape, brokers: &[i32], peers: &[i32], pairs: &[(i32, i32)]) {
        let cut = Cut { shape, ports: Ports { numbers: vec![9094], listeners: vec![] } };
        let target = Target { brokers: brokers.to_vec(), peers: peers.to_vec(), ..Target::default() };
        let drops = Drops::of(&cut, &target);
        assert_eq!(drops.pairs.into_iter().collect::<Vec<_>>(), pairs);
        assert!(drops.clients.is_empty());
    }

    #[test]
    fn clients_are_cut_off_at_the_broker() {
        let cut = Cut { shape: isolate(Peers::All, Way::In), ports: Ports { numbers: vec![9092], listeners: vec![] } };
        let drops = Drops::of(&cut, &Target { brokers: vec![1], peers: vec![2], ..Target::default() });
        assert_eq!(drops.clients.into_iter().collect::<Vec<_>>(), [(1, Direction::From)]);
        assert_eq!(drops.pairs.into_iter().collect::<Vec<_>>(), [(2, 1)]);
    }

    #[test]
    fn what_only_peers_send_is_dropped_by_their_rules() {
        let cut =
            Cut { shape: isolate(Peers::Brokers, Way::In), ports: Ports { numbers: vec![9094], listeners: vec![] } };
        let drops = Drops::of(&cut, &Target { brokers: vec![1], peers: vec![2, 3], ..Target::default() });
        assert_eq!(drops.rules_for(1), [2, 3]);
        assert_eq!(drops.rules_for(2), [2]);
    }
}
