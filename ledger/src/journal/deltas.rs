//! What the entries of a block are differences to. Starts anew with each block, so that a block is
//! read alone.

use std::collections::BTreeMap;

use super::entry::NONE;
use crate::record::{Identity, Isolation};

/// Sources that a partition remembers in a block.
const SOURCES_MAX: usize = 64;

pub(super) struct Deltas {
    run: u64,
    /// Time of the last entry that has one.
    pub(super) time_us: u64,
    /// Of the last delivery report.
    pub(super) broker: i32,
    /// Of the last delivery report.
    pub(super) in_txn: bool,
    pub(super) pass: Pass,
    /// Never empty: partition 0 comes first.
    partitions: Vec<Expected>,
    /// Where in `partitions` the last entry's is.
    current: usize,
    by_number: BTreeMap<i32, usize>,
}

/// What the records of one pass of an audit over one leader's records share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) audit: u16,
    pub(super) isolation: Isolation,
    pub(super) leader_epoch: Option<i32>,
}

const FIRST_PASS: Pass = Pass { audit: 0, isolation: Isolation::ReadUncommitted, leader_epoch: None };

/// The next values of a partition if nothing jumps.
pub(super) struct Expected {
    pub(super) partition: i32,
    pub(super) told_sequence: u64,
    pub(super) told_offset: i64,
    pub(super) read_offset: i64,
    pub(super) processed_offset: i64,
    pub(super) sources: Sources,
}

/// Who a partition's messages come from.
pub(super) struct Sources {
    known: Vec<Source>,
    current: usize,
    /// All that came up, also those that lost their place to a later one.
    seen: usize,
}

/// Whose messages these are.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// Its sequence says nothing.
    who: Identity,
    pub(super) next_sequence: u64,
}

impl Deltas {
    pub(super) fn new(run: u64) -> Self {
        let mut new = Self {
            run,
            time_us: 0,
            broker: NONE,
            in_txn: false,
            pass: FIRST_PASS,
            partitions: Vec::new(),
            current: 0,
            by_number: BTreeMap::new(),
        };
        new.reset();
        new
    }

    pub(super) fn reset(&mut self) {
        self.time_us = 0;
        self.broker = NONE;
        self.in_txn = false;
        self.pass = FIRST_PASS;
        self.partitions.clear();
        self.by_number.clear();
        self.add(0);
    }

    /// The journal's own run.
    pub(super) const fn run(&self) -> u64 {
        self.run
    }

    /// The partition of the last entry.
    #[inline]
    pub(super) fn here(&mut self) -> &mut Expected {
        &mut self.partitions[self.current]
    }

    /// The partition of this entry. Says whether it is another one than before.
    #[inline]
    pub(super) fn turn_to(&mut self, partition: i32) -> bool {
        let turned = self.here().partition != partition;
        if turned {
            match self.by_number.get(&partition) {
                Some(known) => self.current = *known,
                None => self.add(partition),
            }
        }
        turned
    }

    fn add(&mut self, partition: i32) {
        self.current = self.partitions.len();
        self.by_number.insert(partition, self.current);
        self.partitions.push(Expected {
            partition,
            told_sequence: 0,
            told_offset: 0,
            read_offset: 0,
            processed_offset: 0,
            sources: Sources::of_partition(self.run, partition),
        });
    }
}

impl Sources {
    fn of_partition(run: u64, partition: i32) -> Self {
        let who = Identity { run, producer: 0, incarnation: 0, partition, sequence: 0, attempt: 0 };
        Self { known: vec![Source { who, next_sequence: 0 }], current: 0, seen: 1 }
    }

    /// The source of the last message.
    #[inline]
    pub(super) fn here(&mut self) -> &mut Source {
        &mut self.known[self.current]
    }

    /// Turns to the source with a number, if there is one.
    pub(super) fn turn_to(&mut self, number: usize) -> Option<()> {
        (number < self.known.len()).then(|| self.current = number)
    }

    /// The sequence expected next of the source with a number.
    pub(super) fn expected_of(&self, number: usize) -> Option<u64> {
        self.known.get(number).map(|source| source.next_sequence)
    }

    /// The number of the identity's source.
    pub(super) fn number_of(&self, identity: &Identity) -> Option<usize> {
        self.known.iter().position(|source| source.is_of(identity))
    }

    /// Turns to a new source, of which sequence 0 is expected.
    pub(super) fn add(&mut self, who: Identity) {
        self.current = self.seen % SOURCES_MAX;
        self.seen += 1;
        let source = Source { who, next_sequence: 0 };
        match self.known.get_mut(self.current) {
            Some(place) => *place = source,
            None => self.known.push(source),
        }
    }
}

impl Source {
    #[inline]
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        // Word by word, without a copy: this is done for every message read.
        let Identity { run, producer, incarnation, partition, sequence: _, attempt } = self.who;
        identity.producer == producer
            && identity.incarnation == incarnation
            && identity.partition == partition
            && identity.attempt == attempt
            && identity.run == run
    }

    #[inline]
    pub(super) fn message(&self, sequence: u64) -> Identity {
        // Copied as a whole: stores of single words would stall who reads several of them at once.
        let mut message = self.who;
        message.sequence = sequence;
        message
    }
}
