//! A member whose messages take time: it takes them in batches, or hands them to workers, so that some are in hand
//! while it polls.

use std::time::{Duration, Instant};

use lossproof_ledger::clock::boottime_ns;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::POLL_MAX;
use super::context::{Context, Member};
use super::hand::Job;
use super::queue::Queue;
use super::results::{Completed, Results};
use super::service::{Outcome, Service};
use crate::experiment::{Commit, Handling, Workers};
use crate::workload::child::{ChildError, Control};

/// How long a batch is gathered.
const BATCH_WAIT: Duration = Duration::from_millis(500);
/// How long a poll waits while workers may have something done.
const WORKERS_LOOK: Duration = Duration::from_millis(2);

/// Polls and processes until the end is asked for.
pub(super) fn poll_until_end(
    member: &Member,
    handling: &Handling,
    (mut service, mut results): (Service, Option<Results>),
    control: &Control,
) -> Result<(), ChildError> {
    let taker = Taker { member, context: member.context(), queue: Queue::of(member), handling, control };
    let mut batch = Vec::new();
    while !control.is_ending() {
        taker.fill(&mut batch)?;
        if taker.handling.workers.is_some() {
            batch.drain(..).for_each(|job| taker.context.lend(job));
            if handling.commit == Commit::Before {
                taker.context.commit_batch(member);
            }
            taker.wait_for_room()?;
        } else {
            if handling.commit == Commit::Before {
                taker.context.commit_batch(member);
            }
            if let Some(results) = &mut results {
                taker.process_with_results(&mut batch, &mut service, results)?;
            }
            for job in batch.drain(..) {
                taker.process(job, &mut service)?;
            }
        }
        if handling.commit == Commit::Batch {
            taker.context.commit_batch(member);
        }
        taker.commit_if_due();
        taker.context.check()?;
    }
    Ok(())
}

/// Leaves the group. What the library still has is not taken any more, and what waits for workers is given up, but
/// for what a behaviour does at revocation.
pub(super) fn leave(member: &Member) -> Result<(), ChildError> {
    let context = member.context();
    let queue = Queue::of(member);
    member.close_queue()?;
    while !member.closed() {
        if let Some(error) = queue.serve(POLL_MAX) {
            context.transient(&error);
        }
        context.check()?;
    }
    context.check()
}

struct Taker<'a> {
    member: &'a Member,
    context: &'a Context,
    queue: Queue<'a, Context>,
    handling: &'a Handling,
    control: &'a Control,
}

impl Taker<'_> {
    /// Gathers a batch, which may stay short or empty when its time is over.
    fn fill(&self, batch: &mut Vec<Job>) -> Result<(), ChildError> {
        let until = Instant::now() + BATCH_WAIT;
        let wanted = usize::try_from(self.handling.batch).unwrap_or(usize::MAX);
        loop {
            self.context.take_back(Duration::ZERO);
            let wait = if self.context.lent() > 0 { WORKERS_LOOK } else { POLL_MAX };
            match self.queue.poll(wait) {
                Some(polled) => batch.extend(self.context.hand_out(polled)?),
                None => self.context.check()?,
            }
            if wanted == 1 || batch.len() >= wanted || self.control.is_ending() || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn process(&self, job: Job, service: &mut Service) -> Result<(), ChildError> {
        // Revoked while the batch was gathered.
        if self.handling.commit.hands_back() && job.lease.has_ended() {
            return Ok(());
        }
        let outcome = service.handle(&job);
        self.context.settle(job, outcome);
        self.commit_if_due();
        self.context.check()
    }

    /// Does a batch whose results are records: it is done when they are safe.
    fn process_with_results(
        &self,
        batch: &mut Vec<Job>,
        service: &mut Service,
        results: &mut Results,
    ) -> Result<(), ChildError> {
        // Revoked while the batch was gathered.
        batch.retain(|job| !job.lease.has_ended());
        let offsets = self.context.polled();
        if batch.is_empty() && offsets.count() == 0 {
            return Ok(());
        }
        results.begin()?;
        let mut done = Vec::new();
        let mut is_whole = true;
        for job in batch.drain(..) {
            let outcome = service.handle(&job);
            match outcome {
                Outcome::Done => results.put(&job),
                Outcome::Left => is_whole = false,
                Outcome::Repeat | Outcome::PassedOver | Outcome::DeadLetter { .. } => {}
            }
            done.push((job, outcome));
        }
        match if is_whole { results.complete(self.member, &offsets)? } else { results.abort()? } {
            Completed::Safe => {
                if self.handling.commit == Commit::Transactional {
                    self.context.committed_with_results(&offsets);
                }
                done.into_iter().for_each(|(job, outcome)| self.context.settle(job, outcome));
            }
            Completed::Undone => self.context.rewind(self.member)?,
            Completed::Over => {}
        }
        Ok(())
    }

    fn commit_if_due(&self) {
        self.context.commit_if_due(self.member, boottime_ns(), self.handling.commit_interval);
    }

    /// Waits until the workers' queue has room, or a batch is done.
    fn wait_for_room(&self) -> Result<(), ChildError> {
        let Some(Workers { threads, queue, keep_polling }) = &self.handling.workers else { return Ok(()) };
        let (most, go_on_at) = match self.handling.commit {
            Commit::Batch => (0, 0),
            _ => {
                let most = usize::from(*threads) + usize::try_from(*queue).unwrap_or(usize::MAX);
                // Pausing throws away what the library has fetched: not for every message.
                (most - 1, if *keep_polling { most / 2 } else { most - 1 })
            }
        };
        self.context.take_back(Duration::ZERO);
        if self.context.lent() <= most {
            return Ok(());
        }
        if *keep_polling {
            self.member.pause(&self.all())?;
        }
        while self.context.lent() > go_on_at && !self.control.is_ending() {
            if *keep_polling {
                // What was on its way when the partitions were paused.
                if let Some(polled) = self.queue.poll(WORKERS_LOOK)
                    && let Some(job) = self.context.hand_out(polled)?
                {
                    self.context.lend(job);
                }
                self.context.take_back(Duration::ZERO);
            } else {
                self.context.take_back(POLL_MAX);
            }
            self.commit_if_due();
            self.context.check()?;
        }
        if *keep_polling {
            self.member.resume(&self.all())?;
        }
        Ok(())
    }

    /// All partitions that this member owns.
    fn all(&self) -> TopicPartitionList {
        let mut all = TopicPartitionList::new();
        for partition in self.context.partitions() {
            all.add_partition(self.context.topic(), partition);
        }
        all
    }
}
