//! First pass: what the audit, the tail reader and the look at parked messages found.

use super::image::{CORRUPT, Cell, FENCE, Put};
use super::marks::Mark;
use super::partition::mark_cell;
use super::planes::PRESENT;
use super::state::State;
use super::stretch::Stretch;
use super::{ANY_PARTITION, ClientPass, Error, Facts, StrayKind, gone};
use crate::record::{Content, Identity, Isolation, Place as ParkedIn, Record};

/// First pass: the journals of the audit, of the tail reader and of what is parked.
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

    /// Takes an entry of one of those journals, each in its own order. Entries of audit attempts that
    /// do not count are passed over, and so is what was parked without having been offered.
    ///
    /// # Errors
    /// [`Error::Misplaced`] for an entry that none of them holds.
    pub fn record(&mut self, record: &Record) -> Result<(), Error> {
        match record {
            Record::Audited { partition, offset, audit, isolation, content, .. } => {
                self.audited(*partition, *offset, *audit, *isolation, content);
            }
            Record::Tailed { partition, offset, identity, .. } => {
                self.tailed(*partition, *offset, identity.as_ref());
            }
            Record::Held { place, identity, .. } => self.held(*place, identity),
            _ => {
                let journal = "a journal of the audit, the tail reader or parked messages";
                return Err(Error::Misplaced { journal, entry: format!("{record:?}") });
            }
        }
        Ok(())
    }

    fn audited(&mut self, partition: i32, offset: i64, attempt: u16, isolation: Isolation, content: &Content) {
        let index = self.state.partition(partition);
        let p = &mut self.state.partitions[index];
        if p.attempt != Some(attempt) {
            return;
        }
        match content {
            Content::Message(identity) if self.state.apart && !p.has_second_pass => {
                if !p.auditing.as_mut().is_some_and(|stretch| stretch.extend(offset, identity)) {
                    let ended = p.auditing.replace(Stretch::of(offset, identity));
                    self.take_in(index, ended);
                }
            }
            _ => {
                let ended = p.auditing.take();
                self.take_in(index, ended);
                self.audited_one(index, offset, isolation, content);
            }
        }
    }

    fn take_in(&mut self, index: usize, stretch: Option<Stretch>) {
        let Some(stretch) = stretch else { return };
        if !self.state.copies(index, &stretch) {
            for (offset, identity) in stretch.records() {
                self.audited_one(index, offset, Isolation::ReadUncommitted, &Content::Message(identity));
            }
        }
    }

    fn audited_one(&mut self, index: usize, offset: i64, isolation: Isolation, content: &Content) {
        let two_passes = self.state.partitions[index].has_second_pass;
        let second = two_passes && isolation == Isolation::ReadCommitted;
        let cell = match content {
            Content::Fence => mark_cell(FENCE, offset),
            Content::Corrupt => mark_cell(CORRUPT, offset),
            Content::Message(identity) => self.state.cell(index, offset, Some(identity)),
        };
        let p = &mut self.state.partitions[index];
        let put = p.log.put(offset, cell);
        match put {
            // Read twice. Another content says that the log changed under the audit, so that it
            // proves nothing about what it did not find.
            Put::Other => p.contradicted = true,
            // What the second pass shows was there in the first.
            Put::New if second => p.contradicted = true,
            Put::New | Put::Same => {}
        }
        if put == Put::Other || cell.author == FENCE {
            return;
        }
        let found = self.state.sequence_of(index, cell);
        match found {
            None if put == Put::New => {
                let kind = if cell.author == CORRUPT { StrayKind::Corrupt } else { StrayKind::Phantom };
                self.state.stray(index, offset, kind);
            }
            Some(found) if !two_passes && put == Put::New => {
                self.state.copy(index, offset, cell, found, false);
            }
            _ => {}
        }
        if second
            && self.state.partitions[index].visible.put(offset, cell) == Put::New
            && let Some(found) = found
        {
            self.state.copy(index, offset, cell, found, false);
        }
    }

    fn tailed(&mut self, partition: i32, offset: i64, identity: Option<&Identity>) {
        let index = self.state.partition(partition);
        let Some((audit, tail)) = self.state.partitions[index].audit.and_then(|audit| Some((audit, audit.tail?)))
        else {
            return;
        };
        let cell = self.state.cell(index, offset, identity);
        let Some(found) = self.state.sequence_of(index, cell) else {
            return;
        };
        let p = &mut self.state.partitions[index];
        if offset < audit.log_start {
            self.state.streams[found.stream].mark(Mark::Expired, cell.sequence, found.place);
        } else if tail.keys.is_some() {
            // Without compaction, what is gone from there was truncated, whoever saw it.
            match p.tailed.put(offset, cell) {
                Put::New | Put::Same => {}
                Put::Other => p.tailed_again.push((offset, cell)),
            }
        }
    }

    fn held(&mut self, place: ParkedIn, identity: &Identity) {
        let mark = match place {
            ParkedIn::ProducerDlq | ParkedIn::Spool | ParkedIn::Outbox => Mark::Parked,
            ParkedIn::ConsumerDlq => Mark::DeadLettered,
        };
        let state = &mut self.state;
        if identity.run != state.run {
            return;
        }
        for stream in state.streams_of(identity.producer, identity.partition).into_iter().flatten() {
            if let Some(place) = state.streams[stream as usize].planes.place(identity.sequence) {
                return state.streams[stream as usize].mark(mark, identity.sequence, place);
            }
        }
    }

    /// Ends the pass.
    #[must_use]
    pub fn clients(mut self) -> ClientPass {
        for index in 0..self.state.partitions.len() {
            let ended = self.state.partitions[index].auditing.take();
            self.take_in(index, ended);
        }
        gone::resolve(&mut self.state);
        ClientPass::new(self.state)
    }
}

