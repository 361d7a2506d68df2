//! What is rare: sets of sequences.

use std::iter::Peekable;

use roaring::RoaringTreemap;

/// What may be remarkable about a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Mark {
    /// A visible copy lies at or beyond the group's position.
    Ahead,
    /// So does a copy that an open transaction hides.
    AheadHidden,
    /// An open transaction hides a copy.
    Hidden,
    /// A copy is in the log, and nobody knows whether it is visible.
    Doubtful,
    /// There are several copies.
    Several,
    /// It is in the log, but not with the application's first attempt.
    LateOnly,
    /// [`super::Flag::Duplicate`].
    Duplicate,
    /// [`super::Flag::Redelivered`].
    Redelivered,
    /// [`super::Flag::Doubled`].
    Doubled,
    /// [`super::Flag::Reordered`].
    Reordered,
    /// [`super::Flag::OffsetConflict`].
    Conflict,
    /// Processed, but not (only) as `PROCESSED` tells.
    Elsewhere,
    /// [`super::Flag::AbortedRead`].
    AbortedRead,
    /// [`super::Flag::TornTxn`].
    TornTxn,
    /// Held outside the topic by the producer's side.
    Parked,
    /// [`super::Flag::DeadLettered`].
    DeadLettered,
    /// The tail reader saw a copy below the log's start.
    Expired,
    /// The tail reader saw a copy that compaction has removed.
    Compacted,
    /// On a compacted topic: compaction did not remove it.
    NotCompacted,
}

pub(super) const MARKS: usize = Mark::NotCompacted as usize + 1;

/// A set of sequences, mostly filled in ascending order: the last stretch is kept apart until it
/// ends.
#[derive(Debug, Default)]
pub(super) struct Marks {
    set: RoaringTreemap,
    last: Option<(u64, u64)>,
}

impl Marks {
    pub fn insert(&mut self, sequence: u64) {
        match &mut self.last {
            Some((_, last)) if last.checked_add(1) == Some(sequence) => *last = sequence,
            _ => {
                self.settle();
                self.last = Some((sequence, sequence));
            }
        }
    }

    pub fn contains(&self, sequence: u64) -> bool {
        self.last.is_some_and(|(first, last)| (first..=last).contains(&sequence)) || self.set.contains(sequence)
    }

    /// Whether it was there.
    pub fn remove(&mut self, sequence: u64) -> bool {
        self.settle();
        self.set.remove(sequence)
    }

    fn settle(&mut self) {
        if let Some((first, last)) = self.last.take() {
            self.set.insert_range(first..=last);
        }
    }

    /// For asking in ascending order.
    pub fn reader(&mut self) -> MarksReader<'_> {
        self.settle();
        MarksReader { sequences: self.set.iter().peekable() }
    }
}

/// Reads a set 64 sequences at a time.
pub(super) struct MarksReader<'a> {
    sequences: Peekable<roaring::treemap::Iter<'a>>,
}

impl MarksReader<'_> {
    /// Which of the 64 sequences from `base` on are in the set. Bases must ascend, and none may be
    /// left out of whose sequences one is in the set.
    pub fn word(&mut self, base: u64) -> u64 {
        let mut word = 0;
        while let Some(sequence) = self.sequences.next_if(|sequence| sequence - base < 64) {
            word |= 1 << (sequence - base);
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_sequences_are_put_in_together() {
        let mut marks = Marks::default();
        for sequence in 10..20 {
            marks.insert(sequence);
        }
        assert_eq!((marks.set.len(), marks.last), (0, Some((10, 19))));
        marks.insert(19);
        assert_eq!((marks.set.len(), marks.last), (10, Some((19, 19))));
        assert!(marks.remove(19) && !marks.remove(19));
        marks.insert(70);
        let sets = [9, 10, 18, 19, 70].map(|sequence| marks.contains(sequence));
        assert_eq!(sets, [false, true, true, false, true]);
        let mut reader = marks.reader();
        assert_eq!([0, 64, 128].map(|base| reader.word(base)), [0b1_1111_1111 << 10, 1 << 6, 0]);
    }
}
