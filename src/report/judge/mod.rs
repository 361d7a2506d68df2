//! From a stored run to its report: the experiment as resolved, the events, the journals, and
//! nothing else. The same directory gives the same report, byte for byte.
//!
//! Limits: what happens from the tear-down on is no part of it. A window's exposure goes by who led
//! the partitions as some broker's metadata told it during the run.

mod again;
mod broker_logs;
mod causes;
mod error;
mod evidence;
mod gaps;
mod gone;
mod history;
mod members;
mod parts;
mod windows;

use std::path::Path;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use lossproof_ledger::availability::{Times, WindowTimes};
use lossproof_ledger::cause::{self, Explained};
use lossproof_ledger::counts::Counts;
use lossproof_ledger::journal::Source;
use lossproof_ledger::metric::{self, Metric};
use lossproof_ledger::verdict::{self, Case, Evidence, FaultOutcome, ProfileOutcome, Promise, Promises, Recovery};

use super::ablation::ablations;
use super::anomalies::Anomalies;
use super::model::{Effect, Environment, Fault, Profile, ProfileCounts, Proofs, Report, Target};
use crate::experiment::{self, Comparison, Expectation, Experiment};
pub(in crate::report) use evidence::Journals;
use history::{Change, History};
use parts::{Part, Parts};

pub use again::complete;
pub use error::JudgeError;
pub use evidence::JOURNALS;
pub use history::EVENTS;

/// File of the resolved experiment in a run directory.
pub const EXPERIMENT: &str = "experiment.yaml";

/// Busy shares of the processors from which a host is taken to hold its own producers up.
const BUSY: f64 = 0.95;
/// Share of the planned messages below which a producer did not keep its rate.
const KEPT_RATE: f64 = 0.95;

/// A judged run with what its report is made from, for who wants to know more of single messages.
pub(super) struct Examined {
    pub(super) report: Report,
    /// By profile: all ranges, with causes.
    pub(super) explained: IndexMap<String, Vec<Explained>>,
    parts: Vec<Part>,
    pub(super) journals: Journals,
}

impl Examined {
    /// What happened around a profile, of those in the report.
    pub(super) fn history(&self, profile: &str) -> &cause::History {
        let has = |part: &&Part| part.experiment.profiles.iter().any(|own| own.name == profile);
        &self.parts.iter().find(has).unwrap_or(&self.parts[0]).history.causes
    }
}

/// Judges a stored run.
///
/// # Errors
/// If the directory holds no run, something in it can't be read, or an account does not balance.
pub fn judge(run_dir: &Path) -> Result<Report, JudgeError> {
    judge_as(run_dir, &stored_experiment(run_dir)?)
}

/// Judges a stored run by what `experiment`, the stored one with other expectations, asks of it.
///
/// # Errors
/// As [`judge`].
pub fn judge_as(run_dir: &Path, experiment: &Experiment) -> Result<Report, JudgeError> {
    Ok(examine(run_dir, experiment)?.report)
}

