//! A made-up profile of any size, told record by record and never held: what its journals say, which
//! anomalies were planted, and what a reconciliation must find. The same history comes from the same
//! plan each time, so that a part of it (see [`Part`]) can be told alone.

use lossproof_ledger::category::{Category, Told};
use lossproof_ledger::counts::Counts;
use lossproof_ledger::event::PositionSource;
use lossproof_ledger::reconcile::{
    Anomaly, Audit, CommittedPass, Facts, Finding, Flag, Offered, Partition, Position, Stray, StrayKind, Stream,
    StreamId, Tail,
};
use lossproof_ledger::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

use super::Random;

pub const RUN: u64 = 7;
/// Processes of the consumer group.
pub const MEMBERS: usize = 3;
/// First sequences of each stream of partition 0 that retention took.
const EXPIRED: u64 = 1000;
/// Last sequences of each stream that the group has not come to.
const AHEAD: u64 = 50;

/// Who writes where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub name: &'static str,
    pub partitions: usize,
    /// In each partition.
    pub producers: usize,
    /// The last partition is written in transactions.
    pub transactions: bool,
}

pub const LAYOUTS: [Layout; 2] = [
    Layout { name: "one producer a partition", partitions: 12, producers: 1, transactions: true },
    Layout { name: "four producers interleaved in each partition", partitions: 3, producers: 4, transactions: true },
];

impl Layout {
    pub fn streams(&self) -> usize {
        self.partitions * self.producers
    }

    fn in_transactions(&self, partition: usize) -> bool {
        self.transactions && partition + 1 == self.partitions
    }

    fn id(&self, stream: usize) -> StreamId {
        StreamId { producer: stream as u16, partition: (stream / self.producers) as i32 }
    }
}

/// Which journals to tell of. Records of one journal come in its order; `Visible` comes after `Log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// None: only what must come out.
    Nothing,
    /// The audit under read_uncommitted, the tail reader, what is parked.
    Log,
    /// The audit under read_committed.
    Visible,
    /// Producers and consumers.
    Clients,
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    Audit,
    Tail,
    Parking,
    /// By stream.
    Producer(usize),
    /// By member.
    Consumer(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lost,
    Overwritten,
    Vanished,
    Unprocessed,
    Skipped,
    Failed,
    Indeterminate,
    Silent,
    Unconfirmed,
    Unsent,
    Duplicate,
    Redelivered,
    Reordered,
    Conflict,
    FailedButLanded,
    Phantom,
    Corrupt,
    Recovered,
    RecoveredAndLanded,
    DeadLettered,
    Aborted,
    AbortedRead,
    Torn,
}

const KINDS: [Kind; 20] = [
    Kind::Lost,
    Kind::Overwritten,
    Kind::Vanished,
    Kind::Unprocessed,
    Kind::Skipped,
    Kind::Failed,
    Kind::Indeterminate,
    Kind::Silent,
    Kind::Unconfirmed,
    Kind::Unsent,
    Kind::Duplicate,
    Kind::Redelivered,
    Kind::Reordered,
    Kind::Conflict,
    Kind::FailedButLanded,
    Kind::Phantom,
    Kind::Corrupt,
    Kind::Recovered,
    Kind::RecoveredAndLanded,
    Kind::DeadLettered,
];

const IN_TRANSACTIONS: [Kind; 6] =
    [Kind::Lost, Kind::Unprocessed, Kind::Redelivered, Kind::Aborted, Kind::AbortedRead, Kind::Torn];

/// A history to be told.
pub struct Plan {
    pub layout: Layout,
    /// Sequences of each stream.
    pub per_stream: u64,
    planted: Vec<Vec<(u64, Kind)>>,
}

/// Offsets of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    pub log_start: i64,
    /// Of the group.
    pub position: i64,
    /// The fence's.
    pub end: i64,
}

/// What must be found.
#[derive(Debug, Default)]
pub struct Expected {
    pub counts: Counts,
    pub anomalies: Vec<Anomaly>,
    pub strays: Vec<Stray>,
    pub edges: Vec<Edges>,
    /// Records told.
    pub records: u64,
}

