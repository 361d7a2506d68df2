//! What a scalar means: durations, rates, numbers, words and bounds. Pure; the caller knows the place.

use std::time::Duration;

use semver::VersionReq;

use super::hint::{did_you_mean, one_of};
use super::metric::{Metric, Unit};
use super::{Comparison, Word};

/// Why a text can't be taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// What may stand there.
    pub expected: String,
    /// What to do, if more is known.
    pub hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { message: message.into(), expected: expected.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Longer is a slip: `5M` means five months.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration such as `20s`, `1m 30s` or `500ms`.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = |message: String| Wrong::new(message, "expected a duration such as `20s`, `500ms` or `1m 30s`");
    let value = humantime::parse_duration(text).map_err(|_| {
        let wrong = wrong(format!("`{text}` is not a duration"));
        match text.trim().parse::<f64>() {
            Ok(number) if number >= 0.0 => wrong.hint(format!("give the unit: `{}s`", text.trim())),
            Ok(_) => wrong.hint("a duration can't be negative"),
            Err(_) => wrong.hint("units are `ms`, `s`, `m` and `h`"),
        }
    })?;
    if value > MAX_DURATION {
        let wrong = wrong(format!("`{text}` is longer than a day"));
        return Err(if text.contains('M') { wrong.hint("`M` means months, `m` minutes") } else { wrong });
    }
    if value.subsec_nanos() % 1_000_000 != 0 {
        return Err(wrong(format!("`{text}` is finer than a millisecond")));
    }
    Ok(value)
}

/// A phrase for a cell of a table.
pub fn phrase(text: &str) -> Result<String, Wrong> {
    const MAX: usize = 120;
    let phrase = text.trim();
    let expected = format!("expected a phrase: one line of at most {MAX} characters");
    if phrase.is_empty() {
        return Err(Wrong::new("there are no words", expected).hint("leave the key out if there is nothing to say"));
    }
    if phrase.contains('\n') || phrase.chars().count() > MAX {
        return Err(Wrong::new("too long for a table", expected).hint("`summary` may tell the story"));
    }
    Ok(phrase.to_owned())
}

/// A range of versions, such as `>=4.0`.
pub fn versions(text: &str) -> Result<VersionReq, Wrong> {
    VersionReq::parse(text).map_err(|error| {
        Wrong::new(format!("`{text}` is not a range of versions"), "expected such as `>=4.0` or `>=3.9, <4`")
            .hint(error.to_string())
    })
}

/// Messages a second, such as `2000/s`.
pub fn rate(text: &str) -> Result<f64, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is not a rate"), "expected messages a second, such as `2000/s`");
    let number = text.strip_suffix("/s").map(str::trim);
    let Some(value) = number.and_then(decimal) else {
        return Err(match decimal(text.trim()) {
            Some(_) => wrong().hint(format!("give the unit: `{}/s`", text.trim())),
            None => wrong(),
        });
    };
    if !(0.01..=1e6).contains(&value) {
        return Err(wrong().hint("it must lie between 0.01/s and 1000000/s"));
    }
    Ok(value)
}

/// Plain decimals only: Rust would also take `inf`, `nan` and `1e3`.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

/// A whole number from `least` to `most`.
pub fn integer<T>(text: &str, what: &str, least: T, most: T) -> Result<T, Wrong>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = if text.chars().all(|c| c.is_ascii_digit()) { text.parse::<T>().ok() } else { None };
    value.filter(|value| (&least..=&most).contains(&value)).ok_or_else(|| {
        Wrong::new(
            format!("`{text}` is not a possible {what}"),
            format!("expected a whole number from {least} to {most}"),
        )
    })
}

/// A share such as `50%`, in whole per cent.
pub fn percent(text: &str) -> Result<u8, Wrong> {
    let number = text.strip_suffix('%').map(str::trim_end).and_then(|number| number.parse::<u8>().ok());
    number.filter(|number| (1..=100).contains(number)).ok_or_else(|| {
        let wrong = Wrong::new(format!("`{text}` is not a possible share"), "expected `all`, or `1%` to `100%`");
        match text.parse::<u8>() {
            Ok(number @ 1..=100) => wrong.hint(format!("write `{number}%`")),
            _ => wrong,
        }
    })
}

/// A topic's name as Kafka allows it.
pub fn topic(text: &str) -> Result<String, Wrong> {
    let fits = (1..=249).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !matches!(text, "." | "..");
    fits.then(|| text.to_owned()).ok_or_else(|| {
        Wrong::new(
            format!("`{text}` can't be the name of a topic"),
            "expected up to 249 letters, digits, `.`, `_` and `-`, such as `__consumer_offsets`",
        )
    })
}

/// One of an enum's words.
pub fn word<T: Word>(text: &str, what: &str) -> Result<T, Wrong> {
    let words = || T::WORDS.iter().map(|(word, _)| *word);
    match T::WORDS.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => Err(Wrong {
            message: format!("unknown {what} `{text}`"),
            expected: format!("expected {}", one_of(words())),
            hint: did_you_mean(text, words()),
        }),
    }
}

