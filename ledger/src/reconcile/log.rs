//! First pass: what the audit read.

use super::offsets::{CORRUPT, Cell, FENCE, NOTHING, PHANTOM};
use super::state::{Bits, State};
use super::{ClientPass, Error, Facts, Stray, StrayKind};
use crate::record::{Content, Identity, Record};

/// First pass: the audit's journal.
#[derive(Debug)]
pub struct LogPass {
    state: State,
}

impl LogPass {
    /// Begins with what the events say.
    ///
    /// # Errors
    /// [`Error::NamedTwice`] and [`Error::TooMany`].
    pub fn new(facts: &Facts) -> Result<Self, Error> {
        Ok(Self { state: State::new(facts)? })
    }

    /// Takes an entry of the audit's journal, in the journal's order. Entries of attempts that do
    /// not count are passed over.
    ///
    /// # Errors
    /// [`Error::Misplaced`] for an entry that no audit writes.
    pub fn record(&mut self, record: &Record) -> Result<(), Error> {
        let Record::Audited { partition, offset, audit, content, .. } = *record else {
            return Err(Error::Misplaced { journal: "the audit's journal", entry: format!("{record:?}") });
        };
        let state = &mut self.state;
        let found = match content {
            Content::Message(message) => state.slot_of(&message, partition).map(|at| (at, message)),
            Content::Fence | Content::Corrupt => None,
        };
        let (audited, attempt) = match (content, found) {
            (Content::Fence, _) => (FENCE, 0),
            (Content::Corrupt, _) => (CORRUPT, 0),
            (Content::Message(_), Some(((_, slot), message))) => (slot, message.attempt),
            (Content::Message(_), None) => (PHANTOM, 0),
        };

        let p = state.partition(partition);
        if p.audit.is_none_or(|counted| counted.attempt != audit) {
            return Ok(());
        }
        let cell = p.offsets.get_mut(offset);
        if cell.audited != NOTHING {
            // Read twice. The same content says nothing new; another one says that the log changed
            // under the audit, so that it proves nothing about what it did not find.
            p.contradicted |= (cell.audited, cell.attempt) != (audited, attempt);
            return Ok(());
        }
        *cell = Cell { audited, attempt, ..*cell };
        if audited == FENCE {
            return Ok(());
        }

        p.counts.records_in_log += 1;
        let stray = match (audited, found) {
            (_, Some(((stream, slot), message))) => {
                let ahead = p.position.is_none_or(|position| offset >= position.offset);
                self.copy(stream, slot, &message, ahead);
                return Ok(());
            }
            (CORRUPT, None) => {
                p.counts.corrupt += 1;
                StrayKind::Corrupt
            }
            (_, None) => {
                p.counts.phantom += 1;
                StrayKind::Phantom
            }
        };
        state.strays.push(Stray { partition, offset, kind: stray });
        Ok(())
    }

    /// A copy of an offered sequence.
    fn copy(&mut self, stream: usize, slot: u32, message: &Identity, ahead: bool) {
        let state = &mut self.state;
        let bits = &mut state.bits[slot as usize];
        let mut duplicate_record = false;
        let mut reordered = false;
        if bits.has(Bits::PRESENT) {
            duplicate_record = true;
        }
        // Only the application's first attempt is compared with its neighbours and among its own
        // copies by a bit: later ones are few, and come late because the application wants it so.
        let duplicate = if message.attempt == 0 {
            let again = bits.has(Bits::FIRST_ATTEMPT);
            if !again {
                let highest = state.streams[stream].highest.entry(message.incarnation).or_insert(message.sequence);
                reordered = message.sequence < *highest;
                *highest = message.sequence.max(*highest);
            }
            bits.set(Bits::FIRST_ATTEMPT);
            again
        } else {
            !state.later_attempts.insert((slot, message.attempt))
        };
        bits.set(Bits::PRESENT);
        if ahead {
            bits.set(Bits::AHEAD);
        }
        if duplicate {
            bits.set(Bits::DUPLICATE);
        }
        if reordered {
            bits.set(Bits::REORDERED);
        }
        let counts = &mut state.partition(message.partition).counts;
        counts.duplicate_records += u64::from(duplicate_record);
        counts.duplicates += u64::from(duplicate);
        counts.reordered += u64::from(reordered);
    }

    /// Ends the pass.
    #[must_use]
    pub fn clients(self) -> ClientPass {
        ClientPass::new(self.state)
    }
}
