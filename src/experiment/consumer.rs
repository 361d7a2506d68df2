//! What a consumer group does: behaviours under `consumer:`, and librdkafka's options.

mod read;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use read::consumer_spec;

use super::{Options, Word};

/// A consumer's behaviours, which are lossproof's and not librdkafka's.
pub(super) const BEHAVIOURS: &[&str] = &[
    "members",
    "commit",
    "commit_interval",
    "batch",
    "processing",
    "workers",
    "worker_queue",
    "keep_polling",
    "work",
    "straggler_every",
    "straggler_work",
    "poison_every",
    "service_down_at",
    "service_down_for",
    "on_failure",
    "tries",
    "sink",
    "results_isolation",
    "detect_gaps",
];

/// What a consumer group does.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// librdkafka's.
    pub options: Options,
    /// Member processes of the group.
    pub members: u16,
    /// How somebody downstream reads the topic of results, where there is one.
    pub results_isolation: ResultsIsolation,
    /// What each member does with the messages.
    pub handling: Handling,
}

/// What a member does with messages, and when it commits their offsets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handling {
    /// When offsets are committed.
    pub commit: Commit,
    /// The least time between two commits, for those that are not bound to a batch.
    pub commit_interval: Duration,
    /// Messages that are taken from the client library before the first of them is processed; at least 1.
    pub batch: u32,
    /// Who processes; none: the thread that polls, one message after the other.
    pub workers: Option<Workers>,
    /// How long a message takes.
    pub work: Work,
    /// What can't be processed, and what becomes of it; none: everything can.
    pub failure: Option<Failure>,
    /// Where the side effect of a message is.
    pub sink: Sink,
    /// It keeps the next sequence that it expects of each producer, and raises an alarm where one is missing.
    #[serde(default)]
    pub detect_gaps: bool,
}

impl Default for Handling {
    /// A loop that polls, processes at once, and leaves commits to librdkafka.
    fn default() -> Self {
        Self {
            commit: Commit::Auto,
            commit_interval: COMMIT_INTERVAL,
            batch: 1,
            workers: None,
            work: Work::default(),
            failure: None,
            sink: Sink::None,
            detect_gaps: false,
        }
    }
}

impl Handling {
    /// Whether messages that fail are put aside.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.then == OnFailure::Dlq)
    }
}

/// Threads that process what another one polls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// How many.
    pub threads: u16,
    /// Messages that wait in memory until a worker is free, before polling stops.
    pub queue: u32,
    /// While there is no room, partitions are paused and polling goes on, so that the group sees a living member.
    pub keep_polling: bool,
}

/// How long processing takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Of most messages.
    pub each: Duration,
    /// Messages that take longer.
    pub stragglers: Option<Stragglers>,
}

/// Messages that take longer than others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stragglers {
    /// Every so many messages of a stream there is one.
    pub every: u64,
    /// How long it takes.
    pub work: Duration,
}

impl Work {
    /// The longest that a message takes.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.stragglers.as_ref().map_or(self.each, |stragglers| stragglers.work.max(self.each))
    }
}

/// Why processing fails, and what becomes of the message then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Every so many messages of a stream there is one that can never be processed.
    pub poison_every: Option<u64>,
    /// A service that processing needs is down for a while.
    pub service_down: Option<ServiceDown>,
    /// What becomes of a message that failed.
    pub then: OnFailure,
    /// How often a message is tried before it becomes a dead letter; at least 1.
    pub tries: u32,
}

/// When a service answers with errors alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDown {
    /// From when on, counted from the moment when the run's clients are started.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// What becomes of a message that can't be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Its offset is committed with the others', as by a commit in a `finally`: it is passed over.
    Commit,
    /// It is tried again where it is until it succeeds, and nothing is polled meanwhile.
    Retry,
    /// After some tries it goes to a dead-letter topic; its offset is committed once it is acknowledged there.
    Dlq,
}

impl Word for OnFailure {
    const WORDS: &'static [(&'static str, Self)] =
        &[("commit", Self::Commit), ("retry", Self::Retry), ("dlq", Self::Dlq)];
}

/// Where the side effect of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// Nowhere but in the journal.
    None,
    /// A row of a local SQLite file, one for all members, with the message's id as its primary key: a repeat changes
    /// nothing.
    SqliteDedup,
    /// A record of another topic, which is read at the end as somebody downstream would.
    Topic,
}

impl Word for Sink {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("sqlite_dedup", Self::SqliteDedup), ("topic", Self::Topic)];
}

/// `isolation.level` of who reads the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultsIsolation {
    /// Results of transactions that were committed.
    ReadCommitted,
    /// Those of transactions that were aborted too.
    ReadUncommitted,
}

