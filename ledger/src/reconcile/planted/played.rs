//! A plan played out: the log as it came to be, and the journals that tell of it.

use std::collections::BTreeMap;

use super::RUN;
use super::plan::{Fate, PartitionPlan};
use crate::category::Told;
use crate::event::PositionSource;
use crate::reconcile::{Audit, CommittedPass, Partition, Position, Tail};
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

/// What became of a record after it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Visible,
    /// Its transaction was aborted.
    Aborted,
    /// Its transaction is open.
    Open,
    /// Retention removed it.
    Expired,
    /// Compaction did.
    Compacted,
}

/// A record that was written at the offset of its place in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// None: damaged.
    pub(super) identity: Option<Identity>,
    /// What the plan says of its message.
    pub(super) fate: Option<Fate>,
    pub(super) state: State,
}

/// A message, and its number in its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) identity: Identity,
    pub(super) fate: Fate,
    pub(super) number: usize,
}

impl Planned {
    pub(super) fn told(&self, plan: &PartitionPlan) -> Option<Told> {
        let told = match self.fate {
            Fate::Landed(told) | Fate::Undelivered(told) => told,
            Fate::Vanished(told) | Fate::Parked(told, _) => Some(told),
            _ => Some(Told::Acked),
        };
        told.filter(|_| self.number < plan.journalled)
    }

    /// How its transaction ended.
    pub(super) const fn outcome(&self) -> TxnOutcome {
        match self.fate {
            Fate::Aborted(_) => TxnOutcome::Aborted,
            Fate::Hidden => TxnOutcome::Unknown,
            _ => TxnOutcome::Committed,
        }
    }
}

/// One partition played out.
pub(super) struct Played {
    pub(super) partition: i32,
    pub(super) plan: PartitionPlan,
    /// All that was ever written, and not truncated.
    pub(super) log: Vec<Entry>,
    pub(super) position: usize,
    pub(super) log_start: usize,
    /// First offset behind an open transaction.
    pub(super) open_from: usize,
    /// Up to where the audit read.
    pub(super) read: usize,
    pub(super) complete: bool,
    pub(super) messages: Vec<Planned>,
}

const LAGGING: i64 = 1_000_000;
const OPEN: i64 = 2_000_000;

pub(super) fn play(partition: i32, plan: &PartitionPlan) -> Played {
    let mut keyed: Vec<(i64, Entry)> = Vec::new();
    let mut messages = Vec::new();
    for (producer, stream) in (0..).zip(&plan.streams) {
        for (number, (fate, late)) in stream.iter().enumerate() {
            let identity = Identity {
                run: RUN,
                producer,
                incarnation: u16::from(number >= plan.death),
                partition,
                sequence: number as u64 * plan.stride,
                attempt: 0,
            };
            let fate = match fate {
                Fate::Aborted(_) if !plan.transactional => Fate::Undelivered(Some(Told::Failed)),
                Fate::Hidden if !plan.transactional => Fate::Lagging,
                other => *other,
            };
            messages.push(Planned { identity, fate, number });
            let key = number as i64 * 10 + i64::from(*late);
            let entry =
                |attempt, state| Entry { identity: Some(Identity { attempt, ..identity }), fate: Some(fate), state };
            let visible = entry(0, State::Visible);
            match fate {
                Fate::Duplicated(more) => keyed.extend((0..=i64::from(more)).map(|n| (key + n * 7, visible))),
                Fate::Resent => keyed.extend([(key, visible), (key + 30, entry(1, State::Visible))]),
                Fate::Lagging => keyed.push((key + LAGGING, visible)),
                Fate::Aborted(_) => keyed.push((key, entry(0, State::Aborted))),
                Fate::Hidden => keyed.push((key + OPEN, entry(0, State::Open))),
                Fate::Expired(_) => keyed.push((key - LAGGING, entry(0, State::Expired))),
                Fate::LostInCluster
                | Fate::Truncated
                | Fate::Vanished(_)
                | Fate::Undelivered(_)
                | Fate::Parked(_, false) => {}
                _ => keyed.push((key, visible)),
            }
        }
    }
    for foreign in &plan.foreign {
        let unknown = Identity {
            run: RUN,
            producer: 0,
            incarnation: 0,
            partition,
            // Never offered: beyond every stream.
            sequence: 1 << 40,
            attempt: 0,
        };
        let identity = (!foreign.corrupt).then_some(unknown);
        keyed.push((i64::from(foreign.at) * 10, Entry { identity, fate: None, state: State::Visible }));
    }
    keyed.sort_by_key(|(key, _)| *key);
    let before = |end: i64| keyed.partition_point(|(key, _)| *key < end);
    let (log_start, position, open_from) = (before(-LAGGING / 2), before(LAGGING), before(OPEN));
    let mut log: Vec<_> = keyed.into_iter().map(|(_, entry)| entry).collect();
    if let Some(keys) = plan.keys {
        compact(&mut log, keys);
    }
    let read = plan.unread_after.map_or(log.len(), |read| log.len().min(read.max(log_start)));
    let complete = plan.unread_after.is_none();
    Played { partition, plan: plan.clone(), log, position, log_start, open_from, read, complete, messages }
}

