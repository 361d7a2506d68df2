//! Faults of a broker's packets: what an experiment says, turned into effects of the layer below (`net`), and
//! proven by probes from the network namespaces of both ends.

mod cut;
mod flap;
mod heal;
mod probe;
mod shaping;

use std::net::Ipv4Addr;

use anyhow::Result;
use ipnet::Ipv4Net;
use lossproof_ledger::event::Proof;

use super::net::{self, Action, Direction, Namespaces, Need, Network};
use super::selector::{Subjects, Target, resolve};
use super::{Draw, Notes, World};
use crate::cluster::Cluster;
use crate::experiment::{NetworkFault, Peers, Shape, Way};

pub use heal::heal;

/// A broker, as a network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The broker's id.
    pub id: i32,
    /// Its address.
    pub ip: Ipv4Addr,
}

impl Node {
    fn net(&self) -> Ipv4Net {
        Ipv4Net::from(self.ip)
    }

    fn address(&self, port: u16) -> String {
        format!("{}:{port}", self.ip)
    }
}

/// What network faults work on.
pub struct Ground<'a, N> {
    /// All brokers.
    pub nodes: Vec<Node>,
    /// Their network namespaces.
    pub namespaces: &'a N,
    /// The effects that stand.
    pub network: &'a Network,
}

impl<'a> Ground<'a, Cluster> {
    /// That of a running cluster.
    ///
    /// # Errors
    /// When a broker has no IPv4 address.
    pub fn of(world: World<'a>) -> Result<Self> {
        let World { cluster, network, .. } = world;
        let nodes = cluster.brokers.iter().map(|broker| Ok(Node { id: broker.id, ip: broker.ip.parse()? }));
        Ok(Self { nodes: nodes.collect::<Result<_>>()?, namespaces: cluster, network })
    }
}

impl<N> Ground<'_, N> {
    fn node(&self, id: i32) -> Result<Node> {
        let node = self.nodes.iter().find(|node| node.id == id).copied();
        node.ok_or_else(|| anyhow::anyhow!("there is no broker {id}"))
    }
}

/// What the kernel must be able to do for it.
pub(super) fn needs(fault: &NetworkFault) -> Vec<Need> {
    let action = match *fault {
        NetworkFault::Partition(_) | NetworkFault::Flap { .. } => Action::Cut,
        NetworkFault::Latency { delay, jitter, .. } => Action::Latency { delay, jitter },
        NetworkFault::Loss { per_cent, .. } => Action::Loss { per_cent },
        NetworkFault::Bandwidth { bits_per_second, .. } => Action::Bandwidth { bits_per_second },
    };
    net::needs(&action, acts_on_incoming(fault))
}

/// Whether it acts on what a broker receives.
pub(super) fn acts_on_incoming(fault: &NetworkFault) -> bool {
    match fault {
        NetworkFault::Partition(cut) | NetworkFault::Flap { cut, .. } => match &cut.shape {
            // Between brokers each cuts what it sends itself.
            Shape::Isolate { from, way, .. } => from.has_clients() && *way != Way::Out,
            Shape::Bridge(_) | Shape::Ring(_) => false,
        },
        NetworkFault::Latency { path, .. } | NetworkFault::Loss { path, .. } | NetworkFault::Bandwidth { path, .. } => {
            path.way != Way::Out
        }
    }
}

/// Whose packets a fault hits now, and who is at the other end.
pub(super) async fn target(
    cluster: &Cluster,
    fault: &NetworkFault,
    subjects: Subjects<'_>,
    draw: Draw,
) -> Result<Target> {
    let named = resolve(cluster, fault.target(), subjects, draw).await?;
    let others = |of: &[i32]| cluster.ids().into_iter().filter(|id| !of.contains(id)).collect::<Vec<_>>();
    let peers = match fault {
        NetworkFault::Partition(cut) | NetworkFault::Flap { cut, .. } => match &cut.shape {
            Shape::Isolate { from, .. } => from,
            Shape::Bridge(_) => {
                let brokers = others(&named.brokers);
                return Ok(Target { peers: brokers.clone(), brokers, ..named });
            }
            Shape::Ring(_) => return Ok(Target { peers: named.brokers.clone(), ..named }),
        },
        NetworkFault::Latency { path, .. } | NetworkFault::Loss { path, .. } | NetworkFault::Bandwidth { path, .. } => {
            &path.peers
        }
    };
    Ok(match peers {
        Peers::Clients => named,
        Peers::Brokers | Peers::All => Target { peers: others(&named.brokers), ..named },
        Peers::These(selector) => {
            let other = resolve(cluster, selector, subjects, draw).await?;
            let peers = other.brokers.into_iter().filter(|id| !named.brokers.contains(id)).collect();
            Target {
                peers,
                basis: format!("{}; at the other end: {}", named.basis, other.basis),
                same_for_all: named.same_for_all && other.same_for_all,
                ..named
            }
        }
    })
}

/// Applies fault number `index` and returns what the world showed.
///
/// # Errors
/// When a kernel refuses, or a namespace is gone; the fault may then be half applied, and must be healed.
pub async fn inject<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    fault: &NetworkFault,
    target: &Target,
    note: Notes<'_>,
) -> Result<Proof> {
    match fault {
        NetworkFault::Partition(cut) => cut::inject(ground, index, cut, target).await,
        NetworkFault::Flap { cut, times, down, up } => {
            let rhythm = flap::Rhythm { times: *times, down: *down, up: *up };
            flap::inject(ground, index, cut, rhythm, target, note).await
        }
        NetworkFault::Latency { path, delay, jitter } => {
            shaping::latency(ground, index, path, *delay, *jitter, target).await
        }
        NetworkFault::Loss { path, per_cent } => shaping::loss(ground, index, path, *per_cent, target).await,
        NetworkFault::Bandwidth { path, bits_per_second } => {
            shaping::bandwidth(ground, index, path, *bits_per_second, target).await
        }
    }
}

/// As the layer below calls it.
const fn direction(way: Way) -> Direction {
    match way {
        Way::Both => Direction::Both,
        Way::In => Direction::From,
        Way::Out => Direction::To,
    }
}
