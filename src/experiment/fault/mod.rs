//! The faults that an experiment can name, and how they are read: exactly one kind each, and times that fit.
//!
//! Kinds stand in groups by what they act on, one file a group: what its kinds are, how they are written, and how
//! they are told.

mod broker;
mod client;
mod disk;
mod exec;
mod kafka;
mod network;
mod timing;

use std::fmt;
use std::time::Duration;

use serde_yaml::Spanned;

use super::check::Check;
use super::hint::one_of;
use super::raw;
use super::source::Span;
use super::value::duration;
use super::{Place, Problem, Selector};

pub use broker::{BrokerFault, RestartWait};
pub(super) use client::{ALL, clients_exist};
pub use client::{ChosenClients, ClientFault, ClientRole};
pub use disk::{DiskFault, Leave};
pub use exec::ExecFault;
pub use kafka::{Denied, Destination, Election, KafkaFault, OfPartition};
pub use network::{Cut, HARNESS_PORT, Listener, NetworkFault, Path, Peers, Ports, Shape, Way};
pub use timing::{After, Moment, Repeat};
pub(super) use timing::{faults, write as write_timing};

/// One fault of the schedule.
#[derive(Debug, Clone)]
pub struct FaultSpec {
    /// From what it comes after; from the end of warm-up where it comes after nothing.
    pub at: Duration,
    /// The fault that it waits for.
    pub after: Option<After>,
    /// Which time it is, of a fault that is repeated.
    pub repeat: Option<Repeat>,
    /// When it is planned to begin, from the end of warm-up; an estimate where it waits for another.
    pub planned: Duration,
    /// How long it is held before it is healed; none where the kind ends by itself.
    pub held: Option<Held>,
    /// What is done.
    pub kind: FaultKind,
    /// Where it stands in the file.
    pub place: Place,
    /// Which entry of `faults:` it is, from 0.
    pub entry: usize,
}

/// How long a fault is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// So long.
    For(Duration),
    /// To the end of the run: it is not healed before the audit has ended.
    Forever,
}

impl Held {
    /// How long it is planned to last; nothing, where it never ends.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::For(duration) => Some(duration),
            Self::Forever => None,
        }
    }
}

/// The word for [`Held::Forever`].
pub(super) const FOREVER: &str = "forever";

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => humantime::format_duration(*duration).fmt(f),
            Self::Forever => f.write_str(FOREVER),
        }
    }
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// To the process of a broker.
    Broker(BrokerFault),
    /// To the packets of a broker.
    Network(NetworkFault),
    /// To the disk of a broker.
    Disk(DiskFault),
    /// By Kafka's own administration.
    Kafka(KafkaFault),
    /// By commands of the experiment's own.
    Exec(ExecFault),
    /// To the processes of clients.
    Client(ClientFault),
}

