//! The lines that a client process writes to stdout.

use std::collections::BTreeSet;

use lossproof_ledger::event::Progress;
use serde::{Deserialize, Serialize};

/// One line, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Every 500 ms, when `ready` or the fences change, and at the end.
    Status(ClientStatus),
    /// Something a person should read, one sentence.
    Notice(String),
}

/// How a client is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Its counts.
    pub progress: Progress,
    /// A producer had a delivery report without error in each of its partitions; a consumer was given
    /// an assignment.
    pub ready: bool,
    /// Partitions whose fence record this consumer read, having nothing in hand.
    pub fences_seen: BTreeSet<i32>,
}

impl ClientStatus {
    /// Messages taken by the producer and not reported yet, or polled by the consumer and not
    /// processed yet.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        match self.progress {
            Progress::Producer { in_flight, .. } => in_flight,
            Progress::Consumer { polled, processed } => polled.saturating_sub(processed),
        }
    }
}
