//! What a member notes: its journal, what it may commit, and what its parent is told.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fragile::Fragile;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::event::Progress;
use lossproof_ledger::journal::{JournalError, JournalWriter};
use lossproof_ledger::payload::{self, Decoded, FENCE_HEADER};
use lossproof_ledger::record::Record;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::queue::{Answer, Fetched, Polled, Served};
use crate::experiment::Commit;
use crate::workload::child::{ChildError, Notices, log};
use crate::workload::spec::ClientSpec;
use crate::workload::status::ClientStatus;

pub(super) type Member = BaseConsumer<Context>;

/// What rdkafka's callbacks and the poll loop share. All that touch the notes run on the thread that
/// polls, which `Fragile` makes sure of: a mutex would take a tenth of the time that a record takes.
pub(super) struct Context {
    run: u64,
    topic: String,
    commit: Commit,
    notes: Fragile<RefCell<Notes>>,
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
    pub fn new(spec: &ClientSpec, commit: Commit, journal: JournalWriter, shown: Arc<Shown>, notices: Notices) -> Self {
        let notes = Notes {
            journal,
            uncommitted: BTreeMap::new(),
            committed_ns: boottime_ns(),
            polled: 0,
            processed: 0,
            halted: false,
            broken: None,
            noticed: BTreeSet::new(),
        };
        let notes = Fragile::new(RefCell::new(notes));
        Self { run: spec.run, topic: spec.topic.clone(), commit, notes, shown, notices }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn into_journal(self) -> JournalWriter {
        self.notes.into_inner().into_inner().journal
    }

    fn notes(&self) -> RefMut<'_, Notes> {
        self.notes.get().borrow_mut()
    }

    /// A record or an error, as polled.
    #[inline]
    pub fn take(&self, polled: Polled<'_>, at_ns: u64) -> Result<(), ChildError> {
        match polled {
            Polled::Record(record) => self.process(&record, at_ns),
            Polled::Error(KafkaError::MessageConsumptionFatal(code)) => {
                Err(ChildError::ConsumerFatal(code.to_string()))
            }
            Polled::Error(error) => {
                self.transient(&error);
                Ok(())
            }
        }
    }

    #[inline]
    fn process(&self, fetched: &Fetched<'_>, at_ns: u64) -> Result<(), ChildError> {
        let (partition, offset) = (fetched.partition(), fetched.offset());
        let mut notes = self.notes();
        let notes = &mut *notes;
        let identity = match payload::decode(fetched.payload(), self.run) {
            Decoded::Ours(identity) => Some(identity),
            Decoded::OtherRun | Decoded::Corrupt | Decoded::Foreign => None,
        };
        // A fence is nobody's message.
        if identity.is_none() && fetched.has_header(FENCE_HEADER) {
            notes.write([&Record::FenceSeen { partition, offset, at_ns }]);
            lock(&self.shown.fences).insert(partition);
            self.notices.changed();
        } else {
            let polled = Record::Polled { partition, offset, at_ns };
            notes.write([&polled, &Record::Processed { partition, offset, identity, at_ns }]);
            notes.polled += 1;
            self.shown.polled.store(notes.polled, Ordering::Release);
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
        if worth_telling && self.notes().noticed.insert(text.clone()) {
            self.notices.send(text);
        } else {
            tracing::warn!("{text}");
        }
    }

    /// Commits what was processed, if that is this client's part and the last time is `interval` ago. True
    /// if it did.
    pub fn commit_if_due(&self, member: &Member, now_ns: u64, interval: Duration) -> bool {
        if self.commit != Commit::AfterSync {
            return false;
        }
        let is_due = {
            let notes = self.notes();
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
        let notes = self.notes();
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
        let mut notes = self.notes();
        notes.committed_ns = boottime_ns();
        notes.write_commit(&Answer::of(&result, &offsets), |notes, partition, next| {
            // Something newer may have been processed since.
            if notes.uncommitted.get(&partition) == Some(&next) {
                notes.uncommitted.remove(&partition);
            }
        });
    }

    /// An error that a callback could not return.
    pub fn check(&self) -> Result<(), ChildError> {
        match self.notes().broken.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
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

    /// Journals the answer to a commit, and calls `accepted` for each partition that it was good for.
    fn write_commit(&mut self, answers: &[Answer], accepted: impl Fn(&mut Self, i32, i64)) {
        for &Answer { partition, offset, ok } in answers {
            self.write([&Record::Committed { partition, offset, ok, at_ns: boottime_ns() }]);
            if ok {
                accepted(self, partition, offset);
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
                let mut notes = self.notes();
                for element in partitions.elements() {
                    let partition = element.partition();
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
                if self.commit == Commit::AfterSync {
                    self.commit(member, |partition| revoked.contains(&partition));
                }
                let at_ns = boottime_ns();
                let mut notes = self.notes();
                for partition in revoked {
                    notes.uncommitted.remove(&partition);
                    notes.write([&Record::Revoked { partition, at_ns }]);
                }
            }
            Rebalance::Error(error) => self.notices.send(format!("rebalance: {error}")),
        }
    }
}

impl Served for Context {
    fn committed(&self, answers: &[Answer]) {
        // Synchronous commits are journalled where they are made.
        if self.commit == Commit::Auto {
            self.notes().write_commit(answers, |_, _, _| {});
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
