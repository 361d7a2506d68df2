//! What a promise may speak of, and whether it holds where not everything is known.

use serde::{Deserialize, Serialize};

use crate::availability::{Latency, Span, Times};
use crate::counts::Counts;
use crate::gaps::Score;
use crate::reconcile::Reconciliation;

/// Which latency of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantile {
    /// Median.
    P50,
    /// 99 of 100 are at or below.
    P99,
    /// 999 of 1,000 are at or below.
    P999,
    /// The longest.
    Max,
}

impl Quantile {
    const fn of(self, latency: &Latency) -> f64 {
        match self {
            Self::P50 => latency.p50,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
            Self::Max => latency.max,
        }
    }
}

/// What is asked of a gap detector's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gaps {
    /// Losses that it found.
    Found,
    /// Losses that it missed.
    Missed,
    /// Of these, those at the end of a stream.
    MissedAtEnd,
    /// What it took for lost and was not.
    False,
    /// What it took for lost, and came late.
    Late,
}

impl Gaps {
    /// That part of a score.
    #[must_use]
    pub const fn of(self, score: &Score) -> u64 {
        match self {
            Self::Found => score.found,
            Self::Missed => score.missed,
            Self::MissedAtEnd => score.missed_at_end,
            Self::False => score.false_alarms,
            Self::Late => score.withdrawn,
        }
    }
}

/// Something measured of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A count of `report.json`, by name.
    Count(&'static str),
    /// How good its gap detection was.
    Gaps(Gaps),
    /// Messages that came due in the longest times without an ack in a fault; of the faults, the
    /// most.
    Waited,
    /// The most that the group was seen behind the ends of its logs, in offsets.
    LagMax,
    /// The longest time a stream went without an ack.
    Unavailable,
    /// The longest of those times that overlap a fault.
    UnavailableInFaults,
    /// From a heal's proof until acks and processing resumed.
    ResumedWithin,
    /// From a heal's proof until the cluster was as before.
    RecoveredWithin,
    /// From the intended moment to the ack.
    AckLatency(Quantile),
    /// The same, of the messages that waited for it in no fault.
    AckLatencyQuiet(Quantile),
    /// The same, of the messages that waited for it in a fault; of the faults, the worst.
    AckLatencyInFaults(Quantile),
    /// From the intended moment to the first processing.
    EndToEnd(Quantile),
}

/// The metrics that are no counts of messages, by name.
const OTHERS: &[(&str, Metric)] = &[
    ("gaps_found", Metric::Gaps(Gaps::Found)),
    ("gaps_missed", Metric::Gaps(Gaps::Missed)),
    ("gaps_missed_at_end", Metric::Gaps(Gaps::MissedAtEnd)),
    ("gaps_false", Metric::Gaps(Gaps::False)),
    ("gaps_late", Metric::Gaps(Gaps::Late)),
    ("waited", Metric::Waited),
    ("lag_max", Metric::LagMax),
    ("unavailable", Metric::Unavailable),
    ("unavailable_in_faults", Metric::UnavailableInFaults),
    ("resumed_within", Metric::ResumedWithin),
    ("recovered_within", Metric::RecoveredWithin),
    ("ack_latency_p50", Metric::AckLatency(Quantile::P50)),
    ("ack_latency_p99", Metric::AckLatency(Quantile::P99)),
    ("ack_latency_p999", Metric::AckLatency(Quantile::P999)),
    ("ack_latency_max", Metric::AckLatency(Quantile::Max)),
    ("ack_latency_quiet_p50", Metric::AckLatencyQuiet(Quantile::P50)),
    ("ack_latency_quiet_p99", Metric::AckLatencyQuiet(Quantile::P99)),
    ("ack_latency_quiet_p999", Metric::AckLatencyQuiet(Quantile::P999)),
    ("ack_latency_quiet_max", Metric::AckLatencyQuiet(Quantile::Max)),
    ("ack_latency_in_faults_p50", Metric::AckLatencyInFaults(Quantile::P50)),
    ("ack_latency_in_faults_p99", Metric::AckLatencyInFaults(Quantile::P99)),
    ("ack_latency_in_faults_p999", Metric::AckLatencyInFaults(Quantile::P999)),
    ("ack_latency_in_faults_max", Metric::AckLatencyInFaults(Quantile::Max)),
    ("end_to_end_p50", Metric::EndToEnd(Quantile::P50)),
    ("end_to_end_p99", Metric::EndToEnd(Quantile::P99)),
    ("end_to_end_p999", Metric::EndToEnd(Quantile::P999)),
    ("end_to_end_max", Metric::EndToEnd(Quantile::Max)),
];

