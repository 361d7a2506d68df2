//! Faults of a broker's disk.

use std::fmt;

use super::HeldRule;
use crate::experiment::Selector;
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::spanned;
use crate::experiment::selector::{self, selector};

/// What is done to the disk of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// The broker's data volume is filled to the last byte.
    Fill {
        /// Whose.
        target: Selector,
    },
    /// SIGKILL, and the broker's data volume is emptied; `held` is how long it stays down.
    Wipe {
        /// Whose.
        target: Selector,
    },
    /// Power is cut: the process is gone, and so is all on its disk that was not flushed; `held` is how long
    /// it stays down.
    PowerLoss {
        /// Whose; all at the same moment.
        target: Selector,
    },
}

impl DiskFault {
    pub(super) const NAMES: [&'static str; 3] = ["disk_fill", "disk_wipe", "power_loss"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "disk_fill",
            Self::Wipe { .. } => "disk_wipe",
            Self::PowerLoss { .. } => "power_loss",
        }
    }

    pub(super) const fn target(&self) -> &Selector {
        match self {
            Self::Fill { target } | Self::Wipe { target } | Self::PowerLoss { target } => target,
        }
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "the disk is freed, the broker started again",
            Self::Wipe { .. } => "started again, with an empty disk",
            Self::PowerLoss { .. } => "started again",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Fill { .. } => HeldRule::Needed("how long the disk stays full"),
            Self::Wipe { .. } | Self::PowerLoss { .. } => HeldRule::NeededOrForever("how long the broker stays down"),
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(fill) = &raw.disk_fill {
            return Some(Self::Fill { target: selector(check, &fill.value.target)? });
        }
        if let Some(wipe) = &raw.disk_wipe {
            return Some(Self::Wipe { target: selector(check, &wipe.value.target)? });
        }
        Some(Self::PowerLoss { target: selector(check, &raw.power_loss.as_ref()?.value.target)? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let target = Some(spanned(raw::Target { target: spanned(selector::write(self.target())) }));
        match self {
            Self::Fill { .. } => raw.disk_fill = target,
            Self::Wipe { .. } => raw.disk_wipe = target,
            Self::PowerLoss { .. } => raw.power_loss = target,
        }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill { target } => write!(f, "the disk of {target} is filled"),
            Self::Wipe { target } => write!(f, "kill -9 of {target}, the disk is emptied"),
            Self::PowerLoss { target } => {
                write!(f, "power loss of {target}, what was not flushed to disk is gone")
            }
        }
    }
}
