//! Rules on the settings of topics and of brokers.

use std::collections::BTreeSet;

use super::cluster::{Broker, Cluster, INTERNAL, Topic, UNCLEAN};
use super::finding::{Finding, count};
use super::rule::Rule;

/// Findings of what clients write to and read from, and of what brokers keep for them.
pub fn examine(cluster: &Cluster) -> Vec<Finding> {
    let (internal, own): (Vec<&Topic>, Vec<&Topic>) = cluster.topics.iter().partition(|topic| topic.is_internal());
    let mut findings = Vec::new();
    findings.extend(replicas(&own, Rule::ReplicationFactorOne));
    findings.extend(min_insync_all(&own, Rule::MinInsyncAll));
    findings.extend(min_insync_one(&own, Rule::MinInsyncOne));
    findings.extend(unclean(cluster, &own));
    findings.extend(replicas(&internal, Rule::InternalReplicas));
    findings.extend(min_insync_all(&internal, Rule::InternalMinInsyncAll));
    findings.extend(min_insync_one(&internal, Rule::InternalMinInsyncOne));
    findings.extend(unclean_internal(&internal));
    findings.extend(internal_to_come(cluster));
    findings.extend(auto_created(cluster));
    findings
}

fn names(topics: &[&Topic]) -> Vec<String> {
    topics.iter().map(|topic| topic.name.clone()).collect()
}

/// The value that all have; none where they differ.
fn common(values: impl Iterator<Item = u64>) -> Option<String> {
    let distinct: BTreeSet<u64> = values.collect();
    (distinct.len() == 1).then(|| distinct.iter().map(u64::to_string).collect())
}

fn replicas(topics: &[&Topic], rule: Rule) -> Option<Finding> {
    let found: Vec<&Topic> = topics.iter().filter(|topic| topic.replication_factor() == Some(1)).copied().collect();
    let what = format!("{} with one replica", count(found.len(), kind(rule, false), kind(rule, true)));
    (!found.is_empty()).then(|| {
        Finding::new(rule, what)
            .of_topics(names(&found))
            .change("topic replication factor", Some("1".to_owned()), "3")
            .change("topic min.insync.replicas", common(found.iter().filter_map(|topic| topic.min_insync())), "2")
            .advice("replicas are added to a topic by kafka-reassign-partitions")
    })
}

fn min_insync_all(topics: &[&Topic], rule: Rule) -> Option<Finding> {
    let insists = |topic: &Topic| {
        let (Some(replicas), Some(min)) = (topic.replication_factor(), topic.min_insync()) else { return false };
        replicas > 1 && min >= replicas
    };
    let found: Vec<&Topic> = topics.iter().filter(|topic| insists(topic)).copied().collect();
    let what = format!(
        "{} with min.insync.replicas at the replication factor",
        count(found.len(), kind(rule, false), kind(rule, true))
    );
    (!found.is_empty()).then(|| {
        let finding = Finding::new(rule, what).of_topics(names(&found));
        lowered(finding, &found)
    })
}

/// One below the replicas; where those are two, that would be a single copy, and takes a third.
fn lowered(finding: Finding, topics: &[&Topic]) -> Finding {
    let from = common(topics.iter().filter_map(|topic| topic.min_insync()));
    let finding = more_replicas(finding, topics);
    let most = topics.iter().filter_map(|topic| topic.replication_factor()).max().unwrap_or(3);
    finding.change("topic min.insync.replicas", from, if most > 3 { "replication factor - 1" } else { "2" })
}

fn more_replicas(finding: Finding, topics: &[&Topic]) -> Finding {
    let two = topics.iter().filter(|topic| topic.replication_factor() == Some(2)).count();
    match two {
        0 => finding,
        _ => finding.change(
            if two == topics.len() {
                "topic replication factor".to_owned()
            } else {
                format!("replication factor of {two}")
            },
            Some("2".to_owned()),
            "3",
        ),
    }
}

fn min_insync_one(topics: &[&Topic], rule: Rule) -> Option<Finding> {
    let is_enough = |topic: &Topic| topic.replication_factor().is_some_and(|n| n > 1) && topic.min_insync() == Some(1);
    let found: Vec<&Topic> = topics.iter().filter(|topic| is_enough(topic)).copied().collect();
    let what = format!(
        "{} with several replicas and min.insync.replicas=1",
        count(found.len(), kind(rule, false), kind(rule, true))
    );
    (!found.is_empty()).then(|| {
        more_replicas(Finding::new(rule, what).of_topics(names(&found)), &found).change(
            "topic min.insync.replicas",
            Some("1".to_owned()),
            "2",
        )
    })
}

const fn kind(rule: Rule, many: bool) -> &'static str {
    match (rule, many) {
        (Rule::InternalReplicas | Rule::InternalMinInsyncAll | Rule::InternalMinInsyncOne, false) => "internal topic",
        (Rule::InternalReplicas | Rule::InternalMinInsyncAll | Rule::InternalMinInsyncOne, true) => "internal topics",
        (_, false) => "topic",
        (_, true) => "topics",
    }
}

