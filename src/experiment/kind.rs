//! The faults that an experiment can name.

use std::time::Duration;

use super::Place;

/// One fault of the schedule.
#[derive(Debug, Clone)]
pub struct FaultSpec {
    /// From the end of warm-up.
    pub at: Duration,
    /// How long it is held before it is healed; none where the kind ends by itself.
    pub held: Option<Duration>,
    /// What is done.
    pub kind: FaultKind,
    /// Where it stands in the file.
    pub place: Place,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// SIGKILL to the broker process; `held` is how long it stays down.
    Kill {
        /// Whom.
        target: Selector,
    },
    /// Graceful stop and start, one broker after another.
    Restart {
        /// Whom, in this order.
        target: Selector,
        /// Whether full in-sync replicas are awaited between two brokers.
        wait: RestartWait,
    },
    /// Packets between `isolate` and `from` are dropped, in both directions.
    Partition {
        /// Which broker is cut off.
        isolate: Selector,
        /// From whom.
        from: Peers,
        /// On which ports.
        ports: Vec<u16>,
        /// The listeners' names behind the ports, where they were given by name.
        listeners: Vec<Listener>,
    },
    /// The broker's processes are frozen: connections stay, and nothing answers.
    Pause {
        /// Whom.
        target: Selector,
    },
    /// SIGKILL again and again, each time `up` after the start.
    CrashLoop {
        /// Whom.
        target: Selector,
        /// How many deaths.
        times: u32,
        /// How long it may run after each start.
        up: Duration,
        /// How long it stays down after each death.
        down: Duration,
    },
    /// The broker's data volume is filled to the last byte.
    DiskFill {
        /// Whose.
        target: Selector,
    },
    /// SIGKILL, and the broker's data volume is emptied; `held` is how long it stays down.
    DiskWipe {
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

impl FaultKind {
    /// The keys of all kinds.
    pub const NAMES: [&'static str; 8] =
        ["kill", "restart", "pause", "crash_loop", "partition", "disk_fill", "disk_wipe", "power_loss"];

    /// Whether it takes hold of the broker's process or disk, as only one fault at a time can. Network faults
    /// combine with all others.
    #[must_use]
    pub const fn takes_the_broker(&self) -> bool {
        !matches!(self, Self::Partition { .. })
    }

    /// Whether it has ended by itself when it has been injected.
    #[must_use]
    pub const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Restart { .. } | Self::CrashLoop { .. })
    }

    /// Its key in the file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Restart { .. } => "restart",
            Self::Partition { .. } => "partition",
            Self::Pause { .. } => "pause",
            Self::CrashLoop { .. } => "crash_loop",
            Self::DiskFill { .. } => "disk_fill",
            Self::DiskWipe { .. } => "disk_wipe",
            Self::PowerLoss { .. } => "power_loss",
        }
    }

    /// Whom it hits.
    #[must_use]
    pub const fn target(&self) -> Selector {
        match self {
            Self::Kill { target }
            | Self::Restart { target, .. }
            | Self::Partition { isolate: target, .. }
            | Self::Pause { target }
            | Self::CrashLoop { target, .. }
            | Self::DiskFill { target }
            | Self::DiskWipe { target }
            | Self::PowerLoss { target } => *target,
        }
    }
}

/// What is awaited between two restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartWait {
    /// All replicas of all topics in sync, as a managed patch does.
    InSync,
    /// Nothing but the broker's own start.
    None,
}

/// The other side of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// All other brokers.
    Brokers,
    /// All clients.
    Clients,
}

/// A broker's listeners; each has a port of its own so that a fault can pick one kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// CLIENT, port 9092.
    Client,
    /// CONTROLLER, port 9093.
    Controller,
    /// REPL, port 9094.
    Replication,
}

impl Listener {
    /// The listener's port in every broker.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Client => 9092,
            Self::Controller => 9093,
            Self::Replication => 9094,
        }
    }
}

/// Port of the HARNESS listener, which no fault may cut: it must not blind the audit.
pub const HARNESS_PORT: u16 = 9095;

/// Which broker a fault hits; resolved when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// By id, 1 to 3.
    Broker(i32),
    /// Leader of that partition of each profile's topic.
    LeaderOf(i32),
    /// Followers of that partition.
    FollowersOf(i32),
    /// The active KRaft controller.
    Controller,
    /// Every broker, by id.
    All,
}
