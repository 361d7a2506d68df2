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

const LOST: Finding = Finding::Category(Category::LostInCluster);
const UNDELIVERED: Finding = Finding::Category(Category::Undelivered);
const LAGGING: Finding = Finding::Category(Category::Lagging);

/// Turns what is missing, and need not be lost, into lag. `ahead` holds, for each stream, the sequences that
/// were acknowledged beyond the group's committed offset, or nobody knows where, and were not read.
pub(super) fn mark(
    reconciliation: &mut Reconciliation,
    reading: impl Fn(i32) -> Reading,
    ahead: &BTreeMap<StreamId, RoaringTreemap>,
) {
    // Of a log that contradicts itself, nothing was called missing.
    let marked: BTreeMap<i32, Reading> = reconciliation
        .partitions
        .iter()
        .filter(|p| p.audit_complete)
        .map(|p| (p.partition, reading(p.partition)))
        .filter(|(_, reading)| *reading != Reading::Whole)
        .collect();
    let mut counts = Counts::default();
    for p in &mut reconciliation.partitions {
        if let Some(reading) = marked.get(&p.partition) {
            let acked = match reading {
                Reading::Unknown => p.counts.lost_in_cluster,
                _ => ahead.iter().filter(|(id, _)| id.partition == p.partition).map(|(_, these)| these.len()).sum(),
            };
            let undelivered = p.counts.undelivered.total();
            p.counts.undelivered = Undelivered::default();
            p.counts.lost_in_cluster -= acked;
            p.counts.lost -= acked + undelivered;
            p.counts.lagging += acked + undelivered;
        }
        counts += p.counts;
    }
    reconciliation.counts = counts;

    let mut anomalies = Vec::with_capacity(reconciliation.anomalies.len());
    for anomaly in std::mem::take(&mut reconciliation.anomalies) {
        match (anomaly.finding, marked.get(&anomaly.stream.partition)) {
            (UNDELIVERED, Some(_)) | (LOST, Some(Reading::Unknown)) => {
                anomalies.push(Anomaly { finding: LAGGING, ..anomaly });
            }
            (LOST, Some(_)) => split(&anomaly, ahead.get(&anomaly.stream), &mut anomalies),
            _ => anomalies.push(anomaly),
        }
    }
    reconciliation.anomalies = joined(anomalies);
}

/// Cuts a range of missing sequences into those that are ahead and those that are not.
fn split(anomaly: &Anomaly, ahead: Option<&RoaringTreemap>, parts: &mut Vec<Anomaly>) {
    let mut these = RoaringTreemap::new();
    if let Some(ahead) = ahead {
        these.insert_range(anomaly.first..=anomaly.last);
        these &= ahead;
    }
    let mut next = anomaly.first;
    for sequence in these {
        if next < sequence {
            parts.push(Anomaly { first: next, last: sequence - 1, ..*anomaly });
        }
        parts.push(Anomaly { first: sequence, last: sequence, finding: LAGGING, ..*anomaly });
        match sequence.checked_add(1) {
            Some(after) => next = after,
            None => return,
        }
    }
    if next <= anomaly.last {
        parts.push(Anomaly { first: next, ..*anomaly });
    }
}

/// Joins neighbours that have come to be of one kind.
fn joined(mut anomalies: Vec<Anomaly>) -> Vec<Anomaly> {
    anomalies.sort_unstable_by_key(|anomaly| (anomaly.stream, anomaly.finding, anomaly.first));
    anomalies.dedup_by(|next, range| {
        let join = (range.stream, range.finding) == (next.stream, next.finding)
            && range.finding == LAGGING
            && range.last.checked_add(1) == Some(next.first);
        if join {
            range.last = next.last;
        }
        join
    });
    anomalies.sort_unstable();
    anomalies
}
