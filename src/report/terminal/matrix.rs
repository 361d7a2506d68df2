//! Hazards by profiles, after several experiments.

use comfy_table::Cell as Shown;

use super::grid::{cell, grid};
use super::out::{Style, Tone};
use crate::report::matrix::{Cell, Change, Ended, Matrix, Open, Row, State, words};

/// The table, and below it what a user's own configuration is open to.
pub(super) fn lines(matrix: &Matrix, style: Style, width: u16) -> Vec<String> {
    let (columns, others) = matrix.columns();
    let mut table = grid(style, width);
    let titles = columns.iter().copied().chain(others.then_some("others"));
    table.set_header(std::iter::once("hazard (experiment)").chain(titles));
    for row in &matrix.rows {
        let hazard = if row.hazard == row.experiment {
            format!("({})", row.experiment)
        } else {
            format!("{} ({})", row.hazard, row.experiment)
        };
        let mut cells = vec![Shown::new(hazard)];
        cells.extend(columns.iter().map(|name| row.profiles.get(*name).map_or_else(|| without(row), shown)));
        if others {
            // One tone for several lines: that of the worst of them.
            let tone = row.others().map(|(_, cell)| tone(cell)).max_by_key(|tone| *tone as u8).unwrap_or(Tone::Plain);
            let told: Vec<String> = row.others().map(|(name, cell)| format!("{name}: {}", marked(cell))).collect();
            cells.push(cell(&told.join("\n"), tone));
        }
        table.add_row(cells);
    }
    let mut lines = vec![table.trim_fmt()];
    if !matrix.open.is_empty() {
        lines.push(String::new());
        lines.push(style.paint(Tone::Strong, "Your configuration is open to"));
        matrix.open.iter().for_each(|open| lines.extend(advice(open, style)));
    }
    lines
}

fn advice(open: &Open, style: Style) -> Vec<String> {
    let mut lines = vec![format!("  {}: {}", open.hazard, style.paint(Tone::Bad, &words(&open.cell)))];
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(default)".to_owned());
    let change =
        |change: &Change| format!("{}: {} → {}", change.setting, value(&change.yours), value(&change.resilient));
    lines.extend(open.settings.iter().map(|setting| format!("    change   {}", change(setting))));
    if open.settings.is_empty() {
        lines.push("    change   not known: the resilient profile did not hold either, or there is none".to_owned());
    }
    lines.push(format!("    shown by {}", open.experiment));
    lines
}

fn without(row: &Row) -> Shown {
    match &row.ended {
        Ended::Judged(_) => Shown::new("–"),
        Ended::Skipped => cell("skipped", Tone::Faint),
        Ended::Failed(why) => cell(why, Tone::Bad),
    }
}

fn shown(of: &Cell) -> Shown {
    cell(&marked(of), tone(of))
}

/// With a mark that is seen without colour, too.
fn marked(cell: &Cell) -> String {
    let mark = match cell.state {
        State::Held => '✓',
        State::Hurt | State::Broken => '✗',
        State::Inconclusive => '?',
    };
    format!("{mark} {}", words(cell))
}

const fn tone(cell: &Cell) -> Tone {
    match cell.state {
        State::Held => Tone::Good,
        State::Inconclusive => Tone::Notable,
        State::Hurt | State::Broken => Tone::Bad,
    }
}