/// What `for` means for a kind of fault.
enum HeldRule {
    /// It must be there, and is this.
    Needed(&'static str),
    /// It must be there, and may be `forever`.
    NeededOrForever(&'static str),
    /// It may be there.
    Allowed,
    /// It means nothing; what says how long it takes instead.
    Meaningless(&'static str),
}

impl FaultKind {
    /// The keys of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let groups = [
            &BrokerFault::NAMES[..],
            &NetworkFault::NAMES,
            &DiskFault::NAMES,
            &KafkaFault::NAMES,
            &ClientFault::NAMES,
            &ExecFault::NAMES,
        ];
        groups.into_iter().flatten().copied()
    }

    /// Its key in the file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Broker(fault) => fault.name(),
            Self::Network(fault) => fault.name(),
            Self::Disk(fault) => fault.name(),
            Self::Exec(fault) => fault.name(),
            Self::Client(fault) => fault.name(),
            Self::Kafka(fault) => fault.name(),
        }
    }

    /// Which brokers it hits; none where it hits clients.
    #[must_use]
    pub const fn target(&self) -> Option<&Selector> {
        match self {
            Self::Broker(fault) => Some(fault.target()),
            Self::Network(fault) => Some(fault.target()),
            Self::Disk(fault) => Some(fault.target()),
            Self::Kafka(fault) => Some(fault.target()),
            Self::Exec(fault) => Some(fault.target()),
            Self::Client(_) => None,
        }
    }

    /// The one partition of each profile's topic that it acts on, if that is its kind.
    #[must_use]
    pub const fn partition(&self) -> Option<i32> {
        match self {
            Self::Kafka(fault) => fault.partition(),
            Self::Broker(_) | Self::Network(_) | Self::Disk(_) | Self::Client(_) | Self::Exec(_) => None,
        }
    }

    /// Which clients it hits, if that is its kind.
    #[must_use]
    pub const fn clients(&self) -> Option<&ChosenClients> {
        match self {
            Self::Client(fault) => Some(fault.chosen()),
            Self::Broker(_) | Self::Network(_) | Self::Disk(_) | Self::Kafka(_) | Self::Exec(_) => None,
        }
    }

    /// What it does to packets, if that is its kind.
    #[must_use]
    pub const fn network(&self) -> Option<&NetworkFault> {
        match self {
            Self::Network(fault) => Some(fault),
            Self::Broker(_) | Self::Disk(_) | Self::Kafka(_) | Self::Client(_) | Self::Exec(_) => None,
        }
    }

    /// Whether it takes hold of the broker's process or disk, as only one fault at a time can. Network faults
    /// combine with all others; what commands do is not known.
    #[must_use]
    pub const fn takes_the_broker(&self) -> bool {
        matches!(self, Self::Broker(_) | Self::Disk(_))
    }

    /// Whether it has ended by itself when it has been injected.
    #[must_use]
    pub const fn ends_by_itself(&self) -> bool {
        match self {
            Self::Broker(fault) => fault.ends_by_itself(),
            Self::Network(fault) => fault.ends_by_itself(),
            Self::Kafka(fault) => fault.ends_by_itself(),
            Self::Disk(_) | Self::Client(_) | Self::Exec(_) => false,
        }
    }

    /// What its end looks like in a plan.
    #[must_use]
    pub const fn end(&self) -> &'static str {
        match self {
            Self::Broker(fault) => fault.end(),
            Self::Network(fault) => fault.end(),
            Self::Disk(fault) => fault.end(),
            Self::Exec(fault) => fault.end(),
            Self::Client(fault) => fault.end(),
            Self::Kafka(fault) => fault.end(),
        }
    }

    const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Broker(fault) => fault.held_rule(),
            Self::Network(fault) => fault.held_rule(),
            Self::Disk(fault) => fault.held_rule(),
            Self::Exec(fault) => fault.held_rule(),
            Self::Client(fault) => fault.held_rule(),
            Self::Kafka(fault) => fault.held_rule(),
        }
    }

    /// Reads the one kind that is given.
    fn read(check: &mut Check, raw: &raw::Fault, name: &str) -> Option<Self> {
        if BrokerFault::NAMES.contains(&name) {
            BrokerFault::read(check, raw).map(Self::Broker)
        } else if NetworkFault::NAMES.contains(&name) {
            NetworkFault::read(check, raw).map(Self::Network)
        } else if DiskFault::NAMES.contains(&name) {
            DiskFault::read(check, raw).map(Self::Disk)
        } else if KafkaFault::NAMES.contains(&name) {
            KafkaFault::read(check, raw).map(Self::Kafka)
        } else if ClientFault::NAMES.contains(&name) {
            ClientFault::read(check, raw).map(Self::Client)
        } else {
            ExecFault::read(check, raw).map(Self::Exec)
        }
    }

    /// Writes it as it is written in a file.
    pub(super) fn write(&self, raw: &mut raw::Fault) {
        match self {
            Self::Broker(fault) => fault.write(raw),
            Self::Network(fault) => fault.write(raw),
            Self::Disk(fault) => fault.write(raw),
            Self::Exec(fault) => fault.write(raw),
            Self::Client(fault) => fault.write(raw),
            Self::Kafka(fault) => fault.write(raw),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Broker(fault) => return fault.tell(f, self.held),
            FaultKind::Network(fault) => fault.fmt(f)?,
            FaultKind::Disk(fault) => fault.fmt(f)?,
            FaultKind::Exec(fault) => fault.fmt(f)?,
            FaultKind::Client(fault) => fault.fmt(f)?,
            FaultKind::Kafka(fault) => fault.fmt(f)?,
        }
        tell_held(f, self.held)
    }
}

