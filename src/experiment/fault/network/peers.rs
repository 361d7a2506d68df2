//! Who is at the other end of the packets, and which way they go.

use std::fmt;

use serde_yaml::Spanned;

use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::selector::{self, selector};
use crate::experiment::value::word;
use crate::experiment::{Selector, Word};

/// The other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// All other brokers.
    Brokers,
    /// All clients.
    Clients,
    /// All other brokers, and all clients.
    All,
    /// These brokers.
    These(Selector),
}

/// Peers that are a word; `all` brokers of a selector would be the same as `brokers`.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    Brokers,
    Clients,
    All,
}

impl Word for Group {
    const WORDS: &'static [(&'static str, Self)] =
        &[("brokers", Self::Brokers), ("clients", Self::Clients), ("all", Self::All)];
}

impl Peers {
    pub(super) fn read(check: &mut Check, raw: &Spanned<raw::Selector>, what: &str) -> Option<Self> {
        match &raw.value {
            raw::Selector::Word(name) if name != "controller" => {
                let span = check.span(raw);
                let group = check.read_at(name, &span, |text| word(text, what))?;
                Some(match group {
                    Group::Brokers => Self::Brokers,
                    Group::Clients => Self::Clients,
                    Group::All => Self::All,
                })
            }
            _ => selector(check, raw).map(Self::These),
        }
    }

    pub(super) fn write(&self) -> Spanned<raw::Selector> {
        let group = |group: Group| raw::Selector::Word(group.word().to_owned());
        spanned(match self {
            Self::Brokers => group(Group::Brokers),
            Self::Clients => group(Group::Clients),
            Self::All => group(Group::All),
            Self::These(brokers) => selector::write(brokers),
        })
    }

    /// Whether clients are among them.
    #[must_use]
    pub const fn has_clients(&self) -> bool {
        matches!(self, Self::Clients | Self::All)
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brokers => f.write_str("the other brokers"),
            Self::Clients => f.write_str("clients"),
            Self::All => f.write_str("the other brokers and clients"),
            Self::These(brokers) => brokers.fmt(f),
        }
    }
}

/// Which packets, as seen from the broker that is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What it sends and what it is sent.
    Both,
    /// What it is sent.
    In,
    /// What it sends.
    Out,
}

impl Word for Way {
    const WORDS: &'static [(&'static str, Self)] = &[("both", Self::Both), ("in", Self::In), ("out", Self::Out)];
}

impl Way {
    pub(super) fn read(check: &mut Check, raw: Option<&raw::Text>) -> Option<Self> {
        check.read_or(raw, Self::Both, |text| word(text, "direction"))
    }

    /// As it is written in a file; nothing for the default.
    pub(super) fn write(self) -> Option<raw::Text> {
        (self != Self::Both).then(|| text(self.word()))
    }
}
