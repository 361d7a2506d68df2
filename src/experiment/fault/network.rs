//! Faults of a broker's packets: who is cut off from whom, and on which listeners.

use std::fmt;

use serde_yaml::Spanned;

use super::HeldRule;
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::selector::{self, selector};
use crate::experiment::source::Span;
use crate::experiment::value::{integer, word};
use crate::experiment::{Problem, Selector, Word};

/// What is done to the packets of a broker.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkFault {
    /// Packets between `isolate` and `from` are dropped, in both directions.
    Partition {
        /// Which broker is cut off.
        isolate: Selector,
        /// From whom.
        from: Peers,
        /// On which ports.
        ports: Vec<u16>,
        /// The listeners' names behind the ports, where they were given by name.
        listeners: Vec<Listener>,
    },
}

/// The other side of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// All other brokers.
    Brokers,
    /// All clients.
    Clients,
}

impl Word for Peers {
    const WORDS: &'static [(&'static str, Self)] = &[("brokers", Self::Brokers), ("clients", Self::Clients)];
}

/// A broker's listeners; each has a port of its own so that a fault can pick one kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// CLIENT, port 9092.
    Client,
    /// CONTROLLER, port 9093.
    Controller,
    /// REPL, port 9094.
    Replication,
}

impl Word for Listener {
    const WORDS: &'static [(&'static str, Self)] =
        &[("client", Self::Client), ("controller", Self::Controller), ("replication", Self::Replication)];
}

impl Listener {
    /// The listener's port in every broker.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Client => 9092,
            Self::Controller => 9093,
            Self::Replication => 9094,
        }
    }
}

/// Port of the HARNESS listener, which no fault may cut: it must not blind the audit.
pub const HARNESS_PORT: u16 = 9095;

impl NetworkFault {
    pub(super) const NAMES: [&'static str; 1] = ["partition"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
        }
    }

    pub(super) const fn target(&self) -> &Selector {
        match self {
            Self::Partition { isolate, .. } => isolate,
        }
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "the cut is healed",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Partition { .. } => HeldRule::Needed("how long the cut lasts"),
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        partition(check, raw.partition.as_ref()?)
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let Self::Partition { isolate, from, ports, listeners } = self;
        let names = listeners.iter().map(|listener| text(listener.word())).collect::<Vec<_>>();
        let by_name = !names.is_empty();
        raw.partition = Some(spanned(raw::Partition {
            isolate: spanned(selector::write(isolate)),
            from: text(from.word()),
            listeners: by_name.then(|| spanned(names)),
            ports: (!by_name).then(|| spanned(ports.iter().map(text).collect())),
        }));
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Partition { isolate, from, ports, listeners } = self;
        let from = match from {
            Peers::Brokers => "the other brokers",
            Peers::Clients => "clients",
        };
        let on: Vec<_> = if listeners.is_empty() {
            ports.iter().map(|port| format!("port {port}")).collect()
        } else {
            listeners.iter().map(|listener| listener.word().to_owned()).collect()
        };
        write!(f, "{isolate} {} cut off from {from} ({})", isolate.is(), on.join(", "))
    }
}

fn partition(check: &mut Check, partition: &Spanned<raw::Partition>) -> Option<NetworkFault> {
    let whole = check.span(partition);
    let partition = &partition.value;
    let isolate = selector(check, &partition.isolate);
    let from: Option<Peers> = check.read(&partition.from, |text| word(text, "other side of a partition"));
    let cut = match (&partition.listeners, &partition.ports) {
        (Some(_), Some(ports)) => {
            let problem = Problem::new("a partition takes `listeners` or `ports`, not both")
                .at(&check.span(ports), "remove one of them")
                .hint("listeners are ports by name: client 9092, controller 9093, replication 9094");
            check.report(problem);
            None
        }
        (Some(listeners), None) => named_listeners(check, listeners),
        (None, Some(ports)) => numbered_ports(check, ports),
        (None, None) if from == Some(Peers::Clients) => Some(by_listener(vec![Listener::Client])),
        (None, None) => Some(by_listener(vec![Listener::Replication, Listener::Controller])),
    };
    if let (Some(Peers::Clients), Some(listeners), Some((_, named))) = (from, &partition.listeners, &cut)
        && named.as_slice() != [Listener::Client]
    {
        let problem = Problem::new("clients use the listener `client` alone")
            .at(&check.span(listeners), "expected `[client]`")
            .hint("leave `listeners` out: that is what is cut for clients");
        check.report(problem);
        return None;
    }
    if let (None, None, Some(_)) = (&isolate, &from, &cut) {
        check.report(Problem::new("this partition can't be understood").at(&whole, "here"));
    }
    let (isolate, (ports, listeners)) = (isolate?, cut?);
    Some(NetworkFault::Partition { isolate, from: from?, ports, listeners })
}

fn by_listener(listeners: Vec<Listener>) -> (Vec<u16>, Vec<Listener>) {
    (listeners.iter().map(|listener| listener.port()).collect(), listeners)
}

type Cut = (Vec<u16>, Vec<Listener>);

fn named_listeners(check: &mut Check, texts: &Spanned<Vec<raw::Text>>) -> Option<Cut> {
    let mut listeners = Vec::new();
    for text in &texts.value {
        if text.value.eq_ignore_ascii_case("harness") {
            check.report(harness(&check.span(text)));
            return None;
        }
        let listener = check.read(text, |text| word(text, "listener"))?;
        if listeners.contains(&listener) {
            check.report(Problem::new(format!("`{}` is named twice", text.value)).at(&check.span(text), "again"));
            return None;
        }
        listeners.push(listener);
    }
    not_empty(check, texts, "listener")?;
    Some(by_listener(listeners))
}

fn numbered_ports(check: &mut Check, texts: &Spanned<Vec<raw::Text>>) -> Option<Cut> {
    let mut ports = Vec::new();
    for text in &texts.value {
        let port: u16 = check.read(text, |text| integer(text, "port", 1, u16::MAX))?;
        if port == HARNESS_PORT {
            check.report(harness(&check.span(text)));
            return None;
        }
        if ports.contains(&port) {
            check.report(Problem::new(format!("port {port} is named twice")).at(&check.span(text), "again"));
            return None;
        }
        ports.push(port);
    }
    not_empty(check, texts, "port")?;
    Some((ports, Vec::new()))
}

fn not_empty(check: &mut Check, texts: &Spanned<Vec<raw::Text>>, what: &str) -> Option<()> {
    if texts.value.is_empty() {
        let problem =
            Problem::new("this partition cuts nothing").at(&check.span(texts), format!("name at least one {what}"));
        check.report(problem);
        return None;
    }
    Some(())
}

fn harness(span: &Span) -> Problem {
    Problem::new("the harness's own listener may not be cut")
        .at(span, format!("port {HARNESS_PORT} carries the probes and the audit"))
        .hint("without it nobody could say what became of the messages")
}
