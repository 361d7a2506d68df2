//! What a consumer group does, and how it is written: behaviours under `consumer:`, and librdkafka's options.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::client::split;
use super::profile::{Found, Setting};
use super::source::Span;
use super::value::{Wrong, duration, integer, word};
use super::{Options, Problem, Word};

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
    "detect_gaps",
];

/// What a consumer group does.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// librdkafka's.
    pub options: Options,
    /// Member processes of the group.
    pub members: u16,
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
}

impl Word for Sink {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("sqlite_dedup", Self::SqliteDedup)];
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
    ];
}

impl Commit {
    /// Whether messages are taken and committed batch by batch.
    #[must_use]
    pub const fn is_of_batches(self) -> bool {
        matches!(self, Self::Before | Self::Batch)
    }

    /// Whether an offset is committed only once its message is dealt with, however long that takes.
    const fn waits_for_each(self) -> bool {
        !matches!(self, Self::Auto | Self::Before | Self::Highest)
    }

    /// Whether an interval says when it is time.
    const fn has_interval(self) -> bool {
        !matches!(self, Self::Auto | Self::Before | Self::Batch)
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
        if *detect_gaps {
            all.push(("detect_gaps", detect_gaps.word().to_owned()));
        }
        all
    }
}

/// Of the merged settings under `consumer:`.
pub(super) fn consumer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ConsumerSpec> {
    let auto = settings.iter().find(|setting| setting.key == "enable.auto.commit").map(|setting| {
        let on = matches!(setting.value.0.to_lowercase().as_str(), "true" | "t" | "1");
        (on, setting.value.1.clone())
    });
    let (behaviours, options) = split(check, settings, "consumer", BEHAVIOURS);
    let given = Given(behaviours);
    let members = given.read_or(check, "members", 1, |text| integer(text, "number of members", 1, 16));
    let handling = handling(check, &given, auto);
    Some(ConsumerSpec { options, members: members?, handling: handling? })
}

/// Behaviours that are set.
struct Given(Vec<Setting>);

impl Given {
    fn find(&self, key: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.key == key)
    }

    /// The value of a behaviour, if it is set; none if it is wrong, which is noted.
    fn read<T>(&self, check: &mut Check, key: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<Option<T>> {
        match self.find(key) {
            Some(Setting { value: (text, at), .. }) => check.read_at(text, at, parse).map(Some),
            None => Some(None),
        }
    }

    fn read_or<T>(
        &self,
        check: &mut Check,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.read(check, key, parse).map(|value| value.unwrap_or(default))
    }

    /// Notes each of these behaviours that is set, as one that means nothing here.
    fn refuse(&self, check: &mut Check, keys: &[&str], why: &str, hint: &str) {
        for setting in keys.iter().filter_map(|key| self.find(key)) {
            let problem = Problem::new(format!("`{}` {why}", setting.key));
            check.report(problem.at(&setting.key_at, "means nothing here").hint(hint));
        }
    }
}

fn handling(check: &mut Check, given: &Given, auto: Option<(bool, Span)>) -> Option<Handling> {
    let commit = commit(check, given, auto);
    let inline = Processing::Inline;
    let processing = given.read_or(check, "processing", inline, |text| word(text, "way to process"));
    let interval = given.read_or(check, "commit_interval", COMMIT_INTERVAL, positive);
    let batch = given.read(check, "batch", |text| integer(text, "number of messages in a batch", 1, 100_000));
    let threads = given.read_or(check, "workers", WORKERS, |text| integer(text, "number of workers", 1, 64));
    let queue =
        given.read_or(check, "worker_queue", WORKER_QUEUE, |text| integer(text, "length of a queue", 1, 1_000_000));
    let keep_polling = given.read_or(check, "keep_polling", false, |text| word(text, "answer"));
    let work = work(check, given);
    let failure = failure(check, given);
    let sink = given.read_or(check, "sink", Sink::None, |text| word(text, "sink"));
    let detect_gaps = given.read_or(check, "detect_gaps", false, |text| word(text, "answer"));
    let (commit, processing) = (commit?, processing?);

    let with_workers = processing == Processing::Workers;
    if !with_workers {
        let keys = ["workers", "worker_queue", "keep_polling"];
        given.refuse(check, &keys, "needs workers", "add `processing: workers`");
    }
    if !commit.has_interval() {
        let hint = match commit {
            Commit::Auto => "librdkafka's `auto.commit.interval.ms` says when it commits by itself",
            _ => "remove it: each batch is committed",
        };
        given.refuse(check, &["commit_interval"], &format!("has no part in `commit: {}`", commit.word()), hint);
    }
    if with_workers && !commit.is_of_batches() {
        let why = format!("has no part in `commit: {}` with workers, which take message by message", commit.word());
        given.refuse(check, &["batch"], &why, "remove it, or set `commit: batch`");
    }
    let fits = commit_fits(check, given, commit, with_workers);
    let failure = failure?;
    let is_dlq = failure.as_ref().is_some_and(|failure| failure.then == OnFailure::Dlq);
    if is_dlq && !commit.waits_for_each() {
        let problem = Problem::new(format!("`commit: {}` does not wait for dead letters", commit.word()));
        let hint = "commit after processing: `commit: after_sync` or `batch`, with workers `contiguous`";
        check.report(match given.find("on_failure") {
            Some(setting) => {
                problem.at(&setting.value.1, "their offsets would be committed before they are safe").hint(hint)
            }
            None => problem.hint(hint),
        });
        return None;
    }

    let batch = batch?.unwrap_or(if commit.is_of_batches() { BATCH } else { 1 });
    let workers = Workers { threads: threads?, queue: queue?, keep_polling: keep_polling? };
    let workers = with_workers.then_some(workers);
    fits.then_some(Handling {
        commit,
        commit_interval: interval?,
        batch,
        workers,
        work: work?,
        failure,
        sink: sink?,
        detect_gaps: detect_gaps?,
    })
}

