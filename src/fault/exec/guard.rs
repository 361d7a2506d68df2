//! The process that stands between lossproof and a command of an experiment, so that nothing of the command outlives
//! lossproof, not even by `kill -9`.
//!
//! It starts the command in a process group of its own, tells how it ended, and kills the group when its own standard
//! input ends or the command's time is up. What the command left running in its group lives until then.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, test_kill_process_group, waitid,
};

use super::command::End;

/// How long killed processes may take to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(2);

/// Runs `sh -c COMMAND`, its output to this process's standard error, and writes one line to standard output when it
/// has ended, or was killed because its time was up. Returns when standard input has ended.
///
/// # Errors
/// When no process can be started.
pub async fn run(command: &str, limit: Duration) -> io::Result<()> {
    let log = io::stderr().as_fd().try_clone_to_owned()?;
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .spawn()?;
    let group = Pid::from_child(&shell);
    let ended = told(group, limit).await;
    kill_process_group(group, Signal::KILL).ok();
    shell.wait()?;
    // The others are init's to bury; they are gone when the group is.
    let deadline = Instant::now() + DEATH_LIMIT;
    while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ended
}

/// Tells how the leader of a group ended, and returns when standard input has ended.
async fn told(group: Pid, limit: Duration) -> io::Result<()> {
    let mut abandoned = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    // Not reaped before its group is dead: until then nobody else can get its number.
    let ended =
        tokio::task::spawn_blocking(move || waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
    let end = tokio::select! {
        _ = &mut abandoned => return Ok(()),
        status = ended => end(status??.as_ref()),
        () = tokio::time::sleep(limit) => {
            kill_process_group(group, Signal::KILL).ok();
            End::Overdue
        }
    };
    let mut line = serde_json::to_vec(&end)?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    abandoned.await?.map(drop)
}

fn end(status: Option<&WaitIdStatus>) -> End {
    let code = status.and_then(WaitIdStatus::exit_status);
    let signal = status.and_then(WaitIdStatus::terminating_signal);
    code.map_or_else(|| End::Signal(signal.unwrap_or_default()), End::Code)
}
