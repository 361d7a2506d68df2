//! `client_pause`: SIGSTOP to client processes, as by a long garbage collection, a debugger or a host without
//! processor time. Their connections stay open; the broker learns nothing, until a session expires.
//!
//! Proof: the process ran; the kernel has all its threads stopped (state T), and it says nothing any more, where
//! it spoke twice a second. Healed: the same process runs, and speaks again.

use std::time::Duration;

use futures_util::future::join_all;
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use super::proc::Identity;
use super::{CHANGE_LIMIT, ClientControl, ClientName, Finding, LOOK_INTERVAL, Process, becomes, together};

/// A client that runs has spoken twice in this time.
const SILENCE: Duration = Duration::from_millis(1200);
/// How long a stop, and what was said before it, may take to come through.
const STOP_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn inject(
    control: &dyn ClientControl,
    client: &ClientName,
    process: &Process,
    identity: Identity,
) -> Finding {
    let Process { id, pid, .. } = process;
    control.pause(client);
    let stopped = becomes(STOP_LIMIT, || identity.is_stopped()).await;
    let silent = silent(control, client).await;
    let threads = identity.threads();
    let evidence =
        json!({ "pid": pid, "started_ticks": identity.started, "threads": threads, "silent_ms": silent.map(ms) });
    let Some(silent) = silent else {
        return Finding::new(false, format!("{id}: process {pid} goes on speaking (threads: {threads})"), evidence);
    };
    if stopped && identity.is_stopped() {
        let (threads, ms) = (threads.len(), ms(silent));
        let text = format!("{id}: process {pid} is stopped (threads: {threads}), and was silent for {ms} ms");
        Finding::new(true, text, evidence)
    } else {
        Finding::new(false, format!("{id}: process {pid} is not stopped (threads: {threads})"), evidence)
    }
}

/// Whether nothing is said for a while; what was on its way may still come.
async fn silent(control: &dyn ClientControl, client: &ClientName) -> Option<Duration> {
    let lines = || control.process(client).map(|process| process.lines);
    let wait = async {
        loop {
            let before = lines();
            tokio::time::sleep(LOOK_INTERVAL).await;
            if !becomes(SILENCE, || lines() != before).await {
                return SILENCE;
            }
        }
    };
    tokio::time::timeout(STOP_LIMIT, wait).await.ok()
}

/// Without `control` the run has ended, and has let go of its clients: they are killed, stopped as they are.
pub(in crate::fault) async fn heal(control: Option<&dyn ClientControl>, clients: &[ClientName], pids: &[u32]) -> Proof {
    let found = match control {
        Some(control) => join_all(clients.iter().map(|client| resume(control, client, pids))).await,
        None => {
            let gone = becomes(CHANGE_LIMIT, || pids.iter().all(|pid| Identity::of(*pid).is_none())).await;
            let what = if gone { "ended with the run" } else { "is still there after the run" };
            let one = |client| Finding::new(gone, format!("{client} {what}"), json!({ "pids": pids }));
            clients.iter().map(one).collect()
        }
    };
    together(clients, found)
}

async fn resume(control: &dyn ClientControl, client: &ClientName, pids: &[u32]) -> Finding {
    let before = control.process(client);
    control.resume(client);
    let spoke = before.as_ref().map_or(0, |process| process.lines);
    let speaks = || control.process(client).is_some_and(|process| process.lines > spoke);
    let gone = || control.process(client).is_none();
    becomes(CHANGE_LIMIT, || speaks() || gone()).await;
    let Some(Process { id, pid, lines }) = control.process(client) else {
        return Finding::new(false, format!("{client} runs no more"), Value::Null);
    };
    let threads = Identity::of(pid).map(Identity::threads).unwrap_or_default();
    let (same, goes_on) = (pids.contains(&pid), lines > spoke && !threads.contains('T'));
    let evidence = json!({ "pid": pid, "same_process": same, "threads": threads, "lines": lines - spoke });
    match (same, goes_on) {
        (true, true) => Finding::new(true, format!("{id}: the same process {pid} goes on"), evidence),
        (false, _) => Finding::new(false, format!("{id}: process {pid} is another one"), evidence),
        (_, false) => Finding::new(false, format!("{id}: process {pid} does not go on (threads: {threads})"), evidence),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
