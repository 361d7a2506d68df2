//! Writing a journal: one thread appends, and the file is right at every instruction.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::record::Record;

use super::deltas::Deltas;
use super::encode::{Entry, encode};
use super::entry::{MAX_TOGETHER, MAX_TORN_BYTES};
use super::mapping::Mapping;
use super::varint::HEAD_BYTES;
use super::word::checked;
use super::{
    BLOCK_BYTES, BLOCK_FIXED_BYTES, BLOCK_HEADER_BYTES, BLOCK_MAGIC, BLOCK_SEALED, BLOCK_STATE_AT, BLOCKS_AT, CRC_AT,
    FIXED_BYTES, Header, JournalError, MAGIC, NEXT_AT, PROFILE_AT, PROFILE_BYTES_MAX, RECORDS_AT, SEAL_CRC_AT,
    SEALED_AT, Source, VERSION,
};

/// Blocks that are reserved and mapped at a time.
const STEP_BLOCKS: u32 = 16;
const STEP_BYTES: usize = STEP_BLOCKS as usize * BLOCK_BYTES;

/// A journal being written. Dropped without [`seal`](Self::seal), it stays readable, but unsealed.
pub struct JournalWriter {
    path: PathBuf,
    file: File,
    header: Mapping,
    step: Mapping,
    /// The block being filled, from 0.
    block: u32,
    /// Where it starts in `step`.
    block_at: usize,
    /// Bytes of entries in it.
    committed: usize,
    /// Of its fixed bytes and those entries.
    crc: crc32fast::Hasher,
    deltas: Deltas,
    records: u64,
}

impl JournalWriter {
    /// Makes the journal `header` names in the folder `dir`, which must exist.
    ///
    /// # Errors
    /// If the file exists, or the file system refuses it or its first reserved megabyte.
    pub fn create(dir: &Path, header: &Header) -> Result<Self, JournalError> {
        let path = dir.join(header.file_name());
        if path.exists() {
            return Err(JournalError::Exists { path });
        }
        let words = header_words(header)?;
        // Under another name until the header is whole, so that every `.ljr` can be identified.
        let unfinished = path.with_extension("unfinished");
        let io = |doing| {
            let path = path.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)
            .map_err(io("create"))?;
        file.write_all(&words).map_err(io("write"))?;
        reserve(&file, 0, BLOCK_BYTES + STEP_BYTES).map_err(io("reserve space for"))?;
        std::fs::rename(&unfinished, &path).map_err(io("create"))?;
        let head = Mapping::new(&file, 0, BLOCK_BYTES).map_err(io("map"))?;
        let step = Mapping::new(&file, block_offset(0), STEP_BYTES).map_err(io("map"))?;
        let mut writer = Self {
            path,
            file,
            header: head,
            step,
            block: 0,
            block_at: 0,
            committed: 0,
            crc: crc32fast::Hasher::new(),
            deltas: Deltas::new(header.run),
            records: 0,
        };
        writer.begin_block();
        Ok(writer)
    }

