//! `partition:` who is cut off from whom, and on which listeners.

use serde_yaml::Spanned;

use super::check::Check;
use super::raw;
use super::selector::selector;
use super::source::Span;
use super::value::{integer, word};
use super::{FaultKind, HARNESS_PORT, Listener, Peers, Problem, Selector};

/// Validates a partition.
pub fn partition(check: &mut Check, partition: &Spanned<raw::Partition>) -> Option<(FaultKind, Selector, Span)> {
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
        (None, None) if from == Some(Peers::Clients) => Some(by_listener(vec![Listener::Client])),
        (None, None) => Some(by_listener(vec![Listener::Replication, Listener::Controller])),
    };
    if let (Some(Peers::Clients), Some(listeners), Some((_, named))) = (from, &partition.listeners, &cut)
        && named.as_slice() != [Listener::Client]
    {
        let problem = Problem::new("clients use the listener `client` alone")
            .at(&check.span(listeners), "expected `[client]`")
            .hint("leave `listeners` out: that is what is cut for clients");
        check.report(problem);
        return None;
    }
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
