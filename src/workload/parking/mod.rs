//! Where messages lie that are not in their topic: written by clients, read by who accounts for them.

pub mod database;
pub mod dead_letter;
pub mod spool;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a producer that puts messages aside is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parking {
    /// Folder of its files, an absolute path: [`FOLDER`] in the run directory.
    pub dir: PathBuf,
    /// Its dead-letter topic, which has as many partitions as its topic.
    pub dead_letters: String,
}

/// Name of the folder in a run directory.
pub const FOLDER: &str = "parking";

/// The spool of a producer's partition, the same in all its incarnations.
#[must_use]
pub fn spool_path(dir: &Path, profile: &str, member: u16, partition: i32) -> PathBuf {
    dir.join(format!("{profile}-producer-{member}-p{partition}.spool"))
}

/// The database of a producer's partition, the same in all its incarnations.
#[must_use]
pub fn database_path(dir: &Path, profile: &str, member: u16, partition: i32) -> PathBuf {
    dir.join(format!("{profile}-producer-{member}-p{partition}.sqlite"))
}
