//! The matrix as a page.

use super::super::terminal::words::thousands;
use super::{Cell, Ended, Matrix, Open, Row, State};

pub(super) fn text(matrix: &Matrix) -> String {
    let (columns, others) = matrix.columns();
    let mut text = "# Hazards, and what they did to each profile\n\n| hazard | shown by |".to_owned();
    let titles = columns.iter().copied().chain(others.then_some("others")).collect::<Vec<_>>();
    titles.iter().for_each(|title| text.push_str(&format!(" {title} |")));
    text.push_str(&format!("\n|---|---|{}\n", "---|".repeat(titles.len())));
    for row in &matrix.rows {
        text.push_str(&format!("| {} | `{}` |", escaped(&row.hazard), row.experiment));
        for name in &columns {
            text.push_str(&format!(" {} |", row.profiles.get(*name).map_or_else(|| without(row), marked)));
        }
        if others {
            let cells: Vec<String> = row.others().map(|(name, cell)| format!("{name}: {}", marked(cell))).collect();
            text.push_str(&format!(" {} |", cells.join("<br>")));
        }
        text.push('\n');
    }
    if !matrix.open.is_empty() {
        text.push_str("\n## What your configuration is open to\n");
        matrix.open.iter().for_each(|open| text.push_str(&advice(open)));
    }
    text
}

fn advice(open: &Open) -> String {
    let mut text = format!("\n- {}: {}, shown by `{}`\n", escaped(&open.hazard), words(&open.cell), open.experiment);
    for change in &open.settings {
        let (from, to) = (change.yours.as_deref(), change.resilient.as_deref());
        let value = |value: Option<&str>| value.map_or("the default".to_owned(), |value| format!("`{value}`"));
        text.push_str(&format!("  - `{}`: {} → {}\n", change.setting, value(from), value(to)));
    }
    text
}

fn without(row: &Row) -> String {
    match &row.ended {
        Ended::Judged(_) => "–".to_owned(),
        Ended::Skipped => "skipped".to_owned(),
        Ended::Failed(why) => escaped(why),
    }
}

fn marked(cell: &Cell) -> String {
    match cell.state {
        State::Hurt | State::Broken => format!("**{}**", words(cell)),
        State::Held | State::Inconclusive => words(cell),
    }
}

/// What happened, in words and counts.
pub(in crate::report) fn words(cell: &Cell) -> String {
    let counts =
        [("lost", cell.lost), ("doubled", cell.doubled), ("reordered", cell.reordered), ("unknown", cell.unknown)];
    let state = match cell.state {
        State::Hurt => None,
        State::Held => Some("held".to_owned()),
        State::Broken => Some("promise broken".to_owned()),
        State::Inconclusive => Some("inconclusive".to_owned()),
    };
    let counts =
        counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what} {}", thousands(*count)));
    state.into_iter().chain(counts).collect::<Vec<_>>().join(", ")
}

/// A text that stands in a table as it is.
pub(in crate::report) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push(' '),
            '|' | '*' | '<' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}
