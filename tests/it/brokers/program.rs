//! The built program under a test's hands.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lossproof_ledger::event::{Event, EventKind, Phase};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::engine::{Engine, SESSIONS, entries};
use super::processes;

/// Longer than anything takes that is waited for, so that only what never comes runs into it.
pub const LONG: Duration = Duration::from_secs(120);
/// Short phases must be seen.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A command of lossproof that was run to its end.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs lossproof to its end.
pub fn lossproof(args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_lossproof")).args(args).output().unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `lossproof run` that goes on beside the test. If the test fails, it is killed, what it left is
/// removed, and what it wrote is shown.
pub struct Program {
    child: Child,
    args: Vec<String>,
    folder: tempfile::TempDir,
    sessions: BTreeSet<String>,
    dead: bool,
}

impl Program {
    /// Starts `lossproof run` on the texts of experiments, each beginning with its name.
    pub fn run(engine: &Engine, experiments: &[String], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        for text in experiments {
            let name = text.lines().next().and_then(|line| line.strip_prefix("name: ")).unwrap();
            let file = folder.path().join(format!("{name}.yaml"));
            fs::write(&file, text).unwrap();
            args.push(file.to_str().unwrap().to_owned());
        }
        Self::start(engine, folder, &args)
    }

    /// Starts `lossproof run` on experiments of this repository.
    pub fn run_of_repository(engine: &Engine, experiments: &[&str]) -> Self {
        let args: Vec<String> = experiments.iter().map(|&experiment| experiment.to_owned()).collect();
        Self::start(engine, tempfile::tempdir().unwrap(), &args)
    }

    /// Starts it once more as it was started, after its end, with more flags.
    pub fn again(mut self, engine: &Engine, flags: &[&str]) -> Self {
        assert!(self.has_ended().is_some(), "it runs still");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let args: Vec<String> = self.args.iter().cloned().chain(flags.iter().map(|&flag| flag.to_owned())).collect();
        Self::start(engine, folder, &args)
    }

    fn start(_engine: &Engine, folder: tempfile::TempDir, args: &[String]) -> Self {
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lossproof"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["run", "--runs"])
            .arg(folder.path().join("runs"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Self { child, args: args.to_vec(), folder, sessions: BTreeSet::new(), dead: false }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.folder.path().join("stdout")).unwrap()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Looks until there is something, at most `LONG`, and not beyond the program's end.
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + LONG;
        loop {
            let ended = self.has_ended();
            if let Some(found) = look(self) {
                return found;
            }
            assert!(ended.is_none(), "it ended ({ended:?}) before this was seen: {what}");
            assert!(Instant::now() < deadline, "not seen within {LONG:?}: {what}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether it has ended, as of the last look.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Waits until an experiment is in a phase, or beyond.
    pub fn reach(&mut self, experiment: &str, phase: Phase) {
        self.until(&format!("{experiment} in phase {phase}"), |program| {
            (program.phase(experiment)? >= phase).then_some(())
        });
    }

    /// Waits for an event of an experiment.
    pub fn see(&mut self, experiment: &str, what: &str, is_it: impl Fn(&EventKind) -> bool) {
        self.until(what, |program| program.events(experiment).iter().any(&is_it).then_some(()));
    }

    /// Waits for its end, at most `limit`.
    pub fn end_within(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end within {limit:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.end_within(LONG).code()
    }

    /// Its end, if that has come. Every look takes note of its sessions.
    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.note_sessions();
        let ended = self.child.try_wait().unwrap();
        self.dead = ended.is_some();
        ended
    }

    /// Each session's lock carries the process id of its owner.
    fn note_sessions(&mut self) {
        for name in entries(SESSIONS) {
            let Some(session) = name.strip_suffix(".lock").filter(|name| !name.starts_with("subnet-")) else {
                continue;
            };
            let owner = fs::read_to_string(Path::new(SESSIONS).join(&name)).unwrap_or_default();
            if owner == self.pid().to_string() {
                self.sessions.insert(session.to_owned());
            }
        }
    }

    /// Not to one that has ended: its process id may be another's by now.
    pub fn signal(&self, signal: Signal) {
        if !self.dead {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// SIGKILL. False if it had ended before.
    pub fn kill9(&mut self) -> bool {
        self.note_sessions();
        self.child.kill().unwrap();
        let killed = self.child.wait().unwrap().signal() == Some(9);
        // What it made in its last moment.
        self.note_sessions();
        killed
    }

    /// Ids of its sessions, as far as they were seen.
    pub fn sessions(&self) -> &BTreeSet<String> {
        &self.sessions
    }

    /// Its only session.
    pub fn session(&self) -> String {
        assert_eq!(self.sessions.len(), 1, "{:?}", self.sessions);
        self.sessions.first().unwrap().clone()
    }

    /// Folder of an experiment's run, once it was made.
    pub fn find_run_dir(&self, experiment: &str) -> Option<PathBuf> {
        let runs = self.folder.path().join("runs");
        let name = entries(&runs).into_iter().find(|name| name.ends_with(&format!("-{experiment}")))?;
        Some(runs.join(name))
    }

    /// Folder of an experiment's run.
    pub fn run_dir(&self, experiment: &str) -> PathBuf {
        self.find_run_dir(experiment).unwrap_or_else(|| panic!("{experiment} left no folder"))
    }

    /// What happened in an experiment so far.
    pub fn events(&self, experiment: &str) -> Vec<EventKind> {
        let Some(folder) = self.find_run_dir(experiment) else { return Vec::new() };
        let text = fs::read_to_string(folder.join("events.ndjson")).unwrap_or_default();
        // What follows the last end of line is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().kind).collect()
    }

    /// The phase that an experiment is in.
    pub fn phase(&self, experiment: &str) -> Option<Phase> {
        self.events(experiment).into_iter().rev().find_map(|event| match event {
            EventKind::PhaseStarted { phase, .. } => Some(phase),
            _ => None,
        })
    }

    /// Its report on an experiment.
    pub fn report(&self, experiment: &str) -> Value {
        let path = self.run_dir(experiment).join("report.json");
        serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
    }

    /// Its client processes that are alive; their specifications lie in the run's folder.
    pub fn clients(&self) -> Vec<(u32, String)> {
        let runs = self.folder.path().canonicalize().unwrap().join("runs");
        processes::with(&format!(" client {}/", runs.display()))
    }

    /// It had a cluster, and nothing of that is left.
    pub fn assert_nothing_left(&self, engine: &Engine) {
        assert!(!self.sessions.is_empty(), "no session was seen");
        for session in &self.sessions {
            assert_eq!(engine.left_of(session), [""; 0], "of {session}");
        }
        assert_eq!(self.clients(), [], "clients");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.folder.disable_cleanup(true);
        eprintln!("--- its files are in {}", self.folder.path().display());
        eprintln!("--- stdout of lossproof\n{}--- stderr\n{}---", self.stdout(), self.stderr());
        self.child.kill().ok();
        self.child.wait().ok();
        for session in &self.sessions {
            let done = lossproof(&["clean", "--run", session]);
            eprintln!("after the failure: {}{}", done.stdout, done.stderr);
        }
    }
}
