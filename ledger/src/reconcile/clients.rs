//! Second pass: what producers were told, and what the group's members did.

use super::authors::StreamIndex;
use super::marks::Mark;
use super::planes::{MARKED, PROCESSED, Place};
use super::state::{Found, State};
use super::stretch::{Acks, Stretch};
use super::txn::TxnBook;
use super::{Error, JournalEnd, Process, Reconciliation, StreamId, tally};
use crate::category::Told;
use crate::record::{Identity, Record};

/// Second pass: the clients' journals.
#[derive(Debug)]
pub struct ClientPass {
    state: State,
    /// The stream that was told of last, and the streams that this may mean.
    told_last: (StreamId, [Option<StreamIndex>; 2]),
    /// Transactions of the journals that have not ended.
    books: Vec<(StreamId, TxnBook)>,
    members: Vec<Member>,
    /// Index of the member that was heard of last.
    member_last: usize,
    /// Acknowledgements that are not taken in yet.
    acks: Option<Acks>,
    /// Journals that ended at a known point.
    whole_journals: usize,
}

/// A process of the group.
#[derive(Debug)]
struct Member {
    process: Process,
    /// For each partition by index, the last offset that it polled since it was assigned.
    polled: Vec<Option<i64>>,
}

impl Member {
    fn polled(&mut self, partition: usize) -> &mut Option<i64> {
        if self.polled.len() <= partition {
            self.polled.resize(partition + 1, None);
        }
        &mut self.polled[partition]
    }
}

impl ClientPass {
    pub(super) fn new(state: State) -> Self {
        let nobody = StreamId { producer: 0, partition: 0 };
        let told_last = (nobody, state.streams_of(nobody.producer, nobody.partition));
        Self { state, told_last, books: Vec::new(), members: Vec::new(), member_last: 0, acks: None, whole_journals: 0 }
    }

    /// Takes an entry of a producer's journal, in that journal's order.
    ///
    /// # Errors
    /// [`Error::ToldOfUnoffered`], and [`Error::Misplaced`] for an entry that no producer writes.
    pub fn producer_record(&mut self, producer: u16, record: &Record) -> Result<(), Error> {
        if let Record::Told {
            partition,
            sequence,
            attempt: 0,
            told: Told::Acked,
            offset: Some(offset),
            in_txn: false,
            ..
        } = *record
        {
            let id = StreamId { producer, partition };
            if self.acks.as_mut().is_some_and(|acks| acks.extend(id, sequence, offset)) {
                return Ok(());
            }
            self.settle_acks();
            self.acks = self.begin_acks(id, sequence, offset);
            if self.acks.is_some() {
                return Ok(());
            }
        }
        self.settle_acks();
        match *record {
            Record::Told { partition, sequence, attempt, told, offset, in_txn, .. } => {
                let id = StreamId { producer, partition };
                let Some((stream, place)) = self.find(id, sequence) else {
                    return Err(Error::ToldOfUnoffered { stream: id, sequence, offered: self.state.offered(id) });
                };
                if in_txn {
                    self.book(id).told(stream, sequence, attempt, told);
                } else {
                    self.state.streams[stream as usize].planes.tell(place, told);
                }
                if let (Told::Acked, Some(offset)) = (told, offset) {
                    self.acked(partition, offset, stream, sequence, attempt, place);
                }
            }
            Record::TxnEnded { partition, outcome, .. } => {
                let id = StreamId { producer, partition };
                let index = self.book_index(id);
                let State { streams, partitions, .. } = &mut self.state;
                self.books[index].1.txn_ended(outcome, streams, partitions);
            }
            _ => return Err(misplaced("a producer's journal", record)),
        }
        Ok(())
    }

    fn begin_acks(&mut self, id: StreamId, sequence: u64, offset: i64) -> Option<Acks> {
        let stream = self.streams_of(id)[0]?;
        let below = self.state.streams[stream as usize].planes.dense_below();
        Acks::of(id, stream, below, sequence, offset)
    }

    fn settle_acks(&mut self) {
        let Some(acks) = self.acks.take() else { return };
        self.state.streams[acks.stream as usize].planes.acknowledge(acks.sequence, acks.len);
        let mut n = 0;
        while n < acks.len {
            let (sequence, offset) = (acks.sequence + n, acks.offset + n.cast_signed());
            n += match self.state.acked_there(&acks, sequence, offset) {
                0 => {
                    if let Some(place) = self.state.streams[acks.stream as usize].planes.place(sequence) {
                        self.acked(acks.id.partition, offset, acks.stream, sequence, 0, place);
                    }
                    1
                }
                there => there,
            };
        }
    }

    /// The streams that a producer's reports may mean, the likelier first.
    fn streams_of(&mut self, id: StreamId) -> [Option<StreamIndex>; 2] {
        if self.told_last.0 != id {
            self.told_last = (id, self.state.streams_of(id.producer, id.partition));
        }
        self.told_last.1
    }

