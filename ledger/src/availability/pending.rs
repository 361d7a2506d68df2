//! Reports within a transaction, which count once that has ended.

use std::ops::Range;

/// Of the transaction that is open in one stream: ranges, as reports come nearly in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) acked: Ranges,
    /// Reported otherwise.
    pub(super) others: Ranges,
}

/// Sequences in the order in which they came, neighbours together.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a sequence, which is below `u64::MAX`.
    pub(super) fn push(&mut self, sequence: u64) {
        match self.0.last_mut() {
            Some(last) if last.end == sequence => last.end += 1,
            _ => self.0.push(sequence..sequence + 1),
        }
    }
}

impl IntoIterator for Ranges {
    type Item = u64;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Range<u64>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}
