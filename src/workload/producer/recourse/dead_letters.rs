//! `on_error: dlq`: what failed is written to a dead-letter topic, by a client of its own, so that the
//! stream goes on meanwhile. What that topic does not take either is spooled: then the cluster is away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::spool::Spool;
use super::{Messages, Recourse, Repeat, Report};
use crate::workload::child::{self, ChildError};
use crate::workload::parking::dead_letter::Context;

/// How long the dead-letter topic may take until a message is spooled.
const LIMIT: Duration = Duration::from_secs(10);

/// Where dead letters go.
#[derive(Debug, Clone)]
pub(in super::super) struct Address {
    /// CLIENT listeners.
    pub(in super::super) bootstrap: String,
    /// Name of the client.
    pub(in super::super) client_id: String,
    /// The stream's topic.
    pub(in super::super) topic: String,
    /// The stream's partition: the same one of the dead-letter topic, which is led by another broker.
    pub(in super::super) partition: i32,
    /// The dead-letter topic.
    pub(in super::super) dead_letters: String,
    /// As the stream's messages have them.
    pub(in super::super) keys: Option<u64>,
}

/// A client for dead letters, and the spool behind it.
pub(in super::super) struct DeadLetters {
    client: BaseProducer<Written>,
    address: Address,
    spool: Spool,
}

impl DeadLetters {
    pub(in super::super) fn new(address: Address, spool: Spool) -> Result<Self, ChildError> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &address.bootstrap)
            .set("client.id", &address.client_id)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", LIMIT.as_millis().to_string())
            .set("socket.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "1000")
            .create_with_context(Written::default())?;
        Ok(Self { client, address, spool })
    }

    fn write(&self, report: Report, messages: &mut Messages) -> bool {
        let Address { topic, partition, dead_letters, keys, .. } = &self.address;
        let key = keys.map(|keys| (report.sequence % keys).to_string());
        let reason = report.error.map_or_else(String::new, |error| error.to_string());
        let context = Context {
            reason: &reason,
            topic,
            partition: *partition,
            offset: None,
            sequence: Some(report.sequence),
            key: key.as_deref(),
            attempts: u32::from(report.attempt) + 1,
        };
        let mut record: BaseRecord<'_, str, [u8], Box<Report>> =
            BaseRecord::with_opaque_to(dead_letters, Box::new(report))
                .partition(*partition)
                .headers(context.headers())
                .payload(messages.payload(report.sequence, report.attempt));
        if let Some(key) = &key {
            record = record.key(key);
        }
        self.client.send(record).is_ok()
    }

    /// Serves the client's reports, and spools what could not be written.
    fn serve(&mut self, messages: &mut Messages) -> Result<(), ChildError> {
        self.client.poll(Duration::ZERO);
        let refused = std::mem::take(&mut *self.client.context().refused());
        if refused.is_empty() {
            return Ok(());
        }
        self.spool.hear(&refused, messages, lossproof_ledger::clock::boottime_ns())
    }
}

impl Recourse for DeadLetters {
    fn hear(&mut self, reports: &[Report], messages: &mut Messages, now_ns: u64) -> Result<(), ChildError> {
        let mut to_spool = Vec::new();
        for report in reports {
            // Only the spool sends again.
            let is_dead_letter = report.attempt == 0 && report.error.is_some();
            if !is_dead_letter || !self.write(*report, messages) {
                to_spool.push(*report);
            }
        }
        if to_spool.is_empty() { Ok(()) } else { self.spool.hear(&to_spool, messages, now_ns) }
    }

    fn look(&mut self, messages: &mut Messages) -> Result<(), ChildError> {
        self.serve(messages)
    }

    fn next(&mut self, now_ns: u64) -> Result<Option<Repeat>, ChildError> {
        self.spool.next(now_ns)
    }

    fn put_back(&mut self, repeat: Repeat) {
        self.spool.put_back(repeat);
    }

    fn is_settled(&self) -> bool {
        self.client.in_flight_count() == 0 && self.client.context().refused().is_empty() && self.spool.is_settled()
    }

    fn close(&mut self, messages: &mut Messages) -> Result<(), ChildError> {
        // By then its client has given up what it holds.
        let deadline = Instant::now() + LIMIT + Duration::from_secs(2);
        while self.client.in_flight_count() > 0 && Instant::now() < deadline {
            self.client.poll(Duration::from_millis(50));
        }
        self.serve(messages)
    }
}

/// Collects what the dead-letter topic did not take.
#[derive(Default)]
struct Written(Mutex<Vec<Report>>);

impl Written {
    fn refused(&self) -> MutexGuard<'_, Vec<Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Written {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        child::log(level, facility, message);
    }
}

impl ProducerContext for Written {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        if result.is_err() {
            self.refused().push(*report);
        }
    }
}
