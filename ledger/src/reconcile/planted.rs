//! Anomalies planted at random in several streams must be found exactly, and nothing else.
//!
//! A plan says the fate of each message. From it come both the journals, as clients and an audit
//! would have written them, and the counts that are expected, by looking at whole lists where
//! reconciliation keeps a few bits.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::category::{Category, Group, InLog, Parked, Told, categorise};
use crate::counts::Counts;
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

const RUN: u64 = 99;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// Acknowledged, in the log, processed.
    Clean,
    /// As clean, with that many copies more.
    Duplicated(u8),
    /// As clean, and sent once more by the application.
    Resent,
    /// As clean, and processed twice.
    Redelivered,
    /// In the log and processed, but not acknowledged; none: no report.
    Landed(Option<Told>),
    /// Acknowledged, not in the log.
    LostInCluster,
    /// Seen by the tail reader and acknowledged, then truncated.
    Truncated,
    /// Processed, then truncated.
    Vanished(Told),
    /// Neither in the log nor acknowledged.
    Undelivered(Option<Told>),
    /// In the log, passed over by its consumer.
    Skipped,
    /// In the log, at its end, where the group has not come.
    Lagging,
    /// Acknowledged, but its transaction was aborted; and whether it was processed.
    Aborted(bool),
    /// At the end of the log, in a transaction that never ended.
    Hidden,
    /// Acknowledged, and removed by retention; and whether it was processed before.
    Expired(bool),
    /// Parked by the producer; and whether it is in the log (and processed) as well.
    Parked(Told, bool),
    /// In the log, and in the consumer's dead-letter topic.
    DeadLettered,
}

fn not_acked() -> impl Strategy<Value = Told> {
    prop_oneof![Just(Told::Unconfirmed), Just(Told::Failed), Just(Told::Indeterminate),]
}

fn fate() -> impl Strategy<Value = Fate> {
    let any_told = || prop_oneof![Just(Told::Acked), not_acked()];
    prop_oneof![
        12 => Just(Fate::Clean),
        2 => (1_u8..3).prop_map(Fate::Duplicated),
        2 => Just(Fate::Resent),
        2 => Just(Fate::Redelivered),
        2 => proptest::option::of(not_acked()).prop_map(Fate::Landed),
        3 => Just(Fate::LostInCluster),
        1 => Just(Fate::Truncated),
        2 => any_told().prop_map(Fate::Vanished),
        2 => proptest::option::of(prop_oneof![not_acked(), Just(Told::Unsent)])
            .prop_map(Fate::Undelivered),
        2 => Just(Fate::Skipped),
        1 => Just(Fate::Lagging),
        2 => any::<bool>().prop_map(Fate::Aborted),
        1 => Just(Fate::Hidden),
        1 => any::<bool>().prop_map(Fate::Expired),
        2 => (any_told(), any::<bool>()).prop_map(|(told, landed)| Fate::Parked(told, landed)),
        1 => Just(Fate::DeadLettered),
    ]
}

/// Records that belong to nobody, and where in the log they lie (as a message of that sequence).
#[derive(Debug, Clone, Copy)]
struct Foreign {
    at: u32,
    corrupt: bool,
}

#[derive(Debug, Clone)]
struct PartitionPlan {
    /// For each producer, the fate and the lateness of each message.
    streams: Vec<Vec<(Fate, u32)>>,
    /// Difference between neighbouring sequences.
    stride: u64,
    /// The producers were killed at this message and started again.
    death: usize,
    /// The producers' journals are cut off after this many messages.
    journalled: usize,
    foreign: Vec<Foreign>,
    /// How many records the audit read, if it did not come to the end.
    unread_after: Option<usize>,
    /// Messages are sent in transactions; what aborts or stays open without any is failed or lags.
    transactional: bool,
    /// The topic is compacted, with that many keys.
    keys: Option<u64>,
    /// The tail reader missed the first offset.
    tail_missed: bool,
}

prop_compose! {
    fn partition_plan(producers: usize)(
        // A message is late by up to two places: neighbours change places now and then.
        streams in vec(vec((fate(), prop_oneof![8 => Just(0_u32), 1 => 1_u32..25]), 0..24), producers),
        stride in prop_oneof![4 => Just(1), 1 => select(vec![2_u64, 63, 1 << 33])],
        death in 0_usize..30,
        journalled in prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..24],
        foreign in vec((0_u32..30, any::<bool>()).prop_map(|(at, corrupt)| Foreign { at, corrupt }), 0..3),
        unread_after in prop_oneof![3 => Just(None), 1 => (0_usize..40).prop_map(Some)],
        transactional in any::<bool>(),
        keys in prop_oneof![3 => Just(None), 1 => (1_u64..6).prop_map(Some)],
        tail_missed in prop_oneof![6 => Just(false), 1 => Just(true)],
    ) -> PartitionPlan {
        PartitionPlan {
            streams, stride, death, journalled, foreign, unread_after, transactional, keys, tail_missed,
        }
    }
}

