//! How long clients waited: in the whole run, and while each fault lasted.

use comfy_table::{Attribute, Cell, CellAlignment, Table};
use lossproof_ledger::availability::{Latency, Span};

use super::counts::{UNSURE, heading};
use super::grid::grid;
use super::out::Style;
use super::words::{millis, thousands};
use crate::report::model::{Effect, Fault, Profile, ProfileCounts, Report};

/// One of a latency's numbers.
type Quantile = fn(&Latency) -> f64;

/// The rows of the whole run.
pub(super) fn rows(table: &mut Table, report: &Report) {
    heading(table, report.profiles.len(), "Times");
    let mut row = |label: &str, of: &dyn Fn(&ProfileCounts) -> String| {
        let cells = report.profiles.values().map(|profile| right(sure(Some(profile), of(&profile.counts))));
        table.add_row(std::iter::once(Cell::new(format!("  {label}"))).chain(cells));
    };
    row("longest time without an ack", &|counts| {
        let at_least = counts.unavailable_at_least;
        span(counts.unavailable_ms_max.map(|ms| Span { ms, at_least }))
    });
    row("offsets the group was behind at most", &|counts| {
        counts.lag_max.map_or_else(|| NOT_MEASURED.to_owned(), thousands)
    });
    let acked: [(&str, Quantile); 4] = [
        ("half acknowledged within", |l| l.p50),
        ("99 of 100 acknowledged within", |l| l.p99),
        ("999 of 1,000 acknowledged within", |l| l.p999),
        ("slowest acknowledgement", |l| l.max),
    ];
    for (label, quantile) in acked {
        row(label, &|counts| latency(counts.ack_latency_ms.as_ref(), quantile));
    }
    let processed: [(&str, Quantile); 4] = [
        ("half processed within", |l| l.p50),
        ("99 of 100 processed within", |l| l.p99),
        ("999 of 1,000 processed within", |l| l.p999),
        ("slowest processing", |l| l.max),
    ];
    for (label, quantile) in processed {
        row(label, &|counts| latency(counts.end_to_end_ms.as_ref(), quantile));
    }
}

/// What the clients felt of a fault, profiles side by side.
pub(super) fn effects(report: &Report, index: usize, fault: &Fault, style: Style, width: u16) -> String {
    let mut table = grid(style, width);
    let names = fault.profiles.keys().map(|name| right(name.clone()).add_attribute(Attribute::Bold));
    let title = format!("while {} lasted", report.fault_name(index));
    table.set_header(std::iter::once(Cell::new(title)).chain(names));
    let mut row = |label: &str, of: &dyn Fn(&str, &Effect) -> String| {
        let cells =
            fault.profiles.iter().map(|(name, effect)| right(sure(report.profiles.get(name), of(name, effect))));
        table.add_row(std::iter::once(Cell::new(label)).chain(cells));
    };
    row("messages exposed, on affected partitions", &|name, _| {
        fault.exposure.get(name).map_or_else(String::new, |messages| thousands(*messages))
    });
    row("longest time without an ack", &|_, effect| span(effect.unavailable));
    row("messages that came due in it", &|_, effect| match effect.unavailable {
        None => NOT_MEASURED.to_owned(),
        Some(_) => thousands(effect.waited),
    });
    let quantiles: [(&str, Quantile); 2] =
        [("half acknowledged within", |l| l.p50), ("99 of 100 acknowledged within", |l| l.p99)];
    for (label, quantile) in quantiles {
        row(label, &|_, effect| latency(effect.ack_latency_ms.as_ref(), quantile));
        row("  outside all faults", &|name, _| {
            latency(report.profiles.get(name).and_then(|p| p.counts.ack_latency_quiet_ms.as_ref()), quantile)
        });
    }
    row("acknowledged again, after healing", &|_, effect| span(effect.acks_resumed));
    row("processed again, after healing", &|_, effect| span(effect.processing_resumed));
    table.trim_fmt()
}

/// Without all of the clients' journals, a time may be another.
fn sure(profile: Option<&Profile>, text: String) -> String {
    let sure = text == NOT_MEASURED || profile.is_none_or(|profile| profile.journals_complete);
    if sure { text } else { format!("{UNSURE} {text}") }
}

const NOT_MEASURED: &str = "not measured";

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn span(span: Option<Span>) -> String {
    match span {
        None => NOT_MEASURED.to_owned(),
        Some(Span { ms, at_least: true }) => format!("at least {}", millis(ms)),
        Some(Span { ms, .. }) => millis(ms),
    }
}

fn latency(latency: Option<&Latency>, quantile: Quantile) -> String {
    match latency.map(quantile) {
        None => NOT_MEASURED.to_owned(),
        Some(ms) if ms < 100.0 => format!("{ms:.1} ms"),
        Some(ms) => millis(ms.ceil() as u64),
    }
}