impl Word for ResultsIsolation {
    const WORDS: &'static [(&'static str, Self)] =
        &[("read_committed", Self::ReadCommitted), ("read_uncommitted", Self::ReadUncommitted)];
}

/// When offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commit {
    /// By librdkafka in the background, as soon as a record was handed out.
    Auto,
    /// Synchronously, of each batch before it is processed; with workers, once it is in their queue.
    Before,
    /// Synchronously, after processing, once in an interval and at revocation and close.
    AfterSync,
    /// Asynchronously, after processing, once in an interval, and never otherwise.
    AfterAsync,
    /// Asynchronously, after processing, once in an interval, and synchronously at revocation and close.
    AfterAsyncSyncClose,
    /// Synchronously, of each batch, once all of it was processed.
    Batch,
    /// Synchronously, of each partition up to the first message that is not processed yet, once in an interval and
    /// at revocation and close.
    Contiguous,
    /// As contiguous, but up to the highest message that was processed, whatever is still in hand below it.
    Highest,
    /// Of each batch, in one transaction with the results of its messages.
    Transactional,
}

impl Word for Commit {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("before", Self::Before),
        ("after_sync", Self::AfterSync),
        ("after_async", Self::AfterAsync),
        ("after_async_sync_close", Self::AfterAsyncSyncClose),
        ("batch", Self::Batch),
        ("contiguous", Self::Contiguous),
        ("highest", Self::Highest),
        ("transactional", Self::Transactional),
    ];
}

impl Commit {
    /// Whether messages are taken and committed batch by batch.
    #[must_use]
    pub const fn is_of_batches(self) -> bool {
        matches!(self, Self::Before | Self::Batch | Self::Transactional)
    }

    /// Whether an offset is committed only once its message is dealt with, however long that takes.
    const fn waits_for_each(self) -> bool {
        !matches!(self, Self::Auto | Self::Before | Self::Highest | Self::Transactional)
    }

    /// Whether an interval says when it is time.
    const fn has_interval(self) -> bool {
        !(matches!(self, Self::Auto) || self.is_of_batches())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processing {
    Inline,
    Workers,
}

impl Word for Processing {
    const WORDS: &'static [(&'static str, Self)] = &[("inline", Self::Inline), ("workers", Self::Workers)];
}

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// As many as confluent's examples take.
const BATCH: u32 = 100;
const WORKERS: u16 = 8;
const WORKER_QUEUE: u32 = 1000;
const TRIES: u32 = 3;

impl ConsumerSpec {
    /// Whether its members put messages aside.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        self.handling.has_dead_letters()
    }

    /// The behaviours as they are written, without those that are as if nothing was said. Members and commits are
    /// always told.
    #[must_use]
    pub fn behaviours(&self) -> Vec<(&'static str, String)> {
        let Handling { commit, commit_interval, batch, workers, work, failure, sink, detect_gaps } = &self.handling;
        let mut all = vec![("members", self.members.to_string()), ("commit", commit.word().to_owned())];
        let time = |time: &Duration| humantime::format_duration(*time).to_string();
        if *commit_interval != COMMIT_INTERVAL {
            all.push(("commit_interval", time(commit_interval)));
        }
        if *batch != 1 || commit.is_of_batches() {
            all.push(("batch", batch.to_string()));
        }
        if let Some(Workers { threads, queue, keep_polling }) = workers {
            all.push(("processing", Processing::Workers.word().to_owned()));
            all.push(("workers", threads.to_string()));
            all.push(("worker_queue", queue.to_string()));
            all.push(("keep_polling", keep_polling.word().to_owned()));
        }
        if !work.each.is_zero() {
            all.push(("work", time(&work.each)));
        }
        if let Some(Stragglers { every, work }) = &work.stragglers {
            all.push(("straggler_every", every.to_string()));
            all.push(("straggler_work", time(work)));
        }
        if let Some(Failure { poison_every, service_down, then, tries }) = failure {
            all.extend(poison_every.map(|every| ("poison_every", every.to_string())));
            if let Some(ServiceDown { at, lasts }) = service_down {
                all.push(("service_down_at", time(at)));
                all.push(("service_down_for", time(lasts)));
            }
            all.push(("on_failure", then.word().to_owned()));
            if *then == OnFailure::Dlq {
                all.push(("tries", tries.to_string()));
            }
        }
        if *sink != Sink::None {
            all.push(("sink", sink.word().to_owned()));
        }
        if *sink == Sink::Topic {
            all.push(("results_isolation", self.results_isolation.word().to_owned()));
        }
        if *detect_gaps {
            all.push(("detect_gaps", detect_gaps.word().to_owned()));
        }
        all
    }
}
