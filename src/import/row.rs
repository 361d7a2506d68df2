//! One JSON object of lossproof's own format, read without copying what it holds.
//!
//! Fields that are not known are passed over, unless one looks like a slip of the pen for a field
//! that the line lacks: `procesed: false` must not turn into "processed". Whatever is wrong with a
//! line is found by reading it once more, slowly (`diagnosis`).

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use lossproof_ledger::category::Told;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::de::StrRead;

/// What a file tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What producers were told.
    Produced,
    /// What consumers read.
    Consumed,
    /// Where a group stands.
    Committed,
}

/// The fields of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Producer,
    Partition,
    Seq,
    Status,
    Offset,
    At,
    Processed,
    Topic,
    Group,
    End,
}

impl Kind {
    /// The fields of a line, and whether each must be there.
    pub(super) const fn fields(self) -> &'static [(Field, bool)] {
        match self {
            Self::Produced => &[
                (Field::Producer, true),
                (Field::Partition, false),
                (Field::Seq, true),
                (Field::Status, true),
                (Field::Offset, false),
                (Field::At, false),
                (Field::Topic, false),
            ],
            Self::Consumed => &[
                (Field::Producer, true),
                (Field::Partition, true),
                (Field::Seq, true),
                (Field::Offset, true),
                (Field::Processed, false),
                (Field::At, false),
                (Field::Topic, false),
            ],
            Self::Committed => &[
                (Field::Partition, true),
                (Field::Offset, true),
                (Field::End, false),
                (Field::Group, false),
                (Field::Topic, false),
            ],
        }
    }

    pub(super) fn field(self, name: &str) -> Option<Field> {
        let field = Field::named(name)?;
        self.fields().iter().any(|(own, _)| *own == field).then_some(field)
    }
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Partition => "partition",
            Self::Seq => "seq",
            Self::Status => "status",
            Self::Offset => "offset",
            Self::At => "at",
            Self::Processed => "processed",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::End => "end",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "producer" => Self::Producer,
            "partition" => Self::Partition,
            "seq" => Self::Seq,
            "status" => Self::Status,
            "offset" => Self::Offset,
            "at" => Self::At,
            "processed" => Self::Processed,
            "topic" => Self::Topic,
            "group" => Self::Group,
            "end" => Self::End,
            _ => return None,
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The words of `status`.
pub(super) const STATUS: &[(&str, Told)] = &[
    ("acked", Told::Acked),
    ("failed", Told::Failed),
    ("indeterminate", Told::Indeterminate),
    ("unsent", Told::Unsent),
    ("unconfirmed", Told::Unconfirmed),
];

/// Values longer than this are no `at`.
const AT_BYTES_MAX: usize = 64;

/// What stood in a line. `null` counts as nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Row<'a> {
    pub producer: Option<Cow<'a, str>>,
    pub topic: Option<Cow<'a, str>>,
    pub group: Option<Cow<'a, str>>,
    pub partition: Option<i32>,
    pub seq: Option<u64>,
    pub offset: Option<i64>,
    pub end: Option<i64>,
    pub status: Option<Told>,
    pub processed: Option<bool>,
    pub at: Option<Timestamp>,
}

/// Reads lines of one kind, and remembers the unknown fields that it has met.
#[derive(Debug)]
pub(super) struct RowReader {
    kind: Kind,
    /// Unknown names, and the field that each looks like. Few; further ones are looked at anew.
    strange: Vec<(Box<str>, Option<Field>)>,
}

const STRANGE_KEPT: usize = 64;

impl RowReader {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, strange: Vec::new() }
    }

    /// Reads a line; what is wrong with it is for `diagnosis` to say.
    pub(super) fn read<'a>(&mut self, line: &'a str) -> serde_json::Result<Row<'a>> {
        let mut json = serde_json::Deserializer::new(StrRead::new(line));
        let row = RowSeed(self).deserialize(&mut json)?;
        json.end()?;
        Ok(row)
    }

    fn strange(&mut self, name: &str) -> Option<Field> {
        if let Some((_, near)) = self.strange.iter().find(|(known, _)| **known == *name) {
            return *near;
        }
        let near = slip(name, self.kind);
        if self.strange.len() < STRANGE_KEPT {
            self.strange.push((name.into(), near));
        }
        near
    }
}

