//! `lossproof guard`: stands between a run and a command of its experiment.

use std::time::Duration;

use clap::Args;

use super::fail;
use crate::exit::Exit;
use crate::fault::exec::guard;
use crate::runner::stop::Stop;

/// Arguments of `guard`.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// How long the command may take.
    #[arg(long)]
    limit_ms: u64,
    /// A command for `sh -c`.
    #[arg(allow_hyphen_values = true)]
    command: String,
}

/// Runs the command until its run is done with it, or dead.
pub async fn run(args: GuardArgs) -> Exit {
    let guarded = async {
        // A signal to all that is called lossproof is the run's to act on; it ends this by closing its pipe.
        let _heard = Stop::on_signals()?;
        guard::run(&args.command, Duration::from_millis(args.limit_ms)).await
    };
    guarded.await.map_or_else(|error| fail(&error.into()), |()| Exit::Pass)
}
