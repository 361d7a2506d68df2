//! `client_kill`: SIGKILL to client processes, as by the kernel's out-of-memory killer or a node that dies. What
//! they held in memory is gone: a producer's queue, a consumer's uncommitted offsets. They leave no group and
//! end no transaction.
//!
//! Proof: the process ran; it ended by signal 9, and the kernel knows it no more. Healed, after this kind and
//! after `client_stop`: another process runs as the next incarnation, and says how it is doing.

use futures_util::future::join_all;
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use super::proc::Identity;
use super::{CHANGE_LIMIT, ClientControl, ClientName, Finding, Process, becomes, together};

pub(super) async fn inject(
    control: &dyn ClientControl,
    client: &ClientName,
    process: &Process,
    identity: Identity,
) -> Finding {
    let Process { id, pid, .. } = process;
    let how = match control.kill(client).await {
        Ok(end) => end.how,
        Err(error) => return Finding::new(false, format!("{id} can't be killed: {error:#}"), json!({ "pid": pid })),
    };
    let gone = !identity.lives();
    let evidence = json!({ "pid": pid, "started_ticks": identity.started, "ended": how, "gone": gone });
    match (how.as_str(), gone) {
        ("signal 9", true) => {
            Finding::new(true, format!("{id}: process {pid} ended by signal 9 and is gone"), evidence)
        }
        ("signal 9", false) => Finding::new(false, format!("{id}: process {pid} is still there"), evidence),
        _ => Finding::new(false, format!("{id}: process {pid} ended otherwise: {how}"), evidence),
    }
}

/// Without `control` the run has ended, and its clients with it.
pub(in crate::fault) async fn heal(control: Option<&dyn ClientControl>, clients: &[ClientName]) -> Proof {
    let found = match control {
        Some(control) => join_all(clients.iter().map(|client| start(control, client))).await,
        None => {
            let ended = |client| Finding::new(true, format!("{client} ended with the run"), Value::Null);
            clients.iter().map(ended).collect()
        }
    };
    together(clients, found)
}

async fn start(control: &dyn ClientControl, client: &ClientName) -> Finding {
    if let Err(error) = control.start(client).await {
        return Finding::new(false, format!("{client} can't be started again: {error:#}"), Value::Null);
    }
    let speaks = || control.process(client).is_some_and(|process| process.lines > 0);
    let gone = || control.process(client).is_none();
    becomes(CHANGE_LIMIT, || speaks() || gone()).await;
    let Some(Process { id, pid, lines }) = control.process(client) else {
        return Finding::new(false, format!("{client} does not run"), Value::Null);
    };
    let lives = Identity::of(pid).is_some();
    let evidence = json!({ "pid": pid, "incarnation": id.incarnation, "lives": lives, "lines": lines });
    if lives && lines > 0 {
        Finding::new(true, format!("{id} runs as process {pid}"), evidence)
    } else {
        Finding::new(false, format!("{id}: process {pid} has not said anything in {CHANGE_LIMIT:?}"), evidence)
    }
}