/// The field for which a name is a slip: another case or separator, or a wrong letter or two in a long word. A
/// longer name, such as `processed_at`, is one of its own.
pub(super) fn slip(name: &str, kind: Kind) -> Option<Field> {
    let lower: String = name.chars().flat_map(char::to_lowercase).take(40).collect();
    let trimmed = lower.trim_matches(|c: char| !c.is_alphanumeric());
    kind.fields().iter().map(|(field, _)| *field).find(|field| {
        let known = field.name();
        let slips = match known.len() {
            0..5 => 0,
            5..9 => 1,
            _ => 2,
        };
        strsim::damerau_levenshtein(trimmed, known) <= slips
    })
}

struct RowSeed<'r>(&'r mut RowReader);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Row<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let reader = self.0;
        let kind = reader.kind;
        let mut row = Row::default();
        let (mut present, mut meant) = (0, 0);
        while let Some(key) = map.next_key_seed(KeySeed(reader))? {
            let field = match key {
                Key::Known(field) => field,
                Key::Strange(near) => {
                    meant |= near.map_or(0, Field::bit);
                    map.next_value::<serde::de::IgnoredAny>()?;
                    continue;
                }
            };
            if present & field.bit() != 0 {
                return Err(A::Error::duplicate_field(field.name()));
            }
            present |= field.bit();
            match field {
                Field::Producer => row.producer = map.next_value_seed(TextSeed)?,
                Field::Topic => row.topic = map.next_value_seed(TextSeed)?,
                Field::Group => row.group = map.next_value_seed(TextSeed)?,
                Field::Partition => row.partition = map.next_value()?,
                Field::Seq => row.seq = map.next_value()?,
                Field::Offset => row.offset = map.next_value()?,
                Field::End => row.end = map.next_value()?,
                Field::Status => row.status = map.next_value_seed(StatusSeed)?,
                Field::Processed => row.processed = map.next_value()?,
                Field::At => row.at = map.next_value_seed(AtSeed)?,
            }
        }
        if meant & !present != 0 {
            return Err(A::Error::custom("a slip"));
        }
        row.complete(kind).map_err(A::Error::custom)?;
        Ok(row)
    }
}

impl Row<'_> {
    /// Says what is missing, or can't be.
    fn complete(&self, kind: Kind) -> Result<(), &'static str> {
        let placed = self.partition.is_some_and(|partition| partition >= 0);
        let whole = match kind {
            // Where an acknowledgement came from is known; what was never acknowledged may lie anywhere.
            Kind::Produced => {
                let told_place = matches!(self.status, Some(Told::Acked | Told::Unconfirmed));
                let partition =
                    if told_place { placed } else { self.partition.is_none_or(|partition| partition >= -1) };
                self.producer.is_some() && self.seq.is_some() && self.status.is_some() && partition
            }
            Kind::Consumed => {
                let offset = self.offset.is_some_and(|offset| offset >= 0);
                self.producer.is_some() && self.seq.is_some() && placed && offset
            }
            Kind::Committed => {
                placed && self.offset.is_some_and(|offset| offset >= 0) && self.end.is_none_or(|end| end >= 0)
            }
        };
        if whole { Ok(()) } else { Err("not complete") }
    }
}

enum Key {
    Known(Field),
    Strange(Option<Field>),
}

struct KeySeed<'r>(&'r mut RowReader);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match self.0.kind.field(name) {
            Some(field) => Key::Known(field),
            None => Key::Strange(self.0.strange(name)),
        })
    }
}

/// Declares a seed for a value that may be `null`, by a visitor for what else it may be.
macro_rules! value {
    ($seed:ident, $value:ty, $expecting:literal, { $($visit:item)* }) => {
        pub(super) struct $seed;

        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = Option<$value>;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed {
            type Value = Option<$value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            $($visit)*
        }
    };
}

value!(TextSeed, Cow<'de, str>, "a string", {
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
});

