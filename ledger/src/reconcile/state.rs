//! What both passes write down, and the bits of a sequence.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::offsets::{Offsets, SLOTS, Slot};
use super::{Audit, Error, Facts, Offered, Position, Stray, Stream, StreamId};
use crate::category::Told;
use crate::counts::Counts;
use crate::record::Identity;

/// What is known of one sequence. The lowest three bits hold the best it was told, 0 for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits(u16);

const TOLD: u16 = 0b111;

impl Bits {
    /// A copy lies in the log.
    pub const PRESENT: u16 = 1 << 3;
    /// One of its copies lies at or beyond the group's position.
    pub const AHEAD: u16 = 1 << 4;
    /// A member processed a copy.
    pub const PROCESSED: u16 = 1 << 5;
    /// A copy of application attempt 0 lies in the log.
    pub const FIRST_ATTEMPT: u16 = 1 << 6;
    /// [`super::Flag::Duplicate`].
    pub const DUPLICATE: u16 = 1 << 7;
    /// [`super::Flag::Redelivered`].
    pub const REDELIVERED: u16 = 1 << 8;
    /// [`super::Flag::Reordered`].
    pub const REORDERED: u16 = 1 << 9;
    /// [`super::Flag::OffsetConflict`].
    pub const CONFLICT: u16 = 1 << 10;

    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub const fn set(&mut self, bit: u16) {
        self.0 |= bit;
    }

    /// Keeps the best that was told.
    pub fn tell(&mut self, told: Told) {
        let told = told as u16 + 1;
        if told > self.0 & TOLD {
            self.0 = self.0 & !TOLD | told;
        }
    }

    /// The best that was told.
    pub const fn told(self) -> Option<Told> {
        Some(match self.0 & TOLD {
            1 => Told::Unsent,
            2 => Told::Failed,
            3 => Told::Indeterminate,
            4 => Told::Unconfirmed,
            5 => Told::Acked,
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(super) struct StreamState {
    pub id: StreamId,
    /// Slot of its sequence 0.
    pub base: Slot,
    pub offered: u64,
    /// For each incarnation of the producer, its highest sequence in the log so far.
    pub highest: BTreeMap<u16, u64>,
}

#[derive(Debug)]
pub(super) struct PartitionState {
    pub audit: Option<Audit>,
    pub position: Option<Position>,
    pub offsets: Offsets,
    /// The audit gave two contents for one offset.
    pub contradicted: bool,
    pub counts: Counts,
    /// Time and offset of the last accepted commit.
    pub last_commit: Option<(u64, i64)>,
}

impl PartitionState {
    fn new(audit: Option<Audit>, position: Option<Position>) -> Self {
        Self {
            audit,
            position,
            offsets: Offsets::default(),
            contradicted: false,
            counts: Counts::default(),
            last_commit: None,
        }
    }

    /// Whether what the audit did not find is not there.
    pub fn audit_complete(&self) -> bool {
        !self.contradicted && self.audit.is_some_and(|audit| audit.complete && audit.log_start <= 0)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub run: u64,
    pub streams: Vec<StreamState>,
    by_id: HashMap<StreamId, usize>,
    pub partitions: BTreeMap<i32, PartitionState>,
    pub bits: Vec<Bits>,
    /// Application attempts after the first that lie in the log.
    pub later_attempts: HashSet<(Slot, u16)>,
    pub strays: Vec<Stray>,
    pub journals: usize,
}

impl State {
    pub fn new(facts: &Facts) -> Result<Self, Error> {
        let end = |stream: &Stream| match &stream.offered {
            Offered::Below(next) => *next,
            Offered::These(sequences) => sequences.max().map_or(0, |last| last.saturating_add(1)),
        };
        let offered: u64 = facts.streams.iter().fold(0, |sum, stream| end(stream).saturating_add(sum));
        let limit = u64::from(SLOTS);
        if offered >= limit {
            return Err(Error::TooMany { offered, limit });
        }

        let mut state = Self {
            run: facts.run,
            streams: Vec::with_capacity(facts.streams.len()),
            by_id: HashMap::new(),
            partitions: BTreeMap::new(),
            bits: vec![Bits::default(); offered as usize],
            later_attempts: HashSet::new(),
            strays: Vec::new(),
            journals: facts.journals,
        };
        for p in &facts.partitions {
            let new = PartitionState::new(p.audit, p.position);
            if state.partitions.insert(p.partition, new).is_some() {
                let what = format!("partition {}", p.partition);
                return Err(Error::NamedTwice { what });
            }
        }
        let mut base = 0;
        for stream in &facts.streams {
            let id = stream.id;
            if state.by_id.insert(id, state.streams.len()).is_some() {
                let what = format!("producer {} in partition {}", id.producer, id.partition);
                return Err(Error::NamedTwice { what });
            }
            state.streams.push(StreamState { id, base, offered: end(stream), highest: BTreeMap::new() });
            // Below the limit, by the check above.
            base += end(stream) as Slot;
            state.partition(id.partition).counts.offered += end(stream);
        }
        Ok(state)
    }

    /// The partition; one that the facts do not name was never audited.
    pub fn partition(&mut self, partition: i32) -> &mut PartitionState {
        self.partitions.entry(partition).or_insert_with(|| PartitionState::new(None, None))
    }

    /// The sequence's stream and slot, if it was offered in that stream.
    pub fn slot(&self, stream: StreamId, sequence: u64) -> Option<(usize, Slot)> {
        let index = *self.by_id.get(&stream)?;
        let stream = &self.streams[index];
        (sequence < stream.offered).then(|| (index, stream.base + sequence as Slot))
    }

    /// The stream and slot of a message found in a partition; none if it was never offered there.
    pub fn slot_of(&self, message: &Identity, partition: i32) -> Option<(usize, Slot)> {
        if message.run != self.run || message.partition != partition {
            return None;
        }
        let stream = StreamId { producer: message.producer, partition };
        self.slot(stream, message.sequence)
    }

    /// Sequences offered in a stream, 0 if there is no such stream.
    pub fn offered(&self, stream: StreamId) -> u64 {
        self.by_id.get(&stream).map_or(0, |index| self.streams[*index].offered)
    }
}
