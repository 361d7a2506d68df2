//! An experiment as validated: what the runner works from, with no YAML left in it.
//!
//! `load` reads files, folders and names of embedded experiments: `source` (bytes to text), `yaml` and `raw` (text to
//! the shape of the format), `profile`, `fault`, `expect` and `validate` (shape to meaning), `resolved` (and back).
//! Whatever is wrong becomes a `Problem` with its place and a hint. Nothing here prints, and nothing here knows a running
//! cluster.

mod amount;
mod check;
mod client;
mod consumer;
mod describe;
mod embedded;
mod expect;
mod extends;
mod fault;
pub mod hint;
mod load;
pub mod metric;
mod option_name;
mod overlap;
mod part;
pub mod problem;
mod producer;
mod profile;
mod raw;
mod resolved;
pub mod schedule;
mod selector;
mod source;
#[cfg(test)]
mod tests;
mod validate;
mod value;
mod vary;
mod words;
mod yaml;
pub mod yours;

pub use consumer::{
    Commit, ConsumerSpec, Failure, Handling, OnFailure, ResultsIsolation, ServiceDown, Sink, Stragglers, Work, Workers,
};
pub use embedded::catalogued;
pub use expect::{argument as expectation_argument, file as expectation_file};
pub use fault::{
    After, BrokerFault, ChosenClients, ClientFault, ClientRole, Cut, Denied, Destination, DiskFault, Election,
    ExecFault, FaultKind, FaultSpec, HARNESS_PORT, Held, KafkaFault, Leave, Listener, Moment, NetworkFault,
    OfPartition, Path, Peers, Ports, Repeat, RestartWait, Shape, Way,
};
pub use load::{load, load_embedded, profiles};
pub use problem::{Problem, Problems};
pub use resolved::sending;
pub use selector::{Coordinator, Selector};
pub use vary::BASELINE;
pub use words::Word;

use std::path::PathBuf;
use std::time::Duration;

use semver::VersionReq;
use serde::{Deserialize, Serialize};

/// A place in a file, for messages that a person can follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it, or `builtin:NAME`.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// A value that remembers where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

/// A whole experiment.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Short name, `[a-z0-9-]+`, used in paths and topic names.
    pub name: String,
    /// One or two sentences.
    pub summary: String,
    /// What threatens, in a phrase; may be empty.
    pub hazard: String,
    /// The settings or the practice that protect, in a phrase; may be empty.
    pub protects: String,
    /// What `random` selectors choose by; without one, each run has another.
    pub seed: Option<u64>,
    /// The file it came from.
    pub file: PathBuf,
    /// Its folder inside the catalogue or the folder that was named; empty for a file by itself.
    pub group: String,
    /// Versions of Kafka that it is for; none for all.
    pub kafka: Option<VersionReq>,
    /// Whether its profiles share a cluster.
    pub isolation: Isolation,
    /// What is asked beside lossproof; none for nothing.
    pub cross_check: Option<CrossCheck>,
    /// The cluster it needs.
    pub cluster: ClusterSpec,
    /// What is offered, and for how long.
    pub workload: Workload,
    /// In the order of the file; at least one.
    pub profiles: Vec<Profile>,
    /// In the order in which they are planned; one that is repeated as often as it is.
    pub faults: Vec<FaultSpec>,
    /// Else the run is inconclusive.
    pub must_show: Vec<Expectation>,
    /// Else the run has failed.
    pub must_hold: Vec<Expectation>,
    /// Messages in flight or acknowledged in the fault windows that each named profile needs.
    pub min_exposure: Vec<(String, u64)>,
    /// The experiment with every `extends` and default resolved, as YAML that reads back to the same.
    pub resolved: String,
}

/// Whether profiles meet the faults on the same cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All at the same moment, side by side.
    Shared,
    /// One profile after another, each on a fresh cluster: where they would share what the fault hits, such as the disk's
    /// journal.
    Apart,
}

/// What is asked beside lossproof, and must tell the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossCheck {
    /// Kafka's own command-line tools: the ends of the logs, and the groups' commits and lag.
    KafkaTools,
}

/// The cluster an experiment needs. Equal specs may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Name of the compose definition; `three-brokers` is the one there is.
    pub definition: String,
    /// Broker options on top of the definition's.
    pub broker_config: Vec<(String, String)>,
    /// Size of each broker's data volume in bytes.
    pub disk_bytes: u64,
}

/// What is offered, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Messages a second for each profile, over all its partitions.
    pub rate_per_s: f64,
    /// Payload size in bytes, the identity included.
    pub payload_bytes: usize,
    /// Undisturbed time before the schedule's zero.
    pub warm_up: Duration,
    /// Undisturbed time after recovery.
    pub after_recovery: Duration,
    /// Limit for the whole experiment from warm-up to the end of the audit.
    pub max: Duration,
}

/// A named client behaviour: producer, consumer and topic.
#[derive(Debug, Clone)]
pub struct Profile {
    /// `[a-z0-9-]+`.
    pub name: String,
    /// One sentence, for tables and lists.
    pub summary: String,
    /// Whether what becomes of it counts for the verdict; otherwise it is only counted.
    pub is_judged: bool,
    /// What a reader of the report should know of it, a sentence each.
    pub notes: Vec<String>,
    /// Settings of which each is put back to the baseline's in a profile of its own.
    pub vary: Vec<String>,
    /// Of such a profile, what was put back.
    pub varied: Option<Varied>,
    /// Its topic.
    pub topic: TopicSpec,
    /// Its producer.
    pub producer: ProducerSpec,
    /// Its consumer group.
    pub consumer: ConsumerSpec,
}

