//! What a member notes: its journal, what it has in hand, and what its parent is told.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fragile::Fragile;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::event::Progress;
use lossproof_ledger::journal::{JournalError, JournalWriter};
use lossproof_ledger::payload::{self, Decoded, FENCE_HEADER};
use lossproof_ledger::record::{Identity, Record};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::dead_letters::{DeadLetters, Letter};
use super::gaps::GapWatch;
use super::hand::{Hand, Job, Raw};
use super::queue::{Answer, Fetched, Polled, Served};
use super::service::Outcome;
use super::workers::{Back, Pool};
use crate::experiment::Commit;
use crate::workload::child::{ChildError, Notices, log};
use crate::workload::spec::ClientSpec;
use crate::workload::status::ClientStatus;

pub(super) type Member = BaseConsumer<Context>;

/// How long workers may take to finish what they began of a partition that is to be given away.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(60);
const HAND_BACK_LOOK: Duration = Duration::from_millis(50);

/// What rdkafka's callbacks and the poll loop share. All that touch the notes run on the thread that
/// polls, which `Fragile` makes sure of: a mutex would take a tenth of the time that a record takes.
pub(super) struct Context {
    run: u64,
    pub(super) topic: String,
    pub(super) commit: Commit,
    /// The side effect is in a sink, and is read from there when all is over: the journal is not to tell it.
    has_sink: bool,
    /// Messages go on to another topic, as they are.
    passes_on: bool,
    notes: Fragile<RefCell<Notes>>,
    shown: Arc<Shown>,
    notices: Notices,
}

pub(super) struct Notes {
    journal: JournalWriter,
    pub hand: Hand,
    /// Who processes, if it is not the polling thread.
    pool: Option<Pool>,
    /// Where messages go that can't be processed.
    dead_letters: Option<DeadLetters>,
    /// Who looks for gaps in what is polled.
    gaps: Option<GapWatch>,
    /// Messages that the sink had already.
    repeats: u64,
    /// CLOCK_BOOTTIME.
    pub committed_ns: u64,
    polled: u64,
    processed: u64,
    /// The journal could not be written: nothing is, and nothing is committed, any more.
    pub halted: bool,
    /// Why, until that is told.
    broken: Option<JournalError>,
    /// Errors that were made notices already.
    noticed: BTreeSet<String>,
}

/// What the parent is told.
#[derive(Default)]
pub(super) struct Shown {
    polled: AtomicU64,
    processed: AtomicU64,
    assigned: AtomicBool,
    fences: Mutex<BTreeSet<i32>>,
}

impl Shown {
    pub fn status(&self) -> ClientStatus {
        // What was processed first, so that it never exceeds what was polled.
        let processed = self.processed.load(Ordering::Acquire);
        ClientStatus {
            progress: Progress::Consumer { polled: self.polled.load(Ordering::Acquire), processed },
            ready: self.assigned.load(Ordering::Acquire),
            fences_seen: lock(&self.fences).clone(),
        }
    }
}

impl Context {
    /// To be made on the thread that polls.
    pub fn new(
        spec: &ClientSpec,
        commit: Commit,
        (has_sink, passes_on): (bool, bool),
        (pool, dead_letters, gaps): (Option<Pool>, Option<DeadLetters>, Option<GapWatch>),
        journal: JournalWriter,
        shown: Arc<Shown>,
        notices: Notices,
    ) -> Self {
        let notes = Notes {
            journal,
            hand: Hand::default(),
            pool,
            dead_letters,
            gaps,
            repeats: 0,
            committed_ns: boottime_ns(),
            polled: 0,
            processed: 0,
            halted: false,
            broken: None,
            noticed: BTreeSet::new(),
        };
        let notes = Fragile::new(RefCell::new(notes));
        Self { run: spec.run, topic: spec.topic.clone(), commit, has_sink, passes_on, notes, shown, notices }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn into_journal(self) -> JournalWriter {
        let notes = self.notes.into_inner().into_inner();
        if notes.repeats > 0 {
            self.notices.send(format!("the sink had {} messages already, which changed nothing", notes.repeats));
        }
        notes.journal
    }

    pub(super) fn notes(&self) -> RefMut<'_, Notes> {
        self.notes.get().borrow_mut()
    }

    /// A record or an error, as polled; a message is processed at once.
    #[inline]
    pub fn take(&self, polled: Polled<'_>, at_ns: u64) -> Result<(), ChildError> {
        match polled {
            Polled::Record(record) => self.process(&record, at_ns),
            Polled::Error(error) => self.failed(error),
        }
    }

