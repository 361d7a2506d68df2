//! Profiles: the chain of `extends`, the merge, and what the keys under `producer:` and `consumer:` mean.
//!
//! Later layers win, maps are merged by key, `null` removes a key. Whether librdkafka knows an option and takes its value
//! is checked where librdkafka is at hand; every option keeps its place for that.

use std::path::PathBuf;
use std::sync::Arc;

use super::check::Check;
use super::hint::did_you_mean;
use super::raw::{self, Text};
use super::source::{Source, Span};
use super::value::{integer, name, word};
use super::{
    Commit, ConsumerSpec, Located, OnQueueFull, Options, Problem, ProducerSpec, Profile, TopicSpec,
    embedded, yaml,
};

/// A chain longer than this is a mistake.
const MAX_CHAIN: usize = 8;

/// Options that the workload sets, with the reason.
const OWNED: &[(&str, &str)] = &[
    (
        "bootstrap.servers",
        "clients are given the addresses of the run's own cluster",
    ),
    (
        "metadata.broker.list",
        "clients are given the addresses of the run's own cluster",
    ),
    ("client.id", "it names the client in the evidence"),
    (
        "group.id",
        "it is chosen so that all profiles' coordinators are on the same broker",
    ),
    ("group.instance.id", "members are named by the run"),
    (
        "transactional.id",
        "it is chosen so that all profiles' coordinators are on the same broker",
    ),
    (
        "delivery.report.only.error",
        "the ledger needs every delivery report",
    ),
    (
        "enable.partition.eof",
        "the end of the drain is found by it",
    ),
];

/// Topic options of Kafka 3.9 to 4.3 (`TopicConfig`), against slips.
const TOPIC_OPTIONS: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// librdkafka options that are written with `_`, as behaviours are.
const UNDERSCORED_OPTIONS: &[&str] = &["log_level"];

/// Behaviours, which are lossproof's and not librdkafka's.
const PRODUCER_BEHAVIOURS: &[&str] = &["on_queue_full"];
const CONSUMER_BEHAVIOURS: &[&str] = &["members", "commit"];

/// Text somewhere in one of the layers.
type Found = (String, Span);

/// One option after the merge.
struct Setting {
    key: String,
    key_at: Span,
    value: Found,
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
        self.partitions = topic
            .partitions
            .as_ref()
            .map(found)
            .or(self.partitions.take());
        self.replication_factor = topic
            .replication_factor
            .as_ref()
            .map(found)
            .or(self.replication_factor.take());
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
        let ready_made = if known.contains(&key.value.as_str()) {
            &key.value
        } else {
            "baseline"
        };
        let problem = Problem::new(format!("profile `{}` says nothing", key.value))
            .at(&check.span(key), "expected a map of settings")
            .hint(format!(
                "take a ready-made one: `{}: {{ extends: {ready_made} }}`",
                key.value
            ));
        check.report(problem);
        return None;
    };
    let mut merged = Merged::default();
    if let Some(topic) = topic {
        merged.lay_topic(&Arc::clone(&check.source), topic);
    }
    match chain(&check.source, own) {
        Ok(layers) => layers
            .iter()
            .for_each(|(source, layer)| merged.lay_profile(source, layer)),
        Err(problem) => {
            check.report(problem);
            return None;
        }
    }
    merged.lay_profile(&Arc::clone(&check.source), own);

    let topic = topic_spec(check, &merged);
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

/// The layers below a profile, the deepest first.
fn chain(
    source: &Arc<Source>,
    own: &raw::Profile,
) -> Result<Vec<(Arc<Source>, raw::Profile)>, Problem> {
    let mut layers: Vec<(Arc<Source>, raw::Profile)> = Vec::new();
    loop {
        let (source, extends) = match layers.last() {
            Some((source, layer)) => (Arc::clone(source), layer.extends.clone()),
            None => (Arc::clone(source), own.extends.clone()),
        };
        let Some(extends) = extends else { break };
        let at = source.at(&extends.referenced);
        let next = find(&source, &extends.value, &at)?;
        let again = layers.iter().any(|(layer, _)| layer.name == next.name);
        if again || layers.len() == MAX_CHAIN {
            let names: Vec<_> = layers
                .iter()
                .map(|(layer, _)| layer.name.as_str())
                .collect();
            return Err(
                Problem::new("`extends` goes round in a circle, or on for too long")
                    .at(&at, format!("leads to {} once more", next.name))
                    .hint(format!("the chain is {}", names.join(" -> "))),
            );
        }
        let layer = yaml::parse(
            &next,
            "a profile: a map with `producer:`, `consumer:` or `topic:`",
        )?;
        layers.push((next, layer));
    }
    layers.reverse();
    Ok(layers)
}