/// Removes records that have a later one of their key.
pub(super) fn compact(log: &mut [Entry], keys: u64) {
    let key = |entry: &Entry| entry.identity.filter(|_| entry.fate.is_some()).map(|i| i.sequence % keys);
    for at in 0..log.len() {
        let (entry, later) = log[at..].split_first().unwrap();
        let single = matches!(entry.fate, Some(Fate::Clean | Fate::Skipped | Fate::Lagging | Fate::Landed(_)));
        let superseded = later.iter().any(|other| other.state == State::Visible && key(other) == key(entry));
        if single && superseded {
            log[at].state = State::Compacted;
        }
    }
}

impl Played {
    /// What the audit read, with offsets; fences apart.
    pub(super) fn in_log(&self) -> impl DoubleEndedIterator<Item = (usize, &Entry)> {
        let gone = |entry: &Entry| matches!(entry.state, State::Expired | State::Compacted);
        self.log.iter().enumerate().take(self.read).skip(self.log_start).filter(move |(_, entry)| !gone(entry))
    }

    /// What counts as in the log of a message.
    pub(super) fn copies(&self, identity: &Identity) -> Vec<(usize, &Entry)> {
        let is = |entry: &Entry| entry.identity.is_some_and(|i| Identity { attempt: 0, ..i } == *identity);
        self.in_log().filter(|(_, entry)| is(entry) && entry.state != State::Aborted).collect()
    }

    pub(super) fn written_at(&self, identity: &Identity) -> Option<usize> {
        self.log.iter().position(|entry| entry.identity == Some(*identity))
    }

    pub(super) fn facts(&self) -> Partition {
        let tail =
            Tail { from: i64::from(self.plan.tail_missed), position: self.log.len() as i64, keys: self.plan.keys };
        let committed = CommittedPass { complete: self.complete, open_from: Some(self.open_from as i64) };
        Partition {
            partition: self.partition,
            audit: Some(Audit {
                attempt: 1,
                complete: self.complete,
                log_start: self.log_start as i64,
                committed: self.plan.transactional.then_some(committed),
                tail: Some(tail),
            }),
            position: Some(Position { offset: self.position as i64, source: PositionSource::Owner }),
        }
    }

    pub(super) fn log_journals(&self) -> Vec<Record> {
        let partition = self.partition;
        let audited = |audit: u16, isolation, offset: usize, content| Record::Audited {
            partition,
            offset: offset as i64,
            audit,
            isolation,
            leader_epoch: None,
            content,
        };
        let content = |entry: &Entry| entry.identity.map_or(Content::Corrupt, Content::Message);
        let fence = |isolation| self.complete.then(|| audited(1, isolation, self.log.len(), Content::Fence));
        // A first attempt that does not count, then the one that does, then the fence.
        let (first, second) = (Isolation::ReadUncommitted, Isolation::ReadCommitted);
        let mut journal: Vec<_> =
            self.in_log().step_by(2).map(|(offset, _)| audited(0, first, offset, Content::Corrupt)).collect();
        journal.extend(self.in_log().map(|(offset, entry)| audited(1, first, offset, content(entry))));
        journal.extend(fence(first));
        if self.plan.transactional {
            let visible = self.in_log().filter(|(_, entry)| entry.state == State::Visible);
            let below_open = visible.filter(|(offset, _)| *offset < self.open_from);
            journal.extend(below_open.map(|(offset, entry)| audited(1, second, offset, content(entry))));
        }

        let tailed = |offset, identity| Record::Tailed { partition, offset, identity, at_ns: 0 };
        let seen = self.log.iter().zip(0..).skip(usize::from(self.plan.tail_missed));
        journal.extend(seen.map(|(entry, offset)| tailed(offset, entry.identity)));
        let fates = |wanted: fn(&Fate) -> bool| self.messages.iter().filter(move |message| wanted(&message.fate));
        let truncated = fates(|fate| *fate == Fate::Truncated);
        journal.extend((10_000..).zip(truncated).map(|(offset, message)| tailed(offset, Some(message.identity))));

        let held = |place, message: &Planned| Record::Held { place, identity: message.identity, at_ns: 0 };
        let places = [Place::ProducerDlq, Place::Spool, Place::Outbox];
        let parked = fates(|fate| matches!(fate, Fate::Parked(..)));
        journal.extend(parked.map(|message| held(places[message.number % 3], message)));
        journal.extend(fates(|fate| *fate == Fate::DeadLettered).map(|message| held(Place::ConsumerDlq, message)));
        journal
    }