impl Plan {
    /// At least some 500 sequences for each anomaly.
    pub fn new(layout: Layout, sequences: u64, anomalies: u64) -> Self {
        let streams = layout.streams() as u64;
        let per_stream = sequences / streams;
        let mut random = Random::new(3);
        let planted = (0..streams)
            .map(|stream| {
                let count = anomalies * (stream + 1) / streams - anomalies * stream / streams;
                let gap = (per_stream - EXPIRED - AHEAD) / (count + 1);
                let partition = stream as usize / layout.producers;
                let kinds: &[Kind] = if layout.in_transactions(partition) { &IN_TRANSACTIONS } else { &KINDS };
                (0..count)
                    .map(|n| {
                        let sequence = EXPIRED + n * gap + gap / 4 + random.below(gap / 2);
                        (sequence, kinds[(n + stream) as usize % kinds.len()])
                    })
                    .collect()
            })
            .collect();
        Self { layout, per_stream, planted }
    }

    /// What the events would say.
    pub fn facts(&self, edges: &[Edges]) -> Facts {
        let partitions = edges.iter().enumerate().map(|(p, edges)| Partition {
            partition: p as i32,
            audit: Some(Audit {
                attempt: 0,
                complete: true,
                log_start: edges.log_start,
                committed: self
                    .layout
                    .in_transactions(p)
                    .then_some(CommittedPass { complete: true, open_from: Some(edges.position) }),
                tail: (p == 0).then_some(Tail { from: 0, position: edges.end, keys: None }),
            }),
            position: Some(Position { offset: edges.position, source: PositionSource::Owner }),
        });
        let streams = (0..self.layout.streams())
            .map(|stream| Stream { id: self.layout.id(stream), offered: Offered::Below(self.per_stream) });
        Facts {
            run: RUN,
            streams: streams.collect(),
            partitions: partitions.collect(),
            journals: self.layout.streams() + MEMBERS,
        }
    }

    /// Tells the records of a part to `emit`.
    pub fn tell(&self, part: Part, emit: impl FnMut(Journal, &Record)) -> Expected {
        Teller::new(self, part, emit).tell()
    }
}

/// A history being told.
struct Teller<'a, E> {
    plan: &'a Plan,
    part: Part,
    emit: E,
    random: Random,
    at_ns: u64,
    /// The next sequence of each stream, and its next anomaly.
    streams: Vec<(u64, usize)>,
    /// The next offset of each partition.
    offsets: Vec<i64>,
    expected: Expected,
}

impl<'a, E: FnMut(Journal, &Record)> Teller<'a, E> {
    fn new(plan: &'a Plan, part: Part, emit: E) -> Self {
        Self {
            plan,
            part,
            emit,
            random: Random::new(4),
            at_ns: 1_000_000_000_000,
            streams: vec![(0, 0); plan.layout.streams()],
            offsets: vec![0; plan.layout.partitions],
            expected: Expected::default(),
        }
    }

    fn tell(mut self) -> Expected {
        let layout = self.plan.layout;
        for stream in 0..layout.producers {
            self.expire(stream);
        }
        let log_start = self.offsets[0];
        let mut open: Vec<usize> = (0..layout.streams()).collect();
        while !open.is_empty() {
            let choice = self.random.below(open.len() as u64) as usize;
            let most = self.random.between(1, 50);
            self.batch(open[choice], most);
            if self.streams[open[choice]].0 == self.plan.per_stream - AHEAD {
                open.swap_remove(choice);
            }
        }
        for partition in 0..layout.partitions {
            let position = self.offsets[partition];
            for stream in partition * layout.producers..(partition + 1) * layout.producers {
                self.ahead(stream);
            }
            let end = self.offsets[partition];
            self.audited(partition, end, Content::Fence);
            let log_start = if partition == 0 { log_start } else { 0 };
            self.expected.edges.push(Edges { log_start, position, end });
        }
        self.expected.counts.offered = self.plan.per_stream * layout.streams() as u64;
        self.expected.anomalies.sort_unstable();
        self.expected.strays.sort_unstable();
        self.expected
    }