fn unclean(cluster: &Cluster, topics: &[&Topic]) -> Vec<Finding> {
    let (itself, by_default): (Vec<&Topic>, Vec<&Topic>) =
        topics.iter().filter(|topic| topic.unclean().is_some()).partition(|topic| topic.unclean() == Some(true));
    let mut findings = Vec::new();
    if !itself.is_empty() {
        let what = format!("{} on which unclean leader election is on", count(itself.len(), "topic", "topics"));
        findings.push(Finding::new(Rule::UncleanTopic, what).of_topics(names(&itself)).change(
            format!("topic {UNCLEAN}"),
            Some("true".to_owned()),
            "false",
        ));
    }
    let brokers: Vec<&Broker> = with(cluster, UNCLEAN, |value| value == "true");
    if !brokers.is_empty() || !by_default.is_empty() {
        let what = format!(
            "unclean leader election is on by the brokers' default, and so on {} and every new one",
            count(by_default.len(), "topic", "topics")
        );
        findings.push(Finding::new(Rule::UncleanDefault, what).of_topics(names(&by_default)).change(
            format!("broker {UNCLEAN}"),
            Some("true".to_owned()),
            "false",
        ));
    }
    findings
}

fn unclean_internal(topics: &[&Topic]) -> Option<Finding> {
    let found: Vec<&Topic> = topics.iter().filter(|topic| topic.unclean().is_some()).copied().collect();
    let what =
        format!("{} on which unclean leader election is on", count(found.len(), "internal topic", "internal topics"));
    (!found.is_empty()).then(|| {
        Finding::new(Rule::InternalUnclean, what).of_topics(names(&found)).change(
            format!("topic {UNCLEAN}"),
            Some("true".to_owned()),
            "false",
        )
    })
}

/// Brokers with such a value of a setting.
fn with<'a>(cluster: &'a Cluster, name: &str, is: impl Fn(&str) -> bool) -> Vec<&'a Broker> {
    cluster.brokers.iter().filter(|broker| broker.setting(name).is_some_and(&is)).collect()
}

/// Internal topics that are not there yet, as the brokers would make them.
fn internal_to_come(cluster: &Cluster) -> Vec<Finding> {
    let is_absent = |name: &str| !cluster.topics.iter().any(|topic| topic.name == name);
    let mut findings = Vec::new();
    for (topic, setting) in
        INTERNAL.iter().zip(["offsets.topic.replication.factor", "transaction.state.log.replication.factor"])
    {
        if is_absent(topic) && !with(cluster, setting, |value| value == "1").is_empty() {
            let what = format!("{topic}, which is not there yet, would get one replica");
            findings.push(Finding::new(Rule::InternalReplicas, what).of_topics(vec![(*topic).to_owned()]).change(
                format!("broker {setting}"),
                Some("1".to_owned()),
                "3",
            ));
        }
    }
    let min = "transaction.state.log.min.isr";
    let replicated = || with(cluster, "transaction.state.log.replication.factor", |value| value == "1").is_empty();
    if is_absent(INTERNAL[1]) && replicated() && !with(cluster, min, |value| value == "1").is_empty() {
        let what = format!("{}, which is not there yet, would get min.insync.replicas=1", INTERNAL[1]);
        let finding = Finding::new(Rule::InternalMinInsyncOne, what).of_topics(vec![INTERNAL[1].to_owned()]);
        findings.push(finding.change(format!("broker {min}"), Some("1".to_owned()), "2"));
    }
    findings
}

