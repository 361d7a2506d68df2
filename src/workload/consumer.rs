//! A consumer process: polls as a member of a group, processes at once, and commits by its behaviour.
//!
//! Processing is the journal's entry: that record is the side effect whose loss or repetition is
//! counted. It is made right after the poll and before any commit of its own, so nothing is ever in
//! hand between two polls. Under automatic commits librdkafka stores an offset when it hands the record
//! out, and commits what is stored in the background and at close.
//!
//! Fence records are no messages: they are seen, not processed, and their offset is committed as any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::event::Progress;
use lossproof_ledger::journal::{Header, JournalError, JournalWriter, Source};
use lossproof_ledger::payload::{self, Decoded, FENCE_HEADER};
use lossproof_ledger::record::Record;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::child::{Board, ChildError, Control, Notices, log, notices};
use super::config;
use super::spec::{ClientSpec, Consuming};
use super::status::ClientStatus;
use crate::experiment::Commit;

/// Offsets are committed at least this often while there is something new.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// How long a poll waits: commits and the parent's commands are looked at in between.
const POLL_MAX: Duration = Duration::from_millis(50);

/// Records that may share a reading of the clock while they come without a wait: a few microseconds.
const SHARED_READING: u32 = 16;

type Member = BaseConsumer<Context>;

/// CLOCK_BOOTTIME, which takes a good part of the time that a record takes.
#[derive(Default)]
struct Clock {
    read_ns: u64,
    uses_left: u32,
}

impl Clock {
    fn now_ns(&mut self) -> u64 {
        *self = Self { read_ns: boottime_ns(), uses_left: SHARED_READING };
        self.read_ns
    }

    /// Of a moment ago, if nothing was waited for since.
    fn recent_ns(&mut self) -> u64 {
        match self.uses_left {
            0 => self.now_ns(),
            _ => {
                self.uses_left -= 1;
                self.read_ns
            }
        }
    }

    /// Something took time.
    fn forget(&mut self) {
        self.uses_left = 0;
    }
}

/// What rdkafka's callbacks and the poll loop share. All run on the thread that polls; the mutex is
/// there because rdkafka's contexts are shared.
struct Context {
    run: u64,
    topic: String,
    commit: Commit,
    notes: Mutex<Notes>,
    shown: Arc<Shown>,
    notices: Notices,
}

struct Notes {
    journal: JournalWriter,
    /// By partition, the next offset to read as processing goes, where it is not committed yet.
    uncommitted: BTreeMap<i32, i64>,
    /// CLOCK_BOOTTIME.
    committed_ns: u64,
    polled: u64,
    processed: u64,
    /// The journal could not be written: nothing is, and nothing is committed, any more.
    halted: bool,
    /// Why, until that is told.
    broken: Option<JournalError>,
    /// Errors that were made notices already.
    noticed: BTreeSet<String>,
}

/// What the parent is told.
#[derive(Default)]
struct Shown {
    polled: AtomicU64,
    processed: AtomicU64,
    assigned: AtomicBool,
    fences: Mutex<BTreeSet<i32>>,
}

impl Shown {
    fn status(&self) -> ClientStatus {
        // What was processed first, so that it never exceeds what was polled.
        let processed = self.processed.load(Ordering::Acquire);
        ClientStatus {
            progress: Progress::Consumer { polled: self.polled.load(Ordering::Acquire), processed },
            ready: self.assigned.load(Ordering::Acquire),
            fences_seen: lock(&self.fences).clone(),
        }
    }
}