    /// What retention took after the group, but for some, had read it.
    fn expire(&mut self, stream: usize) {
        for sequence in 0..EXPIRED {
            let offset = self.next_offset(stream);
            let identity = self.identity(stream, sequence);
            let at_ns = self.now();
            if self.part == Part::Log {
                let partition = identity.partition;
                self.say(Journal::Tail, &Record::Tailed { partition, offset, identity: Some(identity), at_ns });
            }
            self.told(stream, sequence, Told::Acked, Some(offset));
            if sequence % 100 == 50 {
                self.find(stream, sequence, Finding::Category(Category::Expired));
                self.expected.counts.expired += 1;
                self.expected.counts.lost += 1;
            } else {
                self.processed(stream, offset, Some(identity));
                self.expected.counts.delivered += 1;
            }
        }
        self.streams[stream].0 = EXPIRED;
    }

    /// Some sequences of one producer, as they come.
    fn batch(&mut self, stream: usize, most: u64) {
        let transactional = self.transactional(stream);
        let end = (self.streams[stream].0 + most).min(self.plan.per_stream - AHEAD);
        while self.streams[stream].0 < end {
            let (next, due) = self.streams[stream];
            let planted = self.plan.planted[stream].get(due).copied();
            let plain = planted.map_or(end, |(sequence, _)| sequence.min(end));
            for sequence in next..plain {
                self.deliver(stream, sequence);
            }
            if transactional && plain > next {
                self.end_txn(stream, TxnOutcome::Committed);
            }
            self.streams[stream].0 = plain;
            if let Some((sequence, kind)) = planted
                && sequence == plain
                && plain < end
            {
                let sequences = self.anomaly(stream, sequence, kind);
                if transactional {
                    let aborted = matches!(kind, Kind::Aborted | Kind::AbortedRead);
                    self.end_txn(stream, if aborted { TxnOutcome::Aborted } else { TxnOutcome::Committed });
                }
                self.streams[stream] = (sequence + sequences, due + 1);
            }
        }
    }

    /// What the group has not come to; in transactions, what an open one hides.
    fn ahead(&mut self, stream: usize) {
        let transactional = self.transactional(stream);
        let first = self.streams[stream].0;
        for sequence in first..self.plan.per_stream {
            let offset = self.next_offset(stream);
            let identity = self.identity(stream, sequence);
            self.audited(identity.partition as usize, offset, Content::Message(identity));
            self.told(stream, sequence, Told::Acked, Some(offset));
        }
        let counts = &mut self.expected.counts;
        counts.records_in_log += AHEAD;
        counts.in_log += AHEAD;
        let category = if transactional {
            counts.behind_open_txn += AHEAD;
            counts.acked -= AHEAD;
            counts.indeterminate += AHEAD;
            Category::BehindOpenTxn
        } else {
            counts.lagging += AHEAD;
            Category::Lagging
        };
        self.finds(stream, (first, self.plan.per_stream - 1), Finding::Category(category));
    }

    fn deliver(&mut self, stream: usize, sequence: u64) {
        let offset = self.land(stream, sequence, true);
        self.told(stream, sequence, Told::Acked, Some(offset));
        let identity = self.identity(stream, sequence);
        self.processed(stream, offset, Some(identity));
        self.expected.counts.delivered += 1;
        self.expected.counts.in_log += 1;
    }

