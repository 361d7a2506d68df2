//! A librdkafka client and the book that its reports go to, served by the thread of a stream.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};

use super::book::{Book, Reports};
use crate::workload::librdkafka::Bell;

/// How long a wait lasts at most before the control is looked at again.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(50);

pub(super) type Client = BaseProducer<Reports>;

pub(super) struct Session<'c> {
    pub(super) client: &'c Client,
    pub(super) book: &'c Book,
    bell: Bell<'c>,
}

impl<'c> Session<'c> {
    /// For the calling thread.
    pub(super) fn new(client: &'c Client, book: &'c Book) -> Self {
        Self { client, book, bell: Bell::new(client.client()) }
    }

    /// Serves what waits in the client's queue. A poll of zero takes one event, which may hold many reports.
    pub(super) fn serve_reports(&self) {
        while self.bell.rang() {
            self.book.while_served(|| self.client.poll(Duration::ZERO));
        }
    }

    /// Serves what waits; if nothing does, waits for it, but not longer than `wait`.
    pub(super) fn serve_or_wait(&self, wait: Duration) {
        if self.bell.rang() {
            self.serve_reports();
        } else {
            std::thread::park_timeout(wait);
        }
    }

    /// Serves until nothing is left that a report may come of, the journal is broken, or `is_over`.
    pub(super) fn settle(&self, is_over: impl Fn() -> bool) {
        while self.client.in_flight_count() > 0 && !is_over() && !self.book.is_broken() {
            self.serve_or_wait(WAIT_MAX);
        }
        self.serve_reports();
    }
}
