//! Hazards by profiles: what each experiment of several did to each configuration. Shown at the end, and kept as
//! `matrix.json` and `matrix.md`.

mod markdown;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use indexmap::IndexMap;
use lossproof_ledger::verdict::{ReasonKind, Verdict};
use serde::{Deserialize, Serialize};

use super::model::{Profile, Report};
use crate::experiment::yours::YOURS;
pub(in crate::report) use markdown::{escaped, words};

/// Profiles that have a column of their own, in its order; all others stand together in the last one.
pub const COLUMNS: [&str; 3] = ["baseline", "resilient", YOURS];
/// The profile whose settings are the advice.
pub const RESILIENT: &str = "resilient";

/// The matrix, with what a user's own configuration is open to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// One for each experiment, in the order in which they were given.
    pub rows: Vec<Row>,
    /// Hazards that lost, doubled or reordered messages of the profile `yours`.
    pub open: Vec<Open>,
}

/// A hazard, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What threatens; the experiment's summary or name where it does not say.
    pub hazard: String,
    /// The experiment that shows it.
    pub experiment: String,
    /// How that ended.
    pub ended: Ended,
    /// What happened to each profile; empty if the experiment was not judged.
    pub profiles: IndexMap<String, Cell>,
    /// The run's directory.
    pub run: Option<String>,
}

/// How an experiment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With a verdict.
    Judged(Verdict),
    /// It was not meant to run here.
    Skipped,
    /// Something went wrong, in a few words.
    Failed(String),
}

/// What happened to one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// In a word.
    pub state: State,
    /// Messages lost.
    pub lost: u64,
    /// Processings of messages beyond their first.
    pub doubled: u64,
    /// Messages in the log behind a later one.
    pub reordered: u64,
    /// Messages of which nothing can be said, or that the group had not come to.
    pub unknown: u64,
}

/// What happened to one profile, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was lost or reordered, and no promise broken. To process again is how nothing is lost: what was doubled is
    /// a harm only where the resilient profile does without.
    Held,
    /// Something was lost, reordered, or doubled without need.
    Hurt,
    /// Nothing of that, but another promise is broken.
    Broken,
    /// Nothing of that was seen, and the run proves nothing by it.
    Inconclusive,
}

/// A hazard that the profile `yours` is open to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// What threatens.
    pub hazard: String,
    /// The experiment that shows it.
    pub experiment: String,
    /// What it did.
    pub cell: Cell,
    /// Settings to change; empty if the experiment has no resilient profile, or that was hurt itself.
    pub settings: Vec<Change>,
    /// Whether these are the ones that protect, as the experiment says; otherwise those in which the baseline differs too,
    /// or all.
    pub named: bool,
}

/// A setting that differs between the profiles `yours` and `resilient`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name, after its side: `producer acks`.
    pub setting: String,
    /// As it is; none where it is the default.
    pub yours: Option<String>,
    /// As it is in the resilient profile; none for the default.
    pub resilient: Option<String>,
}

/// An experiment for the matrix.
pub struct Entry<'a> {
    /// Its name.
    pub experiment: &'a str,
    /// What threatens.
    pub hazard: &'a str,
    /// What protects, in a phrase that may name settings.
    pub protects: &'a str,
    /// Its report, or how it ended without one.
    pub outcome: Result<&'a Report, Ended>,
    /// Where it was stored.
    pub run: Option<String>,
    /// In what the profile `yours` differs from the resilient one.
    pub differences: Vec<Difference>,
}

/// In what the profile `yours` differs from the resilient one.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What would make them alike.
    pub change: Change,
    /// Whether the baseline differs from the resilient profile there too.
    pub in_baseline: bool,
}

impl Matrix {
    /// Of several experiments.
    #[must_use]
    pub fn of(entries: &[Entry<'_>]) -> Self {
        let rows: Vec<Row> = entries.iter().map(row).collect();
        let open = entries.iter().zip(&rows).filter_map(|(entry, row)| open(entry, row)).collect();
        Self { rows, open }
    }

    /// Profiles that have a column of their own, and whether there are others.
    #[must_use]
    pub fn columns(&self) -> (Vec<&'static str>, bool) {
        let has = |name: &str| self.rows.iter().any(|row| row.profiles.contains_key(name));
        let columns = COLUMNS.into_iter().filter(|name| has(name)).collect();
        let others = self.rows.iter().flat_map(|row| row.profiles.keys()).any(|name| !COLUMNS.contains(&name.as_str()));
        (columns, others)
    }

    /// Writes `matrix.json` and `matrix.md` into a folder.
    ///
    /// # Errors
    /// If the file system refuses it.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(folder.join("matrix.json"), json)?;
        std::fs::write(folder.join("matrix.md"), markdown::text(self))
    }
}

