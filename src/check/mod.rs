//! What loses or doubles messages sooner or later, found without any fault: in the settings and the state of a cluster, and
//! in the configuration of a client.
//!
//! `ask` asks a cluster, and changes nothing; the rules are functions of what it was told (`cluster`) and of the client's
//! file, each in the file of what it looks at. `rule` has all of them, with the experiments that show them.

pub mod ask;
pub mod bootstrap;
mod certificate;
pub mod client;
pub mod cluster;
mod finding;
pub mod rule;
mod state;
mod topics;
pub mod trouble;

pub use finding::{Change, Finding};

use crate::experiment::yours::client_file::ClientFile;
use bootstrap::Address;
use cluster::Cluster;

/// All that is found, the gravest first: what is so now, what is set, and how the client goes with it.
#[must_use]
pub fn examine(cluster: &Cluster, bootstrap: &[Address], file: Option<&ClientFile>) -> Vec<Finding> {
    let mut findings = state::examine(cluster);
    findings.extend(topics::examine(cluster));
    findings.extend(bootstrap::examine(cluster, bootstrap));
    findings.extend(file.into_iter().flat_map(|file| client::examine(file, cluster)));
    findings
}
