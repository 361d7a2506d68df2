//! `move_leader`: another replica is put first and elected, as a rebalancing tool does. No data moves, and no broker
//! is hurt: producers and consumers are told to go elsewhere.
//!
//! Proof: each broker that answers names the new leader, under a higher leader epoch. Nothing is asked for, and
//! nothing proven, where that broker leads already, holds no replica or is not in sync. Healed: the replicas stand in
//! their order again, and who led before leads.

use std::time::{Duration, Instant};

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::elect_leader::newly_led;
use super::{POLL_EVERY, everywhere, name, names, partitions};
use crate::cluster::Cluster;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::{PartitionView, Reassignment, TopicPartition};
use crate::experiment::{Destination, Election};
use crate::fault::{Findings, Undo};

/// How long the leader of before may take to be fit for it again.
const RETURN_LIMIT: Duration = Duration::from_secs(30);

/// Who led a partition, and the order of its replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The partition, with its replicas in order.
    #[serde(flatten)]
    pub replicas: Reassignment,
    /// The leader; -1 for none.
    pub leader: i32,
}

impl Led {
    fn of(state: &PartitionView) -> Self {
        let PartitionView { topic, partition, leader, replicas, .. } = state.clone();
        Self { replicas: Reassignment { topic, partition, replicas }, leader }
    }

    pub(in crate::fault) fn name(&self) -> String {
        name(&self.replicas.topic, self.replicas.partition)
    }

    /// What has to be done, one sentence.
    pub(in crate::fault) fn describe(&self) -> String {
        let order = format!("put the replicas of {} in the order {:?}", self.name(), self.replicas.replicas);
        match self.leader {
            ..0 => order,
            leader => format!("let broker {leader} lead {}, {order}", self.name()),
        }
    }
}

pub(super) async fn undo(cluster: &Cluster, topics: &[String], partition: i32) -> Result<Undo> {
    Ok(Undo::RestoreLeaders(partitions(cluster, topics, partition).await?.iter().map(Led::of).collect()))
}

