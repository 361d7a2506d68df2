//! One broker's traffic control as a whole: which classes and queues its effects need, and the shell line
//! that goes over from one whole to the next.
//!
//! On each side (`eth0` for what leaves, an ifb device for what enters) htb has a class for each effect
//! that drops, and a lane for each combination of the others, so that each effect's packets can be counted.
//! Unconcerned packets get no class and pass unshaped. Going over first adds classes, then replaces the
//! one filter, then removes classes: no queue or counter of an effect that stays is touched, and a step
//! that fails leaves the filter as it was. A latency on a kernel without netem is no part of this: it has
//! rules of its own (`delays`), before all this on the way out and behind it on the way in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::delays::{self, Delays, Held};
use super::effect::{Action, Direction, Effect, Side};
use super::program::{bytecode, program};
use crate::cluster::shell::{BATCH, CLEAR_NETWORK, DEVICE, INGRESS_DEVICE, RENEW_BATCH};

/// Lanes double with each effect that is no cut.
const SHAPING_SLOTS: u8 = 6;
const CUT_SLOTS: u8 = u8::MAX;

/// Where the packets of a cut and of loss end. It is silent, as a network is: the sender's TCP waits twice as long
/// each time, and goes on after the cut. A full queue (`bfifo limit 1`) would tell the sender, whose TCP then repeats
/// every half a second and gives the connection up after some 8 s.
const DROPPING_QUEUE: &str = "blackhole";

/// An effect at a broker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub effect: Effect,
    /// Whether it acts; one that does not keeps its classes and counters.
    pub on: bool,
    /// Its bit in the lanes, or its number among the cuts.
    pub slot: u8,
}

/// What one line does: shell commands, one batch of tc, shell commands.
#[derive(Debug, Default)]
struct Steps {
    before: Vec<String>,
    batch: Vec<String>,
    after: Vec<String>,
}

/// All effects at a broker, by their id.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    pub effects: BTreeMap<usize, Placed>,
    /// Sides that are kept ready, with effects or without.
    pub ready: Vec<Side>,
    /// Who makes latencies: tc as all else, or rules of their own.
    pub delays: Delays,
}

/// Numbers of classes and, as handles, of their queues.
pub(super) mod minor {
    /// The class whose rate all lanes of a bandwidth share.
    pub fn rate(slot: u8) -> u16 {
        0x10 + u16::from(slot)
    }
    /// Lanes: plus the bits of the effects that are no cuts.
    pub const LANE: u16 = 0x100;
    /// Where a cut's packets end.
    pub fn cut(slot: u8) -> u16 {
        0x1000 + u16::from(slot)
    }
    /// Where a loss's packets end.
    pub fn loss(slot: u8) -> u16 {
        0x2000 + u16::from(slot)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    /// Number of the class above; 0 is the root.
    parent: u16,
    rate: String,
    /// None, where other classes are below.
    queue: Option<String>,
}

impl Plan {
    /// With one more effect.
    pub(super) fn with(&self, id: usize, effect: Effect, on: bool) -> Result<Self> {
        effect.check()?;
        ensure!(!self.effects.contains_key(&id), "network effect {id} stands already");
        let is_cut = |effect: &Effect| effect.action == Action::Cut;
        let slots = if is_cut(&effect) { CUT_SLOTS } else { SHAPING_SLOTS };
        let taken: Vec<u8> = (self.effects.values())
            .filter(|placed| is_cut(&placed.effect) == is_cut(&effect))
            .map(|placed| placed.slot)
            .collect();
        let slot = (0..slots)
            .find(|slot| !taken.contains(slot))
            .with_context(|| format!("a broker takes {slots} network effects of that kind at a time"))?;
        let mut plan = self.clone();
        plan.effects.insert(id, Placed { effect, on, slot });
        Ok(plan)
    }

    /// Without an effect; fine where it is not.
    pub(super) fn without(&self, id: usize) -> Self {
        let mut plan = self.clone();
        plan.effects.remove(&id);
        plan
    }

    /// With an effect switched on or off.
    pub(super) fn switched(&self, id: usize, on: bool) -> Result<Self> {
        let mut plan = self.clone();
        plan.effects.get_mut(&id).with_context(|| format!("there is no network effect {id}"))?.on = on;
        Ok(plan)
    }

