//! Faults of clients: of the processes of one role in one profile, or in all. One file a kind.
//!
//! The run has the clients; faults reach them by [`ClientControl`], and look for themselves at what the
//! kernel tells of their processes. When a run ends early its clients die, and there is nothing to take back.

mod control;
pub(super) mod kill;
pub(super) mod pause;
mod proc;
mod stop;

use std::time::Duration;

use futures_util::future::join_all;
use lossproof_ledger::event::{Proof, Role};
use serde_json::{Value, json};

use self::proc::Identity;
use super::{Findings, Target, Undo, World};
use crate::experiment::{ChosenClients, ClientFault, ClientRole};

pub use control::{ClientControl, ClientName, End, Process};

/// How long a process may take to begin or to end after it was told.
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// How often a state is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The clients that are meant.
#[must_use]
pub fn resolve(control: Option<&dyn ClientControl>, chosen: &ChosenClients) -> Target {
    let all = control.map(ClientControl::clients).unwrap_or_default();
    let role = |role| match role {
        Role::Producer => ClientRole::Producer,
        Role::Consumer => ClientRole::Consumer,
    };
    let is_meant = |client: &ClientName| chosen.contains(&client.profile, role(client.role), client.member);
    Target {
        clients: all.into_iter().filter(is_meant).collect(),
        basis: "named by the experiment".to_owned(),
        same_for_all: true,
        ..Target::default()
    }
}

pub(super) fn undo(fault: &ClientFault, clients: &[ClientName], control: Option<&dyn ClientControl>) -> Undo {
    let clients = clients.to_vec();
    match fault {
        ClientFault::Kill(_) | ClientFault::Stop(_) => Undo::StartClients(clients),
        ClientFault::Pause(_) => {
            let process = |client| control?.process(client);
            let pids = clients.iter().filter_map(process).map(|process| process.pid).collect();
            Undo::ResumeClients { clients, pids }
        }
    }
}

/// Without clients nothing is found, and nothing proven.
pub(super) async fn inject(world: World<'_>, fault: &ClientFault, clients: &[ClientName]) -> Proof {
    match world.clients {
        Some(control) => hit(control, fault, clients).await,
        None => Findings::default().proof(),
    }
}

async fn hit(control: &dyn ClientControl, fault: &ClientFault, clients: &[ClientName]) -> Proof {
    // All at the same moment.
    let found = join_all(clients.iter().map(async |client| {
        let Some(process) = control.process(client) else {
            return Finding::new(false, format!("{client} does not run, so nothing could be done to it"), Value::Null);
        };
        let Some(identity) = Identity::of(process.pid) else {
            return Finding::new(false, format!("{} has ended by itself", process.id), json!({ "pid": process.pid }));
        };
        match fault {
            ClientFault::Kill(_) => kill::inject(control, client, &process, identity).await,
            ClientFault::Stop(_) => stop::inject(control, client, &process, identity).await,
            ClientFault::Pause(_) => pause::inject(control, client, &process, identity).await,
        }
    }))
    .await;
    together(clients, found)
}

/// Whether clients work again, each within `limit`; and what is missing, in words.
///
/// # Errors
/// The clients that do not.
pub async fn ready(world: World<'_>, clients: &[ClientName], limit: Duration) -> Result<(), String> {
    let Some(control) = world.clients else { return Ok(()) };
    let ready = join_all(clients.iter().map(|client| control.ready(client, limit))).await;
    let missing: Vec<String> =
        clients.iter().zip(ready).filter(|(_, ready)| !ready).map(|(client, _)| client.to_string()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{} not at work after {limit:?}", missing.join(", "))) }
}

/// What was found of one client.
struct Finding {
    holds: bool,
    sentence: String,
    evidence: Value,
}

impl Finding {
    fn new(holds: bool, sentence: impl Into<String>, evidence: Value) -> Self {
        Self { holds, sentence: sentence.into(), evidence }
    }
}

fn together(clients: &[ClientName], found: Vec<Finding>) -> Proof {
    let mut findings = Findings::default();
    for (client, Finding { holds, sentence, evidence }) in clients.iter().zip(found) {
        findings.note(client.to_string(), holds, sentence, evidence);
    }
    findings.proof()
}

/// Waits until `is_so`, or not longer than the limit. Gives whether it is.
async fn becomes(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(limit, wait).await.is_ok()
}

#[cfg(test)]
mod tests;
