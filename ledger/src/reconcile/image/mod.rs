//! What lies at each offset of a partition's log, compressed.
//!
//! Kept as *runs*, in which offset and sequence of one author ascend together; a single producer
//! with nothing in between is one run, however long. Runs are coded in blocks, mostly one or two
//! bytes each (see `code.rs`). Offsets nearly always come in ascending order; what does not is kept
//! in a map.

mod code;
mod cursor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use code::Coder;
pub(super) use cursor::Cursor;

/// Coded bytes after which a block ends.
const BLOCK_BYTES: usize = 2048;

/// Number of an author in its partition's table.
pub(super) type AuthorNumber = u32;
/// The audit's fence. Its sequence is its offset, as for the next one: so neighbours make a run.
pub(super) const FENCE: AuthorNumber = 0;
/// A damaged record, or one that is not ours.
pub(super) const CORRUPT: AuthorNumber = 1;
/// The first of the authors that have a table entry.
pub(super) const FIRST_AUTHOR: AuthorNumber = 2;

/// What lies at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub author: AuthorNumber,
    pub sequence: u64,
}

/// Records at consecutive offsets, with consecutive sequences of one author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub first: i64,
    pub last: i64,
    pub author: AuthorNumber,
    /// Sequence at `first`.
    pub sequence: u64,
}

impl Run {
    #[inline]
    const fn of(offset: i64, cell: Cell) -> Self {
        Self { first: offset, last: offset, author: cell.author, sequence: cell.sequence }
    }

    /// Offsets after the first.
    #[inline]
    const fn more(&self) -> u64 {
        self.last.wrapping_sub(self.first).cast_unsigned()
    }

    /// The sequence that would come after the last.
    #[inline]
    const fn next_sequence(&self) -> u64 {
        self.sequence.wrapping_add(self.more()).wrapping_add(1)
    }

    #[inline]
    const fn holds(&self, offset: i64) -> bool {
        self.first <= offset && offset <= self.last
    }

    /// What lies at an offset of it.
    #[inline]
    pub fn at(&self, offset: i64) -> Option<Cell> {
        self.holds(offset).then(|| Cell { author: self.author, sequence: self.sequence_at(offset) })
    }

    /// Records from an offset of it to its end.
    #[inline]
    pub const fn rest(&self, offset: i64) -> u64 {
        self.last.wrapping_sub(offset).cast_unsigned() + 1
    }

    /// The sequence at an offset within the run.
    #[inline]
    pub const fn sequence_at(&self, offset: i64) -> u64 {
        self.sequence.wrapping_add(offset.wrapping_sub(self.first).cast_unsigned())
    }

    /// Its data records at offsets below the given one.
    const fn data_below(&self, offset: i64) -> u64 {
        if self.author == FENCE || offset <= self.first {
            0
        } else if offset > self.last {
            self.more() + 1
        } else {
            offset.wrapping_sub(self.first).cast_unsigned()
        }
    }

    const fn data(&self) -> u64 {
        if self.author == FENCE { 0 } else { self.more() + 1 }
    }

    /// Takes the next record in, if it continues the run.
    #[inline]
    fn extend(&mut self, offset: i64, cell: Cell) -> bool {
        let next = self.last.checked_add(1) == Some(offset)
            && cell.author == self.author
            && cell.sequence == self.next_sequence();
        if next {
            self.last = offset;
        }
        next
    }
}

/// What putting a record at an offset has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// Nothing was there.
    New,
    /// The same was there.
    Same,
    /// Something else was there, and stays.
    Other,
}

#[derive(Debug)]
struct Block {
    /// First offset.
    first: i64,
    /// Data records in the blocks before.
    data_before: u64,
    bytes: Box<[u8]>,
}

/// The image of one partition's log.
#[derive(Debug, Default)]
pub(super) struct LogImage {
    blocks: Vec<Block>,
    /// The block being written.
    bytes: Vec<u8>,
    first: i64,
    data_before: u64,
    coder: Coder,
    /// Data records of all coded runs.
    coded_data: u64,
    /// The run being continued: beyond all coded ones.
    run: Option<Run>,
    /// What came late, by first offset; runs do not overlap.
    late: BTreeMap<i64, Run>,
    /// For looking up what comes again.
    cursor: Cursor,
}