impl Row {
    /// Profiles without a column of their own.
    pub fn others(&self) -> impl Iterator<Item = (&str, &Cell)> {
        let others = self.profiles.iter().filter(|(name, _)| !COLUMNS.contains(&name.as_str()));
        others.map(|(name, cell)| (name.as_str(), cell))
    }
}

fn row(entry: &Entry<'_>) -> Row {
    let (ended, profiles) = match &entry.outcome {
        Ok(report) => {
            let cells = report.profiles.iter().map(|(name, profile)| (name.clone(), cell(report, name, profile)));
            (Ended::Judged(report.verdict), cells.collect())
        }
        Err(ended) => (ended.clone(), IndexMap::new()),
    };
    let hazard = if entry.hazard.is_empty() { entry.experiment } else { entry.hazard };
    let experiment = entry.experiment.to_owned();
    Row { hazard: hazard.to_owned(), experiment, ended, profiles, run: entry.run.clone() }
}

/// What a run did to one of its profiles.
pub(in crate::report) fn cell(report: &Report, name: &str, profile: &Profile) -> Cell {
    let counts = &profile.counts.messages;
    let unknown = counts.unreadable + counts.lagging + counts.behind_open_txn;
    let resilient = report.profiles.get(RESILIENT);
    let is_needed = name == RESILIENT || resilient.is_some_and(|other| other.counts.messages.doubled > 0);
    let broken = || report.reasons.iter().any(|r| r.kind == ReasonKind::Broken && r.profile.as_deref() == Some(name));
    // A proven loss is one whatever else the run proves; that nothing was lost counts only where the fault bit.
    let state = if counts.lost + counts.reordered > 0 || counts.doubled > 0 && !is_needed {
        State::Hurt
    } else if broken() {
        State::Broken
    } else if report.verdict == Verdict::Inconclusive || !profile.is_complete() || unknown > 0 || !met(report, name) {
        State::Inconclusive
    } else {
        State::Held
    };
    Cell { state, lost: counts.lost, doubled: counts.doubled, reordered: counts.reordered, unknown }
}

/// Whether some message of a profile was on its way while a fault lasted, where there are faults.
fn met(report: &Report, name: &str) -> bool {
    report.faults.is_empty()
        || report.faults.iter().any(|fault| fault.exposure.get(name).is_some_and(|exposed| *exposed > 0))
}

fn open(entry: &Entry<'_>, row: &Row) -> Option<Open> {
    let yours = row.profiles.get(YOURS).filter(|cell| cell.state == State::Hurt)?;
    let resilient = row.profiles.get(RESILIENT);
    let all = if resilient.is_some_and(|cell| cell.state == State::Held) { &entry.differences[..] } else { &[] };
    let some = |wanted: &dyn Fn(&Difference) -> bool| -> Vec<Change> {
        all.iter().filter(|own| wanted(own)).map(|own| own.change.clone()).collect()
    };
    let named = some(&|own| names(entry.protects, &own.change.setting));
    let is_named = !named.is_empty();
    // What hurt the baseline too is more likely to be the reason than what only one of them has.
    let likely = [named, some(&|own| own.in_baseline), some(&|_| true)];
    Some(Open {
        hazard: row.hazard.clone(),
        experiment: row.experiment.clone(),
        cell: *yours,
        named: is_named,
        settings: likely.into_iter().find(|changes| !changes.is_empty()).unwrap_or_default(),
    })
}

/// Whether a phrase names a setting, as a word by itself.
fn names(phrase: &str, setting: &str) -> bool {
    let name = setting.rsplit(' ').next().unwrap_or(setting);
    phrase.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).any(|word| word.trim_end_matches('.') == name)
}
