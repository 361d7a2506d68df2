//! The story of a run's losses, or of one message: what was observed, on a time line, and what follows from it.
//!
//! Everything comes from the run directory, as for the report; no engine, no cluster.

mod error;
mod life;
mod moments;
mod name;
mod text;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use lossproof_ledger::category::{Category, Told};
use lossproof_ledger::cause::Explained;
use lossproof_ledger::reconcile::{Finding, StreamId};
use serde::Serialize;

use super::anomalies::{LeftOut, Loss};
use super::causes;
use super::judge::{Examined, examine, stored_experiment};
use life::Life;
use moments::Moment;

pub use error::ExplainError;
pub use name::MessageName;

/// Ranges of a profile that are told one by one.
const RANGES_MAX: usize = 5;

/// What there is to tell.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Explanation {
    /// What each profile lost.
    Profiles(Vec<ProfileStory>),
    /// The life of one message; of several, where several producers have one of that name.
    Messages(Vec<MessageStory>),
}

/// What one profile lost, and why.
#[derive(Debug, Serialize)]
pub struct ProfileStory {
    profile: String,
    offered: u64,
    lost: u64,
    losses: Vec<Loss>,
    /// Lost ranges, the largest first.
    ranges: Vec<RangeStory>,
    ranges_left_out: LeftOut,
    /// What happened to the partitions of these ranges.
    partitions: Vec<PartitionStory>,
}

/// Why one range was lost.
#[derive(Debug, Serialize)]
struct RangeStory {
    #[serde(flatten)]
    range: Explained,
    sentences: Vec<String>,
}

/// What happened to a partition.
#[derive(Debug, Serialize)]
struct PartitionStory {
    partition: i32,
    timeline: Vec<Moment>,
}

/// The life of one message.
#[derive(Debug, Serialize)]
pub struct MessageStory {
    profile: String,
    #[serde(flatten)]
    stream: StreamId,
    sequence: u64,
    category: Category,
    timeline: Vec<Moment>,
    /// What follows from it, a sentence each.
    conclusion: Vec<String>,
    /// The ranges that it belongs to; none if there was nothing remarkable about it.
    findings: Vec<Explained>,
}

/// Tells of a stored run: of one message, or of all that was lost.
///
/// # Errors
/// If the directory holds no run, something in it can't be read, or there is no such message.
pub fn explain(run_dir: &Path, message: Option<&MessageName>) -> Result<Explanation, ExplainError> {
    let run = examine(run_dir, &stored_experiment(run_dir)?)?;
    match message {
        None => Ok(Explanation::Profiles(run.explained.keys().map(|profile| profile_story(&run, profile)).collect())),
        Some(name) => {
            let found = name::find(&run, name)?;
            let stories: Result<Vec<_>, _> =
                found.iter().map(|(profile, stream)| message_story(&run, profile, *stream, name.sequence)).collect();
            Ok(Explanation::Messages(stories?))
        }
    }
}

fn profile_story(run: &Examined, profile: &str) -> ProfileStory {
    let report = &run.report.profiles[profile];
    let mut lost: Vec<&Explained> = run.explained[profile].iter().filter(|range| range.cause.is_some()).collect();
    lost.sort_by_key(|range| (Reverse(range.messages()), range.stream, range.first));
    let (shown, others) = lost.split_at(lost.len().min(RANGES_MAX));
    let topic = run.history(profile).topic(profile).unwrap_or_default();
    let partitions: BTreeSet<i32> = shown.iter().map(|range| range.stream.partition).collect();
    ProfileStory {
        profile: profile.to_owned(),
        offered: report.counts.messages.offered,
        lost: report.counts.messages.lost,
        losses: report.anomalies.losses.clone(),
        ranges: shown.iter().map(|range| range_story(range)).collect(),
        ranges_left_out: LeftOut {
            ranges: others.len() as u64,
            messages: others.iter().map(|range| range.messages()).sum(),
        },
        partitions: partitions
            .into_iter()
            .map(|partition| {
                let mut timeline = moments::of_cluster(run.history(profile), topic, partition);
                let ranges = shown.iter().filter(|range| range.stream.partition == partition);
                timeline.extend(ranges.flat_map(|range| moments::of_range(range)));
                PartitionStory { partition, timeline: moments::in_order(timeline) }
            })
            .collect(),
    }
}

