//! What must be found, by looking at whole lists where reconciliation keeps a few bits.

use super::plan::Fate;
use super::played::{Entry, Planned, Played, State};
use crate::category::{Group, InLog, Parked, Told, categorise};
use crate::counts::Counts;
use crate::record::{Identity, TxnOutcome};

impl Played {
    /// Is a message in the log?
    pub(super) fn found(&self, message: &Planned) -> InLog {
        let identity = &message.identity;
        if !self.copies(identity).is_empty() {
            return InLog::Present;
        }
        if !self.complete {
            return InLog::Unreadable;
        }
        let written = self.written_at(identity);
        match written.map(|offset| self.log[offset].state) {
            Some(State::Expired) if written >= Some(usize::from(self.plan.tail_missed)) => return InLog::Expired,
            Some(State::Compacted) if written >= Some(usize::from(self.plan.tail_missed)) => {
                return InLog::Compacted;
            }
            _ => {}
        }
        if self.log_start > 0 && self.plan.tail_missed || self.may_be_compacted(message) {
            InLog::Unreadable
        } else {
            InLog::Absent
        }
    }

    /// Whether compaction may have removed a message that nobody saw.
    pub(super) fn may_be_compacted(&self, message: &Planned) -> bool {
        let Some(keys) = self.plan.keys else { return false };
        let of_key = |entry: &&Entry| {
            entry.fate.is_some()
                && entry.state == State::Visible
                && entry.identity.is_some_and(|i| i.sequence % keys == message.identity.sequence % keys)
        };
        let visible = |offset: &usize| !self.plan.transactional || *offset < self.open_from;
        let latest = self
            .in_log()
            .filter(|(offset, entry)| visible(offset) && of_key(entry))
            .map(|(offset, _)| offset)
            .next_back();
        let Some(latest) = latest else { return false };
        match message.fate {
            Fate::Truncated => false,
            // Its copy is still there for all to see, and was for the tail reader.
            Fate::Aborted(_) => {
                let offset = self.written_at(&message.identity).unwrap();
                self.plan.tail_missed && offset == 0
            }
            Fate::LostInCluster if message.told(&self.plan).is_some() => {
                // It was acknowledged at that offset.
                let offset = message.number;
                latest > offset && self.in_log().all(|(other, _)| other != offset)
            }
            _ => true,
        }
    }

    pub(super) fn expected(&self) -> Counts {
        let mut counts = Counts::default();
        let transactions = self.transactions();
        for message in &self.messages {
            let Planned { identity, fate, .. } = message;
            let copies = self.copies(identity).len() as u64;
            counts.records_in_log += copies;
            counts.duplicate_records += copies.saturating_sub(1);
            if *fate != Fate::Resent {
                counts.duplicates += copies.saturating_sub(1);
            }
            counts.redelivered += u64::from(*fate == Fate::Redelivered);
            counts.doubled += self.processings(message).saturating_sub(1);

            let told = match (message.told(&self.plan), message.outcome()) {
                (None, _) => Told::Indeterminate,
                (Some(told), _) if !self.plan.transactional => told,
                (Some(told), TxnOutcome::Committed) => told,
                (Some(_), TxnOutcome::Aborted) => Told::Failed,
                (Some(_), TxnOutcome::Unknown) => Told::Indeterminate,
            };
            let in_log = self.found(message);
            let group = match fate {
                Fate::Clean
                | Fate::Duplicated(_)
                | Fate::Resent
                | Fate::Redelivered
                | Fate::Landed(_)
                | Fate::Vanished(_)
                | Fate::DeadLettered
                | Fate::Aborted(true)
                | Fate::Expired(true)
                | Fate::Parked(_, true) => Group::Processed,
                Fate::Lagging => Group::Behind,
                Fate::Hidden => Group::BehindOpenTxn,
                _ => Group::Past,
            };
            let parked = if matches!(fate, Fate::Parked(..)) { Parked::Held } else { Parked::No };
            let category = categorise(told, in_log, group, parked);
            let present = in_log == InLog::Present;
            counts.offered += 1;
            counts.add_told(told, 1);
            counts.add_category(category, told, 1);
            counts.in_log += u64::from(present);
            counts.failed_but_landed += u64::from(present && told == Told::Failed);
            counts.recovered_and_landed += u64::from(present && parked == Parked::Held);
            counts.dead_lettered += u64::from(*fate == Fate::DeadLettered);
            if *fate == Fate::LostInCluster && message.told(&self.plan).is_some() {
                let there = self.in_log().any(|(offset, _)| offset == message.number);
                // The fence conflicts as well.
                let fence = self.complete && message.number == self.log.len();
                counts.offset_conflicts += u64::from(there || fence);
            }
        }
        for (offset, entry) in self.log.iter().enumerate() {
            let in_window = (self.log_start..self.read).contains(&offset);
            if entry.fate.is_none() {
                match entry.identity {
                    Some(_) => counts.phantom += u64::from(in_window),
                    None => counts.corrupt += u64::from(in_window),
                }
                counts.records_in_log += u64::from(in_window);
                counts.processed_foreign += u64::from(offset < self.position);
            }
            if entry.state == State::Aborted && in_window && self.complete {
                counts.aborted_records += 1;
                counts.aborted_reads += u64::from(entry.fate == Some(Fate::Aborted(true)));
            }
        }
        counts.torn_txn = transactions.iter().filter(|txn| self.is_torn(txn)).count() as u64;
        counts.reordered = self.reordered();
        counts.skips = self.skips();
        counts
    }

