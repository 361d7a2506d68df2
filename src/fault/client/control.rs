//! What faults need of the clients of a run.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;
use lossproof_ledger::event::{ClientId, Role};
use serde::{Deserialize, Serialize};

/// A client of a run, in whichever incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientName {
    /// Its profile.
    pub profile: String,
    /// Its part.
    pub role: Role,
    /// Which of its profile's processes of that role, from 0.
    pub member: u16,
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, role, member } = self.clone();
        ClientId { profile, role, member, incarnation: 0 }.fmt(f)
    }
}

/// A client process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Which client, and which of its incarnations.
    pub id: ClientId,
    /// Process id.
    pub pid: u32,
    /// Lines of status that it has said: two a second while it runs.
    pub lines: u64,
}

/// How a client process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// As it was asked to.
    pub expected: bool,
    /// Such as `exit 0` or `signal 9`.
    pub how: String,
}

/// The clients of a run, as faults reach them. Several faults may use it at a time, each for clients of its
/// own.
pub trait ClientControl: Send + Sync {
    /// All of them, in the experiment's order.
    fn clients(&self) -> Vec<ClientName>;

    /// The process that runs as this client; none while it is away, or when it has ended by itself.
    fn process(&self, client: &ClientName) -> Option<Process>;

    /// Kills it with SIGKILL and waits for its end. It is away then, until [`start`](Self::start).
    fn kill<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>>;

    /// Asks it to end as at the run's end (deliver or give up, commit, leave the group), and waits until it
    /// has: by force, when the time that its own options allow is over. It is away then.
    fn stop<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>>;

    /// Sends it SIGSTOP.
    fn pause(&self, client: &ClientName);

    /// Sends it SIGCONT.
    fn resume(&self, client: &ClientName);

    /// Starts its next incarnation, if it is away.
    fn start<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<()>>;

    /// Whether it comes to work in time: a producer has an acknowledgement in each partition, a consumer its
    /// partitions.
    fn ready<'a>(&'a self, client: &'a ClientName, limit: Duration) -> BoxFuture<'a, bool>;
}
