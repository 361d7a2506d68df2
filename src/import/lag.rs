//! Where the log was not read to its end, what is missing may lie beyond: it lags, and is not lost.

use std::collections::BTreeMap;

use lossproof_ledger::category::Category;
use lossproof_ledger::counts::{Counts, Undelivered};
use lossproof_ledger::reconcile::{Anomaly, Finding, Reconciliation, StreamId};
use roaring::RoaringTreemap;

/// What is known of how far a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// To its end.
    Whole,
    /// Up to the group's committed offset; there may be more.
    UpToCommit,
    /// Nobody knows.
    Unknown,
}

/// Turns what is missing, and need not be lost, into lag. `ahead` gives the acknowledged sequences of a
/// stream that may lie beyond the group's committed offset.
pub(super) fn mark(
    reconciliation: &mut Reconciliation,
    reading: impl Fn(i32) -> Reading,
    ahead: &BTreeMap<StreamId, RoaringTreemap>,
) {
    let mut counts = Counts::default();
    for p in &mut reconciliation.partitions {
        if reading(p.partition) != Reading::Whole {
            undelivered_lags(&mut p.counts);
        }
    }
    let mut marked = Vec::with_capacity(reconciliation.anomalies.len());
    for anomaly in std::mem::take(&mut reconciliation.anomalies) {
        let lagging = |first, last| Anomaly { first, last, finding: Finding::Category(Category::Lagging), ..anomaly };
        let reading = reading(anomaly.stream.partition);
        match (anomaly.finding, reading) {
            (Finding::Category(Category::Undelivered), Reading::UpToCommit | Reading::Unknown) => {
                marked.push(lagging(anomaly.first, anomaly.last));
            }
            (Finding::Category(Category::LostInCluster), Reading::UpToCommit | Reading::Unknown) => {
                let mut moved = 0;
                for (first, last, lags) in split(&anomaly, reading, ahead.get(&anomaly.stream)) {
                    if lags {
                        moved += last - first + 1;
                        marked.push(lagging(first, last));
                    } else {
                        marked.push(Anomaly { first, last, ..anomaly });
                    }
                }
                let p = reconciliation.partitions.iter_mut().find(|p| p.partition == anomaly.stream.partition);
                if let Some(p) = p {
                    p.counts.lost_in_cluster -= moved;
                    p.counts.lost -= moved;
                    p.counts.lagging += moved;
                }
            }
            _ => marked.push(anomaly),
        }
    }
    for p in &reconciliation.partitions {
        counts += p.counts;
    }
    marked.sort_unstable();
    reconciliation.anomalies = joined(marked);
    reconciliation.counts = counts;
}

fn undelivered_lags(counts: &mut Counts) {
    let missing = counts.undelivered.total();
    counts.undelivered = Undelivered::default();
    counts.lost -= missing;
    counts.lagging += missing;
}

/// Cuts a range of missing sequences into those that may lie ahead and those that may not.
fn split(anomaly: &Anomaly, reading: Reading, ahead: Option<&RoaringTreemap>) -> Vec<(u64, u64, bool)> {
    if reading == Reading::Unknown {
        return vec![(anomaly.first, anomaly.last, true)];
    }
    let mut range = RoaringTreemap::new();
    if let Some(ahead) = ahead {
        range.insert_range(anomaly.first..=anomaly.last);
        range &= ahead;
    }
    let mut parts: Vec<(u64, u64, bool)> = Vec::new();
    let mut next = Some(anomaly.first);
    for sequence in range {
        match parts.last_mut() {
            Some((_, last, true)) if *last + 1 == sequence => *last = sequence,
            _ => {
                if let Some(next) = next.filter(|next| *next < sequence) {
                    parts.push((next, sequence - 1, false));
                }
                parts.push((sequence, sequence, true));
            }
        }
        next = sequence.checked_add(1);
    }
    if let Some(next) = next.filter(|next| *next <= anomaly.last) {
        parts.push((next, anomaly.last, false));
    }
    parts
}

/// Joins ranges that have become neighbours of the same kind.
fn joined(anomalies: Vec<Anomaly>) -> Vec<Anomaly> {
    let mut joined: Vec<Anomaly> = Vec::with_capacity(anomalies.len());
    // By finding within a stream, so that neighbours stand next to each other.
    let mut anomalies = anomalies;
    anomalies.sort_unstable_by_key(|a| (a.stream, a.finding, a.first));
    for anomaly in anomalies {
        match joined.last_mut() {
            Some(last)
                if (last.stream, last.finding) == (anomaly.stream, anomaly.finding)
                    && last.last.checked_add(1) == Some(anomaly.first)
                    && anomaly.finding == Finding::Category(Category::Lagging) =>
            {
                last.last = anomaly.last;
            }
            _ => joined.push(anomaly),
        }
    }
    joined.sort_unstable();
    joined
}