    /// Where the journal is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record. When this returns, the record is in the kernel.
    ///
    /// # Errors
    /// If the file system has no room for the next blocks. The journal stays as it was.
    #[inline]
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.append_all([record])
    }

    /// Appends up to two records: a process that is killed leaves all of them or none.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub fn append_all<const N: usize>(&mut self, records: [&Record; N]) -> Result<(), JournalError> {
        const { assert!(N <= MAX_TOGETHER) }
        if BLOCK_HEADER_BYTES + self.committed + MAX_TORN_BYTES > BLOCK_BYTES {
            self.next_block()?;
        }
        for record in records {
            self.put(record);
        }
        self.store_state(0);
        self.records += N as u64;
        Ok(())
    }

    /// Writes an entry behind those that count.
    #[inline]
    fn put(&mut self, record: &Record) {
        let mut entry = Entry::new();
        encode(record, &mut self.deltas, &mut entry);
        let at = self.block_at + BLOCK_HEADER_BYTES + self.committed;
        // Zeros behind the entry are there already: a copy of fixed length is the quicker one.
        self.step.write(at, &entry.head());
        self.crc.update(&entry.head()[..entry.len().min(HEAD_BYTES)]);
        if entry.len() > HEAD_BYTES {
            self.step.write(at + HEAD_BYTES, entry.more());
            self.crc.update(entry.more());
        }
        self.committed += entry.len();
    }

    /// Declares that all sequences below `next`, less than 2⁴⁸, were offered. To be called before each
    /// `produce()`.
    #[inline]
    pub fn raise_next(&self, next: u64) {
        self.header.word64(NEXT_AT).store(checked(next).to_le(), Ordering::Release);
    }

    /// Closes the journal: its totals are final, and readers can tell that nothing is missing.
    ///
    /// # Errors
    /// If the file can't be cut to its length; the journal is sealed nevertheless.
    pub fn seal(mut self) -> Result<(), JournalError> {
        self.store_state(BLOCK_SEALED);
        self.header.word64(RECORDS_AT).store(self.records.to_le(), Ordering::Relaxed);
        let crc = self.header.crc32(NEXT_AT, SEAL_CRC_AT - NEXT_AT);
        self.header.word32(SEAL_CRC_AT).store(crc.to_le(), Ordering::Relaxed);
        self.header.word32(SEALED_AT).store(1_u32.to_le(), Ordering::Release);
        self.file.set_len(block_offset(self.block + 1)).map_err(|source| JournalError::Io {
            doing: "cut",
            path: self.path.clone(),
            source,
        })
    }

    fn next_block(&mut self) -> Result<(), JournalError> {
        let next = self.block + 1;
        if next.is_multiple_of(STEP_BLOCKS) {
            let offset = block_offset(next);
            // Before anything is changed, so that a full disk leaves a sound journal.
            let step = reserve(&self.file, offset, STEP_BYTES)
                .and_then(|()| Mapping::new(&self.file, offset, STEP_BYTES))
                .map_err(|source| JournalError::Io { doing: "reserve space for", path: self.path.clone(), source })?;
            self.store_state(BLOCK_SEALED);
            self.step = step;
            self.block_at = 0;
        } else {
            self.store_state(BLOCK_SEALED);
            self.block_at += BLOCK_BYTES;
        }
        self.block = next;
        self.begin_block();
        Ok(())
    }

    fn begin_block(&mut self) {
        self.committed = 0;
        self.deltas.reset();
        let mut fixed = [0; BLOCK_FIXED_BYTES];
        fixed[..4].copy_from_slice(&BLOCK_MAGIC);
        fixed[4..].copy_from_slice(&self.block.to_le_bytes());
        self.step.write(self.block_at, &fixed);
        self.crc = crc32fast::Hasher::new();
        self.crc.update(&fixed);
        self.store_state(0);
        self.header.word64(BLOCKS_AT).store(checked(u64::from(self.block) + 1).to_le(), Ordering::Release);
    }

    #[inline]
    fn store_state(&self, sealed: u32) {
        // A block is 64 KiB, so that its length fits.
        let committed = self.committed as u32 | sealed;
        let state = u64::from(self.crc.clone().finalize()) | u64::from(committed) << 32;
        self.step.word64(self.block_at + BLOCK_STATE_AT).store(state.to_le(), Ordering::Release);
    }
}

fn block_offset(block: u32) -> u64 {
    (u64::from(block) + 1) * BLOCK_BYTES as u64
}

/// Makes sure that the file system has room for a part of the file: a store to a mapped hole of a
/// full disk would be a SIGBUS.
fn reserve(file: &File, offset: u64, len: usize) -> std::io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), offset, len as u64) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            // A file system without reservation: writing zeros takes the room. What is there stays.
            let present = file.metadata()?.len();
            let end = offset + len as u64;
            let zeros = vec![0; BLOCK_BYTES];
            let mut at = present.max(offset);
            while at < end {
                let part = usize::try_from(end - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
                file.write_all_at(&zeros[..part], at)?;
                at += part as u64;
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

/// The header of a journal without entries.
fn header_words(header: &Header) -> Result<[u8; SEALED_AT + 4], JournalError> {
    let name = header.profile.as_bytes();
    if name.len() > PROFILE_BYTES_MAX {
        return Err(JournalError::ProfileName { profile: header.profile.clone() });
    }
    let (kind, member, incarnation, stream) = match header.source {
        Source::Producer { member, incarnation, stream } => (1_u32, member, incarnation, Some(stream)),
        Source::Consumer { member, incarnation } => (2, member, incarnation, None),
        Source::Audit => (3, 0, 0, None),
        Source::Tail => (4, 0, 0, None),
        Source::Parking => (5, 0, 0, None),
        Source::Effects => (6, 0, 0, None),
    };
    let mut words = [0; SEALED_AT + 4];
    let mut put = |at: usize, bytes: &[u8]| words[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(12, &kind.to_le_bytes());
    put(16, &header.run.to_le_bytes());
    put(24, &member.to_le_bytes());
    put(26, &incarnation.to_le_bytes());
    put(30, &[name.len().to_le_bytes()[0], 0]);
    put(PROFILE_AT, name);
    if let Some(stream) = stream {
        put(28, &stream.producer.to_le_bytes());
        put(32, &stream.partition.to_le_bytes());
        put(40, &stream.first.to_le_bytes());
        put(48, &stream.start_ns.to_le_bytes());
        put(56, &stream.period_ns.to_le_bytes());
    }
    put(NEXT_AT, &checked(stream.map_or(0, |stream| stream.first)).to_le_bytes());
    put(BLOCKS_AT, &checked(0).to_le_bytes());
    let crc = crc32fast::hash(&words[..FIXED_BYTES]);
    words[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    Ok(words)
}
