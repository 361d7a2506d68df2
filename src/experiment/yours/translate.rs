//! From a file of options to those that librdkafka takes, with a word on everything that is not taken as it stands.

use super::java::{self, Becomes};
use super::properties::Property;
use super::{Dialect, Side};
use crate::experiment::hint::did_you_mean;
use crate::experiment::source::Span;
use crate::experiment::value::Wrong;
use crate::experiment::{Located, OnQueueFull, Options, Problem};

/// What a file comes to.
#[derive(Debug, Default)]
pub struct Translated {
    /// librdkafka's.
    pub options: Options,
    /// What happens to a message that the full queue refuses, where that follows.
    pub on_queue_full: Option<OnQueueFull>,
    /// Sentences on what was not taken as it stands.
    pub notes: Vec<String>,
    pub problems: Vec<Problem>,
}

/// Options that librdkafka would take and the run sets itself.
const OURS: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "group.id",
    "group.instance.id",
    "transactional.id",
    "delivery.report.only.error",
];
const OUR_FAMILIES: &[&str] = &["security.", "sasl.", "ssl."];

/// Second names of librdkafka's, with those that experiments use.
const ALIASES: &[(&str, &str)] = &[
    ("request.required.acks", "acks"),
    ("message.send.max.retries", "retries"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("compression.codec", "compression.type"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
];

/// Which dialect a file is in, by names that only one of them has.
///
/// # Errors
/// Where it has names of both.
pub fn recognized(side: Side, properties: &[Property]) -> Result<Dialect, Problem> {
    let only_javas = |name: &str| java::is_only_javas(side, name);
    let is_known = |name: &str| java::becomes(side, name).is_some();
    recognized_by(properties, only_javas, java::is_only_rdkafkas, is_known)
}

/// As `recognized`, by what is said of a name: that only Java's clients have it, that only librdkafka has, and that Java's
/// clients have it as well.
pub fn recognized_by(
    properties: &[Property],
    only_javas: impl Fn(&str) -> bool,
    only_rdkafkas: impl Fn(&str) -> bool,
    is_javas: impl Fn(&str) -> bool,
) -> Result<Dialect, Problem> {
    let javas = properties.iter().find(|property| only_javas(&property.key));
    let rdkafkas = properties.iter().find(|property| only_rdkafkas(&property.key));
    let unknown = properties.iter().any(|property| !is_javas(&property.key));
    match (javas, rdkafkas) {
        (Some(javas), Some(rdkafkas)) => Err(Problem::new("options of Java's clients and of librdkafka in one file")
            .at(&javas.key_at, "only Java's clients have this")
            .at(&rdkafkas.key_at, "only librdkafka has this")
            .hint("say which it is: `--config-dialect java` or `--config-dialect librdkafka`")),
        (Some(_), None) => Ok(Dialect::Java),
        (None, Some(_)) => Ok(Dialect::Librdkafka),
        // What Java's clients do not know may be librdkafka's; what both know is more often Java's.
        (None, None) => Ok(if unknown { Dialect::Librdkafka } else { Dialect::Java }),
    }
}

/// What the properties come to for librdkafka.
pub fn translate(side: Side, dialect: Dialect, properties: &[Property]) -> Translated {
    match dialect {
        Dialect::Librdkafka => verbatim(properties),
        Dialect::Java => from_java(side, properties),
    }
}

fn verbatim(properties: &[Property]) -> Translated {
    let mut translated = Translated::default();
    let mut ours = Vec::new();
    for property in properties {
        let name = property.key.as_str();
        if OURS.contains(&name) || OUR_FAMILIES.iter().any(|family| name.starts_with(family)) {
            ours.push(name);
        } else {
            // By one name each, so that two profiles can be compared.
            let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
            translated.set(name, &property.key_at, property.value.clone());
        }
    }
    translated.left_out(&ours);
    translated
}

fn from_java(side: Side, properties: &[Property]) -> Translated {
    let mut translated = Translated::default();
    let (mut ours, mut none) = (Vec::new(), Vec::new());
    for property in properties {
        let Property { key, key_at, value, value_at } = property;
        match java::becomes(side, key) {
            Some(Becomes::Same) => translated.set(key, key_at, value.clone()),
            Some(Becomes::Named(name)) => translated.set(name, key_at, positive(name, value)),
            Some(Becomes::Both(one, other)) => {
                translated.set(one, key_at, value.clone());
                translated.set(other, key_at, value.clone());
            }
            Some(Becomes::Kib(name)) => match kib(value) {
                Ok(kib) => translated.set(name, key_at, kib),
                Err(wrong) => translated.problems.push(wrong.at(value_at)),
            },
            Some(Becomes::QueueFull) => match value.parse::<u64>() {
                Ok(0) => translated.on_queue_full = Some(OnQueueFull::Drop),
                Ok(_) => none.push((key.as_str(), "a full queue blocks the producer for as long as it is full")),
                Err(_) => translated.problems.push(whole_number(value).at(value_at)),
            },
            Some(Becomes::Reset) => match value.as_str() {
                "none" => translated.set(key, key_at, "error".to_owned()),
                _ => translated.set(key, key_at, value.clone()),
            },
            Some(Becomes::Assignors) => match assignors(value) {
                Ok(words) => translated.set(key, key_at, words),
                Err(wrong) => translated.problems.push(wrong.at(value_at)),
            },
            Some(Becomes::Ours) => ours.push(key.as_str()),
            Some(Becomes::Nothing(why)) => none.push((key.as_str(), why)),
            None => {
                let hint = did_you_mean(key, java::names(side)).map(|hint| format!(" ({hint})")).unwrap_or_default();
                let place = key_at.place();
                translated.notes.push(format!(
                    "{}:{}:{}: Java's {} has no option `{key}`{hint}; left out",
                    place.file,
                    place.line,
                    place.column,
                    side.word()
                ));
            }
        }
    }
    for (name, why) in none {
        translated.notes.push(format!("`{name}` has no counterpart: {why}"));
    }
    translated.left_out(&ours);
    translated.put_in_defaults(side, properties);
    translated
}

impl Translated {
    fn set(&mut self, name: &str, at: &Span, value: String) {
        let name = Located { value: name.to_owned(), at: at.place() };
        self.options.retain(|(other, _)| other.value != name.value);
        self.options.push((name, value));
    }

    fn left_out(&mut self, ours: &[&str]) {
        if !ours.is_empty() {
            self.notes.push(format!("left out, as the run has its own: {}", ours.join(", ")));
        }
    }

    /// Java's own defaults, where librdkafka's are others; they stand at the file's beginning.
    fn put_in_defaults(&mut self, side: Side, properties: &[Property]) {
        let Some(first) = properties.first() else { return };
        let at = first.key_at.place();
        let mut put: Vec<(&str, &str)> = java::defaults(side).to_vec();
        if side == Side::Producer {
            put.insert(0, ("enable.idempotence", if allows_idempotence(properties) { "true" } else { "false" }));
            self.on_queue_full.get_or_insert(OnQueueFull::Block);
        }
        put.retain(|(name, _)| !self.options.iter().any(|(set, _)| set.value == *name));
        for (name, value) in &put {
            self.options.push((Located { value: (*name).to_owned(), at: at.clone() }, (*value).to_owned()));
        }
        let told: Vec<String> = put.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.notes.push(format!("defaults of Java's {} put in: {}", side.word(), told.join(", ")));
    }
}

/// Java switches idempotence off where nobody has asked for it and another option does not go with it.
fn allows_idempotence(properties: &[Property]) -> bool {
    let value = |name: &str| properties.iter().find(|property| property.key == name).map(|p| p.value.as_str());
    let acks = value("acks").is_none_or(|acks| matches!(acks, "all" | "-1"));
    let retries = value("retries").is_none_or(|retries| retries != "0");
    let in_flight = value("max.in.flight.requests.per.connection").and_then(|number| number.parse::<u64>().ok());
    acks && retries && in_flight.is_none_or(|number| number <= 5)
}

/// Java's -1 for "as the system has it" is librdkafka's 0, in sizes of buffers.
fn positive(name: &str, value: &str) -> String {
    if name.ends_with("buffer.bytes") && value == "-1" { "0".to_owned() } else { value.to_owned() }
}

fn whole_number(value: &str) -> Wrong {
    Wrong::new(
        format!("`{value}` is not a whole number"),
        "expected a number without a unit, as Java's clients take it",
    )
}

fn kib(value: &str) -> Result<String, Wrong> {
    let bytes: u64 = value.parse().map_err(|_| whole_number(value))?;
    Ok((bytes / 1024).max(1).to_string())
}

/// The last part of a class's name tells it.
fn assignors(value: &str) -> Result<String, Wrong> {
    let word = |class: &str| match class.trim().rsplit(['.', '$']).next().unwrap_or_default() {
        "RangeAssignor" | "range" => Ok("range"),
        "RoundRobinAssignor" | "roundrobin" => Ok("roundrobin"),
        "CooperativeStickyAssignor" | "cooperative-sticky" => Ok("cooperative-sticky"),
        other => Err(Wrong::new(
            format!("librdkafka has no assignor like `{other}`"),
            "expected RangeAssignor, RoundRobinAssignor or CooperativeStickyAssignor",
        )
        .hint("leave it out, or take the one that comes nearest")),
    };
    let words = value.split(',').map(word).collect::<Result<Vec<_>, _>>()?;
    // For a rolling change Java's clients may offer both; librdkafka takes one kind, and the group agrees on the eager one.
    let eager: Vec<&str> = words.iter().copied().filter(|word| *word != "cooperative-sticky").collect();
    Ok(if eager.is_empty() { words.join(",") } else { eager.join(",") })
}