    /// Plants an anomaly at a sequence, and gives the number of sequences that it took.
    fn anomaly(&mut self, stream: usize, sequence: u64, kind: Kind) -> u64 {
        let partition = stream / self.plan.layout.producers;
        let identity = self.identity(stream, sequence);
        let last_offset = self.offsets[partition] - 1;
        match kind {
            Kind::Lost => {
                self.told(stream, sequence, Told::Acked, None);
                self.lose(stream, sequence);
            }
            Kind::Overwritten => {
                self.told(stream, sequence, Told::Acked, Some(last_offset));
                self.lose(stream, sequence);
                self.flag(stream, sequence, Flag::OffsetConflict);
            }
            Kind::Vanished => {
                self.told(stream, sequence, Told::Acked, None);
                self.processed(stream, last_offset, Some(identity));
                self.find(stream, sequence, Finding::Category(Category::Vanished));
                self.expected.counts.vanished += 1;
                self.expected.counts.lost += 1;
            }
            Kind::Unprocessed | Kind::Skipped | Kind::DeadLettered => {
                let offset = self.land(stream, sequence, true);
                self.told(stream, sequence, Told::Acked, Some(offset));
                self.expected.counts.in_log += 1;
                if kind == Kind::Skipped {
                    self.expected.counts.skips += 1;
                } else {
                    self.polled(stream, offset);
                }
                if kind == Kind::DeadLettered {
                    self.held(Place::ConsumerDlq, identity);
                    self.flag(stream, sequence, Flag::DeadLettered);
                    self.expected.counts.delivered += 1;
                } else {
                    self.find(stream, sequence, Finding::Category(Category::LostByConsumer));
                    self.expected.counts.lost_by_consumer += 1;
                    self.expected.counts.lost += 1;
                }
            }
            Kind::Failed => {
                self.told(stream, sequence, Told::Failed, None);
                self.undelivered(stream, sequence, Told::Failed);
            }
            Kind::Indeterminate => {
                self.told(stream, sequence, Told::Indeterminate, None);
                self.undelivered(stream, sequence, Told::Indeterminate);
            }
            Kind::Silent => {
                self.expected.counts.indeterminate += 1;
                self.undelivered(stream, sequence, Told::Indeterminate);
            }
            Kind::Unconfirmed => {
                self.told(stream, sequence, Told::Unconfirmed, None);
                self.undelivered(stream, sequence, Told::Unconfirmed);
            }
            Kind::Unsent => {
                self.told(stream, sequence, Told::Unsent, None);
                self.undelivered(stream, sequence, Told::Unsent);
            }
            Kind::Duplicate => {
                self.deliver(stream, sequence);
                let again = self.land(stream, sequence, true);
                self.processed(stream, again, Some(identity));
                self.flag(stream, sequence, Flag::Duplicate);
                self.flag(stream, sequence, Flag::Doubled);
                self.expected.counts.duplicate_records += 1;
            }
            Kind::Redelivered => {
                self.deliver(stream, sequence);
                let offset = self.offsets[partition] - 1;
                self.processed(stream, offset, Some(identity));
                self.flag(stream, sequence, Flag::Redelivered);
                self.flag(stream, sequence, Flag::Doubled);
            }
            Kind::Reordered => {
                self.deliver(stream, sequence + 1);
                self.deliver(stream, sequence);
                self.flag(stream, sequence, Flag::Reordered);
                return 2;
            }
            Kind::Conflict => {
                let offset = self.land(stream, sequence, true);
                self.told(stream, sequence, Told::Acked, Some(last_offset));
                self.processed(stream, offset, Some(identity));
                self.flag(stream, sequence, Flag::OffsetConflict);
                self.expected.counts.delivered += 1;
                self.expected.counts.in_log += 1;
            }
            Kind::FailedButLanded | Kind::RecoveredAndLanded => {
                let offset = self.land(stream, sequence, true);
                self.processed(stream, offset, Some(identity));
                if kind == Kind::FailedButLanded {
                    self.told(stream, sequence, Told::Failed, None);
                    self.flag(stream, sequence, Flag::FailedButLanded);
                } else {
                    self.told(stream, sequence, Told::Indeterminate, None);
                    self.held(Place::Outbox, identity);
                    self.flag(stream, sequence, Flag::RecoveredAndLanded);
                }
                self.expected.counts.delivered += 1;
                self.expected.counts.in_log += 1;
            }
            Kind::Recovered => {
                self.told(stream, sequence, Told::Failed, None);
                self.held(Place::Spool, identity);
                self.find(stream, sequence, Finding::Category(Category::Recovered));
                self.expected.counts.recovered += 1;
            }
            Kind::Phantom => {
                let offset = self.land(stream, self.plan.per_stream + sequence, true);
                self.processed(stream, offset, Some(self.identity(stream, self.plan.per_stream + sequence)));
                self.stray(partition, offset, StrayKind::Phantom);
                return 0;
            }
            Kind::Corrupt => {
                let offset = self.next_offset(stream);
                self.audited(partition, offset, Content::Corrupt);
                self.processed(stream, offset, None);
                self.expected.counts.records_in_log += 1;
                self.stray(partition, offset, StrayKind::Corrupt);
                return 0;
            }
            Kind::Aborted | Kind::AbortedRead => {
                let offset = self.land(stream, sequence, false);
                self.told(stream, sequence, Told::Acked, Some(offset));
                self.expected.counts.acked -= 1;
                self.expected.counts.failed += 1;
                self.expected.counts.aborted_records += 1;
                if kind == Kind::Aborted {
                    self.undelivered(stream, sequence, Told::Failed);
                } else {
                    self.processed(stream, offset, Some(identity));
                    self.flag(stream, sequence, Flag::AbortedRead);
                    self.find(stream, sequence, Finding::Category(Category::Vanished));
                    self.expected.counts.vanished += 1;
                }
            }
            Kind::Torn => {
                self.deliver(stream, sequence);
                self.told(stream, sequence + 1, Told::Acked, None);
                self.lose(stream, sequence + 1);
                self.finds(stream, (sequence, sequence + 1), Finding::Flag(Flag::TornTxn));
                self.expected.counts.torn_txn += 1;
                return 2;
            }
        }
        1
    }