/// Judges a stored run and keeps what that took.
///
/// # Errors
/// As [`judge`].
pub(super) fn examine(run_dir: &Path, experiment: &Experiment) -> Result<Examined, JudgeError> {
    let parts = Parts::read(run_dir, experiment)?;
    let journals = Journals::open(run_dir)?;

    let mut outcomes = Vec::with_capacity(experiment.profiles.len());
    let mut explained = IndexMap::new();
    for Part { experiment, history } in &parts.all {
        for profile in &experiment.profiles {
            let windows = windows::windows(experiment, history, &profile.name);
            let compacted = profile.is_compacted(&experiment.cluster);
            let mut evidence = journals.read(&profile.name, compacted, &besides(profile), history, windows)?;
            let topic = history.topics.get(&profile.name);
            evidence.times.lag_seen_max = topic.and_then(|topic| topic.lag_max);
            gone::leave_out(&mut evidence.times.windows, experiment, history, profile);
            let ranges = causes::explain(&journals, profile, &history.causes, &evidence.reconciliation)?;
            let gaps = gaps::score(run_dir, &profile.name, &journals, &ranges)?;
            explained.insert(profile.name.clone(), ranges);
            outcomes.push(ProfileOutcome {
                gaps,
                profile: profile.name.clone(),
                is_judged: profile.is_judged,
                read_committed: reads_committed(profile),
                host_too_busy: too_busy(history, evidence.planned, &evidence.reconciliation.counts),
                deserted: deserted(history, &profile.name),
                contradicted: topic.map(|topic| topic.contradicted.clone()).unwrap_or_default(),
                reconciliation: evidence.reconciliation,
                times: evidence.times,
            });
        }
    }

    let case = Case {
        promises: promises(experiment)?,
        profiles: outcomes,
        faults: parts.all.iter().flat_map(fault_outcomes).collect(),
        stopped_by: stopped_by(&parts),
    };
    let judgement = verdict::judge(&case);
    let faults = parts.all.iter().flat_map(|part| {
        let all = 0..part.experiment.faults.len();
        all.map(|index| fault(index, part, &case.profiles))
    });
    let (faults, first) = (faults.collect(), parts.first());
    let topics: IndexMap<&str, &str> = parts
        .all
        .iter()
        .flat_map(|part| &part.history.topics)
        .map(|(profile, topic)| (profile.as_str(), topic.name.as_str()))
        .collect();
    let mut report = Report {
        experiment: experiment.name.clone(),
        run: first.run.clone(),
        verdict: judgement.verdict,
        reasons: judgement.reasons,
        notes: notes(experiment, &parts, &journals),
        started_at: first.started.utc,
        duration_ms: (parts.end_ns() - first.started.boottime_ns) / 1_000_000,
        faults,
        profiles: case
            .profiles
            .into_iter()
            .map(|outcome| {
                let unread = outcome.reconciliation.partitions.iter();
                let profile = Profile {
                    topic: topics.get(outcome.profile.as_str()).map(|&topic| topic.to_owned()),
                    unread_partitions: unread
                        .filter(|partition| !partition.audit_complete)
                        .map(|partition| partition.partition)
                        .collect(),
                    journals_complete: outcome.reconciliation.journals_complete,
                    counts: counts(&outcome),
                    gaps: outcome.gaps,
                    anomalies: explained.get(&outcome.profile).map(|ranges| Anomalies::of(ranges)).unwrap_or_default(),
                };
                (outcome.profile, profile)
            })
            .collect(),
        ablations: Vec::new(),
        environment: environment(&parts),
    };
    report.ablations = ablations(experiment, &report.profiles, report.verdict);
    Ok(Examined { report, explained, parts: parts.all, journals })
}

/// Whose journals tell of a profile what its clients' do not: of messages put aside, and of side effects that lie
/// elsewhere.
fn besides(profile: &experiment::Profile) -> Vec<Source> {
    let mut besides = Vec::new();
    if profile.producer.sending.on_error.parks() || profile.consumer.has_dead_letters() {
        besides.push(Source::Parking);
    }
    if profile.consumer.handling.sink != experiment::Sink::None {
        besides.push(Source::Effects);
    }
    besides
}

/// The experiment of a stored run.
///
/// # Errors
/// If the directory holds none, or it can't be read.
pub fn stored_experiment(run_dir: &Path) -> Result<Experiment, JudgeError> {
    let path = run_dir.join(EXPERIMENT);
    if !path.is_file() {
        return Err(JudgeError::NotARun { path, why: "it is not there".to_owned() });
    }
    let loaded = experiment::load(std::slice::from_ref(&path));
    let mut experiments = loaded.map_err(|problems| JudgeError::Experiment { path: path.clone(), problems })?;
    experiments.pop().ok_or(JudgeError::NotARun { path, why: "it is empty".to_owned() })
}

fn promises(experiment: &Experiment) -> Result<Promises, JudgeError> {
    let all = |expectations: &[Expectation]| {
        let promises: Result<Vec<Promise>, JudgeError> = expectations.iter().map(promise).collect();
        promises
    };
    Ok(Promises {
        must_show: all(&experiment.must_show)?,
        must_hold: all(&experiment.must_hold)?,
        min_exposure: experiment.min_exposure.clone(),
    })
}

/// An expectation in the ledger's terms.
///
/// # Errors
/// If the ledger does not know its metric.
pub fn promise(expectation: &Expectation) -> Result<Promise, JudgeError> {
    let metric =
        Metric::named(&expectation.metric).ok_or_else(|| JudgeError::Metric { metric: expectation.metric.clone() })?;
    Ok(Promise {
        profile: expectation.profile.clone(),
        metric,
        comparison: match expectation.comparison {
            Comparison::Equal => metric::Comparison::Equal,
            Comparison::AtLeast => metric::Comparison::AtLeast,
            Comparison::MoreThan => metric::Comparison::MoreThan,
            Comparison::AtMost => metric::Comparison::AtMost,
            Comparison::LessThan => metric::Comparison::LessThan,
        },
        bound: expectation.bound,
    })
}

/// librdkafka reads committed records only, unless it is told otherwise.
fn reads_committed(profile: &experiment::Profile) -> bool {
    !profile.consumer.options.iter().any(|(key, value)| key.value == "isolation.level" && value == "read_uncommitted")
}

