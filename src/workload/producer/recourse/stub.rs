//! What tests of all behaviours need.

use super::*;
use lossproof_ledger::record::Identity;

pub(super) const RUN: u64 = 5;

pub(super) fn messages() -> Messages {
    Messages::new(Identity { run: RUN, producer: 1, incarnation: 0, partition: 0, sequence: 0, attempt: 0 }, 100, None)
}

pub(super) fn failed(sequence: u64, attempt: u16, told: Told) -> Report {
    Report { sequence, attempt, told, error: Some(RDKafkaErrorCode::MessageTimedOut) }
}

pub(super) fn delivered(sequence: u64, attempt: u16) -> Report {
    Report { sequence, attempt, told: Told::Acked, error: None }
}

/// All that is due, as (sequence, attempt).
pub(super) fn due(recourse: &mut dyn Recourse, now_ns: u64) -> Vec<(u64, u16)> {
    let next = || recourse.next(now_ns).unwrap().map(|repeat| (repeat.sequence, repeat.attempt));
    std::iter::from_fn(next).collect()
}
