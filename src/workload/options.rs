//! What librdkafka thinks of a profile's options, before anything is started.
//!
//! The verdict is librdkafka's own: each option is set alone, then a client without brokers is created
//! of all of them, which brings out conflicts, and its warnings tell which belong to the other role.
//! Deprecated options are accepted: a baseline is what people really run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaConfRes;

use super::config::{Config, set_commit};
use super::librdkafka::option_names;
use crate::experiment::{Commit, Options, Place, Profile, Word};

/// What is wrong with an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// Where the option's name stands.
    pub at: Place,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Whose options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Producer { transactional: bool },
    Consumer { commit: Commit, members: u16 },
}

/// Checks all options of a profile.
///
/// # Errors
/// Everything that is wrong with them, in the order of the file within the producer, then the consumer.
pub fn check_options(profile: &Profile) -> Result<(), Vec<OptionProblem>> {
    let transactional = profile.producer.transaction_messages.is_some();
    let mut problems = check(&profile.producer.options, Part::Producer { transactional });
    problems.extend(check(
        &profile.consumer.options,
        Part::Consumer { commit: profile.consumer.handling.commit, members: profile.consumer.members },
    ));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What librdkafka refuses of the options of a client that is not lossproof's own, each alone and all together. Options of
/// the other side are passed over, as clients do.
#[must_use]
pub fn refused_options(options: &Options, is_producer: bool) -> Vec<OptionProblem> {
    let part = match is_producer {
        true => Part::Producer { transactional: false },
        false => Part::Consumer { commit: Commit::Auto, members: 1 },
    };
    let alone = options.iter().filter_map(|(name, value)| {
        let (message, hint) = refused_by_librdkafka(&name.value, value)?;
        Some(OptionProblem { at: name.at.clone(), message, hint })
    });
    let problems: Vec<OptionProblem> = alone.collect();
    let pairs: Vec<(&str, &str)> = options.iter().map(|(name, value)| (name.value.as_str(), value.as_str())).collect();
    match warnings(&pairs, part) {
        Err(text) if problems.is_empty() => vec![refused_together(options, &text)],
        _ => problems,
    }
}

fn check(options: &Options, part: Part) -> Vec<OptionProblem> {
    let mut problems = Vec::new();
    for (name, value) in options {
        let found = refused_by_us(&name.value, value, part).or_else(|| refused_by_librdkafka(&name.value, value));
        if let Some((message, hint)) = found {
            problems.push(OptionProblem { at: name.at.clone(), message, hint });
        }
    }
    if problems.is_empty() {
        problems.extend(check_together(options, part));
    }
    problems
}

type Finding = (String, Option<String>);

/// Options that would break the harness or its promise.
fn refused_by_us(name: &str, value: &str, part: Part) -> Option<Finding> {
    let finding = |message: &str, hint: &str| Some((format!("{name}: {message}"), Some(hint.to_owned())));
    match (name, part) {
        ("bootstrap.servers" | "metadata.broker.list", _) => {
            finding("the cluster of the run is the one to connect to", "remove it; lossproof sets it")
        }
        (test, _) if test.starts_with("test.mock.") => {
            finding("a mock cluster proves nothing", "remove it; the experiment runs on real brokers")
        }
        ("delivery.report.only.error" | "dr_cb" | "dr_msg_cb", Part::Producer { .. }) => {
            finding("every delivery report is needed to account for every message", "remove it")
        }
        ("transactional.id", _) => finding(
            "each stream of a run has its own",
            "remove it; `transaction_messages` makes a producer transactional",
        ),
        ("group.id", Part::Consumer { .. }) => finding(
            "each run has a group of its own, so that no earlier run's commits count",
            "remove it; lossproof sets it",
        ),
        ("group.instance.id", Part::Consumer { members, .. }) if members > 1 => {
            finding("members with the same instance id fence each other", "remove it, or set `members: 1`")
        }
        ("enable.auto.commit", Part::Consumer { commit, .. }) => {
            match (commit, is_true("enable.auto.commit", value)?) {
                (Commit::Auto, false) => finding(
                    "with `commit: auto` nothing else would ever commit",
                    "remove it, or set `commit: after_sync`",
                ),
                (Commit::Auto, true) | (_, false) => None,
                (other, true) => {
                    finding(&format!("contradicts `commit: {}`", other.word()), "remove it, or set `commit: auto`")
                }
            }
        }
        ("enable.auto.offset.store", Part::Consumer { commit: Commit::Auto, .. })
            if !is_true("enable.auto.offset.store", value)? =>
        {
            finding(
                "with `commit: auto` no offset would ever be stored, and so none committed",
                "remove it, or set `commit: after_sync`",
            )
        }
        _ => None,
    }
}

/// A boolean as librdkafka reads it; none if it does not.
fn is_true(name: &str, value: &str) -> Option<bool> {
    let read = Config::new([(name, value)]).value(name).ok()?;
    Some(read == "true")
}

fn refused_by_librdkafka(name: &str, value: &str) -> Option<Finding> {
    match Config::new([(name, value)]).client().create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, _, _)) => Some((
            format!("librdkafka has no option {name:?}"),
            nearest(name).map(|known| format!("did you mean {known:?}?")),
        )),
        Err(KafkaError::ClientConfig(_, text, _, _)) => {
            Some((format!("{name}: librdkafka refuses {value:?}: {text}"), None))
        }
        Err(error) => Some((format!("{name}: {error}"), None)),
    }
}

