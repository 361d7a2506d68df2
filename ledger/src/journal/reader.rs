//! Reading a journal, however its writer ended.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::record::Record;

use super::block::{Found, inspect};
use super::decode::decode;
use super::deltas::Deltas;
use super::entry::MAX_TORN_BYTES;
use super::header::{HeaderWords, Seal, header};
use super::varint::In;
use super::{BLOCK_BYTES, BLOCK_HEADER_BYTES, Header, JournalError, Source};

/// Looks at a block or header whose words don't agree, in case that its writer is at work just then.
const LOOKS: usize = 8;

/// A journal being read: its header, then its records in the order of writing. A journal that is still
/// being written can be read too, as it is when its blocks are reached.
///
/// Memory: one block.
pub struct JournalReader {
    path: PathBuf,
    file: File,
    header: Header,
    next: u64,
    /// Entry blocks begun; where the header doesn't say, all that the file has room for.
    blocks: u64,
    words: HeaderWords,
    block: Block,
    /// Number of the next block.
    next_block: u64,
    ended: bool,
    tail: Tail,
}

/// The block in hand.
struct Block {
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    deltas: Deltas,
}

/// How a journal ended, and what of it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Closed cleanly by its writer, and whole. Otherwise damaged, or the writer was killed, or is still
    /// at work.
    pub sealed: bool,
    /// Records that could be read.
    pub records: u64,
    /// Bytes written after the last whole entry: the one in hand when the writer was killed.
    pub torn_bytes: u64,
    /// Bytes of entries that were there once, and are not in the file or make no sense.
    pub lost_bytes: u64,
    /// Blocks that are absent, or altered so that nothing in them can be believed; the header's too.
    pub damaged_blocks: u64,
}

impl Tail {
    /// Nothing but at most the entry in hand is missing: sealed, or torn at a known point.
    #[must_use]
    pub const fn is_undamaged(&self) -> bool {
        self.lost_bytes == 0 && self.damaged_blocks == 0
    }
}

