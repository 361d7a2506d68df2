//! The transactions of one stream: begun with a message, committed when full, old, or at the drain, and
//! aborted where librdkafka allows nothing else.
//!
//! What was aborted is not sent again. A commit whose answer stays away leaves the transaction unknown; its
//! client is given up then, because a late request of its own may end the transaction after it (librdkafka
//! sends none of the versions that KIP-890 protects): the next client's epoch shuts it out.

use std::time::{Duration, Instant};

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::record::TxnOutcome;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;

use super::session::Session;
use crate::workload::child::Control;
use crate::workload::txn_error::{is_resumable, requires_abort};

/// Age at which a transaction is committed though it is not full: read-committed consumers wait for it,
/// and its coordinator aborts what gets too old.
const AGE_MAX_NS: u64 = 1_000_000_000;
/// How long one of librdkafka's calls may block the thread. It goes on in the background, and the next
/// call resumes it.
const CALL_MAX: Duration = Duration::from_millis(500);

pub(super) struct Transacting {
    messages_max: u32,
    /// How long a commit or an abort is tried.
    limit: Duration,
    open: Option<Open>,
}

struct Open {
    messages: u32,
    since_ns: u64,
}

/// Why a client can't go on.
pub(super) enum Trouble {
    /// It refuses everything since a fatal error.
    Fatal,
    /// How a transaction ended, or whether it ended, is not certain: why.
    Uncertain(String),
}

impl Transacting {
    /// Transactions of so many messages. Ending one is tried for `limit`, its `transaction.timeout.ms`: by
    /// then the coordinator has ended it.
    pub(super) const fn new(messages_max: u32, limit: Duration) -> Self {
        Self { messages_max, limit, open: None }
    }

    /// Registers a new client with its coordinator, which ends what a client before left open. Given up
    /// when the drain begins.
    pub(super) fn init(&self, session: &Session<'_>, control: &Control) -> Result<(), Trouble> {
        while !control.is_ending() {
            match session.client.init_transactions(CALL_MAX) {
                Ok(()) => break,
                Err(error) if is_resumable(&error) => {}
                Err(error) => return Err(trouble(session, &error, "the transactional client can't begin")),
            }
        }
        Ok(())
    }

    /// Before a message is sent.
    pub(super) fn begin(&mut self, session: &Session<'_>) -> Result<(), Trouble> {
        if self.open.is_none() {
            let begun = session.client.begin_transaction();
            begun.map_err(|error| trouble(session, &error, "a transaction can't begin"))?;
            self.open = Some(Open { messages: 0, since_ns: boottime_ns() });
        }
        Ok(())
    }

    /// The client took a message.
    pub(super) fn sent(&mut self) {
        if let Some(open) = &mut self.open {
            open.messages += 1;
        }
    }

    /// Whether the open transaction is full or old.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.messages >= self.messages_max || now_ns.saturating_sub(open.since_ns) >= AGE_MAX_NS
        })
    }

    /// Commits what is open, once all its reports are there.
    pub(super) fn commit(&mut self, session: &Session<'_>, control: &Control) -> Result<(), Trouble> {
        if self.open.is_none() {
            return Ok(());
        }
        let is_over = self.deadline(control);
        session.settle(&is_over);
        loop {
            // librdkafka's own flush would take steps of 100 ms while anything is left.
            match session.client.commit_transaction(CALL_MAX) {
                Ok(()) => {
                    self.ended(session, TxnOutcome::Committed);
                    return Ok(());
                }
                Err(error) if requires_abort(&error) => {
                    self.abort(session, control)?;
                    let why = format!("a transaction could not be committed and was aborted: {error}");
                    return Err(Trouble::Uncertain(why));
                }
                Err(error) if is_resumable(&error) && !is_over() => session.serve_reports(),
                Err(error) => return Err(trouble(session, &error, "a commit had no answer")),
            }
        }
    }

    /// Aborts what is open.
    pub(super) fn abort(&mut self, session: &Session<'_>, control: &Control) -> Result<(), Trouble> {
        let is_over = self.deadline(control);
        loop {
            // It purges what is queued, and waits for what is in flight: only we can serve those reports.
            match session.client.abort_transaction(CALL_MAX) {
                Ok(()) => break,
                Err(error) if is_resumable(&error) && !is_over() => session.serve_reports(),
                Err(error) => return Err(trouble(session, &error, "an abort had no answer")),
            }
        }
        session.settle(&is_over);
        self.ended(session, TxnOutcome::Aborted);
        Ok(())
    }

    /// Whether a transaction was open when its client was given up; nobody will tell how it ends.
    pub(super) fn give_up(&mut self) -> bool {
        self.open.take().is_some()
    }

    fn ended(&mut self, session: &Session<'_>, outcome: TxnOutcome) {
        session.book.end_transaction(outcome);
        self.open = None;
    }

    fn deadline<'a>(&self, control: &'a Control) -> impl Fn() -> bool + use<'a> {
        let until = Instant::now() + self.limit;
        move || Instant::now() >= until || control.time_is_over()
    }
}

fn trouble(session: &Session<'_>, error: &KafkaError, what: &str) -> Trouble {
    match session.client.client().fatal_error() {
        Some(_) => Trouble::Fatal,
        None => Trouble::Uncertain(format!("{what}: {error}")),
    }
}