/// Runs until `control` asks for the end, then leaves the group and seals the journal.
pub(super) fn run(spec: &ClientSpec, consuming: &Consuming, control: &Arc<Control>) -> Result<(), ChildError> {
    let journal = JournalWriter::create(
        &spec.journal_dir,
        &Header {
            run: spec.run,
            profile: spec.id.profile.clone(),
            source: Source::Consumer { member: spec.id.member, incarnation: spec.id.incarnation },
        },
    )?;
    let shown = Arc::new(Shown::default());
    let (notices, queue) = notices();
    let board = Board::start(notices.clone(), queue, {
        let shown = Arc::clone(&shown);
        move || shown.status()
    });
    let context = Context {
        run: spec.run,
        topic: spec.topic.clone(),
        commit: consuming.commit,
        notes: Mutex::new(Notes {
            journal,
            uncommitted: BTreeMap::new(),
            committed_ns: boottime_ns(),
            polled: 0,
            processed: 0,
            halted: false,
            broken: None,
            noticed: BTreeSet::new(),
        }),
        shown,
        notices,
    };
    let member: Member = config::consumer(spec, consuming).client().create_with_context(context)?;
    let result = poll_until_end(&member, control).and_then(|()| leave(&member));
    let context = Arc::clone(member.context());
    drop(member);
    let result = result.and_then(|()| seal(context));
    board.finish();
    result
}

fn poll_until_end(member: &Member, control: &Control) -> Result<(), ChildError> {
    let context = member.context();
    member.subscribe(&[&context.topic])?;
    let mut clock = Clock::default();
    while !control.is_ending() {
        // What waits is taken without looking at the clock, as a wait would.
        let (polled, at_ns) = match member.poll(Duration::ZERO) {
            Some(polled) => (Some(polled), clock.recent_ns()),
            None => (member.poll(POLL_MAX), clock.now_ns()),
        };
        match polled {
            Some(polled) => context.take(polled, at_ns)?,
            None => context.check()?,
        }
        if context.commit_if_due(member, at_ns, COMMIT_INTERVAL) {
            clock.forget();
        }
    }
    context.check()
}

/// Commits by the behaviour, and leaves the group. What librdkafka still hands out while it closes is
/// processed like anything else: rdkafka's own drop would throw it away.
fn leave(member: &Member) -> Result<(), ChildError> {
    let context = member.context();
    context.commit_if_due(member, boottime_ns(), Duration::ZERO);
    member.close_queue()?;
    while !member.closed() {
        if let Some(polled) = member.poll(POLL_MAX) {
            context.take(polled, boottime_ns())?;
        }
        context.check()?;
    }
    context.check()
}

fn seal(context: Arc<Context>) -> Result<(), ChildError> {
    let context = Arc::into_inner(context).ok_or(ChildError::BookHeld)?;
    let notes = context.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(notes.journal.seal()?)
}

impl Context {
    /// A record or an error, as polled.
    fn take(&self, polled: KafkaResult<BorrowedMessage<'_>>, at_ns: u64) -> Result<(), ChildError> {
        match polled {
            Ok(message) => self.process(&message, at_ns),
            Err(KafkaError::MessageConsumptionFatal(code)) => Err(ChildError::ConsumerFatal(code.to_string())),
            Err(error) => {
                self.transient(&error);
                Ok(())
            }
        }
    }

