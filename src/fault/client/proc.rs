//! What the kernel tells of a process.

use std::fs;

/// A process, told from a later one of the same id by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// Clock ticks since the host's boot.
    pub(super) started: u64,
}

impl Identity {
    /// None if there is no such process, or only what is left of it until its parent takes note of its end.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = fields(&stat)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, started })
    }

    /// Whether it still runs, or is stopped.
    pub(super) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// The states of its threads, a letter each; empty if it is gone.
    pub(super) fn threads(self) -> String {
        if !self.lives() {
            return String::new();
        }
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return String::new() };
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        stats.filter_map(|stat| Some(fields(&stat)?.0)).collect()
    }

    /// Whether all its threads are stopped by a signal (state T).
    pub(super) fn is_stopped(self) -> bool {
        let threads = self.threads();
        !threads.is_empty() && threads.chars().all(|state| state == 'T')
    }
}

/// State and start of a line of `/proc/PID/stat`. The name before them may hold anything but a newline.
fn fields(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The 22nd of all, and the state is the third.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    #[test]
    fn a_name_may_look_like_the_fields_after_it() {
        let rest = "1 1 1 0 -1 4194560 200 0 0 0 1 2 0 0 20 0 3 0 987654 100 10 18446744073709551615";
        assert_eq!(fields(&format!("42 (a) Z 7) S {rest}")), Some(('S', 987_654)));
        assert_eq!(fields("42 (cut off) S 1 1"), None);
    }

    #[test]
    fn a_process_lives_is_stopped_and_is_gone() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.lives() && !identity.is_stopped());
        kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !identity.is_stopped() {
            assert!(std::time::Instant::now() < deadline, "{:?}", identity.threads());
            std::thread::yield_now();
        }
        let later = Identity { started: identity.started + 1, ..identity };
        assert!(!later.lives(), "another process of that id");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.lives() && !identity.is_stopped());
    }
}
