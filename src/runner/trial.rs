//! What only a container can tell of a machine: it is started, asked, and removed again.

use anyhow::{Context, Result};
use testcontainers::bollard::models::HostConfig;

use super::capability::Answer;
use super::stop::Stop;
use crate::cluster::cgroup;
use crate::cluster::disks::{self, Backing, run_helper};
use crate::cluster::engine::Engine;
use crate::cluster::session::{Session, forget, project_of};
use crate::cluster::sweep::{Remains, sweep};
use crate::exit::Interrupted;
use crate::fault::net::{Capabilities, probe};

/// Of the file system that is made on trial.
const DISK_BYTES: u64 = 16 << 20;

/// A container on trial.
pub struct Trial<'a> {
    engine: &'a Engine,
    session: &'a str,
    /// Its name.
    pub container: String,
}

/// Does some work with a container on trial, and removes it. Gives what could not be removed, too.
///
/// # Errors
/// Those of the work; when no container can be had; or that somebody asked for the end meanwhile.
pub async fn on_trial<T>(
    engine: &Engine,
    stop: &Stop,
    work: impl AsyncFnOnce(&Trial<'_>) -> Result<T>,
) -> Result<(T, Remains)> {
    let session = Session::begin()?;
    let done = tokio::select! {
        biased;
        signal = stop.asked() => Err(Interrupted(signal.to_owned()).into()),
        done = async { work(&Trial::start(engine, &session.id).await?).await } => done,
    };
    let left = sweep(engine, &session.id).await?;
    if left.is_empty() {
        forget(&session.id);
    }
    Ok((done?, left))
}

impl<'a> Trial<'a> {
    async fn start(engine: &'a Engine, session: &'a str) -> Result<Self> {
        let container = format!("{}-trial", project_of(session));
        let host = HostConfig {
            init: Some(true),
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            ..HostConfig::default()
        };
        run_helper(engine, session, &container, host).await?;
        Ok(Self { engine, session, container })
    }

    /// How disks are made here.
    ///
    /// # Errors
    /// When they can't be made at all.
    pub async fn disks(&self) -> Result<Backing> {
        disks::create(self.engine, self.session, &[1], DISK_BYTES).await
    }

    /// Whether a container that runs can be limited in its use of a loop device. This one uses none: nothing is slowed.
    pub async fn disk_limits(&self) -> Answer {
        match cgroup::limit(self.engine, self.session, &self.container, 0, None).await {
            Ok(_) => Answer::There,
            Err(error) => Answer::Missing(format!("{error:#}")),
        }
    }

    /// What the kernel does to packets.
    ///
    /// # Errors
    /// When it can't be tried.
    pub async fn packets(&self) -> Result<Capabilities> {
        let run = async |line: String| self.engine.exec(&self.container, None, &["bash", "-c", &line]).await?.success();
        probe(run).await.context("what the kernel does to packets")
    }
}
