//! Profiles: layers laid over one another. Later ones win, maps are merged by key, `null` removes a key.

use std::sync::Arc;

use super::check::Check;
use super::client::producer_spec;
use super::consumer::consumer_spec;
use super::extends::chain;
use super::option_name::{TOPIC_OPTIONS, check_name};
use super::raw::{self, Text};
use super::source::{Source, Span};
use super::value::{integer, name};
use super::{Problem, Profile, TopicSpec, embedded};

/// Text somewhere in one of the layers.
pub type Found = (String, Span);

/// One option after the merge.
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_at: Span,
    /// Its value and the place of that.
    pub value: Found,
}

/// All layers of a profile, or of a topic, laid over one another.
#[derive(Default)]
struct Merged {
    summary: Option<String>,
    partitions: Option<Found>,
    replication_factor: Option<Found>,
    config: Vec<Setting>,
    producer: Vec<Setting>,
    consumer: Vec<Setting>,
}

impl Merged {
    fn lay_profile(&mut self, source: &Arc<Source>, profile: &raw::Profile) {
        if let Some(summary) = &profile.summary {
            self.summary = Some(summary.value.trim().to_owned());
        }
        if let Some(topic) = &profile.topic {
            self.lay_topic(source, topic);
        }
        lay(&mut self.producer, source, profile.producer.as_ref());
        lay(&mut self.consumer, source, profile.consumer.as_ref());
    }

    fn lay_topic(&mut self, source: &Arc<Source>, topic: &raw::Topic) {
        let found = |text: &Text| (text.value.clone(), source.at(&text.referenced));
        self.partitions = topic.partitions.as_ref().map(found).or(self.partitions.take());
        self.replication_factor = topic.replication_factor.as_ref().map(found).or(self.replication_factor.take());
        lay(&mut self.config, source, topic.config.as_ref());
    }
}

fn lay(settings: &mut Vec<Setting>, source: &Arc<Source>, options: Option<&raw::Options>) {
    for (key, value) in options.into_iter().flat_map(|options| &options.0) {
        let old = settings.iter().position(|setting| setting.key == key.value);
        let new = value.as_ref().map(|value| Setting {
            key: key.value.clone(),
            key_at: source.at(&key.referenced),
            value: (value.value.clone(), source.at(&value.referenced)),
        });
        match (old, new) {
            (Some(old), Some(new)) => settings[old] = new,
            (None, Some(new)) => settings.push(new),
            (Some(old), None) => drop(settings.remove(old)),
            (None, None) => {}
        }
    }
}

/// Validates one of an experiment's profiles.
pub fn resolve(
    check: &mut Check,
    key: &Text,
    own: Option<&raw::Profile>,
    topic: Option<&raw::Topic>,
) -> Option<Profile> {
    let profile_name = check.read(key, |text| name(text, "a profile"));
    let Some(own) = own else {
        let known = embedded::profile_names();
        let ready_made = if known.contains(&key.value.as_str()) { &key.value } else { "baseline" };
        let problem = Problem::new(format!("profile `{}` says nothing", key.value))
            .at(&check.span(key), "expected a map of settings")
            .hint(format!("take a ready-made one: `{}: {{ extends: {ready_made} }}`", key.value));
        check.report(problem);
        return None;
    };
    let mut merged = Merged::default();
    if let Some(topic) = topic {
        merged.lay_topic(&Arc::clone(&check.source), topic);
    }
    match chain(&check.source, own) {
        Ok(layers) => layers.iter().for_each(|(source, layer)| merged.lay_profile(source, layer)),
        Err(problem) => {
            check.report(problem);
            return None;
        }
    }
    merged.lay_profile(&Arc::clone(&check.source), own);

    let topic = topic_spec(check, &merged);
    compaction_has_keys(check, &merged);
    let producer = producer_spec(check, merged.producer);
    let consumer = consumer_spec(check, merged.consumer);
    Some(Profile {
        name: profile_name?,
        summary: merged.summary.unwrap_or_default(),
        topic: topic?,
        producer: producer?,
        consumer: consumer?,
    })
}

/// A broker refuses messages without a key for a compacted topic.
fn compaction_has_keys(check: &mut Check, merged: &Merged) {
    let policy = merged.config.iter().find(|setting| setting.key == "cleanup.policy");
    let compacted = policy.filter(|setting| setting.value.0.contains("compact"));
    if let Some(setting) = compacted
        && !merged.producer.iter().any(|setting| setting.key == "keys")
    {
        check.report(
            Problem::new("a compacted topic refuses messages without a key")
                .at(&setting.value.1, "every message would be refused")
                .hint("give the producer keys, such as `producer: { keys: 100 }`"),
        );
    }
}

fn topic_spec(check: &mut Check, merged: &Merged) -> Option<TopicSpec> {
    let partitions = match &merged.partitions {
        Some((text, at)) => check.read_at(text, at, |text| integer(text, "number of partitions", 1, 64)),
        None => Some(3),
    };
    let replication_factor = match &merged.replication_factor {
        Some((text, at)) => {
            check.read_at(text, at, |text| integer(text, "replication factor: there are three brokers", 1, 3))
        }
        None => Some(3),
    };
    for setting in &merged.config {
        check_name(check, &setting.key, &setting.key_at, TOPIC_OPTIONS);
    }
    let min_in_sync = merged.config.iter().find(|setting| setting.key == "min.insync.replicas");
    if let (Some(setting), Some(factor)) = (min_in_sync, replication_factor)
        && let Ok(least) = setting.value.0.parse::<i32>()
        && least > factor
    {
        check.report(
            Problem::new(format!("min.insync.replicas {least} can't be met with {factor} replicas"))
                .at(&setting.value.1, "every acks=all would be refused")
                .hint("use at most replication_factor - 1, so that one broker may be away"),
        );
    }
    Some(TopicSpec {
        partitions: partitions?,
        replication_factor: replication_factor?,
        config: merged.config.iter().map(|setting| (setting.key.clone(), setting.value.0.clone())).collect(),
    })
}
