//! Waiting for a state of the cluster, never for a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::wire::{NewTopic, Refused, View, Wire};

const POLL_EVERY: Duration = Duration::from_millis(100);
/// How long one broker may take over one question; a busy host makes a healthy one slow.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
const ASK_LIMIT: Duration = Duration::from_secs(20);
const PROBE_TOPIC: &str = "lossproof-probe";

/// What was seen when a wait ended without the state that it waited for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("after {waited:?}: {seen}")]
pub struct NotReached {
    /// How long.
    pub waited: Duration,
    /// What was seen last, one sentence.
    pub seen: String,
    /// Brokers that did not answer, or did not see all others.
    pub silent: Vec<i32>,
}

/// Id and HARNESS address of a broker.
pub type Address = (i32, String);

/// Waits until each broker sees all of them, and a probe topic over all is in sync and gone again.
///
/// # Errors
/// `NotReached` with what was missing.
pub async fn ready(addresses: &[Address], limit: Duration) -> Result<(), NotReached> {
    let deadline = Instant::now() + limit;
    settled(addresses, &[], limit).await?;
    let ids: Vec<i32> = addresses.iter().map(|(id, _)| *id).collect();
    let probe = NewTopic {
        name: PROBE_TOPIC.to_owned(),
        assignment: (0..ids.len())
            .map(|first| ids.iter().cycle().skip(first).take(ids.len()).copied().collect())
            .collect(),
        config: Vec::new(),
    };
    until(deadline, limit, async || {
        match with_any(addresses, async |wire| wire.create_topic(&probe).await).await {
            // An earlier try may have been answered late, and done its work.
            Err(error) if !format!("{error:#}").contains("already exists") => {
                Some(format!("the probe topic could not be created: {error:#}"))
            }
            _ => None,
        }
    })
    .await?;
    let lacking = |id, view: &View, partitions| lacking(id, view, PROBE_TOPIC, partitions);
    until(deadline, limit, async || first_lack(addresses, |id, view| lacking(id, view, ids.len())).await).await?;
    with_any(addresses, async |wire| wire.delete_topic(PROBE_TOPIC).await).await.ok();
    until(deadline, limit, async || {
        let stays = first_lack(addresses, |id, view| lacking(id, view, 0)).await;
        stays.map(|state| format!("the probe topic stays: {state}"))
    })
    .await
}