    fn failed(&self, error: KafkaError) -> Result<(), ChildError> {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            return Err(ChildError::ConsumerFatal(code.to_string()));
        }
        self.transient(&error);
        Ok(())
    }

    #[inline]
    fn identity(&self, fetched: &Fetched<'_>) -> Option<Identity> {
        match payload::decode(fetched.payload(), self.run) {
            Decoded::Ours(identity) => Some(identity),
            Decoded::OtherRun | Decoded::Corrupt | Decoded::Foreign => None,
        }
    }

    #[inline]
    fn process(&self, fetched: &Fetched<'_>, at_ns: u64) -> Result<(), ChildError> {
        let (partition, offset) = (fetched.partition(), fetched.offset());
        let identity = self.identity(fetched);
        let mut notes = self.notes();
        let notes = &mut *notes;
        // A fence is nobody's message.
        if identity.is_none() && fetched.has_header(FENCE_HEADER) {
            self.at_fence(notes, partition, offset, at_ns);
        } else {
            let polled = Record::Polled { partition, offset, at_ns };
            notes.write([&polled, &Record::Processed { partition, offset, identity, at_ns }]);
            notes.polled += 1;
            self.shown.polled.store(notes.polled, Ordering::Release);
            notes.processed += 1;
            self.shown.processed.store(notes.processed, Ordering::Release);
        }
        if self.commit != Commit::Auto {
            // Not before: what is committed must have been processed.
            notes.hand.passed(partition, offset);
        }
        notes.check()
    }

    fn at_fence(&self, notes: &mut Notes, partition: i32, offset: i64, at_ns: u64) {
        notes.write([&Record::FenceSeen { partition, offset, at_ns }]);
        lock(&self.shown.fences).insert(partition);
        self.notices.changed();
    }

    /// A record or an error, as polled; a message is in hand from now on.
    pub fn hand_out(&self, polled: Polled<'_>) -> Result<Option<Job>, ChildError> {
        let fetched = match polled {
            Polled::Record(record) => record,
            Polled::Error(error) => return self.failed(error).map(|()| None),
        };
        let (partition, offset, at_ns) = (fetched.partition(), fetched.offset(), boottime_ns());
        let identity = self.identity(&fetched);
        let mut notes = self.notes();
        let mut job = None;
        if identity.is_none() && fetched.has_header(FENCE_HEADER) {
            if notes.hand.fence(partition, offset) {
                self.at_fence(&mut notes, partition, offset, at_ns);
            }
        } else {
            notes.write([&Record::Polled { partition, offset, at_ns }]);
            notes.polled += 1;
            self.shown.polled.store(notes.polled, Ordering::Release);
            if let (Some(gaps), Some(identity)) = (&mut notes.gaps, &identity) {
                gaps.see(identity)?;
            }
            let lease = notes.hand.taken(partition, offset);
            let raw = (self.passes_on || notes.dead_letters.is_some())
                .then(|| Raw { key: fetched.key().map(<[u8]>::to_vec), payload: fetched.payload().to_vec() });
            job = Some(Job { partition, offset, identity, lease, raw });
        }
        notes.check().map(|()| job)
    }

    /// Notes what became of a message. Its side effect is the journal's entry, whoever owns its partition by now, or
    /// the sink's row.
    pub fn settle(&self, job: Job, outcome: Outcome) {
        let (partition, offset, identity) = (job.partition, job.offset, job.identity);
        let mut notes = self.notes();
        let notes = &mut *notes;
        match outcome {
            Outcome::Done => {
                if !self.has_sink {
                    notes.write([&Record::Processed { partition, offset, identity, at_ns: boottime_ns() }]);
                }
                notes.processed += 1;
                self.shown.processed.store(notes.processed, Ordering::Release);
                self.done(notes, &job);
            }
            Outcome::Repeat => {
                notes.repeats += 1;
                self.done(notes, &job);
            }
            Outcome::PassedOver => self.done(notes, &job),
            Outcome::DeadLetter { reason, attempts } => {
                if let Some(dead_letters) = &mut notes.dead_letters {
                    notes.hand.lent(&job);
                    dead_letters.put(Letter { job, reason, attempts });
                }
            }
            Outcome::Left => {}
        }
    }

    /// Nothing is to be done about the message any more.
    fn done(&self, notes: &mut Notes, job: &Job) {
        if let Some(fence) = notes.hand.done(job) {
            self.at_fence(notes, job.partition, fence, boottime_ns());
        }
    }

    /// Gives a message to the workers.
    pub fn lend(&self, job: Job) {
        let mut notes = self.notes();
        let notes = &mut *notes;
        if let Some(pool) = &mut notes.pool {
            notes.hand.lent(&job);
            pool.lend(job);
        }
    }

    /// Messages with workers or in their queue, or on their way to the dead-letter topic.
    pub fn lent(&self) -> usize {
        let notes = self.notes();
        notes.pool.as_ref().map_or(0, Pool::lent) + notes.dead_letters.as_ref().map_or(0, DeadLetters::open)
    }

    /// Takes back all that workers have done, waiting for the first of it, and all that is safe among the dead
    /// letters, waiting for these where there are no workers.
    pub fn take_back(&self, wait: Duration) {
        let mut wait = wait;
        loop {
            let mut notes = self.notes();
            let Some(Back { job, outcome }) = notes.pool.as_mut().and_then(|pool| pool.next_back(wait)) else { break };
            notes.hand.back(&job);
            drop(notes);
            self.settle(job, outcome);
            wait = Duration::ZERO;
        }
        let mut notes = self.notes();
        let notes = &mut *notes;
        let wait = if notes.pool.is_some() { Duration::ZERO } else { wait };
        for job in notes.dead_letters.as_mut().map(|letters| letters.safe(wait)).unwrap_or_default() {
            notes.hand.back(&job);
            self.done(notes, &job);
        }
    }

    /// Partitions that this member owns.
    pub fn partitions(&self) -> Vec<i32> {
        self.notes().hand.partitions().collect()
    }

    /// Before partitions are given away: nothing more of them is begun, and what was begun is waited for, unless
    /// they are gone already.
    fn hand_back(&self, revoked: &BTreeSet<i32>, are_lost: bool) {
        revoked.iter().for_each(|partition| self.notes().hand.end_lease(*partition));
        let until = Instant::now() + HAND_BACK_LIMIT;
        let is_lent = || revoked.iter().any(|partition| self.notes().hand.is_lent(*partition));
        while !are_lost && is_lent() && Instant::now() < until {
            self.take_back(HAND_BACK_LOOK);
        }
    }

    /// Brokers come and go; librdkafka goes on by itself. A person hears of each such error once.
    pub(super) fn transient(&self, error: &KafkaError) {
        let worth_telling = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::PollExceeded
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
            )
        );
        let text = error.to_string();
        if worth_telling && self.notes().noticed.insert(text.clone()) {
            self.notices.send(text);
        } else {
            tracing::warn!("{text}");
        }
    }

    /// An error that a callback could not return.
    pub fn check(&self) -> Result<(), ChildError> {
        self.notes().check()
    }
}

