//! `lossproof list`: the experiments and profiles there are.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use super::run::DEFAULT_IMAGE;
use super::{columns, printable, refuse, write_out};
use crate::exit::Exit;
use crate::experiment::{self, Experiment, Problem, Problems, schedule};
use crate::report::figures::{Commands, Figures, Stored};

/// List the built-in experiments and profiles, and those of a folder
///
/// The names can be given to `run` and `plan`, and those of profiles to `extends:` in an experiment file. Of each
/// experiment: its group, what threatens, what protects, and about how long it runs. In a pipe, each stands on one
/// line.
///
/// With --figures it is a page of Markdown instead: what the stored runs of each experiment showed, by group and by
/// version of Kafka. Only runs of the experiments as they are now count; the page tells which others there are.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Folder with experiments (*.yaml, also in folders inside it) and, in `profiles/` inside it, profiles
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print what the runs stored in this folder, and in folders inside it, showed of the built-in experiments, or of
    /// those of DIR alone
    #[arg(long, value_name = "RUNS")]
    pub figures: Option<PathBuf>,
}

/// Narrower than this, a table of phrases is no table any more.
const NARROWEST: u16 = 60;
/// From here on both phrases have a column of their own.
const WIDE: u16 = 120;

/// Runs the subcommand.
pub fn run(args: &ListArgs) -> Exit {
    if let Some(runs) = &args.figures {
        return figures(runs, args.folder.as_ref()).map_or_else(|problems| refuse(&problems), |page| write_out(&page));
    }
    let width = Table::new().width().filter(|width| *width > 0 && io::stdout().is_terminal());
    match text(args, width) {
        Ok(text) => write_out(&text),
        Err(problems) => refuse(&problems),
    }
}

/// The page of figures. What can't be read is told on stderr, too.
fn figures(runs: &Path, folder: Option<&PathBuf>) -> Result<String, Problems> {
    let catalogue =
        folder.map_or_else(experiment::load_embedded, |folder| experiment::load(std::slice::from_ref(folder)))?;
    let stored = Stored::find(runs).map_err(|error| {
        Problem::new(format!("the runs in {} can't be read: {error}", runs.display()))
            .hint("name a folder that `lossproof run` wrote into, such as `runs`")
    })?;
    for unreadable in &stored.unreadable {
        eprintln!("warning: {} is left out: {}", unreadable.run_dir.display(), printable(&unreadable.why));
    }
    let commands = Commands { default_image: DEFAULT_IMAGE, by_name: folder.is_none() };
    Ok(Figures::of(&catalogue, &stored).page(commands))
}

/// For a terminal of so many columns; none for a pipe.
fn text(args: &ListArgs, width: Option<u16>) -> Result<String, Problems> {
    let mut sections = Vec::new();
    if let Some(folder) = &args.folder {
        let shown = folder.display().to_string();
        let found = experiment::load(std::slice::from_ref(folder))?;
        sections.push((format!("Experiments in {shown}"), experiments(&found, width)));
        sections.push((format!("Profiles in {shown}"), profiles(experiment::profiles(Some(folder))?)));
    }
    sections.push(("Built-in experiments".to_owned(), experiments(&experiment::load_embedded()?, width)));
    sections.push(("Built-in profiles".to_owned(), profiles(experiment::profiles(None)?)));
    sections.retain(|(_, table)| !table.is_empty());
    let sections: Vec<String> = sections.into_iter().map(|(title, table)| format!("{title}\n{table}")).collect();
    Ok(sections.join("\n"))
}

fn profiles(found: Vec<(String, String)>) -> String {
    columns(found.into_iter().map(|(name, summary)| vec![name, summary]).collect())
}

/// The table, and the sum of the times.
fn experiments(found: &[Experiment], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.force_no_tty();
    match width {
        // Rows take several lines: rules keep them apart.
        Some(width) => table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.max(NARROWEST)),
        None => table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled),
    };
    let folded = width.is_some_and(|width| width < WIDE);
    let titles: &[&str] = if folded {
        &["name", "group", "hazard\n→ what protects", "runs about"]
    } else {
        &["name", "group", "hazard", "what protects", "runs about"]
    };
    table.set_header(titles.iter().copied());
    for experiment in found {
        // Who has given no hazard has told it in the summary, or not at all.
        let hazard = if experiment.hazard.is_empty() { &experiment.summary } else { &experiment.hazard };
        let needs = experiment.kafka.as_ref().map(|versions| format!(" (Kafka {versions})")).unwrap_or_default();
        let (hazard, protects) = (format!("{hazard}{needs}"), experiment.protects.clone());
        let phrases = match (folded, protects.is_empty()) {
            (true, true) => vec![hazard],
            (true, false) => vec![format!("{hazard}\n→ {protects}")],
            (false, _) => vec![hazard, protects],
        };
        let time = Cell::new(about(schedule::length(experiment))).set_alignment(CellAlignment::Right);
        let names = [&experiment.name, &experiment.group].map(Cell::new);
        table.add_row(names.into_iter().chain(phrases.into_iter().map(Cell::new)).chain([time]));
    }
    if width.is_some() {
        // Names and times are looked for, and stay whole; phrases give way.
        for column in [0, 1, titles.len() - 1] {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    } else {
        for column in table.column_iter_mut() {
            column.set_padding((2, 0));
        }
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if found.len() > 1 {
        let all = about(found.iter().map(schedule::length).sum());
        text.push_str(&format!("  {} experiments, about {all} in all\n", found.len()));
    }
    text
}

/// To five seconds, as it is an estimate.
fn about(time: Duration) -> String {
    let seconds = time.as_secs().div_ceil(5) * 5;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_narrow_and_wide_terminals_and_a_pipe() {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/experiments/listed"));
        let found = experiment::load(&[folder]).unwrap();
        for (name, width) in [("80", Some(80)), ("160", Some(160)), ("pipe", None)] {
            let text = experiments(&found, width);
            insta::assert_snapshot!(format!("list-{name}"), text);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(width.is_none_or(|width| widest <= usize::from(width)), "{widest} of {width:?}");
            // With the title, one line for each, and the sum.
            assert!(width.is_some() || text.lines().count() == found.len() + 2, "{text}");
        }
    }

    #[test]
    fn times_are_rounded_up() {
        let told = [0, 41, 60, 112].map(|seconds| about(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 s", "45 s", "1 min", "1 min 55 s"]);
    }
}
