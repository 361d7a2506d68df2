//! One line an experiment, after several.

use std::path::Path;

use comfy_table::{Cell, CellAlignment};

use super::grid::{cell, grid, verdict_word};
use super::out::{Style, Tone};
use super::words::{millis, thousands};
use crate::report::model::Report;

/// How an experiment ended.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    /// The experiment's name.
    pub experiment: &'a str,
    /// What came of it.
    pub outcome: Ending<'a>,
    /// Where the run was stored, if it came so far.
    pub run_dir: Option<&'a Path>,
}

/// What came of an experiment.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// A verdict.
    Judged(&'a Report),
    /// It was not meant to run here.
    Skipped,
    /// Something that went wrong, in a few words.
    Failed(&'a str),
}

impl<'a> Ending<'a> {
    const fn report(self) -> Option<&'a Report> {
        match self {
            Self::Judged(report) => Some(report),
            Self::Skipped | Self::Failed(_) => None,
        }
    }
}

/// More columns are no table any more.
const PROFILES_MAX: usize = 4;

pub(super) fn table(experiments: &[Summary<'_>], style: Style, width: u16) -> String {
    let mut profiles = profiles(experiments);
    if profiles.len() > PROFILES_MAX {
        // The matrix tells of all of them.
        profiles.clear();
    }
    let mut table = grid(style, width);
    let lost = profiles.iter().map(|profile| Cell::new(format!("{profile} lost")).set_alignment(CellAlignment::Right));
    table.set_header(
        [Cell::new("experiment"), Cell::new("verdict")]
            .into_iter()
            .chain(lost)
            .chain([Cell::new("duration"), Cell::new("stored in")]),
    );
    for experiment in experiments {
        let mut cells = vec![Cell::new(experiment.experiment)];
        match experiment.outcome {
            Ending::Judged(report) => {
                let (tone, word) = verdict_word(report.verdict);
                cells.push(cell(word, tone));
                cells.extend(profiles.iter().map(|name| lost_by(report, name)));
                cells.push(Cell::new(millis(report.duration_ms)).set_alignment(CellAlignment::Right));
            }
            Ending::Skipped | Ending::Failed(_) => {
                cells.push(match experiment.outcome {
                    Ending::Failed(why) => cell(why, Tone::Bad),
                    _ => cell("skipped", Tone::Notable),
                });
                cells.extend(profiles.iter().map(|_| Cell::new("")));
                cells.push(Cell::new(""));
            }
        }
        let dir = experiment.run_dir.map(|dir| dir.display().to_string());
        cells.push(Cell::new(dir.unwrap_or_default()));
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// The names of all profiles, in the order in which they come up.
fn profiles<'a>(experiments: &[Summary<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let reports = experiments.iter().filter_map(|e| e.outcome.report());
    for name in reports.flat_map(|report| report.profiles.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn lost_by(report: &Report, profile: &str) -> Cell {
    let Some(profile) = report.profiles.get(profile) else {
        return Cell::new("");
    };
    let lost = profile.counts.messages.lost;
    let tone = if lost == 0 { Tone::Plain } else { Tone::Bad };
    cell(&thousands(lost), tone).set_alignment(CellAlignment::Right)
}
