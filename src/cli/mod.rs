//! One file a subcommand; besides `report`, the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod analyze;
pub mod clean;
pub mod client;
pub mod plan;
pub mod run;

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::experiment::{self, Experiment, Problem, Problems};
use crate::workload::check_options;

/// Loads experiments, and lets librdkafka check its options. Problems of all files are printed together.
fn checked_experiments(paths: &[PathBuf]) -> Result<Vec<Experiment>, Exit> {
    let loaded = experiment::load(paths).and_then(|experiments| {
        let problems: Vec<Problem> = experiments
            .iter()
            .flat_map(|experiment| &experiment.profiles)
            .filter_map(|profile| check_options(profile).err())
            .flatten()
            .map(|problem| Problem::at_place(problem.message, &problem.at, problem.hint))
            .collect();
        if problems.is_empty() { Ok(experiments) } else { Err(Problems(problems)) }
    });
    loaded.map_err(|problems| {
        let stderr = std::io::stderr();
        eprint!("{}", problems.render(stderr.is_terminal(), 100));
        Exit::BadInput
    })
}

/// Tells of an error that ends the program, and gives its exit code.
fn fail(error: &anyhow::Error) -> Exit {
    eprintln!("error: {error:#}");
    Exit::of_error(error)
}

fn hint(text: &str) {
    eprintln!("  help: {text}");
}
