//! The thread of one stream: offers sequences at their intended times, serves delivery reports as
//! they come, and at the drain sees to it that every sequence offered has its entry in the journal.
//!
//! Late sequences are offered at once and none is skipped, so that a blocked client shows in the
//! latency of all that it held up.
//!
//! After a fatal error (`rd_kafka_fatal_error`; an idempotent producer meets it when a partition loses
//! acknowledged messages) librdkafka refuses everything: what it held is purged and reported. By the
//! profile's behaviour a new client goes on with the stream, at most [`RENEWALS_MAX`] times, or none
//! does; then sequences are still offered at their times, and unsent.

use std::sync::Arc;
use std::time::Duration;

use lossproof_ledger::category::Told;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::Stream;
use lossproof_ledger::record::{Identity, TxnOutcome};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::book::{Answer, Book, Reports};
use super::classify;
use super::payloads::Payloads;
use super::session::{Client, Session, WAIT_MAX};
use super::transaction::{Transacting, Trouble};
use crate::experiment::{Close, Delivery, OnFatal, OnQueueFull};
use crate::workload::child::{ChildError, Control, Notices};

/// New clients, for each stream.
const RENEWALS_MAX: u32 = 100;
/// Messages sent without a pause before delivery reports are served.
const SENDS_MAX: u32 = 64;
/// How long reports of purged messages are awaited: they are made without a broker.
const PURGE_LIMIT: Duration = Duration::from_secs(5);

/// What the thread of a stream needs.
pub(super) struct StreamThread {
    pub(super) run: u64,
    pub(super) incarnation: u16,
    pub(super) topic: String,
    pub(super) stream: Stream,
    pub(super) payloads: Payloads,
    pub(super) keys: Option<u64>,
    pub(super) transacting: Option<Transacting>,
    pub(super) on_queue_full: OnQueueFull,
    pub(super) on_fatal: OnFatal,
    pub(super) delivery: Delivery,
    pub(super) close: Close,
    pub(super) config: ClientConfig,
    pub(super) control: Arc<Control>,
    pub(super) notices: Notices,
}

/// Why a client is left.
enum Left {
    /// The drain has ended.
    Drained,
    /// It can't go on.
    Trouble(Trouble),
    /// The journal can't be written.
    Broken,
}

/// What became of a sequence at `produce()`.
enum Offer {
    /// The client took it, or refused it and that is journalled.
    Done,
    /// The client can't go on; the sequence is still in hand.
    Trouble(Trouble),
}

impl StreamThread {
    /// Runs until the drain has ended and the journal is sealed.
    pub(super) fn run(mut self, book: Arc<Book>) -> Result<(), ChildError> {
        let mut next = self.stream.first;
        let mut in_hand = false;
        for renewals in 0..=RENEWALS_MAX {
            let client: Client = self.config.create_with_context(Reports(Arc::clone(&book)))?;
            let left = self.serve(&client, &book, &mut next, &mut in_hand);
            let fatal = client.client().fatal_error();
            // Purges what is left and hands over its reports.
            drop(client);
            if self.transacting.as_mut().is_some_and(Transacting::give_up) {
                book.end_transaction(TxnOutcome::Unknown);
            }
            let (why, behaviour) = match left {
                Left::Drained | Left::Broken => return close(book, next),
                Left::Trouble(Trouble::Uncertain(why)) => (why, OnFatal::Recreate),
                Left::Trouble(Trouble::Fatal) => {
                    let named = fatal.map(|(code, text)| format!("fatal error {code}: {text}"));
                    (named.unwrap_or_else(|| "fatal error".to_owned()), self.on_fatal)
                }
            };
            let goes_on = behaviour == OnFatal::Recreate && renewals < RENEWALS_MAX;
            self.notices.send(format!(
                "partition {}: {why}; {}",
                self.stream.partition,
                match (goes_on, behaviour) {
                    (true, _) => "going on with a new client",
                    (false, OnFatal::Recreate) => "giving up after so many clients, the rest is unsent",
                    (false, OnFatal::Stop) => "the client takes nothing any more, the rest is unsent",
                }
            ));
            if !goes_on {
                break;
            }
        }
        self.without_client(&book, &mut next, in_hand);
        close(book, next)
    }

    /// Offers with this client until the drain ends it, or it can't go on.
    fn serve(&mut self, client: &Client, book: &Book, next: &mut u64, in_hand: &mut bool) -> Left {
        let session = Session::new(client, book);
        if let Some(transacting) = &self.transacting
            && let Err(trouble) = transacting.init(&session, &self.control)
        {
            return Left::Trouble(trouble);
        }
        let mut sends = 0;
        let mut now_ns = boottime_ns();
        while !self.control.is_ending() {
            let due_ns = self.stream.intended_ns(*next);
            // What is overdue stays so: the clock is read only where it may make a difference.
            if due_ns > now_ns || self.transacting.is_some() {
                now_ns = boottime_ns();
            }
            if let Some(transacting) = &mut self.transacting
                && transacting.is_due(now_ns)
                && let Err(trouble) = transacting.commit(&session, &self.control)
            {
                return Left::Trouble(trouble);
            }
            if due_ns > now_ns && !*in_hand {
                sends = 0;
                let wait = Duration::from_nanos(due_ns - now_ns);
                session.serve_or_wait(wait.min(WAIT_MAX));
                if book.is_broken() {
                    return Left::Broken;
                }
                continue;
            }
            if !*in_hand {
                book.offer(*next);
            }
            match self.send(&session, *next) {
                Offer::Done => *in_hand = false,
                Offer::Trouble(trouble) => {
                    *in_hand = true;
                    return Left::Trouble(trouble);
                }
            }
            *next += 1;
            sends += 1;
            if self.delivery == Delivery::Await {
                session.settle(|| self.control.is_ending());
            }
            if sends == SENDS_MAX {
                sends = 0;
                session.serve_reports();
                if book.is_broken() {
                    return Left::Broken;
                }
            }
        }
        if std::mem::take(in_hand) {
            // In hand since the client before died: this one was not offered to any other.
            book.tell(*next, Answer::own(Told::Unsent, Some(RDKafkaErrorCode::Fatal)));
            *next += 1;
        }
        self.drain(&session)
    }

