//! Faults of a broker's disk.

use std::fmt;

use super::HeldRule;
use crate::experiment::Selector;
use crate::experiment::amount::{bandwidth, format_bandwidth, format_size, size};
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text};
use crate::experiment::selector::{self, selector};
use crate::experiment::value::{Wrong, integer};

/// Bytes a second that a disk may be slowed to.
const SLOWEST: u64 = 64 << 10;
const FASTEST: u64 = 64 << 20;

/// What is done to the disk of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// The broker's data volume is filled.
    Fill {
        /// Whose.
        target: Selector,
        /// How much stays free.
        leave: Leave,
    },
    /// Reads, and writes that are waited for, are limited.
    Slow {
        /// Whose.
        target: Selector,
        /// To so much in each direction.
        bytes_per_second: u64,
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

/// How much of a disk stays free when it is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Not a block.
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// So many per cent of the disk.
    PerCent(u8),
}

impl Leave {
    /// In bytes, of a disk of `disk` bytes.
    #[must_use]
    pub const fn bytes_of(self, disk: u64) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Bytes(bytes) => bytes,
            Self::PerCent(share) => disk / 100 * share as u64,
        }
    }

    /// `10MiB` or `5%`.
    pub(in crate::experiment) fn read(text: &str) -> Result<Self, Wrong> {
        match text.strip_suffix('%') {
            Some(share) => integer(share.trim_end(), "share of a disk", 1, 99).map(Self::PerCent),
            None => size(text).map(Self::Bytes),
        }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Bytes(bytes) => f.write_str(&format_size(*bytes)),
            Self::PerCent(share) => write!(f, "{share}%"),
        }
    }
}

impl DiskFault {
    pub(super) const NAMES: [&'static str; 4] = ["disk_fill", "disk_slow", "disk_wipe", "power_loss"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "disk_fill",
            Self::Slow { .. } => "disk_slow",
            Self::Wipe { .. } => "disk_wipe",
            Self::PowerLoss { .. } => "power_loss",
        }
    }

    pub(super) const fn target(&self) -> &Selector {
        match self {
            Self::Fill { target, .. }
            | Self::Slow { target, .. }
            | Self::Wipe { target }
            | Self::PowerLoss { target } => target,
        }
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Fill { leave: Leave::Nothing, .. } => "the disk is freed, the broker started again",
            Self::Fill { .. } => "the disk is freed",
            Self::Slow { .. } => "the disk is as fast as before",
            Self::Wipe { .. } => "started again, with an empty disk",
            Self::PowerLoss { .. } => "started again",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Fill { .. } => HeldRule::Needed("how long the disk stays full"),
            Self::Slow { .. } => HeldRule::Needed("how long the disk stays slow"),
            Self::Wipe { .. } | Self::PowerLoss { .. } => HeldRule::NeededOrForever("how long the broker stays down"),
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(fill) = &raw.disk_fill {
            let leave = match &fill.value.leave {
                Some(text) => check.read(text, Leave::read),
                None => Some(Leave::Nothing),
            };
            let target = selector(check, &fill.value.target)?;
            return Some(Self::Fill { target, leave: leave? });
        }
        if let Some(slow) = &raw.disk_slow {
            let bytes_per_second = check.read(&slow.value.rate, disk_rate);
            let target = selector(check, &slow.value.target)?;
            return Some(Self::Slow { target, bytes_per_second: bytes_per_second? });
        }
        if let Some(wipe) = &raw.disk_wipe {
            return Some(Self::Wipe { target: selector(check, &wipe.value.target)? });
        }
        Some(Self::PowerLoss { target: selector(check, &raw.power_loss.as_ref()?.value.target)? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let target = spanned(selector::write(self.target()));
        match self {
            Self::Fill { leave, .. } => {
                let leave = (*leave != Leave::Nothing).then(|| text(leave));
                raw.disk_fill = Some(spanned(raw::DiskFill { target, leave }));
            }
            Self::Slow { bytes_per_second, .. } => {
                let rate = text(format_bandwidth(*bytes_per_second * 8));
                raw.disk_slow = Some(spanned(raw::DiskSlow { target, rate }));
            }
            Self::Wipe { .. } => raw.disk_wipe = Some(spanned(raw::Target { target })),
            Self::PowerLoss { .. } => raw.power_loss = Some(spanned(raw::Target { target })),
        }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill { target, leave: Leave::Nothing } => write!(f, "the disk of {target} is filled"),
            Self::Fill { target, leave } => write!(f, "the disk of {target} is filled but for {leave}"),
            Self::Slow { target, bytes_per_second } => {
                write!(f, "the disk of {target} is slowed to {}", format_bandwidth(*bytes_per_second * 8))
            }
            Self::Wipe { target } => write!(f, "kill -9 of {target}, the disk is emptied"),
            Self::PowerLoss { target } => {
                write!(f, "power loss of {target}, what was not flushed to disk is gone")
            }
        }
    }
}

/// What a disk may be slowed to, in bytes a second: what a proof can still tell from a disk as it is.
fn disk_rate(text: &str) -> Result<u64, Wrong> {
    let bytes = bandwidth(text)? / 8;
    if (SLOWEST..=FASTEST).contains(&bytes) {
        return Ok(bytes);
    }
    Err(Wrong {
        message: format!("a disk can't be slowed to `{text}`"),
        expected: "expected 64KiB/s to 64MiB/s".to_owned(),
        hint: None,
    })
}
