//! What a member has in hand: by partition, what it polled and what of that is done. From this follows what may be
//! committed, and whether a fence was reached with nothing left to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lossproof_ledger::record::Identity;

/// The right to process messages of a partition, for as long as it is assigned.
#[derive(Debug, Clone, Default)]
pub(super) struct Lease(Arc<AtomicBool>);

impl Lease {
    /// What was not begun under it need not be: somebody else will be handed it.
    pub fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A message that was polled and is to be processed.
#[derive(Debug)]
pub(super) struct Job {
    pub partition: i32,
    pub offset: i64,
    /// Who it is; none if it is none of this run's.
    pub identity: Option<Identity>,
    pub lease: Lease,
    /// The record as it was, where that may be needed.
    pub raw: Option<Raw>,
}

/// A record's own bytes.
#[derive(Debug)]
pub(super) struct Raw {
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
}

/// Up to where a partition may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// All that was polled, done or not.
    Polled,
    /// The first that is not done.
    Contiguous,
    /// The highest that is done.
    Highest,
}

/// By partition.
#[derive(Debug, Default)]
pub(super) struct Hand(Vec<Option<Owned>>);

/// A partition that is assigned.
#[derive(Debug, Default)]
struct Owned {
    lease: Lease,
    /// Offsets that were polled and are not done.
    open: BTreeSet<i64>,
    /// How many of them are with workers.
    lent: usize,
    /// The offset after the last that was polled.
    next: Option<i64>,
    /// The offset after the highest that is done.
    highest: Option<i64>,
    /// Up to where a commit was sent.
    sent: Option<i64>,
    /// Up to where a commit was accepted.
    accepted: Option<i64>,
    /// A fence that was polled while something before it was open.
    fence: Option<i64>,
}

impl Owned {
    fn position(&self, mark: Mark) -> Option<i64> {
        match mark {
            Mark::Polled => self.next,
            Mark::Contiguous => self.open.first().copied().or(self.next),
            Mark::Highest => self.highest,
        }
    }
}