/// A producer that fell behind its plan on a busy host was held up by the host, as far as anyone can
/// tell; its times then say nothing about the cluster.
fn too_busy(history: &History, planned: u64, counts: &Counts) -> bool {
    let behind = (counts.offered as f64) < planned as f64 * KEPT_RATE;
    behind && history.host_busy.iter().any(|busy| *busy >= BUSY)
}

/// Clients of a profile that nobody had asked to end yet.
fn deserted(history: &History, profile: &str) -> Vec<String> {
    let clients = history.clients.iter().filter(|client| client.id.profile == profile);
    clients
        .filter(|client| client.ended_ns.is_some_and(|ended_ns| ended_ns < history.offering_ended_ns()))
        .filter_map(|client| Some(format!("{} ended ({})", client.id, client.unasked.as_ref()?)))
        .collect()
}

fn fault_outcomes(part: &Part) -> Vec<FaultOutcome> {
    let evidence = |change: &Change| Evidence { holds: change.proof.holds, summary: change.proof.summary.clone() };
    let outcome = |(index, spec): (usize, &experiment::FaultSpec)| {
        let fault = part.history.faults.get(&index);
        FaultOutcome {
            fault: index,
            profile: part.alone().map(str::to_owned),
            kind: spec.kind.name().to_owned(),
            brokers: fault.map(|f| f.brokers.clone()).unwrap_or_default(),
            clients: fault.map(|f| f.clients.clone()).unwrap_or_default(),
            same_for_all: fault.and_then(|f| f.same_for_all).unwrap_or(true),
            passed_over: fault.and_then(|f| f.passed_over.clone()),
            injected: fault.and_then(|f| f.injected.as_ref()).map(evidence),
            healed: fault.and_then(|f| f.healed.as_ref()).map(evidence),
            recovered: fault
                .and_then(|f| f.recovered.as_ref())
                .map(|recovered| Recovery { reached: recovered.reached, state: recovered.state.clone() }),
        }
    };
    part.experiment.faults.iter().enumerate().map(outcome).collect()
}

fn stopped_by(parts: &Parts) -> Option<String> {
    if let Some(by) = parts.all.iter().find_map(|part| part.history.interrupted.as_ref()) {
        return Some(by.clone());
    }
    let topicless = parts.all.iter().find_map(|part| {
        part.experiment.profiles.iter().find(|profile| !part.history.topics.contains_key(&profile.name))
    });
    if let (true, Some(profile)) = (parts.ended(), topicless) {
        return Some(format!("something before {} had its topic", profile.name));
    }
    (!parts.ended()).then(|| match parts.phase() {
        Some(phase) => format!("something that left no trace (last seen: {phase})"),
        None => "something that left no trace".to_owned(),
    })
}

fn notes(experiment: &Experiment, parts: &Parts, journals: &Journals) -> Vec<String> {
    let own = experiment.profiles.iter().flat_map(|own| own.notes.iter().map(|note| format!("{}: {note}", own.name)));
    let torn = parts.torn.then(|| format!("the last line of {EVENTS} was cut off and is left out"));
    let clients = parts.all.iter().flat_map(|part| &part.history.clients);
    let unasked = clients.filter_map(|client| {
        let how = client.unasked.as_ref()?;
        Some(format!("{} ended unasked: {how}", client.id))
    });
    let warnings = parts.all.iter().flat_map(|part| &part.history.warnings);
    let checked = parts.all.iter().flat_map(|part| &part.history.topics).flat_map(|(profile, topic)| {
        topic
            .compared
            .iter()
            .map(move |(tool, equal)| format!("{profile}: {tool} tells {equal} figures as the brokers do"))
    });
    own.chain(torn).chain(journals.notes()).chain(unasked).chain(warnings.cloned()).chain(checked).collect()
}

fn fault(index: usize, part: &Part, profiles: &[ProfileOutcome]) -> Fault {
    let Part { experiment, history } = part;
    let at = |ns: u64| moment(history, ns);
    let seen = history.faults.get(&index);
    let injected = seen.and_then(|fault| fault.injected.as_ref());
    let healed = seen.and_then(|fault| fault.healed.as_ref());
    let recovered = seen.and_then(|fault| fault.recovered.as_ref());
    let met = |outcome: &&ProfileOutcome| experiment.profiles.iter().any(|own| own.name == outcome.profile);
    let times = || profiles.iter().filter(met).map(|outcome| (outcome.profile.clone(), &outcome.times.windows[index]));
    // The same for all profiles.
    let recovery = times().next().and_then(|(_, window)| window.recovery);
    Fault {
        kind: experiment.faults[index].kind.name().to_owned(),
        profile: part.alone().map(str::to_owned),
        target: seen.filter(|fault| fault.same_for_all.is_some()).map(|fault| Target {
            brokers: fault.brokers.clone(),
            clients: fault.clients.clone(),
            basis: fault.basis.clone(),
            same_for_all: fault.same_for_all.unwrap_or(false),
        }),
        inject_called_at: injected.map(|change| at(change.called_ns)),
        injected_at: injected.map(|change| at(change.proven_ns)),
        heal_called_at: healed.map(|change| at(change.called_ns)),
        healed_at: healed.map(|change| at(change.proven_ns)),
        recovered_at: recovered.filter(|recovered| recovered.reached).map(|recovered| at(recovered.at_ns)),
        recovered_after_ms: recovery.filter(|span| !span.at_least).map(|span| span.ms),
        proof: Proofs {
            injected: injected.map(|change| change.proof.clone()),
            healed: healed.map(|change| change.proof.clone()),
            recovered: recovered.map(|recovered| recovered.state.clone()),
        },
        exposure: times().map(|(profile, window)| (profile, window.exposure)).collect(),
        profiles: times().map(|(profile, window)| (profile, effect(window))).collect(),
    }
}

