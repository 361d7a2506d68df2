//! `client_stop`: client processes are asked to end well, as by a deployment: a producer delivers what it holds
//! or gives it up, a consumer commits and leaves its group.
//!
//! Proof: the process ran; it ended by itself with exit code 0, in the time that its own options allow.

use std::time::Instant;

use serde_json::json;

use super::proc::Identity;
use super::{ClientControl, ClientName, Finding, Process};

pub(super) async fn inject(
    control: &dyn ClientControl,
    client: &ClientName,
    process: &Process,
    identity: Identity,
) -> Finding {
    let Process { id, pid, .. } = process;
    let asked = Instant::now();
    let end = match control.stop(client).await {
        Ok(end) => end,
        Err(error) => return Finding::new(false, format!("{id} can't be stopped: {error:#}"), json!({ "pid": pid })),
    };
    let took_ms = asked.elapsed().as_millis();
    let gone = !identity.lives();
    let evidence =
        json!({ "pid": pid, "started_ticks": identity.started, "ended": end.how, "gone": gone, "took_ms": took_ms });
    if !end.expected {
        Finding::new(false, format!("{id}: process {pid} did not end as asked: {}", end.how), evidence)
    } else if !gone {
        Finding::new(false, format!("{id}: process {pid} is still there"), evidence)
    } else {
        Finding::new(true, format!("{id}: process {pid} ended by itself ({}) after {took_ms} ms", end.how), evidence)
    }
}
