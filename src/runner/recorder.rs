//! Where events go: into the run directory, then to whoever watches.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use lossproof_ledger::event::{Event, EventKind};
use tokio::sync::mpsc;

/// Name of the file of events in a run directory, one JSON object a line.
pub const EVENTS_FILE: &str = "events.ndjson";

/// Writes events as they come.
#[derive(Debug)]
pub struct Recorder {
    file: Mutex<File>,
    watchers: mpsc::UnboundedSender<Event>,
}

impl Recorder {
    /// Starts the file of a run; every event goes to `watchers` too.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(run_dir: &Path, watchers: mpsc::UnboundedSender<Event>) -> Result<Self> {
        let path = run_dir.join(EVENTS_FILE);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { file: Mutex::new(file), watchers })
    }

    /// Records what happens now.
    ///
    /// # Errors
    /// When it can't be stored: a run that can't be judged later must not go on.
    pub fn emit(&self, kind: EventKind) -> Result<()> {
        self.record(Event::now(kind))
    }

    /// Records an event that carries its own time. The way back of a fault is on disk when this returns.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn record(&self, event: Event) -> Result<()> {
        if !matches!(event.kind, EventKind::ClientProgress { .. }) {
            let mut line = serde_json::to_vec(&event)?;
            line.push(b'\n');
            // A poisoned lock means that another writer panicked between two whole lines.
            let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            file.write_all(&line).context("can't store an event of the run")?;
            if matches!(event.kind, EventKind::UndoRecorded { .. } | EventKind::RunEnded) {
                file.sync_data().context("can't store an event of the run")?;
            }
        }
        // Nobody watching is no reason to stop.
        self.watchers.send(event).ok();
        Ok(())
    }
}
