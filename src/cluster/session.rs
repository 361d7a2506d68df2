//! One invocation that owns containers: its id, its lock, its subnet.
//!
//! The lock is an flock on a file named by the id, held as long as the process lives. `clean` takes
//! a session whose lock is free for dead, and leaves any other alone. Subnets are locked likewise,
//! so that two sessions that start at the same time do not choose the same one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use rand::Rng;
use rustix::fs::{FlockOperation, flock};
use testcontainers::bollard::query_parameters::ListNetworksOptions;

use super::engine::Engine;
use crate::exit::EnvironmentProblem;

/// Every subnet that lossproof takes is a /24 of this one.
const RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 16);

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
        loop {
            let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
            let random: u32 = rand::rng().random();
            let id = format!("{now}-{:06x}", random & 0xff_ffff);
            // Taken only if a `clean` looks at it in this very moment.
            if let Some(lock) = try_lock(&id)? {
                return Ok(Self { id, _lock: lock });
            }
        }
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

/// Where a session keeps how its faults are taken back, a file for each that is applied. It may not exist.
///
/// # Errors
/// When the lock folder can't be made.
pub fn undo_folder(session: &str) -> Result<PathBuf> {
    Ok(locks_folder()?.join(format!("{session}.d")).join("undo"))
}

/// Removes what a session, dead or ending, left in the lock folder. While a fault of it still has to be taken back,
/// everything stays there, for `clean` to find.
pub fn forget(session: &str) {
    if let Ok(folder) = locks_folder() {
        forget_in(&folder, session);
    }
}

fn forget_in(folder: &Path, session: &str) {
    let own = folder.join(format!("{session}.d"));
    // Refused for one that is not empty; what can't be looked into is not taken for empty either.
    match std::fs::remove_dir(own.join("undo")) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return,
    }
    // Best effort: a file that stays is small, holds no lock, and is overwritten by nobody.
    std::fs::remove_dir_all(own).ok();
    std::fs::remove_file(folder.join(format!("{session}.lock"))).ok();
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
    loop {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o666)
            .open(&path)
            .with_context(|| format!("can't open the lock file {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't lock {}", path.display())),
        }
        // `clean` may have removed the file between its opening and its lock; that lock nobody would see.
        let there = std::fs::metadata(&path).is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        });
        if there {
            // For people; the lock is what counts.
            write!(file, "{}", std::process::id()).ok();
            return Ok(Some(file));
        }
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
        let networks = engine.api().list_networks(None::<ListNetworksOptions>).await?;
        let taken: Vec<(String, Ipv4Net)> = networks
            .into_iter()
            .flat_map(|network| {
                let name = network.name.unwrap_or_default();
                let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
                configs.into_iter().filter_map(move |config| Some((name.clone(), config.subnet?.parse().ok()?)))
            })
            .collect();
        let folder = locks_folder()?;
        for subnet in free_subnets(&taken) {
            let [a, b, c, _] = subnet.network().octets();
            let prefix = format!("{a}.{b}.{c}");
            if let Some(lock) = lock_file(&folder, &format!("subnet-{prefix}"))? {
                return Ok(Self { prefix, _lock: lock });
            }
        }
        let by: Vec<&str> =
            taken.iter().filter(|(_, net)| overlap(net, &RANGE)).map(|(name, _)| name.as_str()).collect();
        Err(EnvironmentProblem::new(
            format!("no subnet of {RANGE} is free; networks there: {}", by.join(", ")),
            "remove what dead runs left by `lossproof clean`, and other networks by `docker network rm`",
        )
        .into())
    }
}

/// The subnets of the range that overlap with no network, the first one (Docker's favourite) left out.
fn free_subnets(taken: &[(String, Ipv4Net)]) -> impl Iterator<Item = Ipv4Net> {
    let subnets = RANGE.subnets(24).into_iter().flatten().skip(1);
    subnets.filter(|subnet| !taken.iter().any(|(_, net)| overlap(net, subnet)))
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Ids of the sessions that have a lock file, live or dead.
///
/// # Errors
/// When the folder can't be read.
pub fn locked() -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(locks_folder()?)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".lock"));
        ids.extend(id.filter(|id| !id.starts_with("subnet-")).map(str::to_owned));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{forget_in, free_subnets, lock_file};

    #[test]
    fn a_subnet_is_free_only_if_no_network_so_much_as_overlaps() {
        let first = |net: &str| free_subnets(&[("foreign".to_owned(), net.parse().unwrap())]).next();
        assert_eq!(first("10.0.0.0/8"), Some("172.30.1.0/24".parse().unwrap()));
        assert_eq!(first("172.30.1.128/25"), Some("172.30.2.0/24".parse().unwrap()));
        assert_eq!(first("172.30.0.0/20"), Some("172.30.16.0/24".parse().unwrap()));
        assert_eq!(first("172.30.0.0/16"), None);
        assert_eq!(first("172.16.0.0/12"), None);
    }

    #[test]
    fn a_session_is_not_forgotten_while_a_fault_must_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let undo = folder.path().join("a.d/undo");
        std::fs::create_dir_all(&undo).unwrap();
        std::fs::write(undo.join("0.json"), "").unwrap();
        std::fs::write(folder.path().join("a.lock"), "").unwrap();
        forget_in(folder.path(), "a");
        assert!(undo.join("0.json").exists() && folder.path().join("a.lock").exists());
        std::fs::remove_file(undo.join("0.json")).unwrap();
        forget_in(folder.path(), "a");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_lock_is_free_again_once_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock_file(folder.path(), "a").unwrap();
        assert!(held.is_some());
        assert!(lock_file(folder.path(), "a").unwrap().is_none());
        assert!(lock_file(folder.path(), "b").unwrap().is_some());
        drop(held);
        // A process that another test starts has a copy of every open file, until it is another program.
        let deadline = Instant::now() + Duration::from_secs(5);
        while lock_file(folder.path(), "a").unwrap().is_none() {
            assert!(Instant::now() < deadline, "the lock is still held");
            std::thread::yield_now();
        }
    }
}
