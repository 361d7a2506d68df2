//! The verdict on a run, and why.
//!
//! **Fail** only when a promise (`must_hold`) is broken whatever the incomplete witnesses may have
//! seen; a failure so proven is not softened by anything that is inconclusive beside it.
//! **Inconclusive** when the run would prove nothing: the fault is unproven, what should have shown
//! did not, too few messages were exposed, clients did not go on, or something was left unread.
//! **Pass** otherwise.
//!
//! Limit: sums that do not balance are no verdict but an error of reconciliation, which comes first.

use serde::{Deserialize, Serialize};

use crate::availability::Times;
use crate::metric::{Comparison, Holds, Known, Metric};
use crate::reconcile::Reconciliation;

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything promised held, and the run shows it.
    Pass,
    /// A promise is broken, proven.
    Fail,
    /// Neither can be said.
    Inconclusive,
}

/// A promise about one metric of one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The profile.
    pub profile: String,
    /// Of what.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// The bound; milliseconds for times.
    pub bound: u64,
}

/// All that an experiment asks of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promises {
    /// Else inconclusive.
    pub must_show: Vec<Promise>,
    /// Else fail.
    pub must_hold: Vec<Promise>,
    /// Messages that each named profile must have had exposed to the faults.
    pub min_exposure: Vec<(String, u64)>,
}

/// What was read back when a fault was injected or healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// It shows what it should.
    pub holds: bool,
    /// One sentence.
    pub summary: String,
}

/// The end of the wait for recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The cluster was as before the fault.
    pub reached: bool,
    /// What was seen last.
    pub state: String,
}

/// What came of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultOutcome {
    /// Index in the experiment.
    pub fault: usize,
    /// Kind, such as `partition`.
    pub kind: String,
    /// Broker ids that its selector chose; empty if it chose none or was never resolved.
    pub brokers: Vec<i32>,
    /// Whether it chose the same for each profile.
    pub same_for_all: bool,
    /// None if it was never injected.
    pub injected: Option<Evidence>,
    /// None if nobody healed it, as where it ends by itself.
    pub healed: Option<Evidence>,
    /// None if recovery was not awaited to an end.
    pub recovered: Option<Recovery>,
}

/// What came of a profile.
#[derive(Debug, Clone)]
pub struct ProfileOutcome {
    /// Its name.
    pub profile: String,
    /// Its messages.
    pub reconciliation: Reconciliation,
    /// Its times.
    pub times: Times,
    /// Whether its consumers read only committed records (`isolation.level`, librdkafka's default).
    pub read_committed: bool,
    /// Whether the host was too busy for its producers to keep the offered rate: then its times
    /// are the host's, not the cluster's.
    pub host_too_busy: bool,
}

/// Everything that a verdict rests on.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// What was asked.
    pub promises: Promises,
    /// In the order of the experiment.
    pub profiles: Vec<ProfileOutcome>,
    /// In the order of the experiment.
    pub faults: Vec<FaultOutcome>,
    /// What ended the run before its end, such as `SIGINT`.
    pub stopped_by: Option<String>,
}

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// A promise is broken: fail.
    Broken,
    /// The run was stopped before its end. This and all below: inconclusive.
    Stopped,
    /// A fault without proof that it bit.
    FaultUnproven,
    /// A fault whose heal is not proven.
    HealUnproven,
    /// The cluster did not recover.
    NotRecovered,
    /// A selector hit the profiles differently.
    SelectorDiffers,
    /// Too few messages were exposed.
    Exposure,
    /// Acks or processing did not resume.
    NotResumed,
    /// A partition was not read to its end.
    Unread,
    /// A client's journal is missing or damaged.
    JournalIncomplete,
    /// Messages are left that the group has not come to.
    LagLeft,
    /// A time cannot be judged, because the host was too busy.
    HostTooBusy,
    /// Nobody can say whether a promise holds.
    Undecided,
    /// What should have shown did not.
    NotShown,
    /// What should have shown did. This and below: pass.
    Shown,
    /// A promise held.
    Held,
}

/// A reason for the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is about.
    pub kind: ReasonKind,
    /// The profile that it is about; none for all.
    pub profile: Option<String>,
    /// One sentence for people.
    pub text: String,
}

