//! Latency on a kernel without netem: packets are held back in a queue of netfilter.
//!
//! Rules in the table `mangle` mark what a latency concerns, each with a bit, and lead what has a mark into the
//! queue; the program `delay-packets` of the sidecar image gives each packet its verdict when it is due. Like
//! all rules they act at once and as a whole: iptables-restore changes a table between two packets.
//!
//! What leaves is held as a copy. The packet itself belongs to its sender's socket until it is gone, and TCP has
//! no more than two of them on their way inside the host: a delay of 100 ms would leave a connection some
//! 50 KB/s. So TEE makes a copy that belongs to nobody and comes by the same rules again, and the original ends in a
//! queue that has no reader, of which its sender is not told.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use serde::Deserialize;

use super::counters::Counters;
use super::effect::{Action, Direction, Effect, End, Scope, Side};
use super::plan::{Placed, Plan};
use crate::cluster::shell::{ASK_HOLDER, DEVICE, END_HOLDER, HOLD_IN, HOLD_OUT, HOLD_QUEUE, START_HOLDER};

/// Bits of a packet's mark: one for each effect's slot, then these.
const SLOTS: u32 = 0x3f;
/// In the scope that is being looked at.
const IN_SCOPE: u32 = 0x40;
/// A copy of a packet that leaves. With the second one its mark has changed, so that the kernel looks again for its
/// route: TEE's goes nowhere.
const COPY: u32 = 0x100;
const ROUTED: u32 = 0x200;
/// Where rules stand, and what reads their queue.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    device: &'a str,
    /// The chains for what leaves and what enters by the device.
    out: &'a str,
    within: &'a str,
    queue: u16,
}

const PLACE: Place<'_> = Place { device: DEVICE, out: HOLD_OUT, within: HOLD_IN, queue: HOLD_QUEUE };
/// Nobody reads it: the kernel drops what comes there, silently.
const NO_QUEUE: u16 = 2;
/// Of an address block for documentation. TEE wants one, and the copy is routed anew.
const NOWHERE: &str = "192.0.2.1";
/// As many as a rule takes.
const PORTS_OF_A_RULE: usize = 15;

/// How packets are held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Delays {
    /// By netem, in tc's lanes.
    #[default]
    Netem,
    /// In a queue of netfilter.
    Queue,
}

/// What prints the counters of all latencies at a broker.
pub(super) fn show() -> String {
    format!("{ASK_HOLDER} <<< count")
}

/// The counters of latencies by slot, out of the output of [`show`].
pub(super) fn read(shown: &str) -> Result<BTreeMap<u8, Counters>> {
    /// As delay-packets prints them.
    #[derive(Deserialize)]
    struct Counted {
        passed: u64,
        passed_bytes: u64,
        dropped: u64,
        queued: u64,
    }
    let all: BTreeMap<u8, Counted> = serde_json::from_str(shown)
        .with_context(|| format!("the counters of latencies can't be read: {}", shown.trim()))?;
    let counters =
        |Counted { passed, passed_bytes, dropped, queued }| Counters { passed, passed_bytes, dropped, queued };
    Ok(all.into_iter().map(|(slot, counted)| (slot, counters(counted))).collect())
}

/// A latency that the queue makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held<'a> {
    slot: u8,
    delay: Duration,
    jitter: Duration,
    scopes: &'a [Scope],
    on: bool,
}

impl<'a> Held<'a> {
    /// None, where the effect is another one.
    pub(super) fn of(placed: &'a Placed) -> Option<Self> {
        let Placed { slot, on, effect: Effect { action, scopes } } = placed;
        let Action::Latency { delay, jitter } = *action else { return None };
        Some(Self { slot: *slot, delay, jitter, scopes, on: *on })
    }

    /// Whether it is the same one, on or off.
    fn is_same(&self, other: &Self) -> bool {
        Self { on: true, ..*self } == Self { on: true, ..*other }
    }

    /// As the program wants to be told of it.
    fn told(&self) -> String {
        format!("latency {} {} {}", self.slot, self.delay.as_micros(), self.jitter.as_micros())
    }
}

/// Shell commands that go over from the latencies of one plan to those of the next. What is held back goes at once when
/// the last of them ends; else it goes when it is due.
pub(super) fn steps(last: &Plan, next: &Plan) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (last.held().collect(), next.held().collect());
    let mut steps = Vec::new();
    if old == new {
        return steps;
    }
    if old.is_empty() {
        steps.push(START_HOLDER.to_owned());
    }
    let told: Vec<_> = new.iter().filter(|new| !old.iter().any(|old| old.is_same(new))).map(Held::told).collect();
    if !told.is_empty() {
        steps.push(format!("{ASK_HOLDER} <<< $'{}'", told.join("\\n")));
    }
    // The last thing that can fail, and all or nothing: where anything failed, the old rules stand.
    steps.push(restore(&if new.is_empty() { no_rules(PLACE) } else { rules(PLACE, &new, !old.is_empty()) }));
    if new.is_empty() {
        steps.push(END_HOLDER.to_owned());
    }
    steps
}

