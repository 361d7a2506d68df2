//! Which brokers a selector means, asked at the moment when the fault fires.

use anyhow::{Context, Result};

use super::Draw;
use super::client::ClientName;
use crate::cluster::Cluster;
use crate::cluster::readiness::with_any;
use crate::experiment::Selector;

/// What a selector was resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Broker ids.
    pub brokers: Vec<i32>,
    /// Brokers at the other end, for a fault of packets.
    pub peers: Vec<i32>,
    /// Clients.
    pub clients: Vec<ClientName>,
    /// What the choice was based on, one sentence.
    pub basis: String,
    /// Whether each profile's topic gives the same answer. Otherwise the profiles are not hit alike.
    pub same_for_all: bool,
}

impl Target {
    /// Whether there is nothing to hit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.brokers.is_empty() && self.clients.is_empty()
    }
}

/// Resolves a selector for the profiles' topics, or by chance.
///
/// # Errors
/// When no broker answers.
pub async fn resolve(cluster: &Cluster, selector: &Selector, topics: &[String], draw: Draw) -> Result<Target> {
    let fixed = |brokers: Vec<i32>, basis: String| Target { brokers, basis, same_for_all: true, ..Target::default() };
    Ok(match selector {
        Selector::Broker(id) => fixed(vec![*id], "named by the experiment".to_owned()),
        Selector::These(ids) => fixed(ids.clone(), "named by the experiment".to_owned()),
        Selector::All => fixed(cluster.ids(), "all brokers, by id".to_owned()),
        Selector::Random => draw.broker(&cluster.ids()),
        Selector::Controller => {
            let id = with_any(&cluster.harness(), async |wire| wire.active_controller().await).await?;
            fixed(vec![id], format!("DescribeQuorum names {id} as the active controller"))
        }
        Selector::LeaderOf(partition) => {
            by_partition(cluster, topics, *partition, "leader", |leader, _| vec![leader]).await?
        }
        Selector::FollowersOf(partition) => {
<<<<<<< HEAD
            by_partition(cluster, topics, *partition, "followers", |leader, replicas| {
                replicas.iter().copied().filter(|&id| id != leader).collect()
=======
            by_partition(cluster, topics, partition, "followers", |leader, replicas| {
                let mut followers: Vec<i32> = replicas.iter().copied().filter(|&id| id != leader).collect();
                followers.sort_unstable();
                followers
>>>>>>> fdf83fc (Split the wire requests by theme, and add those of elections, options, replicas, records, coordinators and features)
            })
            .await?
        }
    })
}

async fn by_partition(
    cluster: &Cluster,
    topics: &[String],
    partition: i32,
    what: &str,
    choose: impl Fn(i32, &[i32]) -> Vec<i32>,
) -> Result<Target> {
    let view = with_any(&cluster.harness(), async |wire| wire.view(Some(topics)).await).await?;
    let mut choices = Vec::new();
    for topic in topics {
        let found = view
            .partitions
            .iter()
            .find(|candidate| candidate.topic == *topic && candidate.partition == partition)
            .with_context(|| format!("topic {topic} has no partition {partition}"))?;
        let brokers = choose(found.leader, &found.replicas).into_iter().filter(|&id| id >= 0).collect();
        choices.push((topic, brokers));
    }
    Ok(agree(&choices, partition, what))
}

/// One target for all topics: the first one's, with a word on whether the others agree.
fn agree(choices: &[(&String, Vec<i32>)], partition: i32, what: &str) -> Target {
    let brokers = choices.first().map(|(_, brokers)| brokers.clone()).unwrap_or_default();
    let same_for_all = choices.iter().all(|(_, other)| *other == brokers);
    let basis = if same_for_all {
        format!("Metadata: {what} of partition {partition} of every profile's topic: {brokers:?}")
    } else {
        let each: Vec<String> = choices.iter().map(|(topic, brokers)| format!("{topic} {brokers:?}")).collect();
        format!("Metadata: {what} of partition {partition} differ: {}", each.join(", "))
    };
    Target { brokers, basis, same_for_all, ..Target::default() }
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn topics_that_disagree_are_told() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert!(agree(&[(&a, vec![1]), (&b, vec![1])], 0, "leader").same_for_all);
        let split = agree(&[(&a, vec![1]), (&b, vec![2])], 0, "leader");
        assert!(!split.same_for_all);
        assert_eq!(split.brokers, [1]);
        assert_eq!(split.basis, "Metadata: leader of partition 0 differ: a [1], b [2]");
        assert!(agree(&[(&a, vec![])], 0, "leader").brokers.is_empty());
    }
}
