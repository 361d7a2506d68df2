//! Faults at the same time: which of them can't hold together.

use humantime::format_duration;

use super::check::Check;
use super::source::Span;
use super::{ChosenClients, FaultKind, FaultSpec, Problem, Repeat, Selector, schedule};

/// Refuses pairs of faults that would take hold of the same broker or client at the same time, or change the same option
/// or the leadership of the same partition. Whether two selectors that are resolved in the run name the same broker is
/// found out there.
pub fn refuse_conflicts(check: &mut Check, faults: &[(FaultSpec, Span)]) {
    for (n, (later, at)) in faults.iter().enumerate() {
        let conflict = faults[..n].iter().find_map(|(earlier, _)| {
            let common = common(&earlier.kind, &later.kind).filter(|_| schedule::overlap(earlier, later))?;
            Some((earlier, common))
        });
        let Some((earlier, Common { what, instead })) = conflict else { continue };
        if let Some(repeat) = later.repeat.filter(|_| later.entry == earlier.entry) {
            // The other times are as wrong.
            if repeat.round == 2 {
                check.report(too_often(later, &repeat, &what, at));
            }
            continue;
        }
        let about = if schedule::ends_by_state(earlier) { "about " } else { "" };
        let end = schedule::end(earlier).map(|end| format!("{about}{}", format_duration(end)));
        let problem = Problem::new(format!(
            "two faults at the same time on {what}: `{}` and `{}`",
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
                format!("it is planned for about {}: begin it later, or {instead}", format_duration(later.planned))
            }
            Some(end) => format!("begin it at {end} or later, or {instead}"),
            None => instead.to_owned(),
        });
        check.report(problem);
    }
}

/// A fault that is repeated before it has ended.
fn too_often(fault: &FaultSpec, repeat: &Repeat, what: &str, at: &Span) -> Problem {
    let lasts = schedule::duration(fault);
    let about = if fault.kind.ends_by_itself() { "about " } else { "" };
    Problem::new(format!("`{}` would begin again on {what} before it has ended", fault.kind.name()))
        .at(at, format!("every {}, and it lasts {about}{}", format_duration(repeat.every), format_duration(lasts)))
        .hint(format!("`every` must be {about}{} or more", format_duration(lasts)))
}

/// What two faults would both take hold of, or change.
struct Common {
    what: String,
    instead: &'static str,
}

fn common(earlier: &FaultKind, later: &FaultKind) -> Option<Common> {
    if let (FaultKind::Kafka(earlier), FaultKind::Kafka(later)) = (earlier, later) {
        return earlier.common(later).map(|what| Common { what, instead: "let it change something else" });
    }
    if let (Some(one), Some(other)) = (earlier.clients(), later.clients()) {
        let narrowness = |chosen: &ChosenClients| (chosen.profile.is_some(), chosen.member.is_some());
        let narrower = if narrowness(other) > narrowness(one) { other } else { one };
        return one.meet(other).then(|| Common { what: narrower.to_string(), instead: "name another client" });
    }
    if !earlier.takes_the_broker() || !later.takes_the_broker() {
        return None;
    }
    let (one, other) = (earlier.target()?, later.target()?);
    one.meets(other).then(|| {
        let whom = if *one == Selector::All { other } else { one };
        Common { what: whom.to_string(), instead: "name another broker" }
    })
}