/// The profile file behind a name: beside the file that asks for it, then among the embedded ones. A file is never its own
/// base, so that a `baseline.yaml` may extend the embedded `baseline`.
fn find(asking: &Source, wanted: &str, at: &Span) -> Result<Arc<Source>, Problem> {
    name(wanted, "a profile").map_err(|wrong| wrong.at(at))?;
    for path in beside(asking, wanted) {
        if path.is_file() && Some(&path) != asking.path.as_ref() {
            return Source::read(&path);
        }
    }
    let embedded_path = format!("profiles/{wanted}.yaml");
    Source::embedded(&embedded_path)
        .filter(|found| found.name != asking.name)
        .ok_or_else(|| {
            let known = embedded::profile_names();
            let looked: Vec<_> = beside(asking, wanted)
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let looked = if looked.is_empty() {
                String::new()
            } else {
                format!(", nor as {}", looked.join(" or "))
            };
            Problem::new(format!("there is no profile `{wanted}`"))
                .at(
                    at,
                    format!("not among the built-in ones ({}){looked}", known.join(", ")),
                )
                .hint_if(did_you_mean(wanted, known))
        })
}

fn beside(asking: &Source, wanted: &str) -> Vec<PathBuf> {
    let Some(folder) = asking.path.as_ref().and_then(|path| path.parent()) else {
        return Vec::new();
    };
    let file = format!("{wanted}.yaml");
    vec![folder.join("profiles").join(&file), folder.join(&file)]
}

fn topic_spec(check: &mut Check, merged: &Merged) -> Option<TopicSpec> {
    let partitions = match &merged.partitions {
        Some((text, at)) => check.read_at(text, at, |text| {
            integer(text, "number of partitions", 1, 64)
        }),
        None => Some(3),
    };
    let replication_factor = match &merged.replication_factor {
        Some((text, at)) => check.read_at(text, at, |text| {
            integer(text, "replication factor: there are three brokers", 1, 3)
        }),
        None => Some(3),
    };
    for setting in &merged.config {
        config_key(check, &setting.key, &setting.key_at, TOPIC_OPTIONS);
    }
    let min_in_sync = merged
        .config
        .iter()
        .find(|setting| setting.key == "min.insync.replicas");
    if let (Some(setting), Some(factor)) = (min_in_sync, replication_factor)
        && let Ok(least) = setting.value.0.parse::<i32>()
        && least > factor
    {
        check.report(
            Problem::new(format!(
                "min.insync.replicas {least} can't be met with {factor} replicas"
            ))
            .at(&setting.value.1, "every acks=all would be refused")
            .hint("use at most replication_factor - 1, so that one broker may be away"),
        );
    }
    Some(TopicSpec {
        partitions: partitions?,
        replication_factor: replication_factor?,
        config: merged
            .config
            .iter()
            .map(|setting| (setting.key.clone(), setting.value.0.clone()))
            .collect(),
    })
}

/// Names of broker and topic options are lower-case words joined by dots. What is not among the `known` ones may be new
/// in some version of Kafka; one letter beside a known one it is a slip.
pub fn config_key(check: &mut Check, key: &str, at: &Span, known: &[&str]) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    let slip = known
        .iter()
        .find(|known| strsim::osa_distance(&key.replace('_', "."), known) <= 1);
    let hint = slip.map(|known| format!("did you mean `{known}`?"));
    if key.is_empty() || !key.chars().all(fits) {
        check.report(
            Problem::new(format!("`{key}` can't be an option's name"))
                .at(
                    at,
                    "expected Kafka's own name, such as `min.insync.replicas`",
                )
                .hint_if(hint),
        );
    } else if hint.is_some() && !known.contains(&key) {
        check.report(
            Problem::new(format!("unknown option `{key}`"))
                .at(at, "not one of Kafka's")
                .hint_if(hint),
        );
    }
}

