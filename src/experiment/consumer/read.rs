//! How behaviours under `consumer:` are read, and which of them go together.

use std::time::Duration;

use super::{
    BATCH, BEHAVIOURS, COMMIT_INTERVAL, Commit, ConsumerSpec, Failure, Handling, OnFailure, Processing,
    ResultsIsolation, ServiceDown, Sink, Stragglers, TRIES, WORKER_QUEUE, WORKERS, Work, Workers,
};
use crate::experiment::check::Check;
use crate::experiment::client::split;
use crate::experiment::profile::{Found, Setting};
use crate::experiment::source::Span;
use crate::experiment::value::{Wrong, duration, integer, word};
use crate::experiment::{Problem, Word};

/// Of the merged settings under `consumer:`.
pub(in crate::experiment) fn consumer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ConsumerSpec> {
    let auto = settings.iter().find(|setting| setting.key == "enable.auto.commit").map(|setting| {
        let on = matches!(setting.value.0.to_lowercase().as_str(), "true" | "t" | "1");
        (on, setting.value.1.clone())
    });
    let (behaviours, options) = split(check, settings, "consumer", BEHAVIOURS);
    let given = Given(behaviours);
    let members = given.read_or(check, "members", 1, |text| integer(text, "number of members", 1, 16));
    let isolation = ResultsIsolation::ReadCommitted;
    let results_isolation = given.read_or(check, "results_isolation", isolation, |text| word(text, "isolation level"));
    let handling = handling(check, &given, auto)?;
    if handling.sink != Sink::Topic {
        given.refuse(check, &["results_isolation"], "needs a topic of results to read", "add `sink: topic`");
    }
    Some(ConsumerSpec { options, members: members?, results_isolation: results_isolation?, handling })
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
    let sink = sink?;
    let fits =
        commit_fits(check, given, commit, with_workers) && results_fit(check, given, (commit, sink), with_workers);
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
        sink,
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
        Commit::Auto | Commit::Before | Commit::Batch | Commit::Transactional => return true,
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

/// Whether who writes results to a topic commits batch by batch, and who commits in transactions writes results.
fn results_fit(check: &mut Check, given: &Given, (commit, sink): (Commit, Sink), with_workers: bool) -> bool {
    let (key, problem, label, hint) = match (commit, sink) {
        (_, Sink::Topic) if with_workers => (
            "processing",
            "`sink: topic` needs `processing: inline`".to_owned(),
            "results are written batch by batch",
            "remove it",
        ),
        (_, Sink::Topic) if !commit.is_of_batches() => (
            "sink",
            format!("`sink: topic` does not go with `commit: {}`", commit.word()),
            "results are written batch by batch",
            "commit by batches: `commit: transactional`, `batch` or `before`",
        ),
        (Commit::Transactional, Sink::None | Sink::SqliteDedup) => (
            "commit",
            "`commit: transactional` has no results to commit together with offsets".to_owned(),
            "a transaction is of records and offsets",
            "add `sink: topic`",
        ),
        _ => return true,
    };
    let problem = Problem::new(problem);
    check.report(match given.find(key) {
        Some(setting) => problem.at(&setting.value.1, label).hint(hint),
        None => problem.hint(hint),
    });
    false
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
