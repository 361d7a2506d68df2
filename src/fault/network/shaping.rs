//! `latency`, `loss` and `bandwidth`: a network that is there, and bad. All of it happens at the broker that is hit, for
//! what it sends and, led through an ifb device, for what it is sent.
//!
//! Proofs: of a latency, connections over the path take longer by it, and those beside it do not; of a loss,
//! packets of the broker's own traffic were dropped, and others were not; of a bandwidth, that traffic had to
//! wait or was dropped for want of room, and no more passed than the rate allows. A loss that drew no packet
//! and a bandwidth that is wider than the traffic prove nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::cut::{TRAFFIC_LIMIT, clients_of};
use super::probe::{round_trip, round_trip_host};
use super::{Ground, Node, direction};
use crate::experiment::{HARNESS_PORT, Path, Way};
use crate::fault::net::{Action, Counters, Effect, End, Namespaces, Scope};
use crate::fault::{Findings, Target};

/// Of which the quickest counts: a busy host adds to one, and takes from none.
const TRIES: usize = 3;
/// One in two takes longer than the mean: hardly ever do all of them take less.
const TRIES_WITH_JITTER: usize = 10;
/// Long enough for a rate to show, beside what a queue lets through at once.
const MEASURE: Duration = Duration::from_secs(1);

/// The same effect at each broker that is hit.
async fn put<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    action: Action,
    path: &Path,
    target: &Target,
) -> Result<()> {
    let mut effects = BTreeMap::new();
    for &id in &target.brokers {
        let mut scopes = Vec::new();
        let (way, ports) = (direction(path.way), &path.ports.numbers);
        let peers: Vec<_> = target.peers.iter().map(|&peer| Ok(ground.node(peer)?.net())).collect::<Result<_>>()?;
        if !peers.is_empty() {
            scopes.push(Scope { direction: way, peers, except: vec![], ports: ports.clone(), end: End::Either });
        }
        if path.peers.has_clients() {
            scopes.push(clients_of(ground, way, ports));
        }
        if !scopes.is_empty() {
            effects.insert(id, Effect { action, scopes });
        }
    }
    ground.network.put(ground.namespaces, index, &effects, true).await
}

/// What the kernel counted at one broker, as soon as it is `enough`, or after the limit.
async fn counted<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    id: i32,
    enough: impl Fn(&Counters) -> bool,
) -> Result<Counters> {
    let deadline = Instant::now() + TRAFFIC_LIMIT;
    loop {
        let all = ground.network.counters(ground.namespaces, index).await?;
        let counters = all.get(&id).copied().unwrap_or_default();
        if enough(&counters) || Instant::now() >= deadline {
            return Ok(counters);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn loss<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    path: &Path,
    per_cent: f64,
    target: &Target,
) -> Result<Proof> {
    put(ground, index, Action::Loss { per_cent }, path, target).await?;
    let mut findings = Findings::default();
    for &id in &target.brokers {
        let all = per_cent >= 100.0;
        let seen = counted(ground, index, id, |seen| seen.dropped > 0 && (all || seen.passed > 0)).await?;
        let Counters { dropped, passed, .. } = seen;
        let (holds, sentence) = if seen.matched() == 0 {
            (false, format!("broker {id}: not one packet went that way in {TRAFFIC_LIMIT:?}"))
        } else if dropped == 0 {
            (false, format!("broker {id}: of {passed} packets in {TRAFFIC_LIMIT:?} not one was lost"))
        } else if passed == 0 && !all {
            (false, format!("broker {id}: all of {dropped} packets were lost, where {per_cent} % should be"))
        } else {
            (true, format!("broker {id}: {dropped} of the first {} packets lost", seen.matched()))
        };
        findings.add(id, holds, sentence, json!({ "counted": seen }));
    }
    Ok(findings.proof())
}

pub(super) async fn bandwidth<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    path: &Path,
    bits_per_second: u64,
    target: &Target,
) -> Result<Proof> {
    put(ground, index, Action::Bandwidth { bits_per_second }, path, target).await?;
    let mut findings = Findings::default();
    for &id in &target.brokers {
        let first = counted(ground, index, id, |seen| seen.queued > 0 || seen.dropped > 0).await?;
        let waited = first.queued > 0 || first.dropped > 0;
        let began = Instant::now();
        tokio::time::sleep(MEASURE).await;
        let then = counted(ground, index, id, |_| true).await?;
        let passed = then.passed_bytes - first.passed_bytes;
        let sides = if path.way == Way::Both { 2 } else { 1 };
        // What a queue gives at once comes on top.
        let room = BURST_BYTES + (bits_per_second as f64 / 8.0 * began.elapsed().as_secs_f64()) as u64;
        let (holds, sentence) = if then.matched() == 0 {
            (false, format!("broker {id}: not one packet went that way in {TRAFFIC_LIMIT:?}"))
        } else if !waited {
            let text = "never had to wait: the bandwidth is wider than the traffic";
            (false, format!("broker {id}: {} packets went that way and {text}", then.matched()))
        } else if passed > room * sides {
            (false, format!("broker {id}: {passed} bytes passed in a second, where {room} each way have room"))
        } else {
            (true, format!("broker {id}: packets wait in line, {passed} bytes passed in a second"))
        };
        findings.add(id, holds, sentence, json!({ "counted": then, "passed_bytes_in_a_second": passed }));
    }
    Ok(findings.proof())
}

/// What htb lets through at once after a pause, generously.
const BURST_BYTES: u64 = 128 << 10;

pub(super) async fn latency<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    path: &Path,
    delay: Duration,
    jitter: Duration,
    target: &Target,
) -> Result<Proof> {
    let mut before = Vec::new();
    for &id in &target.brokers {
        before.push(Trips::take(ground, id, path, target, None).await?);
    }
    put(ground, index, Action::Latency { delay, jitter }, path, target).await?;
    // A connection goes there and back once.
    let ways = if path.way == Way::Both { 2 } else { 1 };
    let longer = Longer { at_least: (delay - jitter) * ways, mean: delay * ways };
    let mut findings = Findings::default();
    for (&id, before) in target.brokers.iter().zip(before) {
        let after = Trips::take(ground, id, path, target, Some((&before, longer))).await?;
        let counted = ground.network.counters(ground.namespaces, index).await;
        let counted = counted.map(|all| all.get(&id).copied().unwrap_or_default());
        let over = before.over.iter().zip(&after.over);
        let quick: Vec<&str> = over
            .filter(|(before, after)| !longer.is_seen(before, after))
            .map(|(_, after)| after.name.as_str())
            .collect();
        let limit = before.beside.context("the harness's listener does not answer")? + longer.mean / 2;
        let beside = after.beside.is_some_and(|took| took <= limit);
        let (holds, sentence) = match &counted {
            _ if after.over.is_empty() => (false, format!("broker {id} has nobody at the other end")),
            _ if !quick.is_empty() => {
                let Longer { at_least, mean } = longer;
                let text = format!("connections do not take {at_least:?} longer, and {mean:?} on the average");
                (false, format!("broker {id}: {text}: {}", quick.join(", ")))
            }
            _ if !beside => (false, format!("broker {id}: the harness's listener is slow too, {:?}", after.beside)),
            Err(error) => (false, format!("broker {id}: {error:#}")),
            Ok(seen) if seen.matched() == 0 => (false, format!("broker {id}: not one packet went that way")),
            Ok(_) => {
                let took = after.over.iter().map(Trip::in_words).collect::<Vec<_>>().join(", ");
                (true, format!("broker {id}: connections take longer, {took}, and beside it as before"))
            }
        };
        let figures = json!({ "before": before.figures(), "after": after.figures(), "counted": counted.ok() });
        findings.add(id, holds, sentence, figures);
    }
    Ok(findings.proof())
}