/// An image as Docker names it.
pub fn image(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is not an image"), "expected an image such as `apache/kafka:4.3.1`");
    let fits = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    if !fits {
        return Err(wrong());
    }
    // A registry's host and a tag may have capitals, and a bare version is a tag without its image.
    let version = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if version { Err(wrong().hint(format!("for example `apache/kafka:{text}`"))) } else { Ok(text.to_owned()) }
}

/// Bytes of a name.
pub const NAME_MAX: usize = 40;

/// A name that may stand in paths and topic names.
pub fn name(text: &str, what: &str) -> Result<String, Wrong> {
    let fits = (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    let fitting: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(NAME_MAX).collect();
    let wrong = Wrong::new(
        format!("`{text}` can't be the name of {what}"),
        format!("expected 1 to {NAME_MAX} of a-z, 0-9 and `-`: it becomes part of paths and topic names"),
    );
    let fitting = fitting.trim_matches('-');
    Err(if fitting.is_empty() { wrong } else { wrong.hint(format!("for example `{fitting}`")) })
}

/// Comparison signs, longest first.
pub const SIGNS: &[(&str, Comparison)] = &[
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("=", Comparison::Equal),
    (">", Comparison::MoreThan),
    ("<", Comparison::LessThan),
];

/// A bound for `metric` such as `0`, `>=100`, `<30s`; times become milliseconds. Without a sign, a count must be equal
/// and a time is a limit.
pub fn bound(text: &str, metric: &Metric) -> Result<(Comparison, u64), Wrong> {
    let text = text.trim();
    let sign = SIGNS.iter().find(|(sign, _)| text.starts_with(sign));
    let (comparison, value) = match sign {
        Some((sign, comparison)) => (Some(*comparison), text[sign.len()..].trim_start()),
        None => (None, text),
    };
    match metric.unit {
        Unit::Count => {
            let value = integer(value, "count", 0, u64::MAX).map_err(|_| {
                let wrong = Wrong::new(
                    format!("`{text}` is no bound for `{}`, which is a count", metric.name),
                    "expected a number such as `0`, or a quoted bound such as `\">=100\"`",
                );
                match duration(value) {
                    Ok(_) => wrong.hint("durations belong to times, such as `unavailable`"),
                    Err(_) => wrong,
                }
            })?;
            let comparison = comparison.unwrap_or(Comparison::Equal);
            if (comparison, value) == (Comparison::LessThan, 0) {
                return Err(Wrong::new(format!("`{}` can't be less than 0", metric.name), "this can never hold"));
            }
            if (comparison, value) == (Comparison::AtLeast, 0) {
                return Err(Wrong::new(format!("`{}` is never below 0", metric.name), "this can never fail"));
            }
            Ok((comparison, value))
        }
        Unit::Time => {
            let value = duration(value).map_err(|wrong| Wrong {
                message: format!("`{text}` is no bound for `{}`, which is a time", metric.name),
                expected: "expected a duration such as `60s`, or a quoted bound such as `\"<30s\"`".to_owned(),
                hint: wrong.hint,
            })?;
            // Durations are at most a day, see above.
            Ok((comparison.unwrap_or(Comparison::AtMost), u64::try_from(value.as_millis()).unwrap_or(u64::MAX)))
        }
    }
}

/// A bound as it is written.
pub fn format_bound(comparison: Comparison, bound: u64, unit: Unit) -> String {
    let sign = SIGNS.iter().find(|(_, value)| *value == comparison).map_or("", |(sign, _)| sign);
    match unit {
        Unit::Count if comparison == Comparison::Equal => bound.to_string(),
        Unit::Count => format!("{sign}{bound}"),
        Unit::Time => format!("{sign}{}", humantime::format_duration(Duration::from_millis(bound))),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::experiment::{Listener, metric};

    #[test_case("5s", 5_000)]
    #[test_case("0s", 0)]
    #[test_case("500ms", 500)]
    #[test_case("1m 30s", 90_000; "two units")]
    #[test_case("1m30s", 90_000; "without a space")]
    #[test_case("1.5s", 1_500; "fraction")]
    #[test_case("24h", 86_400_000)]
    fn durations(text: &str, millis: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
    }

    #[test_case("5", "give the unit: `5s`")]
    #[test_case("0.5", "give the unit: `0.5s`"; "number with a fraction")]
    #[test_case("-1", "a duration can't be negative"; "negative")]
    #[test_case("3M", "`M` means months, `m` minutes"; "months")]
    #[test_case("20x", "units are `ms`, `s`, `m` and `h`")]
    #[test_case("", "units are `ms`, `s`, `m` and `h`"; "nothing")]
    #[test_case("99999999999999999999s", "units are `ms`, `s`, `m` and `h`"; "overflow")]
    fn not_durations(text: &str, hint: &str) {
        assert_eq!(duration(text).unwrap_err().hint.as_deref(), Some(hint));
    }

    #[test_case("25h"; "more than a day")]
    #[test_case("1us"; "microseconds")]
    #[test_case("1.0005s"; "fraction of a millisecond")]
    fn durations_out_of_range(text: &str) {
        assert!(duration(text).is_err());
    }

    #[test_case("2000/s", 2000.0)]
    #[test_case("0.5/s", 0.5; "fraction")]
    #[test_case("10 /s", 10.0; "space")]
    #[test_case("1000000/s", 1e6; "most")]
    fn rates(text: &str, per_s: f64) {
        assert_eq!(rate(text), Ok(per_s));
    }

    #[test_case("2000"; "no unit")]
    #[test_case("0/s"; "zero")]
    #[test_case("-1/s"; "negative")]
    #[test_case("1e3/s"; "exponent")]
    #[test_case("inf/s"; "infinite")]
    #[test_case("NaN/s"; "not a number")]
    #[test_case("2000001/s"; "too many")]
    #[test_case("5/min"; "other unit")]
    #[test_case("/s"; "no number")]
    #[test_case("1.2.3/s"; "two points")]
    fn not_rates(text: &str) {
        assert!(rate(text).is_err());
    }

    #[test_case("0", Ok(0))]
    #[test_case("63", Ok(63))]
    #[test_case("64", Err(()); "too large")]
    #[test_case("+1", Err(()); "plus")]
    #[test_case("-1", Err(()); "minus")]
    #[test_case("1.0", Err(()); "fraction")]
    #[test_case("", Err(()); "nothing")]
    #[test_case("0x1", Err(()); "hexadecimal")]
    fn integers(text: &str, value: Result<i32, ()>) {
        assert_eq!(integer(text, "partition", 0, 63).map_err(|_| ()), value);
    }

    #[test_case("apache/kafka:4.3.1", true)]
    #[test_case("registry.example:5000/apache/kafka@sha256:0123", true; "registry and digest")]
    #[test_case("kafka", true; "name alone")]
    #[test_case("4.3.1", false; "version alone")]
    #[test_case("", false; "nothing")]
    #[test_case("-v", false; "option")]
    #[test_case("apache/kafka 4.3.1", false; "space")]
    fn images(text: &str, fits: bool) {
        assert_eq!(image(text).is_ok(), fits);
    }

    #[test]
    fn words_are_exact_and_hinted_at() {
        assert_eq!(word("replication", "listener"), Ok(Listener::Replication));
        let wrong = word::<Listener>("Controller", "listener").unwrap_err();
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `controller`?"));
    }

    #[test_case("leader-partition", true)]
    #[test_case("a", true)]
    #[test_case("0123456789012345678901234567890123456789", true; "forty")]
    #[test_case("01234567890123456789012345678901234567890", false; "forty one")]
    #[test_case("", false; "nothing")]
    #[test_case("Leader", false)]
    #[test_case("a_b", false)]
    #[test_case("../a", false; "path")]
    #[test_case("é", false; "not ascii")]
    fn names(text: &str, fits: bool) {
        assert_eq!(name(text, "an experiment").is_ok(), fits);
    }

    #[test_case("lost", "0", Comparison::Equal, 0)]
    #[test_case("lost", "= 0", Comparison::Equal, 0; "equal with a space")]
    #[test_case("lost", ">=100", Comparison::AtLeast, 100; "at least")]
    #[test_case("lost", "> 5", Comparison::MoreThan, 5; "more than")]
    #[test_case("lost", "<=3", Comparison::AtMost, 3; "at most")]
    #[test_case("lost", "<3", Comparison::LessThan, 3; "less than")]
    #[test_case("unavailable", "<30s", Comparison::LessThan, 30_000; "time")]
    #[test_case("unavailable", ">=1m 30s", Comparison::AtLeast, 90_000; "time at least")]
    #[test_case("resumed_within", "60s", Comparison::AtMost, 60_000; "bare time")]
    fn bounds(name: &str, text: &str, comparison: Comparison, value: u64) {
        let metric = metric::find(name).unwrap();
        assert_eq!(bound(text, metric), Ok((comparison, value)));
        let written = format_bound(comparison, value, metric.unit);
        assert_eq!(bound(&written, metric), Ok((comparison, value)), "{written}");
    }

    #[test_case("lost", "30s"; "time for a count")]
    #[test_case("lost", "<0"; "below zero")]
    #[test_case("lost", ">=0"; "always so")]
    #[test_case("lost", "=>1"; "sign the wrong way round")]
    #[test_case("lost", ">"; "no number")]
    #[test_case("lost", ""; "nothing")]
    #[test_case("lost", "18446744073709551616"; "overflow")]
    #[test_case("unavailable", "30"; "count for a time")]
    #[test_case("unavailable", "<"; "no time")]
    fn not_bounds(name: &str, text: &str) {
        assert!(bound(text, metric::find(name).unwrap()).is_err());
    }
}
