//! The application in front of an outbox: at the intended times it commits a row of its business together
//! with the message that tells of it. Sending is the relay's work (`recourse/outbox.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::Stream;

use super::EndAll;
use super::book::Book;
use super::messages::Messages;
use super::recourse::outbox::Committed;
use super::session::WAIT_MAX;
use crate::workload::child::{ChildError, Control};
use crate::workload::parking::database::Database;

/// What the thread of the application needs.
pub(super) struct Business {
    pub(super) stream: Stream,
    pub(super) database: Database,
    pub(super) messages: Messages,
    pub(super) committed: Arc<Committed>,
    pub(super) control: Arc<Control>,
}

impl Business {
    /// Runs it until the drain begins, then gives the sequence after the last. `relay` is woken for each message.
    pub(super) fn start(
        self,
        book: Arc<Book>,
        relay: Thread,
    ) -> Result<JoinHandle<Result<u64, ChildError>>, ChildError> {
        let name = format!("business-{}", self.stream.partition);
        let run = move || {
            let _end = EndAll(Arc::clone(&self.control));
            let committed = Arc::clone(&self.committed);
            let result = self.run(&book, &relay);
            committed.ended.store(true, Ordering::Release);
            result
        };
        std::thread::Builder::new().name(name).spawn(run).map_err(ChildError::Thread)
    }

    fn run(mut self, book: &Book, relay: &Thread) -> Result<u64, ChildError> {
        let mut next = self.stream.first;
        // What an earlier process had committed last, it may not have lived to journal.
        book.begin_at(next);
        self.committed.next.store(next, Ordering::Release);
        while !self.control.is_ending() && !book.is_broken() {
            let wait_ns = self.stream.intended_ns(next).saturating_sub(boottime_ns());
            if wait_ns > 0 {
                std::thread::park_timeout(Duration::from_nanos(wait_ns).min(WAIT_MAX));
                continue;
            }
            self.database.business_and_message(next, self.messages.payload(next, 0))?;
            // In this order: what is not committed was never offered, and what the relay sends was.
            book.offer(next);
            next += 1;
            self.committed.next.store(next, Ordering::Release);
            relay.unpark();
        }
        Ok(next)
    }
}
