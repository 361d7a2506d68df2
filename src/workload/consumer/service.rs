//! What processing a message is: work that takes time, a service that may fail, and a sink that may hold the
//! message already. Each thread that processes has one of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;

use super::hand::Job;
use super::sink::{self, Sink};
use crate::experiment::{Failure, OnFailure, ServiceDown, Stragglers, Work};
use crate::workload::child::{ChildError, Control};

/// Between two tries of one message.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// What a [`Service`] is made of.
#[derive(Clone)]
pub(super) struct Plan {
    pub work: Work,
    pub failure: Option<Failure>,
    /// CLOCK_BOOTTIME from which an outage counts.
    pub started_ns: u64,
    /// The sink's file.
    pub sink: Option<PathBuf>,
    pub control: Arc<Control>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was processed.
    Done,
    /// The sink has it already, from another time.
    Repeat,
    /// It failed, and is passed over.
    PassedOver,
    /// It failed so often, and is to be put aside.
    DeadLetter { reason: &'static str, attempts: u32 },
    /// It was given up undone: somebody else will be handed it.
    Left,
}

pub(super) struct Service {
    plan: Plan,
    sink: Option<Sink>,
}

impl Service {
    pub fn open(plan: &Plan) -> Result<Self, ChildError> {
        let sink = plan.sink.as_deref().map(Sink::open).transpose()?;
        Ok(Self { plan: plan.clone(), sink })
    }

    /// Processes a message, however often that is tried.
    pub fn handle(&mut self, job: &Job) -> Outcome {
        let mut attempts = 0;
        loop {
            let time = time_for(&self.plan.work, job);
            if !time.is_zero() {
                thread::sleep(time);
            }
            attempts += 1;
            let retries = match (self.refusal(job), &self.plan.failure) {
                (Some(reason), Some(failure)) => match failure.then {
                    OnFailure::Commit => return Outcome::PassedOver,
                    OnFailure::Dlq if attempts >= failure.tries => return Outcome::DeadLetter { reason, attempts },
                    OnFailure::Dlq | OnFailure::Retry => true,
                },
                _ => false,
            };
            if !retries {
                match self.sink.as_mut().map(|sink| sink.put(job)) {
                    None | Some(Ok(sink::Put::New)) => return Outcome::Done,
                    Some(Ok(sink::Put::Repeat)) => return Outcome::Repeat,
                    // Locked by a process that is frozen, it may be.
                    Some(Err(error)) => tracing::warn!("the sink does not take a message: {error}"),
                }
            }
            if job.lease.has_ended() || self.plan.control.is_ending() {
                return Outcome::Left;
            }
            thread::sleep(TRY_PAUSE);
        }
    }

    /// Why a try of the message fails now, if it does.
    fn refusal(&self, job: &Job) -> Option<&'static str> {
        let failure = self.plan.failure.as_ref()?;
        let is_poison =
            failure.poison_every.zip(job.identity).is_some_and(|(every, who)| is_last_of(every, who.sequence));
        let since = boottime_ns().saturating_sub(self.plan.started_ns);
        if is_poison {
            Some("it can't be processed at all")
        } else if failure.service_down.as_ref().is_some_and(|down| is_down(down, Duration::from_nanos(since))) {
            Some("the service answered 500")
        } else {
            None
        }
    }
}

fn is_down(down: &ServiceDown, since: Duration) -> bool {
    (down.at..down.at + down.lasts).contains(&since)
}

/// The last of each so many, so that none is at the very beginning.
const fn is_last_of(every: u64, sequence: u64) -> bool {
    sequence % every == every - 1
}

/// How long a message takes.
fn time_for(work: &Work, job: &Job) -> Duration {
    match (&work.stragglers, job.identity) {
        (Some(Stragglers { every, work }), Some(identity)) if is_last_of(*every, identity.sequence) => *work,
        _ => work.each,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use lossproof_ledger::record::Identity;

    use super::super::hand::Lease;
    use super::*;

    pub(in super::super) fn job(sequence: u64) -> Job {
        let identity = Identity { run: 1, producer: 2, incarnation: 0, partition: 0, sequence, attempt: 0 };
        let offset = sequence.cast_signed() + 10;
        Job { partition: 0, offset, identity: Some(identity), lease: Lease::default(), raw: None }
    }

    pub(in super::super) fn plan(work: Work, failure: Option<Failure>) -> Plan {
        Plan { work, failure, started_ns: boottime_ns(), sink: None, control: Arc::default() }
    }

    fn failing(then: OnFailure, service_down: Option<ServiceDown>) -> Service {
        let failure = Failure { poison_every: Some(3), service_down, then, tries: 2 };
        Service::open(&plan(Work::default(), Some(failure))).unwrap()
    }

    #[test]
    fn every_so_many_messages_of_a_stream_take_longer() {
        let stragglers = Some(Stragglers { every: 3, work: Duration::from_secs(2) });
        let work = Work { each: Duration::from_millis(5), stragglers };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|n| time_for(&work, &job(n)).as_millis()), [5, 5, 2000, 5, 5, 2000]);
        let foreign = Job { identity: None, ..job(2) };
        assert_eq!(time_for(&work, &foreign).as_millis(), 5, "a stranger's message is of no stream");
    }

    #[test]
    fn poison_is_passed_over_or_put_aside() {
        let mut service = failing(OnFailure::Commit, None);
        assert_eq!([0, 1, 2].map(|n| service.handle(&job(n))), [Outcome::Done, Outcome::Done, Outcome::PassedOver]);
        let mut service = failing(OnFailure::Dlq, None);
        let reason = "it can't be processed at all";
        assert_eq!(service.handle(&job(5)), Outcome::DeadLetter { reason, attempts: 2 });
    }

    #[test]
    fn a_retry_in_place_ends_with_the_lease_or_the_client() {
        let mut service = failing(OnFailure::Retry, None);
        let poison = job(2);
        poison.lease.end();
        assert_eq!(service.handle(&poison), Outcome::Left);
        service.plan.control.end_within(Duration::ZERO);
        assert_eq!(service.handle(&job(2)), Outcome::Left);
        assert_eq!(service.handle(&job(1)), Outcome::Done);
    }

    #[test]
    fn an_outage_ends() {
        let mut service =
            failing(OnFailure::Retry, Some(ServiceDown { at: Duration::ZERO, lasts: Duration::from_millis(300) }));
        let begun_ns = service.plan.started_ns;
        assert_eq!(service.handle(&job(0)), Outcome::Done);
        assert!(boottime_ns() - begun_ns >= 300_000_000);
        let at = Duration::from_secs(60);
        let mut service = failing(OnFailure::Commit, Some(ServiceDown { at, lasts: at }));
        assert_eq!(service.handle(&job(0)), Outcome::Done);
    }
}