/// Whether what is committed goes with who processes.
fn commit_fits(check: &mut Check, given: &Given, commit: Commit, with_workers: bool) -> bool {
    let (is_wrong, needs, hint) = match commit {
        Commit::AfterSync | Commit::AfterAsync | Commit::AfterAsyncSyncClose => {
            let hint = "workers end out of order: `commit: contiguous`, `batch`, or the unsafe `highest`";
            (with_workers, "needs `processing: inline`", hint)
        }
        Commit::Contiguous | Commit::Highest => {
            let hint = "add `processing: workers`; inline, `commit: after_sync` is the same";
            (!with_workers, "needs workers", hint)
        }
        Commit::Auto | Commit::Before | Commit::Batch => return true,
    };
    if is_wrong {
        // What was extended may say the other.
        let at = if with_workers { given.find("processing") } else { given.find("commit") };
        let problem = Problem::new(format!("`commit: {}` {needs}", commit.word()));
        check.report(match at {
            Some(setting) => problem.at(&setting.value.1, "does not go with how messages are processed").hint(hint),
            None => problem.hint(hint),
        });
    }
    !is_wrong
}

fn work(check: &mut Check, given: &Given) -> Option<Work> {
    let each = given.read_or(check, "work", Duration::ZERO, duration);
    let every = given.read(check, "straggler_every", |text| integer(text, "number of messages", 1, 1_000_000_000));
    let long = given.read(check, "straggler_work", positive);
    if !both(check, given, ("straggler_every", "500"), ("straggler_work", "2s")) {
        return None;
    }
    let stragglers = every?.zip(long?).map(|(every, work)| Stragglers { every, work });
    Some(Work { each: each?, stragglers })
}

/// Whether two behaviours are both set or both not; each comes with an example.
fn both(check: &mut Check, given: &Given, one: (&str, &str), two: (&str, &str)) -> bool {
    let (lone, (other, example)) = match (given.find(one.0), given.find(two.0)) {
        (Some(lone), None) => (lone, two),
        (None, Some(lone)) => (lone, one),
        _ => return true,
    };
    let problem = Problem::new(format!("`{}` does nothing without `{other}`", lone.key));
    check.report(problem.at(&lone.key_at, "half of two").hint(format!("add `{other}: {example}`")));
    false
}

fn failure(check: &mut Check, given: &Given) -> Option<Option<Failure>> {
    let poison = given.read(check, "poison_every", |text| integer(text, "number of messages", 1, 1_000_000_000));
    let at = given.read(check, "service_down_at", duration);
    let lasts = given.read(check, "service_down_for", positive);
    let then = given.read(check, "on_failure", |text| word(text, "way to deal with failures"));
    let tries = given.read_or(check, "tries", TRIES, |text| integer(text, "number of tries", 1, 1000));
    if !both(check, given, ("service_down_at", "10s"), ("service_down_for", "15s")) {
        return None;
    }
    let (poison_every, service_down, then, tries) = (poison?, at?.zip(lasts?), then?, tries?);
    let fails = poison_every.is_some() || service_down.is_some();
    if then != Some(OnFailure::Dlq) {
        given.refuse(
            check,
            &["tries"],
            "counts what comes before a dead letter",
            "set `on_failure: dlq`, or remove it",
        );
    }
    match then {
        Some(then) if fails => {
            let service_down = service_down.map(|(at, lasts)| ServiceDown { at, lasts });
            Some(Some(Failure { poison_every, service_down, then, tries }))
        }
        Some(_) => {
            let hint = "add `poison_every: 500`, or `service_down_at: 10s` and `service_down_for: 15s`";
            given.refuse(check, &["on_failure"], "has nothing to do, as nothing fails", hint);
            None
        }
        None if fails => {
            let hint = "add `on_failure: commit`, `retry` or `dlq`";
            given.refuse(check, &["poison_every", "service_down_at"], "does not say what becomes of what fails", hint);
            None
        }
        None => Some(None),
    }
}

fn positive(text: &str) -> Result<Duration, Wrong> {
    match duration(text)? {
        Duration::ZERO => Err(Wrong::new(format!("`{text}` is no time"), "expected more than nothing")),
        time => Ok(time),
    }
}

/// When offsets are committed, which librdkafka's own switch must not contradict.
fn commit(check: &mut Check, given: &Given, auto: Option<(bool, Span)>) -> Option<Commit> {
    let commit = given.read(check, "commit", |text| word(text, "way to commit"))?;
    let at = given.find("commit").map(|setting| &setting.value);
    match (commit, auto) {
        (Some(Commit::Auto), Some((false, switch))) => {
            contradiction(check, "`commit: auto` needs librdkafka's auto-commit, which is off here", &switch, at);
            None
        }
        (Some(commit), Some((true, switch))) if commit != Commit::Auto => {
            let word = commit.word();
            contradiction(
                check,
                &format!("`commit: {word}` commits by itself, and auto-commit is on here"),
                &switch,
                at,
            );
            None
        }
        (Some(commit), _) => Some(commit),
        // Switched off and nothing said: what most people do then.
        (None, Some((false, _))) => Some(Commit::AfterSync),
        (None, _) => Some(Commit::Auto),
    }
}

fn contradiction(check: &mut Check, message: &str, option: &Span, commit: Option<&Found>) {
    let mut problem = Problem::new(message).at(option, "`enable.auto.commit` is set here");
    if let Some((_, at)) = commit {
        let place = at.place();
        let hint = format!("`commit` is set at {}:{}:{}: change one of them", place.file, place.line, place.column);
        problem = problem.hint(hint);
    }
    check.report(problem);
}
