//! `lossproof client SPEC`: a client process of a run, started by the runner, not by people.

use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::workload::child;

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub struct ClientArgs {
    /// The client's specification, JSON, as the runner wrote it.
    pub spec: PathBuf,
}

/// Runs the client until it is told to end. Its log goes to stderr, its status to stdout.
#[must_use]
pub fn run(args: &ClientArgs) -> ExitCode {
    tracing_subscriber::fmt()
        // librdkafka only speaks at this level where a profile sets its option `debug`.
        .with_env_filter(EnvFilter::new("info,librdkafka=debug"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match child::run(&args.spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}
