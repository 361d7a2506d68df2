//! The topic of results: what a member makes of a message is a record there, which is its side effect.
//!
//! A batch's results are acknowledged by all in-sync replicas before the batch is done; or they are of one transaction
//! with its offsets (KIP-98, KIP-447), so that there is neither without the other. A batch whose results are not safe is
//! polled and processed again. Whoever freezes, or loses its partitions, can't commit what it had begun: the group's
//! generation goes with the offsets, and its next incarnation ends the transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};

use super::context::Member;
use super::hand::Job;
use crate::workload::child::{ChildError, Control, log};
use crate::workload::results::ResultOf;
use crate::workload::spec::{ClientSpec, ResultsTo};
use crate::workload::txn_error::{is_resumable, requires_abort};

/// How long one of librdkafka's calls may block. It goes on in the background, and the next call resumes it.
const CALL_MAX: Duration = Duration::from_millis(500);
/// Between two looks at reports.
const LOOK: Duration = Duration::from_millis(50);
/// After this the coordinator aborts what a member left open, which hides all later results.
const TRANSACTION_MAX_MS: &str = "10000";

/// What became of a batch's results.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// They are in the log for good, and in a transaction so are the offsets.
    Safe,
    /// They are not all, or do not count: the batch is to be done again.
    Undone,
    /// The time of the client is over before that was known.
    Over,
}

/// The producer of a member's results. Served by the polling thread.
pub(super) struct Results {
    config: ClientConfig,
    to: ResultsTo,
    producer: BaseProducer<Failures>,
    failures: Arc<AtomicU64>,
    control: Arc<Control>,
}

/// Counts reports of what did not reach the log.
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = report {
            tracing::warn!("a result is not in the log: {error}");
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Results {
    /// With transactions, what an incarnation before left open is ended when this returns.
    pub fn open(spec: &ClientSpec, to: &ResultsTo, control: &Arc<Control>) -> Result<Self, ChildError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &spec.bootstrap)
            .set("client.id", format!("{}-results", spec.name()))
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5");
        match &to.transactional_id {
            Some(id) => config.set("transactional.id", id).set("transaction.timeout.ms", TRANSACTION_MAX_MS),
            // Without limit.
            None => config.set("message.timeout.ms", "0"),
        };
        let failures = Arc::new(AtomicU64::new(0));
        let producer = config.create_with_context(Failures(Arc::clone(&failures)))?;
        let results = Self { config, to: to.clone(), producer, failures, control: Arc::clone(control) };
        results.register()?;
        Ok(results)
    }

    const fn is_transactional(&self) -> bool {
        self.to.transactional_id.is_some()
    }

    fn register(&self) -> KafkaResult<()> {
        if !self.is_transactional() {
            return Ok(());
        }
        while !self.control.is_ending() {
            match self.producer.init_transactions(CALL_MAX) {
                Err(error) if is_resumable(&error) => {}
                ended => return ended,
            }
        }
        Ok(())
    }

    /// Before the first result of a batch, or its offsets.
    pub fn begin(&self) -> KafkaResult<()> {
        self.failures.store(0, Ordering::Relaxed);
        if self.is_transactional() { self.producer.begin_transaction() } else { Ok(()) }
    }

    /// Sends what the message came to. What can't be sent makes the batch undone.
    pub fn put(&self, job: &Job) {
        let raw = job.raw.as_ref();
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.to.topic)
            .partition(job.partition)
            .payload(raw.map_or(&[][..], |raw| &raw.payload))
            .headers(ResultOf { offset: job.offset, at_ns: boottime_ns() }.headers());
        record.key = raw.and_then(|raw| raw.key.as_deref());
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned))
                    if !self.control.time_is_over() =>
                {
                    record = returned;
                    self.producer.poll(LOOK);
                }
                Err((error, _)) => {
                    tracing::warn!("a result is not taken: {error}");
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
    }

    /// Waits until the results are safe, and commits them with the offsets in a transaction.
    pub fn complete(&mut self, member: &Member, offsets: &TopicPartitionList) -> Result<Completed, ChildError> {
        while self.producer.in_flight_count() > 0 && !self.control.time_is_over() {
            self.producer.poll(LOOK);
        }
        let have_failed = self.failures.load(Ordering::Relaxed) > 0;
        if !self.is_transactional() {
            return Ok(match (self.producer.in_flight_count(), have_failed) {
                (0, false) => Completed::Safe,
                _ if self.control.time_is_over() => Completed::Over,
                _ => Completed::Undone,
            });
        }
        if have_failed {
            return self.abort();
        }
        let group = member.group_metadata().ok_or_else(|| ChildError::ConsumerFatal("it has no group".to_owned()))?;
        let send_offsets = || self.producer.send_offsets_to_transaction(offsets, &group, CALL_MAX);
        let ended = self.until_done(send_offsets).and_then(|()| {
            // librdkafka's own flush would take steps of 100 ms while anything is left: nothing is.
            self.until_done(|| self.producer.commit_transaction(CALL_MAX))
        });
        match ended {
            Ok(()) => Ok(Completed::Safe),
            Err(error) if is_resumable(&error) => Ok(Completed::Over),
            Err(error) => {
                tracing::warn!("a transaction is not committed: {error}");
                if requires_abort(&error) { self.abort() } else { self.renew() }
            }
        }
    }

    /// Ends the open transaction; the batch is to be done again.
    pub fn abort(&mut self) -> Result<Completed, ChildError> {
        if !self.is_transactional() {
            return Ok(Completed::Undone);
        }
        match self.until_done(|| self.producer.abort_transaction(CALL_MAX)) {
            Ok(()) => Ok(Completed::Undone),
            Err(error) if is_resumable(&error) => Ok(Completed::Over),
            Err(error) => {
                tracing::warn!("a transaction is not aborted: {error}");
                self.renew()
            }
        }
    }

    /// A client that can't go on makes way for another of the same id, which ends its transaction.
    fn renew(&mut self) -> Result<Completed, ChildError> {
        self.producer = self.config.create_with_context(Failures(Arc::clone(&self.failures)))?;
        self.register()?;
        Ok(Completed::Undone)
    }

    /// Calls until it is done, fails for good, or the client's time is over.
    fn until_done(&self, call: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
        loop {
            match call() {
                Err(error) if is_resumable(&error) && !self.control.time_is_over() => {
                    self.producer.poll(Duration::ZERO);
                }
                ended => return ended,
            }
        }
    }
}
