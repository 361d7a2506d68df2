//! What one stream offered and was told: its journal, and the process's counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lossproof_ledger::category::Told;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::event::Progress;
use lossproof_ledger::journal::{JournalError, JournalReader, JournalWriter, Stream};
use lossproof_ledger::record::{Record, TxnOutcome};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::classify;
use super::recourse::{News, Report};
use super::witness::Witness;
use crate::workload::child;
use crate::workload::librdkafka::{broker_id, persistence};

/// Counts of the whole process.
#[derive(Default)]
pub(super) struct Counts {
    offered: AtomicU64,
    acked: AtomicU64,
    errors: AtomicU64,
    /// Streams that had a report without error.
    pub(super) streams_ready: AtomicU64,
}

impl Counts {
    pub(super) fn progress(&self) -> Progress {
        // What was reported first, so that it never exceeds what was offered.
        let acked = self.acked.load(Ordering::Acquire);
        let errors = self.errors.load(Ordering::Acquire);
        let offered = self.offered.load(Ordering::Acquire);
        Progress::Producer { offered, acked, errors, in_flight: offered.saturating_sub(acked + errors) }
    }
}

/// What a delivery report without error is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The message is in the log.
    Acknowledged,
    /// acks=0: nothing.
    Unacknowledged,
    /// The message is in the log, and counts once its transaction is committed.
    Transactional,
}

/// What was learnt of a sequence.
pub(super) struct Answer {
    told: Told,
    offset: Option<i64>,
    error: Option<RDKafkaErrorCode>,
    broker: Option<i32>,
    in_txn: bool,
}

impl Answer {
    /// Known without a delivery report: the client never took the message, or will say no more of it.
    pub(super) const fn own(told: Told, error: Option<RDKafkaErrorCode>) -> Self {
        Self { told, offset: None, error, broker: None, in_txn: false }
    }
}

/// The record of one stream. The stream's thread offers and, while it serves librdkafka's queue, is
/// told; the mutex is there because rdkafka's contexts are shared, and is never contended.
pub(super) struct Book {
    journal: Mutex<JournalWriter>,
    stream: Stream,
    mode: Mode,
    witness: Option<Arc<Witness>>,
    counts: Arc<Counts>,
    /// Own sequences of which a first attempt was told.
    told: AtomicU64,
    ready: AtomicBool,
    /// CLOCK_BOOTTIME at which the reports now served were taken; 0 outside of serving.
    served_ns: AtomicU64,
    /// Why the journal could not be written.
    broken: OnceLock<JournalError>,
}

