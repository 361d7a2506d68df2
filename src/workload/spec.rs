//! What a client process is to do: written by the runner as JSON, read by the child.

use std::path::PathBuf;
use std::time::Duration;

use lossproof_ledger::event::{ClientId, Role};
use lossproof_ledger::journal::EXTENSION;
use rdkafka::error::KafkaResult;
use serde::{Deserialize, Serialize};

use crate::experiment::{Handling, OnFatal, OnQueueFull, Sending};

use super::config;
use super::parking::Parking;

/// One client process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientSpec {
    /// Which.
    pub id: ClientId,
    /// Number of the run, as in every payload and journal.
    pub run: u64,
    /// CLIENT listeners, `host:port` separated by commas.
    pub bootstrap: String,
    /// The profile's topic.
    pub topic: String,
    /// librdkafka's options, verbatim.
    pub options: Vec<(String, String)>,
    /// Where journals go, an absolute path: `RUN_DIR/journal`.
    pub journal_dir: PathBuf,
    /// What it does; agrees with the role in `id`.
    pub behaviour: Behaviour,
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Offers messages.
    Producer(Producing),
    /// Reads them as a member of a group.
    Consumer(Consuming),
}

/// How a producer offers messages. Each partition has a librdkafka client, a thread and a journal of
/// its own, and begins when the process starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Producing {
    /// The producer's number within the run.
    pub producer: u16,
    /// Partitions of the topic, from 0.
    pub partitions: i32,
    /// By partition, the first sequence of this incarnation; empty for the first one, which begins at 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<u64>,
    /// Messages a second over all partitions; above 0.
    pub rate_per_s: f64,
    /// Payload size in bytes, at least `payload::MIN_PAYLOAD_BYTES`.
    pub payload_bytes: usize,
    /// What becomes of a message that the client's full queue refuses.
    pub on_queue_full: OnQueueFull,
    /// What becomes of the stream after a fatal error of its client.
    pub on_fatal: OnFatal,
    /// Number of keys that each stream's messages take in turn: the key of a sequence is the decimal
    /// number `sequence % keys`. None: no keys.
    pub keys: Option<u64>,
    /// None: no transactions.
    pub transactions: Option<Transactions>,
    /// How the application around the client sends.
    #[serde(default)]
    pub sending: Sending,
    /// Where it puts messages aside; none if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parking: Option<Parking>,
    /// A FIFO to which every acknowledgement is told once more, after its entry is in the journal
    /// ([`WITNESS_BYTES`](super::WITNESS_BYTES) each). For tests of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<PathBuf>,
}

/// How a producer's streams use transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    /// `transactional.id` of each partition's client, the same in all its incarnations.
    pub ids: Vec<String>,
    /// Messages after which a transaction is committed; it is earlier when it gets old.
    pub messages: u32,
}

/// How a consumer reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consuming {
    /// The group's id.
    pub group: String,
    /// What it does with the messages.
    pub handling: Handling,
    /// CLOCK_BOOTTIME from which the outage of a service counts, the same for all members and incarnations.
    #[serde(default)]
    pub started_ns: u64,
    /// The file of a sink, in a folder that is there; none without a sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<PathBuf>,
    /// The topic of results; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<ResultsTo>,
}

/// Where a member writes what it makes of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsTo {
    /// The topic, with as many partitions as the messages'.
    pub topic: String,
    /// The member's own, the same in all its incarnations; none: no transactions.
    pub transactional_id: Option<String>,
}

impl Consuming {
    /// How long a member may be busy with what it has in hand when it is asked to end: a batch, by itself.
    fn in_hand_limit(&self) -> Duration {
        let Handling { batch, workers, work, failure, .. } = &self.handling;
        let tries = failure.as_ref().map_or(1, |failure| failure.tries);
        let one = work.longest() * tries;
        match workers {
            Some(_) => one,
            None => work.each * *batch + one,
        }
    }
}

impl Producing {
    /// The first sequence that this incarnation offers to a partition.
    #[must_use]
    pub fn first_of(&self, partition: i32) -> u64 {
        usize::try_from(partition).ok().and_then(|at| self.first.get(at)).copied().unwrap_or(0)
    }
}

impl ClientSpec {
    /// The client's name in files, such as `baseline-producer-0-0`.
    #[must_use]
    pub fn name(&self) -> String {
        let role = match self.id.role {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        };
        format!("{}-{role}-{}-{}", self.id.profile, self.id.member, self.id.incarnation)
    }

    /// Its journal relative to the run directory; for a producer the pattern of its partitions'.
    #[must_use]
    pub fn journal_pattern(&self) -> String {
        let name = self.name();
        match self.behaviour {
            Behaviour::Producer(_) => format!("journal/{name}-p*.{EXTENSION}"),
            Behaviour::Consumer(_) => format!("journal/{name}.{EXTENSION}"),
        }
    }

    /// How long a member of a group may do nothing at all before it is certain that it will not go on: until the session
    /// of another one has ended, whose partitions it waits for, and what it has in hand is done.
    ///
    /// # Errors
    /// If librdkafka refuses the options.
    pub fn idle_limit(&self) -> KafkaResult<Duration> {
        const MARGIN: Duration = Duration::from_secs(10);
        let Behaviour::Consumer(consuming) = &self.behaviour else { return Ok(Duration::MAX) };
        let session_ms = config::consumer(self, consuming).number("session.timeout.ms")?;
        Ok(Duration::from_millis(session_ms).max(consuming.in_hand_limit()) + MARGIN)
    }

    /// How long ending well may take by the client's own timeouts: a producer delivers or gives up
    /// what it holds within `message.timeout.ms`, a consumer commits within `socket.timeout.ms`, once what it
    /// has in hand is done. A producer without limit (`message.timeout.ms=0`) is given five minutes.
    ///
    /// # Errors
    /// If librdkafka refuses the options.
    pub fn end_limit(&self) -> KafkaResult<Duration> {
        const MARGIN: Duration = Duration::from_secs(5);
        const WITHOUT_LIMIT_MS: u64 = 300_000;
        let (limit_ms, in_hand) = match &self.behaviour {
            Behaviour::Producer(_) => match config::producer(self).number("message.timeout.ms")? {
                0 => (WITHOUT_LIMIT_MS, Duration::ZERO),
                limit_ms => (limit_ms, Duration::ZERO),
            },
            Behaviour::Consumer(consuming) => {
                (config::consumer(self, consuming).number("socket.timeout.ms")?, consuming.in_hand_limit())
            }
        };
        Ok(Duration::from_millis(limit_ms) + in_hand + MARGIN)
    }
}
