//! `on_error: outbox`: a relay. The application commits each message to its database, in one transaction
//! with the row of its business that the message tells of (`business.rs`); the relay reads messages in
//! order, sends them, and marks them once they are delivered. What a killed process had sent and not
//! marked is sent again by the next one, as another attempt: whoever reads must know messages by their id.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Messages, Recourse, Repeat, Report, pause_ns};
use crate::workload::child::ChildError;
use crate::workload::parking::database::Database;

/// Messages that are read from the database at once.
const BATCH: usize = 500;

/// What the application has committed, as its relay sees it.
#[derive(Debug, Default)]
pub(in super::super) struct Committed {
    /// All sequences below are rows.
    pub(in super::super) next: AtomicU64,
    /// There will be no more.
    pub(in super::super) ended: AtomicBool,
}

/// The relay's view of the database.
pub(in super::super) struct Outbox {
    database: Database,
    committed: Arc<Committed>,
    /// All sequences below were read, or are delivered.
    read: u64,
    /// Read, and claimed for an attempt.
    ready: VecDeque<Repeat>,
    /// Failed, by the moment when each is due.
    again: BTreeSet<(u64, u64)>,
    under_way: usize,
}

impl Outbox {
    pub(in super::super) const fn new(database: Database, committed: Arc<Committed>) -> Self {
        Self { database, committed, read: 0, ready: VecDeque::new(), again: BTreeSet::new(), under_way: 0 }
    }

    fn claim(&mut self, from: u64, below: u64) -> Result<usize, ChildError> {
        let claimed = self.database.claim(from, below, BATCH)?;
        let repeats = claimed.iter().map(|(sequence, attempt)| Repeat { sequence: *sequence, attempt: *attempt });
        self.ready.extend(repeats);
        Ok(claimed.len())
    }
}

impl Recourse for Outbox {
    fn hear(&mut self, reports: &[Report], _: &mut Messages, now_ns: u64) -> Result<(), ChildError> {
        let mut delivered = Vec::new();
        for report in reports {
            self.under_way -= 1;
            if report.error.is_none() {
                delivered.push(report.sequence);
            } else if !report.is_hopeless() {
                self.again.insert((now_ns + pause_ns(report.attempt + 1), report.sequence));
            }
        }
        if !delivered.is_empty() {
            self.database.sent(&delivered)?;
        }
        Ok(())
    }

    fn next(&mut self, now_ns: u64) -> Result<Option<Repeat>, ChildError> {
        if self.ready.is_empty() {
            let due: Vec<u64> =
                self.again.iter().take_while(|(due_ns, _)| *due_ns <= now_ns).map(|(_, sequence)| *sequence).collect();
            self.again.retain(|(due_ns, _)| *due_ns > now_ns);
            for sequence in due {
                self.claim(sequence, sequence + 1)?;
            }
        }
        let committed = self.committed.next.load(Ordering::Acquire);
        if self.ready.is_empty() && self.read < committed {
            let claimed = self.claim(self.read, committed)?;
            let last = self.ready.back().filter(|_| claimed == BATCH);
            self.read = last.map_or(committed, |last| last.sequence + 1);
        }
        let next = self.ready.pop_front();
        self.under_way += usize::from(next.is_some());
        Ok(next)
    }

    fn put_back(&mut self, repeat: Repeat) {
        self.under_way -= 1;
        self.ready.push_front(repeat);
    }

    fn is_settled(&self) -> bool {
        let nothing_waits = self.ready.is_empty() && self.again.is_empty() && self.under_way == 0;
        nothing_waits
            && self.committed.ended.load(Ordering::Acquire)
            && self.read == self.committed.next.load(Ordering::Acquire)
    }

    fn gives_all(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lossproof_ledger::category::Told;

    use super::super::stub::{RUN, delivered, due, failed, messages};
    use super::*;
    use crate::workload::parking::database;

    const S: u64 = 1_000_000_000;

    fn outbox(path: &Path, committed: &Arc<Committed>) -> Outbox {
        Outbox::new(Database::open(path).unwrap(), Arc::clone(committed))
    }

    /// An application that commits messages.
    fn commit(path: &Path, committed: &Committed, sequences: std::ops::Range<u64>) {
        let mut database = Database::open(path).unwrap();
        let mut messages = messages();
        for sequence in sequences {
            database.business_and_message(sequence, messages.payload(sequence, 0)).unwrap();
            committed.next.store(sequence + 1, Ordering::Release);
        }
    }

    fn held(path: &Path) -> Vec<u64> {
        database::held(path, RUN).unwrap().into_iter().map(|identity| identity.sequence).collect()
    }

    #[test]
    fn messages_are_relayed_in_order_and_marked_when_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        let committed = Arc::new(Committed::default());
        let mut relay = outbox(&path, &committed);
        assert_eq!(due(&mut relay, 0), []);
        commit(&path, &committed, 0..3);
        assert_eq!(due(&mut relay, 0), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(due(&mut relay, 0), []);
        let reports = [delivered(0, 0), failed(1, 0, Told::Indeterminate), delivered(2, 0)];
        relay.hear(&reports, &mut messages(), S).unwrap();
        assert_eq!(held(&path), [1]);
        committed.ended.store(true, Ordering::Release);
        assert!(!relay.is_settled());
        assert_eq!(due(&mut relay, S), []);
        assert_eq!(due(&mut relay, 2 * S), [(1, 1)]);
        relay.hear(&[delivered(1, 1)], &mut messages(), 3 * S).unwrap();
        assert!(relay.is_settled());
        assert_eq!(held(&path), [0; 0]);
    }

    #[test]
    fn the_next_process_relays_what_was_not_marked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        let committed = Arc::new(Committed::default());
        let mut relay = outbox(&path, &committed);
        commit(&path, &committed, 0..3);
        assert_eq!(relay.next(0).unwrap(), Some(Repeat { sequence: 0, attempt: 0 }));
        // Killed with all three claimed, one sent, and none marked.
        std::mem::forget(relay);
        let mut relay = outbox(&path, &committed);
        assert_eq!(due(&mut relay, 0), [(0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn more_than_a_batch_is_read_in_turns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        let committed = Arc::new(Committed::default());
        let most = BATCH as u64 + 10;
        let mut database = Database::open(&path).unwrap();
        let mut messages = messages();
        for sequence in 0..most {
            database.business_and_message(sequence, messages.payload(sequence, 0)).unwrap();
        }
        committed.next.store(most, Ordering::Release);
        let mut relay = outbox(&path, &committed);
        let all: Vec<_> = (0..most).map(|sequence| (sequence, 0)).collect();
        assert_eq!(due(&mut relay, 0), all);
    }
}