    fn process(&self, message: &BorrowedMessage<'_>, at_ns: u64) -> Result<(), ChildError> {
        let (partition, offset) = (message.partition(), message.offset());
        let mut guard = lock(&self.notes);
        let notes = &mut *guard;
        let identity = match payload::decode(message.payload().unwrap_or_default(), self.run) {
            Decoded::Ours(identity) => Some(identity),
            Decoded::OtherRun | Decoded::Corrupt | Decoded::Foreign => None,
        };
        // A fence is nobody's message.
        if identity.is_none() && is_fence(message) {
            notes.write(&Record::FenceSeen { partition, offset, at_ns });
            lock(&self.shown.fences).insert(partition);
            self.notices.changed();
        } else {
            notes.write(&Record::Polled { partition, offset, at_ns });
            notes.polled += 1;
            self.shown.polled.store(notes.polled, Ordering::Release);
            notes.write(&Record::Processed { partition, offset, identity, at_ns });
            notes.processed += 1;
            self.shown.processed.store(notes.processed, Ordering::Release);
        }
        if self.commit == Commit::AfterSync {
            // Not before: what is committed must have been processed.
            notes.uncommitted.insert(partition, offset + 1);
        }
        match notes.broken.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Brokers come and go; librdkafka goes on by itself. A person hears of each such error once.
    fn transient(&self, error: &KafkaError) {
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
        if worth_telling && lock(&self.notes).noticed.insert(text.clone()) {
            self.notices.send(text);
        } else {
            tracing::warn!("{text}");
        }
    }

    /// Commits what was processed, if that is this client's part and the last time is `interval` ago. True
    /// if it did.
    fn commit_if_due(&self, member: &Member, now_ns: u64, interval: Duration) -> bool {
        if self.commit != Commit::AfterSync {
            return false;
        }
        let is_due = {
            let notes = lock(&self.notes);
            let since = Duration::from_nanos(now_ns.saturating_sub(notes.committed_ns));
            !notes.uncommitted.is_empty() && since >= interval
        };
        if is_due {
            self.commit(member, |_| true);
        }
        is_due
    }

    /// Commits synchronously what was processed of the partitions chosen. The journal is not held
    /// meanwhile: the broker may take its time.
    fn commit(&self, member: &Member, chosen: impl Fn(i32) -> bool) {
        let mut offsets = TopicPartitionList::new();
        let notes = lock(&self.notes);
        let uncommitted = notes.uncommitted.iter().filter(|_| !notes.halted);
        for (partition, next) in uncommitted {
            if chosen(*partition) {
                // Refused only for offsets below 0, which no record has.
                let _ = offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(*next));
            }
        }
        drop(notes);
        if offsets.count() == 0 {
            return;
        }
        let result = member.commit(&offsets, CommitMode::Sync);
        if let Err(error) = &result {
            tracing::warn!("{error}");
        }
        let mut notes = lock(&self.notes);
        notes.committed_ns = boottime_ns();
        notes.write_commit(&result, &offsets, |notes, partition, next| {
            // Something newer may have been processed since.
            if notes.uncommitted.get(&partition) == Some(&next) {
                notes.uncommitted.remove(&partition);
            }
        });
    }

    /// An error that a callback could not return.
    fn check(&self) -> Result<(), ChildError> {
        match lock(&self.notes).broken.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl Notes {
    /// After a failure nothing is written or committed any more: the process is about to end.
    fn write(&mut self, record: &Record) {
        if !self.halted
            && let Err(error) = self.journal.append(record)
        {
            self.halted = true;
            self.broken = Some(error);
        }
    }

    /// Journals the answer to a commit, and calls `accepted` for each partition that it was good for.
    fn write_commit(
        &mut self,
        result: &KafkaResult<()>,
        offsets: &TopicPartitionList,
        accepted: impl Fn(&mut Self, i32, i64),
    ) {
        for element in offsets.elements() {
            // Partitions without a stored offset are listed too.
            if let Offset::Offset(offset) = element.offset() {
                let ok = result.is_ok() && element.error().is_ok();
                self.write(&Record::Committed { partition: element.partition(), offset, ok, at_ns: boottime_ns() });
                if ok {
                    accepted(self, element.partition(), offset);
                }
            }
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
                let mut notes = lock(&self.notes);
                for element in partitions.elements() {
                    let partition = element.partition();
                    notes.write(&Record::Assigned { partition, at_ns });
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
                if self.commit == Commit::AfterSync {
                    self.commit(member, |partition| revoked.contains(&partition));
                }
                let at_ns = boottime_ns();
                let mut notes = lock(&self.notes);
                for partition in revoked {
                    notes.uncommitted.remove(&partition);
                    notes.write(&Record::Revoked { partition, at_ns });
                }
            }
            Rebalance::Error(error) => self.notices.send(format!("rebalance: {error}")),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // Synchronous commits are journalled where they are made.
        if self.commit == Commit::Auto {
            lock(&self.notes).write_commit(&result, offsets, |_, _, _| {});
        }
    }
}

fn is_fence(message: &BorrowedMessage<'_>) -> bool {
    message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == FENCE_HEADER))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
