//! What the commands of a run's experiment run with, and what they left running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use lossproof_ledger::event::Proof;

use super::{Processes, Setting, Way, heal, inject};
use crate::cluster::Cluster;
use crate::experiment::ExecFault;
use crate::fault::Target;

/// Folder of what commands print, in the run directory.
const LOGS: &str = "faults";

/// The commands of a run.
#[derive(Debug)]
pub struct Commands {
    exe: PathBuf,
    directory: String,
    run_dir: PathBuf,
    environment: BTreeMap<String, String>,
    /// Of a fault's `start`, by the fault's number.
    started: Mutex<BTreeMap<usize, Processes>>,
}

impl Commands {
    /// For the run of that directory, with names of profiles and of their topics. `exe` is lossproof's own program.
    ///
    /// # Errors
    /// When the current folder can't be told.
    pub fn new(exe: PathBuf, run_dir: &Path, profiles: &[&str], topics: &[String]) -> Result<Self> {
        let directory = std::env::current_dir().context("the current folder")?;
        let environment = BTreeMap::from([
            ("LOSSPROOF_RUN_DIR".to_owned(), run_dir.to_string_lossy().into_owned()),
            ("LOSSPROOF_PROFILES".to_owned(), profiles.join(" ")),
            ("LOSSPROOF_TOPICS".to_owned(), topics.join(" ")),
        ]);
        let directory = directory.to_string_lossy().into_owned();
        Ok(Self { exe, directory, run_dir: run_dir.to_owned(), environment, started: Mutex::default() })
    }

    /// How fault number `index` is taken back.
    pub(in crate::fault) fn way(&self, index: usize, fault: &ExecFault, target: &Target, cluster: &Cluster) -> Way {
        let number = index + 1;
        let mut environment = self.environment.clone();
        let mut set = |name: String, value: String| environment.insert(name, value);
        set("LOSSPROOF_FAULT".to_owned(), number.to_string());
        set("LOSSPROOF_BOOTSTRAP".to_owned(), cluster.client_bootstrap());
        for broker in &cluster.brokers {
            set(format!("LOSSPROOF_CONTAINER_{}", broker.id), broker.container.clone());
            set(format!("LOSSPROOF_ADDRESS_{}", broker.id), broker.ip.clone());
        }
        let hit = || cluster.brokers.iter().filter(|broker| target.brokers.contains(&broker.id));
        let list = |words: Vec<String>| words.join(" ");
        set("LOSSPROOF_BROKERS".to_owned(), list(hit().map(|broker| broker.id.to_string()).collect()));
        set("LOSSPROOF_CONTAINERS".to_owned(), list(hit().map(|broker| broker.container.clone()).collect()));
        let setting = Setting {
            directory: self.directory.clone(),
            environment,
            log: self.run_dir.join(LOGS).join(format!("{number}.log")).to_string_lossy().into_owned(),
            limit_ms: u64::try_from(fault.limit.as_millis()).unwrap_or(u64::MAX),
        };
        Way { undo: fault.undo.clone(), proof: fault.proof.clone(), setting }
    }

    /// Starts fault number `index`.
    pub(in crate::fault) async fn inject(&self, index: usize, start: &str, way: &Way) -> Result<Proof> {
        let logs = self.run_dir.join(LOGS);
        std::fs::create_dir_all(&logs).with_context(|| format!("can't make {}", logs.display()))?;
        inject(&self.exe, start, way, |processes| _ = self.started().insert(index, processes)).await
    }

    /// Takes fault number `index` back.
    pub(in crate::fault) async fn heal(&self, index: usize, way: &Way) -> Result<Proof> {
        let started = self.started().remove(&index);
        heal(&self.exe, way, started).await
    }

    fn started(&self) -> MutexGuard<'_, BTreeMap<usize, Processes>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
