//! `partition:` who does not reach whom.

use std::fmt;

use serde_yaml::Spanned;

use super::ports::{Keys, told};
use super::{Peers, Ports, Way};
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::schedule::BROKERS;
use crate::experiment::selector::{self, selector};
use crate::experiment::source::Span;
use crate::experiment::value::integer;
use crate::experiment::{Problem, Selector};

/// Packets that are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Between whom.
    pub shape: Shape,
    /// On which ports, at either end.
    pub ports: Ports,
}

/// Between whom packets are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Between some brokers and others, or clients.
    Isolate {
        /// Who is cut off.
        isolate: Selector,
        /// From whom.
        from: Peers,
        /// Which packets.
        way: Way,
    },
    /// Between any two brokers but the bridge: each reaches the bridge, and nobody else.
    Bridge(Selector),
    /// Each broker sends only to the next one, the last to the first; the other way is cut. A [`Selector::These`].
    Ring(Selector),
}

impl Shape {
    /// Whom the selector of the fault names: all whose packets are dropped, but for a bridge, which is named as the
    /// one that is spared.
    pub(super) const fn selector(&self) -> &Selector {
        match self {
            Self::Isolate { isolate, .. } => isolate,
            Self::Bridge(brokers) | Self::Ring(brokers) => brokers,
        }
    }
}

impl Cut {
    pub(super) fn read(check: &mut Check, raw: &Spanned<raw::Partition>) -> Option<Self> {
        let raw::Partition { isolate, bridge, ring, from, direction, listeners, ports } = &raw.value;
        let given = [("isolate", isolate.is_some()), ("bridge", bridge.is_some()), ("ring", ring.is_some())];
        let given: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(name, _)| format!("`{name}`")).collect();
        if given.len() != 1 {
            let has = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
            let problem =
                Problem::new(format!("a partition has one of `isolate`, `bridge` and `ring`, and this one has {has}"))
                    .at(&check.span(raw), "here")
                    .hint("for example `partition: { isolate: { leader_of: 0 }, from: brokers }`");
            check.report(problem);
            return None;
        }
        let shape = match (isolate, bridge, ring) {
            (Some(isolate), ..) => {
                let Some(from) = from else {
                    let problem = Problem::new("`from` is missing: cut off from whom?")
                        .at(&check.span(isolate), "this broker")
                        .hint(
                            "`from: brokers`, `clients`, `all`, or other brokers by a selector such as `{ broker: 2 }`",
                        );
                    check.report(problem);
                    return None;
                };
                let isolate = selector(check, isolate);
                let from = Peers::read(check, from, "other side of a partition");
                let way = Way::read(check, direction.as_ref());
                Shape::Isolate { isolate: isolate?, from: from?, way: way? }
            }
            (_, Some(bridge), _) => {
                only_of_isolate(check, from.as_ref().map(|from| check.span(from)), "from")?;
                only_of_isolate(check, direction.as_ref().map(|direction| check.span(direction)), "direction")?;
                Shape::Bridge(selector(check, bridge)?)
            }
            (_, _, Some(ring)) => {
                only_of_isolate(check, from.as_ref().map(|from| check.span(from)), "from")?;
                only_of_isolate(check, direction.as_ref().map(|direction| check.span(direction)), "direction")?;
                Shape::Ring(Selector::These(order(check, ring)?))
            }
            _ => return None,
        };
        let from = match &shape {
            Shape::Isolate { from, .. } => from,
            Shape::Bridge(_) | Shape::Ring(_) => &Peers::Brokers,
        };
        let ports = Ports::read(check, Keys { listeners: listeners.as_ref(), ports: ports.as_ref() }, from)?;
        Some(Self { shape, ports })
    }

    pub(super) fn write(&self) -> Spanned<raw::Partition> {
        let (listeners, ports) = self.ports.write();
        let mut raw = raw::Partition { listeners, ports, ..raw::Partition::default() };
        match &self.shape {
            Shape::Isolate { isolate, from, way } => {
                raw.isolate = Some(spanned(selector::write(isolate)));
                raw.from = Some(from.write());
                raw.direction = way.write();
            }
            Shape::Bridge(bridge) => raw.bridge = Some(spanned(selector::write(bridge))),
            Shape::Ring(Selector::These(order)) => raw.ring = Some(spanned(order.iter().map(text).collect())),
            Shape::Ring(_) => {}
        }
        spanned(raw)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, ports } = self;
        match shape {
            Shape::Isolate { isolate, from, way } => {
                write!(f, "{isolate} {} cut off from {from} {}", isolate.is(), told(ports, *way))
            }
            Shape::Bridge(bridge) => write!(f, "brokers reach each other no more, but for {bridge} ({ports})"),
            Shape::Ring(order) => write!(f, "a one-way ring: each of {order} reaches the next one only ({ports})"),
        }
    }
}

fn only_of_isolate(check: &mut Check, given: Option<Span>, name: &str) -> Option<()> {
    let Some(span) = given else { return Some(()) };
    check.report(Problem::new(format!("`{name}` belongs to `isolate`")).at(&span, "remove it"));
    None
}

/// Every broker once, in some order.
fn order(check: &mut Check, raw: &raw::Texts) -> Option<Vec<i32>> {
    let all = i32::try_from(BROKERS).unwrap_or(i32::MAX);
    let mut order = Vec::new();
    for text in &raw.value {
        order.push(check.read(text, |text| integer(text, "broker id", 1, all))?);
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(1..=all) {
        let problem = Problem::new("a ring has every broker once")
            .at(&check.span(raw), format!("expected the ids 1 to {all} in some order"));
        check.report(problem);
        return None;
    }
    Some(order)
}
