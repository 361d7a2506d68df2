//! Records of a topic of results: what a consumer made of a message. The record carries the message as it was, and a
//! header that says of which record of the topic before it the result is.

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

/// Suffix of a topic's name that makes the name of its results' topic.
pub const SUFFIX: &str = ".results";

/// Name of the header: offset, and CLOCK_BOOTTIME of the processing in ns, as decimal numbers with a blank between them.
const HEADER: &str = "lossproof-result-of";

/// Of which record a result is, in the same partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultOf {
    /// Its offset.
    pub offset: i64,
    /// When it was processed, CLOCK_BOOTTIME.
    pub at_ns: u64,
}

impl ResultOf {
    /// As a header.
    pub(super) fn headers(self) -> OwnedHeaders {
        let Self { offset, at_ns } = self;
        OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(&format!("{offset} {at_ns}")) })
    }

    /// Of a record that was read; none if it is no result.
    #[must_use]
    pub fn of(message: &BorrowedMessage<'_>) -> Option<Self> {
        let header = message.headers()?.iter().find(|header| header.key == HEADER)?;
        Self::parse(header.value?)
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (offset, at_ns) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { offset: offset.parse().ok()?, at_ns: at_ns.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let result = ResultOf { offset: 17, at_ns: u64::MAX };
        let headers = result.headers();
        let written = headers.get(0);
        assert_eq!((written.key, ResultOf::parse(written.value.unwrap())), (HEADER, Some(result)));
        for wrong in [&b""[..], b"17", b"17 ", b"17 -1", b"a 1", b"17 1 1", b"\xff 1"] {
            assert_eq!(ResultOf::parse(wrong), None, "{wrong:?}");
        }
    }
}
