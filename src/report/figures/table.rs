//! The table of a group: a row for each experiment and image, a column for each profile that many of them have.

use super::over::{ProfileOver, Range, mean_ms, offered, verdicts};
use super::{Commands, Ran};
use crate::experiment::metric::{METRICS, Unit};
use crate::experiment::{Experiment, Profile};
use crate::report::matrix::{COLUMNS, RESILIENT, State, escaped};
use crate::report::model::Report;
use crate::report::terminal::words::millis;

const NOTHING: &str = "–";
/// What has a figure of its own, or is in one. Other metrics are told where an experiment speaks of them.
const TOLD: [&str; 13] = [
    "acked",
    "behind_open_txn",
    "delivered",
    "doubled",
    "expired",
    "lagging",
    "lost",
    "lost_by_consumer",
    "lost_in_cluster",
    "redelivered",
    "reordered",
    "undelivered",
    "unreadable",
];

/// With the group's name above it.
pub(super) fn of_group(experiments: &[Ran<'_>], commands: Commands<'_>) -> String {
    let name = experiments.first().map_or("", |own| own.experiment.group.as_str());
    let mut text = if name.is_empty() { String::new() } else { format!("\n## {}\n", escaped(name)) };
    let has = |name: &str| experiments.iter().flat_map(|own| profiles(own.experiment)).any(|own| own.name == name);
    let columns: Vec<&str> = COLUMNS.into_iter().filter(|name| has(name)).collect();
    let is_other = |own: &Profile| !columns.contains(&own.name.as_str());
    let others = experiments.iter().flat_map(|own| profiles(own.experiment)).any(is_other);
    let titles = ["experiment", "Kafka", "runs"].into_iter().chain(columns.iter().copied());
    let titles: Vec<&str> = titles.chain(others.then_some("others")).collect();
    text.push_str(&format!("\n| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len())));
    for ran in experiments {
        if ran.runs.is_empty() {
            let first = [introduced(ran.experiment, commands), NOTHING.to_owned(), "not run".to_owned()];
            text.push_str(&format!("| {} |{}\n", first.join(" | "), format!(" {NOTHING} |").repeat(titles.len() - 3)));
        }
        for cells in rows(ran, &columns, others, commands) {
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    text
}

/// Without those in which a setting is put back.
fn profiles(experiment: &Experiment) -> impl Iterator<Item = &Profile> {
    experiment.profiles.iter().filter(|profile| profile.varied.is_none())
}

/// One row for each image; only the first introduces the experiment.
fn rows(ran: &Ran<'_>, columns: &[&str], others: bool, commands: Commands<'_>) -> Vec<Vec<String>> {
    let Ran { experiment, runs } = ran;
    let names: Vec<&str> = profiles(experiment).map(|profile| profile.name.as_str()).collect();
    let metrics = metrics(experiment);
    let over = |runs: &[&Report]| names.iter().map(|name| ProfileOver::of(runs, name, &metrics)).collect::<Vec<_>>();
    let images: Vec<Vec<Option<ProfileOver>>> = runs.values().map(|runs| over(runs)).collect();
    let shows = Shows::of(images.iter().flatten().flatten());
    let mut rows = Vec::new();
    for ((image, runs), over) in runs.iter().zip(&images) {
        let over =
            |name: &str| names.iter().zip(over).find(|(own, _)| **own == name).and_then(|(_, over)| over.as_ref());
        let doubling_is_needed = over(RESILIENT).is_some_and(|over| over.doubled.most > 0);
        let told = |name: &str, between: &str| match over(name) {
            Some(over) => shows.lines(over, doubling_is_needed).join(between),
            None => NOTHING.to_owned(),
        };
        let first = if rows.is_empty() { introduced(experiment, commands) } else { format!("`{}`", experiment.name) };
        let mut cells = vec![first, image.label(commands), ended(runs)];
        cells.extend(columns.iter().map(|name| told(name, "<br>")));
        if others {
            let others = names.iter().filter(|name| !columns.contains(name));
            let lines: Vec<String> = others.map(|name| format!("`{name}`: {}", told(name, ", "))).collect();
            cells.push(if lines.is_empty() { NOTHING.to_owned() } else { lines.join("<br>") });
        }
        rows.push(cells);
    }
    rows
}

/// Numbers that an experiment expects something of, and that have no figure of their own.
fn metrics(experiment: &Experiment) -> Vec<&'static str> {
    let expected = || experiment.must_show.iter().chain(&experiment.must_hold);
    let counts = METRICS.iter().filter(|metric| metric.unit == Unit::Count && !TOLD.contains(&metric.name));
    counts.map(|metric| metric.name).filter(|name| expected().any(|own| own.metric == *name)).collect()
}

/// Name, what threatens and what protects.
fn introduced(experiment: &Experiment, commands: Commands<'_>) -> String {
    let hazard = if experiment.hazard.is_empty() { &experiment.summary } else { &experiment.hazard };
    let needs = experiment.kafka.as_ref().map(|versions| format!(" (Kafka {versions})")).unwrap_or_default();
    let mut lines = vec![format!("`{}`", experiment.name)];
    if !commands.by_name {
        lines.push(format!("`{}`", experiment.file.display()));
    }
    lines.push(escaped(format!("{hazard}{needs}").trim()));
    if !experiment.protects.is_empty() {
        lines.push(format!("→ {}", escaped(&experiment.protects)));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("<br>")
}

/// How the runs ended, how long they took and what was offered in them.
fn ended(runs: &[&Report]) -> String {
    let mut lines = vec![verdicts(runs)];
    // A tenth of a second more or less tells nobody anything.
    lines.extend(mean_ms(runs).map(|ms| millis(ms.div_ceil(1_000) * 1_000)));
    lines.extend(offered(runs).map(|range| format!("{} messages", range.told())));
    lines.join("<br>")
}

/// Which figures are told of every profile of an experiment, on every image: those of which some profile has any.
#[derive(Debug)]
struct Shows {
    doubled: bool,
    reordered: bool,
    named: Vec<&'static str>,
}

impl Shows {
    fn of<'a>(all: impl Iterator<Item = &'a ProfileOver> + Clone) -> Self {
        let any = |range: fn(&ProfileOver) -> Range| all.clone().any(|over| range(over).most > 0);
        let named = all.clone().flat_map(|over| &over.named).filter(|(_, range)| range.most > 0);
        Self {
            doubled: any(|over| over.doubled),
            reordered: any(|over| over.reordered),
            named: named.map(|(name, _)| *name).collect(),
        }
    }

    fn lines(&self, over: &ProfileOver, doubling_is_needed: bool) -> Vec<String> {
        let is_hurt = over.state == State::Hurt;
        let marked = |is_harm: bool, what: &str, range: Range, more: &str| {
            let text = format!("{what} {}{more}", range.told());
            if is_harm && range.most > 0 { format!("**{text}**") } else { text }
        };
        let unacknowledged = match over.unacknowledged {
            Range { most: 0, .. } => String::new(),
            _ if over.all_unacknowledged => ", never acknowledged".to_owned(),
            range => format!(" ({} never acknowledged)", range.told()),
        };
        let mut lines = vec![marked(is_hurt, "lost", over.lost, &unacknowledged)];
        if self.doubled {
            lines.push(marked(is_hurt && !doubling_is_needed, "doubled", over.doubled, ""));
        }
        if self.reordered {
            lines.push(marked(is_hurt, "reordered", over.reordered, ""));
        }
        let named = over.named.iter().filter(|(name, _)| self.named.contains(name));
        lines.extend(named.map(|(name, range)| format!("{} {}", name.replace('_', " "), range.told())));
        for (what, range) in [("lagging", over.lagging), ("unreadable", over.unreadable)] {
            if range.most > 0 {
                lines.push(format!("{what} {}", range.told()));
            }
        }
        match over.state {
            State::Broken => lines.push("**promise broken**".to_owned()),
            // Of those that were not come to, the number says it.
            State::Inconclusive if over.lagging.most == 0 => lines.push("proves nothing".to_owned()),
            State::Inconclusive | State::Hurt | State::Held => {}
        }
        lines.extend(over.unavailable.map(|span| {
            let bound = if span.at_least { "at least " } else { "" };
            format!("no ack for {bound}{}", millis(span.ms))
        }));
        lines
    }
}
