//! `on_error: retry`: the application sends it again, as another message, after a pause.
//!
//! Kafka knows nothing of that: an attempt that was given up and yet landed is in the log beside the next.

use std::collections::BTreeSet;

use super::{Messages, Recourse, Repeat, Report, pause_ns};
use crate::workload::child::ChildError;

/// What waits to be sent again, in memory: it dies with the process.
pub(in super::super) struct Retry {
    attempts_max: u16,
    /// By the moment when each is due: together, in the order of their sequences.
    waiting: BTreeSet<(u64, Repeat)>,
    under_way: usize,
}

impl Retry {
    /// So many attempts in all.
    pub(in super::super) const fn new(attempts_max: u16) -> Self {
        Self { attempts_max, waiting: BTreeSet::new(), under_way: 0 }
    }
}

impl Recourse for Retry {
    fn hear(&mut self, reports: &[Report], _: &mut Messages, now_ns: u64) -> Result<(), ChildError> {
        for report in reports {
            self.under_way -= usize::from(report.attempt > 0);
            let attempt = report.attempt + 1;
            if report.error.is_some() && attempt < self.attempts_max {
                let repeat = Repeat { sequence: report.sequence, attempt };
                self.waiting.insert((now_ns + pause_ns(attempt), repeat));
            }
        }
        Ok(())
    }

    fn next(&mut self, now_ns: u64) -> Result<Option<Repeat>, ChildError> {
        let is_due = self.waiting.first().is_some_and(|(due_ns, _)| *due_ns <= now_ns);
        let next = if is_due { self.waiting.pop_first() } else { None };
        self.under_way += usize::from(next.is_some());
        Ok(next.map(|(_, repeat)| repeat))
    }

    fn put_back(&mut self, repeat: Repeat) {
        self.under_way -= 1;
        self.waiting.insert((0, repeat));
    }

    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    fn comes_first(&self) -> bool {
        !self.is_settled()
    }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::category::Told;

    use super::super::stub::{delivered, due, failed, messages};
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_failed_is_sent_again_after_longer_and_longer_pauses() {
        let mut retry = Retry::new(3);
        let mut messages = messages();
        retry.hear(&[failed(5, 0, Told::Indeterminate), failed(4, 0, Told::Failed)], &mut messages, 0).unwrap();
        assert_eq!(due(&mut retry, 99 * MS), []);
        assert_eq!(due(&mut retry, 100 * MS), [(4, 1), (5, 1)], "in the order of sequences");
        assert!(!retry.is_settled() && retry.comes_first(), "under way");
        retry.hear(&[delivered(4, 1), failed(5, 1, Told::Indeterminate)], &mut messages, 1000 * MS).unwrap();
        assert_eq!(due(&mut retry, 1199 * MS), []);
        assert_eq!(due(&mut retry, 1200 * MS), [(5, 2)]);
        retry.hear(&[failed(5, 2, Told::Indeterminate)], &mut messages, 2000 * MS).unwrap();
        assert_eq!(due(&mut retry, u64::MAX), [], "three in all");
        assert!(retry.is_settled() && !retry.comes_first());
    }

    #[test]
    fn what_was_not_sent_is_the_same_attempt() {
        let mut retry = Retry::new(3);
        retry.hear(&[failed(5, 0, Told::Unsent)], &mut messages(), 0).unwrap();
        let repeat = retry.next(100 * MS).unwrap().unwrap();
        retry.put_back(repeat);
        assert_eq!(due(&mut retry, 100 * MS), [(5, 1)]);
    }

    #[test]
    fn pauses_have_a_limit() {
        let pauses: Vec<_> = [1, 2, 3, 6, 7, 900].iter().map(|attempt| pause_ns(*attempt) / MS).collect();
        assert_eq!(pauses, [100, 200, 400, 3200, 5000, 5000]);
    }
}
