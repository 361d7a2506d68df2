//! The undo journal: how each applied fault is taken back, on disk from before it is applied until it is healed.
//!
//! Each lies in a file of its own in the folder of the session (`cluster::session`), so that it is found however
//! lossproof ended; the run directory has the same in its events. A file is made under another name, flushed, and
//! then renamed: what has the final name is whole, and what has not was never applied.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Undo;
use crate::cluster::session::undo_folder;

/// Far beyond what lossproof writes.
const BYTES_MAX: u64 = 1 << 20;
const SUFFIX: &str = ".json";

/// What is kept of a fault that is applied, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The directory of its run.
    pub run_dir: String,
    /// Index in the experiment's list of faults.
    pub fault: usize,
    /// Its kind, such as `kill`.
    pub kind: String,
    /// How it is taken back.
    pub undo: Undo,
}

/// An entry that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its file.
    pub path: PathBuf,
}

/// What a file of the journal holds.
#[derive(Debug)]
pub enum Found {
    /// A fault that was not healed.
    Open {
        /// What is known of it.
        entry: Entry,
        /// Whether nobody but this user can have written it, so that its commands may be run.
        own: bool,
    },
    /// It was being written when lossproof died: its fault was never applied.
    NeverApplied,
    /// Nothing that lossproof would write.
    Unreadable(anyhow::Error),
}

/// Stores how a fault is taken back. It is on disk when this returns.
///
/// # Errors
/// When it can't be stored; then the fault must not be applied.
pub fn write(session: &str, entry: &Entry) -> Result<Written> {
    let folder = undo_folder(session)?;
    write_in(&folder, entry).with_context(|| format!("can't store in {} how a fault is undone", folder.display()))
}

fn write_in(folder: &Path, entry: &Entry) -> Result<Written> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::Builder::new().prefix("").suffix(".part").tempfile_in(folder)?;
    serde_json::to_writer(&mut file, entry)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    let path = (0..)
        .map(|number| folder.join(format!("{number}{SUFFIX}")))
        .find(|path| !path.exists())
        .context("no name is free")?;
    file.persist_noclobber(&path)?;
    // The names on the way to it, up to the folder of all sessions.
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(Written { path })
}

impl Written {
    /// Removes what is no longer needed: the fault is healed, or its cluster is gone.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// All that is kept of a session's faults, in the order in which they were applied.
///
/// # Errors
/// When the folder can't be read.
pub fn read(session: &str) -> Result<Vec<(Written, Found)>> {
    let folder = undo_folder(session)?;
    read_in(&folder).with_context(|| format!("can't read {}", folder.display()))
}

fn read_in(folder: &Path) -> Result<Vec<(Written, Found)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let number = |path: &Path| path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
    paths.sort_by_key(|path| (number(path).unwrap_or(u64::MAX), path.clone()));
    let found = |path: PathBuf| {
        let found = match parse(folder, &path) {
            Ok((entry, own)) => Found::Open { entry, own },
            // Whole or torn: it did not get its final name.
            Err(_) if path.extension().is_some_and(|extension| extension == "part") => Found::NeverApplied,
            Err(error) => Found::Unreadable(error),
        };
        (Written { path }, found)
    };
    Ok(paths.into_iter().map(found).collect())
}

fn parse(folder: &Path, path: &Path) -> Result<(Entry, bool)> {
    ensure!(path.extension().is_some_and(|extension| extension == "json"), "its name is none of the journal's");
    // A pipe without a writer, or a link into the dark, must not hold anybody up.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let about = file.metadata()?;
    ensure!(about.is_file(), "it is no file");
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        bail!("it is longer than {BYTES_MAX} bytes");
    }
    let own = belongs(&about) && belongs(&folder.metadata()?);
    Ok((serde_json::from_slice(&bytes)?, own))
}