    /// A copy comes into the log.
    fn land(&mut self, stream: usize, sequence: u64, visible: bool) -> i64 {
        let offset = self.next_offset(stream);
        let identity = self.identity(stream, sequence);
        let partition = identity.partition as usize;
        self.audited(partition, offset, Content::Message(identity));
        if visible {
            if self.part == Part::Visible && self.plan.layout.in_transactions(partition) {
                self.audit_entry(partition, offset, Isolation::ReadCommitted, Content::Message(identity));
            }
            self.expected.counts.records_in_log += 1;
        }
        offset
    }

    fn audited(&mut self, partition: usize, offset: i64, content: Content) {
        if self.part == Part::Log {
            self.audit_entry(partition, offset, Isolation::ReadUncommitted, content);
        }
    }

    fn audit_entry(&mut self, partition: usize, offset: i64, isolation: Isolation, content: Content) {
        let partition = partition as i32;
        let record = Record::Audited { partition, offset, audit: 0, isolation, leader_epoch: Some(0), content };
        self.say(Journal::Audit, &record);
    }

    fn held(&mut self, place: Place, identity: Identity) {
        if self.part == Part::Log {
            let at_ns = self.now();
            self.say(Journal::Parking, &Record::Held { place, identity, at_ns });
        }
    }

    fn told(&mut self, stream: usize, sequence: u64, told: Told, offset: Option<i64>) {
        let counts = &mut self.expected.counts;
        *(match told {
            Told::Acked => &mut counts.acked,
            Told::Unconfirmed => &mut counts.unconfirmed,
            Told::Failed => &mut counts.failed,
            Told::Indeterminate => &mut counts.indeterminate,
            Told::Unsent => &mut counts.unsent,
        }) += 1;
        if self.part == Part::Clients {
            let at_ns = self.at_ns;
            let partition = self.plan.layout.id(stream).partition;
            let in_txn = self.transactional(stream);
            let broker = Some(partition % 3);
            let record =
                Record::Told { partition, sequence, attempt: 0, told, offset, error: 0, broker, in_txn, at_ns };
            self.say(Journal::Producer(stream), &record);
        }
    }

    fn polled(&mut self, stream: usize, offset: i64) {
        if self.part == Part::Clients {
            let partition = self.plan.layout.id(stream).partition;
            let at_ns = self.now();
            self.say(Journal::Consumer(partition as usize % MEMBERS), &Record::Polled { partition, offset, at_ns });
        }
    }

    /// Polled and processed.
    fn processed(&mut self, stream: usize, offset: i64, identity: Option<Identity>) {
        if self.part == Part::Clients {
            self.polled(stream, offset);
            let partition = self.plan.layout.id(stream).partition;
            let at_ns = self.now();
            let record = Record::Processed { partition, offset, identity, at_ns };
            self.say(Journal::Consumer(partition as usize % MEMBERS), &record);
        }
    }