    /// Hands one sequence to the client, or journals its refusal.
    fn send(&mut self, session: &Session<'_>, sequence: u64) -> Offer {
        let identity = Identity {
            run: self.run,
            producer: self.stream.producer,
            incarnation: self.incarnation,
            partition: self.stream.partition,
            sequence,
            attempt: 0,
        };
        let payload = self.payloads.of(&identity);
        let key = self.keys.map(|keys| (sequence % keys).to_string());
        loop {
            if let Some(transacting) = &mut self.transacting
                && let Err(trouble) = transacting.begin(session)
            {
                return Offer::Trouble(trouble);
            }
            let mut record: BaseRecord<'_, str, [u8], usize> =
                BaseRecord::with_opaque_to(&self.topic, opaque(sequence))
                    .partition(self.stream.partition)
                    .payload(payload);
            if let Some(key) = &key {
                record = record.key(key);
            }
            let Err((error, _)) = session.client.send(record) else {
                if let Some(transacting) = &mut self.transacting {
                    transacting.sent();
                }
                return Offer::Done;
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let blocks = code == RDKafkaErrorCode::QueueFull
                && self.on_queue_full == OnQueueFull::Block
                && !self.control.time_is_over()
                && !session.book.is_broken();
            if blocks {
                session.serve_or_wait(WAIT_MAX);
                continue;
            }
            if session.client.client().fatal_error().is_some() {
                return Offer::Trouble(Trouble::Fatal);
            }
            // The transaction has failed, by a report for one of its messages: this one goes into the next.
            if let (Some(transacting), RDKafkaErrorCode::State) = (&mut self.transacting, code) {
                match transacting.abort(session, &self.control) {
                    Ok(()) => continue,
                    Err(trouble) => return Offer::Trouble(trouble),
                }
            }
            session.book.tell(sequence, Answer::own(classify::refusal(code), Some(code)));
            return Offer::Done;
        }
    }

    /// Nothing more is offered: awaits the reports of all that the client holds until the drain's end,
    /// then purges the rest, whose reports follow. Who abandons it awaits nothing; the client's end purges it.
    fn drain(&mut self, session: &Session<'_>) -> Left {
        if let Some(transacting) = &mut self.transacting
            && let Err(trouble) = transacting.commit(session, &self.control)
        {
            return Left::Trouble(trouble);
        }
        if self.close == Close::Abandon {
            let left = session.client.in_flight_count();
            if left > 0 {
                let text = format!("partition {}: closed without a flush, with {left} messages", self.stream.partition);
                self.notices.send(text);
            }
            return Left::Drained;
        }
        session.settle(|| self.control.time_is_over());
        if session.book.is_broken() {
            return Left::Broken;
        }
        let left = session.client.in_flight_count();
        if left > 0 {
            self.notices.send(format!(
                "partition {}: {left} messages had no report when the drain's time was over; they are purged and indeterminate",
                self.stream.partition,
            ));
            session.client.purge(PurgeConfig::default().queue().inflight());
            let limit_ns = boottime_ns() + duration_ns(PURGE_LIMIT);
            session.settle(|| boottime_ns() >= limit_ns);
        }
        Left::Drained
    }

    /// The workload goes on offering though no client takes it.
    fn without_client(&self, book: &Book, next: &mut u64, in_hand: bool) {
        let unsent = |sequence| book.tell(sequence, Answer::own(Told::Unsent, Some(RDKafkaErrorCode::Fatal)));
        if in_hand {
            unsent(*next);
            *next += 1;
        }
        while !self.control.is_ending() && !book.is_broken() {
            let wait_ns = self.stream.intended_ns(*next).saturating_sub(boottime_ns());
            if wait_ns > 0 {
                std::thread::park_timeout(Duration::from_nanos(wait_ns).min(WAIT_MAX));
                continue;
            }
            book.offer(*next);
            unsent(*next);
            *next += 1;
        }
    }
}

fn close(book: Arc<Book>, next: u64) -> Result<(), ChildError> {
    // Only a client that outlives its drop could hold the book; then the journal stays unsealed.
    let book = Arc::into_inner(book).ok_or(ChildError::BookHeld)?;
    Ok(book.close(next)?)
}

#[expect(clippy::cast_possible_truncation, reason = "checked at compile time in book.rs")]
const fn opaque(sequence: u64) -> usize {
    sequence as usize
}

fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
