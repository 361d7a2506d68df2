//! Who produced what: names of producers as numbers, and the sequences that were offered.

use std::collections::BTreeMap;

use lossproof_ledger::reconcile::{ANY_PARTITION, Offered, Stream, StreamId};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;

/// Names of producers, numbered in the order in which they come up.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: FxHashMap<Box<str>, u16>,
    names: Vec<Box<str>>,
    /// Most lines are of the producer of the line before.
    last: u16,
}

/// Names that can be told apart.
pub(super) const PRODUCERS_MAX: usize = 1 << 16;

impl Names {
    /// The number of a name; none if there are too many.
    pub(super) fn number(&mut self, name: &str) -> Option<u16> {
        if self.names.get(usize::from(self.last)).is_some_and(|last| **last == *name) {
            return Some(self.last);
        }
        self.last = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = u16::try_from(self.names.len()).ok()?;
                self.numbers.insert(name.into(), number);
                self.names.push(name.into());
                number
            }
        };
        Some(self.last)
    }

    /// Names by number.
    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names.into_iter().map(String::from).collect()
    }
}

/// The streams of all producers.
#[derive(Debug, Default)]
pub(super) struct Book {
    numbers: FxHashMap<StreamId, u32>,
    streams: Vec<Entry>,
    last: u32,
}

/// What is known of a stream when all reports are read.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: StreamId,
    pub offered: RoaringTreemap,
    /// Highest sequence so far. Most come in order, and need no search then.
    highest: Option<u64>,
    /// Sequences that may lie beyond what was read, if they are not found: acknowledged beyond the
    /// group's position, or without an offset.
    pub ahead: RoaringTreemap,
}

impl Book {
    /// The number of a stream.
    pub(super) fn number(&mut self, id: StreamId) -> u32 {
        if self.streams.get(self.last as usize).is_some_and(|last| last.id == id) {
            return self.last;
        }
        let next = self.streams.len() as u32;
        self.last = *self.numbers.entry(id).or_insert(next);
        if self.last == next {
            let (offered, ahead) = (RoaringTreemap::new(), RoaringTreemap::new());
            self.streams.push(Entry { id, offered, highest: None, ahead });
        }
        self.last
    }

    /// Notes that a sequence was offered; tells whether it is new.
    pub(super) fn offer(&mut self, stream: u32, sequence: u64) -> bool {
        let entry = &mut self.streams[stream as usize];
        if entry.highest.is_none_or(|highest| sequence > highest) {
            entry.highest = Some(sequence);
            entry.offered.try_push(sequence).is_ok()
        } else {
            entry.offered.insert(sequence)
        }
    }

    pub(super) fn entry_mut(&mut self, stream: u32) -> &mut Entry {
        &mut self.streams[stream as usize]
    }

    /// Ends the book. A sequence that a producer reports both without a partition and in one is one message,
    /// whose first attempt may lie anywhere: it is moved to the stream of any partition.
    pub(super) fn settle(&mut self) {
        let anywhere: Vec<usize> =
            (0..self.streams.len()).filter(|n| self.streams[*n].id.partition == ANY_PARTITION).collect();
        for any in anywhere {
            let producer = self.streams[any].id.producer;
            let moved = std::mem::take(&mut self.streams[any].offered);
            for entry in self.streams.iter_mut().filter(|entry| entry.id.producer == producer) {
                entry.offered -= &moved;
                entry.ahead -= &moved;
            }
            self.streams[any].offered = moved;
        }
    }

    /// The streams as reconciliation wants them: dense ones by their end alone. What was offered is taken
    /// out of the book.
    pub(super) fn take_streams(&mut self) -> Vec<Stream> {
        let stream = |entry: &mut Entry| {
            let these = std::mem::take(&mut entry.offered);
            let dense = these.max().is_none_or(|last| these.len() == last.saturating_add(1));
            let offered = if dense { Offered::Below(these.len()) } else { Offered::These(these) };
            Stream { id: entry.id, offered }
        };
        self.streams.iter_mut().map(stream).collect()
    }

    /// For each stream that has some, its sequences that may lie beyond what was read.
    pub(super) fn take_ahead(&mut self) -> BTreeMap<StreamId, RoaringTreemap> {
        let entries = self.streams.iter_mut().filter(|entry| !entry.ahead.is_empty());
        entries.map(|entry| (entry.id, std::mem::take(&mut entry.ahead))).collect()
    }

    /// Sequences of all streams.
    pub(super) fn offered(&self) -> u64 {
        self.streams.iter().map(|entry| entry.offered.len()).sum()
    }

    /// All partitions that producers name.
    pub(super) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.streams.iter().map(|entry| entry.id.partition).filter(|partition| *partition != ANY_PARTITION)
    }
}
