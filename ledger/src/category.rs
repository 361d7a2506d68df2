//! Four questions about each sequence, and the one category that the answers give.

use serde::{Deserialize, Serialize};

/// What the producer was told of a sequence; the best of its attempts, so ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Told {
    /// Offered, but never taken by the client.
    Unsent,
    /// Certainly not in the log.
    Failed,
    /// Neither a success nor a proof of failure.
    Indeterminate,
    /// Delivery report OK with acks=0, which proves nothing.
    Unconfirmed,
    /// Delivery report OK with acks=1 or all; in a transaction, also its commit.
    Acked,
}

/// Is the sequence in the log?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InLog {
    /// Visible under read_committed.
    Present,
    /// Not there, and the audit read everything that is.
    Absent,
    /// A tail reader saw it, and retention passed its offset.
    Expired,
    /// A later record of its key was seen on a compacted topic.
    Compacted,
    /// The audit of its partition is not complete.
    Unreadable,
}

/// What did the consumer group do with the sequence?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Its processing was journalled (or it was written to a consumer-side DLQ that was audited).
    Processed,
    /// Not processed, and the group's position lies behind it: the group will not come back.
    Past,
    /// Not processed, and the group has not come to it yet.
    Behind,
    /// As `Behind`, because an open transaction hides it.
    BehindOpenTxn,
}

/// Was the message parked for later outside its own topic (DLQ, spool, outbox)?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parked {
    /// Held by an audited DLQ, or by a durable spool or outbox.
    Held,
    /// Not parked.
    No,
}

/// The one category of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Processed, and in the log as far as can be known.
    Delivered,
    /// Read and processed, then truncated out of the log.
    Vanished,
    /// Acknowledged, and not in the log.
    LostInCluster,
    /// Not acknowledged, but parked.
    Recovered,
    /// Nothing can be said: its partition could not be read to the end.
    Unreadable,
    /// Removed by retention before the group processed it.
    Expired,
    /// Superseded by compaction.
    Compacted,
    /// In the log, and the group went past it without processing it.
    LostByConsumer,
    /// In the log, and the group has not come to it.
    Lagging,
    /// As `Lagging`, because an open transaction hides it.
    BehindOpenTxn,
    /// Not acknowledged, and not in the log.
    Undelivered,
}
