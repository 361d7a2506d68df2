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
//!
//! An application that cares for what fails has a recourse (`recourse/`): it hears the reports that concern
//! it, and what it wants to be sent goes before what is due.

use std::sync::Arc;
use std::time::Duration;

use lossproof_ledger::category::Told;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::Stream;
use lossproof_ledger::record::TxnOutcome;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::book::{Answer, Book, Reports, opaque};
use super::business::Business;
use super::classify;
use super::messages::Messages;
use super::recourse::{News, Recourse, Report};
use super::session::{Client, Session, WAIT_MAX};
use super::transaction::{Transacting, Trouble};
use crate::experiment::{Close, Delivery, OnFatal, OnQueueFull};
use crate::workload::child::{ChildError, Control, Notices};
use crate::workload::parking::database::Database;

/// New clients, for each stream.
const RENEWALS_MAX: u32 = 100;
/// Messages sent without a pause before delivery reports are served.
const SENDS_MAX: u32 = 64;
/// How long reports of purged messages are awaited: they are made without a broker.
const PURGE_LIMIT: Duration = Duration::from_secs(5);

/// What the thread of a stream needs.
pub(super) struct StreamThread {
    pub(super) topic: String,
    pub(super) stream: Stream,
    pub(super) messages: Messages,
    pub(super) keys: Option<u64>,
    pub(super) transacting: Option<Transacting>,
    pub(super) on_queue_full: OnQueueFull,
    pub(super) on_fatal: OnFatal,
    pub(super) delivery: Delivery,
    pub(super) close: Close,
    pub(super) recourse: Option<Box<dyn Recourse>>,
    /// Gets a row for each message before that is sent.
    pub(super) dual_write: Option<Database>,
    /// The application in front of an outbox, which offers in this thread's place.
    pub(super) business: Option<Business>,
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

/// What was sent of what the recourse wants to be sent.
enum Repeated {
    /// Something.
    Some,
    /// Nothing is due. `comes_first`: and nothing else is to be sent meanwhile.
    None { comes_first: bool },
    /// The client can't go on.
    Trouble(Trouble),
}

impl StreamThread {
    /// Runs until the drain has ended and the journal is sealed.
    pub(super) fn run(mut self, book: Arc<Book>) -> Result<(), ChildError> {
        let business = match self.business.take() {
            Some(business) => Some(business.start(Arc::clone(&book), std::thread::current())?),
            None => None,
        };
        let mut next = self.stream.first;
        self.go(&book, &mut next)?;
        if let Some(recourse) = &mut self.recourse {
            recourse.close(&mut self.messages)?;
        }
        if let Some(business) = business {
            next = business.join().unwrap_or(Err(ChildError::Panicked))?;
        }
        close(book, next)
    }

