//! Reading the header: whose journal it is, and what its changing words say.

use std::path::Path;

use super::word;
use super::{
    BLOCKS_AT, CRC_AT, FIXED_BYTES, Header, JournalError, MAGIC, NEXT_AT, PROFILE_AT, PROFILE_BYTES_MAX, RECORDS_AT,
    SEAL_CRC_AT, SEALED_AT, Source, Stream, VERSION,
};

/// The words of the header that change. None where a word is damaged.
pub(super) struct HeaderWords {
    pub(super) next: Option<u64>,
    pub(super) blocks: Option<u64>,
    pub(super) records: u64,
    pub(super) seal: Seal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    Open,
    Good,
    Bad,
}

impl HeaderWords {
    /// From a header block of full length.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let seal = match u32_at(bytes, SEALED_AT) {
            0 => Seal::Open,
            1 if crc32fast::hash(&bytes[NEXT_AT..SEAL_CRC_AT]) == u32_at(bytes, SEAL_CRC_AT) => Seal::Good,
            _ => Seal::Bad,
        };
        Self {
            next: word::number(u64_at(bytes, NEXT_AT)),
            blocks: word::number(u64_at(bytes, BLOCKS_AT)),
            records: u64_at(bytes, RECORDS_AT),
            seal,
        }
    }

    pub(super) const fn are_whole(&self) -> bool {
        self.next.is_some() && self.blocks.is_some()
    }
}

/// Whose journal it is, from a header block that may be too short.
pub(super) fn header(bytes: &[u8], path: &Path) -> Result<Header, JournalError> {
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
        6 => Source::Effects,
        _ => return Err(JournalError::Header { path: path() }),
    };
    let profile = (name_len <= PROFILE_BYTES_MAX)
        .then(|| bytes[PROFILE_AT..PROFILE_AT + name_len].to_vec())
        .and_then(|name| String::from_utf8(name).ok())
        .ok_or_else(|| JournalError::Header { path: path() })?;
    Ok(Header { run: u64_at(bytes, 16), profile, source })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
