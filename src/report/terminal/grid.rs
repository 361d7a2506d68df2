//! How tables look.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use lossproof_ledger::verdict::Verdict;

use super::out::{Style, Tone};

/// An empty table in the house style.
pub(super) fn grid(style: Style, width: u16) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .force_no_tty();
    if style.colour {
        table.enforce_styling();
    }
    table
}

/// A cell in a tone, which a table without styling leaves away.
pub(super) fn cell(text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(text);
    match tone {
        Tone::Plain => cell,
        Tone::Faint => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Good => cell.fg(Color::Green),
        Tone::Notable => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
    }
}

pub(super) const fn verdict_word(verdict: Verdict) -> (Tone, &'static str) {
    match verdict {
        Verdict::Pass => (Tone::Good, "PASS"),
        Verdict::Fail => (Tone::Bad, "FAIL"),
        Verdict::Inconclusive => (Tone::Notable, "INCONCLUSIVE"),
    }
}