    /// A sequence of which a producer was told.
    fn find(&mut self, id: StreamId, sequence: u64) -> Option<(StreamIndex, Place)> {
        let streams = self.streams_of(id).into_iter().flatten();
        let place = |stream: StreamIndex| Some((stream, self.state.streams[stream as usize].planes.place(sequence)?));
        streams.into_iter().find_map(place)
    }

    fn book(&mut self, id: StreamId) -> &mut TxnBook {
        let index = self.book_index(id);
        &mut self.books[index].1
    }

    fn book_index(&mut self, id: StreamId) -> usize {
        // Journals come one after the other, so that there is hardly more than one.
        self.books.iter().position(|(of, _)| *of == id).unwrap_or_else(|| {
            self.books.push((id, TxnBook::default()));
            self.books.len() - 1
        })
    }

    /// Compares an ack's offset with the log. Nothing there is no conflict: then the record was lost,
    /// or the audit did not come to it.
    fn acked(&mut self, partition: i32, offset: i64, stream: StreamIndex, sequence: u64, attempt: u16, place: Place) {
        let index = self.state.partition(partition);
        let p = &mut self.state.partitions[index];
        let there = p.acked_at(offset);
        let is_it = there.is_some_and(|cell| {
            cell.sequence == sequence
                && p.author(cell).is_some_and(|author| {
                    author.who.attempt == attempt && author.streams.iter().flatten().any(|claim| claim.stream == stream)
                })
        });
        if is_it {
            return;
        }
        if there.is_some() {
            p.counts.offset_conflicts += 1;
            self.state.streams[stream as usize].mark(Mark::Conflict, sequence, place);
        }
        // Compaction did not remove what was acknowledged beyond every record of its key, or at an
        // offset that it left alone.
        let p = &self.state.partitions[index];
        if p.is_compacted() && (there.is_some() || !p.may_have_compacted_at(sequence, offset)) {
            self.state.streams[stream as usize].mark(Mark::NotCompacted, sequence, place);
        }
    }

    /// Takes an entry of a member's journal, in that journal's order.
    ///
    /// # Errors
    /// [`Error::Misplaced`] for an entry that no member writes.
    pub fn consumer_record(&mut self, process: Process, record: &Record) -> Result<(), Error> {
        match *record {
            Record::Assigned { partition, .. } | Record::Revoked { partition, .. } => {
                let partition = self.state.partition(partition);
                *self.member(process).polled(partition) = None;
            }
            Record::Polled { partition, offset, .. } => {
                let partition = self.state.partition(partition);
                if let Some(last) = self.member(process).polled(partition).replace(offset) {
                    let p = &mut self.state.partitions[partition];
                    p.counts.skips += p.visible_between(last, offset);
                }
            }
            Record::Processed { partition, offset, ref identity, .. } => {
                let index = self.state.partition(partition);
                let processing = &mut self.state.partitions[index].processing;
                match identity {
                    Some(identity) => {
                        if !processing.as_mut().is_some_and(|stretch| stretch.extend(offset, identity)) {
                            let ended = processing.replace(Stretch::of(offset, identity));
                            self.take_in(index, ended);
                        }
                    }
                    None => {
                        let ended = processing.take();
                        self.take_in(index, ended);
                        self.processed(index, offset, None);
                    }
                }
            }
            Record::Committed { partition, offset, ok: true, at_ns } => {
                // The latest, not the highest: a group that was set back commits lower offsets
                // without having lost a commit.
                let partition = self.state.partition(partition);
                let last = &mut self.state.partitions[partition].last_commit;
                *last = (*last).max(Some((at_ns, offset)));
            }
            Record::Committed { ok: false, .. } | Record::FenceSeen { .. } => {}
            _ => return Err(misplaced("a group member's journal", record)),
        }
        Ok(())
    }

    fn member(&mut self, process: Process) -> &mut Member {
        if self.members.get(self.member_last).is_none_or(|member| member.process != process) {
            let known = self.members.iter().position(|member| member.process == process);
            self.member_last = known.unwrap_or_else(|| {
                self.members.push(Member { process, polled: Vec::new() });
                self.members.len() - 1
            });
        }
        &mut self.members[self.member_last]
    }

    fn take_in(&mut self, index: usize, stretch: Option<Stretch>) {
        let Some(stretch) = stretch else { return };
        let mut n = 0;
        while n < stretch.len {
            let (offset, identity) = stretch.record(n);
            n += match self.state.processed_there(index, offset, &identity, stretch.len - n) {
                0 => {
                    self.processed(index, offset, Some(&identity));
                    1
                }
                there => there,
            };
        }
    }

