//! What `lossproof reconcile --format json` prints: an import's account, with producers by name.

use jiff::Timestamp;
use lossproof_ledger::counts::Counts;
use lossproof_ledger::reconcile::{ANY_PARTITION, Anomaly, Finding, Stray};
use lossproof_ledger::verdict::{Judgement, Reason, Verdict};
use serde::{Serialize, Serializer};

use crate::import::{Account, Reach, Side};

/// An account and the verdict on it.
#[derive(Debug, Clone, Copy)]
pub struct JudgedAccount<'a> {
    /// The account.
    pub account: &'a Account,
    /// The verdict.
    pub judgement: &'a Judgement,
}

impl<'a> JudgedAccount<'a> {
    /// The account as JSON.
    ///
    /// # Errors
    /// None in practice: every value has a JSON form.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(&self.model())?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Ranges of sequences with the same finding, with their producers' names.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<'a>> {
        let account = self.account;
        account.reconciliation.anomalies.iter().map(move |anomaly| Range::of(anomaly, account))
    }

    fn model(&self) -> Model<'a> {
        let Account { reconciliation, reach, produced, consumed, notes, .. } = self.account;
        let partitions = reconciliation.partitions.iter();
        Model {
            verdict: self.judgement.verdict,
            reasons: &self.judgement.reasons,
            notes,
            read: match reach {
                Reach::Whole => "whole",
                Reach::UpToCommits => "up_to_commits",
                Reach::Unknown => "partial",
            },
            produced: Lines::of(produced),
            consumed: Lines::of(consumed),
            counts: &reconciliation.counts,
            partitions: partitions
                .map(|p| Partition { partition: partition(p.partition), read: p.audit_complete, counts: p.counts })
                .collect(),
            anomalies: Ranges(*self),
            anomalies_omitted: reconciliation.anomalies_omitted,
            strays: &reconciliation.strays,
            strays_omitted: reconciliation.strays_omitted,
        }
    }
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    verdict: Verdict,
    reasons: &'a [Reason],
    notes: &'a [String],
    /// How far the log was read.
    read: &'static str,
    produced: Lines,
    consumed: Lines,
    counts: &'a Counts,
    partitions: Vec<Partition>,
    anomalies: Ranges<'a>,
    /// Ranges that are counted, and not listed.
    anomalies_omitted: u64,
    strays: &'a [Stray],
    strays_omitted: u64,
}

#[derive(Debug, Serialize)]
struct Lines {
    lines: u64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

impl Lines {
    fn of(side: &Side) -> Self {
        let (first_at, last_at) = side.period.ends().unzip();
        Self { lines: side.lines, first_at, last_at }
    }
}

#[derive(Debug, Serialize)]
struct Partition {
    /// None for messages that may lie in any.
    partition: Option<i32>,
    /// What was read of it does not contradict itself.
    read: bool,
    counts: Counts,
}

/// Consecutive sequences of one producer in one partition with the same finding.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Range<'a> {
    pub producer: &'a str,
    /// None for messages that may lie in any.
    pub partition: Option<i32>,
    pub first: u64,
    pub last: u64,
    pub finding: Finding,
}

impl<'a> Range<'a> {
    fn of(anomaly: &Anomaly, account: &'a Account) -> Self {
        let producer = account.producers.get(usize::from(anomaly.stream.producer));
        Self {
            producer: producer.map_or("", String::as_str),
            partition: partition(anomaly.stream.partition),
            first: anomaly.first,
            last: anomaly.last,
            finding: anomaly.finding,
        }
    }

    /// How many numbers it spans. Between two of them, others may never have been offered.
    pub(super) const fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Written one by one: there may be millions.
#[derive(Debug)]
struct Ranges<'a>(JudgedAccount<'a>);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.ranges())
    }
}

fn partition(partition: i32) -> Option<i32> {
    (partition != ANY_PARTITION).then_some(partition)
}
