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
    Counts::NAMES.iter().copied().chain([UNAVAILABLE, RESUMED_WITHIN])
}

impl Metric {
    /// The metric of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        known_metrics().find(|known| *known == name).map(|known| match known {
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
        Some(Known { low: span.ms, high: (!span.at_least).then_some(span.ms) })
    }
}

/// A partition without complete witnesses may hold anything between nothing and everything.
fn known_count(name: &str, reconciliation: &Reconciliation) -> Option<Known> {
    let mut known = Known { low: 0, high: Some(0) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use Holds::{No, Unknown, Yes};
    use test_case::test_case;

    const fn exactly(n: u64) -> Known {
        Known { low: n, high: Some(n) }
    }

    const fn at_least(n: u64) -> Known {
        Known { low: n, high: None }
    }

    // Below, at and above a bound of 10; then at least 9, 10 and 11.
    #[test_case(Comparison::Equal, [No, Yes, No], [Unknown, Unknown, No])]
    #[test_case(Comparison::AtLeast, [No, Yes, Yes], [Unknown, Yes, Yes])]
    #[test_case(Comparison::MoreThan, [No, No, Yes], [Unknown, Unknown, Yes])]
    #[test_case(Comparison::AtMost, [Yes, Yes, No], [Unknown, Unknown, No])]
    #[test_case(Comparison::LessThan, [Yes, No, No], [Unknown, No, No])]
    fn comparisons(comparison: Comparison, closed: [Holds; 3], open: [Holds; 3]) {
        assert_eq!([9, 10, 11].map(|n| comparison.holds(exactly(n), 10)), closed);
        assert_eq!([9, 10, 11].map(|n| comparison.holds(at_least(n), 10)), open);
    }

    /// Over all small intervals, `holds` says what trying every value says.
    #[test]
    fn comparisons_agree_with_trying_every_value() {
        type Plain = fn(u64, u64) -> bool;
        let plain: [(Comparison, Plain); 5] = [
            (Comparison::Equal, |n, bound| n == bound),
            (Comparison::AtLeast, |n, bound| n >= bound),
            (Comparison::MoreThan, |n, bound| n > bound),
            (Comparison::AtMost, |n, bound| n <= bound),
            (Comparison::LessThan, |n, bound| n < bound),
        ];
        for (comparison, plain) in plain {
            for low in 0..5 {
                for high in low..5 {
                    for bound in 0..6 {
                        let known = Known { low, high: Some(high) };
                        let wanted = match (low..=high).filter(|n| plain(*n, bound)).count() as u64 {
                            0 => No,
                            all if all == high - low + 1 => Yes,
                            _ => Unknown,
                        };
                        let got = comparison.holds(known, bound);
                        assert_eq!(got, wanted, "{known:?} {} {bound}", comparison.sign());
                    }
                }
            }
        }
    }

    #[test]
    fn every_known_name_leads_back_to_its_metric() {
        for name in known_metrics() {
            assert_eq!(Metric::named(name).map(Metric::name), Some(name));
        }
        assert_eq!(Metric::named("lots"), None);
        assert!(Metric::named("unavailable").is_some_and(Metric::is_time));
        assert_eq!(Metric::named("lost"), Some(Metric::Count("lost")));
    }
}
