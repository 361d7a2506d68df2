//! Clients that a fault took away for ever: nobody waits for what they would have done.

use std::collections::BTreeMap;

use lossproof_ledger::availability::WindowTimes;

use super::history::History;
use crate::experiment::{ClientRole, Experiment, Held, Profile};

/// From when on nothing is offered any more, and nothing processed; `u64::MAX` for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Silence {
    acks_ns: u64,
    processing_ns: u64,
}

/// Takes out of the times in each fault's window how clients went on, where those that could have are away for
/// ever by the time of the recovery.
pub(super) fn leave_out(windows: &mut [WindowTimes], experiment: &Experiment, history: &History, profile: &Profile) {
    let silence = silence(experiment, history, profile);
    for (index, times) in windows.iter_mut().enumerate() {
        let recovered = history.faults.get(&index).and_then(|fault| fault.recovered.as_ref());
        let Some(recovered_ns) = recovered.map(|recovered| recovered.at_ns) else { continue };
        let resumption = &mut times.resumption;
        if silence.acks_ns <= recovered_ns {
            resumption.acks = None;
            resumption.unacked_partitions.clear();
        }
        if silence.processing_ns <= recovered_ns {
            resumption.processing = None;
            resumption.unprocessed_partitions.clear();
        }
    }
}

fn silence(experiment: &Experiment, history: &History, profile: &Profile) -> Silence {
    let mut away: BTreeMap<(bool, u16), u64> = BTreeMap::new();
    for (index, spec) in experiment.faults.iter().enumerate() {
        let injected = history.faults.get(&index).and_then(|fault| fault.injected.as_ref());
        let (Some(chosen), Some(Held::Forever), Some(injected)) = (spec.kind.clients(), spec.held, injected) else {
            continue;
        };
        if !injected.proof.holds {
            continue;
        }
        let members = (0..profile.consumer.members).map(|member| (ClientRole::Consumer, member));
        for (role, member) in members.chain([(ClientRole::Producer, 0)]) {
            if chosen.contains(&profile.name, role, member) {
                away.insert((role == ClientRole::Producer, member), injected.called_ns);
            }
        }
    }
    let acks_ns = away.get(&(true, 0)).copied().unwrap_or(u64::MAX);
    let members = (0..profile.consumer.members).map(|member| away.get(&(false, member)).copied().unwrap_or(u64::MAX));
    // Without a producer there is nothing to process either.
    Silence { acks_ns, processing_ns: members.max().unwrap_or(u64::MAX).min(acks_ns) }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::availability::{Resumption, Span};
    use lossproof_ledger::clock::Stamp;
    use lossproof_ledger::event::{Event, EventKind, Proof};
    use test_case::test_case;

    use super::*;
    use crate::experiment;

    const PRODUCER: &str = "client_kill: { profile: resilient, role: producer }";
    const GROUP: &str = "client_stop: { profile: all, role: consumer }";
    const MEMBER: &str = "client_kill: { profile: resilient, role: consumer, member: 1 }";
    const OTHER: &str = "client_kill: { profile: other, role: producer }";

    /// What is left of a silence after a second fault's recovery, 100 ms after the client's.
    fn left(fault: &str, held: &str, holds: bool) -> (bool, bool) {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let text = format!(
            "name: gone\nworkload: {{ rate: 1/s, payload: 1KiB }}\n\
             profiles: {{ resilient: {{ consumer: {{ members: 2 }} }}, other: {{}} }}\n\
             faults: [{{ at: 1s, for: {held}, {fault} }}, {{ at: 9s, for: 1s, kill: {{ target: {{ broker: 1 }} }} }}]\n"
        );
        std::fs::write(file.path(), text).unwrap();
        let experiment = experiment::load(&[file.path().to_owned()]).unwrap().remove(0);

        let stamp = |ms: u64| Stamp { boottime_ns: ms * 1_000_000, utc: jiff::Timestamp::UNIX_EPOCH };
        let proof = Proof { holds, summary: String::new(), evidence: serde_json::Map::new() };
        let started =
            EventKind::RunStarted { run: "r".to_owned(), experiment: "e".to_owned(), version: "0.1.0".to_owned() };
        let events = [
            (0, started),
            (11, EventKind::FaultInjected { fault: 0, called_at: stamp(10), proof, held_ms: None }),
            (110, EventKind::FaultRecovered { fault: 1, reached: true, state: String::new() }),
        ];
        let events = events.map(|(ms, kind)| Event { at: stamp(ms), kind });
        let history = History::of(events.to_vec()).unwrap();
        let open = Some(Span { ms: 5, at_least: true });
        let resumption =
            Resumption { acks: open, processing: open, unacked_partitions: vec![0], unprocessed_partitions: vec![0] };
        let mut windows = vec![WindowTimes { resumption, ..WindowTimes::default() }; 2];
        leave_out(&mut windows, &experiment, &history, &experiment.profiles[0]);
        let resumption = &windows[1].resumption;
        assert_eq!(resumption.acks.is_some(), !resumption.unacked_partitions.is_empty());
        assert_eq!(resumption.processing.is_some(), !resumption.unprocessed_partitions.is_empty());
        assert!(windows[0].resumption.acks.is_some(), "nobody saw it recover");
        (resumption.acks.is_some(), resumption.processing.is_some())
    }

    #[test_case(PRODUCER, "forever", true, (false, false); "without a producer nothing is offered or processed")]
    #[test_case(GROUP, "forever", true, (true, false); "without members nothing is processed")]
    #[test_case(MEMBER, "forever", true, (true, true); "the other member goes on")]
    #[test_case(OTHER, "forever", true, (true, true); "another profile's producer")]
    #[test_case(PRODUCER, "forever", false, (true, true); "one that is not known to be away")]
    #[test_case(PRODUCER, "2s", true, (true, true); "one that comes back")]
    fn of_who_is_gone_nothing_is_expected(fault: &str, held: &str, holds: bool, expected: (bool, bool)) {
        assert_eq!(left(fault, held, holds), expected);
    }
}
