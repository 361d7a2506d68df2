//! What became of every sequence of one profile, from the journals of its clients and of the audit.
//!
//! Streaming: entries are pushed one by one, in two passes that the types keep in order:
//!
//! ```text
//! LogPass::new(facts)?      what the events say: streams, audits, the group's positions
//!     .record(entry)…       the audit's journal
//!     .clients()            → ClientPass
//!     .producer_record(…)   the producers' journals, in any order among each other
//!     .consumer_record(…)   the members' journals, each in its own order
//!     .journal_ended(…)     once for each client journal
//!     .finish()?            → Reconciliation
//! ```
//!
//! Memory: 2 bytes a sequence and 12 an offset. Limit: 2³² sequences a profile.
//!
//! A copy counts as read by the group wherever it lies: the group has *processed* a sequence when
//! any member processed any copy of it, and is *past* it when its position lies beyond the last
//! copy; with one copy still ahead it may yet be read, so it is *behind*. An unknown position is
//! *behind* too: nobody can say that the group will not come back.
//!
//! A sequence below the stream's `next` for which no journal has an answer is *indeterminate*: the
//! producer died, or was ended, with it in hand, and may have sent it. *Unsent* is only what a
//! producer says it has dropped.

mod clients;
mod log;
mod offsets;
#[cfg(test)]
mod planted;
mod state;
mod tally;
#[cfg(test)]
mod tests;

pub use clients::ClientPass;
pub use log::LogPass;

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use crate::category::Category;
use crate::counts::{Counts, Imbalance};
use crate::event::PositionSource;

/// A stream: one producer's messages to one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The producer's number in the run.
    pub producer: u16,
    /// Partition.
    pub partition: i32,
}

/// A stream and what was offered in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Which.
    pub id: StreamId,
    /// Which sequences, over all incarnations.
    pub offered: Offered,
}

/// Which sequences of a stream were offered.
#[derive(Debug, Clone, PartialEq)]
pub enum Offered {
    /// All below this: the highest `next` word of the stream's journals.
    Below(u64),
    /// These: imports, whose sequences may have gaps or be huge.
    These(RoaringTreemap),
}

/// Partition of a stream whose messages may lie in any partition, for imports that don't know it.
/// A copy in any partition is one of its sequences, and for absence all partitions must have been
/// read.
pub const ANY_PARTITION: i32 = -1;

/// How the audit of a partition ended (event `PartitionAudited`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// The attempt that counts; records of others are passed over.
    pub attempt: u16,
    /// It read the fence under the leader epoch of its start.
    pub complete: bool,
    /// First offset of the log.
    pub log_start: i64,
    /// For a topic that was written in transactions; none: there was one pass, and all that it
    /// read is visible.
    pub committed: Option<CommittedPass>,
    /// What the tail reader can say of what left the log at its start; none: there was no tail
    /// reader.
    pub tail: Option<Tail>,
}

/// The audit's second pass, under read_committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedPass {
    /// It reached the fence, or the last stable offset told.
    pub complete: bool,
    /// First offset hidden by a transaction that is still open (the last stable offset), if any.
    pub open_from: Option<i64>,
}

/// What a tail reader read of a partition: every offset from `from` up to `position`, without a
/// reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub position: i64,
    /// With `cleanup.policy=compact`: the number of keys. The key of a sequence is
    /// `sequence % keys`.
    pub keys: Option<u64>,
}

/// Where the group stands in a partition (event `GroupPosition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next offset that it would read.
    pub offset: i64,
    /// How that is known.
    pub source: PositionSource,
}

/// What the events say of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which.
    pub partition: i32,
    /// None if its audit never ended.
    pub audit: Option<Audit>,
    /// None if it was not learnt.
    pub position: Option<Position>,
}

/// What must be known of a profile before its journals are read.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Number of the run, as in every identity.
    pub run: u64,
    /// All streams of the profile's producers.
    pub streams: Vec<Stream>,
    /// All partitions of its topic.
    pub partitions: Vec<Partition>,
    /// How many client journals there should be, of all processes that were started
    /// (`ClientStarted`): a consumer has one, a producer one for each partition.
    pub journals: usize,
}

/// How a client's journal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEnd {
    /// Closed by its client.
    Sealed,
    /// Its client was killed; the journal is whole up to a known entry.
    Torn,
    /// Missing, or damaged before its end: it may have held anything.
    Broken,
}

/// A process of the consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Member.
    pub member: u16,
    /// Restarts before it.
    pub incarnation: u16,
}

/// A flag of single sequences, beside their category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// More than one copy of one application attempt in the log.
    Duplicate,
    /// One copy processed more than once.
    Redelivered,
    /// In the log after a later sequence of the same producer process.
    Reordered,
    /// Its ack names an offset that holds another record.
    OffsetConflict,
    /// Reported as certainly not in the log, and in it.
    FailedButLanded,
}

/// What is remarkable about a range of sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Finding {
    /// A category other than delivered.
    Category(Category),
    /// A flag.
    Flag(Flag),
}

/// Consecutive sequences of one stream with the same finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anomaly {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamId,
    /// First sequence.
    pub first: u64,
    /// Last sequence, included.
    pub last: u64,
    /// What it is.
    pub finding: Finding,
}

/// Why a record in the log belongs to no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrayKind {
    /// Never offered to this partition.
    Phantom,
    /// Payload damaged, or not one of ours.
    Corrupt,
}

/// A record in the log that belongs to no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stray {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Why.
    pub kind: StrayKind,
}

/// What came of one partition, and how good its witnesses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionResult {
    /// Which.
    pub partition: i32,
    /// Its counts.
    pub counts: Counts,
    /// The audit read all of the log, from offset 0 to the fence, without contradicting itself.
    pub audit_complete: bool,
    /// The group's position is known.
    pub position_known: bool,
}

/// What became of every sequence of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// Over all partitions.
    pub counts: Counts,
    /// By partition.
    pub partitions: Vec<PartitionResult>,
    /// Every client journal is there, and sealed or torn at a known point.
    pub journals_complete: bool,
    /// Sorted by stream, then first sequence.
    pub anomalies: Vec<Anomaly>,
    /// In the order of the audit.
    pub strays: Vec<Stray>,
}

/// The evidence contradicts itself, or lossproof does: an internal error, which outranks every
/// verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A sum that does not balance.
    #[error(transparent)]
    Imbalance(#[from] Imbalance),
    /// The journals tell of a sequence that was never offered.
    #[error(
        "internal error: producer {} was told of sequence {sequence} of partition {}, of which \
         {offered} were offered: the journal contradicts itself",
        stream.producer, stream.partition
    )]
    ToldOfUnoffered {
        /// The stream; not among the facts when `offered` is 0.
        stream: StreamId,
        /// The sequence.
        sequence: u64,
        /// Sequences offered in that stream.
        offered: u64,
    },
    /// An entry in a journal of another kind of client.
    #[error("internal error: {journal} holds an entry that does not belong there: {entry}")]
    Misplaced {
        /// Whose journal.
        journal: &'static str,
        /// The entry.
        entry: String,
    },
    /// The facts name a stream or a partition twice.
    #[error("internal error: {what} is named twice in what the events say of a profile")]
    NamedTwice {
        /// What.
        what: String,
    },
    /// More sequences than can be numbered.
    #[error(
        "{offered} sequences were offered in one profile, and at most {limit} can be reconciled: \
         lower the rate or shorten the run"
    )]
    TooMany {
        /// Offered.
        offered: u64,
        /// The limit.
        limit: u64,
    },
}
