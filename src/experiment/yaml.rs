//! From text to the raw shape, with the parser's errors said in the words of the format.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_yaml::Error;

use super::hint::{did_you_mean, one_of};
use super::problem::Problem;
use super::source::{Source, Span};

const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 20_000;
const MAX_ALIASES: usize = 200;

/// Limits far above any real experiment; a file that breaks them is an attack or an accident.
fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        with_snippet: false,
        reject_unsupported_tags: true,
        merge_keys: serde_yaml::MergeKeyPolicy::Error,
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_anchors: 100,
            max_aliases: MAX_ALIASES,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 5_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
    }
}

/// Reads one document.
///
/// # Errors
/// The first thing that does not fit the shape.
pub fn parse<T: DeserializeOwned>(source: &Arc<Source>, what: &str) -> Result<T, Problem> {
    serde_yaml::from_str_with_options(&source.text, options()).map_err(|error| explain(source, &error, what))
}

/// The hint for `>5` and the like, which YAML takes for the head of a folded text.
pub fn quote_hint(span: &Span) -> Option<String> {
    let rest = span.rest_of_line().strip_prefix('>')?;
    let end = rest.find([',', '}', '#']).unwrap_or(rest.len());
    let bound = rest[..end].trim();
    let bound_like = bound.trim_start_matches('=').trim_start().starts_with(|c: char| c.is_ascii_digit());
    bound_like.then(|| format!("`>` starts a folded text in YAML: put the bound in quotes, `\">{bound}\"`"))
}

fn explain(source: &Arc<Source>, error: &Error, what: &str) -> Problem {
    let error = error.without_snippet();
    let span = error.location().map_or_else(|| source.span(0, 1), |location| source.at(&location));
    if let Some(hint) = quote_hint(&span) {
        return Problem::new("a bound that begins with `>` must be quoted")
            .at(&span, "read as YAML, not as a bound")
            .hint(hint);
    }
    match error {
        Error::SerdeUnknownField { field, expected, .. } => Problem::new(format!("unknown key `{field}`"))
            .at(&span, format!("expected {}", one_of(expected.iter().copied())))
            .hint_if(did_you_mean(field, expected.iter().copied()).or_else(|| elsewhere(field))),
        Error::SerdeMissingField { field, .. } => Problem::new(format!("`{field}` is missing"))
            .at(&span, format!("this map needs `{field}:`"))
            .hint_if(example(field)),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("a key");
            Problem::new(format!("`{key}` is given twice"))
                .at(&span, "the second time")
                .hint("remove one of them: it would be unclear which one holds")
        }
        Error::Eof { .. } => {
            Problem::new(format!("{} holds no document", source.name)).hint(format!("expected {what}"))
        }
        Error::MultipleDocuments { .. } => Problem::new("more than one YAML document in the file")
            .at(&span, "a second document begins here")
            .hint("put each experiment into a file of its own; `run` and `plan` take several"),
        Error::Unexpected { expected, .. } => {
            let expected = match *expected {
                "mapping start" => "a map (`key: value`)",
                "sequence start" => "a list (`- …`)",
                "string scalar" => "a single value",
                other => other,
            };
            Problem::new("not the kind of value that belongs here").at(&span, format!("expected {expected}"))
        }
        Error::NullIntoString { .. } => {
            Problem::new("a value is missing").at(&span, "expected a value after the colon")
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            Problem::new(format!("{unexpected} does not belong here")).at(&span, format!("expected {expected}"))
        }
        Error::MergeKeyNotAllowed { .. } => Problem::new("YAML merge keys (`<<`) are not supported")
            .at(&span, "here")
            .hint("share settings by `extends`, which takes a profile"),
        Error::UnknownAnchor { .. } => Problem::new("this alias has no anchor")
            .at(&span, "no `&` of this name before")
            .hint("a value that begins with `*` must be quoted"),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            Problem::new("this is nested too deep, or expands too far").at(&span, "here the limit is reached").hint(
                format!("an experiment has at most {MAX_DEPTH} levels, {MAX_NODES} values and {MAX_ALIASES} aliases"),
            )
        }
        other => {
            let message = without_place(&other.to_string());
            let hint = syntax_hint(&message, &span);
            Problem::new("this is not YAML").at(&span, message).hint_if(hint)
        }
    }
}

/// The parser ends its messages with the place, which the snippet shows already.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text).to_owned()
}

fn syntax_hint(message: &str, span: &Span) -> Option<String> {
    let hint = if span.rest_of_line().starts_with(['@', '`', '%']) {
        "a value that begins with this character must be quoted"
    } else if message.contains("tab") {
        "indent with spaces: YAML allows no tabs"
    } else if message.contains("flow") || message.contains("bracket") {
        "is a `{` or `[` before this not closed?"
    } else if message.contains("mapping values are not allowed") {
        "is this line indented like its neighbours? A value that holds `: ` must be quoted"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// How a missing key might look.
fn example(key: &str) -> Option<String> {
    let value = match key {
        "name" => "leader-partition",
        "workload" => "{ rate: 2000/s, payload: 1KiB }",
        "profiles" => "{ baseline: { extends: baseline }, resilient: { extends: resilient } }",
        "rate" => "2000/s",
        "payload" => "1KiB",
        "at" => "5s",
        "times" => "5",
        "target" | "isolate" => "{ leader_of: 0 }",
        "from" => "brokers",
        _ => return None,
    };
    Some(format!("for example `{key}: {value}`"))
}

/// A key that is known, but stands in the wrong place.
fn elsewhere(key: &str) -> Option<String> {
    let place = match key {
        "partitions" | "replication_factor" | "config" => "`topic:`",
        "rate" | "payload" | "warm_up" | "after_recovery" | "max" => "`workload:`",
        "kill" | "restart" | "pause" | "crash_loop" | "partition" | "disk_fill" | "disk_wipe" | "power_loss" | "at"
        | "for" => "an entry of `faults:`",
        "target" | "wait" | "isolate" | "from" | "listeners" | "ports" | "times" | "up" | "down" => {
            "the fault's own map"
        }
        "broker_config" | "disk" => "`cluster:`",
        "extends" => "a profile, under `profiles:`",
        "acks" | "retries" | "on_queue_full" => "`producer:` of a profile",
        "commit" | "members" => "`consumer:` of a profile",
        _ if key.contains('.') => {
            "`producer:` or `consumer:` (client options), `topic: { config: … }` or `broker_config:`"
        }
        _ => return None,
    };
    Some(format!("`{key}` belongs into {place}"))
}
