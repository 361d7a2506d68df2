//! An experiment back as YAML, with nothing left to look up: what is stored with a run, and reads back to the same.

use std::time::Duration;

use serde_yaml::{Location, Spanned};

use super::amount::format_size;
use super::fault::write_timing;
use super::producer::default_close;
use super::raw::{self, Map, Text};
use super::value::format_bound;
use super::{
    Delivery, Expectation, Experiment, FaultSpec, Isolation, Large, OnError, Options, Problem, Profile, Sending, Word,
    metric,
};

/// The YAML text.
///
/// # Errors
/// If the serializer refuses, which it has no reason to.
pub fn to_yaml(experiment: &Experiment) -> Result<String, Problem> {
    serde_yaml::to_string(&to_raw(experiment))
        .map_err(|error| Problem::new(format!("{} can't be written as YAML: {error}", experiment.name)))
}

impl Experiment {
    /// The same with another seed.
    ///
    /// # Errors
    /// As `to_yaml`.
    pub fn with_seed(mut self, seed: u64) -> Result<Self, Problem> {
        self.seed = Some(seed);
        self.resolved = to_yaml(&self)?;
        Ok(self)
    }
}

/// A value without a place.
pub(super) fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

/// A scalar without a place.
pub(super) fn text(value: impl ToString) -> Text {
    spanned(value.to_string())
}

/// A duration without a place.
pub(super) fn time(value: Duration) -> Text {
    text(humantime::format_duration(value))
}

/// None where there is nothing to say.
fn some_text(value: &str) -> Option<Text> {
    (!value.is_empty()).then(|| text(value))
}

fn some_map<V>(entries: Vec<(Text, V)>) -> Option<Map<V>> {
    (!entries.is_empty()).then_some(Map(entries))
}

fn config(pairs: &[(String, String)]) -> Option<raw::Options> {
    some_map(pairs.iter().map(|(key, value)| (text(key), Some(text(value)))).collect())
}

fn to_raw(experiment: &Experiment) -> raw::Experiment {
    let Experiment { cluster, workload, .. } = experiment;
    raw::Experiment {
        name: text(&experiment.name),
        summary: some_text(&experiment.summary),
        hazard: some_text(&experiment.hazard),
        protects: some_text(&experiment.protects),
        seed: experiment.seed.map(text),
        requires: experiment.kafka.as_ref().map(|versions| raw::Requires { kafka: Some(text(versions)) }),
        isolation: (experiment.isolation != Isolation::Shared).then(|| text(experiment.isolation.word())),
        cross_check: experiment.cross_check.map(|check| text(check.word())),
        cluster: Some(raw::Cluster {
            definition: Some(text(&cluster.definition)),
            broker_config: config(&cluster.broker_config),
            disk: Some(text(format_size(cluster.disk_bytes))),
        }),
        // Each profile has its own, complete.
        topic: None,
        workload: raw::Workload {
            rate: text(format!("{}/s", workload.rate_per_s)),
            payload: text(format_size(workload.payload_bytes as u64)),
            warm_up: Some(time(workload.warm_up)),
            after_recovery: Some(time(workload.after_recovery)),
            max: Some(time(workload.max)),
        },
        profiles: spanned(Map(profiles(experiment))),
        faults: Some(faults(&experiment.faults)),
        must_show: expectations(&experiment.must_show),
        must_hold: expectations(&experiment.must_hold),
        min_exposure: some_map(experiment.min_exposure.iter().map(|(name, count)| (text(name), text(count))).collect()),
    }
}

/// Those in which a setting is put back follow from `vary`.
fn profiles(experiment: &Experiment) -> Vec<(Text, Option<raw::Profile>)> {
    let whole = experiment.profiles.iter().filter(|own| own.varied.is_none());
    whole.map(|own| (text(&own.name), Some(profile(own)))).collect()
}

fn some_texts(words: &[String]) -> Option<raw::Texts> {
    (!words.is_empty()).then(|| spanned(words.iter().map(text).collect()))
}

