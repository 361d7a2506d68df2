//! `lossproof analyze RUN_DIR`: judges a stored run again. No engine, no cluster, no clients.

use std::path::PathBuf;

use clap::Args;

use super::fail;
use super::run::of_verdict;
use crate::exit::Exit;
use crate::report::judge::{JudgeError, judge};
use crate::report::terminal::{Output, Terminal};

/// Arguments of `analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Folder that `lossproof run` wrote. Its report.json is written anew.
    run_dir: PathBuf,
    /// How the report is shown.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Judges a stored run again and shows the report.
pub fn run(args: &AnalyzeArgs) -> Exit {
    let report = match judge(&args.run_dir) {
        Ok(report) => report,
        Err(error) => {
            let exit = exit_of(&error);
            fail(&error.into());
            return exit;
        }
    };
    Terminal::new(args.output).report(&report, &args.run_dir);
    if let Err(error) = report.store(&args.run_dir) {
        fail(&anyhow::Error::new(error).context(format!("can't write report.json in {}", args.run_dir.display())));
        return Exit::Environment;
    }
    of_verdict(report.verdict)
}

pub(super) fn exit_of(error: &JudgeError) -> Exit {
    match error {
        error if error.is_internal() => Exit::Internal,
        JudgeError::Unreadable { .. } => Exit::Environment,
        _ => Exit::BadInput,
    }
}