    /// Whether it is a latency that is not tc's.
    pub(super) fn is_held(&self, placed: &Placed) -> bool {
        self.delays == Delays::Queue && matches!(placed.effect.action, Action::Latency { .. })
    }

    /// Latencies that are not tc's.
    pub(super) fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.effects.values().filter(|placed| self.is_held(placed)).filter_map(Held::of)
    }

    /// Effects that are tc's.
    fn shaped(&self) -> impl Iterator<Item = &Placed> + Clone {
        self.effects.values().filter(|placed| !self.is_held(placed))
    }

    fn uses(&self, side: Side) -> bool {
        self.ready.contains(&side) || self.shaped().any(|placed| placed.effect.is_on(side))
    }

    fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.ready.is_empty()
    }

    /// The line of shell (bash) that goes over from this plan to another one. None when nothing is to be done.
    pub(super) fn go_over_to(&self, next: &Self) -> Result<Option<String>> {
        if self == next {
            return Ok(None);
        }
        if next.is_empty() {
            return Ok(Some(CLEAR_NETWORK.to_owned()));
        }
        let steps = self.steps_to(next)?;
        let batch = (!steps.batch.is_empty()).then(|| format!("{BATCH} <<< $'{}'", steps.batch.join("\\n")));
        let line = [steps.before, batch.into_iter().collect(), steps.after, delays::steps(self, next)].concat();
        Ok((!line.is_empty()).then(|| line.join(" && ")))
    }

    /// The line that goes back to another plan where going over to this one failed somewhere on the way.
    /// Its steps fail where there is nothing to go back from.
    pub(super) fn go_back_to(&self, last: &Self) -> Result<String> {
        if last.is_empty() {
            return Ok(CLEAR_NETWORK.to_owned());
        }
        let steps = self.steps_to(last)?;
        let batch = format!("tc -force -b - <<< $'{}' &>/dev/null", steps.batch.join("\\n"));
        Ok([steps.before, vec![batch], steps.after, delays::steps_back(last)].concat().join("; "))
    }

    fn steps_to(&self, next: &Self) -> Result<Steps> {
        let mut steps = Steps::default();
        for side in [Side::Out, Side::In] {
            match (self.uses(side), next.uses(side)) {
                (false, false) => continue,
                (true, false) => {
                    steps.after.push(remove_side(side));
                    continue;
                }
                (false, true) => {
                    if side == Side::In {
                        // Its queue length is that of unconcerned packets.
                        steps.before.push(format!(
                            "ip link add {INGRESS_DEVICE} txqueuelen 1000 type ifb && ip link set {INGRESS_DEVICE} up \
                             && {RENEW_BATCH}"
                        ));
                        steps.batch.push(format!("qdisc add dev {DEVICE} handle ffff: ingress"));
                    }
                    steps.batch.push(format!("qdisc add dev {} root handle 1: htb default 0", device(side)));
                }
                (true, true) => {}
            }
            self.go_over_on(side, next, &mut steps.batch)?;
        }
        Ok(steps)
    }

    fn go_over_on(&self, side: Side, next: &Self, batch: &mut Vec<String>) -> Result<()> {
        let device = device(side);
        let (old, new) = (self.classes(side), next.classes(side));
        for (minor, class) in new.iter().filter(|(minor, class)| old.get(minor) != Some(class)) {
            let Class { parent, rate, queue } = class;
            batch.push(format!("class add dev {device} parent 1:{parent:x} classid 1:{minor:x} htb {rate}"));
            if let Some(queue) = queue {
                batch.push(format!("qdisc add dev {device} parent 1:{minor:x} handle {minor:x}: {queue}"));
            }
        }
        let bytecode = bytecode(&program(next.shaped(), side)?);
        let filter = |device, parent| {
            format!(
                "filter replace dev {device} parent {parent} protocol ip prio 1 handle 1 bpf bytecode \"{bytecode}\""
            )
        };
        batch.push(filter(device, "1:"));
        if side == Side::In {
            // The same program: who has a class there takes the way over the device.
            batch.push(format!("{} action mirred egress redirect dev {INGRESS_DEVICE}", filter(DEVICE, "ffff:")));
        }
        // Lanes before the class above them.
        for minor in old.iter().rev().filter(|(minor, class)| new.get(minor) != Some(class)).map(|(minor, _)| minor) {
            batch.push(format!("class del dev {device} classid 1:{minor:x}"));
        }
        Ok(())
    }

    fn classes(&self, side: Side) -> BTreeMap<u16, Class> {
        let here: Vec<&Placed> = self.shaped().filter(|placed| placed.effect.is_on(side)).collect();
        let mut classes = BTreeMap::new();
        let unshaped = || "rate 100gbit quantum 60000".to_owned();
        let dropping = || Class { parent: 0, rate: unshaped(), queue: Some(DROPPING_QUEUE.to_owned()) };
        let mut lanes: Vec<Vec<&Placed>> = vec![vec![]];
        for placed in here {
            match placed.effect.action {
                Action::Cut => {
                    classes.insert(minor::cut(placed.slot), dropping());
                    continue;
                }
                // Unlike a full queue it does not tell the sender, who would repeat at once.
                Action::Loss { .. } => drop(classes.insert(minor::loss(placed.slot), dropping())),
                Action::Latency { .. } => {}
                Action::Bandwidth { bits_per_second } => {
                    let rate = format!("rate {bits_per_second}bit ceil {bits_per_second}bit quantum 60000");
                    classes.insert(minor::rate(placed.slot), Class { parent: 0, rate, queue: None });
                }
            }
            let with: Vec<_> = lanes.iter().map(|lane| [&lane[..], &[placed]].concat()).collect();
            lanes.extend(with);
        }
        for lane in &lanes[1..] {
            let (minor, class) = self::lane(lane);
            classes.insert(minor, class);
        }
        classes
    }
}

