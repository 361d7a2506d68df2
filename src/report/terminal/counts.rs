//! Profiles side by side: what was offered, what the producers were told, what became of it.

use comfy_table::{Attribute, Cell, CellAlignment, Table};
use lossproof_ledger::counts::Counts;

use super::grid::{cell, grid};
use super::out::{Style, Tone};
use super::times;
use super::words::thousands;
use crate::report::model::Report;

/// A count with its name for people.
struct Row {
    label: &'static str,
    value: fn(&Counts) -> u64,
    /// How it looks when it is not 0.
    tone: Tone,
    /// Whether it is shown where it is 0 for all profiles.
    always: bool,
}

const fn row(label: &'static str, value: fn(&Counts) -> u64, tone: Tone) -> Row {
    Row { label, value, tone, always: false }
}

const fn always(label: &'static str, value: fn(&Counts) -> u64, tone: Tone) -> Row {
    Row { always: true, ..row(label, value, tone) }
}

const OFFERED: &[Row] = &[always("messages offered", |c| c.offered, Tone::Plain)];

const TOLD: &[Row] = &[
    always("acknowledged", |c| c.acked, Tone::Plain),
    row("sent with acks=0, which proves nothing", |c| c.unconfirmed, Tone::Plain),
    row("failed for certain", |c| c.failed, Tone::Plain),
    row("unclear: timed out or connection lost", |c| c.indeterminate, Tone::Plain),
    row("never taken by the client", |c| c.unsent, Tone::Plain),
];

const BECAME: &[Row] = &[
    always("delivered", |c| c.delivered, Tone::Plain),
    row("processed, then gone from the log", |c| c.vanished, Tone::Notable),
    always("lost in the cluster (acknowledged, then gone)", |c| c.lost_in_cluster, Tone::Bad),
    row("recovered (set aside, not acknowledged)", |c| c.recovered, Tone::Plain),
    row("not readable, so unknown", |c| c.unreadable, Tone::Notable),
    row("removed by retention before it was processed", |c| c.expired, Tone::Bad),
    row("superseded by compaction", |c| c.compacted, Tone::Plain),
    row("lost by the consumer (in the log, passed over)", |c| c.lost_by_consumer, Tone::Bad),
    row("in the log, not processed yet", |c| c.lagging, Tone::Notable),
    row("hidden by an open transaction", |c| c.behind_open_txn, Tone::Notable),
    always("never delivered, never acknowledged", |c| c.undelivered.total(), Tone::Bad),
    always("lost in all", |c| c.lost, Tone::Bad),
];

const FLAGS: &[Row] = &[
    row("duplicates made by Kafka", |c| c.duplicates, Tone::Notable),
    row("messages processed more than once, in all", |c| c.doubled, Tone::Notable),
    row("one record processed more than once", |c| c.redelivered, Tone::Notable),
    row("out of order", |c| c.reordered, Tone::Notable),
    row("records nobody offered", |c| c.phantom, Tone::Bad),
    row("damaged records", |c| c.corrupt, Tone::Bad),
    row("foreign or damaged records processed", |c| c.processed_foreign, Tone::Bad),
    row("acknowledged at an offset that holds another", |c| c.offset_conflicts, Tone::Notable),
    row("reported as failed, yet in the log", |c| c.failed_but_landed, Tone::Notable),
    row("processed from an aborted transaction", |c| c.aborted_reads, Tone::Bad),
    row("torn transactions", |c| c.torn_txn, Tone::Bad),
    row("jumped over by a consumer", |c| c.skips, Tone::Notable),
    row("partitions whose commit was lost", |c| c.commits_lost, Tone::Notable),
    row("set aside, yet in the log", |c| c.recovered_and_landed, Tone::Notable),
    row("put into a dead-letter topic", |c| c.dead_lettered, Tone::Notable),
];

const IN_LOG: &[Row] = &[
    always("records", |c| c.records_in_log, Tone::Plain),
    always("distinct messages", |c| c.in_log, Tone::Plain),
    row("further copies of a message", |c| c.duplicate_records, Tone::Notable),
    row("of aborted transactions, besides", |c| c.aborted_records, Tone::Notable),
];

/// One side by side with others.
struct Column<'a> {
    counts: &'a Counts,
    /// Whether what clients told is complete.
    clients: bool,
    /// Whether all that should have been read was.
    all: bool,
}

/// Whether a section's numbers of a column can be relied on.
type Sure = fn(&Column<'_>) -> bool;

/// Stands behind a number that cannot be relied on.
pub(super) const UNSURE: char = '?';

/// Profiles side by side.
pub(super) fn table(report: &Report, style: Style, width: u16) -> String {
    let mut table = grid(style, width);
    header(&mut table, &report.experiment, report.profiles.keys().map(String::as_str));
    let columns: Vec<Column<'_>> = report
        .profiles
        .values()
        .map(|profile| Column {
            counts: &profile.counts.messages,
            clients: profile.journals_complete,
            all: profile.is_complete(),
        })
        .collect();
    sections(&mut table, &columns);
    times::rows(&mut table, report);
    table.trim_fmt()
}

/// The counts of messages alone, `sure` if all that should have been read was.
pub(super) fn of_messages(title: &str, name: &str, counts: &Counts, sure: bool, style: Style, width: u16) -> String {
    let mut table = grid(style, width);
    header(&mut table, title, std::iter::once(name));
    sections(&mut table, &[Column { counts, clients: true, all: sure }]);
    table.trim_fmt()
}

fn header<'a>(table: &mut Table, title: &str, names: impl Iterator<Item = &'a str>) {
    let names = names.map(|name| Cell::new(name).set_alignment(CellAlignment::Right).add_attribute(Attribute::Bold));
    table.set_header(std::iter::once(Cell::new(title)).chain(names));
}

fn sections(table: &mut Table, columns: &[Column<'_>]) {
    let clients: Sure = |column| column.clients;
    let all: Sure = |column| column.all;
    section(table, columns, None, OFFERED, clients);
    section(table, columns, Some("What the producer was told"), TOLD, clients);
    section(table, columns, Some("What became of them"), BECAME, all);
    section(table, columns, Some("Also seen"), FLAGS, all);
    section(table, columns, Some("In the log"), IN_LOG, all);
}

pub(super) fn heading(table: &mut Table, columns: usize, title: &str) {
    let blanks = (0..columns).map(|_| Cell::new(""));
    table.add_row(std::iter::once(cell(title, Tone::Strong)).chain(blanks));
}

fn section(table: &mut Table, columns: &[Column<'_>], title: Option<&str>, rows: &[Row], sure: Sure) {
    let shown: Vec<&Row> =
        rows.iter().filter(|row| row.always || columns.iter().any(|column| (row.value)(column.counts) > 0)).collect();
    if shown.is_empty() {
        return;
    }
    if let Some(title) = title {
        heading(table, columns.len(), title);
    }
    let indent = if title.is_some() { "  " } else { "" };
    for row in shown {
        let cells = columns.iter().map(|column| {
            let value = (row.value)(column.counts);
            let tone = if value == 0 { Tone::Plain } else { row.tone };
            let mut text = thousands(value);
            if !sure(column) {
                text = format!("{UNSURE} {text}");
            }
            cell(&text, tone).set_alignment(CellAlignment::Right)
        });
        let label = Cell::new(format!("{indent}{}", row.label));
        table.add_row(std::iter::once(label).chain(cells));
    }
}