impl State {
    /// Takes in copies that nothing is special about: the first ones of their sequences, in order, beyond
    /// all that was read before, and where the group has been. False, and nothing is done, otherwise. Only
    /// where partitions are `apart`.
    fn copies(&mut self, index: usize, stretch: &Stretch) -> bool {
        let (last_offset, last) = stretch.record(stretch.len - 1);
        let (offset, first) = stretch.record(0);
        let cell = self.cell(index, offset, Some(&first));
        let Some(found) = self.sequence_of(index, cell) else {
            return false;
        };
        let p = &mut self.partitions[index];
        let stream = &mut self.streams[found.stream];
        let highest = &mut p.authors.highest[found.highest];
        let is_plain = found.attempt == 0
            && p.position.is_none_or(|position| last_offset < position.offset)
            && highest.is_none_or(|highest| first.sequence > highest)
            && last.sequence < stream.planes.dense_below()
            && stream.planes.without(first.sequence, stretch.len, &[PRESENT]) == stretch.len;
        if !is_plain || !p.log.append(offset, cell, stretch.len) {
            return false;
        }
        stream.planes.set_all(first.sequence, stretch.len, PRESENT);
        *highest = Some(last.sequence);
        p.counts.records_in_log += stretch.len;
        true
    }

    /// A copy of an offered sequence; hidden: by a transaction that is still open.
    pub(super) fn copy(&mut self, partition: usize, offset: i64, cell: Cell, found: super::state::Found, hidden: bool) {
        let p = &mut self.partitions[partition];
        let stream = &mut self.streams[found.stream];
        let sequence = cell.sequence;
        let copy = stream.copy(sequence, found.place, found.attempt);
        // Only the application's first attempt is compared with its neighbours: later ones come late
        // because the application wants it so.
        let mut reordered = false;
        if found.attempt == 0 && !copy.duplicate {
            let highest = &mut p.authors.highest[found.highest];
            reordered = highest.is_some_and(|highest| sequence < highest);
            *highest = (*highest).max(Some(sequence));
            if reordered {
                stream.mark(Mark::Reordered, sequence, found.place);
            }
        }
        let ahead = match p.position {
            Some(position) => offset >= position.offset,
            // Where all is ahead, that need not be noted one by one: see `tally`.
            None => p.has_second_pass || stream.id.partition == ANY_PARTITION,
        };
        if hidden {
            stream.mark(Mark::Hidden, sequence, found.place);
        }
        if ahead {
            let mark = if hidden { Mark::AheadHidden } else { Mark::Ahead };
            stream.mark(mark, sequence, found.place);
        }
        let home = if stream.id.partition == p.partition { partition } else { self.partition(ANY_PARTITION) };
        let counts = &mut self.partitions[home].counts;
        counts.records_in_log += 1;
        if copy.again {
            counts.duplicate_records += 1;
            counts.duplicates += u64::from(copy.duplicate);
        }
        if reordered {
            counts.reordered += 1;
        }
    }

    fn stray(&mut self, partition: usize, offset: i64, kind: StrayKind) {
        let p = &mut self.partitions[partition];
        p.counts.records_in_log += 1;
        *(match kind {
            StrayKind::Phantom => &mut p.counts.phantom,
            StrayKind::Corrupt => &mut p.counts.corrupt,
        }) += 1;
        self.strays.add(p.partition, offset, kind);
    }
}
