//! What `events.ndjson` tells of a run, gathered for the judge.

use indexmap::IndexMap;
use lossproof_ledger::cause;
use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::{Behind, ClientId, CommittedRead, Event, EventKind, Phase, Proof, Role};
use lossproof_ledger::reconcile::{Audit, CommittedPass, Position, Tail};

/// File of events in a run directory.
pub const EVENTS: &str = "events.ndjson";

/// A run as its events tell it.
#[derive(Debug)]
pub(super) struct History {
    pub(super) run: String,
    pub(super) version: String,
    pub(super) started: Stamp,
    /// Time of the last event.
    pub(super) last_ns: u64,
    pub(super) drain_ns: Option<u64>,
    /// Beginning of the tear-down, which is no part of what is judged.
    pub(super) tear_down_ns: Option<u64>,
    pub(super) image: Option<String>,
    pub(super) boot_ms: Option<u64>,
    pub(super) phase: Option<Phase>,
    pub(super) topics: IndexMap<String, Topic>,
    pub(super) clients: Vec<Client>,
    /// By index in the experiment.
    pub(super) faults: IndexMap<usize, FaultHistory>,
    pub(super) leadership: Vec<Leadership>,
    /// Shares of busy processors, in order.
    pub(super) host_busy: Vec<f64>,
    pub(super) warnings: Vec<String>,
    pub(super) interrupted: Option<String>,
    pub(super) ended: bool,
    /// What causes are found by.
    pub(super) causes: cause::History,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) audits: IndexMap<i32, Audit>,
    /// Of partitions that were followed without a gap.
    pub(super) tails: IndexMap<i32, Tail>,
    pub(super) positions: IndexMap<i32, Position>,
    /// The most that the group was seen behind in all; none if nobody looked.
    pub(super) lag_max: Option<u64>,
    /// Kafka's own tools that were asked, with the number of figures that they told alike.
    pub(super) compared: Vec<(String, usize)>,
    /// What they told otherwise.
    pub(super) contradicted: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) ended_ns: Option<u64>,
    /// How it ended, where nobody had asked for it.
    pub(super) unasked: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct FaultHistory {
    pub(super) kind: Option<String>,
    pub(super) brokers: Vec<i32>,
    pub(super) clients: Vec<String>,
    pub(super) basis: String,
    pub(super) same_for_all: Option<bool>,
    pub(super) passed_over: Option<String>,
    pub(super) injected: Option<Change>,
    pub(super) healed: Option<Change>,
    pub(super) recovered: Option<Recovered>,
}

/// A change of the world: the call, and the proof.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) called_ns: u64,
    pub(super) proven_ns: u64,
    pub(super) proof: Proof,
}

#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) reached: bool,
    pub(super) at_ns: u64,
    pub(super) state: String,
}

/// Who leads a partition from a moment on.
#[derive(Debug)]
pub(super) struct Leadership {
    pub(super) at_ns: u64,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) leader: i32,
    pub(super) isr: Vec<i32>,
}

impl History {
    /// What events tell; none if the first is not the start of a run.
    pub(super) fn of(events: Vec<Event>) -> Option<Self> {
        let mut events = events.into_iter();
        let first = events.next()?;
        let Event { at, kind: EventKind::RunStarted { run, version, .. } } = first.clone() else { return None };
        let mut history = Self {
            run,
            version,
            started: at,
            last_ns: at.boottime_ns,
            drain_ns: None,
            tear_down_ns: None,
            image: None,
            boot_ms: None,
            phase: None,
            topics: IndexMap::new(),
            clients: Vec::new(),
            faults: IndexMap::new(),
            leadership: Vec::new(),
            host_busy: Vec::new(),
            warnings: Vec::new(),
            interrupted: None,
            ended: false,
            causes: cause::History::default(),
        };
        history.causes.add(&first);
        for event in events {
            history.causes.add(&event);
            history.add(event);
        }
        Some(history)
    }

    /// End of what is judged: tear-down is not.
    pub(super) fn end_ns(&self) -> u64 {
        self.tear_down_ns.unwrap_or(self.last_ns)
    }

    /// When producers were told to offer no more.
    pub(super) fn offering_ended_ns(&self) -> u64 {
        self.drain_ns.unwrap_or(self.end_ns())
    }

    /// When the last producer of a profile was seen to have ended; the run's end if one never was.
    pub(super) fn producers_ended_ns(&self, profile: &str) -> u64 {
        self.clients
            .iter()
            .filter(|client| client.id.profile == profile && client.id.role == Role::Producer)
            .map(|client| client.ended_ns.unwrap_or(self.end_ns()))
            .max()
            .unwrap_or(self.end_ns())
    }

