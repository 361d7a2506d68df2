//! The thread of one stream: offers sequences at their intended times, serves delivery reports as
//! they come, and at the drain sees to it that every sequence offered has its entry in the journal.
//!
//! Late sequences are offered at once and none is skipped, so that a blocked client shows in the
//! latency of all that it held up.
//!
//! After a fatal error (`rd_kafka_fatal_error`; an idempotent producer meets it when a partition loses
//! acknowledged messages) librdkafka refuses everything: what it held is purged and reported, and a new
//! client goes on with the stream, at most [`RENEWALS_MAX`] times. Then sequences are still offered at
//! their times, and unsent.

use std::sync::Arc;
use std::time::Duration;

use lossproof_ledger::category::Told;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::Stream;
use lossproof_ledger::payload;
use lossproof_ledger::record::Identity;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::book::{Book, Reports};
use super::classify;
use crate::experiment::OnQueueFull;
use crate::workload::child::{ChildError, Control, Notices};
use crate::workload::librdkafka::Bell;

/// New clients after fatal errors, for each stream.
const RENEWALS_MAX: u32 = 100;
/// How long a wait lasts at most before the control is looked at again.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Messages sent without a pause before delivery reports are served.
const SENDS_MAX: u32 = 64;
/// How long reports of purged messages are awaited: they are made without a broker.
const PURGE_LIMIT: Duration = Duration::from_secs(5);

type Client = BaseProducer<Reports>;

/// What the thread of a stream needs.
pub(super) struct StreamThread {
    pub(super) run: u64,
    pub(super) incarnation: u16,
    pub(super) topic: String,
    pub(super) stream: Stream,
    /// Of the payload's size.
    pub(super) payload: Vec<u8>,
    pub(super) on_queue_full: OnQueueFull,
    pub(super) config: ClientConfig,
    pub(super) control: Arc<Control>,
    pub(super) notices: Notices,
}

/// Why a client is left.
enum Left {
    /// The drain has ended.
    Drained,
    /// librdkafka refuses all since a fatal error.
    Fatal,
    /// The journal can't be written.
    Broken,
}

/// What became of a sequence at `produce()`.
enum Offer {
    /// The client took it, or refused it and that is journalled.
    Done,
    /// The client is dead; the sequence is still in hand.
    Fatal,
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
            match left {
                Left::Drained | Left::Broken => return close(book, next),
                Left::Fatal => self.notices.send(format!(
                    "partition {}: {}; {}",
                    self.stream.partition,
                    fatal
                        .map_or_else(|| "fatal error".to_owned(), |(code, text)| format!("fatal error {code}: {text}")),
                    if renewals < RENEWALS_MAX {
                        "going on with a new client"
                    } else {
                        "giving up, the rest is unsent"
                    }
                )),
            }
        }
        self.without_client(&book, &mut next, in_hand);
        close(book, next)
    }

    /// Offers with this client until the drain ends it, or a fatal error.
    fn serve(&mut self, client: &Client, book: &Book, next: &mut u64, in_hand: &mut bool) -> Left {
        let bell = Bell::new(client.client());
        let mut sends = 0;
        while !self.control.is_ending() {
            let now_ns = boottime_ns();
            let due_ns = self.stream.intended_ns(*next);
            if due_ns > now_ns && !*in_hand {
                sends = 0;
                let wait = Duration::from_nanos(due_ns - now_ns);
                serve_or_wait(client, &bell, book, wait.min(WAIT_MAX));
                if book.is_broken() {
                    return Left::Broken;
                }
                continue;
            }
            if !*in_hand {
                book.offer(*next);
            }
            match self.send(client, &bell, book, *next) {
                Offer::Done => *in_hand = false,
                Offer::Fatal => {
                    *in_hand = true;
                    return Left::Fatal;
                }
            }
            *next += 1;
            sends += 1;
            if sends == SENDS_MAX {
                sends = 0;
                serve_reports(client, &bell, book);
                if book.is_broken() {
                    return Left::Broken;
                }
            }
        }
        if std::mem::take(in_hand) {
            // In hand since the client before died: this one was not offered to any other.
            book.tell(*next, Told::Unsent, None, Some(RDKafkaErrorCode::Fatal));
            *next += 1;
        }
        self.drain(client, &bell, book)
    }

    /// Hands one sequence to the client, or journals its refusal.
    fn send(&mut self, client: &Client, bell: &Bell<'_>, book: &Book, sequence: u64) -> Offer {
        let identity = Identity {
            run: self.run,
            producer: self.stream.producer,
            incarnation: self.incarnation,
            partition: self.stream.partition,
            sequence,
            attempt: 0,
        };
        payload::encode_into(&mut self.payload, &identity);
        loop {
            let record: BaseRecord<'_, (), [u8], usize> = BaseRecord::with_opaque_to(&self.topic, opaque(sequence))
                .partition(self.stream.partition)
                .payload(&self.payload);
            let Err((error, _)) = client.send(record) else {
                return Offer::Done;
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let blocks = code == RDKafkaErrorCode::QueueFull
                && self.on_queue_full == OnQueueFull::Block
                && !self.control.time_is_over()
                && !book.is_broken();
            if blocks {
                serve_or_wait(client, bell, book, WAIT_MAX);
                continue;
            }
            if client.client().fatal_error().is_some() {
                return Offer::Fatal;
            }
            book.tell(sequence, classify::refusal(code), None, Some(code));
            return Offer::Done;
        }
    }

    /// Nothing more is offered: awaits the reports of all that the client holds until the drain's end,
    /// then purges the rest, whose reports follow.
    fn drain(&self, client: &Client, bell: &Bell<'_>, book: &Book) -> Left {
        while client.in_flight_count() > 0 && !self.control.time_is_over() {
            serve_or_wait(client, bell, book, WAIT_MAX);
            if book.is_broken() {
                return Left::Broken;
            }
        }
        serve_reports(client, bell, book);
        if client.in_flight_count() > 0 {
            self.notices.send(format!(
                "partition {}: {} messages had no report when the drain's time was over; they are purged and indeterminate",
                self.stream.partition,
                client.in_flight_count()
            ));
            client.purge(PurgeConfig::default().queue().inflight());
            let limit_ns = boottime_ns() + duration_ns(PURGE_LIMIT);
            while client.in_flight_count() > 0 && boottime_ns() < limit_ns {
                serve_or_wait(client, bell, book, WAIT_MAX);
            }
        }
        Left::Drained
    }

    /// The workload goes on offering though no client takes it.
    fn without_client(&self, book: &Book, next: &mut u64, in_hand: bool) {
        let unsent = |sequence| book.tell(sequence, Told::Unsent, None, Some(RDKafkaErrorCode::Fatal));
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

/// Serves what waits in the client's queue. A poll of zero takes one event, which may hold many reports.
fn serve_reports(client: &Client, bell: &Bell<'_>, book: &Book) {
    while bell.rang() {
        book.while_served(|| client.poll(Duration::ZERO));
    }
}

/// Serves what waits; if nothing does, waits for it, but not longer than `wait`.
fn serve_or_wait(client: &Client, bell: &Bell<'_>, book: &Book, wait: Duration) {
    if bell.rang() {
        serve_reports(client, bell, book);
    } else {
        std::thread::park_timeout(wait);
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
