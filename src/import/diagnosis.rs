//! What is wrong with a line that could not be read: found by looking at it field by field.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use super::row::{AtSeed, Field, Kind, STATUS, slip};
use crate::experiment::hint::{did_you_mean, one_of};

/// Characters of a value that does not fit.
const VALUE_SHOWN: usize = 40;

/// Says what is wrong with a line, and where.
pub(super) fn diagnose(file: &str, number: u64, line: &str, kind: Kind) -> Refusal {
    let at = |byte: usize, message: String| Refusal::at(file, number, line.as_bytes(), byte, message);
    let members = match serde_json::from_str::<Members<'_>>(line) {
        Ok(members) => members.0,
        Err(error) => return not_an_object(file, number, line, &error),
    };
    let place = |text: &str| offset_in(line, text);
    let mut seen: Vec<Field> = Vec::new();
    for (name, value) in &members {
        let Some(field) = kind.field(name) else { continue };
        let value = value.get();
        if seen.contains(&field) {
            return at(place(value), format!("`{name}` is given twice")).expected("the second time");
        }
        seen.push(field);
        if value != "null"
            && let Some((expected, hint)) = wrong(field, value, kind)
        {
            let shown: String = value.chars().take(VALUE_SHOWN).collect();
            let rest = if shown.len() < value.len() { "…" } else { "" };
            return at(place(value), format!("`{name}` can't be {shown}{rest}")).expected(expected).hint_if(hint);
        }
    }
    let given =
        |field: Field| members.iter().any(|(name, value)| kind.field(name) == Some(field) && value.get() != "null");
    for (name, _) in &members {
        if kind.field(name).is_none()
            && let Some(field) = slip(name, kind)
            && !seen.contains(&field)
        {
            let key = line.find(&format!("\"{name}\"")).map_or(0, |quote| quote + 1);
            return at(key, format!("`{name}` is not read"))
                .expected(format!("did you mean `{}`?", field.name()))
                .hint("rename the field; fields with names of their own are passed over");
        }
    }
    let acknowledged = members
        .iter()
        .any(|(name, value)| name == Field::Status.name() && matches!(value.get(), "\"acked\"" | "\"unconfirmed\""));
    for (field, required) in kind.fields() {
        let required = *required || (*field == Field::Partition && acknowledged);
        if required && !given(*field) {
            return missing(at(0, format!("`{}` is missing", field.name())), *field, kind, &members);
        }
    }
    at(0, "this line can't be read".to_owned()).expected(shape(kind))
}

/// A line that lacks a field: a misspelt one, or one of another kind of file.
fn missing(refusal: Refusal, field: Field, kind: Kind, members: &[(String, &RawValue)]) -> Refusal {
    let has = |name: &str| members.iter().any(|(own, _)| own == name);
    let refusal = refusal.expected(shape(kind));
    if kind == Kind::Produced && has("offset") && (has("processed") || !has("status")) && field == Field::Status {
        return refusal.hint("this looks like a record that was read: does the file belong behind --consumed?");
    }
    if kind == Kind::Consumed && has("status") {
        return refusal.hint("this looks like a producer's report: does the file belong behind --produced?");
    }
    let unknown = members.iter().map(|(name, _)| name.as_str()).filter(|name| kind.field(name).is_none());
    match crate::experiment::hint::nearest(field.name(), unknown) {
        Some(name) => refusal.hint(format!("`{name}` is not read: did you mean `{}`?", field.name())),
        None if field == Field::Partition => {
            refusal.hint("a message that was acknowledged lies in a partition: log which one")
        }
        None => refusal,
    }
}