fn range_story(range: &Explained) -> RangeStory {
    let sentences = range.cause.as_ref().map(|cause| causes::sentences(range, cause)).unwrap_or_default();
    RangeStory { range: range.clone(), sentences }
}

fn message_story(run: &Examined, profile: &str, stream: StreamId, sequence: u64) -> Result<MessageStory, ExplainError> {
    let life = Life::read(run, profile, stream, sequence)?;
    let here = |range: &&Explained| range.stream == stream && (range.first..=range.last).contains(&sequence);
    let findings: Vec<Explained> = run.explained[profile].iter().filter(here).cloned().collect();
    let category = findings.iter().find_map(|range| match range.finding {
        Finding::Category(category) => Some((category, range)),
        Finding::Flag(_) => None,
    });
    let topic = run.history(profile).topic(profile).unwrap_or_default();
    let mut timeline = moments::of_cluster(run.history(profile), topic, stream.partition);
    timeline.extend(life.moments(run.history(profile)));
    let mut conclusion = vec![life.audited()];
    conclusion.push(match &category {
        None => format!("It was delivered: {}.", delivered(&life)),
        Some((category, range)) => {
            let cause = range.cause.as_ref().map(|cause| format!(": {}", causes::clause(range, cause)));
            format!("It {}{}.", became(*category, life.told()), cause.unwrap_or_default())
        }
    });
    if let Some((_, range)) = category
        && let Some(cause) = &range.cause
    {
        if range.messages() > 1 {
            let (first, last) = (range.first, range.last);
            conclusion.push(format!("Messages {first} to {last} of partition {} share this:", stream.partition));
        }
        conclusion.extend(causes::sentences(range, cause));
    }
    conclusion.extend(findings.iter().filter_map(|range| flag(range.finding)));
    Ok(MessageStory {
        profile: profile.to_owned(),
        stream,
        sequence,
        category: category.map_or(Category::Delivered, |(category, _)| category),
        timeline: moments::in_order(timeline),
        conclusion,
        findings,
    })
}

fn delivered(life: &Life) -> String {
    let told = match life.told() {
        Some(Told::Acked) => "acknowledged, ",
        Some(Told::Failed | Told::Indeterminate) => "not acknowledged, and yet ",
        _ => "",
    };
    let log = if life.is_in_log() { "in the log, and processed" } else { "processed" };
    format!("{told}{log}")
}

/// What a category means for one message.
fn became(category: Category, told: Option<Told>) -> &'static str {
    match category {
        Category::Delivered => "was delivered",
        Category::Vanished if told == Some(Told::Acked) => "was processed, and then lost in the cluster",
        Category::Vanished => "was processed, and then vanished from the log",
        Category::LostInCluster => "was lost in the cluster",
        Category::Recovered => "was set aside, and so is not lost",
        Category::Unreadable => "may be in the log or not: its partition could not be read to the end",
        Category::Expired => "was lost to retention",
        Category::Compacted => "was superseded by compaction",
        Category::LostByConsumer => "was lost by the consumer",
        Category::Lagging => "lies in the log, and the group has not come to it",
        Category::BehindOpenTxn => "lies in the log, hidden by an open transaction",
        Category::Undelivered => "was never delivered",
    }
}

/// What beside its category is remarkable about a message.
fn flag(finding: Finding) -> Option<String> {
    let Finding::Flag(flag) = finding else { return None };
    let name = serde_json::to_value(flag).ok()?;
    Some(match name.as_str()? {
        "duplicate" => "The log holds more than one copy of it.".to_owned(),
        "redelivered" => "One copy of it was processed more than once.".to_owned(),
        "doubled" => "It was processed more than once.".to_owned(),
        "reordered" => "It lies in the log after a later message of its producer.".to_owned(),
        "offset_conflict" => "Another message lies at the offset that its acknowledgement named.".to_owned(),
        "failed_but_landed" => "It was reported as certainly not in the log, and is in it.".to_owned(),
        other => format!("Beside that: {}.", other.replace('_', " ")),
    })
}
