//! A command of an experiment, as lossproof runs it: by a guard (`guard`), its output into a log.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// How much of the end of an output is told.
const TAIL_BYTES: u64 = 400;
/// How much later than the command's own limit its guard is given up.
const GRACE: Duration = Duration::from_secs(5);

/// What commands run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Where they run.
    pub directory: String,
    /// What they find in their environment besides lossproof's own.
    pub environment: BTreeMap<String, String>,
    /// File that gets what they print.
    pub log: String,
    /// How long each may take, in milliseconds.
    pub limit_ms: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Killed, as its time was up.
    Overdue,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Overdue => f.write_str("did not end in time and was killed"),
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The end of what it printed.
    pub tail: String,
}

/// The processes of a command: itself, and what it leaves running in its group. They are killed when this is dropped.
#[derive(Debug)]
pub struct Processes {
    input: ChildStdin,
    guard: Child,
    ended: Arc<AtomicBool>,
}

/// A command whose end is to come.
#[derive(Debug)]
pub struct Running {
    output: BufReader<ChildStdout>,
    log: File,
    begin: u64,
    limit: Duration,
    ended: Arc<AtomicBool>,
}

impl Processes {
    /// Whether the command itself has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Kills them, and waits until they are dead.
    ///
    /// # Errors
    /// When the guard does not do its work.
    pub async fn kill(mut self) -> Result<()> {
        drop(self.input);
        let ended = tokio::time::timeout(GRACE, self.guard.wait()).await;
        ended.context("what a command left running was not seen dead")??;
        Ok(())
    }
}

impl Running {
    /// Waits for the command's end.
    ///
    /// # Errors
    /// When it could not be run at all.
    pub async fn outcome(mut self) -> Result<Outcome> {
        let mut line = String::new();
        let told = tokio::time::timeout(self.limit + GRACE, self.output.read_line(&mut line));
        told.await.context("the guard does not tell how its command ended")??;
        let tail = tail(self.log, self.begin)?;
        let end = serde_json::from_str(&line).with_context(|| format!("the command could not be run: {tail}"))?;
        self.ended.store(true, Ordering::Release);
        Ok(Outcome { end, tail })
    }
}

impl Setting {
    /// How long each may take.
    pub(super) const fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }

    /// Runs a command to its end, and kills what it leaves running.
    ///
    /// # Errors
    /// When it can't be run at all.
    pub async fn run(&self, exe: &Path, command: &str) -> Result<Outcome> {
        let (running, processes) = self.start(exe, command)?;
        let outcome = running.outcome().await?;
        processes.kill().await?;
        Ok(outcome)
    }

    /// Starts a command.
    ///
    /// # Errors
    /// When it can't be run at all.
    pub fn start(&self, exe: &Path, command: &str) -> Result<(Running, Processes)> {
        let mut log = self.log()?;
        writeln!(log, "$ {command}").with_context(|| format!("can't write {}", self.log))?;
        let begin = log.metadata()?.len();
        let mut guard = tokio::process::Command::new(exe)
            .args(["guard", "--limit-ms", &self.limit_ms.to_string(), "--", command])
            .current_dir(&self.directory)
            .envs(&self.environment)
            // Ctrl-C is lossproof's to act on, by the way back.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()
            .with_context(|| format!("can't start {} in {}", exe.display(), self.directory))?;
        let input = guard.stdin.take().context("no pipe to the guard")?;
        let output = BufReader::new(guard.stdout.take().context("no pipe from the guard")?);
        let ended = Arc::new(AtomicBool::new(false));
        let running = Running { output, log, begin, limit: self.limit(), ended: Arc::clone(&ended) };
        Ok((running, Processes { input, guard, ended }))
    }

    /// The log, or a passing file where its folder is gone: a way back must not fail for that.
    fn log(&self) -> Result<File> {
        let path = PathBuf::from(&self.log);
        match OpenOptions::new().read(true).append(true).create(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(tempfile::tempfile()?),
            opened => opened.with_context(|| format!("can't write {}", path.display())),
        }
    }
}

/// The end of what stands in a log from `begin` on.
fn tail(mut log: File, begin: u64) -> Result<String> {
    let end = log.metadata()?.len();
    log.seek(SeekFrom::Start(begin.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    log.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
