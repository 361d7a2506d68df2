//! The profiles' topics and groups: placed alike, so that every profile meets the same fault.

use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::record::Place;

use crate::cluster::Cluster;
use crate::cluster::readiness::{only_internal_topics, with_any};
use crate::cluster::wire::{NewTopic, Resource};
use crate::experiment::{Commit, Experiment, OnError, Profile, Sink, TopicSpec};
use crate::workload::parking::dead_letter;
use crate::workload::results;

/// Partitions of `__consumer_offsets` and of `__transaction_state`, as the compose file sets them.
const COORDINATING_PARTITIONS: i32 = 6;

const GONE_LIMIT: Duration = Duration::from_secs(20);

/// Name of a profile's topic.
#[must_use]
pub fn topic_name(experiment: &str, profile: &str) -> String {
    format!("{experiment}-{profile}")
}

/// Name of the dead-letter topic of a topic.
#[must_use]
pub fn dead_letters(topic: &str) -> String {
    format!("{topic}{}", dead_letter::SUFFIX)
}

/// The dead-letter topics that a profile's clients write, each with the place that it is.
#[must_use]
pub fn dead_letters_of(experiment: &Experiment, profile: &Profile) -> Vec<(String, Place)> {
    let topic = topic_name(&experiment.name, &profile.name);
    let mut all = Vec::new();
    if profile.producer.sending.on_error == OnError::Dlq {
        all.push((dead_letters(&topic), Place::ProducerDlq));
    }
    if profile.consumer.has_dead_letters() {
        all.push((format!("{topic}{}", dead_letter::CONSUMER_SUFFIX), Place::ConsumerDlq));
    }
    all
}

/// The topic of results that a profile's consumers write, if they do.
#[must_use]
pub fn results_of(experiment: &Experiment, profile: &Profile) -> Option<String> {
    let topic = topic_name(&experiment.name, &profile.name);
    (profile.consumer.handling.sink == Sink::Topic).then(|| format!("{topic}{}", results::SUFFIX))
}

/// All topics that a profile's clients write besides its own.
fn others_of(experiment: &Experiment, profile: &Profile) -> impl Iterator<Item = String> {
    let dead_letters = dead_letters_of(experiment, profile).into_iter().map(|(name, _)| name);
    dead_letters.chain(results_of(experiment, profile))
}

/// Creates the topic of every profile. Partition p has its replicas on the same brokers in all of them. Of the other
/// topics that its clients write, another broker leads partition p: dead letters are written when the topic's own leader
/// is away.
///
/// # Errors
/// What a broker says against it.
pub async fn create(cluster: &Cluster, experiment: &Experiment) -> Result<()> {
    let ids = cluster.ids();
    for profile in &experiment.profiles {
        let topic = NewTopic {
            name: topic_name(&experiment.name, &profile.name),
            assignment: assignment(&ids, &profile.topic),
            config: profile.topic.config.clone(),
        };
        with_any(&cluster.harness(), async |wire| wire.create_topic(&topic).await)
            .await
            .with_context(|| format!("can't create the topic of profile {}", profile.name))?;
        for name in others_of(experiment, profile) {
            let mut others = ids.clone();
            others.rotate_left(1);
            let safe = TopicSpec { replication_factor: 3, ..profile.topic.clone() };
            let topic = NewTopic {
                assignment: assignment(&others, &safe),
                config: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
                name: name.clone(),
            };
            with_any(&cluster.harness(), async |wire| wire.create_topic(&topic).await)
                .await
                .with_context(|| format!("can't create {name}"))?;
        }
    }
    Ok(())
}

fn assignment(ids: &[i32], topic: &TopicSpec) -> Vec<Vec<i32>> {
    let replicas = usize::try_from(topic.replication_factor).unwrap_or(1);
    (0..topic.partitions)
        .map(|partition| {
            let first = usize::try_from(partition).unwrap_or(0) % ids.len();
            ids.iter().cycle().skip(first).take(replicas).copied().collect()
        })
        .collect()
}

