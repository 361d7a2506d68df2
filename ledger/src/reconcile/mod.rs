//! What became of every sequence of one profile, from the journals of its clients and of the audit.
//!
//! Streaming: entries are pushed one by one, in two passes that the types keep in order:
//!
//! ```text
//! LogPass::new(facts)?      what the events say: streams, audits, the group's positions
//!     .record(entry)…       the journals of the audit, the tail reader and what is parked
//!     .clients()            → ClientPass
//!     .producer_record(…)   the producers' journals, those of one stream in incarnation order
//!     .consumer_record(…)   the members' journals, each in its own order
//!     .journal_ended(…)     after the entries of each client journal
//!     .finish()?            → Reconciliation
//! ```
//!
//! Memory: six bits a sequence; what lies at each offset is kept as runs (see `image`), which cost
//! next to nothing for one producer a partition and a byte or two for each change between producers;
//! what is rare, in compressed sets.
//!
//! # What the table leaves open
//! //! A copy counts as read by the group wherever it lies: the group has *processed* a sequence when
//! any member processed any copy of it, and is *past* it when its position lies beyond the last
//! copy; with one copy still ahead it may yet be read, so it is *behind*. An unknown position is
//! *behind* too: nobody can say that the group will not come back.
//!
//! A sequence below the stream's `next` for which no journal has an answer is *indeterminate*: the
//! producer died, or was ended, with it in hand, and may have sent it. *Unsent* is only what a
//! producer says it has dropped.
//!
//! In a topic written in transactions, *present* is what the pass under read_committed showed. A
//! record that only the other pass showed is of an aborted transaction, and no copy; or, from the
//! last stable offset on, hidden by an open one, and a copy that cannot be read yet; or, if the second
//! pass did not come to its end, doubtful, and its sequence unreadable unless another copy is visible.
//! Damaged and foreign records count whether visible or not.
//!
//! What the tail reader saw below the log's start is *expired*. What it saw beyond, and the log has
//! no more, is *compacted* only if its offset is empty now and a later record of its key is in the
//! log; otherwise it was truncated. What it never saw on a compacted topic is absent only if its ack
//! names an offset that another record has, or that lies beyond every record of its key; otherwise
//! compaction may have come first, and it is unreadable.
//!
//! In a journal that is damaged, ends of transactions may be missing, so that no report within a
//! transaction counts for more than indeterminate there.

mod authors;
mod clients;
mod elsewhere;
mod evidence;
mod facts;
mod gone;
mod image;
mod log;
mod marks;
mod partition;
mod planes;
#[cfg(test)]
mod planted;
mod ranges;
#[cfg(test)]
mod reference;
mod result;
#[cfg(test)]
mod soup;
mod state;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod txn;

pub use clients::ClientPass;
pub use facts::{
    ANY_PARTITION, Audit, CommittedPass, Facts, JournalEnd, Offered, Partition, Position, Process, Stream, StreamId,
    Tail,
};
pub use log::LogPass;
pub use result::{Anomaly, Error, Finding, Flag, LISTED_MAX, PartitionResult, Reconciliation, Stray, StrayKind};