impl Book {
    pub(super) fn new(
        journal: JournalWriter,
        stream: Stream,
        mode: Mode,
        witness: Option<Arc<Witness>>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            journal: Mutex::new(journal),
            stream,
            mode,
            witness,
            counts,
            told: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            served_ns: AtomicU64::new(0),
            broken: OnceLock::new(),
        }
    }

    /// All sequences below were offered, by whichever process.
    pub(super) fn begin_at(&self, first: u64) {
        self.journal().raise_next(first);
    }

    /// The sequence is about to be handed to the client.
    pub(super) fn offer(&self, sequence: u64) {
        self.journal().raise_next(sequence + 1);
        self.counts.offered.fetch_add(1, Ordering::Release);
    }

    /// Runs `serve`, which takes one event with any number of reports, all of them learnt now: the clock
    /// is read once.
    pub(super) fn while_served(&self, serve: impl FnOnce()) {
        self.served_ns.store(boottime_ns(), Ordering::Relaxed);
        serve();
        self.served_ns.store(0, Ordering::Relaxed);
    }

    /// What became of an attempt to send a sequence.
    pub(super) fn tell(&self, sequence: u64, attempt: u16, answer: Answer) {
        let Answer { told, offset, error, broker, in_txn } = answer;
        let at_ns = match self.served_ns.load(Ordering::Relaxed) {
            0 => boottime_ns(),
            served_ns => served_ns,
        };
        let record = Record::Told {
            partition: self.stream.partition,
            sequence,
            attempt,
            told,
            offset,
            error: error.map_or(0, |code| code as i32),
            broker,
            in_txn,
            at_ns,
        };
        if let Err(error) = self.journal().append(&record) {
            // A callback can't fail: the stream's thread looks here and ends the process.
            let _ = self.broken.set(error);
            return;
        }
        if let (Some(witness), Told::Acked) = (&self.witness, told) {
            witness.tell(self.stream.partition, sequence);
        }
        if attempt == 0 && sequence >= self.stream.first {
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        let success = matches!(told, Told::Acked | Told::Unconfirmed);
        let count = if success { &self.counts.acked } else { &self.counts.errors };
        count.fetch_add(1, Ordering::Release);
        if success && !self.ready.load(Ordering::Relaxed) && !self.ready.swap(true, Ordering::Relaxed) {
            self.counts.streams_ready.fetch_add(1, Ordering::Release);
        }
    }

    /// How the transaction ended to which all reports since the last one belong.
    pub(super) fn end_transaction(&self, outcome: TxnOutcome) {
        let record = Record::TxnEnded { partition: self.stream.partition, outcome, at_ns: boottime_ns() };
        if let Err(error) = self.journal().append(&record) {
            let _ = self.broken.set(error);
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    /// Closes the journal of a stream that offered all below `next` and will hear no more.
    pub(super) fn close(mut self, next: u64) -> Result<(), JournalError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if *self.told.get_mut() != next - self.stream.first {
            for sequence in self.untold(next)? {
                self.tell(sequence, 0, Answer::own(Told::Indeterminate, None));
            }
        }
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.journal.into_inner().unwrap_or_else(PoisonError::into_inner).seal()
    }

    /// Sequences offered that never got a report. Read back from the journal, as it is a rare end and
    /// must cost nothing before.
    fn untold(&self, next: u64) -> Result<Vec<u64>, JournalError> {
        let first = self.stream.first;
        let mut told = vec![false; usize::try_from(next - first).unwrap_or_default()];
        let path = self.journal().path().to_owned();
        for record in JournalReader::open(&path)? {
            if let Record::Told { sequence, .. } = record?
                && let Some(at) = sequence.checked_sub(first)
                && let Some(slot) = usize::try_from(at).ok().and_then(|at| told.get_mut(at))
            {
                *slot = true;
            }
        }
        let untold = (first..next).zip(told).filter(|(_, told)| !told);
        Ok(untold.map(|(sequence, _)| sequence).collect())
    }

    fn journal(&self) -> MutexGuard<'_, JournalWriter> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands delivery reports to the book, and to the application if it wants to know.
pub(super) struct Reports {
    pub(super) book: Arc<Book>,
    pub(super) news: Option<Arc<News>>,
}

const _: () = assert!(usize::BITS >= 64, "a sequence and its attempt must fit in an opaque");
/// Journals hold no larger sequences either.
const SEQUENCE_BITS: u32 = 48;

/// Which message, and which attempt to send it.
#[expect(clippy::cast_possible_truncation, reason = "checked at compile time above")]
pub(super) const fn opaque(sequence: u64, attempt: u16) -> usize {
    (sequence | (attempt as u64) << SEQUENCE_BITS) as usize
}

const fn of_opaque(opaque: usize) -> (u64, u16) {
    let opaque = opaque as u64;
    (opaque & ((1 << SEQUENCE_BITS) - 1), (opaque >> SEQUENCE_BITS) as u16)
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        child::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        child::log(RDKafkaLogLevel::Warning, "ERROR", &format!("{error}: {reason}"));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let (message, error) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))),
        };
        let book = &self.book;
        let (sequence, attempt) = of_opaque(opaque);
        let told = classify::report(book.mode, error, || persistence(message));
        // Reports with an error, or of acks=0, name offsets that mean nothing; an implicit
        // acknowledgement has a negative one.
        let offset = (told == Told::Acked).then(|| message.offset()).filter(|offset| *offset >= 0);
        let in_txn = book.mode == Mode::Transactional;
        book.tell(sequence, attempt, Answer { told, offset, error, broker: broker_id(message), in_txn });
        if let Some(news) = &self.news {
            news.tell(Report { sequence, attempt, told, error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opaque_holds_a_sequence_and_its_attempt() {
        for sequence in [0, 1, 1 << 32, (1 << SEQUENCE_BITS) - 1] {
            for attempt in [0, 1, 300, u16::MAX] {
                assert_eq!(of_opaque(opaque(sequence, attempt)), (sequence, attempt));
            }
        }
        assert_eq!(opaque(77, 0), 77);
    }
}
