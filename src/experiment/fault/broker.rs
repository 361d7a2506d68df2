//! Faults of a broker's process.

use std::fmt;
use std::time::Duration;

use super::{Held, HeldRule, some_time, tell_held};
use crate::experiment::check::Check;
use crate::experiment::raw;
use crate::experiment::resolved::{spanned, text, time};
use crate::experiment::selector::{self, selector};
use crate::experiment::value::{duration, image, integer, word};
use crate::experiment::{Selector, Word};

/// Deaths of a crash loop, at most: beyond that it is a broker that is gone.
const CRASHES_MAX: u32 = 100;
/// A broker needs a few seconds to come up; one that is killed before that never serves in between.
const UP_DEFAULT: Duration = Duration::from_secs(5);
const DOWN_DEFAULT: Duration = Duration::from_secs(1);

/// What is done to the process of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerFault {
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
    /// All brokers, one after another, from another image on the disks that they have.
    Upgrade {
        /// The image.
        to: String,
        /// Whether the feature levels are raised then.
        finalize: bool,
    },
}

/// What is awaited between two restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartWait {
    /// All replicas of all topics in sync, as a managed patch does.
    InSync,
    /// Nothing but the broker's own start.
    None,
}

impl Word for RestartWait {
    const WORDS: &'static [(&'static str, Self)] = &[("in_sync", Self::InSync), ("none", Self::None)];
}

impl BrokerFault {
    pub(super) const NAMES: [&'static str; 5] = ["kill", "restart", "pause", "crash_loop", "upgrade"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::CrashLoop { .. } => "crash_loop",
            Self::Upgrade { .. } => "upgrade",
        }
    }

    pub(super) const fn target(&self) -> &Selector {
        match self {
            Self::Kill { target }
            | Self::Restart { target, .. }
            | Self::Pause { target }
            | Self::CrashLoop { target, .. } => target,
            Self::Upgrade { .. } => &Selector::All,
        }
    }

    pub(super) const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Restart { .. } | Self::CrashLoop { .. } | Self::Upgrade { .. })
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "started again",
            Self::Restart { .. } => "the last broker is back",
            Self::Pause { .. } => "thawed",
            Self::CrashLoop { .. } => "started for the last time",
            Self::Upgrade { .. } => "every broker runs from the other image",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::Kill { .. } => HeldRule::NeededOrForever("how long the broker stays down"),
            Self::Restart { .. } => HeldRule::Allowed,
            Self::Pause { .. } => HeldRule::Needed("how long the broker is frozen"),
            Self::CrashLoop { .. } => HeldRule::Meaningless("`times`, `up` and `down` say how long it takes"),
            Self::Upgrade { .. } => {
                HeldRule::Meaningless("it takes as long as the brokers take, and is not taken back")
            }
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(restart) = &raw.restart {
            let wait = check.read_or(restart.value.wait.as_ref(), RestartWait::InSync, |text| {
                word(text, "state to wait for between two restarts")
            });
            let target = selector(check, &restart.value.target)?;
            return Some(Self::Restart { target, wait: wait? });
        }
        if let Some(crashes) = &raw.crash_loop {
            return crash_loop(check, &crashes.value);
        }
        if let Some(upgrade) = &raw.upgrade {
            let to = check.read(&upgrade.value.to, image);
            let finalize =
                check.read_or(upgrade.value.finalize.as_ref(), false, |text| word(text, "answer to `finalize`"));
            return Some(Self::Upgrade { to: to?, finalize: finalize? });
        }
        if let Some(pause) = &raw.pause {
            return Some(Self::Pause { target: selector(check, &pause.value.target)? });
        }
        Some(Self::Kill { target: selector(check, &raw.kill.as_ref()?.value.target)? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let target = spanned(selector::write(self.target()));
        match self {
            Self::Upgrade { to, finalize } => {
                raw.upgrade = Some(spanned(raw::Upgrade { to: text(to), finalize: Some(text(finalize)) }));
            }
            Self::Kill { .. } => raw.kill = Some(spanned(raw::Target { target })),
            Self::Pause { .. } => raw.pause = Some(spanned(raw::Target { target })),
            Self::Restart { wait, .. } => {
                raw.restart = Some(spanned(raw::Restart { target, wait: Some(text(wait.word())) }));
            }
            Self::CrashLoop { times, up, down, .. } => {
                let (up, down) = (Some(time(*up)), Some(time(*down)));
                raw.crash_loop = Some(spanned(raw::CrashLoop { target, times: text(times), up, down }));
            }
        }
    }

    pub(super) fn tell(&self, f: &mut fmt::Formatter<'_>, held: Option<Held>) -> fmt::Result {
        match self {
            Self::Kill { target } => write!(f, "kill -9 of {target}")?,
            Self::Pause { target } => write!(f, "{target} {} frozen", target.is())?,
            Self::Restart { target, wait } => {
                write!(f, "graceful restart of {target}")?;
                if target.is_many() {
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
            Self::Upgrade { to, finalize } => {
                write!(f, "upgrade of all brokers to {to}, one at a time, with all replicas in sync in between")?;
                if *finalize {
                    f.write_str(", then the feature levels are raised")?;
                }
            }
            Self::CrashLoop { target, times, up, down } => {
                let (up, down) = (humantime::format_duration(*up), humantime::format_duration(*down));
                write!(f, "kill -9 of {target} {times} times, each {up} after its start; {down} down in between")?;
            }
        }
        tell_held(f, held)
    }
}

fn crash_loop(check: &mut Check, raw: &raw::CrashLoop) -> Option<BrokerFault> {
    let times = check.read(&raw.times, |text| integer(text, "number of deaths", 2, CRASHES_MAX));
    let up = match &raw.up {
        Some(text) => some_time(check, text, "a broker that does not run can't be killed"),
        None => Some(UP_DEFAULT),
    };
    let down = check.read_or(raw.down.as_ref(), DOWN_DEFAULT, duration);
    let target = selector(check, &raw.target)?;
    Some(BrokerFault::CrashLoop { target, times: times?, up: up?, down: down? })
}