/// The shell commands that go back to a plan, where going over to another one failed on the way.
pub(super) fn steps_back(last: &Plan) -> Vec<String> {
    if last.held().next().is_some() { Vec::new() } else { vec![END_HOLDER.to_owned()] }
}

/// Commands that succeed where this works, with an interface that nothing else uses, and leave nothing.
pub(super) fn trial(device: &str) -> String {
    let place = Place { device, out: "lossprooftry-out", within: "lossprooftry-in", queue: 65_000 };
    let peers = [Ipv4Net::from(Ipv4Addr::LOCALHOST)];
    let scope = Scope {
        direction: Direction::Both,
        peers: peers.to_vec(),
        except: peers.to_vec(),
        ports: vec![1, 2],
        end: End::Either,
    };
    let held = Held { slot: 0, delay: Duration::ZERO, jitter: Duration::ZERO, scopes: &[scope], on: true };
    format!(
        "{} && {{ delay-packets {} </dev/null; code=$?; {} && (exit $code); }}",
        restore(&rules(place, &[held], false)),
        place.queue,
        restore(&no_rules(place))
    )
}

fn restore(lines: &[String]) -> String {
    format!("iptables-restore --noflush <<< $'{}'", lines.join("\\n"))
}

/// The rules for all latencies that are on. `stand`: whether the chains are there.
fn rules(place: Place<'_>, held: &[Held<'_>], stand: bool) -> Vec<String> {
    let Place { device, out, within, queue } = place;
    // Naming a chain here makes it, or empties it.
    let mut lines = vec!["*mangle".to_owned(), format!(":{out} - [0:0]"), format!(":{within} - [0:0]")];
    if !stand {
        lines.extend(place.ways().map(|way| format!("-A {way}")));
    }
    let to_queue = format!("-j NFQUEUE --queue-num {queue} --queue-bypass");
    let is_copy = format!("-m mark --mark {COPY:#x}/{COPY:#x}");
    lines.push(format!("-A {out} {is_copy} -j MARK --or-mark {ROUTED:#x}"));
    lines.push(format!("-A {out} {is_copy} {to_queue}"));
    lines.push(format!("-A {out} {is_copy} -j RETURN"));
    for (side, chain) in [(Side::Out, out), (Side::In, within)] {
        for held in held.iter().filter(|held| held.on) {
            for scope in held.scopes.iter().filter(|scope| scope.direction.is_on(side)) {
                lines.extend(mark(scope, side, 1 << held.slot).map(|rule| format!("-A {chain} {rule}")));
            }
        }
        lines.push(format!("-A {chain} -m mark --mark 0/{SLOTS:#x} -j RETURN"));
    }
    lines.push(format!("-A {out} -j MARK --or-mark {COPY:#x}"));
    lines.push(format!("-A {out} -j TEE --gateway {NOWHERE} --oif {device}"));
    lines.push(format!("-A {out} -j NFQUEUE --queue-num {NO_QUEUE}"));
    lines.push(format!("-A {within} {to_queue}"));
    lines.push("COMMIT".to_owned());
    lines
}

fn no_rules(place: Place<'_>) -> Vec<String> {
    let mut lines = vec!["*mangle".to_owned()];
    lines.extend(place.ways().map(|way| format!("-D {way}")));
    lines.extend([place.out, place.within].map(|chain| format!("-F {chain}")));
    lines.extend([place.out, place.within].map(|chain| format!("-X {chain}")));
    lines.push("COMMIT".to_owned());
    lines
}

impl Place<'_> {
    /// What leads to the chains: all that leaves and enters by the device, and so nothing of the loopback.
    fn ways(self) -> [String; 2] {
        let Self { device, out, within, .. } = self;
        [format!("OUTPUT -o {device} -j {out}"), format!("INPUT -i {device} -j {within}")]
    }
}

/// Rules that give a bit to the packets of a scope.
fn mark(scope: &Scope, side: Side, bit: u32) -> impl Iterator<Item = String> {
    let (peer, own_port, peer_port) = match side {
        Side::Out => ("-d", "--sports", "--dports"),
        Side::In => ("-s", "--dports", "--sports"),
    };
    let ports = match scope.end {
        End::Own => own_port,
        End::Peer => peer_port,
        End::Either => "--ports",
    };
    let mut rules: Vec<String> =
        scope.peers.iter().map(|net| format!("{peer} {net} -j MARK --or-mark {IN_SCOPE:#x}")).collect();
    rules.extend(scope.except.iter().map(|net| format!("{peer} {net} -j MARK --and-mark {:#x}", !IN_SCOPE)));
    let in_scope = format!("-m mark --mark {IN_SCOPE:#x}/{IN_SCOPE:#x}");
    if scope.ports.is_empty() {
        rules.push(format!("{in_scope} -j MARK --or-mark {bit:#x}"));
    }
    for some in scope.ports.chunks(PORTS_OF_A_RULE) {
        let some = some.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        for protocol in ["tcp", "udp"] {
            rules.push(format!("-p {protocol} {in_scope} -m multiport {ports} {some} -j MARK --or-mark {bit:#x}"));
        }
    }
    rules.push(format!("-j MARK --and-mark {:#x}", !IN_SCOPE));
    rules.into_iter()
}