fn auto_created(cluster: &Cluster) -> Option<Finding> {
    let creates = |broker: &&Broker| broker.setting("auto.create.topics.enable") == Some("true");
    let found = with(cluster, "default.replication.factor", |value| value == "1");
    found.iter().any(creates).then(|| {
        Finding::new(Rule::AutoCreatedWithOneReplica, "topics are created by themselves, with one replica")
            .change("broker auto.create.topics.enable", Some("true".to_owned()), "false")
            .change("broker default.replication.factor", Some("1".to_owned()), "3")
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::cluster::samples::{cluster, setting, topic, with};
    use super::*;

    fn found(cluster: &Cluster) -> Vec<(Rule, Vec<String>)> {
        examine(cluster).into_iter().map(|finding| (finding.rule, finding.topics)).collect()
    }

    fn on(mut topic: Topic, own: bool) -> Topic {
        topic.settings.retain(|setting| setting.name != UNCLEAN);
        topic.settings.push(setting(UNCLEAN, "true", own));
        topic
    }

    #[test]
    fn on_a_sound_cluster_nothing_is_found() {
        let topics =
            [topic("a", &[1, 2, 3], "2"), topic("__consumer_offsets", &[1, 2, 3], "2"), topic("b", &[1, 2, 3, 4], "3")];
        assert_eq!(found(&cluster(&topics)), []);
        assert_eq!(found(&Cluster::default()), []);
    }

    #[test_case(&[1], "1" => Some(Rule::ReplicationFactorOne))]
    #[test_case(&[1, 2, 3], "3" => Some(Rule::MinInsyncAll))]
    #[test_case(&[1, 2, 3], "4" => Some(Rule::MinInsyncAll); "more than there are")]
    #[test_case(&[1, 2], "2" => Some(Rule::MinInsyncAll))]
    #[test_case(&[1, 2, 3], "1" => Some(Rule::MinInsyncOne))]
    #[test_case(&[1, 2], "1" => Some(Rule::MinInsyncOne))]
    #[test_case(&[1, 2, 3], "2" => None)]
    fn replicas_and_how_many_are_asked_for(replicas: &[i32], min: &str) -> Option<Rule> {
        let rules = found(&cluster(&[topic("a", replicas, min)]));
        assert!(rules.len() <= 1 && rules.iter().all(|(_, topics)| *topics == ["a"]), "{rules:?}");
        rules.first().map(|(rule, _)| *rule)
    }

    #[test_case(&[1], "1" => Some(Rule::InternalReplicas))]
    #[test_case(&[1, 2, 3], "3" => Some(Rule::InternalMinInsyncAll))]
    #[test_case(&[1, 2, 3], "1" => Some(Rule::InternalMinInsyncOne))]
    #[test_case(&[1, 2, 3], "2" => None)]
    fn internal_topics_have_rules_of_their_own(replicas: &[i32], min: &str) -> Option<Rule> {
        found(&cluster(&[topic("__consumer_offsets", replicas, min)])).first().map(|(rule, _)| *rule)
    }

    #[test]
    fn one_partition_with_one_replica_is_enough() {
        let mut one = topic("a", &[1, 2, 3], "2");
        one.partitions[1].replicas = vec![2];
        assert_eq!(found(&cluster(&[one])), [(Rule::ReplicationFactorOne, vec!["a".to_owned()])]);
    }

    #[test]
    fn many_topics_are_one_finding() {
        let topics: Vec<Topic> = (0..500).map(|n| topic(&format!("t{n:03}"), &[1], "1")).collect();
        let findings = examine(&cluster(&topics));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].what.as_str(), findings[0].topics.len()), ("500 topics with one replica", 500));
        assert_eq!(findings[0].changes[1].from.as_deref(), Some("1"));
    }

    #[test]
    fn unclean_elections_are_told_by_where_they_are_switched_on() {
        let own = on(topic("own", &[1, 2, 3], "2"), true);
        assert_eq!(found(&cluster(std::slice::from_ref(&own))), [(Rule::UncleanTopic, vec!["own".to_owned()])]);
        let inherits = on(topic("inherits", &[1, 2, 3], "2"), false);
        let both = with(cluster(&[own, inherits]), UNCLEAN, "true");
        let expected =
            [(Rule::UncleanTopic, vec!["own".to_owned()]), (Rule::UncleanDefault, vec!["inherits".to_owned()])];
        assert_eq!(found(&both), expected);
        let offsets = on(topic("__consumer_offsets", &[1, 2, 3], "2"), true);
        assert_eq!(found(&cluster(&[offsets])), [(Rule::InternalUnclean, vec!["__consumer_offsets".to_owned()])]);
    }

    #[test_case("offsets.topic.replication.factor", "1" => Some(Rule::InternalReplicas))]
    #[test_case("transaction.state.log.replication.factor", "1" => Some(Rule::InternalReplicas))]
    #[test_case("transaction.state.log.min.isr", "1" => Some(Rule::InternalMinInsyncOne))]
    #[test_case("default.replication.factor", "1" => Some(Rule::AutoCreatedWithOneReplica))]
    #[test_case(UNCLEAN, "true" => Some(Rule::UncleanDefault))]
    #[test_case("min.insync.replicas", "1" => None; "of which each topic tells itself")]
    fn what_brokers_would_create(name: &str, value: &str) -> Option<Rule> {
        let rules = found(&with(cluster(&[]), name, value));
        assert!(rules.len() <= 1, "{rules:?}");
        rules.first().map(|(rule, _)| *rule)
    }

    #[test]
    fn what_is_there_counts_and_not_how_it_would_be_created() {
        let there =
            cluster(&[topic("__consumer_offsets", &[1, 2, 3], "2"), topic("__transaction_state", &[1, 2, 3], "2")]);
        let there = with(with(there, "offsets.topic.replication.factor", "1"), "transaction.state.log.min.isr", "1");
        assert_eq!(found(&there), []);
        let off = with(with(cluster(&[]), "default.replication.factor", "1"), "auto.create.topics.enable", "false");
        assert_eq!(found(&off), []);
    }

    #[test]
    fn two_replicas_need_a_third_before_one_may_be_away() {
        let findings = examine(&cluster(&[topic("a", &[1, 2], "2"), topic("b", &[1, 2, 3], "3")]));
        let changes: Vec<String> = findings[0]
            .changes
            .iter()
            .map(|change| format!("{} {:?} {}", change.setting, change.from, change.to))
            .collect();
        assert_eq!(changes, ["replication factor of 1 Some(\"2\") 3", "topic min.insync.replicas None 2"]);
    }
}
