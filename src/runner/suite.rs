//! The record of several experiments: which have ended, and where their runs are. One folder beside the run
//! directories, `<time>-suite/`, with a line of JSON for each, on disk when it is written, so that a suite that was
//! stopped in the middle can be resumed whatever stopped it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// File in the folder of a suite.
const RECORD: &str = "suite.ndjson";
const SUFFIX: &str = "-suite";

/// What a suite runs; one is resumed only by the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of lossproof.
    pub lossproof: String,
    /// Image of the brokers.
    pub image: String,
    /// What `random` targets are chosen by, where it was given.
    pub seed: Option<u64>,
    /// Names of the experiments, in their order.
    pub experiments: Vec<String>,
}

/// An experiment that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    experiment: String,
    /// Name of its run's directory; none if it was skipped.
    run: Option<String>,
}

/// A suite that is being run; no other process can resume it meanwhile.
#[derive(Debug)]
pub struct Suite {
    /// Its folder.
    pub folder: PathBuf,
    record: File,
    ended: Vec<Entry>,
}

impl Suite {
    /// Begins a suite in a folder of runs.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn begin(runs: &Path, plan: &Plan) -> Result<Self> {
        fs::create_dir_all(runs).with_context(|| format!("can't make {}", runs.display()))?;
        let base = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let names = (0..100).map(|n| if n == 0 { format!("{base}{SUFFIX}") } else { format!("{base}-{n}{SUFFIX}") });
        let folder = names
            .map(|name| runs.join(name))
            // Two lossproofs may start in the same second.
            .find(|folder| fs::create_dir(folder).is_ok())
            .with_context(|| format!("can't make a folder like {base}{SUFFIX} in {}", runs.display()))?;
        let record = OpenOptions::new().create_new(true).append(true).open(folder.join(RECORD))?;
        record.try_lock().with_context(|| format!("can't lock {}", folder.display()))?;
        let mut suite = Self { folder, record, ended: Vec::new() };
        suite.write(plan)?;
        Ok(suite)
    }

    /// The latest suite of this plan that was not run to its end and is in nobody's hands; none if there is none.
    ///
    /// # Errors
    /// When the folder of runs can't be read.
    pub fn resume(runs: &Path, plan: &Plan) -> Result<Option<Self>> {
        let unreadable = || format!("can't read {}", runs.display());
        let mut folders = Vec::new();
        if runs.is_dir() {
            for entry in runs.read_dir().with_context(unreadable)? {
                let name = entry.with_context(unreadable)?.file_name();
                folders.extend(name.to_str().filter(|name| name.ends_with(SUFFIX)).map(str::to_owned));
            }
        }
        folders.sort_unstable();
        for name in folders.iter().rev() {
            // What can't be read is no suite that could be resumed.
            if let Some(suite) = Self::open(&runs.join(name), plan).ok().flatten() {
                return Ok(Some(suite));
            }
        }
        Ok(None)
    }

    /// None if it is another's, at its end, or live.
    fn open(folder: &Path, plan: &Plan) -> Result<Option<Self>> {
        let mut record = OpenOptions::new().read(true).append(true).open(folder.join(RECORD))?;
        if record.try_lock().is_err() {
            return Ok(None);
        }
        let mut text = String::new();
        record.read_to_string(&mut text)?;
        // A line without its end was being written when everything stopped.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let begun: Option<Plan> = lines.next().map(serde_json::from_str).transpose()?;
        let ended: Vec<Entry> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        let is_over = plan.experiments.iter().all(|name| ended.iter().any(|entry| entry.experiment == *name));
        if begun.as_ref() != Some(plan) || is_over {
            return Ok(None);
        }
        record.set_len(whole as u64)?;
        Ok(Some(Self { folder: folder.to_owned(), record, ended }))
    }

    /// Notes that an experiment has ended with that run directory, or was skipped. On disk when this returns.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn ended(&mut self, experiment: &str, run: Option<&Path>) -> Result<()> {
        let run = run.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let entry = Entry { experiment: experiment.to_owned(), run };
        self.write(&entry)?;
        self.ended.push(entry);
        Ok(())
    }

    /// Where the run of an experiment is that has ended before.
    #[must_use]
    pub fn run_of(&self, experiment: &str) -> Option<PathBuf> {
        let entry = self.ended.iter().rfind(|entry| entry.experiment == experiment)?;
        Some(self.folder.parent()?.join(entry.run.as_ref()?))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let stored = self.record.write_all(&bytes).and_then(|()| self.record.sync_data());
        stored.with_context(|| format!("can't write {}", self.folder.join(RECORD).display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(experiments: &[&str]) -> Plan {
        let experiments = experiments.iter().map(|&name| name.to_owned()).collect();
        Plan { lossproof: "0.1.0".to_owned(), image: "apache/kafka:3.9.2".to_owned(), seed: None, experiments }
    }

    #[test]
    fn what_had_ended_is_known_after_a_kill_in_the_middle_of_a_line() {
        let runs = tempfile::tempdir().unwrap();
        let plan = plan(&["a", "b", "c", "d"]);
        let mut suite = Suite::begin(runs.path(), &plan).unwrap();
        suite.ended("a", Some(&runs.path().join("1-a"))).unwrap();
        suite.ended("b", None).unwrap();
        let record = suite.folder.join(RECORD);
        let folder = suite.folder.clone();
        drop(suite);
        let mut torn = OpenOptions::new().append(true).open(&record).unwrap();
        torn.write_all(b"{\"experiment\":\"c\",\"run\":\"3").unwrap();

        let mut again = Suite::resume(runs.path(), &plan).unwrap().unwrap();
        assert_eq!(again.folder, folder);
        let found = |suite: &Suite| ["a", "b", "c", "d"].map(|name| suite.run_of(name).is_some());
        assert_eq!(found(&again), [true, false, false, false]);
        assert_eq!(again.run_of("a"), Some(runs.path().join("1-a")));

        // An experiment that had to be run again counts by its last run.
        again.ended("c", Some(Path::new("3-c"))).unwrap();
        again.ended("a", Some(Path::new("4-a"))).unwrap();
        drop(again);
        let mut last = Suite::resume(runs.path(), &plan).unwrap().unwrap();
        assert_eq!(last.run_of("a"), Some(runs.path().join("4-a")));
        last.ended("d", Some(Path::new("5-d"))).unwrap();
        drop(last);
        assert!(Suite::resume(runs.path(), &plan).unwrap().is_none(), "it is over");
    }

    #[test]
    fn only_a_suite_of_the_same_that_nobody_has_is_resumed() {
        let runs = tempfile::tempdir().unwrap();
        assert!(Suite::resume(&runs.path().join("none"), &plan(&["a"])).unwrap().is_none());
        let live = Suite::begin(runs.path(), &plan(&["a", "b"])).unwrap();
        let resumed = |plan: &Plan| Suite::resume(runs.path(), plan).unwrap().map(|suite| suite.folder.clone());
        assert_eq!(resumed(&plan(&["a", "b"])), None, "its process lives");
        let folder = live.folder.clone();
        drop(live);
        assert_eq!(resumed(&plan(&["a", "b"])), Some(folder));
        for other in [
            plan(&["a"]),
            plan(&["b", "a"]),
            Plan { image: "apache/kafka:4.3.1".to_owned(), ..plan(&["a", "b"]) },
            Plan { seed: Some(1), ..plan(&["a", "b"]) },
            Plan { lossproof: "0.2.0".to_owned(), ..plan(&["a", "b"]) },
        ] {
            assert_eq!(resumed(&other), None, "{other:?}");
        }
    }
}
