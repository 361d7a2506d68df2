//! Records of dead-letter topics: the message as it was, and headers that say what became of it.

use lossproof_ledger::clock::Stamp;
use rdkafka::message::{Header, OwnedHeaders};

/// Suffix of a topic's name that makes its dead-letter topic's.
pub const SUFFIX: &str = ".dlq";

/// The same for the one that its consumers write: what is there was in the log, what is in the other was not.
pub const CONSUMER_SUFFIX: &str = ".consumer.dlq";

/// What is known of a message that is put aside. Somebody decides by this what to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// What went wrong, for people.
    pub reason: &'a str,
    /// Where it belongs.
    pub topic: &'a str,
    /// Where it belongs.
    pub partition: i32,
    /// Where it lies there, if it was read from there.
    pub offset: Option<i64>,
    /// Its sequence.
    pub sequence: Option<u64>,
    /// Its key.
    pub key: Option<&'a str>,
    /// How often it was tried.
    pub attempts: u32,
}

impl Context<'_> {
    /// As headers, with the time of this moment.
    #[must_use]
    pub fn headers(&self) -> OwnedHeaders {
        let Self { reason, topic, partition, offset, sequence, key, attempts } = *self;
        let all = [
            ("dlq.reason", Some(reason.to_owned())),
            ("dlq.topic", Some(topic.to_owned())),
            ("dlq.partition", Some(partition.to_string())),
            ("dlq.offset", offset.map(|offset| offset.to_string())),
            ("dlq.sequence", sequence.map(|sequence| sequence.to_string())),
            ("dlq.key", key.map(str::to_owned)),
            ("dlq.time", Some(Stamp::now().utc.to_string())),
            ("dlq.attempts", Some(attempts.to_string())),
        ];
        let given = all.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given.fold(OwnedHeaders::new_with_capacity(all.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn what_is_known_is_said_and_nothing_else() {
        let context = Context {
            reason: "MSG_TIMED_OUT",
            topic: "orders",
            partition: 2,
            offset: None,
            sequence: Some(17),
            key: None,
            attempts: 3,
        };
        let headers = context.headers();
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        let mut all: Vec<_> = headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect();
        let at = all.iter().position(|(name, _)| name == "dlq.time").unwrap();
        let (_, time) = all.remove(at);
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        let said: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            said,
            ["dlq.reason=MSG_TIMED_OUT", "dlq.topic=orders", "dlq.partition=2", "dlq.sequence=17", "dlq.attempts=3"]
        );
    }
}