/// What a profile has of the baseline's, and is otherwise the same as another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Varied {
    /// The other.
    pub of: String,
    /// The setting that was to be put back.
    pub setting: String,
    /// Settings that had to be put back with it.
    pub with: Vec<String>,
}

impl Profile {
    /// Whether a later message of the same key may replace an earlier one in its topic.
    #[must_use]
    pub fn is_compacted(&self, cluster: &ClusterSpec) -> bool {
        let own = self.topic.config.iter().rfind(|(name, _)| name == "cleanup.policy");
        let all = cluster.broker_config.iter().rfind(|(name, _)| name == "log.cleanup.policy");
        own.or(all).is_some_and(|(_, policy)| policy.contains("compact"))
    }
}

/// A topic as it is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication_factor: i32,
    /// Topic configuration, passed to the broker verbatim.
    pub config: Vec<(String, String)>,
}

/// librdkafka options, verbatim, with their places (key's place).
pub type Options = Vec<(Located<String>, String)>;

/// What a producer does.
#[derive(Debug, Clone)]
pub struct ProducerSpec {
    /// librdkafka's.
    pub options: Options,
    /// What happens to a message that the client's full queue refuses.
    pub on_queue_full: OnQueueFull,
    /// What happens after a fatal error of the client.
    pub on_fatal: OnFatal,
    /// Messages of each partition that a transaction holds; none without transactions.
    pub transaction_messages: Option<u32>,
    /// Number of keys that each partition's messages take in turn; none for messages without a key.
    pub keys: Option<u64>,
    /// How the application around the client sends.
    pub sending: Sending,
}

/// How the application around a producer's client sends: what it looks at, and what it does about errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Who looks at delivery reports.
    pub delivery: Delivery,
    /// What becomes of messages in the client when the application ends.
    pub close: Close,
    /// Messages that are larger than the others; none if all are alike.
    pub large: Option<Large>,
    /// What becomes of a message that the client refused, or gave up.
    pub on_error: OnError,
    /// Each message belongs to a row of a local database, which is committed before the message is sent.
    pub dual_write: bool,
}

/// Who looks at delivery reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Nobody: what `produce()` took is believed to be sent.
    FireAndForget,
    /// The application, as they come, while it goes on sending.
    #[default]
    Callback,
    /// The application, before it sends the next message of the stream.
    Await,
}

/// What becomes of messages in the client when the application ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// Their reports are awaited.
    #[default]
    Flush,
    /// They go with the client.
    Abandon,
}

/// Messages that are larger than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    /// Every so many sequences of a stream one is large, the last of them; at least 1.
    pub every: u64,
    /// Payload size of a large one in bytes, the identity included.
    pub payload_bytes: usize,
}

/// What becomes of a message that the client refused, or of which a delivery report tells an error. A full queue's
/// refusal is [`OnQueueFull`]'s matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is dropped.
    #[default]
    Drop,
    /// It is sent again, so many times in all, each time after a longer pause; then it is dropped.
    Retry {
        /// Sends in all, at least 2.
        attempts: u16,
    },
    /// It is written to a dead-letter topic, with what is known of it in headers; spooled if that fails too.
    Dlq,
    /// It is written to a file of the client, and sent again when the cluster takes messages.
    Spool,
    /// It is a row of a local database from the beginning, written together with the business's own, and stays there
    /// until it is acknowledged; a relay sends it.
    Outbox,
}

impl Sending {
    /// Whether the application has files of its own.
    #[must_use]
    pub const fn keeps_aside(&self) -> bool {
        self.dual_write || self.on_error.parks()
    }
}

impl OnError {
    /// Whether messages may lie elsewhere than in their topic when the run ends.
    #[must_use]
    pub const fn parks(self) -> bool {
        matches!(self, Self::Dlq | Self::Spool | Self::Outbox)
    }
}

/// What happens to a message that the client's full queue refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnQueueFull {
    /// It is dropped, and counts as unsent.
    Drop,
    /// The producer waits for room.
    Block,
}

/// What happens after a fatal error, with which a librdkafka client refuses all messages for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFatal {
    /// Nothing: the application goes on offering to a client that takes nothing. That is what comes of
    /// code that never asks for the fatal error, which is most of it, and so the default.
    Stop,
    /// A new client goes on with the next message; what the old one held is not sent again.
    Recreate,
}

/// A promise about one metric of one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The profile.
    pub profile: String,
    /// The name of a metric, see [`metric::METRICS`].
    pub metric: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// The bound; milliseconds for times.
    pub bound: u64,
    /// Where it stands in the file.
    pub at: Place,
}

/// All that is expected of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectations {
    /// Else the run is inconclusive.
    pub must_show: Vec<Expectation>,
    /// Else the run has failed.
    pub must_hold: Vec<Expectation>,
    /// Messages in flight or acknowledged in the fault windows that each named profile needs.
    pub min_exposure: Vec<(String, u64)>,
}

/// How a metric is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    MoreThan,
    /// `<=`
    AtMost,
    /// `<`
    LessThan,
}
