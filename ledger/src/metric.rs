//! What a promise may speak of, and whether it holds where not everything is known.

use serde::{Deserialize, Serialize};

use crate::availability::Times;
use crate::counts::Counts;
use crate::reconcile::Reconciliation;

/// Name of [`Metric::Unavailable`].
const UNAVAILABLE: &str = "unavailable";
/// Name of [`Metric::ResumedWithin`].
const RESUMED_WITHIN: &str = "resumed_within";

/// Something measured of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A count of `report.json`, by name.
    Count(&'static str),
    /// The longest time a stream went without an ack, in milliseconds.
    Unavailable,
    /// From a heal's proof until acks and processing resumed, in milliseconds.
    ResumedWithin,
}

/// The names of all metrics.
pub fn known_metrics() -> impl Iterator<Item = &'static str> {
    Counts::NAMES
        .iter()
        .copied()
        .chain([UNAVAILABLE, RESUMED_WITHIN])
}

impl Metric {
    /// The metric of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        known_metrics()
            .find(|known| *known == name)
            .map(|known| match known {
                UNAVAILABLE => Self::Unavailable,
                RESUMED_WITHIN => Self::ResumedWithin,
                count => Self::Count(count),
            })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count(name) => name,
            Self::Unavailable => UNAVAILABLE,
            Self::ResumedWithin => RESUMED_WITHIN,
        }
    }

    /// Whether it is a time in milliseconds, which a host that is too busy makes worthless.
    #[must_use]
    pub const fn is_time(self) -> bool {
        match self {
            Self::Count(_) => false,
            Self::Unavailable | Self::ResumedWithin => true,
        }
    }

    /// What complete witnesses prove of it; none if it cannot be measured at all.
    #[must_use]
    pub fn known(self, reconciliation: &Reconciliation, times: &Times) -> Option<Known> {
        let span = match self {
            Self::Count(name) => return known_count(name, reconciliation),
            Self::Unavailable => times.unavailable?,
            Self::ResumedWithin => times.resumed_within()?,
        };
        Some(Known {
            low: span.ms,
            high: (!span.at_least).then_some(span.ms),
        })
    }
}

/// A partition without complete witnesses may hold anything between nothing and everything.
fn known_count(name: &str, reconciliation: &Reconciliation) -> Option<Known> {
    let mut known = Known {
        low: 0,
        high: Some(0),
    };
    for p in &reconciliation.partitions {
        if p.audit_complete && reconciliation.journals_complete {
            let count = p.counts.get(name)?;
            known.low += count;
            known.high = known.high.map(|high| high + count);
        } else {
            known.high = None;
        }
    }
    Some(known)
}

/// What is known of a number: it lies between these, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// At least this.
    pub low: u64,
    /// At most this; none for no limit.
    pub high: Option<u64>,
}

/// How a metric is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    MoreThan,
    /// `<=`
    AtMost,
    /// `<`
    LessThan,
}

/// Whether a comparison holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// For every value that it may have.
    Yes,
    /// For none.
    No,
    /// For some.
    Unknown,
}

impl Comparison {
    /// Its sign.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::MoreThan => ">",
            Self::AtMost => "<=",
            Self::LessThan => "<",
        }
    }

    /// Whether what is known of a number settles the comparison with the bound.
    #[must_use]
    pub fn holds(self, known: Known, bound: u64) -> Holds {
        let (low, high) = (known.low, known.high);
        let below = |limit: u64| high.is_some_and(|high| high < limit);
        let at_most = |limit: u64| high.is_some_and(|high| high <= limit);
        let (all, none) = match self {
            Self::Equal => (low == bound && at_most(bound), low > bound || below(bound)),
            Self::AtLeast => (low >= bound, below(bound)),
            Self::MoreThan => (low > bound, at_most(bound)),
            Self::AtMost => (at_most(bound), low > bound),
            Self::LessThan => (below(bound), low >= bound),
        };
        match (all, none) {
            (true, _) => Holds::Yes,
            (_, true) => Holds::No,
            _ => Holds::Unknown,
        }
    }
}
