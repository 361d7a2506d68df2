//! What is watched beside the experiment: leadership and in-sync replicas, and how busy this host is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::event::EventKind;

use super::recorder::Recorder;
use crate::cluster::readiness::{Address, views};
use crate::cluster::wire::{PartitionView, View};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOAD_EVERY: Duration = Duration::from_secs(5);

/// Records each change of leader, epoch and in-sync replicas of the named topics, until dropped.
///
/// # Errors
/// When an event can't be stored.
pub async fn partitions(addresses: Vec<Address>, topics: Vec<String>, recorder: Arc<Recorder>) -> Result<()> {
    let mut known: BTreeMap<(String, i32), PartitionView> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let (views, _) = views(&addresses).await;
        for state in newest(views, &topics) {
            let key = (state.topic.clone(), state.partition);
            if known.get(&key) == Some(&state) {
                continue;
            }
            recorder.emit(EventKind::PartitionState {
                topic: state.topic.clone(),
                partition: state.partition,
                leader: state.leader,
                leader_epoch: state.leader_epoch,
                isr: state.isr.clone(),
            })?;
            known.insert(key, state);
        }
    }
}

/// Of what the brokers believe of each partition the newest: a broker that is cut off stays behind in
/// epoch; within one epoch its leader knows first.
fn newest(views: Vec<(i32, View)>, topics: &[String]) -> Vec<PartitionView> {
    let mut newest: BTreeMap<(String, i32), (i32, bool, PartitionView)> = BTreeMap::new();
    for (id, view) in views {
        for state in view.partitions {
            if !topics.contains(&state.topic) {
                continue;
            }
            let rank = (state.leader_epoch, state.leader == id);
            let key = (state.topic.clone(), state.partition);
            match newest.get(&key) {
                Some((epoch, own, _)) if (*epoch, *own) >= rank => {}
                _ => {
                    newest.insert(key, (rank.0, rank.1, state));
                }
            }
        }
    }
    newest.into_values().map(|(_, _, state)| state).collect()
}

/// Records the share of the processors' time that is used, until dropped.
///
/// # Errors
/// When the kernel does not tell, or an event can't be stored.
pub async fn host_load(recorder: Arc<Recorder>) -> Result<()> {
    let mut before = processor_time()?;
    loop {
        tokio::time::sleep(LOAD_EVERY).await;
        let now = processor_time()?;
        let total = now.1 - before.1;
        if total > 0.0 {
            recorder.emit(EventKind::HostLoad { busy: ((now.0 - before.0) / total * 1000.0).round() / 1000.0 })?;
        }
        before = now;
    }
}

/// Busy and total time of all processors, in the kernel's ticks.
fn processor_time() -> Result<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let idle = ticks.get(3).zip(ticks.get(4)).map(|(idle, waiting)| idle + waiting).context("/proc/stat is odd")?;
    let total: f64 = ticks.iter().sum();
    Ok((total - idle, total))
}

#[cfg(test)]
mod tests {
    use super::newest;
    use crate::cluster::wire::{PartitionView, View};

    fn view(leader: i32, leader_epoch: i32, isr: &[i32]) -> View {
        let partition = PartitionView {
            topic: "t".to_owned(),
            partition: 0,
            leader,
            leader_epoch,
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
        };
        View { brokers: vec![1, 2, 3], partitions: vec![partition] }
    }

    #[test]
    fn a_broker_that_is_cut_off_does_not_hide_the_election() {
        let views = vec![(1, view(1, 5, &[1, 2, 3])), (2, view(2, 6, &[2, 3])), (3, view(2, 6, &[1, 2, 3]))];
        let found = newest(views, &["t".to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].leader, found[0].leader_epoch, found[0].isr.as_slice()), (2, 6, [2, 3].as_slice()));
        assert!(newest(vec![(1, view(1, 5, &[1]))], &["other".to_owned()]).is_empty());
    }
}