impl JournalReader {
    /// Opens a journal.
    ///
    /// # Errors
    /// If the file can't be read, or its header does not say whose journal it is.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { doing: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mut bytes = vec![0; BLOCK_BYTES];
        let len = read_up_to(&file, &mut bytes, 0).map_err(io)?;
        let header = header(&bytes[..len], path)?;
        let mut words = HeaderWords::read(&bytes);
        for _ in 1..LOOKS {
            if words.are_whole() {
                break;
            }
            read_up_to(&file, &mut bytes, 0).map_err(io)?;
            words = HeaderWords::read(&bytes);
        }
        let room = file.metadata().map_err(io)?.len().div_ceil(BLOCK_BYTES as u64).saturating_sub(1);
        let tail = Tail { damaged_blocks: u64::from(!words.are_whole()), ..Tail::default() };
        let mut reader = Self {
            path: path.to_owned(),
            file,
            next: words.next.unwrap_or_default(),
            blocks: words.blocks.unwrap_or(room),
            block: Block { bytes, at: 0, end: 0, deltas: Deltas::new(header.run) },
            header,
            words,
            next_block: 0,
            ended: false,
            tail,
        };
        if reader.words.next.is_none() {
            reader.next = reader.next_by_records()?;
            reader.next_block = 0;
            reader.ended = false;
            reader.tail = tail;
        }
        Ok(reader)
    }

    /// Whose journal it is.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Of a producer's journal: what is at or above was never offered by this incarnation, and all
    /// from the stream's `first` below it was. 0 in other journals.
    ///
    /// Where that word is damaged, which [`finish`](Self::finish) tells of: what follows the highest
    /// sequence that the journal names. More may have been offered then.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Hands all records that are left to `take`, and tells how the journal ended. Several times as
    /// quick as the iterator.
    ///
    /// # Errors
    /// If the file can't be read, and what `take` returns.
    pub fn for_each<E: From<JournalError>>(
        mut self,
        mut take: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<Tail, E> {
        while !self.ended {
            let Block { bytes, at, end, deltas } = &mut self.block;
            let mut input = In::new(&bytes[*at..*end]);
            let mut left = input.left();
            while left > 0 {
                let Some(taken) = decode(&mut input, deltas, &mut take) else { break };
                taken?;
                self.tail.records += 1;
                left = input.left();
            }
            self.tail.lost_bytes += left as u64;
            self.load_block()?;
        }
        Ok(self.tail)
    }

    /// Reads what is left and tells how the journal ended.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn finish(self) -> Result<Tail, JournalError> {
        self.for_each(|_| Ok(()))
    }

    fn next_record(&mut self) -> Result<Option<Record>, JournalError> {
        while !self.ended {
            let Block { bytes, at, end, deltas } = &mut self.block;
            let mut input = In::new(&bytes[*at..*end]);
            if let Some(record) = decode(&mut input, deltas, &mut |record| *record) {
                *at = *end - input.left();
                self.tail.records += 1;
                return Ok(Some(record));
            }
            self.tail.lost_bytes += (*end - *at) as u64;
            self.load_block()?;
        }
        Ok(None)
    }

    /// Brings the next block, or the end.
    fn load_block(&mut self) -> Result<(), JournalError> {
        self.block.at = 0;
        self.block.end = 0;
        if self.next_block >= self.blocks {
            self.end();
            return Ok(());
        }
        let number = self.next_block;
        self.next_block += 1;
        // The writer may be at work in the last block alone.
        let may_be_open = self.words.seal == Seal::Open && (self.next_block == self.blocks || !self.words.are_whole());
        let (mut len, mut found) = self.read_block(number)?;
        for _ in 1..LOOKS {
            if !may_be_open || found != Found::Damaged {
                break;
            }
            (len, found) = self.read_block(number)?;
        }
        match found {
            Found::Entries { end, sealed, missing, behind } if sealed || may_be_open => {
                self.tail.lost_bytes += missing as u64;
                if sealed || behind > MAX_TORN_BYTES {
                    // More than a writer has in hand, and yet none if the writer is at work and has gone on.
                    if sealed || !self.has_moved(number)? {
                        self.tail.lost_bytes += behind as u64;
                    }
                } else {
                    self.tail.torn_bytes += behind as u64;
                }
                self.block.at = BLOCK_HEADER_BYTES;
                self.block.end = end;
                self.block.deltas.reset();
            }
            // Reserved and never begun, as far as one can tell without the header's word.
            Found::Blank if self.words.blocks.is_none() => {}
            _ => {
                self.tail.damaged_blocks += 1;
                if len == 0 {
                    // The file ends here: the rest is absent too.
                    self.tail.damaged_blocks += self.blocks - self.next_block;
                    self.next_block = self.blocks;
                }
            }
        }
        Ok(())
    }

    /// Reads a block, and tells its length in the file and what it looks like.
    fn read_block(&mut self, number: u64) -> Result<(usize, Found), JournalError> {
        let len = read_up_to(&self.file, &mut self.block.bytes, offset_of(number)).map_err(|e| self.unreadable(e))?;
        Ok((len, inspect(&self.block.bytes[..len], number)))
    }

    /// Whether the writer has appended since the block in hand was read.
    fn has_moved(&self, number: u64) -> Result<bool, JournalError> {
        let mut now = [0; BLOCK_HEADER_BYTES];
        read_up_to(&self.file, &mut now, offset_of(number)).map_err(|e| self.unreadable(e))?;
        Ok(now != self.block.bytes[..BLOCK_HEADER_BYTES])
    }

    fn unreadable(&self, source: std::io::Error) -> JournalError {
        JournalError::Io { doing: "read", path: self.path.clone(), source }
    }

    /// What follows the highest sequence that the journal names.
    fn next_by_records(&mut self) -> Result<u64, JournalError> {
        let mut next = match self.header.source {
            Source::Producer { stream, .. } => stream.first,
            _ => 0,
        };
        while let Some(record) = self.next_record()? {
            if let Record::Told { sequence, .. } = record {
                next = next.max(sequence.saturating_add(1));
            }
        }
        Ok(next)
    }

    fn end(&mut self) {
        self.ended = true;
        match self.words.seal {
            Seal::Open => {}
            Seal::Good if self.tail.records == self.words.records && self.tail.is_undamaged() => {
                self.tail.sealed = true
            }
            // Sealed, and yet something is missing: where that was not seen block by block, here.
            Seal::Good | Seal::Bad if self.tail.is_undamaged() => self.tail.damaged_blocks += 1,
            Seal::Good | Seal::Bad => {}
        }
    }
}

impl Iterator for JournalReader {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_record().transpose();
        if matches!(next, Some(Err(_))) {
            self.ended = true;
        }
        next
    }
}

const fn offset_of(block: u64) -> u64 {
    (block + 1) * BLOCK_BYTES as u64
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