    /// How often a message was processed.
    fn processings(&self, message: &Planned) -> u64 {
        let is = |entry: &Entry| entry.identity.is_some_and(|i| Identity { attempt: 0, ..i } == message.identity);
        let read =
            self.log[..self.position].iter().filter(|entry| is(entry) && !Self::is_skipped(entry)).count() as u64;
        match message.fate {
            Fate::Redelivered => 2 * read,
            Fate::Vanished(_) => read + 1,
            _ => read,
        }
    }

    /// The acknowledged messages of each transaction.
    pub(super) fn transactions(&self) -> Vec<Vec<&Planned>> {
        let mut transactions: Vec<Vec<&Planned>> = Vec::new();
        let mut last = None;
        for message in self.messages.iter().filter(|m| self.plan.transactional && m.number < self.plan.journalled) {
            let txn = (message.identity.producer, message.identity.incarnation, message.outcome());
            if last.replace(txn) != Some(txn) {
                transactions.push(Vec::new());
            }
            if message.told(&self.plan) == Some(Told::Acked)
                && let Some(txn) = transactions.last_mut()
            {
                txn.push(message);
            }
        }
        transactions
    }

    pub(super) fn is_torn(&self, txn: &[&Planned]) -> bool {
        let is_visible =
            |message: &Planned| self.copies(&message.identity).iter().any(|(_, entry)| entry.state == State::Visible);
        self.plan.keys.is_none()
            && txn.iter().any(|message| is_visible(message))
            && txn.iter().any(|message| self.found(message) == InLog::Absent)
    }

    /// First copies that have a later sequence of the same producer process before them.
    pub(super) fn reordered(&self) -> u64 {
        let first_sends: Vec<Identity> = self
            .in_log()
            .filter(|(_, entry)| entry.fate.is_some() && entry.state != State::Aborted)
            .filter_map(|(_, entry)| entry.identity)
            .filter(|identity| identity.attempt == 0)
            .collect();
        let overtaken = |(n, identity): &(usize, &Identity)| {
            let before = &first_sends[..*n];
            !before.contains(identity)
                && before.iter().any(|other| {
                    (other.producer, other.incarnation) == (identity.producer, identity.incarnation)
                        && other.sequence > identity.sequence
                })
        };
        first_sends.iter().enumerate().filter(overtaken).count() as u64
    }

    /// Visible records that were passed over, with a polled one on either side and, between those, no
    /// reassignment: polling a redelivered record ends with one before its second time.
    pub(super) fn skips(&self) -> u64 {
        let polled = |offset: usize| !Self::is_skipped(&self.log[offset]);
        self.in_log()
            .filter(|(offset, entry)| {
                *offset < self.position
                    && !polled(*offset)
                    && entry.state == State::Visible
                    && (0..*offset).any(polled)
                    && (*offset..self.position).any(polled)
            })
            .count() as u64
    }
}
