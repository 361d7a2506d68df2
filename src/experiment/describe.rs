//! Faults and promises in words, for plans and reports.

use std::fmt;
use std::time::Duration;

use super::metric::{self, Unit};
use super::{Comparison, Expectation, FaultKind, FaultSpec, Peers, RestartWait, Selector, Word};

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::LeaderOf(partition) => write!(f, "the leader of partition {partition}"),
            Self::FollowersOf(partition) => write!(f, "the followers of partition {partition}"),
            Self::Controller => f.write_str("the active controller"),
            Self::All => f.write_str("all brokers"),
        }
    }
}

const fn is(selector: Selector) -> &'static str {
    match selector {
        Selector::All | Selector::FollowersOf(_) => "are",
        Selector::Broker(_) | Selector::LeaderOf(_) | Selector::Controller => "is",
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.map(humantime::format_duration);
        match &self.kind {
            FaultKind::Kill { target } => write!(f, "kill -9 of {target}")?,
            FaultKind::Restart { target, wait } => {
                write!(f, "graceful restart of {target}")?;
                if *target == Selector::All || matches!(target, Selector::FollowersOf(_)) {
                    f.write_str(match wait {
                        RestartWait::InSync => ", one at a time, with all replicas in sync in between",
                        RestartWait::None => ", one at a time, without waiting for replicas",
                    })?;
                }
                return match held {
                    Some(held) => write!(f, ", {held} down each"),
                    None => f.write_str(", started again at once"),
                };
            }
            FaultKind::Partition { isolate, from, ports, listeners } => {
                let from = match from {
                    Peers::Brokers => "the other brokers",
                    Peers::Clients => "clients",
                };
                let on: Vec<_> = if listeners.is_empty() {
                    ports.iter().map(|port| format!("port {port}")).collect()
                } else {
                    listeners.iter().map(|listener| listener.word().to_owned()).collect()
                };
                write!(f, "{isolate} {} cut off from {from} ({})", is(*isolate), on.join(", "))?;
            }
            FaultKind::Pause { target } => write!(f, "{target} {} frozen", is(*target))?,
            FaultKind::CrashLoop { target, times, up, down } => {
                let (up, down) = (humantime::format_duration(*up), humantime::format_duration(*down));
                return write!(
                    f,
                    "kill -9 of {target} {times} times, each {up} after its start; {down} down in between"
                );
            }
            FaultKind::DiskFill { target } => write!(f, "the disk of {target} is filled")?,
            FaultKind::DiskWipe { target } => write!(f, "kill -9 of {target}, the disk is emptied")?,
            FaultKind::PowerLoss { target } => {
                write!(f, "power loss of {target}, what was not flushed to disk is gone")?;
            }
        }
        held.map_or(Ok(()), |held| write!(f, ", for {held}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every metric was looked up when the expectation was read.
        let Some(metric) = metric::find(&self.metric) else {
            return f.write_str(&self.metric);
        };
        let than = match self.comparison {
            Comparison::Equal => "exactly",
            Comparison::AtLeast => "at least",
            Comparison::MoreThan => "more than",
            Comparison::AtMost => "at most",
            Comparison::LessThan => "less than",
        };
        match metric.unit {
            Unit::Time => {
                let bound = humantime::format_duration(Duration::from_millis(self.bound));
                write!(f, "{than} {bound} as {}", metric.meaning)
            }
            Unit::Count if self.bound == 0 && matches!(self.comparison, Comparison::Equal | Comparison::AtMost) => {
                write!(f, "no {}", metric.meaning)
            }
            Unit::Count => write!(f, "{than} {} {}", self.bound, metric.meaning),
        }
    }
}
