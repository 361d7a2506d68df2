//! Faults of a broker's packets: whose, with whom, on which listeners, and what becomes of them.

mod cut;
mod peers;
mod ports;

use std::fmt;
use std::time::Duration;

use serde_yaml::Spanned;

use super::{HeldRule, some_time};
use crate::experiment::amount::{bandwidth, format_bandwidth, per_cent};
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text, time};
use crate::experiment::selector::{self, selector};
use crate::experiment::value::{duration, integer};
use crate::experiment::{Problem, Selector};

pub use cut::{Cut, Shape};
pub use peers::{Peers, Way};
pub use ports::{HARNESS_PORT, Listener, Ports};

/// How often a link may flap, at most.
const FLAPS_MAX: u32 = 1000;

/// What is done to the packets of a broker.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkFault {
    /// They are dropped.
    Partition(Cut),
    /// They are dropped for a while, again and again.
    Flap {
        /// Which.
        cut: Cut,
        /// How often.
        times: u32,
        /// How long each time.
        down: Duration,
        /// How long they pass after each.
        up: Duration,
    },
    /// They are held back.
    Latency {
        /// Which.
        path: Path,
        /// Each way, on the average.
        delay: Duration,
        /// At most this much less or more.
        jitter: Duration,
    },
    /// Some are dropped at random.
    Loss {
        /// Which.
        path: Path,
        /// Above 0, up to 100.
        per_cent: f64,
    },
    /// They share a rate.
    Bandwidth {
        /// Which.
        path: Path,
        /// Bits a second, each way.
        bits_per_second: u64,
    },
}

/// Some of a broker's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Whose.
    pub target: Selector,
    /// Who is at the other end.
    pub peers: Peers,
    /// Which way they go.
    pub way: Way,
    /// On which ports, at either end.
    pub ports: Ports,
}

/// The keys of a path.
struct PathKeys<'a> {
    target: &'a Spanned<raw::Selector>,
    peers: Option<&'a Spanned<raw::Selector>>,
    direction: Option<&'a raw::Text>,
    ports: ports::Keys<'a>,
}

/// The keys of a path, of any of the kinds that have one.
macro_rules! keys {
    ($raw:expr) => {
        PathKeys {
            target: &$raw.target,
            peers: $raw.peers.as_ref(),
            direction: $raw.direction.as_ref(),
            ports: ports::Keys { listeners: $raw.listeners.as_ref(), ports: $raw.ports.as_ref() },
        }
    };
}

