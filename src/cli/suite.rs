//! How several experiments ended, shown together: a table, and what each hazard did to each profile.

use std::path::{Path, PathBuf};

use super::hint;
use super::plan::settings;
use crate::exit::Exit;
use crate::experiment::{BASELINE, Experiment};

use crate::experiment::yours::YOURS;
use crate::report::Report;
use crate::report::matrix::{Change, Difference, Ended, Entry, Matrix, RESILIENT};
use crate::report::terminal::{self, Summary, Terminal};

/// How one experiment ended.
pub(super) struct Outcome {
    pub(super) experiment: Experiment,
    pub(super) exit: Exit,
    pub(super) ending: Ending,
    pub(super) run_dir: Option<PathBuf>,
}

/// What came of an experiment.
pub(super) enum Ending {
    /// A verdict.
    Judged(Box<Report>),
    /// It is not for this Kafka.
    Skipped,
    /// Something went wrong, in a few words.
    Failed(&'static str),
}

impl Outcome {
    pub(super) const fn without(experiment: Experiment, exit: Exit, ending: Ending) -> Self {
        Self { experiment, exit, ending, run_dir: None }
    }

    fn summary(&self) -> Summary<'_> {
        Summary {
            experiment: &self.experiment.name,
            outcome: match &self.ending {
                Ending::Judged(report) => terminal::Ending::Judged(report),
                Ending::Skipped => terminal::Ending::Skipped,
                Ending::Failed(why) => terminal::Ending::Failed(why),
            },
            run_dir: self.run_dir.as_deref(),
        }
    }

    fn entry(&self) -> Entry<'_> {
        let run = self.run_dir.as_deref().and_then(Path::file_name);
        Entry {
            experiment: &self.experiment.name,
            hazard: &self.experiment.hazard,
            protects: &self.experiment.protects,
            outcome: match &self.ending {
                Ending::Judged(report) => Ok(report),
                Ending::Skipped => Err(Ended::Skipped),
                Ending::Failed(why) => Err(Ended::Failed((*why).to_owned())),
            },
            run: run.map(|name| name.to_string_lossy().into_owned()),
            differences: differences(&self.experiment),
        }
    }
}

/// All that have ended, by the order in which they were given.
pub(super) struct Outcomes {
    given: Vec<String>,
    ended: Vec<Outcome>,
}

impl Outcomes {
    pub(super) const fn of(given: Vec<String>) -> Self {
        Self { given, ended: Vec::new() }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.ended.push(outcome);
        let place = |outcome: &Outcome| self.given.iter().position(|name| *name == outcome.experiment.name);
        self.ended.sort_by_key(place);
    }

    /// Whether all were skipped.
    pub(super) fn nothing_ran(&self) -> bool {
        self.ended.iter().all(|outcome| matches!(outcome.ending, Ending::Skipped))
    }

    /// The worst of all.
    pub(super) fn exit(&self) -> Exit {
        let start = if self.nothing_ran() { Exit::Inconclusive } else { Exit::Pass };
        self.ended.iter().fold(start, |exit, outcome| exit.worse(outcome.exit))
    }

    /// Shows the table and the matrix of several, and keeps the matrix in the suite's folder.
    pub(super) fn show(&self, terminal: &mut Terminal, folder: Option<&Path>) {
        if self.given.len() < 2 {
            return;
        }
        let summaries: Vec<Summary<'_>> = self.ended.iter().map(Outcome::summary).collect();
        terminal.summary(&summaries);
        let entries: Vec<Entry<'_>> = self.ended.iter().map(Outcome::entry).collect();
        let matrix = Matrix::of(&entries);
        terminal.matrix(&matrix);
        let Some(folder) = folder else { return };
        match matrix.store(folder) {
            Ok(()) => terminal.say(&format!("stored in {}", folder.join("matrix.md").display())),
            Err(error) => {
                eprintln!("warning: the matrix can't be stored in {}: {error}", folder.display());
                hint("the reports of the runs are in their own directories");
            }
        }
    }
}

/// In what a user's own configuration differs from the resilient profile.
fn differences(experiment: &Experiment) -> Vec<Difference> {
    let find = |name: &str| experiment.profiles.iter().find(|profile| profile.name == name).map(settings);
    let baseline = find(BASELINE);
    let (Some(yours), Some(resilient)) = (find(YOURS), find(RESILIENT)) else { return Vec::new() };
    let value = |of: &[(String, String)], name: &str| of.iter().find(|(own, _)| own == name).map(|(_, v)| v.clone());
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in resilient.iter().chain(&yours) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let differences = names.into_iter().map(|name| {
        let resilient = value(&resilient, name);
        let in_baseline = baseline.as_ref().is_some_and(|baseline| value(baseline, name) != resilient);
        Difference { change: Change { setting: name.clone(), yours: value(&yours, name), resilient }, in_baseline }
    });
    differences.filter(|own| own.change.yours != own.change.resilient).collect()
}
