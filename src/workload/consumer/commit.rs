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

impl Commit {
    /// How it is done once in an interval, if it is.
    const fn once_in_an_interval(self) -> Option<CommitMode> {
        match self {
            Self::AfterSync | Self::Contiguous | Self::Highest => Some(CommitMode::Sync),
            Self::AfterAsync | Self::AfterAsyncSyncClose => Some(CommitMode::Async),
            Self::Auto | Self::Before | Self::Batch => None,
        }
    }

    /// Whether what is done is committed once more before partitions are given away.
    const fn at_revocation(self) -> bool {
        match self {
            Self::AfterSync | Self::AfterAsyncSyncClose | Self::Batch | Self::Contiguous | Self::Highest => true,
            Self::Auto | Self::Before | Self::AfterAsync => false,
        }
    }

    /// Whether a partition is given away with nothing begun: what nobody began to process is left to the next
    /// owner, and what was begun is waited for.
    pub(super) const fn hands_back(self) -> bool {
        match self {
            Self::AfterSync | Self::AfterAsync | Self::AfterAsyncSyncClose | Self::Batch | Self::Contiguous => true,
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

    /// Commits of the partitions chosen what is due. The journal is not held meanwhile: the broker may take its
    /// time. True if there was something.
    fn commit(&self, member: &Member, mode: CommitMode, chosen: impl Fn(i32) -> bool) -> bool {
        let waits = matches!(mode, CommitMode::Sync);
        let mut offsets = TopicPartitionList::new();
        let notes = self.notes();
        if !notes.halted {
            for (partition, next) in
                notes.hand.due(self.commit.mark(), waits).filter(|(partition, _)| chosen(*partition))
            {
                // Refused only for offsets below 0, which no record has.
                let _ = offsets.add_partition_offset(&self.topic, partition, Offset::Offset(next));
            }
        }
        drop(notes);
        if offsets.count() == 0 {
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