    fn processed(&mut self, index: usize, offset: i64, identity: Option<&Identity>) {
        let state = &mut self.state;
        let cell = state.cell(index, offset, identity);
        let found = state.sequence_of(index, cell);
        if let Some(found) = found {
            state.doubled(&found, cell.sequence);
        }
        let there = state.partitions[index].processed_at(offset);
        if let Some(found) = found
            && there == Some(cell)
        {
            let stream = &mut state.streams[found.stream];
            // Of several copies, a bit would not tell which.
            if !stream.is_marked(Mark::Several, cell.sequence, found.place) {
                if stream.planes.set(found.place, PROCESSED) {
                    stream.mark(Mark::Redelivered, cell.sequence, found.place);
                    state.partitions[index].counts.redelivered += 1;
                }
                return;
            }
        }

        let p = &mut state.partitions[index];
        let first = p.elsewhere.insert(offset, cell);
        let aborted = first && p.is_aborted(offset, cell);
        p.counts.redelivered += u64::from(!first);
        p.counts.processed_foreign += u64::from(first && found.is_none());
        p.counts.aborted_reads += u64::from(aborted);
        if let Some(found) = found {
            let stream = &mut state.streams[found.stream];
            stream.mark(Mark::Elsewhere, cell.sequence, found.place);
            if !first {
                stream.mark(Mark::Redelivered, cell.sequence, found.place);
            }
            if aborted {
                stream.mark(Mark::AbortedRead, cell.sequence, found.place);
            }
        }
    }

    /// Takes the end of a client's journal, after all of its entries. A journal of which nothing is
    /// said here is not complete.
    pub fn journal_ended(&mut self, end: JournalEnd) {
        let whole = matches!(end, JournalEnd::Sealed | JournalEnd::Torn);
        self.whole_journals += usize::from(whole);
        self.settle(whole);
    }

    fn settle(&mut self, whole: bool) {
        self.settle_acks();
        for (id, book) in std::mem::take(&mut self.books) {
            let State { streams, partitions, .. } = &mut self.state;
            let torn = book.journal_ended(whole, streams, partitions);
            let partition = self.state.partition(id.partition);
            self.state.partitions[partition].counts.torn_txn += torn;
        }
    }

    /// Gives every sequence its category, and checks the sums.
    ///
    /// # Errors
    /// [`Error::Imbalance`].
    pub fn finish(mut self) -> Result<Reconciliation, Error> {
        self.settle(false);
        for index in 0..self.state.partitions.len() {
            let ended = self.state.partitions[index].processing.take();
            self.take_in(index, ended);
        }
        let journals_complete = self.whole_journals == self.state.journals;
        Ok(tally::reconcile(self.state, journals_complete)?)
    }
}

impl State {
    /// How many messages lie in the log from an acknowledged one on, one after the other: more, it may be, than
    /// were acknowledged. 0 if it does not lie where its acknowledgement says.
    fn acked_there(&mut self, acks: &Acks, sequence: u64, offset: i64) -> u64 {
        let index = self.partition(acks.id.partition);
        let p = &mut self.partitions[index];
        let Some(run) = p.acked_run(offset).filter(|run| run.sequence_at(offset) == sequence) else {
            return 0;
        };
        let is_it = p.authors.get(run.author).is_some_and(|author| {
            let mut claims = author.streams.iter().flatten();
            author.who.attempt == 0 && claims.any(|claim| claim.stream == acks.stream)
        });
        if is_it { run.rest(offset) } else { 0 }
    }

    /// Counts a processing of a message that was processed before. Its stream's partition has it, as the copies
    /// may lie in any.
    fn doubled(&mut self, found: &Found, sequence: u64) {
        let stream = &mut self.streams[found.stream];
        let before =
            stream.planes.has(found.place, PROCESSED) || stream.is_marked(Mark::Elsewhere, sequence, found.place);
        if before {
            stream.mark(Mark::Doubled, sequence, found.place);
            let partition = stream.id.partition;
            let home = self.partition(partition);
            self.partitions[home].counts.doubled += 1;
        }
    }

    /// Takes in that visible records were processed that nothing is special about, and gives how many:
    /// `len` at most, from an offset on, one after the other.
    fn processed_there(&mut self, index: usize, offset: i64, identity: &Identity, len: u64) -> u64 {
        let cell = self.cell(index, offset, Some(identity));
        let Some(run) = self.partitions[index].processed_run(offset).filter(|run| run.at(offset) == Some(cell)) else {
            return 0;
        };
        let Some(found) = self.sequence_of(index, cell) else {
            return 0;
        };
        let planes = &mut self.streams[found.stream].planes;
        let dense = planes.dense_below().saturating_sub(cell.sequence);
        let len = planes.without(cell.sequence, len.min(run.rest(offset)).min(dense), &[PROCESSED, MARKED]);
        planes.set_all(cell.sequence, len, PROCESSED);
        len
    }
}

fn misplaced(journal: &'static str, record: &Record) -> Error {
    Error::Misplaced { journal, entry: format!("{record:?}") }
}
