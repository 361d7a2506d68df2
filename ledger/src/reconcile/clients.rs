//! Second pass: what producers were told, and what the group's members did.

use std::collections::BTreeMap;

use super::offsets::{NOTHING, PHANTOM};
use super::state::{Bits, State};
use super::{Error, JournalEnd, Process, Reconciliation, StreamId, tally};
use crate::category::Told;
use crate::record::{Identity, Record};

/// Second pass: the clients' journals.
#[derive(Debug)]
pub struct ClientPass {
    state: State,
    /// Last offset that a process polled of a partition since it was assigned.
    polled: BTreeMap<(Process, i32), i64>,
    /// Journals that ended at a known point.
    whole_journals: usize,
}

impl ClientPass {
    pub(super) const fn new(state: State) -> Self {
        Self { state, polled: BTreeMap::new(), whole_journals: 0 }
    }

    /// Takes an entry of a producer's journal.
    ///
    /// # Errors
    /// [`Error::ToldOfUnoffered`], and [`Error::Misplaced`] for an entry that no producer writes.
    pub fn producer_record(&mut self, producer: u16, record: &Record) -> Result<(), Error> {
        let Record::Told { partition, sequence, told, offset, .. } = *record else {
            return Err(misplaced("a producer's journal", record));
        };
        let stream = StreamId { producer, partition };
        let Some((_, slot)) = self.state.slot(stream, sequence) else {
            return Err(Error::ToldOfUnoffered { stream, sequence, offered: self.state.offered(stream) });
        };
        self.state.bits[slot as usize].tell(told);

        // Nothing at the offset is no conflict: then the record was lost, or the audit did not
        // come to it.
        if let (Told::Acked, Some(offset)) = (told, offset) {
            let p = self.state.partition(partition);
            let there = p.offsets.get(offset).audited;
            if there != NOTHING && there != slot {
                p.counts.offset_conflicts += 1;
                self.state.bits[slot as usize].set(Bits::CONFLICT);
            }
        }
        Ok(())
    }

    /// Takes an entry of a member's journal, in that journal's order.
    ///
    /// # Errors
    /// [`Error::Misplaced`] for an entry that no member writes.
    pub fn consumer_record(&mut self, process: Process, record: &Record) -> Result<(), Error> {
        match *record {
            Record::Assigned { partition, .. } | Record::Revoked { partition, .. } => {
                self.polled.remove(&(process, partition));
            }
            Record::Polled { partition, offset, .. } => {
                if let Some(last) = self.polled.insert((process, partition), offset) {
                    let p = self.state.partition(partition);
                    p.counts.skips += p.offsets.records_between(last, offset);
                }
            }
            Record::Processed { partition, offset, identity, .. } => {
                self.processed(partition, offset, identity.as_ref())
            }
            Record::Committed { partition, offset, ok: true, at_ns } => {
                // The latest, not the highest: a group that was set back commits lower offsets
                // without having lost a commit.
                let last = &mut self.state.partition(partition).last_commit;
                *last = (*last).max(Some((at_ns, offset)));
            }
            Record::Committed { ok: false, .. } | Record::FenceSeen { .. } => {}
            _ => {
                return Err(misplaced("a group member's journal", record));
            }
        }
        Ok(())
    }

    fn processed(&mut self, partition: i32, offset: i64, identity: Option<&Identity>) {
        let slot = identity.and_then(|message| self.state.slot_of(message, partition)).map(|(_, slot)| slot);
        let p = self.state.partition(partition);
        let cell = p.offsets.get_mut(offset);
        // Another message at the same offset is another record: the log was truncated between.
        let again = cell.processed == slot.unwrap_or(PHANTOM);
        cell.processed = slot.unwrap_or(PHANTOM);
        p.counts.redelivered += u64::from(again);
        p.counts.processed_foreign += u64::from(slot.is_none() && !again);
        if let Some(slot) = slot {
            let bits = &mut self.state.bits[slot as usize];
            bits.set(Bits::PROCESSED);
            if again {
                bits.set(Bits::REDELIVERED);
            }
        }
    }

    /// Notes how a client's journal ended. A journal of which nothing is said here is not complete.
    pub const fn journal_ended(&mut self, end: JournalEnd) {
        if matches!(end, JournalEnd::Sealed | JournalEnd::Torn) {
            self.whole_journals += 1;
        }
    }

    /// Gives every sequence its category, and checks the sums.
    ///
    /// # Errors
    /// [`Error::Imbalance`].
    pub fn finish(self) -> Result<Reconciliation, Error> {
        let journals_complete = self.whole_journals == self.state.journals;
        Ok(tally::reconcile(self.state, journals_complete)?)
    }
}

fn misplaced(journal: &'static str, record: &Record) -> Error {
    Error::Misplaced { journal, entry: format!("{record:?}") }
}
