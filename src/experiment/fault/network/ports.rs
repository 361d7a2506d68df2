//! On which listeners, or ports, packets are concerned.

use std::fmt;

use super::{Peers, Way};
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::source::Span;
use crate::experiment::value::{integer, word};
use crate::experiment::{Problem, Word};

/// Ports of the brokers; at least one, and never the harness's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// By number.
    pub numbers: Vec<u16>,
    /// The listeners behind them, where they were given by name.
    pub listeners: Vec<Listener>,
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

/// Port of the HARNESS listener, which no fault may touch: it must not blind the audit.
pub const HARNESS_PORT: u16 = 9095;

/// The keys `listeners` and `ports` of a network fault.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub listeners: Option<&'a raw::Texts>,
    pub ports: Option<&'a raw::Texts>,
}

impl Ports {
    fn of(listeners: Vec<Listener>) -> Self {
        Self { numbers: listeners.iter().map(|listener| listener.port()).collect(), listeners }
    }

    /// Those that connections to these peers are made on.
    fn used_by(peers: &Peers) -> Self {
        Self::of(match peers {
            Peers::Brokers | Peers::These(_) => vec![Listener::Replication, Listener::Controller],
            Peers::Clients => vec![Listener::Client],
            Peers::All => vec![Listener::Replication, Listener::Controller, Listener::Client],
        })
    }

    /// Reads them; where none are given, those that the peers use.
    pub(super) fn read(check: &mut Check, keys: Keys<'_>, peers: &Peers) -> Option<Self> {
        let ports = match (keys.listeners, keys.ports) {
            (Some(_), Some(ports)) => {
                let problem = Problem::new("a network fault takes `listeners` or `ports`, not both")
                    .at(&check.span(ports), "remove one of them")
                    .hint("listeners are ports by name: client 9092, controller 9093, replication 9094");
                check.report(problem);
                return None;
            }
            (Some(listeners), None) => named(check, listeners)?,
            (None, Some(ports)) => numbered(check, ports)?,
            (None, None) => return Some(Self::used_by(peers)),
        };
        if let (Peers::Clients, Some(listeners)) = (peers, keys.listeners)
            && ports.listeners != [Listener::Client]
        {
            let problem = Problem::new("clients use the listener `client` alone")
                .at(&check.span(listeners), "expected `[client]`")
                .hint("leave `listeners` out: that is what is meant for clients");
            check.report(problem);
            return None;
        }
        Some(ports)
    }

    /// As they are written in a file: `listeners` and `ports`.
    pub(super) fn write(&self) -> (Option<raw::Texts>, Option<raw::Texts>) {
        if self.listeners.is_empty() {
            (None, Some(spanned(self.numbers.iter().map(text).collect())))
        } else {
            (Some(spanned(self.listeners.iter().map(|listener| text(listener.word())).collect())), None)
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = if self.listeners.is_empty() {
            self.numbers.iter().map(|port| format!("port {port}")).collect()
        } else {
            self.listeners.iter().map(|listener| listener.word().to_owned()).collect()
        };
        f.write_str(&words.join(", "))
    }
}

fn named(check: &mut Check, texts: &raw::Texts) -> Option<Ports> {
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
    Some(Ports::of(listeners))
}

fn numbered(check: &mut Check, texts: &raw::Texts) -> Option<Ports> {
    let mut numbers = Vec::new();
    for text in &texts.value {
        let port: u16 = check.read(text, |text| integer(text, "port", 1, u16::MAX))?;
        if port == HARNESS_PORT {
            check.report(harness(&check.span(text)));
            return None;
        }
        if numbers.contains(&port) {
            check.report(Problem::new(format!("port {port} is named twice")).at(&check.span(text), "again"));
            return None;
        }
        numbers.push(port);
    }
    not_empty(check, texts, "port")?;
    Some(Ports { numbers, listeners: Vec::new() })
}

fn not_empty(check: &mut Check, texts: &raw::Texts, what: &str) -> Option<()> {
    if texts.value.is_empty() {
        let problem =
            Problem::new("this fault concerns no packet").at(&check.span(texts), format!("name at least one {what}"));
        check.report(problem);
        return None;
    }
    Some(())
}

fn harness(span: &Span) -> Problem {
    Problem::new("the harness's own listener may not be touched")
        .at(span, format!("port {HARNESS_PORT} carries the probes and the audit"))
        .hint("without it nobody could say what became of the messages")
}

/// Where a packet goes, in words: ` (replication, controller)`, with what the way adds.
pub(super) fn told(ports: &Ports, way: Way) -> String {
    match way {
        Way::Both => format!("({ports})"),
        Way::Out => format!("({ports}; one way: what it sends)"),
        Way::In => format!("({ports}; one way: what it is sent)"),
    }
}
