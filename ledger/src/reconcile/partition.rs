//! One partition: what was read of its log, and what the group did there.

use std::collections::HashMap;

use super::authors::{Author, Authors, StreamIndex, Who};
use super::elsewhere::Elsewhere;
use super::image::{AuthorNumber, CORRUPT, Cell, Cursor, LogImage, Run};
use super::stretch::Stretch;
use super::{Audit, Position, Tail};
use crate::counts::Counts;
use crate::record::Identity;

#[derive(Debug)]
pub(super) struct PartitionState {
    pub partition: i32,
    /// The facts name it.
    pub named: bool,
    pub audit: Option<Audit>,
    /// The attempt of its audit that counts.
    pub attempt: Option<u16>,
    /// The audit had a pass of its own for what is visible under read_committed.
    pub has_second_pass: bool,
    pub position: Option<Position>,
    pub authors: Authors,
    /// All that the audit read.
    pub log: LogImage,
    /// What it read under read_committed, where that was a pass of its own.
    pub visible: LogImage,
    /// The audit gave two contents for one offset.
    pub contradicted: bool,
    /// What the tail reader read from the log's start on, where compaction may have removed it.
    pub tailed: LogImage,
    /// What it read there later on, at offsets where it had read something else.
    pub tailed_again: Vec<(i64, Cell)>,
    /// On a compacted topic: the highest offset of each key in the log.
    pub latest: HashMap<u64, i64>,
    pub elsewhere: Elsewhere,
    pub counts: Counts,
    /// Time and offset of the last accepted commit.
    pub last_commit: Option<(u64, i64)>,
    /// What the audit read last, and what a member processed last, as far as not taken in yet.
    pub auditing: Option<Stretch>,
    pub processing: Option<Stretch>,
    /// Where acks, processing and polling stand.
    acked: Cursor,
    processed: Cursor,
    polled: Cursor,
    aborted: Cursor,
}

impl PartitionState {
    pub fn new(partition: i32, named: bool, audit: Option<Audit>, position: Option<Position>) -> Self {
        Self {
            partition,
            named,
            audit,
            attempt: audit.map(|audit| audit.attempt),
            has_second_pass: audit.is_some_and(|audit| audit.committed.is_some()),
            position,
            authors: Authors::default(),
            log: LogImage::default(),
            visible: LogImage::default(),
            contradicted: false,
            tailed: LogImage::default(),
            tailed_again: Vec::new(),
            latest: HashMap::new(),
            elsewhere: Elsewhere::default(),
            counts: Counts::default(),
            last_commit: None,
            auditing: None,
            processing: None,
            acked: Cursor::default(),
            processed: Cursor::default(),
            polled: Cursor::default(),
            aborted: Cursor::default(),
        }
    }

    /// Whether the audit read the log from its start to the fence.
    pub fn is_read(&self) -> bool {
        !self.contradicted && self.audit.is_some_and(|audit| audit.complete)
    }

    /// Whether all that was ever below the log's start was read, too.
    pub fn start_is_covered(&self) -> bool {
        self.audit.is_some_and(|audit| {
            let read = |tail: Tail| tail.from <= 0 && tail.position >= audit.log_start;
            audit.log_start <= 0 || audit.tail.is_some_and(read)
        })
    }

    /// Whether nothing about its log is open.
    pub fn audit_complete(&self) -> bool {
        let second_pass = self.audit.is_some_and(|audit| audit.committed.is_none_or(|pass| pass.complete));
        self.is_read() && self.start_is_covered() && second_pass
    }

    /// Whether the topic is compacted.
    pub fn is_compacted(&self) -> bool {
        self.key(0).is_some()
    }

    /// On a compacted topic: the key of a sequence.
    pub fn key(&self, sequence: u64) -> Option<u64> {
        let keys = self.audit?.tail?.keys?;
        // Without keys, all are alike.
        Some(sequence.checked_rem(keys).unwrap_or(0))
    }

    /// Whether compaction may have removed a copy of that sequence that nobody has seen.
    pub fn may_have_compacted(&self, sequence: u64) -> bool {
        self.key(sequence).is_some_and(|key| self.latest.contains_key(&key))
    }

    /// Whether it may have removed one at that offset.
    pub fn may_have_compacted_at(&self, sequence: u64, offset: i64) -> bool {
        let latest = self.key(sequence).and_then(|key| self.latest.get(&key));
        latest.is_some_and(|latest| *latest > offset)
    }

    /// What a payload is; none stands for one that is damaged or not ours.
    #[inline]
    pub fn cell(
        &mut self,
        offset: i64,
        identity: Option<&Identity>,
        streams: impl FnOnce(&Who) -> [Option<StreamIndex>; 2],
    ) -> Cell {
        match identity {
            Some(identity) => Cell { author: self.authors.number(identity, streams), sequence: identity.sequence },
            None => mark_cell(CORRUPT, offset),
        }
    }

    #[inline]
    pub fn author(&self, cell: Cell) -> Option<&Author> {
        self.authors.get(cell.author)
    }

    /// As `acked_at`, with the run that it lies in.
    #[inline]
    pub fn acked_run(&mut self, offset: i64) -> Option<Run> {
        self.log.run_at(&mut self.acked, offset)
    }

    /// What lies at an offset that an ack names.
    #[inline]
    pub fn acked_at(&mut self, offset: i64) -> Option<Cell> {
        self.acked_run(offset)?.at(offset)
    }

    /// The visible record at an offset that a member processed.
    #[inline]
    pub fn processed_at(&mut self, offset: i64) -> Option<Cell> {
        self.processed_run(offset)?.at(offset)
    }

    /// As `processed_at`, with the run that it lies in.
    #[inline]
    pub fn processed_run(&mut self, offset: i64) -> Option<Run> {
        let image = if self.has_second_pass { &self.visible } else { &self.log };
        image.run_at(&mut self.processed, offset)
    }

    /// Whether a record is in the log, but of an aborted transaction.
    pub fn is_aborted(&mut self, offset: i64, cell: Cell) -> bool {
        self.hides(offset) == Some(Hidden::Aborted)
            && self.log.at(&mut self.aborted, offset) == Some(cell)
            && self.processed_at(offset).is_none()
    }

    /// Why a record of the log was not seen in the second pass, if there was one.
    pub fn hides(&self, offset: i64) -> Option<Hidden> {
        let pass = self.audit?.committed?;
        Some(match pass.open_from {
            Some(open_from) if offset >= open_from => Hidden::Open,
            _ if pass.complete => Hidden::Aborted,
            _ => Hidden::Unknown,
        })
    }

    /// Visible data records strictly between two offsets.
    #[inline]
    pub fn visible_between(&mut self, low: i64, high: i64) -> u64 {
        let image = if self.has_second_pass { &self.visible } else { &self.log };
        // No broker gives a record a negative offset.
        image.data_between(&mut self.polled, low.max(-1), high)
    }
}

/// Why a record of the log is not visible under read_committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Its transaction was aborted.
    Aborted,
    /// A transaction is still open there.
    Open,
    /// The second pass did not come to its end.
    Unknown,
}

/// A fence or a damaged record: neighbours make a run.
#[inline]
pub(super) const fn mark_cell(author: AuthorNumber, offset: i64) -> Cell {
    Cell { author, sequence: offset.cast_unsigned() }
}
