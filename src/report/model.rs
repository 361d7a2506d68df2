//! `report.json`: what is said of a run once it is judged. Everything in it follows from the run
//! directory alone, so that judging again gives the same bytes.
//!
//! Moments are the run's start in UTC plus what CLOCK_BOOTTIME measured since, so that a step of the
//! wall clock during the run does not bend them.

use std::io;
use std::path::Path;

use indexmap::IndexMap;
use jiff::Timestamp;
use lossproof_ledger::availability::{Latency, Span};
use lossproof_ledger::counts::Counts;
use lossproof_ledger::event::Proof;
use lossproof_ledger::gaps::Score;
use lossproof_ledger::verdict::{Reason, Verdict};
use serde::{Deserialize, Serialize};

use super::ablation::Ablation;
use super::anomalies::Anomalies;

/// The judged run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The experiment's name.
    pub experiment: String,
    /// Run id.
    pub run: String,
    /// What the run proves.
    pub verdict: Verdict,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
    /// What a reader should know that changes no verdict, one sentence each.
    pub notes: Vec<String>,
    /// The run's first event.
    pub started_at: Timestamp,
    /// From the first event to the beginning of the tear-down, in milliseconds.
    pub duration_ms: u64,
    /// In the order of the file; those of each profile in its turn, where each was alone.
    pub faults: Vec<Fault>,
    /// By name, in the order of the file.
    pub profiles: IndexMap<String, Profile>,
    /// What came of profiles with one setting put back to the baseline's (`vary`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablations: Vec<Ablation>,
    /// What the run ran on.
    pub environment: Environment,
}

impl Report {
    /// A fault as people call it: `fault 1`, and `fault 1 of baseline` where each profile was alone with it.
    #[must_use]
    pub fn fault_name(&self, index: usize) -> String {
        let Some(fault) = self.faults.get(index) else { return String::new() };
        let number = self.faults[..=index].iter().filter(|other| other.profile == fault.profile).count();
        match &fault.profile {
            Some(profile) => format!("fault {number} of {profile}"),
            None => format!("fault {number}"),
        }
    }

    /// Whether it was judged by other expectations than its experiment's.
    #[must_use]
    pub fn is_by_other_expectations(&self) -> bool {
        self.notes.iter().any(|note| note.starts_with(OTHERWISE))
    }

    /// The content of `report.json`.
    ///
    /// # Errors
    /// None in practice: every value of a report has a JSON form.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Begins the note of a report that was judged by other expectations than its experiment's.
pub const OTHERWISE: &str = "judged by other expectations than the experiment's";

/// File of the report in a run directory.
pub const REPORT: &str = "report.json";

impl Report {
    /// Writes `report.json` into the run directory.
    ///
    /// # Errors
    /// If the file system refuses it.
    pub fn store(&self, run_dir: &Path) -> io::Result<()> {
        std::fs::write(run_dir.join(REPORT), self.to_json()?)
    }
}

/// A fault and its window. The change of the world lies between a call and its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Kind, such as `partition`.
    pub kind: String,
    /// The profile that met it, where each was alone on a cluster (`isolation: apart`); none where all did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whom it hit; none where its selector was never resolved.
    pub target: Option<Target>,
    /// When its injection was called for.
    pub inject_called_at: Option<Timestamp>,
    /// When its effect was proven (or looked for in vain).
    pub injected_at: Option<Timestamp>,
    /// When its healing was called for.
    pub heal_called_at: Option<Timestamp>,
    /// When its end was proven (or looked for in vain).
    pub healed_at: Option<Timestamp>,
    /// When the cluster was as before; none if that was never seen.
    pub recovered_at: Option<Timestamp>,
    /// From the heal's proof until the cluster was as before, in milliseconds; none if either was never
    /// seen.
    pub recovered_after_ms: Option<u64>,
    /// What the world showed.
    pub proof: Proofs,
    /// For each profile: messages on their way, on partitions that the fault affected, at any time from
    /// the call that injected it until recovery (or the heal, or the end). Counted whether or not the
    /// fault is proven.
    pub exposure: IndexMap<String, u64>,
    /// For each profile: what its clients felt of it, by the same window.
    pub profiles: IndexMap<String, Effect>,
}

/// What the clients of one profile felt of a fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The longest time that a stream went without an acknowledgement, of those that overlap the
    /// fault's window; none with acks=0, or if no message was due.
    pub unavailable: Option<Span>,
    /// Messages that came due in that time, summed over the streams.
    pub waited: u64,
    /// As the profile's, of the messages that waited for their acknowledgement at any time in the
    /// window; none if there are none.
    pub ack_latency_ms: Option<Latency>,
    /// From the heal's proof until every stream had an acknowledgement again; none with acks=0, or if
    /// the fault was not healed.
    pub acks_resumed: Option<Span>,
    /// From the heal's proof until every partition had something processed again; none if the fault was
    /// not healed.
    pub processing_resumed: Option<Span>,
}

/// Whom a fault hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Broker ids.
    pub brokers: Vec<i32>,
    /// Clients, such as `resilient consumer 0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// What the choice was based on, one sentence.
    pub basis: String,
    /// Whether it was the same for each profile's topic.
    pub same_for_all: bool,
}

/// What the world showed of a fault, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Proofs {
    /// That it bit.
    pub injected: Option<Proof>,
    /// That it is gone.
    pub healed: Option<Proof>,
    /// The cluster's state when recovery was reached or given up, one sentence.
    pub recovered: Option<String>,
}

/// What became of one profile's messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its topic; none if the run ended before it was made.
    pub topic: Option<String>,
    /// Partitions of which the audit did not read everything: what is lost there is not known.
    pub unread_partitions: Vec<i32>,
    /// Whether every client journal is there, and whole up to a known point.
    pub journals_complete: bool,
    /// In numbers.
    pub counts: ProfileCounts,
    /// How good its consumers' gap detection was; none if they had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Score>,
    /// In ranges, with causes.
    #[serde(flatten)]
    pub anomalies: Anomalies,
}

impl Profile {
    /// Whether everything that should have been read was. Otherwise what became of the messages may
    /// be otherwise than counted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unread_partitions.is_empty() && self.journals_complete
    }
}

/// Counts of messages, and how long producers waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileCounts {
    /// Messages.
    #[serde(flatten)]
    pub messages: Counts,
    /// Longest time that a stream had an overdue message unacknowledged, in milliseconds; none with
    /// acks=0, which waits for nothing.
    pub unavailable_ms_max: Option<u64>,
    /// That longest time had not ended when the producer did: it is a lower bound.
    pub unavailable_at_least: bool,
    /// The most offsets that the group was seen behind the ends of its logs, looked at every second; none if nobody
    /// looked.
    #[serde(default)]
    pub lag_max: Option<u64>,
    /// Acknowledgement minus intended send time, in milliseconds; none where nothing was acknowledged.
    pub ack_latency_ms: Option<Latency>,
    /// The same, of the messages that waited for it in no fault's window.
    pub ack_latency_quiet_ms: Option<Latency>,
    /// First processing minus intended send time, in milliseconds; none where nothing was processed.
    pub end_to_end_ms: Option<Latency>,
}

/// What the run ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// lossproof's version during the run.
    pub lossproof: String,
    /// Image that the brokers were started from; what an upgrade made of it is in its proof.
    pub image: Option<String>,
    /// From `up` to ready in milliseconds; none when the cluster served before.
    pub boot_ms: Option<u64>,
    /// Highest share of the processors' time that this host was busy, from 0 to 1.
    pub host_busy_max: Option<f64>,
    /// Its mean over the run.
    pub host_busy_mean: Option<f64>,
}