/// The verdict and its reasons, the weightiest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// At least one. Of a pass: what was shown and held. Otherwise: what speaks against one.
    pub reasons: Vec<Reason>,
}

/// Judges a run.
#[must_use]
pub fn judge(case: &Case) -> Judgement {
    Judge {
        case,
        reasons: Vec::new(),
    }
    .judge()
}

struct Judge<'a> {
    case: &'a Case,
    reasons: Vec<Reason>,
}

impl Judge<'_> {
    fn judge(mut self) -> Judgement {
        self.stopped();
        for fault in &self.case.faults {
            self.fault(fault);
        }
        for profile in &self.case.profiles {
            self.witnesses(profile);
            self.resumed(profile);
            self.lag(profile);
            self.implicit_promises(profile);
        }
        self.exposure();
        for promise in &self.case.promises.must_show {
            self.must_show(promise);
        }
        for promise in &self.case.promises.must_hold {
            self.must_hold(promise);
        }

        let has = |test: fn(ReasonKind) -> bool| self.reasons.iter().any(|r| test(r.kind));
        let verdict = if has(|kind| kind == ReasonKind::Broken) {
            Verdict::Fail
        } else if has(|kind| kind < ReasonKind::Shown) {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        if verdict == Verdict::Pass {
            if self.reasons.is_empty() {
                let text = "Nothing was promised, and nothing is in the log that should not be.";
                self.add(ReasonKind::Held, None, text.to_owned());
            }
        } else {
            self.reasons.retain(|r| r.kind < ReasonKind::Shown);
        }
        // Stable: within a kind, in the order of the experiment.
        self.reasons.sort_by_key(|reason| reason.kind);
        Judgement {
            verdict,
            reasons: self.reasons,
        }
    }

    fn add(&mut self, kind: ReasonKind, profile: Option<&str>, text: String) {
        self.reasons.push(Reason {
            kind,
            profile: profile.map(str::to_owned),
            text,
        });
    }

    fn stopped(&mut self) {
        if let Some(by) = &self.case.stopped_by {
            let text = format!("The run was stopped before its end by {by}.");
            self.add(ReasonKind::Stopped, None, text);
        }
    }

    fn fault(&mut self, fault: &FaultOutcome) {
        let name = self.fault_name(fault);
        match &fault.injected {
            Some(proof) if proof.holds => {}
            Some(proof) => {
                let text = format!("The {name} is not proven to have bitten: {}", proof.summary);
                self.add(ReasonKind::FaultUnproven, None, text);
            }
            None => {
                let why = if fault.brokers.is_empty() {
                    "its selector chose no broker"
                } else {
                    "the run ended before it"
                };
                let text = format!("The {name} was never injected: {why}.");
                self.add(ReasonKind::FaultUnproven, None, text);
                return;
            }
        }
        if let Some(proof) = fault.healed.as_ref().filter(|proof| !proof.holds) {
            let text = format!("The {name} is not proven to be healed: {}", proof.summary);
            self.add(ReasonKind::HealUnproven, None, text);
        }
        match &fault.recovered {
            Some(recovery) if recovery.reached => {}
            Some(recovery) => {
                let text = format!(
                    "The cluster did not recover from the {name}: {}",
                    recovery.state
                );
                self.add(ReasonKind::NotRecovered, None, text);
            }
            None => {
                let text = format!("Nobody saw the cluster recover from the {name}.");
                self.add(ReasonKind::NotRecovered, None, text);
            }
        }
        if !fault.same_for_all {
            let text = format!(
                "The {name} did not hit all profiles alike: its selector meant different brokers for \
                 their topics."
            );
            self.add(ReasonKind::SelectorDiffers, None, text);
        }
    }

    /// Such as `partition fault`, with its place in the schedule where there are several.
    fn fault_name(&self, fault: &FaultOutcome) -> String {
        match self.case.faults.len() {
            1 => format!("{} fault", fault.kind),
            all => format!("{} fault ({} of {all})", fault.kind, fault.fault + 1),
        }
    }

    fn witnesses(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        for p in &outcome.reconciliation.partitions {
            if !p.audit_complete {
                let text = format!(
                    "{name}: partition {} could not be read from its start to its end, so that \
                     nothing can be said of {} of its {} messages.",
                    p.partition, p.counts.unreadable, p.counts.offered
                );
                self.add(ReasonKind::Unread, Some(name), text);
            }
        }
        if !outcome.reconciliation.journals_complete {
            let text = format!("{name}: a client's journal is missing or damaged.");
            self.add(ReasonKind::JournalIncomplete, Some(name), text);
        }
    }

    /// A profile of which something is expected for `resumed_within` is judged by that.
    fn resumed(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        if self.expects(name, Metric::ResumedWithin) {
            return;
        }
        for (fault, resumption) in self.case.faults.iter().zip(&outcome.times.resumption) {
            let silent = [
                ("acknowledged", &resumption.unacked_partitions),
                ("processed", &resumption.unprocessed_partitions),
            ];
            for (what, partitions) in silent {
                if !partitions.is_empty() {
                    let text = format!(
                        "{name}: nothing was {what} in {} after the cluster had recovered from \
                         the {}.",
                        list(partitions),
                        self.fault_name(fault)
                    );
                    self.add(ReasonKind::NotResumed, Some(name), text);
                }
            }
        }
    }

    fn lag(&mut self, outcome: &ProfileOutcome) {
        let name = &outcome.profile;
        let counts = &outcome.reconciliation.counts;
        let lag = [
            ("lagging", counts.lagging, "the group has not come to"),
            (
                "behind_open_txn",
                counts.behind_open_txn,
                "an open transaction still hides",
            ),
        ];
        for (metric, count, why) in lag {
            let expected = self.expects(name, Metric::Count("lagging"))
                || self.expects(name, Metric::Count(metric));
            if count > 0 && !expected {
                let text = format!("{name}: {count} messages are left that {why}.");
                self.add(ReasonKind::LagLeft, Some(name), text);
            }
        }
    }

    /// What every profile promises unless it says otherwise. Where this cannot be decided, the
    /// witness that is missing is a reason of its own.
    fn implicit_promises(&mut self, outcome: &ProfileOutcome) {
        let mut promised = vec!["phantom", "corrupt", "processed_foreign", "torn_txn"];
        if outcome.read_committed {
            promised.push("aborted_reads");
        }
        for name in promised {
            let promise = Promise {
                profile: outcome.profile.clone(),
                metric: Metric::Count(name),
                comparison: Comparison::Equal,
                bound: 0,
            };
            if !self.expects(&promise.profile, promise.metric)
                && let Some(known) = known(outcome, &promise)
                && promise.comparison.holds(known, promise.bound) == Holds::No
            {
                let text = format!(
                    "{}{}, and 0 is promised by every profile that does not say otherwise.",
                    found(&promise, known),
                    self.places(&promise)
                );
                self.add(ReasonKind::Broken, Some(&promise.profile), text);
            }
        }
    }

    fn exposure(&mut self) {
        for (name, needed) in &self.case.promises.min_exposure {
            let exposed = self
                .outcome(name)
                .map_or(0, |outcome| outcome.times.exposed);
            if exposed < *needed {
                let text = format!(
                    "{name}: {exposed} messages were on their way while the faults lasted, and \
                     {needed} are needed to prove anything."
                );
                self.add(ReasonKind::Exposure, Some(name), text);
            }
        }
    }

    fn must_show(&mut self, promise: &Promise) {
        if self.too_busy(promise) {
            return self.busy(promise);
        }
        let (known, holds) = self.look(promise);
        let asked = asked(promise);
        let (kind, text) = match (holds, known) {
            (Holds::Yes, Some(known)) => (
                ReasonKind::Shown,
                format!("{}, and {asked} was to be shown.", found(promise, known)),
            ),
            (_, Some(known)) => (
                ReasonKind::NotShown,
                format!(
                    "{}, and the run is proof of anything only with {asked}.",
                    found(promise, known)
                ),
            ),
            (_, None) => (
                ReasonKind::NotShown,
                format!("{}, and {asked} was to be shown.", unmeasured(promise)),
            ),
        };
        self.add(kind, Some(&promise.profile), text);
    }

    fn must_hold(&mut self, promise: &Promise) {
        if self.too_busy(promise) {
            return self.busy(promise);
        }
        let (known, holds) = self.look(promise);
        let asked = asked(promise);
        let (kind, text) = match (holds, known) {
            (Holds::Yes, Some(known)) => (
                ReasonKind::Held,
                format!("{}, and {asked} was promised.", found(promise, known)),
            ),
            (Holds::No, Some(known)) => (
                ReasonKind::Broken,
                format!(
                    "{}{}, but {asked} was promised.",
                    found(promise, known),
                    self.places(promise)
                ),
            ),
            (Holds::Unknown, Some(known)) => (
                ReasonKind::Undecided,
                format!(
                    "{}, which neither proves nor refutes the {asked} that was promised.",
                    found(promise, known)
                ),
            ),
            (_, None) => (
                ReasonKind::Undecided,
                format!("{}, and {asked} was promised.", unmeasured(promise)),
            ),
        };
        self.add(kind, Some(&promise.profile), text);
    }

    /// Where a count that should be small comes from, such as ` (partition 0: 3, partition 2: 1)`.
    fn places(&self, promise: &Promise) -> String {
        let (Metric::Count(name), Some(outcome)) = (promise.metric, self.outcome(&promise.profile))
        else {
            return String::new();
        };
        let places: Vec<_> = outcome
            .reconciliation
            .partitions
            .iter()
            .filter_map(|p| {
                let count = p.counts.get(name).filter(|count| *count > 0)?;
                Some(format!("partition {}: {count}", p.partition))
            })
            .collect();
        if places.is_empty() {
            String::new()
        } else {
            format!(" ({})", places.join(", "))
        }
    }

    fn too_busy(&self, promise: &Promise) -> bool {
        promise.metric.is_time()
            && self
                .outcome(&promise.profile)
                .is_some_and(|outcome| outcome.host_too_busy)
    }

    fn busy(&mut self, promise: &Promise) {
        let text = format!(
            "{}: {} cannot be judged, because this host was too busy to keep the offered rate.",
            promise.profile,
            promise.metric.name()
        );
        self.add(ReasonKind::HostTooBusy, Some(&promise.profile), text);
    }

    fn look(&self, promise: &Promise) -> (Option<Known>, Holds) {
        let known = self
            .outcome(&promise.profile)
            .and_then(|outcome| known(outcome, promise));
        let holds = known.map_or(Holds::Unknown, |known| {
            promise.comparison.holds(known, promise.bound)
        });
        (known, holds)
    }

    fn outcome(&self, profile: &str) -> Option<&ProfileOutcome> {
        self.case.profiles.iter().find(|p| p.profile == profile)
    }

    fn expects(&self, profile: &str, metric: Metric) -> bool {
        let promises = &self.case.promises;
        promises
            .must_show
            .iter()
            .chain(&promises.must_hold)
            .any(|p| p.profile == profile && p.metric == metric)
    }
}