fn plan() -> impl Strategy<Value = Vec<PartitionPlan>> {
    (1_usize..4).prop_flat_map(|producers| vec(partition_plan(producers), 1..4))
}

/// What became of a record after it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
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
struct Entry {
    /// None: damaged.
    identity: Option<Identity>,
    /// What the plan says of its message.
    fate: Option<Fate>,
    state: State,
}

/// A message, and its number in its stream.
#[derive(Debug, Clone, Copy)]
struct Planned {
    identity: Identity,
    fate: Fate,
    number: usize,
}

impl Planned {
    fn told(&self, plan: &PartitionPlan) -> Option<Told> {
        let told = match self.fate {
            Fate::Landed(told) | Fate::Undelivered(told) => told,
            Fate::Vanished(told) | Fate::Parked(told, _) => Some(told),
            _ => Some(Told::Acked),
        };
        told.filter(|_| self.number < plan.journalled)
    }

    /// How its transaction ended.
    const fn outcome(&self) -> TxnOutcome {
        match self.fate {
            Fate::Aborted(_) => TxnOutcome::Aborted,
            Fate::Hidden => TxnOutcome::Unknown,
            _ => TxnOutcome::Committed,
        }
    }
}

/// One partition played out.
struct Played {
    partition: i32,
    plan: PartitionPlan,
    /// All that was ever written, and not truncated.
    log: Vec<Entry>,
    position: usize,
    log_start: usize,
    /// First offset behind an open transaction.
    open_from: usize,
    /// Up to where the audit read.
    read: usize,
    complete: bool,
    messages: Vec<Planned>,
}

const LAGGING: i64 = 1_000_000;
const OPEN: i64 = 2_000_000;

