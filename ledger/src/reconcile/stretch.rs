//! Records that continue each other: offset and sequence of one author ascend together, as they do
//! nearly always. A stretch of them is noted as it grows and taken in at once, whole words of bits at
//! a time; where anything is special about it, record by record.

use super::StreamId;
use super::authors::{StreamIndex, Who};
use crate::record::Identity;

/// Records at most, so that something special costs only its surroundings.
const LEN_MAX: u64 = 4096;

/// Consecutive offsets with consecutive sequences of one author.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    who: Who,
    sequence: u64,
    pub offset: i64,
    pub len: u64,
}

impl Stretch {
    pub const fn of(offset: i64, identity: &Identity) -> Self {
        Self { who: Who::of(identity), sequence: identity.sequence, offset, len: 1 }
    }

    /// Takes the next record in, if it continues the stretch.
    #[inline]
    pub fn extend(&mut self, offset: i64, identity: &Identity) -> bool {
        let next = is_next((self.sequence, self.offset), self.len, (identity.sequence, offset))
            && self.who.is(&Who::of(identity));
        self.len += u64::from(next);
        next
    }

    /// Each of its records.
    pub fn records(&self) -> impl Iterator<Item = (i64, Identity)> {
        (0..self.len).map(|n| self.record(n))
    }

    /// One of its records, from 0.
    pub const fn record(&self, n: u64) -> (i64, Identity) {
        let Who { run, producer, incarnation, partition, attempt } = self.who;
        let sequence = self.sequence + n;
        (self.offset + n.cast_signed(), Identity { run, producer, incarnation, partition, sequence, attempt })
    }
}

/// Acknowledgements of one stream, in no transaction and of first attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acks {
    pub id: StreamId,
    pub stream: StreamIndex,
    pub sequence: u64,
    pub offset: i64,
    pub len: u64,
    /// All sequences below were offered.
    below: u64,
}

impl Acks {
    /// Begins with one; none if it is not known to have been offered.
    pub fn of(id: StreamId, stream: StreamIndex, below: u64, sequence: u64, offset: i64) -> Option<Self> {
        (sequence < below).then_some(Self { id, stream, sequence, offset, len: 1, below })
    }

    /// Takes the next one in, if it continues the others.
    #[inline]
    pub fn extend(&mut self, id: StreamId, sequence: u64, offset: i64) -> bool {
        let next = is_next((self.sequence, self.offset), self.len, (sequence, offset))
            && sequence < self.below
            && id == self.id;
        self.len += u64::from(next);
        next
    }
}

/// Whether a sequence and its offset follow `len` others of which the first is given.
#[inline]
fn is_next(first: (u64, i64), len: u64, next: (u64, i64)) -> bool {
    len < LEN_MAX && first.0.checked_add(len) == Some(next.0) && first.1.checked_add_unsigned(len) == Some(next.1)
}