fn not_an_object(file: &str, number: u64, line: &str, error: &serde_json::Error) -> Refusal {
    let byte = error.column().saturating_sub(1);
    if let Some(nul) = line.find('\0') {
        return Refusal::at(file, number, line.as_bytes(), nul, "a NUL byte in the text")
            .expected("here")
            .hint("is this a text file? After a crash of its host, a file may end in zeros");
    }
    if !line.trim_start().starts_with('{') {
        return Refusal::at(file, number, line.as_bytes(), line.len() - line.trim_start().len(), "not a JSON object")
            .expected("expected one JSON object a line")
            .hint("logs that stand between the lines must go elsewhere; `--schema` prints the format");
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
    Refusal::at(file, number, line.as_bytes(), byte, "this is not JSON").expected(message)
}

/// What was expected of a value that does not fit, and a hint.
fn wrong(field: Field, value: &str, kind: Kind) -> Option<(String, Option<String>)> {
    let text = value.starts_with('"');
    let number_in_text = |fits: bool| (text && fits).then(|| "write the number without quotes".to_owned());
    let unquoted = value.trim_matches('"');
    match field {
        Field::Producer | Field::Topic | Field::Group => {
            (!text).then(|| ("expected a string".to_owned(), Some(format!("put it in quotes: \"{unquoted}\""))))
        }
        Field::Seq => value.parse::<u64>().is_err().then(|| {
            (format!("expected a whole number from 0 to {}", u64::MAX), number_in_text(unquoted.parse::<u64>().is_ok()))
        }),
        Field::Partition => {
            let least = if kind == Kind::Produced { -1 } else { 0 };
            let fits = value.parse::<i32>().is_ok_and(|partition| partition >= least);
            (!fits).then(|| {
                let expected = format!("expected a whole number from 0 to {}", i32::MAX);
                (expected, number_in_text(unquoted.parse::<i32>().is_ok()))
            })
        }
        Field::Offset | Field::End => {
            let least = if kind == Kind::Produced { i64::MIN } else { 0 };
            let fits = value.parse::<i64>().is_ok_and(|offset| offset >= least);
            (!fits).then(|| {
                let expected = format!("expected a whole number from 0 to {}", i64::MAX);
                (expected, number_in_text(unquoted.parse::<i64>().is_ok()))
            })
        }
        Field::Status => {
            let words = || STATUS.iter().map(|(word, _)| *word);
            let known = text && words().any(|word| word == unquoted);
            (!known).then(|| (format!("expected {}", one_of(words())), did_you_mean(unquoted, words())))
        }
        Field::Processed => (!matches!(value, "true" | "false"))
            .then(|| ("expected true or false".to_owned(), text.then(|| "write it without quotes".to_owned()))),
        Field::At => {
            let mut json = serde_json::Deserializer::from_str(value);
            AtSeed.deserialize(&mut json).is_err().then(|| {
                let expected =
                    "expected RFC 3339, such as \"2026-11-21T10:00:00.5Z\", or whole milliseconds since 1970";
                (expected.to_owned(), None)
            })
        }
    }
}

/// An example of a line.
const fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Produced => {
            r#"expected such as {"producer":"orders-1","partition":0,"seq":17,"status":"acked","offset":4711}"#
        }
        Kind::Consumed => r#"expected such as {"producer":"orders-1","partition":0,"seq":17,"offset":4711}"#,
        Kind::Committed => r#"expected such as {"group":"billing","partition":0,"offset":4712}"#,
    }
}

/// Where a part of a text begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// The members of an object, their values as written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":-1,"status":"acked"}"#,
        "f:9:37: `seq` can't be -1", "expected a whole number from 0 to 18446744073709551615"; "negative")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":"5","status":"acked"}"#,
        "f:9:37: `seq` can't be \"5\"", "help: write the number without quotes"; "a number as text")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"sequence":5,"status":"acked"}"#,
        "f:9:1: `seq` is missing", "help: `sequence` is not read: did you mean `seq`?"; "a longer word")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partiton":0,"seq":5,"status":"failed"}"#,
        "f:9:18: `partiton` is not read", "did you mean `partition`?"; "a slip")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":5,"status":"ackd"}"#,
        "f:9:48: `status` can't be \"ackd\"", "help: did you mean `acked`?"; "a status")]
    #[test_case(Kind::Produced, r#"{"producer":"a","seq":5,"status":"acked"}"#,
        "f:9:1: `partition` is missing", "help: a message that was acknowledged lies in a partition"; "an ack of no partition")]
    #[test_case(Kind::Produced, r#"{"producer":"a","partition":0,"seq":5,"offset":3}"#,
        "f:9:1: `status` is missing", "does the file belong behind --consumed?"; "the other file")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":5,"status":"acked"}"#,
        "f:9:1: `offset` is missing", "does the file belong behind --produced?"; "the other file too")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":5,"offset":3,"processed":"no"}"#,
        "f:9:62: `processed` can't be \"no\"", "expected true or false"; "no boolean")]
    #[test_case(Kind::Consumed, r#"{"producer":"a","partition":0,"seq":5,"offset":3,"seq":6}"#,
        "f:9:56: `seq` is given twice", "the second time"; "twice")]
    #[test_case(Kind::Consumed, "{\"producer\":\"a\",\0}", "f:9:17: a NUL byte in the text", "is this a text file?"; "a NUL byte")]
    #[test_case(Kind::Consumed, "INFO started", "f:9:1: not a JSON object", "expected one JSON object a line"; "a log line")]
    #[test_case(Kind::Consumed, r#"{"producer":"a" "seq":1}"#, "f:9:17: this is not JSON", "expected `,` or `}`"; "no comma")]
    fn what_is_wrong_is_named_with_its_place(kind: Kind, line: &str, begins: &str, contains: &str) {
        let said = diagnose("f", 9, line, kind).to_string();
        assert!(said.starts_with(begins) && said.contains(contains), "{said}");
    }
}