pub(super) async fn inject(cluster: &Cluster, topics: &[String], partition: i32, to: Destination) -> Result<Proof> {
    let before = partitions(cluster, topics, partition).await?;
    let asked = names(&before);
    let under_way = with_any(&cluster.harness(), async |wire| wire.being_reassigned(&asked).await).await?;
    let choices: Vec<Result<i32, String>> = before
        .iter()
        .map(|state| match under_way.iter().any(|(topic, _)| *topic == state.topic) {
            true => Err("its replicas are being reassigned already".to_owned()),
            false => choose(state, to),
        })
        .collect();
    let mut findings = Findings::default();
    // All or none, so that the profiles meet the same.
    if choices.iter().any(Result::is_err) {
        for (state, choice) in before.iter().zip(&choices) {
            let name = name(&state.topic, partition);
            let why = choice.as_ref().map_or_else(Clone::clone, |_| "left alone with the others".to_owned());
            let evidence = json!({ "leader_before": state.leader, "in_sync_before": state.isr });
            findings.note(name.clone(), false, format!("{name}: {why}"), evidence);
        }
        return Ok(findings.proof());
    }
    let moves: Vec<(&PartitionView, i32)> = before.iter().zip(choices.into_iter().flatten()).collect();
    let orders: Vec<Reassignment> = moves.iter().map(|(state, to)| first(&Led::of(state).replicas, *to)).collect();
    with_any(&cluster.harness(), async |wire| wire.reassign(&orders).await).await?;
    let refused = elect(cluster, &asked).await?;
    let seen = newly_led(cluster, &before).await;
    for (state, to) in moves {
        let after = seen.view.as_ref().and_then(|view| view.partition(&state.topic, partition));
        let (leader, epoch) = after.map_or((-1, -1), |after| (after.leader, after.leader_epoch));
        let name = name(&state.topic, partition);
        let (holds, told) = (leader == to && seen.by_all(), seen.words());
        let mut sentence =
            format!("{name}: broker {leader} leads in epoch {epoch}{told}; before broker {} did", state.leader);
        if let Some((_, why)) = refused.iter().find(|((topic, _), _)| *topic == state.topic) {
            sentence.push_str(&format!("; broker {to} was not elected: {why}"));
        }
        let evidence = json!({
            "leader_before": state.leader, "epoch_before": state.leader_epoch, "replicas_before": state.replicas,
            "leader": leader, "epoch": epoch, "wanted": to, "seen_by": seen.by,
        });
        findings.note(name.clone(), holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// The broker that is to lead, or why none can.
fn choose(state: &PartitionView, to: Destination) -> Result<i32, String> {
    let in_sync = |id: &i32| *id != state.leader && state.isr.contains(id);
    match to {
        _ if state.leader < 0 => Err("nobody leads it, so there is nothing to move".to_owned()),
        Destination::Broker(id) if id == state.leader => Err(format!("broker {id} leads it already")),
        Destination::Broker(id) if !state.replicas.contains(&id) => Err(format!("broker {id} holds no replica of it")),
        Destination::Broker(id) if !state.isr.contains(&id) => Err(format!("broker {id} is not in sync")),
        Destination::Broker(id) => Ok(id),
        Destination::Follower => {
            state.replicas.iter().copied().find(in_sync).ok_or_else(|| "no follower is in sync".to_owned())
        }
    }
}

/// The same replicas, with one of them first.
fn first(order: &Reassignment, broker: i32) -> Reassignment {
    let others = order.replicas.iter().copied().filter(|&id| id != broker);
    Reassignment { replicas: std::iter::once(broker).chain(others).collect(), ..order.clone() }
}

/// Elects the first replicas; with what the controller has against it.
async fn elect(cluster: &Cluster, asked: &[TopicPartition]) -> Result<Vec<(TopicPartition, String)>> {
    let preferred = Election::Preferred;
    let outcome = with_any(&cluster.harness(), async |wire| wire.elect_leaders(preferred, asked).await).await?;
    Ok(outcome.into_iter().filter_map(|(of, refusal)| Some((of, refusal?))).collect())
}

/// Lets those lead again who led before, then puts the replicas in their order.
pub(in crate::fault) async fn heal(cluster: &Cluster, before: &[Led]) -> Result<Proof> {
    let deadline = Instant::now() + RETURN_LIMIT;
    loop {
        let elsewhere = led_by_others(cluster, before).await?;
        if elsewhere.is_empty() || Instant::now() >= deadline {
            break;
        }
        let orders: Vec<Reassignment> = elsewhere.iter().map(|led| first(&led.replicas, led.leader)).collect();
        with_any(&cluster.harness(), async |wire| wire.reassign(&orders).await).await?;
        let asked: Vec<TopicPartition> = orders.iter().map(|order| (order.topic.clone(), order.partition)).collect();
        // A broker that is not in sync yet is refused, and asked for again.
        elect(cluster, &asked).await?;
        tokio::time::sleep(POLL_EVERY).await;
    }
    let orders: Vec<Reassignment> = before.iter().map(|led| led.replicas.clone()).collect();
    with_any(&cluster.harness(), async |wire| wire.reassign(&orders).await).await?;
    let seen = everywhere(cluster, |view| {
        before.iter().find_map(|led| {
            let state = view.partition(&led.replicas.topic, led.replicas.partition);
            let Some(state) = state else { return Some(format!("no {}", led.name())) };
            let as_before = state.replicas == led.replicas.replicas && (led.leader < 0 || state.leader == led.leader);
            let now = || format!("leader {} and replicas {:?} of {}", state.leader, state.replicas, led.name());
            (!as_before).then(now)
        })
    })
    .await;
    let mut findings = Findings::default();
    for led in before {
        let state = seen.view.as_ref().and_then(|view| view.partition(&led.replicas.topic, led.replicas.partition));
        let leader = state.map(|state| state.leader);
        let now = leader.map_or_else(|| "nobody is known to lead".to_owned(), |id| format!("broker {id} leads"));
        let sentence = format!("{}: {now}, replicas {:?}{}", led.name(), led.replicas.replicas, seen.words());
        let evidence = json!({
            "leader_before": led.leader, "leader": leader,
            "replicas_before": led.replicas.replicas, "replicas": state.map(|state| state.replicas.clone()),
        });
        findings.note(led.name(), seen.by_all(), sentence, evidence);
    }
    Ok(findings.proof())
}

/// Those whose leader of before does not lead.
async fn led_by_others<'a>(cluster: &Cluster, before: &'a [Led]) -> Result<Vec<&'a Led>> {
    let topics: Vec<String> = before.iter().map(|led| led.replicas.topic.clone()).collect();
    let view = with_any(&cluster.harness(), async |wire| wire.view(Some(&topics)).await).await?;
    let elsewhere = before.iter().filter(|led| {
        let state = view.partition(&led.replicas.topic, led.replicas.partition);
        led.leader >= 0 && state.is_none_or(|state| state.leader != led.leader)
    });
    Ok(elsewhere.collect())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::choose;
    use crate::cluster::wire::PartitionView;
    use crate::experiment::Destination::{self, Broker, Follower};

    fn state(leader: i32, isr: &[i32]) -> PartitionView {
        let (topic, replicas) = ("t".to_owned(), vec![3, 1, 2]);
        PartitionView { topic, partition: 0, leader, leader_epoch: 0, replicas, isr: isr.to_vec() }
    }

    #[test_case(3, &[1, 2, 3], Follower, Ok(1); "the first follower")]
    #[test_case(3, &[2, 3], Follower, Ok(2); "the first in sync")]
    #[test_case(1, &[1, 2, 3], Follower, Ok(3); "the preferred leader follows")]
    #[test_case(3, &[3], Follower, Err("no follower is in sync"); "alone")]
    #[test_case(3, &[1, 2, 3], Broker(2), Ok(2); "by id")]
    #[test_case(3, &[1, 2, 3], Broker(3), Err("broker 3 leads it already"); "itself")]
    #[test_case(3, &[1, 3], Broker(2), Err("broker 2 is not in sync"); "behind")]
    #[test_case(3, &[1, 2, 3], Broker(4), Err("broker 4 holds no replica of it"); "elsewhere")]
    #[test_case(-1, &[1], Follower, Err("nobody leads it, so there is nothing to move"); "offline")]
    fn leadership_goes_to(leader: i32, isr: &[i32], to: Destination, expected: Result<i32, &str>) {
        assert_eq!(choose(&state(leader, isr), to), expected.map_err(str::to_owned));
    }
}
