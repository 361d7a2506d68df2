//! Why messages were lost, a line a cause.

use super::words::thousands;
use crate::report::model::Report;

/// Causes that are named one by one.
const SHOWN_MAX: usize = 6;

/// The lines of all profiles that lost something.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let width = report.profiles.keys().map(String::len).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (name, profile) in &report.profiles {
        let losses = &profile.anomalies.losses;
        let (shown, others) = losses.split_at(losses.len().min(SHOWN_MAX));
        let mut name = name.as_str();
        for loss in shown {
            lines.push(format!("{name:width$}  {} lost: {}", thousands(loss.messages), loss.cause));
            name = "";
        }
        let rest: u64 = others.iter().map(|loss| loss.messages).sum();
        if rest > 0 {
            lines.push(format!("{name:width$}  {} lost by other causes: see `lossproof explain`", thousands(rest)));
        }
    }
    lines
}
