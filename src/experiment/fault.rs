//! Faults: exactly one kind each, a selector that names someone, and times that fit.

use std::time::Duration;

use serde_yaml::Spanned;

use super::check::Check;
use super::hint::{did_you_mean, one_of};
use super::raw;
use super::source::Span;
use super::value::{duration, integer, word};
use super::{FaultKind, FaultSpec, HARNESS_PORT, Listener, Peers, Problem, RestartWait, Selector};

/// The kinds of fault, as they are written.
const KINDS: &[&str] = &["kill", "restart", "partition", "disk_fill"];

/// Selectors with a value of their own.
const KEYED_SELECTORS: &[&str] = &["broker", "leader_of", "followers_of"];

/// A validated fault and where its selector stands, for what depends on the topics.
pub struct Checked {
    /// The fault.
    pub spec: FaultSpec,
    /// Its selector.
    pub selector: Selector,
    /// The selector's place.
    pub selector_at: Span,
}

/// Validates one fault.
pub fn resolve(check: &mut Check, fault: &Spanned<raw::Fault>) -> Option<Checked> {
    let at = check.read(&fault.value.at, duration);
    let held = match &fault.value.held {
        Some(text) => check.read(text, duration).and_then(|held| {
            let zero = held.is_zero().then(|| {
                Problem::new("a fault held for no time does nothing").at(&check.span(text), "expected more than zero")
            });
            match zero {
                Some(problem) => {
                    check.report(problem);
                    None
                }
                None => Some(Some(held)),
            }
        }),
        None => Some(None),
    };
    let (kind, selector, selector_at) = kind(check, fault)?;
    let needs_time = !matches!(kind, FaultKind::Restart { .. });
    if needs_time && fault.value.held.is_none() {
        let (span, what) = match kind {
            FaultKind::Kill { .. } => (fault, "how long the broker stays down"),
            FaultKind::Partition { .. } => (fault, "how long the cut lasts"),
            _ => (fault, "how long the disk stays full"),
        };
        let problem = Problem::new("`for` is missing")
            .at(&check.span(span), format!("this fault needs {what}"))
            .hint("for example `for: 20s`");
        check.report(problem);
        return None;
    }
    let place = check.span(fault).place();
    Some(Checked { spec: FaultSpec { at: at?, held: held?, kind, place }, selector, selector_at })
}