fn known(outcome: &ProfileOutcome, promise: &Promise) -> Option<Known> {
    promise
        .metric
        .known(&outcome.reconciliation, &outcome.times)
}

/// The bound, such as `0`, `>= 100` or `< 30 s`.
fn asked(promise: &Promise) -> String {
    let bound = quantity(promise.metric, promise.bound);
    match promise.comparison {
        Comparison::Equal => bound,
        other => format!("{} {bound}", other.sign()),
    }
}

/// Such as `resilient: lost is 5`.
fn found(promise: &Promise, known: Known) -> String {
    let low = quantity(promise.metric, known.low);
    let value = match known.high {
        Some(high) if high == known.low => low,
        Some(high) => format!("between {low} and {}", quantity(promise.metric, high)),
        None => format!("at least {low}"),
    };
    format!("{}: {} is {value}", promise.profile, promise.metric.name())
}

fn unmeasured(promise: &Promise) -> String {
    format!(
        "{}: the run has nothing to measure {} by",
        promise.profile,
        promise.metric.name()
    )
}

fn quantity(metric: Metric, n: u64) -> String {
    if metric.is_time() {
        format!("{} s", n as f64 / 1_000.0)
    } else {
        n.to_string()
    }
}

fn list(partitions: &[i32]) -> String {
    let numbers: Vec<_> = partitions.iter().map(i32::to_string).collect();
    match numbers.len() {
        1 => format!("partition {}", numbers[0]),
        _ => format!("partitions {}", numbers.join(", ")),
    }
}

#[cfg(test)]
mod tests;
