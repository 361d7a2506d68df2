//! Events as sentences. What happens many times a second, and what only the judge needs, is left out.

use std::time::Duration;

use lossproof_ledger::event::{Event, EventKind, Phase, Proof};

use super::out::Tone;
use super::words;

/// Knows so much of the run as its sentences need.
#[derive(Default)]
pub(super) struct Narrator {
    started_ns: Option<u64>,
    faults: Vec<Option<Fault>>,
}

struct Fault {
    kind: String,
    whom: String,
}

/// One line for people.
pub(super) struct Line {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Line {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

impl Narrator {
    /// Time of an event since the run's start; zero for what came before.
    pub(super) fn since_start(&self, event: &Event) -> Duration {
        let start = self.started_ns.unwrap_or(event.at.boottime_ns);
        Duration::from_nanos(event.at.boottime_ns.saturating_sub(start))
    }

    /// The fault as `fault 1 (partition)`, numbered from 1 as people count.
    pub(super) fn fault(&self, index: usize) -> String {
        match self.faults.get(index) {
            Some(Some(fault)) => format!("fault {} ({})", index + 1, fault.kind),
            _ => format!("fault {}", index + 1),
        }
    }

    /// Whom the fault hits, as far as that is known.
    pub(super) fn target(&self, index: usize) -> String {
        match self.faults.get(index) {
            Some(Some(fault)) => fault.whom.clone(),
            _ => "an unresolved target".to_owned(),
        }
    }

    /// Takes note of the event, and says it if it is worth a line.
    pub(super) fn tell(&mut self, event: &Event) -> Option<Line> {
        let line = match &event.kind {
            EventKind::RunStarted { run, experiment, version } => {
                self.started_ns = Some(event.at.boottime_ns);
                self.faults.clear();
                Line::new(Tone::Strong, format!("{experiment}: run {run} (lossproof {version})"))
            }
            EventKind::PartStarted { profile, part, parts } => {
                self.faults.clear();
                Line::new(Tone::Strong, format!("part {part} of {parts}: {profile}, alone on a fresh cluster"))
            }
            EventKind::ClusterReady { image, boot_ms, brokers } => {
                let size = words::count(brokers.len() as u64, "broker", "brokers");
                let how = match boot_ms {
                    Some(ms) => format!("ready after {}", words::millis(*ms)),
                    None => "still running from the experiment before, found sound".to_owned(),
                };
                Line::new(Tone::Plain, format!("cluster {how}: {size} of {image}"))
            }
            EventKind::PhaseStarted { phase, expected_ms } => {
                let mut text = match words::meaning(*phase) {
                    Some(meaning) => format!("{phase}: {meaning}"),
                    None => phase.to_string(),
                };
                // Tear-down and judging are quick; a plan for them would only be noise.
                if let Some(ms) = expected_ms
                    && !matches!(phase, Phase::Judge | Phase::TearDown)
                {
                    text = format!("{text} ({})", words::millis(*ms));
                }
                Line::new(Tone::Strong, text)
            }
            EventKind::ClientStarted { client, pid, .. } if client.incarnation > 0 => {
                Line::new(Tone::Plain, format!("{} started, pid {pid}", client))
            }
            EventKind::ClientNotice { client, text } => Line::new(Tone::Notable, format!("{}: {text}", client)),
            EventKind::ClientEnded { client, expected: false, how } => {
                Line::new(Tone::Bad, format!("{} ended unasked: {how}", client))
            }
            EventKind::FaultResolved { fault, kind, brokers, clients, basis, same_for_all } => {
                self.resolve(*fault, kind, words::whom(brokers, clients));
                let mut text = format!("{} will hit {}: {basis}", self.fault(*fault), self.target(*fault));
                if !same_for_all {
                    text.push_str(" (not the same for all profiles, so the comparison is not fair)");
                }
                Line::new(Tone::Notable, text)
            }
            EventKind::UndoRecorded { fault, undo, .. } => {
                Line::new(Tone::Faint, format!("{} can be undone: {undo}", self.fault(*fault)))
            }
            EventKind::FaultStep { fault, text } => Line::new(Tone::Notable, format!("{}: {text}", self.fault(*fault))),
            EventKind::FaultPassedOver { fault, why } => {
                Line::new(Tone::Bad, format!("{} is passed over: {why}", self.fault(*fault)))
            }
            EventKind::FaultInjected { fault, proof, held_ms, .. } => {
                let mut line = self.proven(*fault, "injected", proof);
                if let Some(ms) = held_ms {
                    line.text = format!("{} (held for {})", line.text, words::millis(*ms));
                }
                line
            }
            EventKind::FaultHealed { fault, proof, .. } => self.proven(*fault, "healed", proof),
            EventKind::FaultRecovered { fault, reached, state } => {
                let name = self.fault(*fault);
                if *reached {
                    Line::new(Tone::Good, format!("recovered from {name}: {state}"))
                } else {
                    Line::new(Tone::Bad, format!("no recovery from {name}: {state}"))
                }
            }
            EventKind::ToolCompared { profile, tool, equal, differences } if differences.is_empty() => {
                let figures = words::count(*equal as u64, "figure", "figures");
                Line::new(Tone::Plain, format!("{profile}: {tool} tells {figures} as the brokers do"))
            }
            EventKind::ToolCompared { profile, differences, .. } => {
                Line::new(Tone::Bad, format!("{profile}: {}", differences.join("; ")))
            }
            EventKind::PartitionAudited { profile, partition, complete: false, why, .. } => Line::new(
                Tone::Bad,
                format!(
                    "{profile}: partition {partition} could not be read to its end: {}",
                    why.as_deref().unwrap_or("no reason was recorded")
                ),
            ),
            EventKind::Warning { text } => Line::new(Tone::Notable, format!("warning: {text}")),
            EventKind::Interrupted { by } => {
                Line::new(Tone::Bad, format!("interrupted by {by}: healing, then tearing down"))
            }
            EventKind::TopicCreated { .. }
            | EventKind::ClientStarted { .. }
            | EventKind::ClientProgress { .. }
            | EventKind::ClientEnded { .. }
            | EventKind::PartitionState { .. }
            | EventKind::BrokerView { .. }
            | EventKind::BrokerAnswers { .. }
            | EventKind::ReplicaLogs { .. }
            | EventKind::TopicFrozen { .. }
            | EventKind::FenceWritten { .. }
            | EventKind::GroupPosition { .. }
            | EventKind::GroupLag { .. }
            | EventKind::PartitionAudited { .. }
            | EventKind::PartitionTailed { .. }
            | EventKind::HostLoad { .. }
            | EventKind::RunEnded => return None,
        };
        Some(line)
    }

    fn resolve(&mut self, index: usize, kind: &str, whom: String) {
        if self.faults.len() <= index {
            self.faults.resize_with(index + 1, || None);
        }
        self.faults[index] = Some(Fault { kind: kind.to_owned(), whom });
    }

    fn proven(&self, fault: usize, done: &str, proof: &Proof) -> Line {
        let name = self.fault(fault);
        if proof.holds {
            Line::new(Tone::Notable, format!("{name} {done}, proven: {}", proof.summary))
        } else {
            Line::new(Tone::Bad, format!("{name} not proven to be {done}: {}", proof.summary))
        }
    }
}