    /// Offers with one client after the other, until the drain has ended and no client is left.
    fn go(&mut self, book: &Arc<Book>, next: &mut u64) -> Result<(), ChildError> {
        let news = self.recourse.as_ref().map(|recourse| Arc::new(News::new(recourse.gives_all())));
        let mut in_hand = false;
        for renewals in 0..=RENEWALS_MAX {
            let reports = Reports { book: Arc::clone(book), news: news.clone() };
            let client: Client = self.config.create_with_context(reports)?;
            let left = self.serve(&client, book, next, &mut in_hand)?;
            let fatal = client.client().fatal_error();
            // Purges what is left and hands over its reports.
            drop(client);
            if let (Some(recourse), Some(news)) = (&mut self.recourse, &news) {
                hear(recourse.as_mut(), news, &mut self.messages)?;
            }
            if self.transacting.as_mut().is_some_and(Transacting::give_up) {
                book.end_transaction(TxnOutcome::Unknown);
            }
            let (why, behaviour) = match left {
                Left::Drained | Left::Broken => return Ok(()),
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
        self.without_client(book, next, in_hand)
    }

    /// Offers with this client until the drain ends it, or it can't go on.
    fn serve(&mut self, client: &Client, book: &Book, next: &mut u64, in_hand: &mut bool) -> Result<Left, ChildError> {
        let session = Session::new(client, book);
        if let Some(transacting) = &self.transacting
            && let Err(trouble) = transacting.init(&session, &self.control)
        {
            return Ok(Left::Trouble(trouble));
        }
        let mut sends = 0;
        let mut now_ns = boottime_ns();
        while !self.control.is_ending() {
            if self.recourse.is_some() {
                match self.repeat(&session)? {
                    Repeated::Some => continue,
                    Repeated::None { comes_first: false } => {}
                    Repeated::None { comes_first: true } => {
                        session.serve_or_wait(WAIT_MAX);
                        if book.is_broken() {
                            return Ok(Left::Broken);
                        }
                        continue;
                    }
                    Repeated::Trouble(trouble) => return Ok(Left::Trouble(trouble)),
                }
            }
            let due_ns = self.stream.intended_ns(*next);
            // What is overdue stays so: the clock is read only where it may make a difference.
            if due_ns > now_ns || self.transacting.is_some() {
                now_ns = boottime_ns();
            }
            if let Some(transacting) = &mut self.transacting
                && transacting.is_due(now_ns)
                && let Err(trouble) = transacting.commit(&session, &self.control)
            {
                return Ok(Left::Trouble(trouble));
            }
            if due_ns > now_ns && !*in_hand {
                sends = 0;
                let wait = Duration::from_nanos(due_ns - now_ns);
                session.serve_or_wait(wait.min(WAIT_MAX));
                if book.is_broken() {
                    return Ok(Left::Broken);
                }
                continue;
            }
            if !*in_hand {
                if let Some(database) = &mut self.dual_write {
                    // What is not committed was never offered.
                    database.business(*next)?;
                }
                book.offer(*next);
            }
            match self.send(&session, *next, 0)? {
                Offer::Done => *in_hand = false,
                Offer::Trouble(trouble) => {
                    *in_hand = true;
                    return Ok(Left::Trouble(trouble));
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
                    return Ok(Left::Broken);
                }
            }
        }
        if std::mem::take(in_hand) {
            // In hand since the client before died: this one was not offered to any other.
            self.refused(book, *next, 0, Told::Unsent, RDKafkaErrorCode::Fatal)?;
            *next += 1;
        }
        self.drain(&session)
    }

    /// Sends what the recourse wants to be sent now, as much as is sent without serving reports.
    fn repeat(&mut self, session: &Session<'_>) -> Result<Repeated, ChildError> {
        let now_ns = boottime_ns();
        if let (Some(recourse), Some(news)) = (&mut self.recourse, &session.client.context().news) {
            hear(recourse.as_mut(), news, &mut self.messages)?;
            recourse.look(&mut self.messages)?;
        }
        for sent in 0..SENDS_MAX {
            let Some(recourse) = &mut self.recourse else { break };
            let Some(repeat) = recourse.next(now_ns)? else {
                let awaits = self.delivery == Delivery::Await && recourse.comes_first();
                let comes_first = awaits || recourse.gives_all();
                return Ok(if sent > 0 { Repeated::Some } else { Repeated::None { comes_first } });
            };
            if let Offer::Trouble(trouble) = self.send(session, repeat.sequence, repeat.attempt)? {
                if let Some(recourse) = &mut self.recourse {
                    recourse.put_back(repeat);
                }
                return Ok(Repeated::Trouble(trouble));
            }
        }
        session.serve_reports();
        Ok(Repeated::Some)
    }

    /// Hands one sequence to the client, or journals its refusal.
    fn send(&mut self, session: &Session<'_>, sequence: u64, attempt: u16) -> Result<Offer, ChildError> {
        let payload = self.messages.payload(sequence, attempt);
        let key = self.keys.map(|keys| (sequence % keys).to_string());
        // Only what the application sends for the first time is dropped by its choice.
        let blocks = self.on_queue_full == OnQueueFull::Block || attempt > 0;
        loop {
            if let Some(transacting) = &mut self.transacting
                && let Err(trouble) = transacting.begin(session)
            {
                return Ok(Offer::Trouble(trouble));
            }
            let mut record: BaseRecord<'_, str, [u8], usize> =
                BaseRecord::with_opaque_to(&self.topic, opaque(sequence, attempt))
                    .partition(self.stream.partition)
                    .payload(payload);
            if let Some(key) = &key {
                record = record.key(key);
            }
            let Err((error, _)) = session.client.send(record) else {
                if let Some(transacting) = &mut self.transacting {
                    transacting.sent();
                }
                return Ok(Offer::Done);
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let is_full = code == RDKafkaErrorCode::QueueFull;
            if is_full && blocks && !self.control.time_is_over() && !session.book.is_broken() {
                session.serve_or_wait(WAIT_MAX);
                continue;
            }
            if session.client.client().fatal_error().is_some() {
                return Ok(Offer::Trouble(Trouble::Fatal));
            }
            // The transaction has failed, by a report for one of its messages: this one goes into the next.
            if let (Some(transacting), RDKafkaErrorCode::State) = (&mut self.transacting, code) {
                match transacting.abort(session, &self.control) {
                    Ok(()) => continue,
                    Err(trouble) => return Ok(Offer::Trouble(trouble)),
                }
            }
            let told = classify::refusal(code);
            if is_full && !blocks {
                session.book.tell(sequence, attempt, Answer::own(told, Some(code)));
            } else {
                self.refused(session.book, sequence, attempt, told, code)?;
            }
            return Ok(Offer::Done);
        }
    }

    /// The client did not take a message.
    fn refused(
        &mut self,
        book: &Book,
        sequence: u64,
        attempt: u16,
        told: Told,
        code: RDKafkaErrorCode,
    ) -> Result<(), ChildError> {
        book.tell(sequence, attempt, Answer::own(told, Some(code)));
        match &mut self.recourse {
            Some(recourse) => {
                let report = Report { sequence, attempt, told, error: Some(code) };
                recourse.hear(&[report], &mut self.messages, boottime_ns())
            }
            None => Ok(()),
        }
    }

    /// Nothing more is offered: awaits the reports of all that the client holds until the drain's end,
    /// then purges the rest, whose reports follow. Who abandons it awaits nothing; the client's end purges it.
    fn drain(&mut self, session: &Session<'_>) -> Result<Left, ChildError> {
        if let Some(transacting) = &mut self.transacting
            && let Err(trouble) = transacting.commit(session, &self.control)
        {
            return Ok(Left::Trouble(trouble));
        }
        if self.close == Close::Abandon {
            let left = session.client.in_flight_count();
            if left > 0 {
                let text = format!("partition {}: closed without a flush, with {left} messages", self.stream.partition);
                self.notices.send(text);
            }
            return Ok(Left::Drained);
        }
        session.settle(|| self.control.time_is_over());
        while self.recourse.is_some() && !self.control.time_is_over() && !session.book.is_broken() {
            if let Repeated::Trouble(trouble) = self.repeat(session)? {
                return Ok(Left::Trouble(trouble));
            }
            if session.client.in_flight_count() == 0 && self.recourse.as_ref().is_none_or(|r| r.is_settled()) {
                break;
            }
            session.serve_or_wait(WAIT_MAX);
        }
        if session.book.is_broken() {
            return Ok(Left::Broken);
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
        Ok(Left::Drained)
    }

    /// The workload goes on offering though no client takes it.
    fn without_client(&mut self, book: &Book, next: &mut u64, in_hand: bool) -> Result<(), ChildError> {
        let offers_itself = !self.recourse.as_ref().is_some_and(|recourse| recourse.gives_all());
        if in_hand {
            self.refused(book, *next, 0, Told::Unsent, RDKafkaErrorCode::Fatal)?;
            *next += 1;
        }
        while !self.control.is_ending() && !book.is_broken() {
            if let Some(recourse) = &mut self.recourse {
                recourse.look(&mut self.messages)?;
            }
            let wait_ns = self.stream.intended_ns(*next).saturating_sub(boottime_ns());
            if wait_ns > 0 || !offers_itself {
                let wait = if offers_itself { Duration::from_nanos(wait_ns) } else { WAIT_MAX };
                std::thread::park_timeout(wait.min(WAIT_MAX));
                continue;
            }
            if let Some(database) = &mut self.dual_write {
                database.business(*next)?;
            }
            book.offer(*next);
            self.refused(book, *next, 0, Told::Unsent, RDKafkaErrorCode::Fatal)?;
            *next += 1;
        }
        Ok(())
    }
}

/// Hands the recourse what was reported since.
fn hear(recourse: &mut dyn Recourse, news: &News, messages: &mut Messages) -> Result<(), ChildError> {
    let mut reports = Vec::new();
    news.take(&mut reports);
    if reports.is_empty() { Ok(()) } else { recourse.hear(&reports, messages, boottime_ns()) }
}

fn close(book: Arc<Book>, next: u64) -> Result<(), ChildError> {
    // Only a client that outlives its drop could hold the book; then the journal stays unsealed.
    let book = Arc::into_inner(book).ok_or(ChildError::BookHeld)?;
    Ok(book.close(next)?)
}

fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