impl Hand {
    fn owned(&mut self, partition: i32) -> &mut Owned {
        let index = usize::try_from(partition).unwrap_or_default();
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index].get_or_insert_default()
    }

    fn known(&self) -> impl Iterator<Item = (i32, &Owned)> {
        (0..).zip(&self.0).filter_map(|(partition, owned)| Some((partition, owned.as_ref()?)))
    }

    fn of(&self, partition: i32) -> Option<&Owned> {
        self.0.get(usize::try_from(partition).ok()?)?.as_ref()
    }

    /// The partition is read from somewhere, under a new lease.
    pub fn assigned(&mut self, partition: i32) {
        *self.owned(partition) = Owned::default();
    }

    /// The partition is somebody else's.
    pub fn revoked(&mut self, partition: i32) {
        if let Some(owned) = usize::try_from(partition).ok().and_then(|index| self.0.get_mut(index)) {
            *owned = None;
        }
    }

    /// What was polled of the partition and not begun is not to be begun.
    pub fn end_lease(&self, partition: i32) {
        if let Some(owned) = self.of(partition) {
            owned.lease.end();
        }
    }

    /// A record was polled that is done, or needs nothing done.
    #[inline]
    pub fn passed(&mut self, partition: i32, offset: i64) {
        let owned = self.owned(partition);
        owned.next = Some(offset + 1);
        owned.highest = owned.next;
    }

    /// A message was polled, and is to be processed under the lease.
    pub fn taken(&mut self, partition: i32, offset: i64) -> Lease {
        let owned = self.owned(partition);
        owned.next = Some(offset + 1);
        owned.open.insert(offset);
        owned.lease.clone()
    }

    /// A fence was polled. True if nothing of its partition is open; otherwise that is told later.
    pub fn fence(&mut self, partition: i32, offset: i64) -> bool {
        let owned = self.owned(partition);
        owned.next = Some(offset + 1);
        let is_clear = owned.open.is_empty();
        owned.fence = (!is_clear).then_some(offset);
        is_clear
    }

    fn under_lease(&mut self, job: &Job) -> Option<&mut Owned> {
        let index = usize::try_from(job.partition).ok()?;
        self.0.get_mut(index)?.as_mut().filter(|owned| owned.lease.is(&job.lease))
    }

    /// The message is with a worker now.
    pub fn lent(&mut self, job: &Job) {
        if let Some(owned) = self.under_lease(job) {
            owned.lent += 1;
        }
    }

    /// The message came back from a worker, done or not.
    pub fn back(&mut self, job: &Job) {
        if let Some(owned) = self.under_lease(job) {
            owned.lent -= 1;
        }
    }

    /// The message is done. Gives the fence that this clears the way to. Done under a lease of the past, it changes
    /// nothing of what may be committed now.
    pub fn done(&mut self, job: &Job) -> Option<i64> {
        let owned = self.under_lease(job)?;
        owned.open.remove(&job.offset);
        owned.highest = owned.highest.max(Some(job.offset + 1));
        if owned.open.is_empty() { owned.fence.take() } else { None }
    }

    /// Whether workers are at messages of the partition.
    pub fn is_lent(&self, partition: i32) -> bool {
        self.of(partition).is_some_and(|owned| owned.lent > 0)
    }

    /// By partition, what is to be committed and was not sent before, or for a commit that must be `accepted`,
    /// was not accepted before.
    pub fn due(&self, mark: Mark, accepted: bool) -> impl Iterator<Item = (i32, i64)> {
        self.known().filter_map(move |(partition, owned)| {
            let before = if accepted { owned.accepted } else { owned.sent };
            owned.position(mark).filter(|position| Some(*position) > before).map(|position| (partition, position))
        })
    }

    /// A commit is on its way.
    pub fn sent(&mut self, partition: i32, position: i64) {
        let owned = self.owned(partition);
        owned.sent = owned.sent.max(Some(position));
    }

    /// The broker accepted a commit. True if that is news.
    pub fn accepted(&mut self, partition: i32, position: i64) {
        let index = usize::try_from(partition).ok();
        if let Some(Some(owned)) = index.and_then(|index| self.0.get_mut(index)) {
            owned.accepted = owned.accepted.max(Some(position));
        }
    }

    /// Forgets what is not done, and gives by partition the first of it, from where it is to be polled again.
    pub fn rewind(&mut self) -> Vec<(i32, i64)> {
        let owned = (0..).zip(&mut self.0).filter_map(|(partition, owned)| Some((partition, owned.as_mut()?)));
        owned
            .filter_map(|(partition, owned)| {
                let first = owned.open.first().copied()?;
                owned.open.clear();
                owned.fence = None;
                owned.next = Some(first);
                Some((partition, first))
            })
            .collect()
    }

    /// Partitions that are assigned.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.known().map(|(partition, _)| partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(hand: &mut Hand, offset: i64) -> Job {
        Job { partition: 1, offset, identity: None, lease: hand.taken(1, offset), raw: None }
    }

    fn due(hand: &Hand, mark: Mark) -> Vec<(i32, i64)> {
        hand.due(mark, true).collect()
    }

    #[test]
    fn what_may_be_committed_of_messages_that_end_out_of_order() {
        let mut hand = Hand::default();
        hand.assigned(1);
        assert_eq!(due(&hand, Mark::Polled), []);
        // Offset 6 holds a control record, which nobody is handed.
        let jobs: Vec<Job> = [4, 5, 7, 8].map(|offset| take(&mut hand, offset)).into();
        assert_eq!(due(&hand, Mark::Polled), [(1, 9)]);
        assert_eq!((due(&hand, Mark::Contiguous), due(&hand, Mark::Highest)), (vec![(1, 4)], vec![]));
        hand.done(&jobs[2]);
        assert_eq!((due(&hand, Mark::Contiguous), due(&hand, Mark::Highest)), (vec![(1, 4)], vec![(1, 8)]));
        hand.done(&jobs[0]);
        assert_eq!((due(&hand, Mark::Contiguous), due(&hand, Mark::Highest)), (vec![(1, 5)], vec![(1, 8)]));
        hand.done(&jobs[1]);
        assert_eq!(due(&hand, Mark::Contiguous), [(1, 8)]);
        hand.done(&jobs[3]);
        assert_eq!((due(&hand, Mark::Contiguous), due(&hand, Mark::Highest)), (vec![(1, 9)], vec![(1, 9)]));
    }

    #[test]
    fn a_commit_is_due_until_it_is_sent_or_accepted() {
        let mut hand = Hand::default();
        hand.passed(1, 4);
        hand.sent(1, 5);
        assert_eq!(hand.due(Mark::Contiguous, false).count(), 0);
        assert_eq!(due(&hand, Mark::Contiguous), [(1, 5)]);
        hand.accepted(1, 5);
        assert_eq!(due(&hand, Mark::Contiguous), []);
        hand.passed(1, 5);
        assert_eq!(due(&hand, Mark::Contiguous), [(1, 6)]);
    }

    #[test]
    fn a_fence_waits_for_all_before_it() {
        let mut hand = Hand::default();
        assert!(hand.fence(0, 0));
        let (one, two) = (take(&mut hand, 0), take(&mut hand, 1));
        assert!(!hand.fence(1, 2));
        assert_eq!(hand.done(&two), None);
        assert_eq!(due(&hand, Mark::Contiguous), [(0, 1), (1, 0)]);
        assert_eq!(hand.done(&one), Some(2));
        assert_eq!(due(&hand, Mark::Contiguous), [(0, 1), (1, 3)]);
        assert_eq!(hand.done(&one), None);
    }

    #[test]
    fn what_is_not_done_is_polled_again() {
        let mut hand = Hand::default();
        hand.assigned(1);
        hand.passed(0, 3);
        let done = take(&mut hand, 4);
        hand.done(&done);
        let undone = take(&mut hand, 6);
        assert!(!hand.fence(1, 7));
        assert_eq!(hand.rewind(), [(1, 6)]);
        assert_eq!(due(&hand, Mark::Polled), [(0, 4), (1, 6)]);
        assert_eq!(hand.done(&undone), None, "its fence is polled again too");
        assert_eq!(hand.rewind(), []);
    }

    #[test]
    fn what_is_done_under_an_old_lease_is_not_committed() {
        let mut hand = Hand::default();
        hand.assigned(1);
        let old = take(&mut hand, 7);
        hand.lent(&old);
        assert!(hand.is_lent(1));
        hand.end_lease(1);
        assert!(old.lease.has_ended());
        hand.revoked(1);
        hand.assigned(1);
        let new = take(&mut hand, 3);
        hand.back(&old);
        hand.done(&old);
        assert!(!new.lease.has_ended() && !hand.is_lent(1));
        assert_eq!((due(&hand, Mark::Contiguous), due(&hand, Mark::Highest)), (vec![(1, 3)], vec![]));
    }
}
