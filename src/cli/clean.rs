//! `lossproof clean`

use anyhow::Result;
use clap::Args;

use super::run::tell_left;
use super::{fail, printable};
use crate::cluster::engine::Engine;
use crate::cluster::session::{locked, try_lock};
use crate::cluster::sweep::sessions;
use crate::exit::Exit;
use crate::runner::Left;
use crate::runner::clean::{self, Cleaned, Settled};

/// Arguments of `clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Only this run's, as `run --keep` named it. Without it, all that dead or kept runs left.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// Removes what dead runs left: containers, networks, volumes, loop devices. A live run is left alone.
pub async fn run(args: CleanArgs) -> Exit {
    match clean_all(args.run.as_deref()).await {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

async fn clean_all(only: Option<&str>) -> Result<Exit> {
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
        let Cleaned { there, left, faults } = clean::clean(&engine, &session).await?;
        found |= !there.is_empty() || !faults.is_empty();
        let (done, open): (Vec<Settled>, Vec<Settled>) = faults.into_iter().partition(|fault| fault.done);
        for fault in done {
            println!("{session}: {}", printable(&fault.text));
        }
        if left.is_empty() && !there.is_empty() {
            println!(
                "{session}: removed {} containers, {} networks, {} volumes",
                there.containers.len(),
                there.networks.len(),
                there.volumes.len()
            );
        }
        let faults = open.into_iter().map(|fault| fault.text).collect();
        exit = exit.worse(tell_left(&Left { remains: left, faults }));
    }
    if !found {
        println!("nothing to remove{}", only.map(|id| format!(" of {id}")).unwrap_or_default());
    }
    Ok(exit)
}
