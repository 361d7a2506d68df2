//! Worker threads: they take messages from a queue in memory, and give them back to the polling thread, which alone
//! journals and commits. A kill leaves no trace of what is in the queue.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::hand::Job;
use super::service::{Outcome, Plan, Service};
use crate::workload::child::ChildError;

/// A message that came back from a worker.
pub(super) struct Back {
    pub job: Job,
    pub outcome: Outcome,
}

/// The threads, as the polling thread sees them. They end with the process.
pub(super) struct Pool {
    jobs: Arc<Jobs>,
    back: Receiver<Back>,
    /// Messages that did not come back yet.
    lent: usize,
}

/// The queue in memory.
#[derive(Default)]
struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    more: Condvar,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Job {
        let mut waiting = self.lock();
        loop {
            match waiting.pop_front() {
                Some(job) => return job,
                None => waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Pool {
    pub fn start(threads: u16, plan: &Plan) -> Result<Self, ChildError> {
        let jobs = Arc::new(Jobs::default());
        let (done, back) = channel();
        for number in 0..threads {
            let (jobs, service, done) = (Arc::clone(&jobs), Service::open(plan)?, done.clone());
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work_for_ever(&jobs, service, &done))
                .map_err(ChildError::Thread)?;
        }
        Ok(Self { jobs, back, lent: 0 })
    }

    /// Puts a message into the queue, however long that is.
    pub fn lend(&mut self, job: Job) {
        self.lent += 1;
        self.jobs.lock().push_back(job);
        self.jobs.more.notify_one();
    }

    /// The next message that comes back in time.
    pub fn next_back(&mut self, wait: Duration) -> Option<Back> {
        let back = if wait.is_zero() { self.back.try_recv().ok() } else { self.back.recv_timeout(wait).ok() }?;
        self.lent -= 1;
        Some(back)
    }

    /// Messages with workers or in their queue.
    pub const fn lent(&self) -> usize {
        self.lent
    }
}

fn work_for_ever(jobs: &Jobs, mut service: Service, done: &Sender<Back>) {
    loop {
        let job = jobs.take();
        let outcome = if job.lease.has_ended() { Outcome::Left } else { service.handle(&job) };
        if done.send(Back { job, outcome }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::Lease;
    use super::super::service::tests::{job, plan};
    use super::*;
    use crate::experiment::Work;

    #[test]
    fn what_was_lent_comes_back() {
        let work = Work { each: Duration::from_millis(1), stragglers: None };
        let mut pool = Pool::start(3, &plan(work, None)).unwrap();
        let (lease, ended) = (Lease::default(), Lease::default());
        ended.end();
        for n in 0..20 {
            let lease = if n < 15 { &lease } else { &ended };
            pool.lend(Job { lease: lease.clone(), ..job(n) });
        }
        let mut back: Vec<(i64, bool)> = (0..20)
            .map(|_| pool.next_back(Duration::from_secs(60)).unwrap())
            .map(|back| (back.job.offset, back.outcome == Outcome::Done))
            .collect();
        back.sort_unstable();
        assert_eq!(back, (0..20).map(|n| (n + 10, n < 15)).collect::<Vec<_>>());
        assert_eq!(pool.lent(), 0);
        assert!(pool.next_back(Duration::ZERO).is_none());
    }
}
