//! How promises and what was found of them are put into words.

use super::Promise;
use crate::metric::{Comparison, Known, Metric, US_PER_MS};

/// The bound, such as `0`, `>= 100` or `< 30 s`.
pub(super) fn asked(promise: &Promise) -> String {
    let bound = quantity(promise.metric, promise.known_bound());
    match promise.comparison {
        Comparison::Equal => bound,
        other => format!("{} {bound}", other.sign()),
    }
}

/// Such as `resilient: lost is 5`.
pub(super) fn found(promise: &Promise, known: Known) -> String {
    let low = quantity(promise.metric, known.low);
    let value = match known.high {
        Some(high) if high == known.low => low,
        Some(high) => format!("between {low} and {}", quantity(promise.metric, high)),
        None => format!("at least {low}"),
    };
    format!("{}: {} is {value}", promise.profile, promise.metric.name())
}

pub(super) fn unmeasured(promise: &Promise) -> String {
    format!("{}: the run has nothing to measure {} by", promise.profile, promise.metric.name())
}

/// Times are in microseconds: below a second to the microsecond, above it to the millisecond, rounded
/// up.
fn quantity(metric: Metric, n: u64) -> String {
    match n.div_ceil(US_PER_MS) {
        _ if !metric.is_time() => n.to_string(),
        0..1_000 => format!("{} ms", n as f64 / 1_000.0),
        ms => format!("{} s", ms as f64 / 1_000.0),
    }
}

pub(super) fn list(partitions: &[i32]) -> String {
    let numbers: Vec<_> = partitions.iter().map(i32::to_string).collect();
    match numbers.len() {
        1 => format!("partition {}", numbers[0]),
        _ => format!("partitions {}", numbers.join(", ")),
    }
}
