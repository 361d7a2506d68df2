//! Journals: what a client process or the audit observed, on disk as it happens.
//!
//! Append-only, written through a memory map, so that an entry costs no system call and survives the
//! SIGKILL of its writer at any instruction: the kernel holds the pages. (It does not survive a power
//! loss of this host; nothing is synced.) One writer a file: a consumer process has one journal, a
//! producer process one for each partition, since each partition has a thread of its own.
//!
//! # Format, version 2
//! All words little-endian. The file is a header block and entry blocks, 64 KiB each. It grows by
//! sixteen reserved blocks at a time and is cut to its last block when sealed.
//!
//! ```text
//! header block
//!    0  magic "LPJRNL\r\n"                  fixed when the file is made, under `crc`
//!    8  version u32, kind u32 (1 producer, 2 consumer, 3 audit, 4 tail, 5 parking)
//!   16  run u64
//!   24  member u16, incarnation u16, producer u16, length of the profile's name u16
//!   32  partition i32, zero u32
//!   40  first u64                           producer: first sequence of this incarnation
//!   48  start_ns u64, period_ns u64         producer: sequence n is intended at start + n * period
//!   64  profile's name, 64 bytes, zeros after it
//!  128  crc u32 of bytes 0..128
//!  192  next u48, its check u16             producer: what is at or above was never offered
//!  200  blocks u48, its check u16           entry blocks begun
//!  208  records u64                         set when sealed
//!  216  crc u32 of bytes 192..216           set when sealed
//!  220  sealed u32                          1: closed cleanly, and the words above are final
//!
//! entry block
//!    0  magic "LPBK", number u32            from 0
//!    8  crc u32                             of the 8 bytes above and the entries
//!   12  committed u32                       bytes of whole entries; the top bit is set when sealed
//!   16  entries, then zeros
//! ```
//! At every instruction each word says the truth about what is there, under a checksum. `crc` and
//! `committed` are one 64-bit word, stored with release order after the entry; so are `next` and
//! `blocks`, each with a check of its own (`word.rs`). Entries (see `entry.rs`) hold differences that
//! start anew in each block; times are kept to the microsecond, rounded down. Checksums are CRC-32 as
//! in zlib.
//!
//! # Reading
//! A journal whose writer was killed ends at a known point: [`Tail::sealed`] is false, and all entries
//! but at most the one being written are there. Lost or altered bytes are a different thing, counted
//! as damage: nothing may be concluded from the absence of an entry in a damaged journal.

mod block;
mod decode;
mod deltas;
mod encode;
mod entry;
mod header;
mod mapping;
mod reader;
#[cfg(test)]
mod tests;
mod varint;
mod word;
mod writer;

use std::path::PathBuf;

pub use reader::{JournalReader, Tail};
pub use writer::JournalWriter;

const MAGIC: [u8; 8] = *b"LPJRNL\r\n";
const VERSION: u32 = 2;
const BLOCK_BYTES: usize = 64 * 1024;
const FIXED_BYTES: usize = 128;
const PROFILE_AT: usize = 64;
const PROFILE_BYTES_MAX: usize = 64;
const CRC_AT: usize = 128;
const NEXT_AT: usize = 192;
const BLOCKS_AT: usize = 200;
const RECORDS_AT: usize = 208;
const SEAL_CRC_AT: usize = 216;
const SEALED_AT: usize = 220;

const BLOCK_MAGIC: [u8; 4] = *b"LPBK";
/// What of a block's header is under its checksum.
const BLOCK_FIXED_BYTES: usize = 8;
/// `crc` and `committed`.
const BLOCK_STATE_AT: usize = 8;
const BLOCK_HEADER_BYTES: usize = 16;
const BLOCK_SEALED: u32 = 1 << 31;

/// Extension of journal files.
pub const EXTENSION: &str = "ljr";

/// Whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Number of the run.
    pub run: u64,
    /// The profile's name, at most 64 bytes.
    pub profile: String,
    /// Who writes it.
    pub source: Source,
}

/// Who writes a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// One partition's thread of a producer process.
    Producer {
        /// Counts the producer processes of the profile.
        member: u16,
        /// Restarts of the process before.
        incarnation: u16,
        /// The stream, with `partition`.
        stream: Stream,
    },
    /// A consumer process.
    Consumer {
        /// Counts the members of the group.
        member: u16,
        /// Restarts of the process before.
        incarnation: u16,
    },
    /// The audit of the profile's topic.
    Audit,
    /// The reader that follows the log of the profile's topic during the run.
    Tail,
    /// The look for what is parked outside the topic, when the run ends.
    Parking,
    /// The look for side effects where these are: in a sink or an output, when the run ends.
    Effects,
}

/// A stream, and the pace at which its sequences are intended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The producer's number within the run, as in its messages.
    pub producer: u16,
    /// Partition.
    pub partition: i32,
    /// First sequence that this incarnation offers.
    pub first: u64,
    /// CLOCK_BOOTTIME at which sequence 0 is intended, in nanoseconds.
    pub start_ns: u64,
    /// Time between two sequences in nanoseconds.
    pub period_ns: u64,
}

impl Stream {
    /// When a sequence is intended to be sent: CLOCK_BOOTTIME in nanoseconds.
    #[must_use]
    pub const fn intended_ns(&self, sequence: u64) -> u64 {
        self.start_ns.saturating_add(self.period_ns.saturating_mul(sequence))
    }
}

impl Header {
    /// The name of this journal's file, such as `baseline-producer-0-0-p2.ljr`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let profile = &self.profile;
        match self.source {
            Source::Producer { member, incarnation, stream } => {
                format!("{profile}-producer-{member}-{incarnation}-p{}.{EXTENSION}", stream.partition)
            }
            Source::Consumer { member, incarnation } => {
                format!("{profile}-consumer-{member}-{incarnation}.{EXTENSION}")
            }
            Source::Audit => format!("{profile}-audit.{EXTENSION}"),
            Source::Tail => format!("{profile}-tail.{EXTENSION}"),
            Source::Parking => format!("{profile}-parking.{EXTENSION}"),
            Source::Effects => format!("{profile}-effects.{EXTENSION}"),
        }
    }
}

/// Why a journal can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no; a full one too.
    #[error("cannot {doing} the journal {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A journal of that name is there already, and is evidence.
    #[error("the journal {} exists already; a run directory is written once", path.display())]
    Exists {
        /// The journal.
        path: PathBuf,
    },
    /// The profile's name is too long for a header.
    #[error("the profile's name {profile:?} is longer than 64 bytes; shorten it")]
    ProfileName {
        /// The name.
        profile: String,
    },
    /// Not a journal.
    #[error("{} is not a journal of lossproof", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("the journal {} has format {found}, and this lossproof reads format 2; read it with the lossproof that wrote it", path.display())]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The header's checksum is wrong, so that nobody knows whose journal it is.
    #[error("the header of the journal {} is damaged", path.display())]
    Header {
        /// The journal.
        path: PathBuf,
    },
}