/// The names of all metrics.
pub fn known_metrics() -> impl Iterator<Item = &'static str> {
    Counts::NAMES.iter().copied().chain(OTHERS.iter().map(|(name, _)| *name))
}

impl Metric {
    /// The metric of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let other = OTHERS.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric);
        other.or_else(|| Counts::NAMES.iter().find(|known| **known == name).map(|count| Self::Count(count)))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count(name) => name,
            // Every other metric is in the table, as a test makes sure.
            other => OTHERS.iter().find(|(_, metric)| *metric == other).map_or("", |(name, _)| *name),
        }
    }

    /// Whether it is a time. Its bound is then in milliseconds, and what is known of it in
    /// microseconds.
    #[must_use]
    pub const fn is_time(self) -> bool {
        !matches!(self, Self::Count(_) | Self::Gaps(_) | Self::Waited | Self::LagMax)
    }

    /// Whether it follows from times, which a host that is too busy makes worthless.
    #[must_use]
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::Count(_) | Self::Gaps(_))
    }

    /// What complete witnesses prove of it; none if it cannot be measured at all. Of times, nothing is
    /// known without all of the clients' journals: what is missing might shorten or lengthen them.
    ///
    /// `gaps`: the score of its gap detection, if it had one.
    #[must_use]
    pub fn known(self, reconciliation: &Reconciliation, times: &Times, gaps: Option<&Score>) -> Option<Known> {
        match self {
            Self::Count(name) => return known_count(name, reconciliation),
            // Follows from the run's events alone.
            Self::RecoveredWithin => return times.recovered_within().map(Known::span),
            Self::LagMax => return times.lag_seen_max.map(Known::exactly),
            _ if !reconciliation.journals_complete => return None,
            _ => {}
        }
        match self {
            Self::Count(_) | Self::RecoveredWithin | Self::LagMax => None,
            // What was lost is the measure.
            Self::Gaps(_) if reconciliation.partitions.iter().any(|p| !p.audit_complete) => None,
            Self::Gaps(which) => gaps.map(|score| Known::exactly(which.of(score))),
            Self::Waited => {
                let waited = times.windows.iter().filter(|window| window.unavailable.is_some());
                waited.map(|window| window.waited).max().map(Known::exactly)
            }
            Self::Unavailable => times.unavailable.map(Known::span),
            Self::UnavailableInFaults => times.unavailable_in_faults().map(Known::span),
            Self::ResumedWithin => times.resumed_within().map(Known::span),
            Self::AckLatency(quantile) => latency(quantile, [&times.ack_latency_ms]),
            Self::AckLatencyQuiet(quantile) => latency(quantile, [&times.ack_latency_quiet_ms]),
            Self::AckLatencyInFaults(quantile) => {
                latency(quantile, times.windows.iter().map(|window| &window.ack_latency_ms))
            }
            Self::EndToEnd(quantile) => latency(quantile, [&times.end_to_end_ms]),
        }
    }
}

