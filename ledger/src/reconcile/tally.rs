//! The end of both passes: the four questions answered for each sequence, and the sums. Sequences of
//! a group that have the same bits are judged together, by counting bits; only what is marked is
//! looked at one by one.

use super::evidence::{Evidence, is_real};
use super::marks::{MARKS, Mark, Marks};
use super::partition::PartitionState;
use super::planes::{Group, MARKED, PRESENT, PROCESSED, told};
use super::ranges::{Findings, Ranges, Words};
use super::state::State;
use super::stream::StreamState;
use super::{ANY_PARTITION, Flag, PartitionResult, Reconciliation};
use crate::category::{Group as GroupAnswer, InLog, Parked, Told, categorise};
use crate::counts::{Counts, Imbalance};
use crate::event::PositionSource;

/// Flags that are marks.
const FLAGS: [(Mark, Flag); 8] = [
    (Mark::Duplicate, Flag::Duplicate),
    (Mark::Redelivered, Flag::Redelivered),
    (Mark::Doubled, Flag::Doubled),
    (Mark::Reordered, Flag::Reordered),
    (Mark::Conflict, Flag::OffsetConflict),
    (Mark::AbortedRead, Flag::AbortedRead),
    (Mark::TornTxn, Flag::TornTxn),
    (Mark::DeadLettered, Flag::DeadLettered),
];

pub(super) fn reconcile(state: State, journals_complete: bool) -> Result<Reconciliation, Imbalance> {
    let State { mut partitions, mut streams, mut strays, .. } = state;
    let mut findings = Findings::default();
    for stream in &mut streams {
        let evidence = Evidence::of(stream.id, &partitions);
        let mut ranges = Ranges::new(stream.id, &mut findings);
        let counts = judge(stream, &evidence, &mut ranges);
        ranges.finish();
        if let Some(home) = partitions.iter_mut().find(|p| p.partition == stream.id.partition) {
            home.counts += counts;
        }
    }

    let mut counts = Counts::default();
    let (any_complete, any_known) = of_any_partition(&partitions);
    let mut results = Vec::with_capacity(partitions.len());
    for p in &mut partitions {
        p.counts.commits_lost += u64::from(last_commit_lost(p));
        p.counts.check()?;
        counts += p.counts;
        let any = p.partition == ANY_PARTITION && !p.named;
        results.push(PartitionResult {
            partition: p.partition,
            counts: p.counts,
            audit_complete: if any { any_complete } else { p.audit_complete() },
            position_known: if any { any_known } else { p.position.is_some() },
        });
    }
    results.sort_unstable_by_key(|result| result.partition);
    counts.check()?;
    let Findings { listed: mut anomalies, omitted: anomalies_omitted, .. } = findings;
    anomalies.sort_unstable();
    strays.listed.sort_unstable();
    Ok(Reconciliation {
        counts,
        partitions: results,
        journals_complete,
        anomalies,
        anomalies_omitted,
        strays: strays.listed,
        strays_omitted: strays.omitted,
    })
}

/// Whether every partition was read and every position is known, for messages that may lie in any.
fn of_any_partition(partitions: &[PartitionState]) -> (bool, bool) {
    let mut real = partitions.iter().filter(|p| is_real(p)).peekable();
    let some = real.peek().is_some();
    real.fold((some, some), |(complete, known), p| (complete && p.audit_complete(), known && p.position.is_some()))
}

/// Counts the sequences of a stream, and notes what is remarkable.
fn judge(stream: &mut StreamState, evidence: &Evidence, ranges: &mut Ranges) -> Counts {
    let mut counts = Counts::default();
    let StreamState { planes, marks, .. } = stream;
    let mut readers = marks.each_mut().map(Marks::reader);
    for (base, offered, group) in planes.groups() {
        let mut words = Words::default();
        let mut marked = [0; MARKS];
        if group[MARKED] != 0 {
            marked = readers.each_mut().map(|reader| reader.word(base));
        }
        // Where it depends on the sequence whether an absent one is lost.
        let single = group[MARKED] | if evidence.compacted.is_empty() { 0 } else { !group[PRESENT] };
        let mut rest = offered;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let mut alike = rest & !single;
            if single & bit != 0 {
                alike = bit;
            } else {
                for word in group {
                    alike &= if word & bit != 0 { *word } else { !word };
                }
            }
            rest &= !alike;
            let sequence = base + u64::from(bit.trailing_zeros());
            let seen = Seen { sequence, group, bit, marked: &marked };
            seen.count(evidence, alike, &mut counts, &mut words);
        }
        ranges.add(base, &words);
    }
    counts
}

/// What was seen of a sequence.
struct Seen<'a> {
    sequence: u64,
    group: &'a Group,
    bit: u64,
    marked: &'a [u64; MARKS],
}

impl Seen<'_> {
    fn has(&self, plane: usize) -> bool {
        self.group[plane] & self.bit != 0
    }

    fn is(&self, mark: Mark) -> bool {
        self.marked[mark as usize] & self.bit != 0
    }

    /// Answers the four questions for all sequences of `alike`.
    fn count(&self, evidence: &Evidence, alike: u64, counts: &mut Counts, words: &mut Words) {
        let told = told(self.group, self.bit).unwrap_or(Told::Indeterminate);
        let in_log = evidence.in_log(self.sequence, self.has(PRESENT), |mark| self.is(mark));
        let parked = if self.is(Mark::Parked) { Parked::Held } else { Parked::No };
        let category = categorise(told, in_log, self.group(evidence), parked);

        let sequences = u64::from(alike.count_ones());
        let of = |condition: bool| if condition { sequences } else { 0 };
        counts.add_told(told, sequences);
        counts.add_category(category, told, sequences);
        words.category(category, alike);
        for (mark, flag) in FLAGS {
            if self.is(mark) {
                words.flag(flag, alike);
            }
        }
        counts.dead_lettered += of(self.is(Mark::DeadLettered));
        if in_log == InLog::Present {
            counts.in_log += sequences;
            if told == Told::Failed {
                counts.failed_but_landed += sequences;
                words.flag(Flag::FailedButLanded, alike);
            }
            if parked == Parked::Held {
                counts.recovered_and_landed += sequences;
                words.flag(Flag::RecoveredAndLanded, alike);
            }
        }
    }

    fn group(&self, evidence: &Evidence) -> GroupAnswer {
        if self.has(PROCESSED) || self.is(Mark::Elsewhere) || self.is(Mark::DeadLettered) {
            GroupAnswer::Processed
        } else if self.is(Mark::Ahead) || evidence.all_ahead {
            GroupAnswer::Behind
        } else if self.is(Mark::AheadHidden) {
            GroupAnswer::BehindOpenTxn
        } else {
            GroupAnswer::Past
        }
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