    /// By producer and incarnation, each journal as it was written, up to where it was cut off.
    pub(super) fn producer_journals(&self) -> Vec<(u16, Vec<Record>)> {
        let mut journals: BTreeMap<(u16, u16), Vec<Record>> = BTreeMap::new();
        let mut open: BTreeMap<(u16, u16), TxnOutcome> = BTreeMap::new();
        for message in self.messages.iter().filter(|message| message.number < self.plan.journalled) {
            let process = (message.identity.producer, message.identity.incarnation);
            let journal = journals.entry(process).or_default();
            if self.plan.transactional {
                let outcome = message.outcome();
                let before = open.insert(process, outcome).filter(|before| *before != outcome);
                journal.extend(before.map(|outcome| self.txn_ended(outcome)));
            }
            let Some(told) = message.told(&self.plan) else { continue };
            let offset = match message.fate {
                // It was acknowledged at an offset that another record has taken since.
                Fate::LostInCluster => Some(message.number as i64),
                _ if told == Told::Acked => self.written_at(&message.identity).map(|offset| offset as i64),
                _ => None,
            };
            journal.push(Record::Told {
                partition: self.partition,
                sequence: message.identity.sequence,
                attempt: 0,
                told,
                offset,
                error: 0,
                broker: None,
                in_txn: self.plan.transactional,
                at_ns: 0,
            });
        }
        for (process, outcome) in open {
            // A transaction that nobody knows the end of is not ended in the journal of a dead process.
            if outcome != TxnOutcome::Unknown {
                journals.entry(process).or_default().push(self.txn_ended(outcome));
            }
        }
        journals.into_iter().map(|((producer, _), journal)| (producer, journal)).collect()
    }

    pub(super) const fn txn_ended(&self, outcome: TxnOutcome) -> Record {
        Record::TxnEnded { partition: self.partition, outcome, at_ns: 0 }
    }

    pub(super) fn is_skipped(entry: &Entry) -> bool {
        matches!(entry.fate, Some(Fate::Skipped | Fate::Aborted(false) | Fate::Expired(false) | Fate::DeadLettered))
    }

    pub(super) fn consumer_journal(&self) -> Vec<Record> {
        let partition = self.partition;
        let assigned = Record::Assigned { partition, at_ns: 0 };
        let read = |offset: usize, identity: Option<Identity>| {
            let offset = offset as i64;
            [
                Record::Polled { partition, offset, at_ns: 0 },
                Record::Processed { partition, offset, identity, at_ns: 0 },
            ]
        };
        let mut journal = vec![assigned];
        // What is truncated later was read at offsets beyond those that the log has now.
        let vanished = self.messages.iter().filter(|message| matches!(message.fate, Fate::Vanished(_)));
        for (n, message) in vanished.enumerate() {
            journal.extend(read(10_000 + n, Some(message.identity)));
        }
        journal.push(assigned);
        for (offset, entry) in self.log[..self.position].iter().enumerate() {
            if entry.fate == Some(Fate::Redelivered) {
                let [polled, processed] = read(offset, entry.identity);
                journal.extend([polled, processed, assigned, polled, processed]);
            } else if !Self::is_skipped(entry) {
                journal.extend(read(offset, entry.identity));
            }
        }
        journal
    }
}
