//! Reading a journal, however its writer ended.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::record::Record;

use super::entry::{Deltas, decode};
use super::varint::In;
use super::{
    BLOCK_BYTES, BLOCK_CRC_AT, BLOCK_HEADER_BYTES, BLOCK_MAGIC, BLOCK_SEALED, BLOCKS_AT, COMMITTED_AT, CRC_AT,
    FIXED_BYTES, Header, JournalError, MAGIC, NEXT_AT, PROFILE_AT, PROFILE_BYTES_MAX, RECORDS_AT, SEAL_CRC_AT,
    SEALED_AT, Source, Stream, VERSION,
};

/// A journal being read: its header, then its records in the order of writing. A journal that is still
/// being written can be read too, as it is when its blocks are reached.
pub struct JournalReader {
    path: PathBuf,
    file: File,
    header: Header,
    words: HeaderWords,
    block: Block,
    /// Number of the next block.
    next_block: u64,
    ended: bool,
    tail: Tail,
}

/// The words of the header that change, as they were when the journal was opened.
struct HeaderWords {
    next: u64,
    blocks: u64,
    records: u64,
    seal: Seal,
}

enum Seal {
    Open,
    Good,
    Bad,
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
    /// Closed cleanly by its writer. Otherwise the writer was killed, or is still at work.
    pub sealed: bool,
    /// Records that could be read.
    pub records: u64,
    /// Bytes written after the last whole entry: the one in hand when the writer was killed.
    pub torn_bytes: u64,
    /// Bytes of entries that were there once, and are not in the file or make no sense.
    pub lost_bytes: u64,
    /// Blocks that are absent, or altered so that nothing in them can be believed.
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
        let header = fixed_words(&bytes[..len], path)?;
        let words = header_words(&bytes);
        Ok(Self {
            path: path.to_owned(),
            file,
            block: Block { bytes, at: 0, end: 0, deltas: Deltas::new(header.run) },
            header,
            words,
            next_block: 0,
            ended: false,
            tail: Tail::default(),
        })
    }

    /// Whose journal it is.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Of a producer's journal: what is at or above was never offered by this incarnation, and all
    /// from the stream's `first` below it was. 0 in other journals.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.words.next
    }

    /// Reads what is left and tells how the journal ended.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn finish(mut self) -> Result<Tail, JournalError> {
        while self.next_record()?.is_some() {}
        Ok(self.tail)
    }

    fn next_record(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            if self.block.at < self.block.end {
                let mut input = In::new(&self.block.bytes[self.block.at..self.block.end]);
                if let Some(record) = decode(&mut input, &mut self.block.deltas) {
                    self.block.at = self.block.end - input.left();
                    self.tail.records += 1;
                    return Ok(Some(record));
                }
                self.tail.lost_bytes += (self.block.end - self.block.at) as u64;
                self.block.at = self.block.end;
            }
            if self.ended {
                return Ok(None);
            }
            self.load_block()?;
        }
    }

    /// Brings the next block, or the end.
    fn load_block(&mut self) -> Result<(), JournalError> {
        if self.next_block >= self.words.blocks {
            self.end();
            return Ok(());
        }
        let number = self.next_block;
        self.next_block += 1;
        self.block.at = 0;
        self.block.end = 0;
        let offset = (number + 1) * BLOCK_BYTES as u64;
        let len = read_up_to(&self.file, &mut self.block.bytes, offset).map_err(|source| JournalError::Io {
            doing: "read",
            path: self.path.clone(),
            source,
        })?;
        let bytes = &self.block.bytes[..len];
        let may_be_open = self.next_block == self.words.blocks && matches!(self.words.seal, Seal::Open);
        let begun = len >= BLOCK_HEADER_BYTES && bytes[..4] == BLOCK_MAGIC && u64::from(u32_at(bytes, 4)) == number;
        if !begun {
            self.tail.damaged_blocks += 1;
            if len == 0 {
                // The file ends here: the rest is absent too.
                self.tail.damaged_blocks += self.words.blocks - self.next_block;
                self.next_block = self.words.blocks;
            }
            return Ok(());
        }
        let word = u32_at(bytes, COMMITTED_AT);
        let sealed = word & BLOCK_SEALED != 0;
        let committed = (word & !BLOCK_SEALED) as usize;
        let present = len - BLOCK_HEADER_BYTES;
        if committed > BLOCK_BYTES - BLOCK_HEADER_BYTES || (!sealed && !may_be_open) {
            self.tail.damaged_blocks += 1;
            return Ok(());
        }
        let end = BLOCK_HEADER_BYTES + committed.min(present);
        self.tail.lost_bytes += (committed - committed.min(present)) as u64;
        if sealed && committed <= present {
            let crc = crc32fast::hash(&bytes[BLOCK_HEADER_BYTES..end]);
            if crc != u32_at(bytes, BLOCK_CRC_AT) {
                self.tail.damaged_blocks += 1;
                return Ok(());
            }
        }
        if let Some(torn) = bytes[end..].iter().rposition(|byte| *byte != 0) {
            self.tail.torn_bytes += torn as u64 + 1;
        }
        self.block.at = BLOCK_HEADER_BYTES;
        self.block.end = end;
        self.block.deltas.reset();
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        match self.words.seal {
            Seal::Open => {}
            Seal::Good if self.tail.records == self.words.records => self.tail.sealed = true,
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

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn fixed_words(bytes: &[u8], path: &Path) -> Result<Header, JournalError> {
    let path = || path.to_owned();
    if bytes.len() < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC {
        return Err(JournalError::NotAJournal { path: path() });
    }
    if bytes.len() < SEALED_AT + 4 {
        return Err(JournalError::Header { path: path() });
    }
    // A newer format may keep its checksum elsewhere: the version is looked at first.
    let version = u32_at(bytes, 8);
    if version != VERSION {
        return Err(JournalError::Version { path: path(), found: version });
    }
    if crc32fast::hash(&bytes[..FIXED_BYTES]) != u32_at(bytes, CRC_AT) {
        return Err(JournalError::Header { path: path() });
    }
    let name_len = usize::from(u16_at(bytes, 30));
    let (member, incarnation) = (u16_at(bytes, 24), u16_at(bytes, 26));
    let source = match u32_at(bytes, 12) {
        1 => Source::Producer {
            member,
            incarnation,
            stream: Stream {
                producer: u16_at(bytes, 28),
                partition: u32_at(bytes, 32).cast_signed(),
                first: u64_at(bytes, 40),
                start_ns: u64_at(bytes, 48),
                period_ns: u64_at(bytes, 56),
            },
        },
        2 => Source::Consumer { member, incarnation },
        3 => Source::Audit,
        4 => Source::Tail,
        5 => Source::Parking,
        _ => return Err(JournalError::Header { path: path() }),
    };
    let profile = (name_len <= PROFILE_BYTES_MAX)
        .then(|| bytes[PROFILE_AT..PROFILE_AT + name_len].to_vec())
        .and_then(|name| String::from_utf8(name).ok())
        .ok_or_else(|| JournalError::Header { path: path() })?;
    Ok(Header { run: u64_at(bytes, 16), profile, source })
}

fn header_words(bytes: &[u8]) -> HeaderWords {
    let seal = match u32_at(bytes, SEALED_AT) {
        0 => Seal::Open,
        1 if crc32fast::hash(&bytes[NEXT_AT..SEAL_CRC_AT]) == u32_at(bytes, SEAL_CRC_AT) => Seal::Good,
        _ => Seal::Bad,
    };
    HeaderWords {
        next: u64_at(bytes, NEXT_AT),
        blocks: u64_at(bytes, BLOCKS_AT),
        records: u64_at(bytes, RECORDS_AT),
        seal,
    }
}