/// How much longer connections take under a latency.
#[derive(Debug, Clone, Copy)]
struct Longer {
    /// Each of them.
    at_least: Duration,
    /// At least one of some: with jitter the least may be nothing.
    mean: Duration,
}

impl Longer {
    fn is_seen(&self, before: &Trip, after: &Trip) -> bool {
        let before = before.quickest.unwrap_or_default();
        after.quickest.is_some_and(|took| took >= before + self.at_least)
            && after.slowest.is_some_and(|took| took >= before + self.mean)
    }
}

/// How long connections over a path take.
struct Trip {
    /// Who is at the other end.
    name: String,
    /// None, where none was answered.
    quickest: Option<Duration>,
    slowest: Option<Duration>,
}

impl Trip {
    fn add(&mut self, took: Option<Duration>) {
        self.quickest = quicker(self.quickest, took);
        self.slowest = self.slowest.max(took);
    }

    fn in_words(&self) -> String {
        let ms = |took: Option<Duration>| took.unwrap_or_default().as_millis();
        format!("{} {} to {} ms", self.name, ms(self.quickest), ms(self.slowest))
    }
}

/// How long connections take: over the path, by who is at the other end, and to the harness's listener.
struct Trips {
    over: Vec<Trip>,
    beside: Option<Duration>,
}

impl Trips {
    /// `seen`: what is looked for, with what was before it; more connections are made until it is seen, or not.
    async fn take<N: Namespaces>(
        ground: &Ground<'_, N>,
        id: i32,
        path: &Path,
        target: &Target,
        seen: Option<(&Self, Longer)>,
    ) -> Result<Self> {
        let broker: Node = ground.node(id)?;
        let port = path.ports.numbers.first().copied().unwrap_or(HARNESS_PORT);
        let enough = |tries: usize, trip: &Trip, number: usize| match seen {
            _ if tries < TRIES => false,
            Some((before, longer)) if tries < TRIES_WITH_JITTER => longer.is_seen(&before.over[number], trip),
            _ => true,
        };
        let mut over: Vec<Trip> = Vec::new();
        for &peer in &target.peers {
            let address = ground.node(peer)?.address(port);
            let mut trip = Trip { name: format!("broker {peer}"), quickest: None, slowest: None };
            let mut tries = 0;
            while !enough(tries, &trip, over.len()) {
                trip.add(round_trip(ground.namespaces, id, &address).await?);
                tries += 1;
            }
            over.push(trip);
        }
        if path.peers.has_clients() {
            // Clients' listener, unless others were named.
            let port = path.ports.numbers.last().copied().unwrap_or(port);
            let mut trip = Trip { name: "a client".to_owned(), quickest: None, slowest: None };
            let mut tries = 0;
            while !enough(tries, &trip, over.len()) {
                trip.add(round_trip_host(&broker.address(port)).await);
                tries += 1;
            }
            over.push(trip);
        }
        let mut beside = None;
        for _ in 0..TRIES {
            beside = quicker(beside, round_trip_host(&broker.address(HARNESS_PORT)).await);
        }
        Ok(Self { over, beside })
    }

    fn figures(&self) -> serde_json::Value {
        let micros = |took: Option<Duration>| took.map(|took| took.as_micros() as u64);
        let over = self.over.iter().map(|trip| (trip.name.clone(), [micros(trip.quickest), micros(trip.slowest)]));
        json!({ "over_us": over.collect::<BTreeMap<_, _>>(), "beside_us": micros(self.beside) })
    }
}

fn quicker(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}