impl LogImage {
    /// Puts a record at an offset, unless there is one.
    #[inline]
    pub fn put(&mut self, offset: i64, cell: Cell) -> Put {
        let Some(run) = &mut self.run else {
            self.run = Some(Run::of(offset, cell));
            return Put::New;
        };
        if run.extend(offset, cell) {
            return Put::New;
        }
        if offset > run.last {
            let ended = std::mem::replace(run, Run::of(offset, cell));
            self.code(&ended);
            return Put::New;
        }
        self.put_late(offset, cell)
    }

    /// Puts `len` consecutive records of one author; false, and nothing is done, unless they lie beyond
    /// all that is there.
    pub fn append(&mut self, offset: i64, cell: Cell, len: u64) -> bool {
        let new = Run { last: offset + (len - 1).cast_signed(), ..Run::of(offset, cell) };
        let Some(run) = &mut self.run else {
            self.run = Some(new);
            return true;
        };
        if run.extend(offset, cell) {
            run.last = new.last;
        } else if offset > run.last {
            let ended = std::mem::replace(run, new);
            self.code(&ended);
        } else {
            return false;
        }
        true
    }

    fn put_late(&mut self, offset: i64, cell: Cell) -> Put {
        let mut cursor = std::mem::take(&mut self.cursor);
        let there = self.at(&mut cursor, offset);
        self.cursor = cursor;
        if let Some(there) = there {
            return if there == cell { Put::Same } else { Put::Other };
        }
        let before = self.late.range_mut(..offset).next_back();
        if !before.is_some_and(|(_, run)| run.extend(offset, cell)) {
            self.late.insert(offset, Run::of(offset, cell));
        }
        Put::New
    }

    fn code(&mut self, run: &Run) {
        if self.bytes.is_empty() {
            self.first = run.first;
            self.data_before = self.coded_data;
            self.coder = Coder::new(run.first);
        }
        self.coder.encode(&mut self.bytes, run);
        self.coded_data += run.data();
        if self.bytes.len() >= BLOCK_BYTES {
            let bytes = self.bytes.as_slice().into();
            self.blocks.push(Block { first: self.first, data_before: self.data_before, bytes });
            self.bytes.clear();
        }
    }

    /// What lies at an offset. The cursor makes that quick where offsets ascend.
    #[inline]
    pub fn at(&self, cursor: &mut Cursor, offset: i64) -> Option<Cell> {
        self.run_at(cursor, offset)?.at(offset)
    }

    /// The run in which an offset lies.
    #[inline]
    pub fn run_at(&self, cursor: &mut Cursor, offset: i64) -> Option<Run> {
        if let Some(run) = cursor.here(offset) {
            return Some(run);
        }
        if let Some(run) = self.run
            && offset >= run.first
        {
            // What came late lies before it.
            return run.holds(offset).then_some(run);
        }
        if cursor.seek(self, offset)
            && let Some(run) = cursor.here(offset)
        {
            return Some(run);
        }
        self.late.range(..=offset).next_back().map(|(_, run)| *run).filter(|run| run.holds(offset))
    }

    /// Data records (not fences) strictly between two offsets.
    #[inline]
    pub fn data_between(&self, cursor: &mut Cursor, low: i64, high: i64) -> u64 {
        // Nearly every record is polled right after the one before it.
        if high <= low.saturating_add(1) {
            return 0;
        }
        let from = self.data_below(cursor, low + 1);
        self.data_below(cursor, high) - from
    }

    fn data_below(&self, cursor: &mut Cursor, offset: i64) -> u64 {
        let coded = if cursor.seek(self, offset) { cursor.data_below(offset) } else { self.coded_data };
        let continued = self.run.map_or(0, |run| run.data_below(offset));
        let late: u64 = self.late.range(..offset).map(|(_, run)| run.data_below(offset)).sum();
        coded + continued + late
    }

    /// All runs in the order of their offsets.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        let mut cursor = Cursor::default();
        let mut in_order = std::iter::from_fn(move || cursor.next(self)).chain(self.run).peekable();
        let mut late = self.late.values().copied().peekable();
        std::iter::from_fn(move || match (in_order.peek(), late.peek()) {
            (Some(next), Some(other)) if other.first < next.first => late.next(),
            (Some(_), _) => in_order.next(),
            (None, _) => late.next(),
        })
    }

    /// Number of blocks, with the one being written.
    fn blocks(&self) -> usize {
        self.blocks.len() + usize::from(!self.bytes.is_empty())
    }

    /// First offset, data records before, and bytes of a block.
    fn block(&self, number: usize) -> (i64, u64, &[u8]) {
        match self.blocks.get(number) {
            Some(block) => (block.first, block.data_before, &block.bytes),
            None => (self.first, self.data_before, &self.bytes),
        }
    }
}
