//! Faults of a broker's packets: what an experiment says, turned into effects of the layer below (`net`).

mod client_cut;
pub(super) mod partition;

use anyhow::Result;
use lossproof_ledger::event::Proof;

use super::World;
use crate::experiment::{NetworkFault, Peers};

/// Whether it acts on what a broker receives.
pub(super) const fn acts_on_incoming(fault: &NetworkFault) -> bool {
    matches!(fault, NetworkFault::Partition { from: Peers::Clients, .. })
}

pub(super) async fn inject(world: World<'_>, index: usize, fault: &NetworkFault, brokers: &[i32]) -> Result<Proof> {
    match fault {
        NetworkFault::Partition { from: Peers::Brokers, ports, .. } => {
            partition::inject(world, index, brokers, ports).await
        }
        NetworkFault::Partition { from: Peers::Clients, ports, .. } => {
            client_cut::inject(world, index, brokers, ports).await
        }
    }
}
