//! Profiles: layers laid over one another. Later ones win, maps are merged by key, `null` removes a key.

use std::sync::Arc;

use super::check::Check;
use super::client::producer_spec;
use super::consumer::consumer_spec;
use super::extends::chain;
use super::option_name::{TOPIC_OPTIONS, check_name};
use super::raw::{self, Text};
use super::source::{Source, Span};
use super::value::{integer, name, word};
use super::{Problem, Profile, TopicSpec, embedded, vary};

/// Text somewhere in one of the layers.
pub type Found = (String, Span);

/// One option after the merge.
#[derive(Clone)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_at: Span,
    /// Its value and the place of that.
    pub value: Found,
}

/// All layers of a profile, or of a topic, laid over one another.
#[derive(Clone, Default)]
pub struct Merged {
    summary: Option<String>,
    judged: Option<Found>,
    notes: Vec<String>,
    /// Settings to put back.
    pub vary: Vec<Found>,
    partitions: Option<Found>,
    replication_factor: Option<Found>,
    /// Of the topic.
    pub config: Vec<Setting>,
    /// Of the producer.
    pub producer: Vec<Setting>,
    /// Of the consumer.
    pub consumer: Vec<Setting>,
}

impl Merged {
    /// Gives it another summary.
    pub fn describe(&mut self, summary: String) {
        self.summary = Some(summary);
    }

    fn lay_profile(&mut self, source: &Arc<Source>, profile: &raw::Profile) {
        if let Some(summary) = &profile.summary {
            self.summary = Some(summary.value.trim().to_owned());
        }
        let found = |text: &Text| (text.value.clone(), source.at(&text.referenced));
        if let Some(judged) = &profile.judged {
            self.judged = Some(found(judged));
        }
        if let Some(notes) = &profile.notes {
            self.notes = notes.value.iter().map(|note| note.value.trim().to_owned()).collect();
        }
        if let Some(vary) = &profile.vary {
            self.vary = vary.value.iter().map(found).collect();
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

/// Validates an experiment's profiles; behind each stand those in which its settings are put back one at a time. All are
/// read before any is given up, so that all problems are found.
pub fn resolve(check: &mut Check, raw: &raw::Experiment) -> Option<Vec<Profile>> {
    let entries = &raw.profiles.value.0;
    let merged: Vec<Option<Merged>> =
        entries.iter().map(|(key, own)| merge(check, key, own.as_ref(), raw.topic.as_ref())).collect();
    let baseline = entries.iter().zip(&merged).find(|((key, _), _)| key.value == vary::BASELINE);
    let baseline = baseline.and_then(|(_, merged)| merged.clone());
    let names: Vec<&str> = entries.iter().map(|(key, _)| key.value.as_str()).collect();
    let mut found = Vec::new();
    for ((key, _), merged) in entries.iter().zip(merged) {
        let profile_name = check.read(key, |text| name(text, "a profile"));
        let Some(merged) = merged else {
            found.push(None);
            continue;
        };
        let variants = vary::variants(check, &key.value, &merged, baseline.as_ref(), &names);
        let profile = build(check, profile_name, merged);
        // What is wrong with the whole profile is told once.
        let variants = if profile.is_some() { variants } else { Vec::new() };
        found.push(profile);
        for (name, varied, merged) in variants {
            let varied = Some(varied);
            found.push(build(check, Some(name), merged).map(|profile| Profile { is_judged: false, varied, ..profile }));
        }
    }
    found.into_iter().collect()
}

fn merge(check: &mut Check, key: &Text, own: Option<&raw::Profile>, topic: Option<&raw::Topic>) -> Option<Merged> {
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
    Some(merged)
}

fn build(check: &mut Check, name: Option<String>, merged: Merged) -> Option<Profile> {
    let topic = topic_spec(check, &merged);
    compaction_has_keys(check, &merged);
    let is_judged = match &merged.judged {
        Some((text, at)) => check.read_at(text, at, |text| word(text, "answer: is it judged?")),
        None => Some(true),
    };
    let producer = producer_spec(check, merged.producer);
    let consumer = consumer_spec(check, merged.consumer);
    Some(Profile {
        name: name?,
        summary: merged.summary.unwrap_or_default(),
        is_judged: is_judged?,
        notes: merged.notes,
        vary: merged.vary.into_iter().map(|(setting, _)| setting).collect(),
        varied: None,
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
