//! Profiles side by side: what was offered, what the producers were told, what became of it.

use comfy_table::{Attribute, Cell, CellAlignment, Table};
use lossproof_ledger::availability::Latency;
use lossproof_ledger::counts::Counts;

use super::grid::{cell, grid};
use super::out::{Style, Tone};
use super::words::{millis, thousands};
use crate::report::model::{Profile, Report};

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
    row("processed more than once", |c| c.redelivered, Tone::Notable),
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

/// Whether a section's numbers of a profile can be relied on.
type Sure = fn(&Profile) -> bool;

/// Stands behind a number that cannot be relied on.
pub(super) const UNSURE: char = '?';

/// Profiles side by side.
pub(super) fn table(report: &Report, style: Style, width: u16) -> String {
    let mut table = grid(style, width);
    let names = report
        .profiles
        .keys()
        .map(|name| Cell::new(name).set_alignment(CellAlignment::Right).add_attribute(Attribute::Bold));
    table.set_header(std::iter::once(Cell::new(&report.experiment)).chain(names));
    let clients: Sure = |profile| profile.journals_complete;
    let all: Sure = Profile::is_complete;
    section(&mut table, report, None, OFFERED, clients);
    section(&mut table, report, Some("What the producer was told"), TOLD, clients);
    section(&mut table, report, Some("What became of them"), BECAME, all);
    section(&mut table, report, Some("Also seen"), FLAGS, all);
    section(&mut table, report, Some("In the log"), IN_LOG, all);
    heading(&mut table, report, "Times");
    times(&mut table, report, "longest time without an ack", unavailable);
    times(&mut table, report, "half acknowledged within", |p| latency(p, |l| l.p50));
    times(&mut table, report, "99 of 100 acknowledged within", |p| latency(p, |l| l.p99));
    times(&mut table, report, "slowest acknowledgement", |p| latency(p, |l| l.max));
    table.trim_fmt()
}

fn heading(table: &mut Table, report: &Report, title: &str) {
    let blanks = report.profiles.keys().map(|_| Cell::new(""));
    table.add_row(std::iter::once(cell(title, Tone::Strong)).chain(blanks));
}

fn section(table: &mut Table, report: &Report, title: Option<&str>, rows: &[Row], sure: Sure) {
    let value = |row: &Row, profile: &Profile| (row.value)(&profile.counts.messages);
    let shown: Vec<&Row> =
        rows.iter().filter(|row| row.always || report.profiles.values().any(|p| value(row, p) > 0)).collect();
    if shown.is_empty() {
        return;
    }
    if let Some(title) = title {
        heading(table, report, title);
    }
    let indent = if title.is_some() { "  " } else { "" };
    for row in shown {
        let cells = report.profiles.values().map(|profile| {
            let value = value(row, profile);
            let tone = if value == 0 { Tone::Plain } else { row.tone };
            let mut text = thousands(value);
            if !sure(profile) {
                text = format!("{UNSURE} {text}");
            }
            cell(&text, tone).set_alignment(CellAlignment::Right)
        });
        let label = Cell::new(format!("{indent}{}", row.label));
        table.add_row(std::iter::once(label).chain(cells));
    }
}

fn times(table: &mut Table, report: &Report, label: &str, of: fn(&Profile) -> String) {
    let cells = report.profiles.values().map(|profile| Cell::new(of(profile)).set_alignment(CellAlignment::Right));
    table.add_row(std::iter::once(Cell::new(format!("  {label}"))).chain(cells));
}

fn unavailable(profile: &Profile) -> String {
    match profile.counts.unavailable_ms_max {
        None => "not measured".to_owned(),
        Some(ms) if profile.counts.unavailable_at_least => format!("at least {}", millis(ms)),
        Some(ms) => millis(ms),
    }
}

fn latency(profile: &Profile, quantile: fn(&Latency) -> f64) -> String {
    match &profile.counts.ack_latency_ms {
        None => "not measured".to_owned(),
        Some(latency) => match quantile(latency) {
            ms if ms < 100.0 => format!("{ms:.1} ms"),
            ms => millis(ms.round() as u64),
        },
    }
}