fn nearest(name: &str) -> Option<String> {
    // librdkafka does not list its aliases, which are the names that people use.
    const ALIASES: [&str; 10] = [
        "acks",
        "retries",
        "linger.ms",
        "compression.type",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "delivery.timeout.ms",
        "request.timeout.ms",
        "max.partition.fetch.bytes",
        "auto.offset.reset",
    ];
    let known = option_names().unwrap_or_default();
    known
        .iter()
        .map(String::as_str)
        .chain(ALIASES)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 4))
        .min()
        .map(|(_, known)| known.to_owned())
}

/// Conflicts between options, and options of the other role.
fn check_together(options: &Options, part: Part) -> Vec<OptionProblem> {
    let Some((first, _)) = options.first() else {
        return Vec::new();
    };
    let pairs: Vec<(&str, &str)> = options.iter().map(|(name, value)| (name.value.as_str(), value.as_str())).collect();
    match warnings(&pairs, part) {
        Err(text) => vec![refused_together(options, &text)],
        Ok(warnings) => warnings
            .into_iter()
            .filter(|text| text.contains("will be ignored"))
            .map(|text| {
                // A warning names the option, not the alias that was written: then the option is the one
                // that brings the same warning alone.
                let named = options
                    .iter()
                    .find(|(name, _)| text.contains(&format!("property {} is", name.value)))
                    .or_else(|| {
                        options.iter().find(|(name, value)| warnings_of_one(&name.value, value, part).contains(&text))
                    });
                let (at, name) = named.map_or((&first.at, ""), |(name, _)| (&name.at, &name.value));
                let (this, other) = match part {
                    Part::Producer { .. } => ("producer", "consumer"),
                    Part::Consumer { .. } => ("consumer", "producer"),
                };
                OptionProblem {
                    at: at.clone(),
                    message: format!("{name} is a {other} option; a {this} ignores it"),
                    hint: Some(format!("move it to `{other}:`")),
                }
            })
            .collect(),
    }
}

/// Of options, at least one.
fn refused_together(options: &Options, text: &str) -> OptionProblem {
    // The last option named is the one that was added to a sound rest, most likely.
    let named = options.iter().rev().find(|(name, _)| mentions(text, &name.value)).or(options.first());
    let at = named.map_or(Place { file: String::new(), line: 1, column: 1 }, |(name, _)| name.at.clone());
    OptionProblem { at, message: format!("librdkafka refuses these options together: {text}"), hint: None }
}

fn mentions(text: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    text.match_indices(name).any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}

fn warnings_of_one(name: &str, value: &str, part: Part) -> Vec<String> {
    warnings(&[(name, value)], part).unwrap_or_default()
}