/// Keeps retention and compaction from taking anything while the log is read.
///
/// # Errors
/// What a broker says against it.
pub async fn freeze(cluster: &Cluster, topic: &str) -> Result<()> {
    let options = [("retention.ms", "-1"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    let topic = Resource::Topic(topic.to_owned());
    with_any(&cluster.harness(), async |wire| wire.change_config(&topic, &options).await)
        .await
        .with_context(|| format!("can't freeze {topic}"))
}

/// Removes the topics of an experiment, so that its cluster can serve another. Brokers forget them one
/// by one after the controller has; waits for all.
///
/// # Errors
/// What a broker says against it, or that some broker still knows them.
pub async fn delete(cluster: &Cluster, experiment: &Experiment) -> Result<()> {
    for profile in &experiment.profiles {
        let own = topic_name(&experiment.name, &profile.name);
        for name in std::iter::once(own).chain(others_of(experiment, profile)) {
            with_any(&cluster.harness(), async |wire| wire.delete_topic(&name).await).await?;
        }
    }
    Ok(only_internal_topics(&cluster.harness(), GONE_LIMIT).await?)
}

/// A group id for each profile, all with the same coordinator.
#[must_use]
pub fn group_ids(experiment: &Experiment, run: u64) -> Vec<String> {
    let mut wanted = None;
    let profiles = experiment.profiles.iter();
    profiles.map(|profile| coordinated(&format!("{}-{}-{run:x}", experiment.name, profile.name), &mut wanted)).collect()
}

/// The transactional ids of a profile's streams, one a partition; none without transactions. Those of one partition have
/// the same coordinator in all profiles.
#[must_use]
pub fn transactional_ids(experiment: &Experiment, profile: &Profile, run: u64) -> Vec<String> {
    let partitions = if profile.producer.transaction_messages.is_some() { profile.topic.partitions } else { 0 };
    (0..partitions).map(|partition| transactional_id(experiment, profile, run, &format!("p{partition}"))).collect()
}

/// The transactional ids of a profile's consumers, one a member; none if they don't commit in transactions. Those of one
/// member have the same coordinator in all profiles.
#[must_use]
pub fn members_transactional_ids(experiment: &Experiment, profile: &Profile, run: u64) -> Vec<String> {
    let members = match profile.consumer.handling.commit {
        Commit::Transactional => profile.consumer.members,
        _ => 0,
    };
    (0..members).map(|member| transactional_id(experiment, profile, run, &format!("m{member}"))).collect()
}

fn transactional_id(experiment: &Experiment, profile: &Profile, run: u64, part: &str) -> String {
    let slot = hash(&format!("{}-{run:x}-{part}", experiment.name)) % COORDINATING_PARTITIONS;
    coordinated(&format!("{}-{}-{run:x}-{part}", experiment.name, profile.name), &mut Some(slot))
}

/// An id whose hash falls on the wanted partition of the coordinators' topic; the first one decides which.
/// (`Utils.abs(id.hashCode) % partitions` in Kafka's GroupCoordinator and TransactionStateManager.)
fn coordinated(base: &str, wanted: &mut Option<i32>) -> String {
    let mut tries = (0u32..).map(|n| format!("{base}-{n}"));
    let slot = |id: &str| hash(id) % COORDINATING_PARTITIONS;
    let chosen = tries.find(|id| wanted.is_none_or(|wanted| wanted == slot(id))).unwrap_or_else(|| base.to_owned());
    wanted.get_or_insert(slot(&chosen));
    chosen
}

/// Java's `hashCode` of a string, made positive as Kafka does.
fn hash(id: &str) -> i32 {
    let hash = id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::{coordinated, hash};

    #[test]
    fn ids_are_hashed_as_java_does() {
        // hashCode() by a JVM: 629866497, and -318356561 for the second.
        assert_eq!(hash("lossproof"), 629_866_497);
        assert_eq!(hash("leader-partition-baseline-0"), -318_356_561 & i32::MAX);
    }

    #[test]
    fn ids_share_a_coordinator() {
        let mut wanted = None;
        let ids: Vec<String> = ["a", "b", "c", "d"].iter().map(|base| coordinated(base, &mut wanted)).collect();
        assert!(ids.iter().all(|id| hash(id) % 6 == wanted.unwrap()), "{ids:?}");
        assert_eq!(ids[0], "a-0");
    }
}