fn kind(check: &mut Check, fault: &Spanned<raw::Fault>) -> Option<(FaultKind, Selector, Span)> {
    let raw::Fault { kill, restart, partition, disk_fill, .. } = &fault.value;
    let given: Vec<(&str, Span)> = [
        kill.as_ref().map(|kind| ("kill", check.span(kind))),
        restart.as_ref().map(|kind| ("restart", check.span(kind))),
        partition.as_ref().map(|kind| ("partition", check.span(kind))),
        disk_fill.as_ref().map(|kind| ("disk_fill", check.span(kind))),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (kill, restart, partition, disk_fill) {
        (Some(kill), None, None, None) => {
            let (target, at) = selector(check, &kill.value.target)?;
            Some((FaultKind::Kill { target }, target, at))
        }
        (None, Some(restart), None, None) => {
            let wait = check.read_or(restart.value.wait.as_ref(), RestartWait::InSync, |text| {
                word(text, "state to wait for between two restarts")
            });
            let (target, at) = selector(check, &restart.value.target)?;
            Some((FaultKind::Restart { target, wait: wait? }, target, at))
        }
        (None, None, Some(partition), None) => partition_kind(check, partition),
        (None, None, None, Some(fill)) => {
            let (target, at) = selector(check, &fill.value.target)?;
            Some((FaultKind::DiskFill { target }, target, at))
        }
        _ if given.is_empty() => {
            let problem = Problem::new("this fault does nothing: it has no kind")
                .at(&check.span(fault), format!("expected one of {}", one_of(KINDS.iter().copied())))
                .hint("for example `kill: { target: { leader_of: 0 } }`");
            check.report(problem);
            None
        }
        _ => {
            let names: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
            let mut problem =
                Problem::new(format!("a fault has exactly one kind, and this one has {}", names.join(" and ")));
            for (name, span) in &given {
                problem = problem.at(span, format!("`{name}`"));
            }
            check.report(problem.hint("make it two entries of `faults:`, each with its own `at`"));
            None
        }
    }
}

fn partition_kind(check: &mut Check, partition: &Spanned<raw::Partition>) -> Option<(FaultKind, Selector, Span)> {
    let whole = check.span(partition);
    let partition = &partition.value;
    let isolate = selector(check, &partition.isolate);
    let from: Option<Peers> = check.read(&partition.from, |text| word(text, "other side of a partition"));
    let cut = match (&partition.listeners, &partition.ports) {
        (Some(_), Some(ports)) => {
            let problem = Problem::new("a partition takes `listeners` or `ports`, not both")
                .at(&check.span(ports), "remove one of them")
                .hint("listeners are ports by name: client 9092, controller 9093, replication 9094");
            check.report(problem);
            None
        }
        (Some(listeners), None) => named_listeners(check, listeners),
        (None, Some(ports)) => numbered_ports(check, ports),
        (None, None) => Some(by_listener(vec![Listener::Replication, Listener::Controller])),
    };
    if let (None, None, Some(_)) = (&isolate, &from, &cut) {
        check.report(Problem::new("this partition can't be understood").at(&whole, "here"));
    }
    let ((isolate, at), (ports, listeners)) = (isolate?, cut?);
    Some((FaultKind::Partition { isolate, from: from?, ports, listeners }, isolate, at))
}

fn by_listener(listeners: Vec<Listener>) -> (Vec<u16>, Vec<Listener>) {
    (listeners.iter().map(|listener| listener.port()).collect(), listeners)
}

type Cut = (Vec<u16>, Vec<Listener>);

fn named_listeners(check: &mut Check, texts: &Spanned<Vec<raw::Text>>) -> Option<Cut> {
    let mut listeners = Vec::new();
    for text in &texts.value {
        if text.value.eq_ignore_ascii_case("harness") {
            check.report(harness(&check.span(text)));
            return None;
        }
        let listener = check.read(text, |text| word(text, "listener"))?;
        if listeners.contains(&listener) {
            check.report(Problem::new(format!("`{}` is named twice", text.value)).at(&check.span(text), "again"));
            return None;
        }
        listeners.push(listener);
    }
    not_empty(check, texts, "listener")?;
    Some(by_listener(listeners))
}

fn numbered_ports(check: &mut Check, texts: &Spanned<Vec<raw::Text>>) -> Option<Cut> {
    let mut ports = Vec::new();
    for text in &texts.value {
        let port: u16 = check.read(text, |text| integer(text, "port", 1, u16::MAX))?;
        if port == HARNESS_PORT {
            check.report(harness(&check.span(text)));
            return None;
        }
        if ports.contains(&port) {
            check.report(Problem::new(format!("port {port} is named twice")).at(&check.span(text), "again"));
            return None;
        }
        ports.push(port);
    }
    not_empty(check, texts, "port")?;
    Some((ports, Vec::new()))
}

fn not_empty(check: &mut Check, texts: &Spanned<Vec<raw::Text>>, what: &str) -> Option<()> {
    if texts.value.is_empty() {
        let problem =
            Problem::new("this partition cuts nothing").at(&check.span(texts), format!("name at least one {what}"));
        check.report(problem);
        return None;
    }
    Some(())
}

fn harness(span: &Span) -> Problem {
    Problem::new("the harness's own listener may not be cut")
        .at(span, format!("port {HARNESS_PORT} carries the probes and the audit"))
        .hint("without it nobody could say what became of the messages")
}

fn selector(check: &mut Check, raw: &Spanned<raw::Selector>) -> Option<(Selector, Span)> {
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

/// Refuses faults whose windows overlap; `windows` are in order of their beginning.
pub fn refuse_overlaps(check: &mut Check, windows: &[(Duration, Duration, Span)]) {
    for pair in windows.windows(2) {
        let [(_, end, _), (begin, _, span)] = pair else {
            continue;
        };
        if begin < end {
            check.report(
                Problem::new("overlapping faults are not supported yet")
                    .at(span, format!("the fault before it lasts until {}", humantime::format_duration(*end)))
                    .hint(format!("begin it at {} or later", humantime::format_duration(*end))),
            );
        }
    }
}
