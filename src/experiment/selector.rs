//! Selectors: which broker a fault hits.

use serde_yaml::Spanned;

use super::check::Check;
use super::hint::{did_you_mean, one_of};
use super::raw;
use super::source::Span;
use super::value::integer;
use super::{Problem, Selector};

/// Selectors with a value of their own.
const KEYED_SELECTORS: &[&str] = &["broker", "leader_of", "followers_of"];

/// Reads a selector; with its place.
pub fn selector(check: &mut Check, raw: &Spanned<raw::Selector>) -> Option<(Selector, Span)> {
    let span = check.span(raw);
    let entries = match &raw.value {
        raw::Selector::Word(word) => {
            let found = match word.as_str() {
                "all" => Some(Selector::All),
                "controller" => Some(Selector::Controller),
                _ => None,
            };
            if found.is_none() {
                check.report(unknown_selector(word, &span));
            }
            return Some((found?, span));
        }
        raw::Selector::Map(entries) => &entries.0,
    };
    let [(key, value)] = entries.as_slice() else {
        let names: Vec<_> = entries.iter().map(|(key, _)| format!("`{}`", key.value)).collect();
        let has = if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") };
        let problem = Problem::new(format!("a selector names its target in one way, and this one has {has}"))
            .at(&span, format!("expected exactly one of {}", one_of(KEYED_SELECTORS.iter().copied())));
        check.report(problem);
        return None;
    };
    let partition = |text: &str| integer(text, "partition", 0, 63);
    let selector = match key.value.as_str() {
        "broker" => Selector::Broker(check.read(value, |text| integer(text, "broker id", 1, 3))?),
        "leader_of" => Selector::LeaderOf(check.read(value, partition)?),
        "followers_of" => Selector::FollowersOf(check.read(value, partition)?),
        other => {
            check.report(unknown_selector(other, &check.span(key)));
            return None;
        }
    };
    Some((selector, check.span(value)))
}

fn unknown_selector(typed: &str, span: &Span) -> Problem {
    let known = ["all", "controller"].into_iter().chain(KEYED_SELECTORS.iter().copied());
    let hint = match typed.parse::<u64>() {
        Ok(id) => Some(format!("write `{{ broker: {id} }}`")),
        Err(_) if KEYED_SELECTORS.contains(&typed) => Some(format!("it needs a value: `{{ {typed}: 1 }}`")),
        Err(_) if matches!(typed, "all" | "controller") => Some(format!("it takes no value: write `{typed}`")),
        Err(_) if matches!(typed, "random" | "coordinator_of") => Some(format!("`{typed}` is not supported yet")),
        Err(_) => did_you_mean(typed, known),
    };
    Problem::new(format!("unknown selector `{typed}`"))
        .at(span, "expected `all`, `controller`, or a map with `broker`, `leader_of` or `followers_of`")
        .hint_if(hint)
}
