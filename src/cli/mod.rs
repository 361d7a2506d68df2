//! One file a subcommand; besides `report`, the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod analyze;
pub mod check;
pub mod clean;
pub mod client;
pub mod doctor;
pub mod explain;
pub mod faults;
pub mod guard;
pub mod list;
pub mod plan;
pub mod reconcile;
pub mod run;
mod suite;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};

use crate::exit::Exit;
use crate::experiment::{self, Experiment, Problem, Problems, Profile};
use crate::workload::{OptionProblem, check_options};

/// Columns for everything that is laid out.
const WIDTH: u16 = 100;

/// Loads experiments, and lets librdkafka check its options. Problems of all files are printed together.
fn checked_experiments(paths: &[PathBuf]) -> Result<Vec<Experiment>, Exit> {
    let loaded = experiment::load(paths).and_then(|experiments| {
        let problems: Vec<Problem> =
            experiments.iter().flat_map(|experiment| &experiment.profiles).flat_map(option_problems).collect();
        if problems.is_empty() { Ok(experiments) } else { Err(Problems(problems)) }
    });
    loaded.map_err(|problems| refuse(&problems))
}

/// What librdkafka has against a profile's options.
fn option_problems(profile: &Profile) -> impl Iterator<Item = Problem> + use<> {
    let problems = check_options(profile).err().into_iter().flatten();
    problems.map(option_problem)
}

fn option_problem(problem: OptionProblem) -> Problem {
    Problem::at_place(problem.message, &problem.at, "this option").hint_if(problem.hint)
}

/// Tells of an error that ends the program, and gives its exit code.
fn fail(error: &anyhow::Error) -> Exit {
    eprintln!("error: {error:#}");
    Exit::of_error(error)
}

fn hint(text: &str) {
    eprintln!("  help: {text}");
}

/// Prints the problems with the input, in colour only on a terminal, and gives the exit code that goes with them.
fn refuse(problems: &Problems) -> Exit {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut text = problems.render(colour, usize::from(WIDTH));
    if problems.0.len() > 1 {
        text.push_str(&format!("\n{} problems; nothing was started\n", problems.0.len()));
    }
    // With stderr closed there is nobody left to tell.
    io::stderr().write_all(text.as_bytes()).ok();
    Exit::BadInput
}

/// A text without anything in it that would steer a terminal: it may come from a file.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Writes a finished text to stdout, without anything in it that would steer a terminal: summaries come from files. A
/// reader that has gone away (`| head`) is no error.
fn write_out(text: &str) -> Exit {
    match io::stdout().lock().write_all(printable(text).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Environment,
        _ => Exit::Pass,
    }
}

/// Plain columns, two spaces apart and indented by two; no borders, so that it reads well in a pipe.
fn columns(rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
