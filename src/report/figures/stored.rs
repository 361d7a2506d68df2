//! The runs that lie in a folder, as they were judged when they were stored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::report::judge::{EVENTS, EXPERIMENT};
use crate::report::model::{REPORT, Report};

/// What was found in a folder.
#[derive(Debug, Default)]
pub struct Stored {
    /// Runs with a report.
    pub(super) runs: Vec<Run>,
    /// Directories of runs without one.
    pub(super) unjudged: Vec<PathBuf>,
    /// What can't be read.
    pub unreadable: Vec<Unreadable>,
}

/// A run with its report.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) report: Report,
    /// The experiment as it was run, resolved.
    pub(super) experiment: String,
}

/// A run of which something can't be read, or a folder.
#[derive(Debug)]
pub struct Unreadable {
    /// Its directory.
    pub run_dir: PathBuf,
    /// What can't be read, and why.
    pub why: String,
}

impl Stored {
    /// The runs in a folder and in all folders inside it; or the folder's own run, if it is a run's.
    ///
    /// # Errors
    /// If the folder itself can't be read. What can't be read inside it is among what was found.
    pub fn find(folder: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let mut open = if is_run(folder) {
            found.take(folder.to_owned());
            Vec::new()
        } else {
            inside(folder)?
        };
        while let Some(folder) = open.pop() {
            if is_run(&folder) {
                found.take(folder);
                continue;
            }
            match inside(&folder) {
                Ok(folders) => open.extend(folders),
                Err(error) => {
                    let why = format!("the folder can't be read: {error}");
                    found.unreadable.push(Unreadable { run_dir: folder, why });
                }
            }
        }
        Ok(found)
    }

    fn take(&mut self, run_dir: PathBuf) {
        if !run_dir.join(REPORT).exists() {
            return self.unjudged.push(run_dir);
        }
        match read(&run_dir) {
            Ok(run) => self.runs.push(run),
            Err(why) => self.unreadable.push(Unreadable { run_dir, why }),
        }
    }
}

/// A directory of a run has one or the other, whatever became of it.
fn is_run(folder: &Path) -> bool {
    folder.join(EVENTS).exists() || folder.join(REPORT).exists()
}

/// The folders in a folder, the last by name first. Links are not followed: they may lead in a circle.
fn inside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort_unstable_by(|one, other| other.cmp(one));
    Ok(folders)
}

fn read(run_dir: &Path) -> Result<Run, String> {
    let bytes = fs::read(run_dir.join(REPORT)).map_err(|error| format!("{REPORT} can't be read: {error}"))?;
    let report = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{REPORT} is damaged, or of another version of lossproof: {error}"))?;
    let experiment = fs::read_to_string(run_dir.join(EXPERIMENT));
    let experiment = experiment.map_err(|error| format!("{EXPERIMENT} can't be read: {error}"))?;
    Ok(Run { report, experiment })
}

/// The last component of a run directory.
pub(super) fn name(run_dir: &Path) -> String {
    run_dir.file_name().unwrap_or(run_dir.as_os_str()).to_string_lossy().into_owned()
}
