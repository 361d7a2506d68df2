//! lossproof: chaos testing for Apache Kafka that accounts for every message.
#![allow(dead_code)] // The runner, which needs the rest of the types, is not there yet.

mod cli;
mod experiment;

use std::process::ExitCode;

use clap::Parser;

use cli::{list, plan, problems};

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Chaos testing for Apache Kafka that accounts for every message"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plan(plan::PlanArgs),
    List(list::ListArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            error.print()?;
            return Ok(ExitCode::from(if error.use_stderr() {
                problems::BAD_INPUT
            } else {
                0
            }));
        }
    };
    let code = match args.command {
        Command::Plan(args) => plan::run(&args)?,
        Command::List(args) => list::run(&args)?,
    };
    Ok(ExitCode::from(code))
}
