//! What an application does about messages that failed: one behaviour a file. An application that drops
//! them has no recourse, and hears of nothing.

pub(super) mod dead_letters;
pub(super) mod outbox;
pub(super) mod retry;
pub(super) mod spool;
#[cfg(test)]
mod stub;

use std::sync::{Mutex, PoisonError};

use lossproof_ledger::category::Told;
use rdkafka::types::RDKafkaErrorCode;

use super::messages::Messages;
use crate::workload::child::ChildError;

/// What became of one attempt to send a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) sequence: u64,
    pub(super) attempt: u16,
    /// What that says of the message.
    pub(super) told: Told,
    /// None if it was delivered.
    pub(super) error: Option<RDKafkaErrorCode>,
}

impl Report {
    /// Whether sending it again can't help: it is not that something is away. Of a batch that is refused for
    /// its size every message is told so, though most may pass in another.
    fn is_hopeless(&self) -> bool {
        self.told == Told::Failed && self.attempt >= REFUSALS_MAX - 1
    }
}

/// How often a message is certainly refused until nobody sends it again.
const REFUSALS_MAX: u16 = 3;

/// A message that is to be sent, again or at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repeat {
    pub(super) sequence: u64,
    pub(super) attempt: u16,
}

/// Used by the thread of a stream, between its messages.
pub(super) trait Recourse: Send {
    /// Takes what was reported: failures, and deliveries of messages that it gave.
    fn hear(&mut self, reports: &[Report], messages: &mut Messages, now_ns: u64) -> Result<(), ChildError>;

    /// Looks after what goes on beside; called often.
    fn look(&mut self, _messages: &mut Messages) -> Result<(), ChildError> {
        Ok(())
    }

    /// The next message to be sent, if one is due. Its report is heard.
    fn next(&mut self, now_ns: u64) -> Result<Option<Repeat>, ChildError>;

    /// Takes back a message that it gave and that was not sent.
    fn put_back(&mut self, repeat: Repeat);

    /// Nothing is under way and nothing is to be sent.
    fn is_settled(&self) -> bool;

    /// A stream that awaits each report before the next message awaits this too.
    fn comes_first(&self) -> bool {
        false
    }

    /// It gives all messages there are; none comes to the stream by itself.
    fn gives_all(&self) -> bool {
        false
    }

    /// The stream has ended, and all its reports were heard: keeps what is to be kept.
    fn close(&mut self, _messages: &mut Messages) -> Result<(), ChildError> {
        Ok(())
    }
}

/// Reports on their way from librdkafka's callback to the recourse.
pub(super) struct News {
    heard: Mutex<Vec<Report>>,
    /// Deliveries of first attempts too.
    firsts: bool,
}

impl News {
    pub(super) const fn new(firsts: bool) -> Self {
        Self { heard: Mutex::new(Vec::new()), firsts }
    }

    pub(super) fn tell(&self, report: Report) {
        if report.error.is_some() || report.attempt > 0 || self.firsts {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    }

    /// Moves what was told to the end of `reports`.
    pub(super) fn take(&self, reports: &mut Vec<Report>) {
        reports.append(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How long an application waits before an attempt after the first: doubled each time, up to a limit.
fn pause_ns(attempt: u16) -> u64 {
    const FIRST_NS: u64 = 100_000_000;
    const MOST_NS: u64 = 5_000_000_000;
    (FIRST_NS << attempt.saturating_sub(1).min(10)).min(MOST_NS)
}
