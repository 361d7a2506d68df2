//! An import's account for people.

use std::cmp::Reverse;

use comfy_table::{Cell, CellAlignment};
use jiff::Timestamp;
use lossproof_ledger::reconcile::Reconciliation;

use super::closing::{identities, unsure};
use super::counts;
use super::grid::{grid, verdict_word};
use super::out::{Style, Tone};
use super::words::{count, thousands};
use crate::import::{NAME, Reach, Side};
use crate::report::account::{JudgedAccount, Range};

/// What heads the table, where a run has the name of its experiment.
const TITLE: &str = "reconcile";

pub(super) fn lines(judged: &JudgedAccount<'_>, ranges: usize, style: Style, width: u16) -> Vec<String> {
    let account = judged.account;
    let reconciliation = &account.reconciliation;
    let sure = reconciliation.partitions.iter().all(|partition| partition.audit_complete);
    let mut lines = vec![
        side("produced", "report", "reports", &account.produced),
        side("consumed", "record", "records", &account.consumed),
        String::new(),
        counts::of_messages(TITLE, NAME, &reconciliation.counts, sure, style, width),
    ];
    if !sure {
        lines.push(unsure());
    }
    lines.extend(identities(&reconciliation.counts).map(|identity| format!("balanced: {identity}")));
    if !reconciliation.anomalies.is_empty() && ranges > 0 {
        lines.push(String::new());
        largest(&mut lines, judged, ranges, style, width);
    }
    if !reconciliation.strays.is_empty() && ranges > 0 {
        lines.push(String::new());
        strays(&mut lines, judged, ranges, style);
    }
    let reach = match account.reach {
        Reach::Whole => None,
        Reach::UpToCommits => {
            Some("the log was read up to the committed offsets; what may lie beyond them is lagging, not lost")
        }
        Reach::Unknown => Some("the log was not read to its end; what is missing is lagging, not lost"),
    };
    if reach.is_some() || !account.notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(reach.into_iter().chain(account.notes.iter().map(String::as_str)).map(|note| format!("note: {note}")));
    lines.push(String::new());
    let (tone, word) = verdict_word(judged.judgement.verdict);
    lines.push(style.paint(tone, word));
    lines.extend(judged.judgement.reasons.iter().map(|reason| format!("  - {}", reason.text)));
    lines
}

fn side(name: &str, one: &str, many: &str, side: &Side) -> String {
    let lines = count(side.lines, one, many);
    let moment = |at: Timestamp| format!("{:.3}", at);
    match side.period.ends() {
        None => format!("{name}: {lines}"),
        Some((first, last)) => format!("{name}: {lines}, from {} to {}", moment(first), moment(last)),
    }
}

/// The longest ranges, the longest first.
fn largest(lines: &mut Vec<String>, judged: &JudgedAccount<'_>, shown: usize, style: Style, width: u16) {
    let mut ranges: Vec<Range<'_>> = judged.ranges().collect();
    let all = ranges.len();
    // Stable: ranges of one length stay in the order of producers, partitions and sequences.
    ranges.sort_by_key(|range| Reverse(range.len()));
    ranges.truncate(shown);
    let mut table = grid(style, width);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(vec![
        Cell::new("largest ranges"),
        Cell::new("producer"),
        right("partition".to_owned()),
        right("from".to_owned()),
        right("to".to_owned()),
    ]);
    for range in &ranges {
        table.add_row(vec![
            Cell::new(finding(range)),
            Cell::new(harmless(range.producer)),
            right(range.partition.map_or_else(|| "any".to_owned(), |partition| partition.to_string())),
            right(range.first.to_string()),
            right(range.last.to_string()),
        ]);
    }
    lines.push(table.trim_fmt());
    let more = (all - ranges.len()) as u64 + judged.account.reconciliation.anomalies_omitted;
    if more > 0 {
        let more = count(more, "more range", "more ranges");
        lines.push(format!("and {more} (--ranges N and --format json show more)"));
    }
}

/// As in JSON and in expectations.
fn finding(range: &Range<'_>) -> String {
    match serde_json::to_value(range.finding) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Records that belong to no message.
fn strays(lines: &mut Vec<String>, judged: &JudgedAccount<'_>, shown: usize, style: Style) {
    let Reconciliation { strays, strays_omitted, .. } = &judged.account.reconciliation;
    lines.push(style.paint(Tone::Strong, "records that belong to no message offered"));
    lines.extend(strays.iter().take(shown).map(|stray| {
        let kind = match serde_json::to_value(stray.kind) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        };
        format!("  {kind}: partition {}, offset {}", stray.partition, stray.offset)
    }));
    let more = strays.len().saturating_sub(shown) as u64 + strays_omitted;
    if more > 0 {
        lines.push(format!("  and {} more", thousands(more)));
    }
}

/// A name from a file, without what would steer the terminal, and of a bearable length.
fn harmless(name: &str) -> String {
    const MAX: usize = 60;
    let mut text: String = name.chars().take(MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if name.chars().nth(MAX).is_some() {
        text.push('…');
    }
    text
}
