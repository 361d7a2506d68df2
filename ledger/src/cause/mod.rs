//! Why messages were lost: what exposed them, and what destroyed them, as far as the evidence goes.
//!
//! A loss is attributed to what destroyed it, not to when it was acknowledged. Every claim rests on
//! something that was observed; where that is lacking the claim is not made, and a range without any
//! is unexplained, and still lost.
//!
//! ```text
//! History::add(event)…              the run's events: leaders, replicas' logs, faults, clients
//! Gather::new(history, profile, acks, anomalies)
//!     .stream(…)                    the pace of each stream
//!     .audit_record(…)              the audit's journal
//!     .producer_record(…)           the producers' journals
//!     .consumer_record(…)           the members' journals
//!     .finish()                     → one Explained for each part of a range that shares a cause
//! ```
//!
//! All times are nanoseconds since the run's start.
//!
//! How a loss in the cluster is attributed: the final log is a chain of leader epochs, each with its
//! first offset. An acknowledgement of epoch `e` at offset `o` is gone if the next epoch of that chain
//! begins at an offset `s <= o`: its leader was elected without the record. What the leader of `e` held
//! at `o` it must have thrown away once its own log is seen on the new chain.

mod attribute;
mod client;
mod gather;
mod history;
mod passed;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::category::Told;
use crate::reconcile::{Finding, Process, StreamId};

pub use gather::Gather;
pub use history::{Claim, FaultSeen, History, LeaderSeen, ReplicasSeen, Silence, Truncated};

/// What a profile's producers wait for, by their option `acks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    /// Nothing (0).
    Nobody,
    /// The leader alone (1).
    Leader,
    /// All in-sync replicas (all, -1).
    All,
}

/// What laid messages open to loss.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExposedBy {
    /// The leader acknowledged them while its peers fetched nothing from it and, in the end, followed another,
    /// which it did not know.
    IsolatedLeader {
        /// The leader.
        broker: i32,
        /// Its leader epoch.
        epoch: i32,
        /// For how long after the election it was heard to claim leadership, in milliseconds; none if that was not
        /// heard, but its log was seen to part from the others'.
        claimed_ms: Option<u64>,
        /// Where its log ended when it was seen to part from the others'; none if it was not seen.
        log_end: Option<i64>,
        /// The proven fault that held this broker while they were acknowledged.
        fault: Option<usize>,
    },
    /// The leader acknowledged them alone (acks=1), and the next leader had not fetched them.
    UnreplicatedTail {
        /// The leader.
        broker: i32,
        /// Its leader epoch.
        epoch: i32,
    },
    /// No other replica was in sync when they were acknowledged.
    ShrunkIsr {
        /// The leader, the only one in sync.
        broker: i32,
        /// Its leader epoch.
        epoch: i32,
        /// When that was seen first.
        since_ns: u64,
    },
    /// They were in the memory of a broker that came back without them.
    UnflushedTail {
        /// The broker.
        broker: i32,
        /// When it was first found not to answer.
        silent_ns: u64,
    },
    /// The leader of their partition did not answer, or there was none.
    LeaderAway {
        /// The leader that did not answer; none if the partition had no leader.
        broker: Option<i32>,
        /// Since when, as far as it was seen.
        from_ns: u64,
        /// The proven fault that held this broker.
        fault: Option<usize>,
    },
    /// A proven fault hit the leader of their partition while they were under way.
    LeaderHit {
        /// The leader.
        broker: i32,
        /// The fault.
        fault: usize,
    },
    /// A member had been handed them, and had not processed them.
    HandedOut {
        /// The member.
        member: u16,
        /// Its restarts before.
        incarnation: u16,
        /// How many of the range.
        messages: u64,
    },
    /// A member had read other messages at their offsets, which the log has lost since, and went on from there.
    OffsetsRead {
        /// The member.
        member: u16,
        /// Its restarts before.
        incarnation: u16,
        /// At how many offsets of the range.
        messages: u64,
    },
}