/// The worst of some.
fn latency<'a>(quantile: Quantile, of: impl IntoIterator<Item = &'a Option<Latency>>) -> Option<Known> {
    let worst = of.into_iter().flatten().map(|latency| quantile.of(latency)).reduce(f64::max)?;
    Some(Known::exactly((worst * US_PER_MS as f64).round() as u64))
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

/// Microseconds in one millisecond.
pub const US_PER_MS: u64 = 1_000;

/// What is known of a number: it lies between these, both included. Microseconds for times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// At least this.
    pub low: u64,
    /// At most this; none for no limit.
    pub high: Option<u64>,
}

impl Known {
    const fn exactly(n: u64) -> Self {
        Self { low: n, high: Some(n) }
    }

    fn span(span: Span) -> Self {
        let us = span.ms.saturating_mul(US_PER_MS);
        Self { low: us, high: (!span.at_least).then_some(us) }
    }
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
    use crate::availability::{Resumption, WindowTimes};
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
        assert!(Metric::named("waited").is_some_and(|metric| metric.is_timed() && !metric.is_time()));
        assert_eq!(Metric::named("lost"), Some(Metric::Count("lost")));
    }

    /// In milliseconds; the quantiles lie 100 ms apart.
    fn latencies(p50: f64) -> Option<Latency> {
        Some(Latency { p50, p99: p50 + 100.0, p999: p50 + 200.0, max: p50 + 300.0 })
    }

    fn times() -> Times {
        let span = |ms| Some(Span { ms, at_least: false });
        let window = |waited, unavailable, recovery, p50| WindowTimes {
            waited,
            unavailable: span(unavailable),
            ack_latency_ms: latencies(p50),
            recovery: span(recovery),
            resumption: Resumption { acks: span(7), processing: span(9), ..Resumption::default() },
            ..WindowTimes::default()
        };
        Times {
            ack_latency_ms: latencies(1.0),
            ack_latency_quiet_ms: latencies(0.25),
            end_to_end_ms: latencies(4.0),
            unavailable: span(60),
            exposed: 0,
            lag_seen_max: Some(77),
            windows: vec![window(30, 50, 2_000, 3.0), window(20, 40, 3_000, 2.0)],
        }
    }

    fn journals(complete: bool) -> Reconciliation {
        Reconciliation {
            counts: Counts::default(),
            partitions: vec![],
            journals_complete: complete,
            anomalies: vec![],
            anomalies_omitted: 0,
            strays: vec![],
            strays_omitted: 0,
        }
    }

    #[test_case("waited", 30)]
    #[test_case("lag_max", 77)]
    #[test_case("unavailable", 60_000)]
    #[test_case("unavailable_in_faults", 50_000)]
    #[test_case("resumed_within", 9_000)]
    #[test_case("recovered_within", 3_000_000)]
    #[test_case("ack_latency_p50", 1_000)]
    #[test_case("ack_latency_p99", 101_000)]
    #[test_case("ack_latency_p999", 201_000)]
    #[test_case("ack_latency_max", 301_000)]
    #[test_case("ack_latency_quiet_p50", 250)]
    #[test_case("ack_latency_quiet_max", 300_250)]
    #[test_case("ack_latency_in_faults_p99", 103_000; "of the worst fault")]
    #[test_case("end_to_end_p999", 204_000)]
    fn what_is_measured_is_known_in_microseconds(name: &str, us: u64) {
        let known = |complete| Metric::named(name).unwrap().known(&journals(complete), &times(), None);
        assert_eq!(known(true), Some(exactly(us)));
        // These are told by events alone.
        assert_eq!(known(false).is_some(), ["recovered_within", "lag_max"].contains(&name));
    }

    #[test]
    fn what_was_not_measured_is_not_known() {
        for (name, metric) in OTHERS {
            assert_eq!(metric.known(&journals(true), &Times::default(), None), None, "{name}");
        }
    }

    #[test]
    fn a_time_that_had_not_ended_is_known_from_below() {
        let times = Times { unavailable: Some(Span { ms: 5, at_least: true }), ..Times::default() };
        assert_eq!(Metric::Unavailable.known(&journals(true), &times, None), Some(at_least(5_000)));
    }
}
