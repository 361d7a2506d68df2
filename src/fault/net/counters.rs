//! What was counted for each effect: by the kernel, read from `tc -s -j qdisc show`, or by who holds packets back.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::delays::{self, Delays};
use super::effect::{Action, Side};
use super::plan::{Plan, device, minor};
use crate::cluster::shell::COUNT_HOLD_RULES;

/// Shows all queues of all devices with their counters, as JSON.
const SHOW: &str = "tc -s -j qdisc show";
/// Stands before what is shown of latencies that tc does not make.
const HELD_MARK: &str = "held:";

/// What happened to an effect's packets at one broker, since it was placed there.
///
/// A packet that several effects would drop counts for the first of them only: cuts before losses, lower ids
/// before higher. One that another effect's queue has no room for counts as dropped by a latency or a
/// bandwidth, since one queue serves both, but never by a loss. Where latency is not made by tc, its queue is one for all
/// latencies, and each of them counts what that had no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Packets that went on.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Packets that were dropped: all of a cut, those drawn of a loss, those beyond the queue of the others.
    pub dropped: u64,
    /// Packets that are being held back now.
    pub queued: u64,
}

/// What stands at a broker, of all effects together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    /// Queues and rules of netfilter that effects made: none, where no effect stands.
    pub rules: usize,
    /// Packets that cuts and losses dropped.
    pub dropped: u64,
}

impl Counters {
    /// Packets that the effect concerned.
    #[must_use]
    pub const fn matched(&self) -> u64 {
        self.passed + self.dropped + self.queued
    }

    fn add(&mut self, queue: &Queue) {
        self.passed += queue.packets;
        self.passed_bytes += queue.bytes;
        self.dropped += queue.drops;
        self.queued += queue.qlen;
    }
}

#[derive(Debug, Deserialize)]
struct Queue {
    dev: String,
    handle: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    packets: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    drops: u64,
    #[serde(default)]
    qlen: u64,
}

impl Queue {
    /// Number of the class it belongs to; none for one that a plan has not made.
    fn class(&self) -> Option<u16> {
        let (root, minor) = self.parent.as_deref()?.split_once(':')?;
        let minor = u16::from_str_radix(minor, 16).ok()?;
        (root == "1" && self.handle == format!("{minor:x}:")).then_some(minor)
    }
}

/// The line of shell that shows the counters of a plan's effects.
pub(super) fn show(plan: &Plan) -> String {
    match plan.held().next() {
        None => SHOW.to_owned(),
        Some(_) => format!("{SHOW} && echo {HELD_MARK} && {}", delays::show()),
    }
}

/// The line of shell that shows what stands.
pub(super) fn show_standing(delays: Delays) -> String {
    match delays {
        Delays::Netem => SHOW.to_owned(),
        Delays::Queue => format!("{SHOW} && echo {HELD_MARK} && {{ {COUNT_HOLD_RULES}; }}"),
    }
}

/// What stands at a broker, whoever put it there, out of the output of [`show_standing`].
///
/// # Errors
/// When the output is not understood.
pub(super) fn standing(shown: &str) -> Result<Standing> {
    let (shown, rules) = shown.split_once(HELD_MARK).unwrap_or((shown, "0"));
    let rules = rules.trim().parse().with_context(|| format!("{rules:?} is no number of rules"))?;
    let mut standing = Standing { rules, ..Standing::default() };
    for queue in parse(shown)? {
        if let Some(class) = queue.class() {
            standing.rules += 1;
            standing.dropped += if class >= minor::cut(0) { queue.drops } else { 0 };
        }
    }
    Ok(standing)
}

fn parse(shown: &str) -> Result<Vec<Queue>> {
    serde_json::from_str(shown).with_context(|| format!("tc's counters can't be read: {}", shown.trim()))
}

/// The counters of each effect of a plan, out of the output of [`show`].
///
/// # Errors
/// When the output is not understood, or lacks a queue that the plan has: then something removed it.
pub(super) fn read(shown: &str, plan: &Plan) -> Result<BTreeMap<usize, Counters>> {
    let (shown, held) = shown.split_once(HELD_MARK).unwrap_or((shown, "{}"));
    let (shown, held) = (parse(shown)?, delays::read(held)?);
    let mut found: BTreeMap<(&str, u16), &Queue> = BTreeMap::new();
    found.extend(shown.iter().filter_map(|queue| Some(((queue.dev.as_str(), queue.class()?), queue))));

    let mut counters = BTreeMap::new();
    for (&id, placed) in &plan.effects {
        if plan.is_held(placed) {
            let slot = held.get(&placed.slot);
            counters.insert(id, *slot.with_context(|| format!("the program holds nothing back for effect {id}"))?);
            continue;
        }
        let mut sum = Counters::default();
        for side in [Side::Out, Side::In].into_iter().filter(|&side| placed.effect.is_on(side)) {
            let device = device(side);
            let own = match placed.effect.action {
                Action::Cut => Some(minor::cut(placed.slot)),
                Action::Loss { .. } => Some(minor::loss(placed.slot)),
                Action::Latency { .. } | Action::Bandwidth { .. } => None,
            };
            if let Some(minor) = own {
                let queue = found.get(&(device, minor));
                sum.add(queue.with_context(|| format!("the queue {minor:x} of effect {id} is gone from {device}"))?);
            }
            if placed.effect.action != Action::Cut {
                let bit = 1 << placed.slot;
                let lanes: Vec<_> = (found.iter())
                    .filter(|((dev, minor), _)| *dev == device && minor >> 8 == 1 && minor & bit != 0)
                    .collect();
                anyhow::ensure!(!lanes.is_empty(), "the lanes of effect {id} are gone from {device}");
                let drawn = sum.dropped;
                lanes.iter().for_each(|(_, queue)| sum.add(queue));
                if let Action::Loss { .. } = placed.effect.action {
                    sum.passed += sum.dropped - drawn;
                    sum.dropped = drawn;
                }
            }
        }
        counters.insert(id, sum);
    }
    Ok(counters)
}