fn profile(profile: &Profile) -> raw::Profile {
    let options = |options: &Options| -> Vec<(Text, Option<Text>)> {
        options.iter().map(|(key, value)| (text(&key.value), Some(text(value)))).collect()
    };
    let mut producer = options(&profile.producer.options);
    producer.push((text("on_queue_full"), Some(text(profile.producer.on_queue_full.word()))));
    producer.push((text("on_fatal"), Some(text(profile.producer.on_fatal.word()))));
    let counts = [
        ("transaction_messages", profile.producer.transaction_messages.map(u64::from)),
        ("keys", profile.producer.keys),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            producer.push((text(name), Some(text(count))));
        }
    }
    producer
        .extend(sending(&profile.producer.sending).into_iter().map(|(name, value)| (text(name), Some(text(value)))));
    let mut consumer = options(&profile.consumer.options);
    consumer.extend(profile.consumer.behaviours().into_iter().map(|(key, value)| (text(key), Some(text(value)))));
    raw::Profile {
        extends: None,
        summary: some_text(&profile.summary),
        judged: (!profile.is_judged).then(|| text(false)),
        notes: some_texts(&profile.notes),
        vary: some_texts(&profile.vary),
        topic: Some(raw::Topic {
            partitions: Some(text(profile.topic.partitions)),
            replication_factor: Some(text(profile.topic.replication_factor)),
            config: config(&profile.topic.config),
        }),
        producer: Some(Map(producer)),
        consumer: Some(Map(consumer)),
    }
}

/// What is said of how a producer sends, by name; nothing of what is as by default.
#[must_use]
pub fn sending(sending: &Sending) -> Vec<(&'static str, String)> {
    let Sending { delivery, close, large, on_error, dual_write } = *sending;
    let mut all = Vec::new();
    let mut say = |name, value: String| all.push((name, value));
    if delivery != Delivery::default() {
        say("delivery", delivery.word().to_owned());
    }
    if close != default_close(delivery) {
        say("close", close.word().to_owned());
    }
    if let Some(Large { every, payload_bytes }) = large {
        say("large_every", every.to_string());
        say("large", format_size(payload_bytes as u64));
    }
    if on_error != OnError::default() {
        say("on_error", on_error.word().to_owned());
    }
    if let OnError::Retry { attempts } = on_error {
        say("attempts", attempts.to_string());
    }
    if dual_write {
        say("dual_write", dual_write.word().to_owned());
    }
    all
}

/// In the order of the file, to which `after` refers; each entry once.
fn faults(faults: &[FaultSpec]) -> Vec<Spanned<raw::Fault>> {
    let mut entries: Vec<&FaultSpec> =
        faults.iter().filter(|fault| fault.repeat.is_none_or(|repeat| repeat.round == 1)).collect();
    entries.sort_by_key(|fault| fault.entry);
    entries.into_iter().map(|own| spanned(fault(own))).collect()
}

fn fault(fault: &FaultSpec) -> raw::Fault {
    let mut raw = raw::Fault { held: fault.held.map(text), ..raw::Fault::empty() };
    write_timing(fault, &mut raw);
    fault.kind.write(&mut raw);
    raw
}

fn expectations(expectations: &[Expectation]) -> Option<Map<Map<Text>>> {
    let mut by_profile: Vec<(Text, Map<Text>)> = Vec::new();
    for expectation in expectations {
        let unit = metric::find(&expectation.metric).map_or(metric::Unit::Count, |metric| metric.unit);
        let entry = (text(&expectation.metric), text(format_bound(expectation.comparison, expectation.bound, unit)));
        match by_profile.iter_mut().find(|(name, _)| name.value == expectation.profile) {
            Some((_, metrics)) => metrics.0.push(entry),
            None => by_profile.push((text(&expectation.profile), Map(vec![entry]))),
        }
    }
    some_map(by_profile)
}
