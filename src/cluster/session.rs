//! One invocation that owns containers: its id, its lock, its subnet.
//!
//! The lock is an flock on a file named by the id, held as long as the process lives. `clean` takes
//! a session whose lock is free for dead, and leaves any other alone. Subnets are locked likewise,
//! so that two sessions that start at the same time do not choose the same one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use rustix::fs::{FlockOperation, flock};
use testcontainers::bollard::query_parameters::ListNetworksOptions;

use super::engine::Engine;
use crate::exit::EnvironmentProblem;

/// First two bytes of every subnet that lossproof takes; the third is chosen for each session.
const SUBNET_PREFIX: &str = "172.30";

/// A live session.
#[derive(Debug)]
pub struct Session {
    /// Its id: label value, compose project suffix.
    pub id: String,
    _lock: File,
}

/// A subnet reserved for a session: the first three bytes, such as `172.30.7`.
#[derive(Debug)]
pub struct Subnet {
    /// The first three bytes.
    pub prefix: String,
    _lock: File,
}

impl Session {
    /// A new id, locked.
    ///
    /// # Errors
    /// When the lock folder can't be written.
    pub fn begin() -> Result<Self> {
        let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let random: u32 = rand::rng().random();
        let id = format!("{now}-{:06x}", random & 0xff_ffff);
        let lock = try_lock(&id)?.context("a session with a random id was there before")?;
        Ok(Self { id, _lock: lock })
    }

    /// Compose project, and prefix of every name.
    #[must_use]
    pub fn project(&self) -> String {
        project_of(&self.id)
    }

    /// Folder for the session's own files, such as the compose file as used.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn folder(&self) -> Result<PathBuf> {
        let folder = locks_folder()?.join(format!("{}.d", self.id));
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        Ok(folder)
    }
}

/// The compose project of a session.
#[must_use]
pub fn project_of(session: &str) -> String {
    format!("lossproof-{session}")
}

/// Removes what a session, dead or ending, left in the lock folder.
pub fn forget(session: &str) {
    if let Ok(folder) = locks_folder() {
        // Best effort: a file that stays is small, holds no lock, and is overwritten by nobody.
        std::fs::remove_dir_all(folder.join(format!("{session}.d"))).ok();
        std::fs::remove_file(folder.join(format!("{session}.lock"))).ok();
    }
}

/// Locks a session id. None when a live process holds it.
///
/// # Errors
/// When the lock file can't be made.
pub fn try_lock(session: &str) -> Result<Option<File>> {
    lock_file(&locks_folder()?, session)
}

fn lock_file(folder: &Path, name: &str) -> Result<Option<File>> {
    let path = folder.join(format!("{name}.lock"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o666)
        .open(&path)
        .with_context(|| format!("can't open the lock file {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            write!(file, "{}", std::process::id()).ok();
            Ok(Some(file))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't lock {}", path.display())),
    }
}

/// The same folder for every user of this host, so that no one's `clean` misses another's lock.
fn locks_folder() -> Result<PathBuf> {
    let folder = PathBuf::from("/tmp/lossproof");
    if !folder.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o777)
            .create(&folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
        // mkdir's mode is masked; every user must be able to lock here.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777)).ok();
    }
    Ok(folder)
}

impl Subnet {
    /// A /24 that no network of the engine and no other session has.
    ///
    /// # Errors
    /// An `EnvironmentProblem` when all are taken.
    pub async fn reserve(engine: &Engine) -> Result<Self> {
        let taken: Vec<String> = engine
            .api()
            .list_networks(None::<ListNetworksOptions>)
            .await?
            .into_iter()
            .filter_map(|network| network.ipam)
            .flat_map(|ipam| ipam.config.unwrap_or_default())
            .filter_map(|config| config.subnet)
            .collect();
        let whole_range = format!("{SUBNET_PREFIX}.0.0/16");
        let folder = locks_folder()?;
        for third in 1..=254 {
            let prefix = format!("{SUBNET_PREFIX}.{third}");
            let in_use = taken.iter().any(|subnet| *subnet == whole_range || subnet.starts_with(&format!("{prefix}.")));
            if in_use {
                continue;
            }
            if let Some(lock) = lock_file(&folder, &format!("subnet-{prefix}"))? {
                return Ok(Self { prefix, _lock: lock });
            }
        }
        Err(EnvironmentProblem::new(
            format!("every subnet of {whole_range} is taken"),
            "remove what dead runs left by `lossproof clean`, and unused networks by `docker network prune`",
        )
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::lock_file;

    #[test]
    fn a_lock_is_free_again_once_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock_file(folder.path(), "a").unwrap();
        assert!(held.is_some());
        assert!(lock_file(folder.path(), "a").unwrap().is_none());
        assert!(lock_file(folder.path(), "b").unwrap().is_some());
        drop(held);
        assert!(lock_file(folder.path(), "a").unwrap().is_some());
    }
}
