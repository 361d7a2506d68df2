//! Faults of a broker's process, one file a kind.

mod crash_loop;
pub(super) mod kill;
pub(super) mod pause;
mod restart;
pub(super) mod upgrade;

use anyhow::Result;
use lossproof_ledger::event::Proof;

use super::{Notes, Undo, World};
use crate::experiment::{BrokerFault, Held};

pub(super) fn undo(fault: &BrokerFault, brokers: &[i32]) -> Undo {
    match fault {
        BrokerFault::Kill { .. } | BrokerFault::Restart { .. } | BrokerFault::CrashLoop { .. } => {
            Undo::StartBrokers(brokers.to_vec())
        }
        BrokerFault::Pause { .. } => Undo::Thaw(brokers.to_vec()),
        BrokerFault::Upgrade { .. } => Undo::RunAll(brokers.to_vec()),
    }
}

pub(super) async fn inject(
    world: World<'_>,
    fault: &BrokerFault,
    held: Option<Held>,
    brokers: &[i32],
    note: Notes<'_>,
) -> Result<Proof> {
    let World { cluster, gone, .. } = world;
    match fault {
        BrokerFault::Kill { .. } => kill::inject(cluster, brokers).await,
        BrokerFault::Restart { wait, .. } => {
            let down_for = held.and_then(Held::duration).unwrap_or_default();
            restart::inject(cluster, brokers, gone, down_for, *wait, note).await
        }
        BrokerFault::Pause { .. } => pause::inject(cluster, brokers).await,
        BrokerFault::Upgrade { to, finalize } => upgrade::inject(cluster, to, *finalize, note).await,
        BrokerFault::CrashLoop { times, up, down, .. } => {
            let rhythm = crash_loop::Rhythm { times: *times, up: *up, down: *down };
            crash_loop::inject(cluster, brokers, rhythm, note).await
        }
    }
}
