//! The parent's commands, as the child's threads see them.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::ChildError;

/// Whether the client is to end, and by when.
#[derive(Default)]
pub struct Control {
    /// CLOCK_BOOTTIME until which it may take; 0 while nothing was asked.
    until_ns: AtomicU64,
}

impl Control {
    /// Nothing more is to be offered or polled.
    pub(in crate::workload) fn is_ending(&self) -> bool {
        self.until_ns.load(Ordering::Acquire) != 0
    }

    /// What is not finished now is given up.
    pub(in crate::workload) fn time_is_over(&self) -> bool {
        let until_ns = self.until_ns.load(Ordering::Acquire);
        until_ns != 0 && boottime_ns() >= until_ns
    }

    /// Asks for the end, unless that was done before.
    pub(in crate::workload) fn end_within(&self, limit: Duration) {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = boottime_ns().saturating_add(limit_ns);
        // Fails if an end was set before, which then holds.
        let _ = self.until_ns.compare_exchange(0, until_ns, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Obeys the parent from a thread of its own, for the life of the process: commands, and the end of
/// stdin, which means that the parent is dead. SIGINT and SIGTERM have no effect: the parent decides.
pub(super) fn obey(control: Arc<Control>) -> Result<(), ChildError> {
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            // Tokio's handlers replace the default action; nobody listens to them. The runtime is only
            // what they are registered with.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let handlers = runtime.and_then(|runtime| {
                let _context = runtime.enter();
                let kept = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
                drop(kept);
                Ok(runtime)
            });
            // Dropped at the process's end only.
            let _runtime = match handlers {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            for line in std::io::stdin().lock().lines() {
                match line {
                    Ok(line) => command(&control, &line),
                    Err(_) => break,
                }
            }
            tracing::error!("the parent is gone; ending at once");
            // As if killed with the parent: nothing is finished, committed or sealed.
            let _ = kill_process(getpid(), Signal::KILL);
        })
        .map_err(ChildError::Thread)?;
    is_ready.recv().map_err(|_| ChildError::Panicked)?.map_err(ChildError::Thread)
}

fn command(control: &Control, line: &str) {
    match line.split_once(' ') {
        Some(("end", limit_ms)) if limit_ms.parse::<u64>().is_ok() => {
            let limit_ms = limit_ms.parse().unwrap_or_default();
            control.end_within(Duration::from_millis(limit_ms));
        }
        _ => tracing::error!("unknown command {line:?}"),
    }
}
