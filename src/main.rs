//! lossproof: chaos testing for Apache Kafka that accounts for every message.

use std::process::ExitCode;

use clap::Parser;
use lossproof::cli;

/// Chaos testing for Apache Kafka that accounts for every message.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// A client process of a run.
    #[command(hide = true)]
    Client(cli::client::ClientArgs),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Client(args) => cli::client::run(&args),
    }
}