value!(StatusSeed, Told, "a status", {
    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        match STATUS.iter().find(|(known, _)| *known == word) {
            Some((_, told)) => Ok(Some(*told)),
            None => Err(E::custom("unknown status")),
        }
    }
});

value!(AtSeed, Timestamp, "a time", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.len() > AT_BYTES_MAX {
            return Err(E::custom("no time"));
        }
        text.parse().map(Some).map_err(|_| E::custom("no time"))
    }

    fn visit_u64<E: Error>(self, ms: u64) -> Result<Self::Value, E> {
        i64::try_from(ms).map_err(E::custom).and_then(|ms| self.visit_i64(ms))
    }

    fn visit_i64<E: Error>(self, ms: i64) -> Result<Self::Value, E> {
        Timestamp::from_millisecond(ms).map(Some).map_err(E::custom)
    }
});

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn read<'a>(kind: Kind, line: &'a str) -> serde_json::Result<Row<'a>> {
        RowReader::new(kind).read(line)
    }

    #[test]
    fn a_line_is_read_without_copying() {
        let line = r#"{"producer":"orders-1","partition":3,"seq":18446744073709551615,"status":"acked","offset":7}"#;
        let row = read(Kind::Produced, line).unwrap();
        assert!(matches!(row.producer, Some(Cow::Borrowed("orders-1"))));
        assert_eq!((row.partition, row.seq, row.offset), (Some(3), Some(u64::MAX), Some(7)));
        assert_eq!(row.status, Some(Told::Acked));
    }

    #[test_case(r#""2026-11-21T10:00:00Z""#; "UTC")]
    #[test_case(r#""2026-11-21T11:00:00+01:00""#; "an offset")]
    #[test_case("1795255200000"; "milliseconds")]
    fn times(at: &str) {
        let line = format!(r#"{{"producer":"a","partition":0,"seq":1,"offset":2,"at":{at}}}"#);
        let row = read(Kind::Consumed, &line).unwrap();
        assert_eq!(row.at.unwrap().to_string(), "2026-11-21T10:00:00Z");
    }

    #[test_case(Kind::Produced, r#"{"producer":"a","seq":1,"status":"failed"}"#; "it may lie anywhere")]
    #[test_case(Kind::Produced, r#"{"producer":"a","seq":1,"status":"failed","partition":-1,"offset":-1}"#; "as clients say it")]
    #[test_case(Kind::Produced, r#"{"producer":"a","seq":1,"status":"unconfirmed","partition":0,"topic":null}"#; "null")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":2,"key":{"deep":[1,{}]}}"#; "unknown fields")]
    #[test_case(Kind::Consumed, r#" {"producer":"\u00e9","partition":0,"seq":1,"offset":2} "#; "escapes and spaces")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":2,"processed_at":"x"}"#; "a longer name is no slip")]
    #[test_case(Kind::Committed, r#"{"partition":0,"offset":2,"group":"g","end":9}"#; "a commit")]
    fn good_lines(kind: Kind, line: &str) {
        read(kind, line).unwrap();
    }

    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":-1,"status":"acked"}"#; "negative sequence")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":1.0,"status":"acked"}"#; "fraction")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":18446744073709551616,"status":"acked"}"#; "too large")]
    #[test_case(Kind::Produced, r#"{"producer":"a","seq":1,"status":"acked"}"#; "acknowledged nowhere")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":1,"status":"ok"}"#; "unknown status")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":1,"seq":2,"status":"acked"}"#; "twice")]
    #[test_case(Kind::Produced, r#"{"producer":7,"partition":0,"seq":1,"status":"acked"}"#; "no string")]
    #[test_case(Kind::Produced, r#"["a"]"#; "no object")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":1,"status":"acked"} x"#; "more")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1}"#; "no offset")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":-1}"#; "negative offset")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":1,"at":"yesterday"}"#; "no time")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":1,"procesed":false}"#; "a slip")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":1,"offset":1,"Processed":false}"#; "another case")]
    #[test_case(Kind::Committed, r#"{"partition":0}"#; "no committed offset")]
    fn bad_lines(kind: Kind, line: &str) {
        read(kind, line).unwrap_err();
    }
}