/// What made messages be lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DestroyedBy {
    /// A leader was elected whose log lacked them.
    Election {
        /// The new leader; none if nobody was heard to name it.
        leader: Option<i32>,
        /// Its leader epoch.
        epoch: i32,
        /// The offset at which that epoch begins.
        start_offset: i64,
        /// When it was heard of first.
        seen_ns: Option<u64>,
        /// It was not among the in-sync replicas that were last heard of under the old leader.
        unclean: bool,
        /// The proven fault during which it came.
        fault: Option<usize>,
    },
    /// The broker that held them cut its log short, to be like the new leader's.
    Truncation {
        /// The broker.
        broker: i32,
        /// Its log reached at least so far: to the end that was seen, or to what it had acknowledged.
        from: i64,
        /// The offset at which the common log ended.
        to: i64,
        /// When its own log file says that it did so; none if it does not.
        logged_ns: Option<u64>,
    },
    /// A broker came back with a log that ends before them.
    LogCutShort {
        /// The broker.
        broker: i32,
        /// When it was first found not to answer.
        silent_ns: u64,
        /// The proven fault that held it.
        fault: Option<usize>,
    },
    /// The disk of the broker that held them was emptied.
    DiskLost {
        /// The broker.
        broker: i32,
        /// The proven fault that emptied it.
        fault: usize,
    },
    /// Retention removed them.
    Retention {
        /// First offset of the log at the audit.
        log_start: i64,
    },
    /// They were deleted on demand.
    Deletion {
        /// Everything before this offset was.
        before: i64,
        /// The fault that did it.
        fault: usize,
    },
    /// The group committed an offset beyond them.
    Commit {
        /// The member.
        member: u16,
        /// Its restarts before.
        incarnation: u16,
        /// The offset.
        offset: i64,
        /// When that was accepted.
        at_ns: u64,
        /// The member had given the partition up: it was closing, or leaving.
        closing: bool,
    },
    /// A member read on beyond them without having been handed them.
    Skip {
        /// The member.
        member: u16,
        /// Its restarts before.
        incarnation: u16,
        /// The offset that it was handed next.
        to: i64,
        /// When.
        at_ns: u64,
    },
    /// The group had no committed offset, and `auto.offset.reset` led beyond them.
    Reset {
        /// Where to.
        position: i64,
    },
    /// A broker, or the client before sending, refused them for good.
    Refused {
        /// librdkafka's error code.
        error: i32,
    },
    /// The client gave them up.
    GivenUp {
        /// librdkafka's error code.
        error: i32,
    },
    /// The client's queue was full, and the application dropped them.
    QueueFull,
    /// The client did not take them.
    NotTaken {
        /// librdkafka's error code.
        error: i32,
    },
    /// The client ended without having reported on them.
    ClientEnded {
        /// How, such as `exit 0`; none if its end was not seen.
        how: Option<String>,
        /// The fault that ended it, by index; none if it is not known to be one.
        fault: Option<usize>,
    },
    /// Nobody was asked to acknowledge them (acks=0), so nobody noticed.
    Unconfirmed,
    /// The transaction that they were sent in was not committed.
    NotCommitted,
}

/// An observation of a record, or of its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sighting {
    /// When.
    pub at_ns: u64,
    /// By what.
    pub by: Witness,
}

/// What an observation rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "witness", rename_all = "snake_case")]
pub enum Witness {
    /// An acknowledgement; by which broker, if that is known.
    Ack {
        /// The broker.
        broker: Option<i32>,
    },
    /// A look at a broker's own log.
    ReplicaLog {
        /// The broker.
        broker: i32,
    },
    /// What a broker wrote about truncating its log.
    BrokerLog {
        /// The broker.
        broker: i32,
    },
    /// The audit.
    Audit,
}

/// Why a range was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Empty: not known.
    pub exposed_by: Vec<ExposedBy>,
    /// Empty: not known.
    pub destroyed_by: Vec<DestroyedBy>,
    /// The last observation that held them.
    pub held: Option<Sighting>,
    /// The first observation that lacks them.
    pub gone: Option<Sighting>,
    /// They were acknowledged between the call of this fault and its proof: at its edge, so that it can't be
    /// said whether it held then.
    pub edge_of: Option<usize>,
}

impl Cause {
    /// Neither half is known.
    #[must_use]
    pub const fn is_unexplained(&self) -> bool {
        self.exposed_by.is_empty() && self.destroyed_by.is_empty()
    }
}

/// Consecutive sequences of a stream of which the same was told and that share a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamId,
    /// First sequence.
    pub first: u64,
    /// Last sequence, included.
    pub last: u64,
    /// What became of them.
    pub finding: Finding,
    /// What the producer was told; none if nothing.
    pub told: Option<Told>,
    /// The broker whose answer that was; none if the report did not say.
    pub broker: Option<i32>,
    /// librdkafka's error code, 0 for none.
    pub error: i32,
    /// When the producer was told of the first and of the last of them.
    pub told_ns: Option<(u64, u64)>,
    /// Lowest and highest offset that the acknowledgements named.
    pub offsets: Option<(i64, i64)>,
    /// Why they were lost; none where nothing was lost.
    pub cause: Option<Cause>,
}

impl Explained {
    /// How many messages.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.last - self.first + 1
    }
}

const fn member(process: Process) -> (u16, u16) {
    (process.member, process.incarnation)
}
