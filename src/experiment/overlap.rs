//! Faults at the same time: which of them can't hold together.

use super::check::Check;
use super::source::Span;
use super::{FaultSpec, Problem, Selector, schedule};

/// Refuses pairs of faults that would take hold of the same broker at the same time. Whether two selectors
/// that are resolved in the run name the same broker is found out there.
pub fn refuse_conflicts(check: &mut Check, faults: &[(&FaultSpec, Span)]) {
    for (n, (later, at)) in faults.iter().enumerate() {
        let conflict = faults[..n].iter().find(|(earlier, _)| {
            earlier.kind.takes_the_broker()
                && later.kind.takes_the_broker()
                && schedule::overlap(earlier, later)
                && meet(earlier.kind.target(), later.kind.target())
        });
        let Some((earlier, _)) = conflict else { continue };
        let end = schedule::end(earlier).map(|end| humantime::format_duration(end).to_string());
        let whom = if *earlier.kind.target() == Selector::All { later.kind.target() } else { earlier.kind.target() };
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
            Some(end) => format!("begin it at {end} or later, or name another broker"),
            None => "name another broker".to_owned(),
        });
        check.report(problem);
    }
}

/// Whether two selectors name a common broker whatever the state of the cluster.
fn meet(one: &Selector, other: &Selector) -> bool {
    one == other || *one == Selector::All || *other == Selector::All
}