fn effect(window: &WindowTimes) -> Effect {
    Effect {
        unavailable: window.unavailable,
        waited: window.waited,
        ack_latency_ms: window.ack_latency_ms,
        acks_resumed: window.resumption.acks,
        processing_resumed: window.resumption.processing,
    }
}

/// A moment of CLOCK_BOOTTIME in UTC, by the clocks of the run's start.
fn moment(history: &History, boottime_ns: u64) -> Timestamp {
    let since = i128::from(boottime_ns) - i128::from(history.started.boottime_ns);
    history.started.utc.saturating_add(SignedDuration::from_nanos_i128(since)).unwrap_or(history.started.utc)
}

fn counts(outcome: &ProfileOutcome) -> ProfileCounts {
    let Times { unavailable, ack_latency_ms, ack_latency_quiet_ms, end_to_end_ms, lag_seen_max, .. } = outcome.times;
    ProfileCounts {
        messages: outcome.reconciliation.counts,
        unavailable_ms_max: unavailable.map(|span| span.ms),
        unavailable_at_least: unavailable.is_some_and(|span| span.at_least),
        lag_max: lag_seen_max,
        ack_latency_ms,
        ack_latency_quiet_ms,
        end_to_end_ms,
    }
}

fn environment(parts: &Parts) -> Environment {
    let histories = || parts.all.iter().map(|part| &part.history);
    let busy: Vec<f64> = histories().flat_map(|history| history.host_busy.iter().copied()).collect();
    let mean = busy.iter().sum::<f64>() / busy.len() as f64;
    Environment {
        lossproof: parts.first().version.clone(),
        image: histories().find_map(|history| history.image.clone()),
        boot_ms: histories().find_map(|history| history.boot_ms),
        host_busy_max: busy.iter().copied().reduce(f64::max),
        host_busy_mean: (!busy.is_empty()).then_some(mean),
    }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::clock::Stamp;
    use lossproof_ledger::event::{Event, EventKind};
    use test_case::test_case;

    use super::*;

    #[test_case(100, &[0.5, 1.0], false; "the rate was kept on a busy host")]
    #[test_case(90, &[0.5, 0.6], false; "something else held the producer up")]
    #[test_case(90, &[0.5, 1.0], true; "held up on a busy host")]
    #[test_case(90, &[], false; "nobody looked at the host")]
    fn a_host_is_too_busy_when_producers_fall_behind_on_it(offered: u64, busy: &[f64], expected: bool) {
        let event = |kind| Event { at: Stamp { boottime_ns: 1, utc: Timestamp::UNIX_EPOCH }, kind };
        let mut events = vec![event(EventKind::RunStarted {
            run: "r".to_owned(),
            experiment: "e".to_owned(),
            version: "0.1.0".to_owned(),
        })];
        events.extend(busy.iter().map(|busy| event(EventKind::HostLoad { busy: *busy })));
        let history = History::of(events).unwrap();
        let counts = Counts { offered, ..Counts::default() };
        assert_eq!(too_busy(&history, 100, &counts), expected);
    }

    #[test]
    fn moments_go_by_the_clock_that_does_not_step() {
        let started = Stamp { boottime_ns: 5_000_000_000, utc: Timestamp::from_second(1_700_000_000).unwrap() };
        let start =
            EventKind::RunStarted { run: "r".to_owned(), experiment: "e".to_owned(), version: "0.1.0".to_owned() };
        let history = History::of(vec![Event { at: started, kind: start }]).unwrap();
        assert_eq!(moment(&history, 6_500_000_000).to_string(), "2023-11-14T22:13:21.5Z");
        assert_eq!(moment(&history, 4_000_000_000).to_string(), "2023-11-14T22:13:19Z");
    }
}
