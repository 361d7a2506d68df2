//! What a fault needs of the machine that it is to run on.

use std::fmt;

use super::net::Need;
use super::{disk, network};
use crate::experiment::FaultKind;

/// Something that a machine has or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// The kernel under the containers can do that to packets.
    Packets(Need),
    /// The engine gives containers loop devices.
    LoopDevices,
    /// The engine lets a container limit how fast another one uses a loop device.
    DiskLimits,
}

/// All that a fault needs, each once.
#[must_use]
pub fn needs(kind: &FaultKind) -> Vec<Requirement> {
    match kind {
        FaultKind::Network(fault) => network::needs(fault).into_iter().map(Requirement::Packets).collect(),
        FaultKind::Disk(fault) => disk::needs(fault),
        // The engine's own doing, the brokers', the kernel's, or the commands' own matter.
        FaultKind::Broker(_) | FaultKind::Kafka(_) | FaultKind::Client(_) | FaultKind::Exec(_) => Vec::new(),
    }
}

impl Requirement {
    /// Whether only some machines have it, so that it is worth a look before anything starts.
    #[must_use]
    pub const fn is_special(self) -> bool {
        match self {
            Self::LoopDevices | Self::DiskLimits | Self::Packets(Need::Ingress | Need::Delay) => true,
            Self::Packets(Need::Htb | Need::Classifier | Need::Fifo | Need::Blackhole) => false,
        }
    }

    /// How to get it, in a sentence for people.
    #[must_use]
    pub fn how(self) -> String {
        match self {
            Self::Packets(need) => need.how(),
            Self::DiskLimits => {
                "the kernel needs CONFIG_BLK_DEV_THROTTLING, and containers must be allowed CAP_SYS_ADMIN and mount"
                    .to_owned()
            }
            Self::LoopDevices => {
                "load the module `loop`, and allow containers /dev/loop-control and CAP_SYS_ADMIN".to_owned()
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(need) => need.fmt(f),
            Self::LoopDevices => f.write_str("loop devices"),
            Self::DiskLimits => f.write_str("limits of a container's use of a disk"),
        }
    }
}