    fn add(&mut self, event: Event) {
        let at_ns = event.at.boottime_ns;
        self.last_ns = self.last_ns.max(at_ns);
        match event.kind {
            EventKind::ClusterReady { image, boot_ms, .. } => {
                self.image = Some(image);
                self.boot_ms = boot_ms;
            }
            EventKind::PhaseStarted { phase, .. } => {
                self.phase = Some(phase);
                match phase {
                    Phase::Drain => self.drain_ns = Some(at_ns),
                    Phase::TearDown => self.tear_down_ns = Some(at_ns),
                    _ => {}
                }
            }
            EventKind::TopicCreated { profile, topic, partitions } => {
                let topic = Topic {
                    name: topic,
                    partitions,
                    audits: IndexMap::new(),
                    tails: IndexMap::new(),
                    positions: IndexMap::new(),
                    lag_max: None,
                    compared: Vec::new(),
                    contradicted: Vec::new(),
                };
                self.topics.insert(profile, topic);
            }
            EventKind::ClientStarted { client, .. } => {
                self.clients.push(Client { id: client, ended_ns: None, unasked: None })
            }
            EventKind::ClientEnded { client, expected, how } => {
                let started = self.clients.iter_mut().rev().find(|c| c.id == client);
                if let Some(started) = started {
                    started.ended_ns = Some(at_ns);
                    started.unasked = (!expected).then_some(how);
                }
            }
            EventKind::FaultResolved { fault, kind, brokers, clients, basis, same_for_all } => {
                let history = self.faults.entry(fault).or_default();
                history.kind = Some(kind);
                history.brokers = brokers;
                history.clients = clients;
                history.basis = basis;
                history.same_for_all = Some(same_for_all);
            }
            EventKind::FaultPassedOver { fault, why } => {
                self.faults.entry(fault).or_default().passed_over = Some(why);
            }
            EventKind::FaultInjected { fault, called_at, proof, .. } => {
                self.faults.entry(fault).or_default().injected =
                    Some(Change { called_ns: called_at.boottime_ns, proven_ns: at_ns, proof });
            }
            EventKind::FaultHealed { fault, called_at, proof } => {
                self.faults.entry(fault).or_default().healed =
                    Some(Change { called_ns: called_at.boottime_ns, proven_ns: at_ns, proof });
            }
            EventKind::FaultRecovered { fault, reached, state } => {
                self.faults.entry(fault).or_default().recovered = Some(Recovered { reached, at_ns, state });
            }
            EventKind::PartitionState { topic, partition, leader, isr, .. } => {
                self.leadership.push(Leadership { at_ns, topic, partition, leader, isr })
            }
            EventKind::GroupPosition { profile, partition, position: offset, source } => {
                if let Some(topic) = self.topics.get_mut(&profile) {
                    topic.positions.insert(partition, Position { offset, source });
                }
            }
            EventKind::GroupLag { profile, partitions } => {
                if let Some(topic) = self.topics.get_mut(&profile) {
                    topic.lag_max = topic.lag_max.max(Some(partitions.iter().map(Behind::lag).sum()));
                }
            }
            EventKind::ToolCompared { profile, tool, equal, differences } => {
                if let Some(topic) = self.topics.get_mut(&profile) {
                    topic.compared.push((tool, equal));
                    topic.contradicted.extend(differences);
                }
            }
            EventKind::PartitionAudited { profile, partition, complete, log_start, attempt, why, committed } => {
                let committed =
                    committed.map(|CommittedRead { complete, open_from }| CommittedPass { complete, open_from });
                let audit = Audit { attempt, complete, log_start, committed, tail: None };
                if let Some(topic) = self.topics.get_mut(&profile) {
                    topic.audits.insert(partition, audit);
                }
                if let Some(why) = why
                    && !complete
                {
                    self.warnings
                        .push(format!("partition {partition} of {profile} could not be read to its end: {why}"));
                }
            }
            EventKind::PartitionTailed { profile, partition, from, position, reset, keys } => {
                let tail = Tail { from, position, keys };
                match (reset, self.topics.get_mut(&profile)) {
                    (None, Some(topic)) => drop(topic.tails.insert(partition, tail)),
                    (Some(why), _) => self.warnings.push(format!(
                        "the log of partition {partition} of {profile} could not be followed beyond offset {position}: \
                         {why}"
                    )),
                    (None, None) => {}
                }
            }
            EventKind::HostLoad { busy } => self.host_busy.push(busy),
            EventKind::Warning { text } => self.warnings.push(text),
            EventKind::Interrupted { by } => self.interrupted = Some(by),
            EventKind::RunEnded => self.ended = true,
            EventKind::RunStarted { .. }
            | EventKind::PartStarted { .. }
            | EventKind::ClientProgress { .. }
            | EventKind::ClientNotice { .. }
            | EventKind::UndoRecorded { .. }
            | EventKind::FaultStep { .. }
            | EventKind::BrokerView { .. }
            | EventKind::BrokerAnswers { .. }
            | EventKind::ReplicaLogs { .. }
            | EventKind::TopicFrozen { .. }
            | EventKind::FenceWritten { .. } => {}
        }
    }
}

/// One event a line. A run that was killed may have left its last line unfinished; then what stands
/// before it is the run.
pub(super) fn parse(text: &[u8]) -> Result<(Vec<Event>, bool), (usize, serde_json::Error)> {
    let mut events = Vec::new();
    let mut lines = text.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            // Only a line without its end of line may be unfinished.
            Err(_) if lines.peek().is_none() => return Ok((events, true)),
            Err(error) => return Err((index + 1, error)),
        }
    }
    Ok((events, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"at":{"boottime_ns":1,"utc":"2026-11-21T10:00:00Z"},"event":"run_ended"}"#;

    #[test]
    fn a_last_line_that_was_cut_off_is_left_out_and_noted() {
        let text = format!("{WHOLE}\n{WHOLE}\n{}", &WHOLE[..40]);
        let (events, torn) = parse(text.as_bytes()).unwrap();
        assert_eq!((events.len(), torn), (2, true));
    }

    #[test]
    fn a_whole_last_line_counts_with_or_without_its_end_of_line() {
        for text in [WHOLE.to_owned(), format!("{WHOLE}\n")] {
            let (events, torn) = parse(text.as_bytes()).unwrap();
            assert_eq!((events.len(), torn), (1, false));
        }
    }

    #[test]
    fn damage_before_the_last_line_is_an_error_with_its_place() {
        let text = format!("{WHOLE}\nnonsense\n{WHOLE}\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err().0, 2);
        let text = format!("{WHOLE}\nnonsense\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err().0, 2);
    }
}
