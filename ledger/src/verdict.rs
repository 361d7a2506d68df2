//! The verdict on a run, and why.
//!
//! **Fail** only when a promise (`must_hold`) is broken whatever the incomplete witnesses may have
//! seen; a failure so proven is not softened by anything that is inconclusive beside it.
//! **Inconclusive** when the run would prove nothing: the fault is unproven, what should have shown
//! did not, too few messages were exposed, clients did not go on, or something was left unread.
//! **Pass** otherwise.
//!
//! Limit: sums that do not balance are no verdict but an error of reconciliation, which comes first.

mod rules;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

use crate::availability::Times;
use crate::gaps::Score;
use crate::metric::{Comparison, Holds, Known, Metric, US_PER_MS};
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

impl Promise {
    /// The bound in the unit of what is known: microseconds for times.
    const fn known_bound(&self) -> u64 {
        if self.metric.is_time() { self.bound.saturating_mul(US_PER_MS) } else { self.bound }
    }

    fn holds(&self, known: Known) -> Holds {
        self.comparison.holds(known, self.known_bound())
    }
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
    /// The profile that met it, where each was alone; none where all did.
    pub profile: Option<String>,
    /// Kind, such as `partition`.
    pub kind: String,
    /// Broker ids that its selector chose; empty if it chose none or was never resolved.
    pub brokers: Vec<i32>,
    /// Clients that it was to hit; empty for a fault of brokers, or if it was never resolved.
    pub clients: Vec<String>,
    /// Whether it chose the same for each profile.
    pub same_for_all: bool,
    /// Why it was not so much as tried, where that is so.
    pub passed_over: Option<String>,
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
    /// How good its gap detection was; none if it had none.
    pub gaps: Option<Score>,
    /// Whether it counts for the verdict. Otherwise only what is expected of it by name does.
    pub is_judged: bool,
    /// Whether its consumers read only committed records (`isolation.level`, librdkafka's default).
    pub read_committed: bool,
    /// Whether the host was too busy for its producers to keep the offered rate: then its times
    /// are the host's, not the cluster's.
    pub host_too_busy: bool,
    /// Clients that ended before they were asked to, and how.
    pub deserted: Vec<String>,
    /// Where Kafka's own tools told something else than the brokers had told lossproof: a sentence each, without its
    /// full stop.
    pub contradicted: Vec<String>,
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
    /// A client ended before it was asked to.
    Deserted,
    /// Too few messages were exposed.
    Exposure,
    /// Acks or processing did not resume.
    NotResumed,
    /// A partition was not read to its end.
    Unread,
    /// A client's journal is missing or damaged.
    JournalIncomplete,
    /// Kafka's own tools tell something else.
    Contradicted,
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
    rules::Judge::new(case).judge()
}
