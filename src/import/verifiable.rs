//! The JSON lines of Kafka's own tools: `kafka-verifiable-producer`, and `kafka-verifiable-consumer`
//! with `--verbose`.
//!
//! The producer sends the values 0, 1, 2, … in this order, each after "PREFIX." if `--value-prefix`
//! was given; the prefix is taken for the producer's name here. A line follows for each answer, an
//! error's without the partition. So whatever lies below the highest value of a report was sent, and
//! what no line reports is indeterminate.

use std::borrow::Cow;

use lossproof_ledger::category::Told;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};

use super::row::TextSeed;

/// Producer of values without a prefix.
pub(super) const NO_PREFIX: &str = "verifiable-producer";

/// What the tools call their lines, besides those that hold messages.
const OTHER_EVENTS: &[&str] =
    &["startup_complete", "tool_data", "offsets_committed", "partitions_assigned", "partitions_revoked"];

/// A line of either tool, as far as it is used.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    timestamp: i64,
    #[serde(borrow, default, deserialize_with = "text")]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    exception: Option<Cow<'a, str>>,
    partition: Option<i32>,
    offset: Option<i64>,
    count: Option<u64>,
    sent: Option<u64>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    TextSeed.deserialize(deserializer)
}

/// A message of one of the tools: whose, and which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub producer: &'a str,
    pub seq: u64,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    Success {
        value: Cow<'a, str>,
        partition: i32,
        offset: Option<i64>,
    },
    Error {
        value: Cow<'a, str>,
        told: Told,
    },
    /// A record; none: its value is `null`.
    Record {
        value: Option<Cow<'a, str>>,
        partition: i32,
        offset: i64,
    },
    /// Records handed out since the last such line, each of which `--verbose` lists before.
    Consumed {
        count: u64,
    },
    Sent {
        count: u64,
    },
    Shutdown,
    Other,
}

/// A line, and what all lines have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub event: Event<'a>,
    pub topic: Option<Cow<'a, str>>,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// Whether a line is one of the tools'.
pub(super) fn recognises(line: &str) -> bool {
    let Ok(raw) = serde_json::from_str::<Raw<'_>>(line) else { return false };
    OTHER_EVENTS.contains(&&*raw.name)
        || matches!(
            &*raw.name,
            "producer_send_success" | "producer_send_error" | "record_data" | "records_consumed" | "shutdown_complete"
        )
}

/// Reads a line.
///
/// # Errors
/// What is wrong, for people, and the byte of the line where that is known.
pub(super) fn read(line: &str) -> Result<Line<'_>, (String, usize)> {
    let raw: Raw<'_> = serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned();
        (text, error.column().saturating_sub(1))
    })?;
    let lacks = |field: &str| (format!("`{}` without `{field}`", raw.name), 0);
    let partition = || raw.partition.filter(|partition| *partition >= 0).ok_or_else(|| lacks("partition"));
    let event = match &*raw.name {
        "producer_send_success" => {
            let partition = partition()?;
            let value = raw.value.ok_or_else(|| lacks("value"))?;
            Event::Success { value, partition, offset: raw.offset }
        }
        "producer_send_error" => {
            let told = told(raw.exception.as_deref().unwrap_or_default());
            Event::Error { value: raw.value.ok_or_else(|| lacks("value"))?, told }
        }
        "record_data" => {
            let partition = partition()?;
            let offset = raw.offset.filter(|offset| *offset >= 0).ok_or_else(|| lacks("offset"))?;
            Event::Record { value: raw.value, partition, offset }
        }
        "records_consumed" => Event::Consumed { count: raw.count.ok_or_else(|| lacks("count"))? },
        "tool_data" => raw.sent.map_or(Event::Other, |count| Event::Sent { count }),
        "shutdown_complete" => Event::Shutdown,
        _ => Event::Other,
    };
    Ok(Line { event, topic: raw.topic, at_ms: raw.timestamp })
}

/// The message behind a value, `SEQ` or `PREFIX.SEQ`; none if it is no value of the tool.
pub(super) fn value(text: &str) -> Option<Value<'_>> {
    let (producer, seq) = text.rsplit_once('.').unwrap_or((NO_PREFIX, text));
    // The tool writes no sign and no needless zero; another producer's number may be anything.
    let plain = seq.bytes().all(|byte| byte.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
    let seq = plain.then(|| seq.parse().ok()).flatten()?;
    (!producer.is_empty()).then_some(Value { producer, seq })
}

/// What an exception of the Java client proves. It is given only when the client has given up, and only
/// these say that no attempt can have been appended.
fn told(exception: &str) -> Told {
    let class = exception.rsplit(['.', ' ', '$']).next().unwrap_or_default();
    match class {
        "RecordTooLargeException"
        | "InvalidRecordException"
        | "InvalidTimestampException"
        | "SerializationException"
        | "AuthorizationException"
        | "TopicAuthorizationException"
        | "ClusterAuthorizationException"
        | "TransactionalIdAuthorizationException" => Told::Failed,
        // The client had no room for it.
        "BufferExhaustedException" => Told::Unsent,
        _ => Told::Indeterminate,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("17", Some((NO_PREFIX, 17)); "no prefix")]
    #[test_case("3.17", Some(("3", 17)); "a prefix")]
    #[test_case("a.b.0", Some(("a.b", 0)); "a prefix with dots")]
    #[test_case("-1", None; "negative")]
    #[test_case("007", None; "zeros")]
    #[test_case(".5", None; "an empty prefix")]
    #[test_case("{\"order\":1}", None; "something else")]
    #[test_case("18446744073709551616", None; "too large")]
    #[test_case("", None; "nothing")]
    fn values(text: &str, expected: Option<(&str, u64)>) {
        assert_eq!(value(text).map(|value| (value.producer, value.seq)), expected);
    }

    #[test_case("class org.apache.kafka.common.errors.RecordTooLargeException", Told::Failed; "too large")]
    #[test_case("class org.apache.kafka.common.errors.TimeoutException", Told::Indeterminate; "timed out")]
    #[test_case("class org.apache.kafka.common.errors.NotLeaderOrFollowerException", Told::Indeterminate; "no leader")]
    #[test_case("class org.apache.kafka.clients.producer.BufferExhaustedException", Told::Unsent; "no room")]
    #[test_case("", Told::Indeterminate; "unknown")]
    fn exceptions(exception: &str, expected: Told) {
        assert_eq!(told(exception), expected);
    }

    #[test]
    fn only_lines_of_the_tools_are_recognised() {
        assert!(recognises(r#"{"timestamp":1795270592438,"name":"startup_complete"}"#));
        assert!(!recognises(r#"{"timestamp":1795270592438,"name":"started"}"#));
        assert!(!recognises(r#"{"producer":"a","partition":0,"seq":1,"status":"acked"}"#));
        assert!(!recognises("startup_complete"));
    }
}
