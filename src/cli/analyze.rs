//! `lossproof analyze RUN_DIR`: judges a stored run again. No engine, no cluster, no clients.

use std::io::{self, Write};
use std::path::PathBuf;

use super::exit::{code, of_verdict};
use crate::report::judge::{JudgeError, judge};
use crate::report::terminal::{Output, Terminal};

/// Judge a stored run again, and write its report.json anew
#[derive(Debug, clap::Args)]
pub struct Analyze {
    /// Folder that `lossproof run` wrote
    pub run_dir: PathBuf,
    /// How to show the report
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl Analyze {
    /// Runs the command and gives the exit code.
    #[must_use]
    pub fn run(&self) -> u8 {
        let report = match judge(&self.run_dir) {
            Ok(report) => report,
            Err(error) => {
                let code = exit_code(&error);
                complain(&error.into());
                return code;
            }
        };
        Terminal::new(self.output).report(&report, &self.run_dir);
        if let Err(error) = report.store(&self.run_dir) {
            let what = format!("cannot write report.json in {}", self.run_dir.display());
            complain(&anyhow::Error::new(error).context(what));
            return code::ENVIRONMENT;
        }
        of_verdict(report.verdict)
    }
}

fn exit_code(error: &JudgeError) -> u8 {
    match error {
        error if error.is_internal() => code::INTERNAL,
        JudgeError::Unreadable { .. } => code::ENVIRONMENT,
        _ => code::USAGE,
    }
}

/// Says what went wrong, if anybody still listens.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {error:#}");
}
