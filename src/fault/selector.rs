//! Which brokers a selector means, asked at the moment when the fault fires.

use anyhow::{Context, Result};

use super::Draw;
use super::client::ClientName;
use crate::cluster::Cluster;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::Coordinated;
use crate::experiment::{Coordinator, Selector};

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
    /// The profiles' topics, for what acts on these instead of brokers.
    pub topics: Vec<String>,
}

impl Target {
    /// Whether there is nothing to hit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.brokers.is_empty() && self.clients.is_empty()
    }
}

/// What the profiles work with, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'a> {
    /// Their topics.
    pub topics: &'a [String],
    /// Their consumer groups.
    pub groups: &'a [String],
    /// Of each that has transactions, the transactional id of partition 0.
    pub transactional_ids: &'a [String],
}

/// Resolves a selector for what the profiles work with, or by chance.
///
/// # Errors
/// When no broker answers.
pub async fn resolve(cluster: &Cluster, selector: &Selector, subjects: Subjects<'_>, draw: Draw) -> Result<Target> {
    let Subjects { topics, groups, transactional_ids } = subjects;
    let fixed = |brokers: Vec<i32>, basis: String| Target { brokers, basis, same_for_all: true, ..Target::default() };
    let target = match selector {
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
            by_partition(cluster, topics, *partition, "followers", |leader, replicas| {
                let mut followers: Vec<i32> = replicas.iter().copied().filter(|&id| id != leader).collect();
                followers.sort_unstable();
                followers
            })
            .await?
        }
        Selector::ReplicasOf(partition) => {
            by_partition(cluster, topics, *partition, "replicas", |_, replicas| replicas.to_vec()).await?
        }
        Selector::LeaderOfTopic { topic, partition } => leader_of(cluster, topic, *partition).await?,
        Selector::CoordinatorOf(Coordinator::Group) => coordinator(cluster, Coordinated::Groups, groups).await?,
        Selector::CoordinatorOf(Coordinator::GroupId(id)) => {
            coordinator(cluster, Coordinated::Groups, std::slice::from_ref(id)).await?
        }
        Selector::CoordinatorOf(Coordinator::Transactions) => {
            coordinator(cluster, Coordinated::Transactions, transactional_ids).await?
        }
    };
    Ok(Target { topics: topics.to_vec(), ..target })
}

/// The leader of one partition of a named topic.
async fn leader_of(cluster: &Cluster, topic: &str, partition: i32) -> Result<Target> {
    let named = [topic.to_owned()];
    let view = with_any(&cluster.harness(), async |wire| wire.view(Some(&named)).await).await?;
    let leader = view.partition(topic, partition).map(|state| state.leader);
    let basis = match leader {
        None => format!("Metadata: there is no partition {partition} of topic {topic}"),
        Some(..0) => format!("Metadata: nobody leads {topic}/{partition}"),
        Some(leader) => format!("Metadata: broker {leader} leads {topic}/{partition}"),
    };
    let brokers = leader.into_iter().filter(|&id| id >= 0).collect();
    Ok(Target { brokers, basis, same_for_all: true, ..Target::default() })
}

/// The coordinator of these groups or transactional ids.
async fn coordinator(cluster: &Cluster, of: Coordinated, ids: &[String]) -> Result<Target> {
    let found = with_any(&cluster.harness(), async |wire| wire.coordinators(of, ids).await).await?;
    Ok(agree_on_coordinator(&found))
}

/// One target for all ids: the first one's coordinator, with a word on whether the others have the same.
fn agree_on_coordinator(found: &[(String, Result<i32, String>)]) -> Target {
    let brokers: Vec<i32> = found.first().and_then(|(_, broker)| broker.as_ref().ok()).copied().into_iter().collect();
    let same_for_all = found.iter().all(|(_, broker)| broker.as_ref().ok() == brokers.first());
    let each = found.iter().map(|(id, broker)| match broker {
        Ok(broker) => format!("broker {broker} for {id}"),
        Err(why) => format!("none for {id}: {why}"),
    });
    let basis = format!("FindCoordinator: {}", each.collect::<Vec<_>>().join(", "));
    Target { brokers, basis, same_for_all, ..Target::default() }
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
        let found =
            view.partition(topic, partition).with_context(|| format!("topic {topic} has no partition {partition}"))?;
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
    use super::{agree, agree_on_coordinator};

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

    #[test]
    fn ids_with_other_coordinators_or_none_are_told() {
        let of = |id: &str, broker: Result<i32, &str>| (id.to_owned(), broker.map_err(str::to_owned));
        let same = agree_on_coordinator(&[of("a", Ok(2)), of("b", Ok(2))]);
        assert!(same.same_for_all && same.brokers == [2]);
        assert_eq!(same.basis, "FindCoordinator: broker 2 for a, broker 2 for b");
        assert!(!agree_on_coordinator(&[of("a", Ok(2)), of("b", Ok(3))]).same_for_all);
        let one = agree_on_coordinator(&[of("a", Ok(2)), of("b", Err("not now"))]);
        assert!(!one.same_for_all);
        assert_eq!(one.basis, "FindCoordinator: broker 2 for a, none for b: not now");
        let none = agree_on_coordinator(&[of("a", Err("not now"))]);
        assert!(none.brokers.is_empty());
    }
}