/// Looks until nothing is missing any more.
async fn until(
    deadline: Instant,
    waited: Duration,
    missing: impl AsyncFn() -> Option<String>,
) -> Result<(), NotReached> {
    while let Some(seen) = missing().await {
        if Instant::now() >= deadline {
            return Err(NotReached { waited, seen, silent: Vec::new() });
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(())
}

/// What the first broker that is not as it should be lacks; one that does not answer lacks that.
async fn first_lack(addresses: &[Address], lack: impl Fn(i32, &View) -> Option<String>) -> Option<String> {
    let (views, silent) = views(addresses).await;
    if let Some(id) = silent.first() {
        return Some(format!("broker {id} does not answer"));
    }
    views.iter().find_map(|(id, view)| lack(*id, view))
}

/// Waits until each broker answers and sees all brokers, and each partition of each topic has a
/// living leader and all its replicas in sync; of those that are `gone` for good nothing is expected.
///
/// # Errors
/// `NotReached` with what was missing.
pub async fn settled(addresses: &[Address], gone: &[i32], limit: Duration) -> Result<(), NotReached> {
    let left: Vec<Address> = addresses.iter().filter(|(id, _)| !gone.contains(id)).cloned().collect();
    let started = Instant::now();
    loop {
        let (views, silent) = views(&left).await;
        let Some(seen) = unsettled(&left, gone, &views, &silent) else { return Ok(()) };
        if started.elapsed() >= limit {
            return Err(NotReached { waited: started.elapsed(), seen, silent });
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Waits until every broker knows these topics, each with so many partitions that are all in sync. A consumer group
/// whose leader asks a broker that does not know its topic yet is assigned nothing, until its client looks
/// again (`topic.metadata.refresh.interval.ms`, five minutes).
///
/// # Errors
/// `NotReached` with what a broker lacks.
pub async fn known(addresses: &[Address], topics: &[(String, usize)], limit: Duration) -> Result<(), NotReached> {
    let lack = |id, view: &View| topics.iter().find_map(|(topic, partitions)| lacking(id, view, topic, *partitions));
    until(Instant::now() + limit, limit, async || first_lack(addresses, lack).await).await
}

/// What a broker lacks of a topic with so many partitions, all in sync.
fn lacking(broker: i32, view: &View, topic: &str, partitions: usize) -> Option<String> {
    let seen: Vec<_> = view.partitions.iter().filter(|state| state.topic == topic).collect();
    let sound = seen.iter().filter(|state| state.is_sound(&[])).count();
    let lacks = sound != partitions || seen.len() != partitions;
    lacks.then(|| {
        format!("broker {broker} sees {sound} of {} partitions of {topic} in sync, of {partitions}", seen.len())
    })
}

/// Waits until no broker knows any topic but the brokers' own.
///
/// # Errors
/// `NotReached` with one that stays.
pub async fn only_internal_topics(addresses: &[Address], limit: Duration) -> Result<(), NotReached> {
    let stray = |id, view: &View| {
        let stays = view.partitions.iter().find(|partition| !partition.topic.starts_with("__"))?;
        Some(format!("topic {} is still there, as broker {id} sees it", stays.topic))
    };
    until(Instant::now() + limit, limit, async || first_lack(addresses, stray).await).await
}

/// What each broker that answers believes, and the ids of those that do not.
pub async fn views(addresses: &[Address]) -> (Vec<(i32, View)>, Vec<i32>) {
    let asked = addresses.iter().map(|(id, address)| async move {
        let view = async { Wire::connect(address, ANSWER_LIMIT).await?.view(None).await }.await;
        (*id, view)
    });
    let mut views = Vec::new();
    let mut silent = Vec::new();
    for (id, view) in futures_util::future::join_all(asked).await {
        match view {
            Ok(view) => views.push((id, view)),
            Err(error) => {
                tracing::debug!("broker {id} gives no metadata: {error:#}");
                silent.push(id);
            }
        }
    }
    (views, silent)
}

/// Makes a request to the first broker that grants it. While none so much as answers, as on a host
/// that is too busy or in the middle of a fault, they are asked again until `ASK_LIMIT`.
///
/// # Errors
/// The last broker's refusal, or that none answered.
pub async fn with_any<T>(addresses: &[Address], request: impl AsyncFn(&mut Wire) -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + ASK_LIMIT;
    loop {
        let mut last = anyhow::anyhow!("there is no broker to ask");
        let mut refused = false;
        for (id, address) in addresses {
            let answer = async { request(&mut Wire::connect(address, ANSWER_LIMIT).await?).await };
            match answer.await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    refused |= error.is::<Refused>();
                    last = error.context(format!("broker {id}"));
                }
            }
        }
        if refused || Instant::now() >= deadline {
            return Err(last);
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The first thing that is not as it should be; none when the cluster has settled.
fn unsettled(addresses: &[Address], gone: &[i32], views: &[(i32, View)], silent: &[i32]) -> Option<String> {
    if !silent.is_empty() {
        return Some(format!("{} not answering", list("broker", silent)));
    }
    let all: BTreeSet<i32> = addresses.iter().map(|(id, _)| *id).collect();
    for (id, view) in views {
        let missing: Vec<i32> = all.iter().filter(|other| !view.brokers.contains(other)).copied().collect();
        if !missing.is_empty() {
            return Some(format!("broker {id} does not see {}", list("broker", &missing)));
        }
        if let Some(partition) = view.partitions.iter().find(|partition| !partition.is_sound(gone)) {
            return Some(format!(
                "{} partition {}: leader {}, in sync {:?} of {:?}, as broker {id} sees it",
                partition.topic, partition.partition, partition.leader, partition.isr, partition.replicas
            ));
        }
    }
    None
}

fn list(noun: &str, ids: &[i32]) -> String {
    let plural = if ids.len() == 1 { "" } else { "s" };
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("{noun}{plural} {}", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::wire::{PartitionView, View};
    use super::{Address, lacking, unsettled};

    fn addresses() -> Vec<Address> {
        (1..=3).map(|id| (id, String::new())).collect()
    }

    fn view(brokers: &[i32], leader: i32, isr: &[i32]) -> View {
        View {
            brokers: brokers.to_vec(),
            partitions: vec![PartitionView {
                topic: "t".to_owned(),
                partition: 0,
                leader,
                leader_epoch: 4,
                replicas: vec![1, 2, 3],
                isr: isr.to_vec(),
            }],
        }
    }

    #[test]
    fn a_topic_is_known_with_all_its_partitions_in_sync() {
        let good = view(&[1, 2, 3], 2, &[1, 2, 3]);
        assert_eq!(lacking(2, &good, "t", 1), None);
        assert_eq!(lacking(2, &good, "other", 0), None);
        for (view, topic, partitions, lacks) in [
            (&good, "other", 3, "broker 2 sees 0 of 0 partitions of other in sync, of 3"),
            (&good, "t", 2, "broker 2 sees 1 of 1 partitions of t in sync, of 2"),
            (&good, "t", 0, "broker 2 sees 1 of 1 partitions of t in sync, of 0"),
            (&view(&[1, 2, 3], 2, &[1, 2]), "t", 1, "broker 2 sees 0 of 1 partitions of t in sync, of 1"),
            (&view(&[1, 2, 3], 2, &[1, 2]), "t", 0, "broker 2 sees 0 of 1 partitions of t in sync, of 0"),
        ] {
            assert_eq!(lacking(2, view, topic, partitions).as_deref(), Some(lacks));
        }
    }

    #[test]
    fn settled_means_all_answer_and_all_is_in_sync() {
        let good = view(&[1, 2, 3], 2, &[1, 2, 3]);
        let views = |third: View| vec![(1, good.clone()), (2, good.clone()), (3, third)];
        assert_eq!(unsettled(&addresses(), &[], &views(good.clone()), &[]), None);
        let cases = [
            (views(good.clone()), vec![2, 3], "brokers 2, 3 not answering"),
            (views(view(&[1, 3], 2, &[1, 2, 3])), vec![], "broker 3 does not see broker 2"),
            (
                views(view(&[1, 2, 3], 2, &[2, 3])),
                vec![],
                "t partition 0: leader 2, in sync [2, 3] of [1, 2, 3], as broker 3 sees it",
            ),
            (
                views(view(&[1, 2, 3], -1, &[1, 2, 3])),
                vec![],
                "t partition 0: leader -1, in sync [1, 2, 3] of [1, 2, 3], as broker 3 sees it",
            ),
        ];
        for (views, silent, expected) in cases {
            assert_eq!(unsettled(&addresses(), &[], &views, &silent).as_deref(), Some(expected));
        }
    }
}
