//! Time as all parts of a run share it: CLOCK_BOOTTIME to order and measure, UTC to read.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds of CLOCK_BOOTTIME, which all processes of this host share and no clock step disturbs.
#[must_use]
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// CLOCK_BOOTTIME in nanoseconds.
    pub boottime_ns: u64,
    /// The same moment in UTC, for people.
    pub utc: jiff::Timestamp,
}

impl Stamp {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        Self { boottime_ns: boottime_ns(), utc: jiff::Timestamp::now() }
    }
}
