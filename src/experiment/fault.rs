//! Faults: exactly one kind each, a selector that names someone, and times that fit.

use std::time::Duration;

use serde_yaml::Spanned;

use super::check::Check;
use super::cut;
use super::hint::one_of;
use super::raw;
use super::selector::selector;
use super::source::Span;
use super::value::{duration, integer, word};
use super::{FaultKind, FaultSpec, Problem, RestartWait, Selector};

/// Deaths of a crash loop, at most: beyond that it is a broker that is gone.
const CRASHES_MAX: u32 = 100;
/// A broker needs a few seconds to come up; one that is killed before that never serves in between.
const UP_DEFAULT: Duration = Duration::from_secs(5);
const DOWN_DEFAULT: Duration = Duration::from_secs(1);

/// A validated fault and where its selector stands, for what depends on the topics.
pub struct Checked {
    /// The fault.
    pub spec: FaultSpec,
    /// Its selector.
    pub selector: Selector,
    /// The selector's place.
    pub selector_at: Span,
}

/// Validates one fault.
pub fn resolve(check: &mut Check, fault: &Spanned<raw::Fault>) -> Option<Checked> {
    let at = check.read(&fault.value.at, duration);
    let held = match &fault.value.held {
        Some(text) => some_time(check, text, "a fault held for no time does nothing").map(Some),
        None => Some(None),
    };
    let (kind, selector, selector_at) = kind(check, fault)?;
    held_fits(check, fault, &kind)?;
    let place = check.span(fault).place();
    Some(Checked { spec: FaultSpec { at: at?, held: held?, kind, place }, selector, selector_at })
}

/// A duration that is not zero.
fn some_time(check: &mut Check, text: &raw::Text, zero: &str) -> Option<Duration> {
    let found = check.read(text, duration)?;
    if found.is_zero() {
        check.report(Problem::new(zero).at(&check.span(text), "expected more than zero"));
        return None;
    }
    Some(found)
}

/// `for` is there where the kind needs it, and is not where it means nothing.
fn held_fits(check: &mut Check, fault: &Spanned<raw::Fault>, kind: &FaultKind) -> Option<()> {
    let what = match kind {
        FaultKind::Restart { .. } => return Some(()),
        FaultKind::CrashLoop { .. } => {
            let Some(held) = &fault.value.held else { return Some(()) };
            let problem = Problem::new("a crash loop has no `for`")
                .at(&check.span(held), "not here")
                .hint("`times`, `up` and `down` say how long it takes");
            check.report(problem);
            return None;
        }
        FaultKind::Kill { .. } | FaultKind::DiskWipe { .. } | FaultKind::PowerLoss { .. } => {
            "how long the broker stays down"
        }
        FaultKind::Pause { .. } => "how long the broker is frozen",
        FaultKind::Partition { .. } => "how long the cut lasts",
        FaultKind::DiskFill { .. } => "how long the disk stays full",
    };
    if fault.value.held.is_none() {
        let problem = Problem::new("`for` is missing")
            .at(&check.span(fault), format!("this fault needs {what}"))
            .hint("for example `for: 20s`");
        check.report(problem);
        return None;
    }
    Some(())
}

fn kind(check: &mut Check, fault: &Spanned<raw::Fault>) -> Option<(FaultKind, Selector, Span)> {
    let raw::Fault { at: _, held: _, kill, restart, pause, crash_loop, partition, disk_fill, disk_wipe, power_loss } =
        &fault.value;
    let places = [
        kill.as_ref().map(|kind| check.span(kind)),
        restart.as_ref().map(|kind| check.span(kind)),
        pause.as_ref().map(|kind| check.span(kind)),
        crash_loop.as_ref().map(|kind| check.span(kind)),
        partition.as_ref().map(|kind| check.span(kind)),
        disk_fill.as_ref().map(|kind| check.span(kind)),
        disk_wipe.as_ref().map(|kind| check.span(kind)),
        power_loss.as_ref().map(|kind| check.span(kind)),
    ];
    let named = FaultKind::NAMES.into_iter().zip(places);
    let given: Vec<(&str, Span)> = named.filter_map(|(name, span)| Some((name, span?))).collect();
    if given.len() != 1 {
        check.report(not_one_kind(&check.span(fault), &given));
        return None;
    }

    if let Some(cut) = partition {
        return cut::partition(check, cut);
    }
    if let Some(restart) = restart {
        let wait = check.read_or(restart.value.wait.as_ref(), RestartWait::InSync, |text| {
            word(text, "state to wait for between two restarts")
        });
        let (target, at) = selector(check, &restart.value.target)?;
        return Some((FaultKind::Restart { target, wait: wait? }, target, at));
    }
    if let Some(crashes) = crash_loop {
        return self::crash_loop(check, &crashes.value);
    }
    let of_target: fn(Selector) -> FaultKind = match given[0].0 {
        "kill" => |target| FaultKind::Kill { target },
        "pause" => |target| FaultKind::Pause { target },
        "disk_fill" => |target| FaultKind::DiskFill { target },
        "disk_wipe" => |target| FaultKind::DiskWipe { target },
        _ => |target| FaultKind::PowerLoss { target },
    };
    let raw = [kill, pause, disk_fill, disk_wipe, power_loss].into_iter().find_map(Option::as_ref)?;
    let (target, at) = selector(check, &raw.value.target)?;
    Some((of_target(target), target, at))
}

fn crash_loop(check: &mut Check, raw: &raw::CrashLoop) -> Option<(FaultKind, Selector, Span)> {
    let times = check.read(&raw.times, |text| integer(text, "number of deaths", 2, CRASHES_MAX));
    let up = match &raw.up {
        Some(text) => some_time(check, text, "a broker that does not run can't be killed"),
        None => Some(UP_DEFAULT),
    };
    let down = check.read_or(raw.down.as_ref(), DOWN_DEFAULT, duration);
    let (target, at) = selector(check, &raw.target)?;
    Some((FaultKind::CrashLoop { target, times: times?, up: up?, down: down? }, target, at))
}

fn not_one_kind(whole: &Span, given: &[(&str, Span)]) -> Problem {
    if given.is_empty() {
        return Problem::new("this fault does nothing: it has no kind")
            .at(whole, format!("expected one of {}", one_of(FaultKind::NAMES)))
            .hint("for example `kill: { target: { leader_of: 0 } }`");
    }
    let names: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut problem = Problem::new(format!("a fault has exactly one kind, and this one has {}", names.join(" and ")));
    for (name, span) in given {
        problem = problem.at(span, format!("`{name}`"));
    }
    problem.hint("make it two entries of `faults:`, each with its own `at`")
}
