//! When a member commits, what, and how it learns what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::{Context, Member};
use super::hand::Mark;
use super::queue::{Answer, Queue};
use crate::experiment::Commit;
use crate::workload::child::ChildError;

/// How long librdkafka may take to go back, which it does by itself.
const SEEK_MAX: Duration = Duration::from_secs(10);

impl Commit {
    /// How it is done once in an interval, if it is.
    const fn once_in_an_interval(self) -> Option<CommitMode> {
        match self {
            Self::AfterSync | Self::Contiguous | Self::Highest => Some(CommitMode::Sync),
            Self::AfterAsync | Self::AfterAsyncSyncClose => Some(CommitMode::Async),
            Self::Auto | Self::Before | Self::Batch | Self::Transactional => None,
        }
    }

    /// Whether what is done is committed once more before partitions are given away.
    const fn at_revocation(self) -> bool {
        match self {
            Self::AfterSync | Self::AfterAsyncSyncClose | Self::Batch | Self::Contiguous | Self::Highest => true,
            Self::Auto | Self::Before | Self::AfterAsync | Self::Transactional => false,
        }
    }

    /// Whether a partition is given away with nothing begun: what nobody began to process is left to the next
    /// owner, and what was begun is waited for.
    pub(super) const fn hands_back(self) -> bool {
        match self {
            Self::AfterSync
            | Self::AfterAsync
            | Self::AfterAsyncSyncClose
            | Self::Batch
            | Self::Contiguous
            | Self::Transactional => true,
            Self::Auto | Self::Before | Self::Highest => false,
        }
    }

    const fn mark(self) -> Mark {
        match self {
            Self::Before => Mark::Polled,
            Self::Highest => Mark::Highest,
            _ => Mark::Contiguous,
        }
    }
}

impl Context {
    /// Commits, if that is this client's part and the last time is `interval` ago. True if it did.
    pub fn commit_if_due(&self, member: &Member, now_ns: u64, interval: Duration) -> bool {
        let Some(mode) = self.commit.once_in_an_interval() else { return false };
        let since = Duration::from_nanos(now_ns.saturating_sub(self.notes().committed_ns));
        since >= interval && self.commit(member, mode, |_| true)
    }

    /// Commits synchronously, for a behaviour that does so batch by batch.
    pub fn commit_batch(&self, member: &Member) {
        self.commit(member, CommitMode::Sync, |_| true);
    }

    /// Commits what may be before partitions are given away, for a behaviour that does.
    pub fn commit_finally(&self, member: &Member, chosen: Option<&BTreeSet<i32>>) {
        if self.commit.at_revocation() {
            self.commit(member, CommitMode::Sync, |partition| chosen.is_none_or(|chosen| chosen.contains(&partition)));
        }
    }

    /// What of all that was polled no commit holds yet, done or not: what a transaction over it is to commit.
    pub fn polled(&self) -> TopicPartitionList {
        self.list(self.notes().hand.due(Mark::Polled, true))
    }

    /// These were committed in a transaction.
    pub fn committed_with_results(&self, offsets: &TopicPartitionList) {
        let mut notes = self.notes();
        notes.committed_ns = boottime_ns();
        notes.answered(&Answer::of(&Ok(()), offsets));
    }

    /// Goes back to the first message of each partition that is not done, and reads on from there.
    pub fn rewind(&self, member: &Member) -> Result<(), ChildError> {
        let back = self.list(self.notes().hand.rewind().into_iter());
        if back.count() == 0 {
            return Ok(());
        }
        let sought = member.seek_partitions(back, SEEK_MAX)?;
        // Where it did not go back, it would pass over messages.
        sought.elements().iter().try_for_each(|element| Ok(element.error()?))
    }

    fn list(&self, positions: impl Iterator<Item = (i32, i64)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, next) in positions {
            // Refused only for offsets below 0, which no record has.
            let _ = list.add_partition_offset(&self.topic, partition, Offset::Offset(next));
        }
        list
    }

    /// Commits of the partitions chosen what is due. The journal is not held meanwhile: the broker may take its
    /// time. True if there was something.
    fn commit(&self, member: &Member, mode: CommitMode, chosen: impl Fn(i32) -> bool) -> bool {
        let waits = matches!(mode, CommitMode::Sync);
        let notes = self.notes();
        let due = notes.hand.due(self.commit.mark(), waits).filter(|(partition, _)| chosen(*partition));
        let offsets = self.list(due);
        let is_halted = notes.halted;
        drop(notes);
        if is_halted || offsets.count() == 0 {
            return false;
        }
        let result = match mode {
            CommitMode::Sync => member.commit(&offsets, mode),
            CommitMode::Async => Queue::of(member).commit(&offsets),
        };
        if let Err(error) = &result {
            tracing::warn!("{error}");
        }
        let answers = Answer::of(&result, &offsets);
        let mut notes = self.notes();
        notes.committed_ns = boottime_ns();
        for &Answer { partition, offset, .. } in &answers {
            notes.hand.sent(partition, offset);
        }
        // An asynchronous one is answered later, unless it could not be sent at all.
        if waits || result.is_err() {
            notes.answered(&answers);
        }
        true
    }
}
