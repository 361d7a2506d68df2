//! The windows of the faults, and which partitions of a profile lay in them.

use std::collections::BTreeSet;

use lossproof_ledger::availability::Window;

use super::history::{FaultHistory, History, Topic};
use crate::experiment::{Experiment, Selector};

/// One window for each fault of the experiment, in its order.
pub(super) fn windows(
    experiment: &Experiment,
    history: &History,
    topic: Option<&Topic>,
) -> Vec<Window> {
    let window = |(index, spec): (usize, &crate::experiment::FaultSpec)| {
        let fault = history.faults.get(&index);
        let Some((fault, injected)) = fault.and_then(|f| Some((f, f.injected.as_ref()?))) else {
            return never();
        };
        let mut window = Window {
            called_ns: injected.called_ns,
            healed_ns: fault.healed.as_ref().map(|healed| healed.proven_ns),
            recovered_ns: fault
                .recovered
                .as_ref()
                .filter(|recovered| recovered.reached)
                .map(|recovered| recovered.at_ns),
            partitions: None,
        };
        window.partitions =
            topic.and_then(|topic| affected(history, topic, fault, spec.kind.target(), &window));
        window
    };
    experiment.faults.iter().enumerate().map(window).collect()
}

/// A fault that was never injected: nothing lay in its window.
const fn never() -> Window {
    Window {
        called_ns: u64::MAX,
        healed_ns: None,
        recovered_ns: None,
        partitions: Some(Vec::new()),
    }
}

/// Partitions that a broker that was hit led at some time in the window or, where followers were
/// aimed at, held in sync. A partition of which it is not known who led it when the window began
/// counts as affected; none (all) if nobody recorded leaders.
fn affected(
    history: &History,
    topic: &Topic,
    fault: &FaultHistory,
    selector: Selector,
    window: &Window,
) -> Option<Vec<i32>> {
    let end_ns = window.recovered_ns.or(window.healed_ns).unwrap_or(u64::MAX);
    let followers = matches!(selector, Selector::FollowersOf(_));
    let mut known = false;
    let mut affected = BTreeSet::new();
    for partition in 0..topic.partitions {
        let states = || {
            history
                .leadership
                .iter()
                .filter(|state| state.topic == topic.name && state.partition == partition)
        };
        known |= states().next().is_some();
        let before = states().rfind(|state| state.at_ns <= window.called_ns);
        let during =
            states().filter(|state| state.at_ns > window.called_ns && state.at_ns <= end_ns);
        let hit = before.into_iter().chain(during).any(|state| {
            fault.brokers.contains(&state.leader)
                || followers && state.isr.iter().any(|id| fault.brokers.contains(id))
        });
        if hit || before.is_none() {
            affected.insert(partition);
        }
    }
    known.then(|| affected.into_iter().collect())
}
