//! What stands below the table of a judged run: sums, faults, verdict.

use lossproof_ledger::counts::Counts;
use lossproof_ledger::event::Proof;
use lossproof_ledger::gaps::Score;

use super::counts::UNSURE;
use super::grid::verdict_word;
use super::out::{Style, Tone};
use super::times;
use super::words::{self, millis, thousands};
use super::{ablations, causes};
use crate::report::model::{Fault, Profile, Report};

/// What stands below a number that can't be relied on.
pub(super) fn unsure() -> String {
    format!("{UNSURE} not all that happened could be read, so that this number may be another")
}

/// Line by line; the last says what is `stored`.
pub(super) fn lines(report: &Report, stored: String, style: Style, width: u16) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.profiles.values().all(Profile::is_complete) {
        lines.push(unsure());
    }
    let longest = report.profiles.keys().map(String::len).max().unwrap_or(0);
    for (name, profile) in &report.profiles {
        let [messages, records] = identities(&profile.counts.messages);
        lines.push(format!("{name:longest$}  balanced: {messages}"));
        lines.push(format!("{:longest$}  balanced: {records}", ""));
        lines.extend(profile.gaps.as_ref().map(|score| format!("{:longest$}  gap detection: {}", "", gaps(score))));
    }
    lines.extend(causes::lines(report));
    lines.extend(ablations::lines(report, style));
    for (index, fault) in report.faults.iter().enumerate() {
        lines.push(String::new());
        self::fault(&mut lines, report, index, fault, style);
        if fault.proof.injected.is_some() {
            lines.push(times::effects(report, index, fault, style, width));
        }
    }
    if !report.notes.is_empty() {
        lines.push(String::new());
        lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    }
    lines.push(String::new());
    lines.push(verdict(report, style));
    lines.extend(report.reasons.iter().map(|reason| format!("  - {}", reason.text)));
    lines.push(stored);
    lines
}

/// Both sums with the numbers that make them up, zeros left away.
pub(super) fn identities(counts: &Counts) -> [String; 2] {
    let told = sum(&[
        (counts.acked, "acknowledged"),
        (counts.unconfirmed, "unconfirmed"),
        (counts.failed, "failed"),
        (counts.indeterminate, "unclear"),
        (counts.unsent, "unsent"),
    ]);
    let became = sum(&[
        (counts.delivered, "delivered"),
        (counts.vanished, "vanished"),
        (counts.lost_in_cluster, "lost in the cluster"),
        (counts.recovered, "recovered"),
        (counts.unreadable, "unreadable"),
        (counts.expired, "expired"),
        (counts.compacted, "compacted"),
        (counts.lost_by_consumer, "lost by the consumer"),
        (counts.lagging, "lagging"),
        (counts.behind_open_txn, "behind an open transaction"),
        (counts.undelivered.total(), "undelivered"),
    ]);
    let records = sum(&[
        (counts.in_log, "distinct"),
        (counts.duplicate_records, "copies"),
        (counts.phantom, "phantom"),
        (counts.corrupt, "corrupt"),
    ]);
    [
        format!("offered {} = {told} = {became}", thousands(counts.offered)),
        format!("records in the log {} = {records}", thousands(counts.records_in_log)),
    ]
}

/// How good gap detection was.
fn gaps(score: &Score) -> String {
    let Score { found, missed, missed_at_end, false_alarms, withdrawn } = *score;
    format!(
        "{} of {} lost messages found, {} missed ({} of these at the end of their stream); {} taken for lost that were \
         not, {} that were only late",
        thousands(found),
        thousands(found + missed),
        thousands(missed),
        thousands(missed_at_end),
        thousands(false_alarms),
        thousands(withdrawn)
    )
}

fn sum(parts: &[(u64, &str)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{} {name}", thousands(*number)))
        .collect();
    if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
}

fn fault(lines: &mut Vec<String>, report: &Report, index: usize, fault: &Fault, style: Style) {
    let target = match &fault.target {
        Some(target) => format!("{} ({})", words::whom(&target.brokers, &target.clients), target.basis),
        None => "never fired".to_owned(),
    };
    let title = format!("{}: {}, {target}", report.fault_name(index), fault.kind);
    lines.push(style.paint(Tone::Strong, &title));
    let at = |moment: Option<jiff::Timestamp>| match moment {
        None => "never".to_owned(),
        Some(moment) => {
            let since = moment.duration_since(report.started_at).unsigned_abs();
            words::offset(since)
        }
    };
    let proven = |done: &str, proof: &Option<Proof>, moment| match proof {
        None => format!("  never {done}"),
        Some(Proof { holds: true, summary, .. }) => {
            format!("  {} {done}, proven: {summary}", at(moment))
        }
        Some(Proof { summary, .. }) => {
            let text = format!("  {} not proven to be {done}: {summary}", at(moment));
            style.paint(Tone::Bad, &text)
        }
    };
    lines.push(proven("injected", &fault.proof.injected, fault.injected_at));
    if fault.proof.injected.is_none() {
        return;
    }
    lines.push(proven("healed", &fault.proof.healed, fault.healed_at));
    lines.push(match (&fault.proof.recovered, fault.recovered_at) {
        (Some(state), Some(_)) => {
            let after = fault.recovered_after_ms.map(|ms| format!(", {} after healing", millis(ms)));
            format!("  {} recovered{}: {state}", at(fault.recovered_at), after.unwrap_or_default())
        }
        (Some(state), None) => style.paint(Tone::Bad, &format!("  not recovered: {state}")),
        (None, _) => "  recovery was not awaited".to_owned(),
    });
}

fn verdict(report: &Report, style: Style) -> String {
    let (tone, word) = verdict_word(report.verdict);
    format!("{}  {} ({})", style.paint(tone, word), report.experiment, millis(report.duration_ms))
}