/// The class for packets that all of these effects concern, and no cut.
fn lane(effects: &[&Placed]) -> (u16, Class) {
    let mut minor = minor::LANE;
    let (mut delay, mut jitter) = (Duration::ZERO, Duration::ZERO);
    let mut narrowest: Option<(u64, u8)> = None;
    for placed in effects {
        minor |= 1 << placed.slot;
        match placed.effect.action {
            Action::Cut | Action::Loss { .. } => {}
            Action::Latency { delay: more, jitter: more_jitter } => {
                delay += more;
                jitter += more_jitter;
            }
            Action::Bandwidth { bits_per_second } => {
                let this = (bits_per_second, placed.slot);
                narrowest = Some(narrowest.map_or(this, |other| other.min(this)));
            }
        }
    }
    let (parent, rate) = match narrowest {
        None => (0, "rate 100gbit quantum 60000".to_owned()),
        // A small share of its own, and the rest by loan: together the lanes have no more than the class above.
        Some((bits, slot)) => (minor::rate(slot), format!("rate {}bit ceil {bits}bit quantum 60000", bits / 64)),
    };
    let bytes = narrowest.map_or(u64::MAX, |(bits, _)| (bits / 8 / 10).max(256 << 10));
    let queue = if delay > Duration::ZERO {
        let packets = (bytes / 1500).min(50_000);
        format!("netem limit {packets} delay {}us {}us", delay.as_micros(), jitter.as_micros())
    } else if narrowest.is_some() {
        format!("bfifo limit {bytes}")
    } else {
        "pfifo limit 10000".to_owned()
    };
    (minor, Class { parent, rate, queue: Some(queue) })
}

/// The device whose root has a side's classes.
pub(super) const fn device(side: Side) -> &'static str {
    match side {
        Side::Out => DEVICE,
        Side::In => INGRESS_DEVICE,
    }
}

fn remove_side(side: Side) -> String {
    match side {
        Side::Out => format!("tc qdisc del dev {DEVICE} root"),
        // The way to the device ends before the device does.
        Side::In => format!("tc qdisc del dev {DEVICE} ingress && ip link del {INGRESS_DEVICE} && {RENEW_BATCH}"),
    }
}

/// Whether an effect needs the way over an ifb device.
pub(super) fn needs_ingress(effect: &Effect) -> bool {
    effect.scopes.iter().any(|scope| scope.direction != Direction::To)
}
