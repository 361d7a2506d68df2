//! What processing a message takes: time. The side effect itself is the journal's entry, which the polling thread
//! makes once this is over.

use std::thread;
use std::time::Duration;

use super::hand::Job;
use crate::experiment::{Stragglers, Work};

/// How long a message takes.
pub(super) fn time_for(work: &Work, job: &Job) -> Duration {
    match (&work.stragglers, job.identity) {
        // The last of each so many, so that none is at the very beginning.
        (Some(Stragglers { every, work }), Some(identity)) if identity.sequence % every == every - 1 => *work,
        _ => work.each,
    }
}

/// Takes that time.
pub(super) fn labour(work: &Work, job: &Job) {
    let time = time_for(work, job);
    if !time.is_zero() {
        thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::record::Identity;

    use super::*;

    #[test]
    fn every_so_many_messages_of_a_stream_take_longer() {
        let stragglers = Some(Stragglers { every: 3, work: Duration::from_secs(2) });
        let work = Work { each: Duration::from_millis(5), stragglers };
        let time = |identity| time_for(&work, &Job { partition: 0, offset: 2, identity, lease: Default::default() });
        let of = |sequence| {
            let identity = Identity { run: 1, producer: 0, incarnation: 0, partition: 0, sequence, attempt: 0 };
            time(Some(identity)).as_millis()
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(of), [5, 5, 2000, 5, 5, 2000]);
        assert_eq!(time(None).as_millis(), 5, "a stranger's message is of no stream");
    }
}
