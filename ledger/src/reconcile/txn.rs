//! Reports within transactions, which count once their transaction's end is known.

use super::ANY_PARTITION;
use super::authors::StreamIndex;
use super::evidence::Evidence;
use super::marks::Mark;
use super::partition::PartitionState;
use super::planes::Place;
use super::stream::StreamState;
use crate::category::{InLog, Told};
use crate::record::TxnOutcome;

/// Consecutive sequences that were told alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reports {
    stream: StreamIndex,
    attempt: u16,
    told: Told,
    first: u64,
    last: u64,
}

impl Reports {
    /// Takes in those that follow, if they are alike.
    fn extend(&mut self, next: &Self) -> bool {
        let follows = self.last.checked_add(1) == Some(next.first)
            && (self.stream, self.attempt, self.told) == (next.stream, next.attempt, next.told);
        if follows {
            self.last = next.last;
        }
        follows
    }
}

/// What one journal says of transactions.
#[derive(Debug, Default)]
pub(super) struct TxnBook {
    /// Reports of the transaction that has not ended.
    open: Vec<Reports>,
    /// Those of ended ones. They wait for the end of the journal: were entries of it missing, the
    /// ends of transactions might be among them.
    ended: Vec<(Reports, TxnOutcome)>,
    /// Transactions of which a part is visible and a part is absent.
    torn: u64,
    /// What of them was acknowledged.
    torn_reports: Vec<Reports>,
}

impl TxnBook {
    pub fn told(&mut self, stream: StreamIndex, sequence: u64, attempt: u16, told: Told) {
        let new = Reports { stream, attempt, told, first: sequence, last: sequence };
        if !self.open.last_mut().is_some_and(|last| last.extend(&new)) {
            self.open.push(new);
        }
    }

    /// Takes the end of the transaction to which all reports since the one before belong.
    pub fn txn_ended(&mut self, outcome: TxnOutcome, streams: &mut [StreamState], partitions: &[PartitionState]) {
        // Only what was acknowledged is surely part of it.
        let (mut visible, mut absent) = (false, false);
        for reports in self.open.iter().filter(|reports| reports.told == Told::Acked) {
            let stream = &mut streams[reports.stream as usize];
            let evidence = Evidence::of(stream.id, partitions);
            for sequence in reports.first..=reports.last {
                if let Some(place) = stream.planes.place(sequence) {
                    let (is_visible, is_absent) = sight(stream, &evidence, sequence, place, reports.attempt);
                    visible |= is_visible;
                    absent |= is_absent;
                }
            }
        }
        let torn = visible && absent;
        self.torn += u64::from(torn);
        for reports in self.open.drain(..) {
            if torn && reports.told == Told::Acked {
                self.torn_reports.push(reports);
            }
            let joined = |(last, of): &mut (Reports, TxnOutcome)| *of == outcome && last.extend(&reports);
            if !self.ended.last_mut().is_some_and(joined) {
                self.ended.push((reports, outcome));
            }
        }
    }

    /// Takes the end of the journal, and gives the number of torn transactions.
    pub fn journal_ended(mut self, whole: bool, streams: &mut [StreamState], partitions: &[PartitionState]) -> u64 {
        self.txn_ended(TxnOutcome::Unknown, streams, partitions);
        for (reports, outcome) in self.ended {
            let told = settled(reports.told, if whole { outcome } else { TxnOutcome::Unknown });
            each(reports, streams, |stream, _, place| stream.planes.tell(place, told));
        }
        if !whole {
            return 0;
        }
        for reports in self.torn_reports {
            each(reports, streams, |stream, sequence, place| stream.mark(Mark::TornTxn, sequence, place));
        }
        self.torn
    }
}

fn each(reports: Reports, streams: &mut [StreamState], mut act: impl FnMut(&mut StreamState, u64, Place)) {
    let stream = &mut streams[reports.stream as usize];
    for sequence in reports.first..=reports.last {
        if let Some(place) = stream.planes.place(sequence) {
            act(stream, sequence, place);
        }
    }
}

/// What a report comes to by its transaction's end. What the client refused, or never took, is no
/// part of the transaction.
const fn settled(told: Told, outcome: TxnOutcome) -> Told {
    match (told, outcome) {
        (Told::Unsent | Told::Failed, _) | (_, TxnOutcome::Committed) => told,
        (_, TxnOutcome::Aborted) => Told::Failed,
        (_, TxnOutcome::Unknown) => Told::Indeterminate,
    }
}

/// Whether an attempt of a sequence is certainly visible, and whether it is certainly absent. Where
/// it may have been compacted, or may lie in any partition, the latter is not asked.
fn sight(stream: &StreamState, evidence: &Evidence, sequence: u64, place: Place, attempt: u16) -> (bool, bool) {
    let is = |mark| stream.is_marked(mark, sequence, place);
    if is(Mark::Hidden) {
        (false, false)
    } else if stream.has_attempt(sequence, place, attempt) {
        (true, false)
    } else {
        let known = evidence.compacted.is_empty() && stream.id.partition != ANY_PARTITION;
        (false, known && evidence.in_log(sequence, false, is) == InLog::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Offered, Stream, StreamId};

    #[test]
    fn reports_that_are_alike_take_one_entry() {
        let id = StreamId { producer: 0, partition: 0 };
        let streams = &mut [StreamState::new(&Stream { id, offered: Offered::Below(1000) })];
        let mut book = TxnBook::default();
        for sequence in 0..1000 {
            book.told(0, sequence, 0, Told::Acked);
            if sequence % 10 == 9 {
                assert_eq!(book.open, [Reports { first: sequence - 9, last: sequence, ..book.open[0] }]);
                book.txn_ended(TxnOutcome::Committed, streams, &[]);
            }
        }
        assert_eq!(book.ended.len(), 1);
        for (sequence, attempt, told) in [(5, 0, Told::Acked), (6, 1, Told::Acked), (7, 1, Told::Failed)] {
            book.told(0, sequence, attempt, told);
        }
        book.told(1, 8, 1, Told::Failed);
        book.told(1, 10, 1, Told::Failed);
        assert_eq!(book.open.len(), 5, "these are not");
    }
}
