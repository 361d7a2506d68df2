//! What client processes and the audit journal, one entry for each thing observed.

use crate::category::Told;

/// Who a message is: the words that its payload carries. Stream = (producer, partition).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// A number of the run, so that another run's message is never taken for one of ours.
    pub run: u64,
    /// Number of the producer within the run, one for each profile and producer member.
    pub producer: u16,
    /// Restarts of the producer process before this message.
    pub incarnation: u16,
    /// Partition that it was sent to.
    pub partition: i32,
    /// Sequence within the stream, dense from 0.
    pub sequence: u64,
    /// Sends of this sequence by the application, from 0.
    pub attempt: u16,
}

/// An entry of a journal. Times are CLOCK_BOOTTIME in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The producer learnt what became of a sequence. (That a sequence was offered is in the
    /// stream's `next` word: all below it were.)
    Told {
        /// Partition of the stream.
        partition: i32,
        /// Sequence.
        sequence: u64,
        /// Application attempt.
        attempt: u16,
        /// What it was told.
        told: Told,
        /// Offset that an acknowledgement (not of acks=0) named.
        offset: Option<i64>,
        /// librdkafka's error code (`rd_kafka_resp_err_t`), 0 for none.
        error: i32,
        /// Broker whose answer the delivery report conveys (`rd_kafka_message_broker_id`).
        broker: Option<i32>,
        /// It was sent within a transaction, so that `told` counts only once that is committed.
        in_txn: bool,
        /// When.
        at_ns: u64,
    },
    /// The transaction ended to which all reports of this journal since the one before belong.
    TxnEnded {
        /// Partition of the stream.
        partition: i32,
        /// How.
        outcome: TxnOutcome,
        /// When.
        at_ns: u64,
    },
    /// A member was given partitions to read from an offset (one entry a partition).
    Assigned {
        /// Partition.
        partition: i32,
        /// When.
        at_ns: u64,
    },
    /// A member lost a partition, by revocation, loss or close.
    Revoked {
        /// Partition.
        partition: i32,
        /// When.
        at_ns: u64,
    },
    /// The client library handed a record to the application.
    Polled {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// When.
        at_ns: u64,
    },
    /// The application's side effect for a polled record happened.
    Processed {
        /// Partition that it was read from.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Who the message is; none if its payload is not one of ours, or is damaged.
        identity: Option<Identity>,
        /// When.
        at_ns: u64,
    },
    /// A commit of an offset was answered.
    Committed {
        /// Partition.
        partition: i32,
        /// The next offset to read.
        offset: i64,
        /// Whether the broker accepted it.
        ok: bool,
        /// When.
        at_ns: u64,
    },
    /// The member read the fence record of a partition, having nothing in hand.
    FenceSeen {
        /// Partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// When.
        at_ns: u64,
    },
    /// The audit read a record.
    Audited {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Which attempt of this partition's audit, from 0.
        audit: u16,
        /// Under which isolation level this pass reads. All records of an attempt under
        /// read_uncommitted come before those under read_committed.
        isolation: Isolation,
        /// Leader epoch under which the record was appended, where its batch says so.
        leader_epoch: Option<i32>,
        /// What it is.
        content: Content,
    },
    /// The tail reader, which follows the log during the run, read a record.
    Tailed {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Who the message is; none if its payload is not one of ours, or is damaged.
        identity: Option<Identity>,
        /// When.
        at_ns: u64,
    },
    /// A message was found parked outside its own topic, once clients and relays had ended.
    Held {
        /// Where.
        place: Place,
        /// Who the message is.
        identity: Identity,
        /// When.
        at_ns: u64,
    },
}

impl Record {
    /// When it was observed; none for what the audit read, which is about the log and not about time.
    #[must_use]
    pub const fn at_ns(&self) -> Option<u64> {
        match *self {
            Self::Told { at_ns, .. }
            | Self::TxnEnded { at_ns, .. }
            | Self::Assigned { at_ns, .. }
            | Self::Revoked { at_ns, .. }
            | Self::Polled { at_ns, .. }
            | Self::Processed { at_ns, .. }
            | Self::Committed { at_ns, .. }
            | Self::FenceSeen { at_ns, .. }
            | Self::Tailed { at_ns, .. }
            | Self::Held { at_ns, .. } => Some(at_ns),
            Self::Audited { .. } => None,
        }
    }
}

/// How a transaction ended, as its producer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxnOutcome {
    /// Its commit was acknowledged.
    Committed,
    /// Its abort was acknowledged.
    Aborted,
    /// Neither: a commit or an abort that failed or timed out.
    Unknown,
}

/// `isolation.level` of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// What is below the last stable offset and not of an aborted transaction.
    ReadCommitted,
}

/// Where a message may be parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A dead-letter topic that the producer writes, audited like any topic.
    ProducerDlq,
    /// A producer's spool on disk.
    Spool,
    /// A row of an outbox that the relay has not sent.
    Outbox,
    /// A dead-letter topic that the consumer writes, audited like any topic: counts as processed.
    ConsumerDlq,
}

/// What the audit found at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A message of this run with a good checksum.
    Message(Identity),
    /// The fence record.
    Fence,
    /// A payload with our magic and a wrong checksum, or one that is not ours at all.
    Corrupt,
}
