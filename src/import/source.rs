//! What inputs of both sides have in common: their format, their topic, their time, their end.

use jiff::Timestamp;

use super::lines::{Line, Lines};
use super::refusal::Refusal;
use super::{text_of, verifiable};

/// How an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as the schemas say.
    Jsonl,
    /// The standard output of `kafka-verifiable-producer` or `kafka-verifiable-consumer --verbose`.
    KafkaVerifiable,
}

impl Format {
    /// The format of an input: as asked, or as its first line tells. That line is read again then.
    pub(super) fn of(lines: &mut Lines, asked: Option<Self>, name: &str) -> Result<Self, Refusal> {
        if let Some(asked) = asked {
            return Ok(asked);
        }
        let recognised = match lines.peek()? {
            Some(line) => text_of(name, &line).is_ok_and(verifiable::recognises),
            None => false,
        };
        Ok(if recognised { Self::KafkaVerifiable } else { Self::Jsonl })
    }
}

/// Whether a line was cut off by the end of its writer: it has no end of line, and its JSON none either.
pub(super) fn is_torn(line: &Line<'_>) -> bool {
    if line.ended || !line.bytes.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(line.bytes) {
        Ok(_) => false,
        Err(error) => error.is_eof(),
    }
}

/// From the first moment that lines name to the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    ends: Option<(Timestamp, Timestamp)>,
}

impl Period {
    pub(super) fn add(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        self.ends = Some(self.ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// First and last moment; none if no line names one.
    #[must_use]
    pub const fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        self.ends
    }
}

/// The one topic that is reconciled. Offsets of several would be mixed up.
#[derive(Debug, Clone, Default)]
pub(super) struct Topics {
    chosen: Option<String>,
    /// The topic of the lines so far.
    seen: Option<String>,
    /// Lines of other topics than the chosen one.
    pub passed_over: u64,
}

impl Topics {
    pub(super) fn new(chosen: Option<String>) -> Self {
        Self { chosen, seen: None, passed_over: 0 }
    }

    /// Whether a line counts. Lines that name no topic do.
    pub(super) fn takes(&mut self, topic: Option<&str>, name: &str, line: u64) -> Result<bool, Refusal> {
        let Some(topic) = topic else { return Ok(true) };
        if let Some(chosen) = &self.chosen {
            let takes = chosen == topic;
            self.passed_over += u64::from(!takes);
            return Ok(takes);
        }
        match &self.seen {
            Some(seen) if seen == topic => Ok(true),
            Some(seen) => Err(Refusal::at_line(
                name,
                line,
                format!("this line is of topic `{topic}`, and others are of `{seen}`"),
            )
            .hint("choose one with --topic: one topic is reconciled at a time")),
            None => {
                self.seen = Some(topic.to_owned());
                Ok(true)
            }
        }
    }
}
