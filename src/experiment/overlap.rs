//! Faults at the same time: which of them can't hold together.

use humantime::format_duration;

use super::check::Check;
use super::source::Span;
use super::{ChosenClients, FaultSpec, Problem, Repeat, Selector, schedule};

/// Refuses pairs of faults that would take hold of the same broker, or client, at the same time. Whether two selectors
/// that are resolved in the run name the same broker is found out there.
pub fn refuse_conflicts(check: &mut Check, faults: &[(FaultSpec, Span)]) {
    for (n, (later, at)) in faults.iter().enumerate() {
        let conflict = faults[..n].iter().find_map(|(earlier, _)| {
            let whom = common(earlier, later).filter(|_| schedule::overlap(earlier, later))?;
            Some((earlier, whom))
        });
        let Some((earlier, whom)) = conflict else { continue };
        if let Some(repeat) = later.repeat.filter(|_| later.entry == earlier.entry) {
            // The other times are as wrong.
            if repeat.round == 2 {
                check.report(too_often(later, &repeat, &whom, at));
            }
            continue;
        }
        let about = if schedule::ends_by_state(earlier) { "about " } else { "" };
        let end = schedule::end(earlier).map(|end| format!("{about}{}", format_duration(end)));
        let what = if later.kind.clients().is_some() { "client" } else { "broker" };
        let problem = Problem::new(format!(
            "two faults at the same time on {whom}: `{}` and `{}`",
            earlier.kind.name(),
            later.kind.name()
        ))
        .at(
            at,
            format!(
                "`{}` of line {} lasts {}",
                earlier.kind.name(),
                earlier.place.line,
                end.as_ref().map_or_else(|| "to the end of the run".to_owned(), |end| format!("until {end}"))
            ),
        )
        .hint(match end {
            Some(_) if later.after.is_some() => {
                format!(
                    "it is planned for about {}: begin it later, or name another {what}",
                    format_duration(later.planned)
                )
            }
            Some(end) => format!("begin it at {end} or later, or name another {what}"),
            None => format!("name another {what}"),
        });
        check.report(problem);
    }
}

/// A fault that is repeated before it has ended.
fn too_often(fault: &FaultSpec, repeat: &Repeat, whom: &str, at: &Span) -> Problem {
    let lasts = schedule::duration(fault);
    let about = if fault.kind.ends_by_itself() { "about " } else { "" };
    Problem::new(format!("`{}` would begin again on {whom} before it has ended", fault.kind.name()))
        .at(at, format!("every {}, and it lasts {about}{}", format_duration(repeat.every), format_duration(lasts)))
        .hint(format!("`every` must be {about}{} or more", format_duration(lasts)))
}

/// Whom two faults would both take hold of, in words.
fn common(one: &FaultSpec, other: &FaultSpec) -> Option<String> {
    if let (Some(one), Some(other)) = (one.kind.clients(), other.kind.clients()) {
        let narrowness = |chosen: &ChosenClients| (chosen.profile.is_some(), chosen.member.is_some());
        let narrower = if narrowness(other) > narrowness(one) { other } else { one };
        return one.meet(other).then(|| narrower.to_string());
    }
    if !one.kind.takes_the_broker() || !other.kind.takes_the_broker() {
        return None;
    }
    let (one, other) = (one.kind.target()?, other.kind.target()?);
    meet(one, other).then(|| if *one == Selector::All { other } else { one }.to_string())
}

/// Whether two selectors name a common broker whatever the state of the cluster.
fn meet(one: &Selector, other: &Selector) -> bool {
    one == other && *one != Selector::Random || *one == Selector::All || *other == Selector::All
}
