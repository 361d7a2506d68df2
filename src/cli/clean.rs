//! `lossproof clean`

use anyhow::Result;
use clap::Args;

use super::fail;
use super::run::tell_left;
use crate::cluster::engine::Engine;
use crate::cluster::session::{forget, locked, try_lock};
use crate::cluster::sweep::{remains, sessions, sweep};
use crate::exit::Exit;

/// Arguments of `clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Only this run's, as `run --keep` named it. Without it, all that dead or kept runs left.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// Removes what dead runs left: containers, networks, volumes, loop devices. A live run is left alone.
pub async fn run(args: CleanArgs) -> Exit {
    match clean(args.run.as_deref()).await {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

async fn clean(only: Option<&str>) -> Result<Exit> {
    let engine = Engine::connect().await?;
    let mut exit = Exit::Pass;
    let mut found = false;
    let mut all = sessions(&engine).await?;
    // One that died before it made anything has a lock file and no more.
    all.extend(locked()?);
    for session in all {
        if only.is_some_and(|only| only != session) {
            continue;
        }
        // Held until the sweep is over, so that no second `clean` takes the same session.
        let Some(_lock) = try_lock(&session)? else {
            found = true;
            println!("{session}: is running, left alone");
            continue;
        };
        let there = remains(&engine, &session).await?;
        let left = sweep(&engine, &session).await?;
        if left.is_empty() {
            forget(&session);
        }
        found |= !there.is_empty();
        if left.is_empty() && !there.is_empty() {
            println!(
                "{session}: removed {} containers, {} networks, {} volumes",
                there.containers.len(),
                there.networks.len(),
                there.volumes.len()
            );
        }
        exit = exit.worse(tell_left(&left));
    }
    if !found {
        println!("nothing to remove{}", only.map(|id| format!(" of {id}")).unwrap_or_default());
    }
    Ok(exit)
}