/// Creates a client of these options, without brokers, and returns what it warns of, or why it can't be.
fn warnings(options: &[(&str, &str)], part: Part) -> Result<Vec<String>, String> {
    let mut config = Config::new(options.iter().copied());
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let ear = Ear(Arc::clone(&heard));
    let created = match part {
        Part::Producer { transactional } => {
            if transactional {
                config.set("transactional.id", "lossproof-check");
            }
            create(&config, ear).map(|client: BaseProducer<Ear>| {
                // The log waits in the client's queue; it is there when the client is.
                for _ in 0..LOG_LINES_MAX {
                    client.poll(Duration::ZERO);
                }
            })
        }
        Part::Consumer { commit, .. } => {
            config.set("group.id", "lossproof-check");
            set_commit(&mut config, commit);
            create(&config, ear).map(|client: BaseConsumer<Ear>| {
                for _ in 0..LOG_LINES_MAX {
                    client.poll(Duration::ZERO);
                }
            })
        }
    };
    match created {
        Ok(()) => {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(heard.iter().cloned().collect())
        }
        Err(KafkaError::ClientCreation(text) | KafkaError::ClientConfig(_, text, _, _)) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}

/// More lines than a new client ever logs: one for each of the options that can be warned of.
const LOG_LINES_MAX: usize = 64;

fn create<T: FromClientConfigAndContext<Ear>>(config: &Config, ear: Ear) -> KafkaResult<T> {
    config.client().create_with_context(ear)
}

/// Collects warnings about the configuration.
struct Ear(Arc<Mutex<BTreeSet<String>>>);

impl ClientContext for Ear {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "CONFWARN" {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Lines begin with the thread's name in brackets.
            let text = message.split_once("]: ").map_or(message, |(_, text)| text);
            heard.insert(text.to_owned());
        }
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl ConsumerContext for Ear {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Located;
    use test_case::test_case;

    const PLAIN: Part = Part::Producer { transactional: false };
    const IN_TRANSACTIONS: Part = Part::Producer { transactional: true };
    const AUTO: Part = Part::Consumer { commit: Commit::Auto, members: 2 };
    const AFTER: Part = Part::Consumer { commit: Commit::AfterSync, members: 1 };

    fn found(part: Part, pairs: &[(&str, &str)]) -> Vec<String> {
        let options: Options = pairs
            .iter()
            .zip(1..)
            .map(|((name, value), line)| {
                let at = Place { file: "x.yaml".into(), line, column: 5 };
                let name = Located { value: (*name).to_owned(), at };
                (name, (*value).to_owned())
            })
            .collect();
        check(&options, part)
            .into_iter()
            .map(|problem| {
                let hint = problem.hint.map_or_else(String::new, |hint| format!(" [{hint}]"));
                format!("{}: {}{hint}", problem.at.line, problem.message)
            })
            .collect()
    }

    #[test_case(PLAIN, &[("acks", "1"), ("retries", "0")])]
    #[test_case(PLAIN, &[("acks", "all"), ("enable.idempotence", "true"), ("delivery.timeout.ms", "120000"), ("socket.timeout.ms", "10000")])]
    #[test_case(PLAIN, &[("api.version.request", "true")]; "deprecated and common")]
    #[test_case(PLAIN, &[])]
    #[test_case(IN_TRANSACTIONS, &[("acks", "all"), ("transaction.timeout.ms", "30000")])]
    #[test_case(AUTO, &[("auto.offset.reset", "earliest"), ("auto.commit.interval.ms", "200"), ("enable.auto.commit", "true")])]
    #[test_case(AFTER, &[("auto.offset.reset", "error"), ("isolation.level", "read_committed"), ("enable.auto.commit", "false"), ("group.instance.id", "a")])]
    fn sound(part: Part, pairs: &[(&str, &str)]) {
        assert_eq!(found(part, pairs), Vec::<String>::new());
    }

    #[test]
    fn unsound() {
        let cases: [(Part, &[(&str, &str)]); 21] = [
            (PLAIN, &[("ackz", "1")]),
            (PLAIN, &[("linger.m", "1"), ("batch.sise", "7")]),
            (PLAIN, &[("key.serializer", "org.apache.kafka.StringSerializer")]),
            (PLAIN, &[("acks", "2000")]),
            (PLAIN, &[("compression.type", "brotli")]),
            (PLAIN, &[("retries", "many")]),
            (PLAIN, &[("linger.ms", "5"), ("enable.idempotence", "true"), ("acks", "1")]),
            (PLAIN, &[("enable.idempotence", "true"), ("max.in.flight", "6")]),
            (PLAIN, &[("acks", "1"), ("group.id", "g")]),
            (PLAIN, &[("max.partition.fetch.bytes", "100000")]),
            (PLAIN, &[("bootstrap.servers", "localhost:9092")]),
            (PLAIN, &[("delivery.report.only.error", "true")]),
            (PLAIN, &[("transactional.id", "t")]),
            (IN_TRANSACTIONS, &[("acks", "1")]),
            (IN_TRANSACTIONS, &[("transaction.timeout.ms", "10000"), ("message.timeout.ms", "20000")]),
            (AUTO, &[("enable.auto.commit", "false")]),
            (AUTO, &[("enable.auto.offset.store", "false")]),
            (AFTER, &[("enable.auto.commit", "true")]),
            (AUTO, &[("group.instance.id", "a")]),
            (AUTO, &[("linger.ms", "7"), ("acks", "all")]),
            (AFTER, &[("session.timeout.ms", "400000"), ("max.poll.interval.ms", "300000")]),
        ];
        let all: Vec<String> =
            cases.iter().map(|(part, pairs)| format!("{pairs:?}\n  {}", found(*part, pairs).join("\n  "))).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
