//! The consumer's dead-letter topic: what can't be processed is written there, with all that somebody needs who looks
//! into it, while the main flow goes on. The offset waits: its message stays in hand until all in-sync replicas
//! have the letter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};

use super::hand::Job;
use crate::workload::child::log;
use crate::workload::parking::dead_letter::{CONSUMER_SUFFIX, Context};
use crate::workload::spec::ClientSpec;

/// A message that is to be put aside.
pub(super) struct Letter {
    pub job: Job,
    pub reason: &'static str,
    pub attempts: u32,
}

/// The producer of a member's dead letters. Served by the polling thread. What it still holds when it is dropped belongs to
/// messages whose offsets are not committed.
pub(super) struct DeadLetters {
    producer: BaseProducer<Told>,
    /// The member's own topic.
    topic: String,
    dead_letter_topic: String,
    told: Receiver<(Arc<Letter>, bool)>,
    /// Letters that the client did not take, in order.
    waiting: VecDeque<Arc<Letter>>,
    /// Letters that are not safe yet.
    open: usize,
}

/// Hands delivery reports on.
struct Told(Sender<(Arc<Letter>, bool)>);

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = Arc<Letter>;

    fn delivery(&self, report: &DeliveryResult<'_>, letter: Arc<Letter>) {
        if let Err((error, _)) = report {
            tracing::warn!("a dead letter is sent again: {error}");
        }
        // Without a receiver the member has ended.
        let _ = self.0.send((letter, report.is_ok()));
    }
}

impl DeadLetters {
    pub fn start(spec: &ClientSpec) -> KafkaResult<Self> {
        let (sender, told) = channel();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &spec.bootstrap)
            .set("client.id", format!("{}-dead-letters", spec.name()))
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "30000")
            .create_with_context(Told(sender))?;
        let topic = spec.topic.clone();
        let dead_letter_topic = format!("{topic}{CONSUMER_SUFFIX}");
        Ok(Self { producer, topic, dead_letter_topic, told, waiting: VecDeque::new(), open: 0 })
    }

    pub fn put(&mut self, letter: Letter) {
        self.open += 1;
        self.waiting.push_back(Arc::new(letter));
    }

    /// Sends what waits, and gives the messages whose letters are safe now. A letter that failed is sent again: the
    /// message would be lost with it. Waits for the first report, if any is to come.
    pub fn safe(&mut self, wait: Duration) -> Vec<Job> {
        while let Some(letter) = self.waiting.pop_front() {
            if let Err(letter) = self.send(letter) {
                self.waiting.push_front(letter);
                break;
            }
        }
        self.producer.poll(if self.open > 0 { wait } else { Duration::ZERO });
        let mut safe = Vec::new();
        while let Ok((letter, is_safe)) = self.told.try_recv() {
            // The report was the last to hold it.
            match Arc::try_unwrap(letter) {
                Ok(letter) if is_safe => {
                    self.open -= 1;
                    safe.push(letter.job);
                }
                Ok(letter) => self.waiting.push_back(Arc::new(letter)),
                Err(letter) => self.waiting.push_back(letter),
            }
        }
        safe
    }

    fn send(&self, letter: Arc<Letter>) -> Result<(), Arc<Letter>> {
        let held = Arc::clone(&letter);
        let raw = held.job.raw.as_ref();
        let key = raw.and_then(|raw| raw.key.as_deref());
        let context = Context {
            reason: held.reason,
            topic: &self.topic,
            partition: held.job.partition,
            offset: Some(held.job.offset),
            sequence: held.job.identity.map(|identity| identity.sequence),
            key: key.and_then(|key| std::str::from_utf8(key).ok()),
            attempts: held.attempts,
        };
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.dead_letter_topic, letter)
            .partition(held.job.partition)
            .payload(raw.map_or(&[][..], |raw| &raw.payload))
            .headers(context.headers());
        record.key = key;
        self.producer.send(record).map_err(|(error, record)| {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                tracing::warn!("a dead letter is not taken, and is offered again: {error}");
            }
            record.delivery_opaque
        })
    }

    /// Letters that are not safe yet.
    pub const fn open(&self) -> usize {
        self.open
    }
}
