//! `lossproof explain RUN_DIR [MESSAGE]`: why messages were lost. No engine, no cluster, no clients.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::analyze::exit_of;
use super::{fail, write_out};
use crate::exit::Exit;
use crate::report::explain::{ExplainError, MessageName, explain};

/// Tell why messages of a stored run were lost, or the life of one message
///
/// Without a message: what each profile lost and why, with the largest lost ranges, what exposed them to loss and what
/// destroyed them, on a time line with leaders, replicas' logs and faults. With one: its whole life, from when it was
/// due to what became of it. Only what was observed is claimed; what nothing explains is called unexplained.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// Folder that `lossproof run` wrote
    run_dir: PathBuf,
    /// PROFILE/PARTITION:SEQUENCE of a message; the profile may be left out where only one has such a message
    message: Option<MessageName>,
    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  lossproof explain runs/20261121-123419-leader-partition
  lossproof explain runs/20261121-123419-leader-partition baseline/0:12345";

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Sentences for people.
    #[default]
    Text,
    /// The same for programs; times in nanoseconds since the run's start.
    Json,
}

/// Runs the subcommand.
pub fn run(args: &ExplainArgs) -> Exit {
    let explanation = match explain(&args.run_dir, args.message.as_ref()) {
        Ok(explanation) => explanation,
        Err(error) => {
            let exit = match &error {
                ExplainError::Judge(error) => exit_of(error),
                ExplainError::NoSuchMessage { .. } => Exit::BadInput,
            };
            fail(&error.into());
            return exit;
        }
    };
    match args.format {
        Format::Text => write_out(&explanation.to_text()),
        Format::Json => match explanation.to_json() {
            Ok(json) => write_out(&json),
            Err(error) => fail(&error.into()),
        },
    }
}
