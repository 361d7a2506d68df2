//! One message through all journals of its profile.

use std::collections::BTreeSet;

use lossproof_ledger::category::Told;
use lossproof_ledger::cause::History;
use lossproof_ledger::journal::Source;
use lossproof_ledger::reconcile::StreamId;
use lossproof_ledger::record::{Content, Identity, Record};

use super::ExplainError;
use super::moments::Moment;
use crate::report::causes::error_name;
use crate::report::judge::Examined;
use crate::report::terminal::words::{millis, process, thousands};

/// What was observed of one message.
#[derive(Debug, Default)]
pub(super) struct Life {
    due_ns: Option<u64>,
    told: Vec<Report>,
    /// Offset and leader epoch of each copy that the audit read.
    copies: BTreeSet<(i64, Option<i32>)>,
    /// When, which member in which incarnation, and what it did at which offset.
    consumed: Vec<(u64, (u16, u16), Step, i64)>,
}

#[derive(Debug)]
struct Report {
    at_ns: u64,
    attempt: u16,
    told: Told,
    offset: Option<i64>,
    error: i32,
    broker: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Polled,
    Processed,
    /// Its side effect was made, by whichever member.
    Held,
    Committed,
}

impl Life {
    /// Reads the journals of a profile, twice: at which offsets the message lies decides which polls and commits
    /// were of it.
    ///
    /// # Errors
    /// If a journal can't be read.
    pub fn read(run: &Examined, profile: &str, stream: StreamId, sequence: u64) -> Result<Self, ExplainError> {
        let mut life = Self::default();
        for source in run.journals.sources(profile) {
            if let Source::Producer { stream: pace, .. } = source
                && (pace.producer, pace.partition) == (stream.producer, stream.partition)
                // Of the incarnations, in their order, the last that begins at or before it.
                && pace.first <= sequence
            {
                life.due_ns = Some(pace.intended_ns(sequence));
            }
        }
        let is_it = |identity: &Identity| {
            (identity.producer, identity.partition, identity.sequence) == (stream.producer, stream.partition, sequence)
        };
        let mut offsets = BTreeSet::new();
        run.journals.each(profile, &mut |source, record| match (source, record) {
            (Source::Audit, Record::Audited { offset, leader_epoch, content: Content::Message(message), .. })
                if is_it(message) =>
            {
                life.copies.insert((*offset, *leader_epoch));
                offsets.insert(*offset);
            }
            (Source::Producer { stream: own, .. }, Record::Told { partition, sequence: of, .. })
                if (own.producer, *partition, *of) == (stream.producer, stream.partition, sequence) =>
            {
                life.told.extend(Report::of(record));
            }
            (
                Source::Consumer { member, incarnation },
                Record::Processed { offset, identity: Some(identity), at_ns, .. },
            ) if is_it(identity) => {
                life.consumed.push((*at_ns, (member, incarnation), Step::Processed, *offset));
                offsets.insert(*offset);
            }
            (Source::Effects, Record::Processed { offset, identity: Some(identity), at_ns, .. }) if is_it(identity) => {
                life.consumed.push((*at_ns, (0, 0), Step::Held, *offset));
                offsets.insert(*offset);
            }
            _ => {}
        })?;
        if offsets.is_empty() {
            return Ok(life);
        }
        let mut committed = BTreeSet::new();
        run.journals.each(profile, &mut |source, record| {
            let Source::Consumer { member, incarnation } = source else { return };
            match *record {
                Record::Polled { partition, offset, at_ns }
                    if partition == stream.partition && offsets.contains(&offset) =>
                {
                    life.consumed.push((at_ns, (member, incarnation), Step::Polled, offset));
                }
                // The first of each process that is beyond it.
                Record::Committed { partition, offset, ok: true, at_ns }
                    if partition == stream.partition
                        && offsets.iter().any(|lies| *lies < offset)
                        && committed.insert((member, incarnation)) =>
                {
                    life.consumed.push((at_ns, (member, incarnation), Step::Committed, offset));
                }
                _ => {}
            }
        })?;
        life.consumed.sort_unstable();
        Ok(life)
    }

    /// The best that the producer was told.
    pub fn told(&self) -> Option<Told> {
        self.told.iter().map(|report| report.told).max()
    }

    pub fn is_in_log(&self) -> bool {
        !self.copies.is_empty()
    }

    /// Its life, a line each.
    pub fn moments(&self, history: &History) -> Vec<Moment> {
        let mut moments = Vec::new();
        moments.extend(self.due_ns.map(|due| Moment::new(history.since_start(due), "→ it is due to be sent")));
        for report in &self.told {
            let after = self.due_ns.map(|due| report.at_ns.saturating_sub(due) / 1_000_000);
            let after = after.map(|ms| format!(", {} after it was due", millis(ms))).unwrap_or_default();
            moments.push(Moment::new(history.since_start(report.at_ns), format!("→ {}{after}", report.sentence())));
        }
        for (at_ns, (member, incarnation), step, offset) in &self.consumed {
            let (member, offset) = (process(*member, *incarnation), count(*offset));
            let what = match step {
                Step::Polled => format!("→ member {member} is handed it (offset {offset})"),
                Step::Processed => format!("→ member {member} has processed it (offset {offset})"),
                Step::Held => format!("→ its side effect is there (read at offset {offset})"),
                Step::Committed => format!("→ member {member} commits offset {offset}, beyond it"),
            };
            moments.push(Moment::new(history.since_start(*at_ns), what));
        }
        moments
    }

    /// What the audit says of it.
    pub fn audited(&self) -> String {
        let copies: Vec<String> = self
            .copies
            .iter()
            .map(|(offset, epoch)| {
                let epoch = epoch.map(|epoch| format!(" (epoch {epoch})")).unwrap_or_default();
                format!("{}{epoch}", count(*offset))
            })
            .collect();
        match copies.as_slice() {
            [] => "The audit did not find it in the log.".to_owned(),
            [one] => format!("The audit found it at offset {one}."),
            several => format!("The audit found {} copies of it, at offsets {}.", several.len(), several.join(", ")),
        }
    }
}

impl Report {
    fn of(record: &Record) -> Option<Self> {
        let Record::Told { attempt, told, offset, error, broker, at_ns, .. } = *record else { return None };
        Some(Self { at_ns, attempt, told, offset, error, broker })
    }

    fn sentence(&self) -> String {
        let by = self.broker.map(|broker| format!(" by broker {broker}")).unwrap_or_default();
        let at = self.offset.map(|offset| format!(" at offset {}", count(offset))).unwrap_or_default();
        let why = if self.error == 0 { String::new() } else { format!(": {}", error_name(self.error)) };
        let attempt = if self.attempt == 0 { String::new() } else { format!(" (attempt {})", self.attempt + 1) };
        let what = match self.told {
            Told::Acked => format!("it is acknowledged{by}{at}"),
            Told::Unconfirmed => "it is sent, and nobody is asked to acknowledge it (acks=0)".to_owned(),
            Told::Failed => format!("it is refused for certain{by}{why}"),
            Told::Indeterminate if self.error == 0 => "the client ends without a word on it".to_owned(),
            Told::Indeterminate => format!("the client gives it up, and may have sent it{by}{why}"),
            Told::Unsent => format!("the client does not take it{why}"),
        };
        format!("{what}{attempt}")
    }
}

fn count(offset: i64) -> String {
    u64::try_from(offset).map_or_else(|_| offset.to_string(), thousands)
}
