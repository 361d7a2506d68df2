//! What is watched beside the experiment: leadership and in-sync replicas, brokers that are behind in what
//! they believe of them or do not answer, and how busy this host is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::EventKind;

use super::recorder::Recorder;
use crate::cluster::readiness::{Address, views};
use crate::cluster::wire::{PartitionView, View};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOAD_EVERY: Duration = Duration::from_secs(5);

/// Records, until dropped, each change of leader, epoch and in-sync replicas of the named topics, which brokers
/// are behind in that, and which do not answer.
///
/// # Errors
/// When an event can't be stored.
pub async fn partitions(addresses: Vec<Address>, topics: Vec<String>, recorder: Arc<Recorder>) -> Result<()> {
    let mut known: BTreeMap<(String, i32), PartitionView> = BTreeMap::new();
    let mut behind = Behind::default();
    let mut reach = Reach::default();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked_at = Stamp::now();
        let (views, silent) = views(&addresses).await;
        for (broker, answers) in reach.changes(&addresses, &silent) {
            recorder.emit(EventKind::BrokerAnswers { broker, answers })?;
        }
        let newest = newest(&views, &topics);
        for event in behind.changes(&views, &newest, asked_at) {
            recorder.emit(event)?;
        }
        for state in newest {
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
fn newest(views: &[(i32, View)], topics: &[String]) -> Vec<PartitionView> {
    let mut newest: BTreeMap<(&str, i32), (i32, bool, &PartitionView)> = BTreeMap::new();
    for (id, view) in views {
        for state in view.partitions.iter().filter(|state| topics.contains(&state.topic)) {
            let rank = (state.leader_epoch, state.leader == *id);
            let key = (state.topic.as_str(), state.partition);
            match newest.get(&key) {
                Some((epoch, own, _)) if (*epoch, *own) >= rank => {}
                _ => {
                    newest.insert(key, (rank.0, rank.1, state));
                }
            }
        }
    }
    newest.into_values().map(|(_, _, state)| state.clone()).collect()
}

/// Which brokers answered at the last look; at first all are taken to do so.
#[derive(Default)]
struct Reach {
    silent: Vec<i32>,
}

impl Reach {
    /// Brokers that answer now and did not, or the other way round.
    fn changes(&mut self, addresses: &[Address], silent: &[i32]) -> Vec<(i32, bool)> {
        let ids = addresses.iter().map(|(id, _)| *id);
        let changed = ids.filter(|id| silent.contains(id) != self.silent.contains(id));
        let changes = changed.map(|id| (id, !silent.contains(&id))).collect();
        self.silent = silent.to_vec();
        changes
    }
}

/// What brokers believe that are behind the newest view in leader epoch: by broker and partition, the view and
/// when it was told last.
#[derive(Default)]
struct Behind {
    known: BTreeMap<(i32, String, i32), (PartitionView, i32, Stamp)>,
}

impl Behind {
    /// Events on what began or ended since the last look. A broker's answer is no older than `asked_at`.
    fn changes(&mut self, views: &[(i32, View)], newest: &[PartitionView], asked_at: Stamp) -> Vec<EventKind> {
        let mut events = Vec::new();
        let mut now = BTreeMap::new();
        for (broker, view) in views {
            for state in &view.partitions {
                let newer = newest.iter().find(|newest| {
                    newest.topic == state.topic
                        && newest.partition == state.partition
                        && newest.leader_epoch > state.leader_epoch
                });
                let Some(newer) = newer else { continue };
                let key = (*broker, state.topic.clone(), state.partition);
                let told = match self.known.get(&key) {
                    Some((before, newest_epoch, _)) if before.leader_epoch == state.leader_epoch => {
                        (before.clone(), *newest_epoch, asked_at)
                    }
                    _ => {
                        events.push(view_event(*broker, state, newer.leader_epoch, None));
                        (state.clone(), newer.leader_epoch, asked_at)
                    }
                };
                now.insert(key, told);
            }
        }
        for (key, (state, newest_epoch, last_held)) in &self.known {
            if now.get(key).is_none_or(|(still, ..)| still.leader_epoch != state.leader_epoch) {
                events.push(view_event(key.0, state, *newest_epoch, Some(*last_held)));
            }
        }
        self.known = now;
        events
    }
}

fn view_event(broker: i32, state: &PartitionView, newest_epoch: i32, last_held: Option<Stamp>) -> EventKind {
    EventKind::BrokerView {
        broker,
        topic: state.topic.clone(),
        partition: state.partition,
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        newest_epoch,
        last_held,
    }
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
    use lossproof_ledger::clock::Stamp;
    use lossproof_ledger::event::EventKind;

    use super::{Behind, Reach, newest};
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

    fn stamp(ms: u64) -> Stamp {
        Stamp { boottime_ns: ms * 1_000_000, utc: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_broker_that_is_cut_off_does_not_hide_the_election() {
        let views = vec![(1, view(1, 5, &[1, 2, 3])), (2, view(2, 6, &[2, 3])), (3, view(2, 6, &[1, 2, 3]))];
        let found = newest(&views, &["t".to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].leader, found[0].leader_epoch, found[0].isr.as_slice()), (2, 6, [2, 3].as_slice()));
        assert!(newest(&[(1, view(1, 5, &[1]))], &["other".to_owned()]).is_empty());
    }

    #[test]
    fn a_view_that_is_behind_is_recorded_when_it_begins_and_when_it_has_ended() {
        let mut behind = Behind::default();
        let mut look = |ms, views: Vec<(i32, View)>| {
            let newest = newest(&views, &["t".to_owned()]);
            behind.changes(&views, &newest, stamp(ms))
        };
        let (old, new) = (view(1, 5, &[1, 2, 3]), view(2, 6, &[2, 3]));
        assert_eq!(look(0, vec![(1, old.clone()), (2, old.clone())]), []);
        let event = |last_held| EventKind::BrokerView {
            broker: 1,
            topic: "t".to_owned(),
            partition: 0,
            leader: 1,
            leader_epoch: 5,
            newest_epoch: 6,
            last_held,
        };
        assert_eq!(look(250, vec![(1, old.clone()), (2, new.clone())]), [event(None)]);
        assert_eq!(look(500, vec![(1, old.clone()), (2, new.clone())]), []);
        assert_eq!(look(750, vec![(1, old), (2, new.clone())]), []);
        assert_eq!(look(1000, vec![(1, new.clone()), (2, new.clone())]), [event(Some(stamp(750)))]);
        assert_eq!(look(1250, vec![(1, new.clone()), (2, new)]), []);
    }

    #[test]
    fn a_broker_that_falls_silent_is_recorded_once() {
        let addresses: Vec<_> = (1..=3).map(|id| (id, String::new())).collect();
        let mut reach = Reach::default();
        assert_eq!(reach.changes(&addresses, &[]), []);
        assert_eq!(reach.changes(&addresses, &[2]), [(2, false)]);
        assert_eq!(reach.changes(&addresses, &[2]), []);
        assert_eq!(reach.changes(&addresses, &[3]), [(2, true), (3, false)]);
    }
}
