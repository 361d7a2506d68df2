//! `on_error: spool`: what failed goes to a file, and from there to the cluster when that takes messages
//! again. One message is tried after a pause; when it is delivered, the others follow in their order.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Messages, Recourse, Repeat, Report};
use crate::workload::child::ChildError;
use crate::workload::parking;

/// Pause before the cluster is tried again.
const PROBE_NS: u64 = 1_000_000_000;

/// A file, and what is under way of it.
pub(in super::super) struct Spool {
    file: parking::spool::Spool,
    /// By sequence, the attempt to be made next.
    waiting: BTreeMap<u64, u16>,
    /// Kept, as sending it again can't help.
    hopeless: usize,
    under_way: usize,
    /// The cluster has taken the last message that was tried.
    open: bool,
    next_probe_ns: u64,
}

impl Spool {
    /// Goes on with what an earlier process of this run left.
    pub(in super::super) fn open(path: &Path, run: u64) -> Result<Self, ChildError> {
        let (file, waiting) = parking::spool::Spool::open(path, run).map_err(ChildError::Spool)?;
        let waiting = waiting.into_values().map(|left| (left.sequence, left.attempt.saturating_add(1))).collect();
        Ok(Self { file, waiting, hopeless: 0, under_way: 0, open: false, next_probe_ns: 0 })
    }
}

impl Recourse for Spool {
    fn hear(&mut self, reports: &[Report], messages: &mut Messages, now_ns: u64) -> Result<(), ChildError> {
        for report in reports {
            let is_repeat = report.attempt > 0;
            self.under_way -= usize::from(is_repeat);
            match report.error {
                None if is_repeat => {
                    self.file.done(report.sequence);
                    self.open = true;
                }
                None => {}
                Some(_) => {
                    if !is_repeat {
                        self.file.put(messages.payload(report.sequence, report.attempt));
                    }
                    if report.is_hopeless() {
                        self.hopeless += 1;
                    } else {
                        self.waiting.insert(report.sequence, report.attempt.saturating_add(1));
                        self.open = false;
                        self.next_probe_ns = now_ns + PROBE_NS;
                    }
                }
            }
        }
        if self.is_settled() && self.hopeless == 0 {
            return self.file.clear().map_err(ChildError::Spool);
        }
        self.file.sync().map_err(ChildError::Spool)
    }

    fn next(&mut self, now_ns: u64) -> Result<Option<Repeat>, ChildError> {
        if !self.open && (self.under_way > 0 || now_ns < self.next_probe_ns) {
            return Ok(None);
        }
        let Some((sequence, attempt)) = self.waiting.pop_first() else { return Ok(None) };
        self.file.sent(sequence, attempt);
        self.file.write().map_err(ChildError::Spool)?;
        self.under_way += 1;
        Ok(Some(Repeat { sequence, attempt }))
    }

    fn put_back(&mut self, repeat: Repeat) {
        self.under_way -= 1;
        self.waiting.insert(repeat.sequence, repeat.attempt);
    }

    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::category::Told;

    use super::super::stub::{RUN, delivered, due, failed, messages};
    use super::*;

    const S: u64 = 1_000_000_000;

    fn held(path: &Path) -> Vec<(u64, u16)> {
        let held = parking::spool::held(path, RUN).unwrap();
        held.into_iter().map(|identity| (identity.sequence, identity.attempt)).collect()
    }

    #[test]
    fn one_is_tried_and_the_others_follow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        let mut spool = Spool::open(&path, RUN).unwrap();
        let mut messages = messages();
        assert!(spool.is_settled());
        let reports = [6, 5, 7].map(|sequence| failed(sequence, 0, Told::Indeterminate));
        spool.hear(&reports, &mut messages, 0).unwrap();
        assert_eq!(held(&path), [(5, 0), (6, 0), (7, 0)], "on disk at once");
        assert_eq!(due(&mut spool, S - 1), []);
        assert_eq!(due(&mut spool, S), [(5, 1)], "a trial");
        spool.hear(&[failed(5, 1, Told::Indeterminate)], &mut messages, 2 * S).unwrap();
        assert_eq!(due(&mut spool, 3 * S - 1), []);
        assert_eq!(due(&mut spool, 3 * S), [(5, 2)]);
        spool.hear(&[delivered(5, 2)], &mut messages, 4 * S).unwrap();
        assert_eq!(held(&path), [(6, 0), (7, 0)]);
        assert_eq!(due(&mut spool, 4 * S), [(6, 1), (7, 1)]);
        assert!(!spool.is_settled());
        spool.hear(&[delivered(6, 1), delivered(7, 1)], &mut messages, 5 * S).unwrap();
        assert!(spool.is_settled());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn the_next_process_goes_on_with_another_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        let mut spool = Spool::open(&path, RUN).unwrap();
        spool.hear(&[5, 6].map(|sequence| failed(sequence, 0, Told::Indeterminate)), &mut messages(), 0).unwrap();
        assert_eq!(due(&mut spool, S), [(5, 1)]);
        // Killed here: whether it was sent, nobody knows.
        std::mem::forget(spool);
        let mut spool = Spool::open(&path, RUN).unwrap();
        assert!(!spool.is_settled());
        assert_eq!(due(&mut spool, 0), [(5, 2)]);
    }

    #[test]
    fn what_is_refused_again_and_again_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        let mut spool = Spool::open(&path, RUN).unwrap();
        let mut messages = messages();
        spool.hear(&[failed(5, 0, Told::Failed)], &mut messages, 0).unwrap();
        for attempt in 1..3 {
            assert_eq!(due(&mut spool, S * u64::from(attempt)), [(5, attempt)]);
            spool.hear(&[failed(5, attempt, Told::Failed)], &mut messages, S * u64::from(attempt - 1)).unwrap();
        }
        assert!(spool.is_settled());
        spool.hear(&[failed(6, 0, Told::Indeterminate)], &mut messages, 3 * S).unwrap();
        assert_eq!(due(&mut spool, 9 * S), [(6, 1)]);
        spool.hear(&[delivered(6, 1)], &mut messages, 9 * S).unwrap();
        assert_eq!(held(&path), [(5, 2)], "what is kept stays when others are done");
    }
}