impl NetworkFault {
    pub(super) const NAMES: [&'static str; 5] = ["partition", "flap", "latency", "loss", "bandwidth"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Flap { .. } => "flap",
            Self::Latency { .. } => "latency",
            Self::Loss { .. } => "loss",
            Self::Bandwidth { .. } => "bandwidth",
        }
    }

    /// Whose packets; of a bridge, whose are not.
    #[must_use]
    pub const fn target(&self) -> &Selector {
        match self {
            Self::Partition(cut) | Self::Flap { cut, .. } => cut.shape.selector(),
            Self::Latency { path, .. } | Self::Loss { path, .. } | Self::Bandwidth { path, .. } => &path.target,
        }
    }

    pub(super) const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Flap { .. })
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Partition(_) => "the cut is healed",
            Self::Flap { .. } => "the link is up for good",
            Self::Latency { .. } | Self::Loss { .. } | Self::Bandwidth { .. } => "the network is as before",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Partition(_) => HeldRule::Needed("how long the cut lasts"),
            Self::Flap { .. } => HeldRule::Meaningless("`times`, `down` and `up` say how long it takes"),
            Self::Latency { .. } | Self::Loss { .. } | Self::Bandwidth { .. } => {
                HeldRule::Needed("how long the network is bad")
            }
        }
    }

    /// How long it takes, where it ends by itself.
    pub(in crate::experiment) fn duration(&self) -> Option<Duration> {
        match self {
            Self::Flap { times, down, up, .. } => Some((*down + *up) * *times),
            _ => None,
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(partition) = &raw.partition {
            return Cut::read(check, partition).map(Self::Partition);
        }
        if let Some(flap) = &raw.flap {
            let raw::Flap { partition, times, down, up } = &flap.value;
            let cut = Cut::read(check, partition);
            let times = check.read(times, |text| integer(text, "number of times", 1, FLAPS_MAX));
            let down = some_time(check, down, "a cut that lasts no time cuts nothing");
            let up = some_time(check, up, "without a time in between it is one long cut");
            return Some(Self::Flap { cut: cut?, times: times?, down: down?, up: up? });
        }
        if let Some(latency) = &raw.latency {
            return self::latency(check, &latency.value);
        }
        if let Some(loss) = &raw.loss {
            let path = Path::read(check, &keys!(loss.value));
            let per_cent = check.read(&loss.value.per_cent, per_cent);
            return Some(Self::Loss { path: path?, per_cent: per_cent? });
        }
        let raw = &raw.bandwidth.as_ref()?.value;
        let path = Path::read(check, &keys!(raw));
        let bits_per_second = check.read(&raw.rate, bandwidth);
        Some(Self::Bandwidth { path: path?, bits_per_second: bits_per_second? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        match self {
            Self::Partition(cut) => raw.partition = Some(cut.write()),
            Self::Flap { cut, times, down, up } => {
                let (times, down, up) = (text(times), time(*down), time(*up));
                raw.flap = Some(spanned(raw::Flap { partition: cut.write(), times, down, up }));
            }
            Self::Latency { path, delay, jitter } => {
                let (target, peers, direction, listeners, ports) = path.write();
                let (delay, jitter) = (time(*delay), Some(time(*jitter)));
                let latency = raw::Latency { target, peers, direction, listeners, ports, delay, jitter };
                raw.latency = Some(spanned(latency));
            }
            Self::Loss { path, per_cent } => {
                let (target, peers, direction, listeners, ports) = path.write();
                let per_cent = text(format!("{per_cent}%"));
                raw.loss = Some(spanned(raw::Loss { target, peers, direction, listeners, ports, per_cent }));
            }
            Self::Bandwidth { path, bits_per_second } => {
                let (target, peers, direction, listeners, ports) = path.write();
                let rate = text(format_bandwidth(*bits_per_second));
                raw.bandwidth = Some(spanned(raw::Bandwidth { target, peers, direction, listeners, ports, rate }));
            }
        }
    }
}

fn latency(check: &mut Check, raw: &raw::Latency) -> Option<NetworkFault> {
    const LONGEST: Duration = Duration::from_secs(60);
    let path = Path::read(check, &keys!(raw));
    let delay = some_time(check, &raw.delay, "a latency of nothing is none")?;
    let jitter = check.read_or(raw.jitter.as_ref(), Duration::ZERO, duration)?;
    if delay > LONGEST {
        let problem = Problem::new("no network is that slow").at(&check.span(&raw.delay), "expected a minute at most");
        check.report(problem.hint("a broker that answers nobody is a `pause`"));
        return None;
    }
    if let Some(text) = raw.jitter.as_ref().filter(|_| jitter > delay) {
        check.report(
            Problem::new("the jitter is more than the delay").at(&check.span(text), "expected the delay at most"),
        );
        return None;
    }
    Some(NetworkFault::Latency { path: path?, delay, jitter })
}

type Written =
    (Spanned<raw::Selector>, Option<Spanned<raw::Selector>>, Option<raw::Text>, Option<raw::Texts>, Option<raw::Texts>);

impl Path {
    fn read(check: &mut Check, keys: &PathKeys<'_>) -> Option<Self> {
        let target = selector(check, keys.target);
        let peers = match keys.peers {
            Some(peers) => Peers::read(check, peers, "other end"),
            None => Some(Peers::All),
        };
        let way = Way::read(check, keys.direction);
        let peers = peers?;
        let ports = Ports::read(check, keys.ports, &peers)?;
        Some(Self { target: target?, peers, way: way?, ports })
    }

    fn write(&self) -> Written {
        let (listeners, ports) = self.ports.write();
        (spanned(selector::write(&self.target)), Some(self.peers.write()), self.way.write(), listeners, ports)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "between {} and {} {}", self.target, self.peers, ports::told(&self.ports, self.way))
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = humantime::format_duration;
        match self {
            Self::Partition(cut) => cut.fmt(f),
            Self::Flap { cut, times, down, up } => {
                write!(f, "{times} times for {}, {} in between: {cut}", format(*down), format(*up))
            }
            Self::Latency { path, delay, jitter } if jitter.is_zero() => {
                write!(f, "{} of latency {path}", format(*delay))
            }
            Self::Latency { path, delay, jitter } => {
                write!(f, "{} of latency, {} more or less, {path}", format(*delay), format(*jitter))
            }
            Self::Loss { path, per_cent } => write!(f, "{per_cent} % of all packets lost {path}"),
            Self::Bandwidth { path, bits_per_second } => {
                write!(f, "a bandwidth of {} {path}", format_bandwidth(*bits_per_second))
            }
        }
    }
}
