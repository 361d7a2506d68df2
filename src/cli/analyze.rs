//! `lossproof analyze RUN_DIR`: judges a stored run again. No engine, no cluster, no clients.

use std::path::{Path, PathBuf};

use clap::Args;

use super::run::of_verdict;
use super::{fail, refuse};
use crate::exit::Exit;
use crate::experiment::{Expectations, Experiment, Problems, expectation_argument, expectation_file};
use crate::report::judge::{JudgeError, judge, judge_as, stored_experiment};
use crate::report::terminal::{Output, Terminal};
use crate::report::{OTHERWISE, Report};

/// Judge a stored run again, without Docker
///
/// Everything is computed anew from what the run stored: events, journals, the experiment. As it is, report.json
/// is written anew, the same to the byte.
///
/// With --expect or --expect-file the run is judged by these instead of what its experiment expects, and
/// report.json stays as it is unless --write is given.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AnalyzeArgs {
    /// Folder that `lossproof run` wrote
    run_dir: PathBuf,
    /// What must hold, instead of what the experiment expects: PROFILE.METRIC, a colon and a bound. May be given
    /// several times
    #[arg(long, value_name = "PROFILE.METRIC: BOUND")]
    expect: Vec<String>,
    /// A YAML file with `must_hold`, `must_show` and `min_exposure`, as in an experiment, instead of the
    /// experiment's own; --expect adds to it
    #[arg(long, value_name = "FILE")]
    expect_file: Option<PathBuf>,
    /// Write report.json even though other expectations than the experiment's were given
    #[arg(long)]
    write: bool,
    /// How the report is shown
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  lossproof analyze runs/20261121-123419-leader-partition
  lossproof analyze runs/… --expect 'resilient.lost: 0' --expect 'resilient.unavailable: <20s'
  lossproof analyze runs/… --expect-file stricter.yaml --output json";

/// Judges a stored run again and shows the report.
pub fn run(args: &AnalyzeArgs) -> Exit {
    let apart = !args.expect.is_empty() || args.expect_file.is_some();
    let judged = if apart { otherwise(args) } else { judge(&args.run_dir).map_err(failed) };
    let report = match judged {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    let mut terminal = Terminal::new(args.output);
    if apart && !args.write {
        terminal.report_apart(&report, &args.run_dir);
        return of_verdict(report.verdict);
    }
    terminal.report(&report, &args.run_dir);
    if let Err(error) = report.store(&args.run_dir) {
        fail(&anyhow::Error::new(error).context(format!("can't write report.json in {}", args.run_dir.display())));
        return Exit::Environment;
    }
    of_verdict(report.verdict)
}

/// Judges by what the arguments expect.
fn otherwise(args: &AnalyzeArgs) -> Result<Report, Exit> {
    let mut experiment = stored_experiment(&args.run_dir).map_err(failed)?;
    let Expectations { must_show, must_hold, min_exposure } =
        expectations(&args.expect, args.expect_file.as_deref(), &experiment).map_err(|problems| refuse(&problems))?;
    (experiment.must_show, experiment.must_hold, experiment.min_exposure) = (must_show, must_hold, min_exposure);
    let mut report = judge_as(&args.run_dir, &experiment).map_err(failed)?;
    let mut sources = args.expect.clone();
    sources.extend(args.expect_file.iter().map(|file| file.display().to_string()));
    report.notes.push(format!("{OTHERWISE}: {}", sources.join(", ")));
    Ok(report)
}

/// All that the arguments expect; problems of all of them are told together.
fn expectations(arguments: &[String], file: Option<&Path>, experiment: &Experiment) -> Result<Expectations, Problems> {
    let names: Vec<&str> = experiment.profiles.iter().map(|profile| profile.name.as_str()).collect();
    let mut problems = Vec::new();
    let mut expectations = match file.map(|file| expectation_file(file, &names)) {
        None => Expectations::default(),
        Some(Ok(expectations)) => expectations,
        Some(Err(Problems(found))) => {
            problems.extend(found);
            Expectations::default()
        }
    };
    for argument in arguments {
        match expectation_argument(argument, Some(&names)) {
            Ok(expectation) => expectations.must_hold.push(expectation),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(expectations) } else { Err(Problems(problems)) }
}

fn failed(error: JudgeError) -> Exit {
    let exit = exit_of(&error);
    fail(&error.into());
    exit
}

pub(super) fn exit_of(error: &JudgeError) -> Exit {
    match error {
        error if error.is_internal() => Exit::Internal,
        JudgeError::Unreadable { .. } => Exit::Environment,
        _ => Exit::BadInput,
    }
}