/// `, for 20s`.
fn tell_held(f: &mut fmt::Formatter<'_>, held: Option<Held>) -> fmt::Result {
    match held {
        Some(Held::For(duration)) => write!(f, ", for {}", humantime::format_duration(duration)),
        Some(Held::Forever) => f.write_str(", and never comes back"),
        None => Ok(()),
    }
}

/// Validates one fault, but for when it begins.
fn resolve(check: &mut Check, fault: &Spanned<raw::Fault>, entry: usize) -> Option<FaultSpec> {
    let held = match &fault.value.held {
        Some(text) => self::held(check, text).map(Some),
        None => Some(None),
    };
    let name = the_one_kind(check, fault)?;
    let kind = FaultKind::read(check, &fault.value, name)?;
    held_fits(check, fault, &kind, held?)?;
    let place = check.span(fault).place();
    let (at, planned) = (Duration::ZERO, Duration::ZERO);
    Some(FaultSpec { at, after: None, repeat: None, planned, held: held?, kind, place, entry })
}

fn held(check: &mut Check, text: &raw::Text) -> Option<Held> {
    if text.value == FOREVER {
        return Some(Held::Forever);
    }
    some_time(check, text, "a fault held for no time does nothing").map(Held::For)
}

/// A duration that is not zero.
fn some_time(check: &mut Check, text: &raw::Text, zero: &str) -> Option<Duration> {
    let found = check.read(text, duration)?;
    if found.is_zero() {
        check.report(Problem::new(zero).at(&check.span(text), "expected more than zero"));
        return None;
    }
    Some(found)
}

/// `for` is there where the kind needs it, and is not where it means nothing.
fn held_fits(check: &mut Check, fault: &Spanned<raw::Fault>, kind: &FaultKind, held: Option<Held>) -> Option<()> {
    let here = |check: &Check| fault.value.held.as_ref().map_or_else(|| check.span(fault), |text| check.span(text));
    let problem = match (kind.held_rule(), held) {
        (HeldRule::Meaningless(instead), Some(_)) => {
            Problem::new(format!("`{}` has no `for`", kind.name())).at(&here(check), "not here").hint(instead)
        }
        (HeldRule::Needed(what), None) => Problem::new("`for` is missing")
            .at(&here(check), format!("this fault needs {what}"))
            .hint("for example `for: 20s`"),
        (HeldRule::NeededOrForever(what), None) => Problem::new("`for` is missing")
            .at(&here(check), format!("this fault needs {what}"))
            .hint(format!("for example `for: 20s`, or `for: {FOREVER}`")),
        (HeldRule::Needed(_) | HeldRule::Allowed, Some(Held::Forever)) => {
            Problem::new(format!("`{}` can't be held for ever", kind.name()))
                .at(&here(check), "expected a duration")
                .hint("what is to be seen here is also how it ends: for example `for: 20s`")
        }
        _ => return Some(()),
    };
    check.report(problem);
    None
}

/// The name of the one kind that a fault has.
fn the_one_kind(check: &mut Check, fault: &Spanned<raw::Fault>) -> Option<&'static str> {
    let given: Vec<(&str, Span)> = (fault.value.kinds().into_iter())
        .filter_map(|(name, location)| Some((name, check.source.at(&location?))))
        .collect();
    if let [(name, _)] = given.as_slice() {
        return Some(name);
    }
    let whole = check.span(fault);
    let problem = if given.is_empty() {
        Problem::new("this fault does nothing: it has no kind")
            .at(&whole, format!("expected one of {}", one_of(FaultKind::names())))
            .hint("for example `kill: { target: { leader_of: 0 } }`")
    } else {
        let names: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
        let mut problem =
            Problem::new(format!("a fault has exactly one kind, and this one has {}", names.join(" and ")));
        for (name, span) in &given {
            problem = problem.at(span, format!("`{name}`"));
        }
        problem.hint("make it two entries of `faults:`, each with its own `at`")
    };
    check.report(problem);
    None
}
