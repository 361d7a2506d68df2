//! Faults of a broker's disk, one file a kind.

pub(super) mod fill;
pub(super) mod power_loss;
pub(super) mod slow;
mod volume;
pub(super) mod wipe;

use anyhow::Result;
use lossproof_ledger::event::Proof;

use super::Undo;
use super::needs::Requirement;
use crate::cluster::Cluster;
use crate::experiment::DiskFault;

pub(super) fn undo(fault: &DiskFault, brokers: &[i32]) -> Undo {
    match fault {
        DiskFault::Fill { .. } => Undo::FreeDisks(brokers.to_vec()),
        DiskFault::Slow { bytes_per_second, .. } => {
            Undo::Unlimit { brokers: brokers.to_vec(), bytes_per_second: *bytes_per_second }
        }
        DiskFault::Wipe { .. } => Undo::StartWiped(brokers.to_vec()),
        DiskFault::PowerLoss { .. } => Undo::RestorePower(brokers.to_vec()),
    }
}

pub(super) fn needs(fault: &DiskFault) -> Vec<Requirement> {
    match fault {
        // On tmpfs too.
        DiskFault::Fill { .. } | DiskFault::Wipe { .. } => Vec::new(),
        DiskFault::Slow { .. } => vec![Requirement::LoopDevices, Requirement::DiskLimits],
        DiskFault::PowerLoss { .. } => vec![Requirement::LoopDevices],
    }
}

pub(super) async fn inject(cluster: &Cluster, fault: &DiskFault, brokers: &[i32]) -> Result<Proof> {
    match fault {
        DiskFault::Fill { leave, .. } => fill::inject(cluster, brokers, leave.bytes_of(cluster.spec.disk_bytes)).await,
        DiskFault::Slow { bytes_per_second, .. } => slow::inject(cluster, brokers, *bytes_per_second).await,
        DiskFault::Wipe { .. } => wipe::inject(cluster, brokers).await,
        DiskFault::PowerLoss { .. } => power_loss::inject(cluster, brokers).await,
    }
}
