//! What a reconciliation says.

use serde::{Deserialize, Serialize};

use super::StreamId;
use crate::category::Category;
use crate::counts::{Counts, Imbalance};

/// A flag of single sequences, beside their category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// More than one copy of one application attempt in the log.
    Duplicate,
    /// One copy processed more than once.
    Redelivered,
    /// Processed more than once, whichever copies of it.
    Doubled,
    /// In the log after a later sequence of the same producer process.
    Reordered,
    /// Its ack names an offset that holds another record.
    OffsetConflict,
    /// Reported as certainly not in the log, and in it.
    FailedButLanded,
    /// A copy was processed although its transaction was aborted.
    AbortedRead,
    /// Of a transaction of which a part is visible and a part is absent.
    TornTxn,
    /// Parked, and in the log as well.
    RecoveredAndLanded,
    /// In a dead-letter topic of the consumer.
    DeadLettered,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Self; 10] = [
        Self::Duplicate,
        Self::Redelivered,
        Self::Doubled,
        Self::Reordered,
        Self::OffsetConflict,
        Self::FailedButLanded,
        Self::AbortedRead,
        Self::TornTxn,
        Self::RecoveredAndLanded,
        Self::DeadLettered,
    ];
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

/// What came of one partition, and how good its witnesses are. The streams of [`super::ANY_PARTITION`]
/// have an entry of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionResult {
    /// Which.
    pub partition: i32,
    /// Its counts.
    pub counts: Counts,
    /// All of the log was read, from offset 0 to the fence (below its start by the tail reader), in
    /// both passes where there were two, and without a contradiction.
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
    /// Sorted by stream, then first sequence; at most [`LISTED_MAX`] of each finding.
    pub anomalies: Vec<Anomaly>,
    /// How many are not listed. The counts hold them.
    pub anomalies_omitted: u64,
    /// Sorted by partition, then offset; at most [`LISTED_MAX`].
    pub strays: Vec<Stray>,
    /// How many are not listed. The counts hold them.
    pub strays_omitted: u64,
}

/// How many ranges of each finding a reconciliation lists: what is wrong with every second message
/// would fill the memory, and say no more.
pub const LISTED_MAX: usize = 100_000;

/// Strays as they come.
#[derive(Debug, Default)]
pub(super) struct Strays {
    pub listed: Vec<Stray>,
    pub omitted: u64,
}

impl Strays {
    pub fn add(&mut self, partition: i32, offset: i64, kind: StrayKind) {
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Stray { partition, offset, kind });
        } else {
            self.omitted += 1;
        }
    }
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