fn play(partition: i32, plan: &PartitionPlan) -> Played {
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
fn compact(log: &mut [Entry], keys: u64) {
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
    fn in_log(&self) -> impl DoubleEndedIterator<Item = (usize, &Entry)> {
        let gone = |entry: &Entry| matches!(entry.state, State::Expired | State::Compacted);
        self.log.iter().enumerate().take(self.read).skip(self.log_start).filter(move |(_, entry)| !gone(entry))
    }

    /// What counts as in the log of a message.
    fn copies(&self, identity: &Identity) -> Vec<(usize, &Entry)> {
        let is = |entry: &Entry| entry.identity.is_some_and(|i| Identity { attempt: 0, ..i } == *identity);
        self.in_log().filter(|(_, entry)| is(entry) && entry.state != State::Aborted).collect()
    }

    fn written_at(&self, identity: &Identity) -> Option<usize> {
        self.log.iter().position(|entry| entry.identity == Some(*identity))
    }

    fn facts(&self) -> Partition {
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

    fn log_journals(&self) -> Vec<Record> {
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
    fn producer_journals(&self) -> Vec<(u16, Vec<Record>)> {
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

    const fn txn_ended(&self, outcome: TxnOutcome) -> Record {
        Record::TxnEnded { partition: self.partition, outcome, at_ns: 0 }
    }

    fn is_skipped(entry: &Entry) -> bool {
        matches!(entry.fate, Some(Fate::Skipped | Fate::Aborted(false) | Fate::Expired(false) | Fate::DeadLettered))
    }

    fn consumer_journal(&self) -> Vec<Record> {
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

    /// Is a message in the log?
    fn found(&self, message: &Planned) -> InLog {
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
    fn may_be_compacted(&self, message: &Planned) -> bool {
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

    fn expected(&self) -> Counts {
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

    /// The acknowledged messages of each transaction.
    fn transactions(&self) -> Vec<Vec<&Planned>> {
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

    fn is_torn(&self, txn: &[&Planned]) -> bool {
        let is_visible =
            |message: &Planned| self.copies(&message.identity).iter().any(|(_, entry)| entry.state == State::Visible);
        self.plan.keys.is_none()
            && txn.iter().any(|message| is_visible(message))
            && txn.iter().any(|message| self.found(message) == InLog::Absent)
    }

    /// First copies that have a later sequence of the same producer process before them.
    fn reordered(&self) -> u64 {
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
    fn skips(&self) -> u64 {
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

fn facts(played: &[Played]) -> Facts {
    let mut facts = Facts { run: RUN, journals: 0, ..Facts::default() };
    for played in played {
        let partition = played.partition;
        for (producer, stream) in (0..).zip(&played.plan.streams) {
            let numbers = 0..stream.len() as u64;
            let offered = match played.plan.stride {
                1 => Offered::Below(numbers.end),
                stride => Offered::These(numbers.map(|number| number * stride).collect()),
            };
            facts.streams.push(Stream { id: StreamId { producer, partition }, offered });
        }
        facts.partitions.push(played.facts());
        facts.journals += played.producer_journals().len();
    }
    facts.journals += 1;
    facts
}

/// Takes one from each list in turn, so that partitions mix as they do in real journals.
fn mixed<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut keyed: Vec<_> = lists.into_iter().flat_map(|list| list.into_iter().enumerate()).collect();
    keyed.sort_by_key(|(n, _)| *n);
    keyed.into_iter().map(|(_, item)| item).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planted_anomalies_are_found_exactly(plans in plan()) {
        let played: Vec<_> = (0..).zip(&plans).map(|(p, plan)| play(p, plan)).collect();

        let mut log = LogPass::new(&facts(&played)).unwrap();
        for record in mixed(played.iter().map(Played::log_journals).collect()) {
            log.record(&record).unwrap();
        }
        let mut clients = log.clients();
        for (producer, journal) in played.iter().flat_map(Played::producer_journals) {
            for record in journal {
                clients.producer_record(producer, &record).unwrap();
            }
            clients.journal_ended(JournalEnd::Torn);
        }
        let member = Process { member: 0, incarnation: 0 };
        for record in mixed(played.iter().map(Played::consumer_journal).collect()) {
            clients.consumer_record(member, &record).unwrap();
        }
        clients.journal_ended(JournalEnd::Sealed);
        let found = clients.finish().unwrap();

        let mut sum = Counts::default();
        for (played, partition) in played.iter().zip(&found.partitions) {
            let expected = played.expected();
            prop_assert_eq!(partition.counts, expected, "partition {}", played.partition);
            let covered = played.log_start == 0 || !played.plan.tail_missed;
            prop_assert_eq!(partition.audit_complete, played.complete && covered);
            sum += expected;
        }
        prop_assert_eq!(found.counts, sum);
        prop_assert!(found.journals_complete);
        prop_assert_eq!(found.strays.len() as u64, sum.phantom + sum.corrupt);
        prop_assert_eq!(&ranges(&found), &ranges_of_counts(&sum));
    }
}

/// Sequences by finding, as the ranges tell; ranges may neither overlap nor touch.
fn ranges(found: &Reconciliation) -> BTreeMap<Finding, u64> {
    let mut sums = BTreeMap::new();
    let mut last_of = BTreeMap::new();
    for a in &found.anomalies {
        *sums.entry(a.finding).or_default() += a.last - a.first + 1;
        if let Some(last) = last_of.insert((a.stream, a.finding), a.last) {
            assert!(last + 1 < a.first, "{a:?} touches the one before");
        }
    }
    // These are counted in records and transactions, and their ranges in sequences.
    sums.retain(|finding, _| !matches!(finding, Finding::Flag(Flag::Duplicate | Flag::TornTxn)));
    sums
}

fn ranges_of_counts(counts: &Counts) -> BTreeMap<Finding, u64> {
    let category = Finding::Category;
    [
        (category(Category::Vanished), counts.vanished),
        (category(Category::LostInCluster), counts.lost_in_cluster),
        (category(Category::Unreadable), counts.unreadable),
        (category(Category::LostByConsumer), counts.lost_by_consumer),
        (category(Category::Lagging), counts.lagging),
        (category(Category::Undelivered), counts.undelivered.total()),
        (category(Category::Recovered), counts.recovered),
        (category(Category::Expired), counts.expired),
        (category(Category::Compacted), counts.compacted),
        (category(Category::BehindOpenTxn), counts.behind_open_txn),
        (Finding::Flag(Flag::Redelivered), counts.redelivered),
        (Finding::Flag(Flag::Reordered), counts.reordered),
        (Finding::Flag(Flag::OffsetConflict), counts.offset_conflicts),
        (Finding::Flag(Flag::FailedButLanded), counts.failed_but_landed),
        (Finding::Flag(Flag::AbortedRead), counts.aborted_reads),
        (Finding::Flag(Flag::RecoveredAndLanded), counts.recovered_and_landed),
        (Finding::Flag(Flag::DeadLettered), counts.dead_lettered),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}
