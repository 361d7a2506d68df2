//! lossproof: chaos testing for Apache Kafka that accounts for every message.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lossproof::cli;
use lossproof::exit::Exit;

/// Chaos testing for Apache Kafka that accounts for every message.
///
/// Starts a real three-broker cluster in Docker, runs client configurations side by side on it, breaks
/// the cluster on purpose, and then says of every single message whether it was delivered, lost or
/// duplicated, or that it can't be known.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments and judge them.
    Run(cli::run::RunArgs),
    Plan(cli::plan::PlanArgs),
    List(cli::list::ListArgs),
    Faults(cli::faults::FaultsArgs),
    Doctor(cli::doctor::DoctorArgs),
    /// Remove what dead or kept runs left; a live run is left alone.
    Clean(cli::clean::CleanArgs),
    Check(cli::check::CheckArgs),
    Analyze(cli::analyze::AnalyzeArgs),
    Explain(cli::explain::ExplainArgs),
    Reconcile(cli::reconcile::ReconcileArgs),
    /// A client process of a run.
    #[command(hide = true)]
    Client(cli::client::ClientArgs),
    /// What a command of an experiment runs under.
    #[command(hide = true)]
    Guard(cli::guard::GuardArgs),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    every experiment passed
  1    a promise (`must_hold`) was broken
  2    inconclusive: the run proves nothing, and says why
  3    bad input or usage
  4    no Docker engine or image, or the cluster can't start
  5    clean-up left something behind
  70   a defect of lossproof
  130  interrupted, and healed";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            // clap's own code for bad usage is 2, which means inconclusive here.
            return if error.use_stderr() { Exit::BadInput.into() } else { Exit::Pass.into() };
        }
    };
    // A client is many librdkafka threads and no runtime.
    if let Command::Client(args) = &cli.command {
        return cli::client::run(args);
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("LOSSPROOF_LOG").unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(_) => return Exit::Internal.into(),
    };
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => cli::run::run(args).await,
            Command::Clean(args) => cli::clean::run(args).await,
            Command::Check(args) => cli::check::run(args).await,
            Command::Analyze(args) => cli::analyze::run(&args),
            Command::Explain(args) => cli::explain::run(&args),
            Command::Reconcile(args) => cli::reconcile::run(args).await,
            Command::Plan(args) => cli::plan::run(&args).await,
            Command::List(args) => cli::list::run(&args),
            Command::Faults(args) => cli::faults::run(&args),
            Command::Doctor(args) => cli::doctor::run(args).await,
            Command::Guard(args) => cli::guard::run(args).await,
            Command::Client(_) => Exit::Internal,
        }
    });
    // A blocking call that hangs on a dead broker must not keep the program alive.
    runtime.shutdown_background();
    exit.into()
}
