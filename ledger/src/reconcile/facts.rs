//! What must be known of a profile before its journals are read.

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

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
