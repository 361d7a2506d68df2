//! What happened when, in one line each.

use lossproof_ledger::cause::{Explained, History, Sighting, Witness};
use lossproof_ledger::event::Look;
use serde::Serialize;

use crate::report::causes::at;
use crate::report::terminal::words::{brokers, thousands, whom};

/// A claim to lead that lasts no longer is news that travels.
const CLAIM_MIN_NS: u64 = 500_000_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Moment {
    /// Nanoseconds since the run's start.
    pub at_ns: u64,
    /// One clause.
    pub what: String,
}

impl Moment {
    pub fn new(at_ns: u64, what: impl Into<String>) -> Self {
        Self { at_ns, what: what.into() }
    }
}

/// Sorted by time; what happened at the same moment stays as it was told.
pub(super) fn in_order(mut moments: Vec<Moment>) -> Vec<Moment> {
    moments.sort_by_key(|moment| moment.at_ns);
    moments
}

/// Faults, and what became of a partition's leaders and logs.
pub(super) fn of_cluster(history: &History, topic: &str, partition: i32) -> Vec<Moment> {
    let mut moments = of_faults(history);
    let mut before = None;
    for seen in history.leaders_of(topic, partition) {
        let isr = format!("in sync: {}", brokers(&seen.isr));
        moments.push(Moment::new(
            seen.at_ns,
            match (seen.leader, before == Some((seen.leader, seen.epoch))) {
                (..0, _) => format!("partition {partition} has no leader"),
                (_, true) => isr,
                (leader, false) => format!("broker {leader} leads partition {partition} (epoch {}), {isr}", seen.epoch),
            },
        ));
        before = Some((seen.leader, seen.epoch));
    }
    for claim in history.claims.iter().filter(|claim| {
        (claim.topic.as_str(), claim.partition, claim.leader) == (topic, partition, claim.broker)
            && claim.last_ns - claim.first_ns >= CLAIM_MIN_NS
    }) {
        let (broker, epoch) = (claim.broker, claim.epoch);
        moments.push(Moment::new(
            claim.first_ns,
            format!(
                "broker {broker} still takes itself for the leader (epoch {epoch}), and will until {}",
                at(claim.last_ns)
            ),
        ));
    }
    for silence in &history.silences {
        moments.push(Moment::new(silence.from_ns, format!("broker {} does not answer", silence.broker)));
        if let Some(until_ns) = silence.until_ns {
            moments.push(Moment::new(until_ns, format!("broker {} answers again", silence.broker)));
        }
    }
    for seen in history.replicas_of(topic, partition) {
        let ends: Vec<String> = seen
            .held
            .iter()
            .map(|(broker, end, epoch)| {
                let epoch = epoch.map(|epoch| format!(" (epoch {epoch})")).unwrap_or_default();
                format!("of broker {broker} at {}{epoch}", count(*end))
            })
            .collect();
        // Later ones only show how the log has grown.
        if seen.look == Look::BeforeHealing && !ends.is_empty() {
            moments.push(Moment::new(seen.at_ns, format!("the logs end: {}", ends.join(", "))));
        }
    }
    for cut in history.truncations.iter().filter(|cut| (cut.topic.as_str(), cut.partition) == (topic, partition)) {
        let what = format!("broker {} truncates its log to {}, as its own log file says", cut.broker, count(cut.to));
        moments.push(Moment::new(cut.at_ns, what));
    }
    in_order(moments)
}

fn of_faults(history: &History) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (index, fault) in &history.faults {
        let kind = fault.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
        let name = format!("fault {}{kind}", index + 1);
        let Some((called, proven)) = fault.injected else { continue };
        let whom = whom(&fault.brokers, &fault.clients);
        moments.push(Moment::new(
            called,
            if fault.proven {
                format!("{name} on {whom} is called for; proven at {}", at(proven))
            } else {
                format!("{name} on {whom} is called for, and never proven")
            },
        ));
        if let Some((called, gone)) = fault.healed {
            moments.push(Moment::new(called, format!("{name} is to be healed; gone at {}", at(gone))));
        }
        if let Some(recovered) = fault.recovered_ns {
            moments.push(Moment::new(recovered, format!("the cluster has recovered from {name}")));
        }
    }
    moments
}

/// When a range was told of, held last and missed first.
pub(super) fn of_range(range: &Explained) -> Vec<Moment> {
    let name = if range.first == range.last {
        format!("message {}", thousands(range.first))
    } else {
        format!("messages {} to {}", thousands(range.first), thousands(range.last))
    };
    let mut moments = Vec::new();
    if let Some((first, last)) = range.told_ns {
        let until = if at(first) == at(last) { String::new() } else { format!(", until {}", at(last)) };
        moments.push(Moment::new(first, format!("the producer is told of {name}{until}")));
    }
    if let Some(cause) = &range.cause {
        let held = cause.held.filter(|held| !matches!(held.by, Witness::Ack { .. }));
        moments.extend(held.map(|held| Moment::new(held.at_ns, format!("{name} last seen {}", by(&held)))));
        let gone = cause.gone.filter(|gone| !matches!(gone.by, Witness::BrokerLog { .. }));
        moments.extend(gone.map(|gone| Moment::new(gone.at_ns, format!("{name} first missed {}", by(&gone)))));
    }
    moments
}

fn by(sighting: &Sighting) -> String {
    match sighting.by {
        Witness::Ack { .. } => "by an acknowledgement".to_owned(),
        Witness::ReplicaLog { broker } => format!("in the log of broker {broker}"),
        Witness::BrokerLog { broker } => format!("by broker {broker}'s own log file"),
        Witness::Audit => "by the audit".to_owned(),
    }
}

fn count(offset: i64) -> String {
    u64::try_from(offset).map_or_else(|_| offset.to_string(), thousands)
}