/// Whether it is this user's, and nobody else may write to it. The folder of all sessions is everybody's, and what
/// lies in the journal may be run as a command.
fn belongs(about: &Metadata) -> bool {
    about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{BYTES_MAX, Entry, Found, Undo, read_in, write_in};

    fn entry(fault: usize) -> Entry {
        let undo = Undo::Reconnect { fault, brokers: vec![1, 2, 3] };
        Entry { run_dir: "/runs/one".to_owned(), fault, kind: "partition".to_owned(), undo }
    }

    /// What is found, in a few words.
    fn told(folder: &Path) -> Vec<String> {
        let found = read_in(folder).unwrap().into_iter().map(|(written, found)| {
            let name = written.path.file_name().unwrap().to_string_lossy().into_owned();
            match found {
                Found::Open { entry, own } => format!("{name}: fault {} own {own}", entry.fault),
                Found::NeverApplied => format!("{name}: never applied"),
                Found::Unreadable(error) => format!("{name}: {error:#}"),
            }
        });
        found.collect()
    }

    #[test]
    fn what_was_written_is_found_until_it_is_removed() {
        let session = tempfile::tempdir().unwrap();
        let folder = session.path().join("s.d/undo");
        assert_eq!(told(&folder), [""; 0], "no folder, no faults");
        let one = write_in(&folder, &entry(4)).unwrap();
        let two = write_in(&folder, &entry(2)).unwrap();
        assert_eq!(told(&folder), ["0.json: fault 4 own true", "1.json: fault 2 own true"]);
        let Found::Open { entry: read, .. } = &read_in(&folder).unwrap()[1].1 else { panic!("not open") };
        assert_eq!(*read, entry(2));
        one.remove().unwrap();
        one.remove().unwrap();
        assert_eq!(told(&folder), ["1.json: fault 2 own true"]);
        two.remove().unwrap();
        assert_eq!(told(&folder), [""; 0]);
        fs::remove_dir(&folder).expect("it is empty");
    }

    #[test]
    fn hostile_files_are_told_and_stop_nothing() {
        let session = tempfile::tempdir().unwrap();
        let folder = session.path().join("s.d/undo");
        let whole = write_in(&folder, &entry(0)).unwrap();
        let text = fs::read_to_string(&whole.path).unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        put("1.json", b"");
        put("2.json", &text.as_bytes()[..text.len() / 2]);
        put("3.json", text.replace("reconnect", "reconnect_all").as_bytes());
        put("4.json", &[0xff, 0xfe, 0]);
        put("5.json", format!("{text}{text}").as_bytes());
        put("6.json", "[".repeat(100_000).as_bytes());
        put("7.json", &vec![b' '; usize::try_from(BYTES_MAX).unwrap() + 1]);
        put("8.json", text.replace("\"fault\":0,", "\"fault\":-1,").as_bytes());
        fs::create_dir(folder.join("9.json")).unwrap();
        symlink(&whole.path, folder.join("10.json")).unwrap();
        let pipe = folder.join("11.json");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        put("12.json", text.replace("\"kind\"", "\"sort\"").as_bytes());
        put("Xy12.part", text.as_bytes());
        put("Xy13.part", b"{");
        put("notes", b"mine");
        let told = told(&folder);
        let begins = [
            "0.json: fault 0 own true",
            "1.json: EOF while parsing",
            "2.json: EOF while parsing",
            "3.json: unknown variant `reconnect_all`",
            "4.json: expected value",
            "5.json: trailing characters",
            "6.json: invalid type: sequence",
            "7.json: it is longer than 1048576 bytes",
            "8.json: invalid value",
            "9.json: it is no file",
            "10.json: Too many levels of symbolic links",
            "11.json: it is no file",
            "12.json: unknown field `sort`",
            "Xy12.part: never applied",
            "Xy13.part: never applied",
            "notes: its name is none of the journal's",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (told, begin) in told.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told:?} instead of {begin:?}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_taken_for_one_s_own() {
        let session = tempfile::tempdir().unwrap();
        let folder = session.path().join("s.d/undo");
        let written = write_in(&folder, &entry(0)).unwrap();
        let change = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        change(&written.path, 0o620);
        assert_eq!(told(&folder), ["0.json: fault 0 own false"]);
        change(&written.path, 0o600);
        change(&folder, 0o777);
        assert_eq!(told(&folder), ["0.json: fault 0 own false"]);
        change(&folder, 0o700);
        assert_eq!(told(&folder), ["0.json: fault 0 own true"]);
        // The same by chown, where the one who tests may do that.
        if std::os::unix::fs::chown(&written.path, Some(12_345), None).is_ok() {
            assert_eq!(told(&folder), ["0.json: fault 0 own false"]);
        }
    }
}