fn producer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ProducerSpec> {
    let (behaviours, options) = split(
        check,
        settings,
        "producer",
        PRODUCER_BEHAVIOURS,
        CONSUMER_BEHAVIOURS,
    );
    let mut spec = ProducerSpec {
        options,
        on_queue_full: OnQueueFull::Drop,
    };
    for Setting {
        value: (text, at), ..
    } in behaviours
    {
        spec.on_queue_full =
            check.read_at(&text, &at, |text| word(text, "behaviour for a full queue"))?;
    }
    Some(spec)
}

fn consumer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ConsumerSpec> {
    let auto = settings
        .iter()
        .find(|setting| setting.key == "enable.auto.commit")
        .map(|setting| {
            let on = matches!(setting.value.0.to_lowercase().as_str(), "true" | "t" | "1");
            (on, setting.value.1.clone())
        });
    let (behaviours, options) = split(
        check,
        settings,
        "consumer",
        CONSUMER_BEHAVIOURS,
        PRODUCER_BEHAVIOURS,
    );
    let mut members = Some(1);
    let mut commit = None;
    for Setting {
        key,
        value: (text, at),
        ..
    } in behaviours
    {
        match key.as_str() {
            "members" => {
                members =
                    check.read_at(&text, &at, |text| integer(text, "number of members", 1, 16))
            }
            _ => {
                commit = Some((
                    check.read_at(&text, &at, |text| word(text, "way to commit"))?,
                    at,
                ))
            }
        }
    }
    let commit = match (commit, auto) {
        (Some((Commit::Auto, commit_at)), Some((false, at))) => {
            contradiction(
                check,
                "`commit: auto` needs librdkafka's auto-commit, which is off here",
                &at,
                &commit_at,
            );
            return None;
        }
        (Some((Commit::AfterSync, commit_at)), Some((true, at))) => {
            contradiction(
                check,
                "`commit: after_sync` commits by itself, and auto-commit is on here",
                &at,
                &commit_at,
            );
            return None;
        }
        (Some((commit, _)), _) => commit,
        // Switched off and nothing said: the one other way there is.
        (None, Some((false, _))) => Commit::AfterSync,
        (None, _) => Commit::Auto,
    };
    Some(ConsumerSpec {
        options,
        members: members?,
        commit,
    })
}

fn contradiction(check: &mut Check, message: &str, option: &Span, commit: &Span) {
    let place = commit.place();
    check.report(
        Problem::new(message)
            .at(option, "`enable.auto.commit` is set here")
            .hint(format!(
                "`commit` is set at {}:{}:{}: change one of them",
                place.file, place.line, place.column
            )),
    );
}

/// Parts behaviours from librdkafka's options, and refuses what the workload sets itself.
fn split(
    check: &mut Check,
    settings: Vec<Setting>,
    side: &str,
    behaviours: &[&str],
    other_side: &[&str],
) -> (Vec<Setting>, Options) {
    let mut known = Vec::new();
    let mut options = Options::new();
    for setting in settings {
        let key = setting.key.as_str();
        if behaviours.contains(&key) {
            known.push(setting);
        } else if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == key) {
            check.report(
                Problem::new(format!("`{key}` is set by lossproof"))
                    .at(&setting.key_at, format!("remove it: {reason}")),
            );
        } else if other_side.contains(&key) {
            let other = if side == "producer" {
                "consumer"
            } else {
                "producer"
            };
            check.report(
                Problem::new(format!("`{key}` is a behaviour of the {other}"))
                    .at(&setting.key_at, format!("not of the {side}"))
                    .hint(format!("put it under `{other}:`")),
            );
        } else if key.contains('_') && !UNDERSCORED_OPTIONS.contains(&key) {
            let dotted = key.replace('_', ".");
            check.report(
                Problem::new(format!("unknown behaviour `{key}`"))
                    .at(
                        &setting.key_at,
                        format!("behaviours of a {side} are {}", behaviours.join(", ")),
                    )
                    .hint(
                        did_you_mean(key, behaviours.iter().copied()).unwrap_or_else(|| {
                            format!("librdkafka's own options are written with dots: `{dotted}`")
                        }),
                    ),
            );
        } else {
            let at = setting.key_at.place();
            options.push((
                Located {
                    value: setting.key,
                    at,
                },
                setting.value.0,
            ));
        }
    }
    (known, options)
}