impl Notes {
    /// After a failure nothing is written or committed any more: the process is about to end.
    fn write<const N: usize>(&mut self, records: [&Record; N]) {
        if !self.halted
            && let Err(error) = self.journal.append_all(records)
        {
            self.halted = true;
            self.broken = Some(error);
        }
    }

    /// Journals what commits came to.
    pub fn answered(&mut self, answers: &[Answer]) {
        for &Answer { partition, offset, ok } in answers {
            self.write([&Record::Committed { partition, offset, ok, at_ns: boottime_ns() }]);
            if ok {
                self.hand.accepted(partition, offset);
            }
        }
    }

    fn check(&mut self) -> Result<(), ChildError> {
        match self.broken.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log(RDKafkaLogLevel::Warning, "ERROR", &format!("{error}: {reason}"));
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, member: &Member, rebalance: &Rebalance<'_>) {
        let at_ns = boottime_ns();
        match rebalance {
            Rebalance::Assign(partitions) => {
                let mut notes = self.notes();
                for element in partitions.elements() {
                    let partition = element.partition();
                    notes.hand.assigned(partition);
                    notes.write([&Record::Assigned { partition, at_ns }]);
                }
                drop(notes);
                self.shown.assigned.store(true, Ordering::Release);
                self.notices.changed();
            }
            Rebalance::Revoke(partitions) => {
                let revoked: BTreeSet<i32> = partitions
                    .elements()
                    .iter()
                    .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
                    .collect();
                if self.commit.hands_back() {
                    self.hand_back(&revoked, member.assignment_lost());
                }
                self.commit_finally(member, Some(&revoked));
                let at_ns = boottime_ns();
                let mut notes = self.notes();
                for partition in revoked {
                    notes.hand.revoked(partition);
                    notes.write([&Record::Revoked { partition, at_ns }]);
                }
            }
            Rebalance::Error(error) => self.notices.send(format!("rebalance: {error}")),
        }
    }
}

impl Served for Context {
    fn committed(&self, answers: &[Answer]) {
        self.notes().answered(answers);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
