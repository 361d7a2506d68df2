//! The windows of the faults, and which partitions of a profile lay in them.

use std::collections::BTreeSet;

use lossproof_ledger::availability::Window;

use super::history::{FaultHistory, History, Topic};
use crate::experiment::{Experiment, Held, Selector};

/// One window for each fault of the experiment, in its order, as it lies for one profile.
pub(super) fn windows(experiment: &Experiment, history: &History, profile: &str) -> Vec<Window> {
    let topic = history.topics.get(profile);
    let window = |(index, spec): (usize, &crate::experiment::FaultSpec)| {
        let fault = history.faults.get(&index);
        let Some((fault, injected)) = fault.and_then(|f| Some((f, f.injected.as_ref()?))) else {
            return never();
        };
        let awaited = fault.recovered.as_ref();
        let mut window = Window {
            called_ns: injected.called_ns,
            healed_ns: match spec.held {
                // The cluster has to come back without it from the beginning; what starts it again comes after the
                // audit.
                Some(Held::Forever) => Some(injected.proven_ns),
                _ => fault.healed.as_ref().map(|healed| healed.proven_ns),
            },
            recovered_ns: awaited.filter(|recovered| recovered.reached).map(|recovered| recovered.at_ns),
            given_up_ns: awaited.filter(|recovered| !recovered.reached).map(|recovered| recovered.at_ns),
            partitions: None,
        };
        window.partitions = match (spec.kind.clients(), spec.kind.partition(), spec.kind.target()) {
            // A client has to do with all partitions of its own profile, and with no other.
            (Some(chosen), ..) => (!chosen.has_profile(profile)).then(Vec::new),
            (None, Some(partition), _) => Some(vec![partition]),
            (None, None, Some(selector)) => topic.and_then(|topic| affected(history, topic, fault, selector, &window)),
            (None, None, None) => None,
        };
        window
    };
    experiment.faults.iter().enumerate().map(window).collect()
}

/// A fault that was never injected: nothing lay in its window.
const fn never() -> Window {
    Window { called_ns: u64::MAX, healed_ns: None, recovered_ns: None, given_up_ns: None, partitions: Some(Vec::new()) }
}

/// Partitions that a broker that was hit led at some time in the window or, where followers were
/// aimed at, held in sync. A partition of which it is not known who led it when the window began
/// counts as affected; none (all) if nobody recorded leaders.
fn affected(
    history: &History,
    topic: &Topic,
    fault: &FaultHistory,
    selector: &Selector,
    window: &Window,
) -> Option<Vec<i32>> {
    let end_ns = window.recovered_ns.or(window.healed_ns).unwrap_or(u64::MAX);
    let followers = matches!(selector, Selector::FollowersOf(_) | Selector::ReplicasOf(_));
    let mut known = false;
    let mut affected = BTreeSet::new();
    for partition in 0..topic.partitions {
        let states =
            || history.leadership.iter().filter(|state| state.topic == topic.name && state.partition == partition);
        known |= states().next().is_some();
        let before = states().rfind(|state| state.at_ns <= window.called_ns);
        let during = states().filter(|state| state.at_ns > window.called_ns && state.at_ns <= end_ns);
        let hit = before.into_iter().chain(during).any(|state| {
            fault.brokers.contains(&state.leader) || followers && state.isr.iter().any(|id| fault.brokers.contains(id))
        });
        if hit || before.is_none() {
            affected.insert(partition);
        }
    }
    known.then(|| affected.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::clock::Stamp;
    use lossproof_ledger::event::{Event, EventKind};
    use test_case::test_case;

    use super::*;

    /// A run whose topic `t` has two partitions, with changes (ms, partition, leader, ISR).
    fn run(changes: &[(u64, i32, i32, &[i32])]) -> History {
        let event =
            |ms: u64, kind| Event { at: Stamp { boottime_ns: ms * 1_000_000, utc: jiff::Timestamp::UNIX_EPOCH }, kind };
        let mut events = vec![
            event(
                0,
                EventKind::RunStarted { run: "r".to_owned(), experiment: "e".to_owned(), version: "0.1.0".to_owned() },
            ),
            event(1, EventKind::TopicCreated { profile: "p".to_owned(), topic: "t".to_owned(), partitions: 2 }),
        ];
        events.extend(changes.iter().map(|(ms, partition, leader, isr)| {
            event(
                *ms,
                EventKind::PartitionState {
                    topic: "t".to_owned(),
                    partition: *partition,
                    leader: *leader,
                    leader_epoch: 0,
                    isr: isr.to_vec(),
                },
            )
        }));
        History::of(events).unwrap()
    }

    /// A window from 100 ms to 200 ms on broker 2.
    fn affected_in(history: &History, selector: &Selector) -> Option<Vec<i32>> {
        let fault = FaultHistory { brokers: vec![2], ..FaultHistory::default() };
        let window = Window {
            called_ns: 100_000_000,
            healed_ns: Some(150_000_000),
            recovered_ns: Some(200_000_000),
            given_up_ns: None,
            partitions: None,
        };
        affected(history, &history.topics["p"], &fault, selector, &window)
    }

    #[test_case(&[(10, 0, 2, &[1, 2, 3]), (10, 1, 3, &[1, 2, 3])], &[0]; "the one it leads")]
    #[test_case(&[(10, 0, 2, &[1, 2]), (10, 1, 3, &[3]), (120, 0, 1, &[1])], &[0]; "the one it led when it began")]
    #[test_case(&[(10, 0, 2, &[1, 2]), (10, 1, 3, &[3]), (90, 0, 1, &[1])], &[]; "not one it led before")]
    #[test_case(&[(10, 0, 1, &[1, 2]), (10, 1, 3, &[3]), (120, 1, 2, &[2])], &[1]; "one it came to lead")]
    #[test_case(&[(10, 0, 1, &[1, 2]), (10, 1, 3, &[3]), (220, 1, 2, &[2])], &[]; "not one it came to lead later")]
    #[test_case(&[(10, 0, 1, &[1, 2])], &[1]; "one of which nothing is known")]
    fn a_fault_affects_what_its_broker_leads(changes: &[(u64, i32, i32, &[i32])], expected: &[i32]) {
        let history = run(changes);
        assert_eq!(affected_in(&history, &Selector::LeaderOf(0)).as_deref(), Some(expected));
    }

    #[test]
    fn a_fault_of_followers_affects_what_they_hold_in_sync() {
        let history = run(&[(10, 0, 1, &[1, 2]), (10, 1, 3, &[1, 3])]);
        assert_eq!(affected_in(&history, &Selector::FollowersOf(0)), Some(vec![0]));
    }

    #[test]
    fn without_any_record_of_leaders_all_partitions_count() {
        assert_eq!(affected_in(&run(&[]), &Selector::LeaderOf(0)), None);
    }
}