    /// Its marker takes an offset.
    fn end_txn(&mut self, stream: usize, outcome: TxnOutcome) {
        self.next_offset(stream);
        if self.part == Part::Clients {
            let partition = self.plan.layout.id(stream).partition;
            let at_ns = self.now();
            self.say(Journal::Producer(stream), &Record::TxnEnded { partition, outcome, at_ns });
        }
    }

    fn lose(&mut self, stream: usize, sequence: u64) {
        self.find(stream, sequence, Finding::Category(Category::LostInCluster));
        self.expected.counts.lost_in_cluster += 1;
        self.expected.counts.lost += 1;
    }

    fn undelivered(&mut self, stream: usize, sequence: u64, told: Told) {
        self.find(stream, sequence, Finding::Category(Category::Undelivered));
        let undelivered = &mut self.expected.counts.undelivered;
        *(match told {
            Told::Failed => &mut undelivered.failed,
            Told::Unconfirmed => &mut undelivered.unconfirmed,
            Told::Unsent => &mut undelivered.unsent,
            Told::Indeterminate | Told::Acked => &mut undelivered.indeterminate,
        }) += 1;
        self.expected.counts.lost += 1;
    }

    fn flag(&mut self, stream: usize, sequence: u64, flag: Flag) {
        self.find(stream, sequence, Finding::Flag(flag));
        let counts = &mut self.expected.counts;
        *(match flag {
            Flag::Duplicate => &mut counts.duplicates,
            Flag::Redelivered => &mut counts.redelivered,
            Flag::Doubled => &mut counts.doubled,
            Flag::Reordered => &mut counts.reordered,
            Flag::OffsetConflict => &mut counts.offset_conflicts,
            Flag::FailedButLanded => &mut counts.failed_but_landed,
            Flag::AbortedRead => &mut counts.aborted_reads,
            Flag::TornTxn => &mut counts.torn_txn,
            Flag::RecoveredAndLanded => &mut counts.recovered_and_landed,
            Flag::DeadLettered => &mut counts.dead_lettered,
        }) += 1;
    }

    fn stray(&mut self, partition: usize, offset: i64, kind: StrayKind) {
        let counts = &mut self.expected.counts;
        *(match kind {
            StrayKind::Phantom => &mut counts.phantom,
            StrayKind::Corrupt => &mut counts.corrupt,
        }) += 1;
        counts.processed_foreign += 1;
        self.expected.strays.push(Stray { partition: partition as i32, offset, kind });
    }

    fn find(&mut self, stream: usize, sequence: u64, finding: Finding) {
        self.finds(stream, (sequence, sequence), finding);
    }

    fn finds(&mut self, stream: usize, (first, last): (u64, u64), finding: Finding) {
        let stream = self.plan.layout.id(stream);
        self.expected.anomalies.push(Anomaly { stream, first, last, finding });
    }

    fn say(&mut self, journal: Journal, record: &Record) {
        self.expected.records += 1;
        (self.emit)(journal, record);
    }

    fn identity(&self, stream: usize, sequence: u64) -> Identity {
        let StreamId { producer, partition } = self.plan.layout.id(stream);
        Identity { run: RUN, producer, incarnation: 0, partition, sequence, attempt: 0 }
    }

    fn transactional(&self, stream: usize) -> bool {
        self.plan.layout.in_transactions(stream / self.plan.layout.producers)
    }

    fn next_offset(&mut self, stream: usize) -> i64 {
        let offset = &mut self.offsets[stream / self.plan.layout.producers];
        *offset += 1;
        *offset - 1
    }

    /// Time passes irregularly: mostly microseconds, sometimes milliseconds. Told by a generator of
    /// its own, so that all parts tell the same history.
    fn now(&mut self) -> u64 {
        let jitter = self.at_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        self.at_ns += if jitter < 1000 { jitter * 8000 } else { jitter / 4 };
        self.at_ns
    }
}
