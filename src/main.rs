//! lossproof: chaos testing for Apache Kafka that accounts for every message.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lossproof::cli;
use lossproof::exit::Exit;

/// Chaos testing for Apache Kafka that accounts for every message.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(cli::plan::PlanArgs),
    List(cli::list::ListArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            // clap's own code for bad usage is 2, which means inconclusive here.
            return if error.use_stderr() { Exit::BadInput.into() } else { Exit::Pass.into() };
        }
    };
    match cli.command {
        Command::Plan(args) => cli::plan::run(&args).into(),
        Command::List(args) => cli::list::run(&args).into(),
    }
}
