//! Which settings protected a profile, a line each.

use super::out::{Style, Tone};
use super::words::thousands;
use crate::report::Ablation;
use crate::report::model::Report;

/// The lines of all profiles of which settings were put back.
pub(super) fn lines(report: &Report, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for (profile, ablations) in report.ablations_by_profile() {
        lines.push(String::new());
        lines.push(style.paint(Tone::Strong, &format!("what protects {profile}")));
        lines.extend(ablations.into_iter().map(|ablation| line(ablation, style)));
    }
    lines
}

fn line(ablation: &Ablation, style: Style) -> String {
    let with = match ablation.with.as_slice() {
        [] => String::new(),
        with => format!(" (and {} with it)", with.join(", ")),
    };
    let harms = [("lost", ablation.lost), ("doubled", ablation.doubled), ("reordered", ablation.reordered)];
    let harms =
        harms.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{} {what}", thousands(*count)));
    let harms: Vec<String> = harms.collect();
    let harm = if harms.is_empty() { "nothing lost, doubled or reordered".to_owned() } else { harms.join(", ") };
    let (tone, answer) = match ablation.protects {
        Some(true) => (Tone::Good, "protects"),
        Some(false) => (Tone::Plain, "does not"),
        None => (Tone::Notable, "unknown "),
    };
    format!("  {}  {}{with}: without it {harm}", style.paint(tone, answer), ablation.setting)
}
