//! Rules on how partitions stand at this moment.

use std::collections::BTreeSet;

use super::cluster::{Cluster, Partition, Topic};
use super::finding::{Finding, count, listed};
use super::rule::Rule;

/// Findings of partitions that have not all that they should have; each counts in the gravest alone.
pub fn examine(cluster: &Cluster) -> Vec<Finding> {
    [Rule::NoLeader, Rule::UnderMinIsr, Rule::UnderReplicated]
        .into_iter()
        .filter_map(|rule| of(cluster, rule))
        .collect()
}

fn of(cluster: &Cluster, rule: Rule) -> Option<Finding> {
    let mut partitions = 0;
    let mut missing = BTreeSet::new();
    let mut topics = Vec::new();
    for topic in &cluster.topics {
        let before = partitions;
        for partition in topic.partitions.iter().filter(|partition| state(topic, partition) == Some(rule)) {
            partitions += 1;
            missing.extend(partition.replicas.iter().filter(|id| !partition.isr.contains(id)));
        }
        if partitions > before {
            topics.push(topic.name.clone());
        }
    }
    let missing: Vec<i32> = missing.into_iter().collect();
    let state = match rule {
        Rule::NoLeader => "without a leader",
        Rule::UnderMinIsr => "with fewer replicas in sync than min.insync.replicas",
        _ => "with replicas out of sync",
    };
    let word = if missing.len() == 1 { "broker" } else { "brokers" };
    let advice = match missing.as_slice() {
        [] => "bring their brokers back, and wait until they are led before anything else is touched".to_owned(),
        ids => format!(
            "see to {word} {}, and wait until all replicas are in sync before anything else is touched",
            listed(ids)
        ),
    };
    (partitions > 0).then(|| {
        let what = format!(
            "{} of {} {state} now",
            count(partitions, "partition", "partitions"),
            count(topics.len(), "topic", "topics")
        );
        Finding::new(rule, what).of_topics(topics).advice(advice)
    })
}

fn state(topic: &Topic, partition: &Partition) -> Option<Rule> {
    let in_sync = partition.isr.len() as u64;
    if partition.leader.is_none() {
        Some(Rule::NoLeader)
    } else if topic.min_insync().is_some_and(|min| in_sync < min && min <= partition.replicas.len() as u64) {
        Some(Rule::UnderMinIsr)
    } else if in_sync < partition.replicas.len() as u64 {
        Some(Rule::UnderReplicated)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::cluster::samples::{cluster, topic};
    use super::*;

    #[test_case(None, &[] => Some(Rule::NoLeader))]
    #[test_case(None, &[1] => Some(Rule::NoLeader); "as kafka 3 tells it")]
    #[test_case(Some(1), &[1] => Some(Rule::UnderMinIsr))]
    #[test_case(Some(1), &[1, 3] => Some(Rule::UnderReplicated))]
    #[test_case(Some(1), &[1, 2, 3] => None)]
    fn the_gravest_counts(leader: Option<i32>, isr: &[i32]) -> Option<Rule> {
        let mut one = topic("a", &[1, 2, 3], "2");
        one.partitions[1].leader = leader;
        one.partitions[1].isr = isr.to_vec();
        let findings = examine(&cluster(&[one, topic("b", &[1, 2, 3], "2")]));
        assert!(findings.len() <= 1, "{findings:?}");
        findings.first().map(|finding| {
            assert_eq!(finding.topics, ["a"]);
            assert!(finding.what.starts_with("1 partition of 1 topic"), "{}", finding.what);
            finding.rule
        })
    }

    #[test]
    fn the_brokers_that_are_missing_are_named() {
        let mut one = topic("a", &[1, 2, 3], "1");
        one.partitions[0].isr = vec![1];
        let findings = examine(&cluster(&[one]));
        assert!(findings[0].advice.as_ref().unwrap().starts_with("see to brokers 2 and 3"), "{findings:?}");
    }
}
