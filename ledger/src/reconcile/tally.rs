//! The end of both passes: the four questions answered for each sequence, and the sums.

use super::state::{Bits, PartitionState, State};
use super::{Anomaly, Finding, Flag, PartitionResult, Reconciliation, StreamId};
use crate::category::{Category, Group, InLog, Parked, Told, categorise};
use crate::counts::{Counts, Imbalance};
use crate::event::PositionSource;

/// Flags that are bits of a sequence.
const FLAGS: [(u16, Flag); 4] = [
    (Bits::DUPLICATE, Flag::Duplicate),
    (Bits::REDELIVERED, Flag::Redelivered),
    (Bits::REORDERED, Flag::Reordered),
    (Bits::CONFLICT, Flag::OffsetConflict),
];

pub(super) fn reconcile(mut state: State, journals_complete: bool) -> Result<Reconciliation, Imbalance> {
    let mut counts = Counts::default();
    let mut partitions = Vec::with_capacity(state.partitions.len());
    let mut anomalies = Vec::new();
    for (partition, p) in &mut state.partitions {
        let absent = if p.audit_complete() { InLog::Absent } else { InLog::Unreadable };
        for stream in state.streams.iter().filter(|s| s.id.partition == *partition) {
            let mut ranges = Ranges::new(stream.id);
            let first = stream.base as usize;
            let bits = &state.bits[first..first + stream.offered as usize];
            for (sequence, bits) in (0..).zip(bits) {
                judge(*bits, sequence, absent, &mut p.counts, &mut ranges);
            }
            anomalies.append(&mut ranges.finish());
        }
        p.counts.commits_lost += u64::from(last_commit_lost(p));
        p.counts.check()?;
        counts += p.counts;
        partitions.push(PartitionResult {
            partition: *partition,
            counts: p.counts,
            audit_complete: p.audit_complete(),
            position_known: p.position.is_some(),
        });
    }
    anomalies.sort_unstable();
    counts.check()?;
    Ok(Reconciliation { counts, partitions, journals_complete, anomalies, strays: state.strays })
}

/// One sequence: counts it, and notes what is remarkable.
fn judge(bits: Bits, sequence: u64, absent: InLog, counts: &mut Counts, ranges: &mut Ranges) {
    let told = bits.told().unwrap_or(Told::Indeterminate);
    let present = bits.has(Bits::PRESENT);
    let in_log = if present { InLog::Present } else { absent };
    let group = if bits.has(Bits::PROCESSED) {
        Group::Processed
    } else if bits.has(Bits::AHEAD) {
        Group::Behind
    } else {
        Group::Past
    };
    let category = categorise(told, in_log, group, Parked::No);

    counts.add_told(told);
    counts.add_category(category, told);
    counts.in_log += u64::from(present);
    if category != Category::Delivered {
        ranges.add(sequence, Finding::Category(category));
    }
    for (bit, flag) in FLAGS {
        if bits.has(bit) {
            ranges.add(sequence, Finding::Flag(flag));
        }
    }
    if told == Told::Failed && present {
        counts.failed_but_landed += 1;
        ranges.add(sequence, Finding::Flag(Flag::FailedButLanded));
    }
}

/// Whether the group resumes below the last commit that was accepted. A member that owns the
/// partition resumes from its own memory, which says nothing about commits.
fn last_commit_lost(p: &PartitionState) -> bool {
    let (Some(position), Some((_, committed))) = (p.position, p.last_commit) else {
        return false;
    };
    match position.source {
        PositionSource::Committed => position.offset < committed,
        PositionSource::Reset => true,
        PositionSource::Owner => false,
    }
}

/// Joins consecutive sequences with the same finding.
struct Ranges {
    stream: StreamId,
    open: Vec<Anomaly>,
    closed: Vec<Anomaly>,
}

impl Ranges {
    const fn new(stream: StreamId) -> Self {
        Self { stream, open: Vec::new(), closed: Vec::new() }
    }

    fn add(&mut self, sequence: u64, finding: Finding) {
        match self.open.iter_mut().find(|range| range.finding == finding) {
            Some(range) if range.last + 1 == sequence => range.last = sequence,
            Some(range) => {
                let new = Anomaly { first: sequence, last: sequence, ..*range };
                self.closed.push(std::mem::replace(range, new));
            }
            None => self.open.push(Anomaly { stream: self.stream, first: sequence, last: sequence, finding }),
        }
    }

    fn finish(mut self) -> Vec<Anomaly> {
        self.closed.append(&mut self.open);
        self.closed
    }
}
