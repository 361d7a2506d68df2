//! A client's file of options as it stands: what it says of connecting, and what of a producer and of a consumer.

use std::path::Path;
use std::sync::Arc;

use super::connection::{self, Connection};
use super::properties::{self, Property};
use super::{Dialect, Side, java, translate};
use crate::experiment::source::Source;
use crate::experiment::{Options, Problem, Problems};

/// What a file says.
#[derive(Debug)]
pub struct ClientFile {
    /// As the user named it.
    pub name: String,
    /// Whose options it has.
    pub dialect: Dialect,
    /// How it connects.
    pub connection: Connection,
    /// The brokers that it asks first.
    pub bootstrap: Option<String>,
    /// Its options as a producer, by librdkafka's names and with Java's defaults; none if it has none of a producer.
    pub producer: Option<Options>,
    /// The same as a consumer.
    pub consumer: Option<Options>,
    /// Names of all its options, as they are written.
    pub written: Vec<String>,
    /// Java's limit for waiting in `send()`, in ms, which librdkafka has nothing of.
    pub max_block_ms: Option<u64>,
    /// Sentences on what is most likely misspelt.
    pub notes: Vec<String>,
}

impl ClientFile {
    /// Reads a file; a dialect that is not given is recognized by its names of options.
    ///
    /// # Errors
    /// What is wrong with it. No secret is in that.
    pub fn read(path: &Path, dialect: Option<Dialect>) -> Result<Self, Problems> {
        Self::of(&Source::read(path)?, dialect)
    }

    /// As `read`, of a text.
    ///
    /// # Errors
    /// As there.
    pub fn parse(name: &str, text: &str, dialect: Option<Dialect>) -> Result<Self, Problems> {
        Self::of(&Source::from_bytes(name.to_owned(), None, text.as_bytes().to_vec())?, dialect)
    }

    fn of(source: &Arc<Source>, dialect: Option<Dialect>) -> Result<Self, Problems> {
        let properties = properties::parse(source);
        if properties.is_empty() {
            let problem = Problem::new(format!("{} holds no option", source.name));
            return Err(problem.hint("a line for each is expected, such as `acks=all`").into());
        }
        let dialect = match dialect {
            Some(dialect) => dialect,
            None => recognized(&properties)?,
        };
        let connecting: Vec<&Property> =
            properties.iter().filter(|property| connection::is_of_connection(&property.key)).collect();
        let mut problems = Vec::new();
        let connection = Connection::of(dialect, &connecting).unwrap_or_else(|found| {
            problems.extend(found);
            Connection::default()
        });
        let mut notes = Vec::new();
        let mut side = |side: Side| {
            let other = if side == Side::Producer { Side::Consumer } else { Side::Producer };
            properties.iter().any(|property| java::is_only_of(side, &property.key)).then(|| {
                let own: Vec<Property> =
                    properties.iter().filter(|property| !java::is_only_of(other, &property.key)).cloned().collect();
                let translated = translate::translate(side, dialect, &own);
                problems.extend(translated.problems);
                notes.extend(translated.notes.into_iter().filter(|note| note.contains("has no option")));
                translated.options
            })
        };
        let (producer, consumer) = (side(Side::Producer), side(Side::Consumer));
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let value = |name: &str| properties.iter().find(|property| property.key == name).map(|own| own.value.clone());
        Ok(Self {
            name: source.name.clone(),
            dialect,
            connection,
            bootstrap: value("bootstrap.servers").or_else(|| value("metadata.broker.list")),
            producer,
            consumer,
            max_block_ms: value("max.block.ms").and_then(|value| value.parse().ok()),
            written: properties.into_iter().map(|property| property.key).collect(),
            notes,
        })
    }
}

fn recognized(properties: &[Property]) -> Result<Dialect, Problem> {
    let sides = [Side::Producer, Side::Consumer];
    let is_shared = |name: &str| connection::is_of_connection(name) || name == "bootstrap.servers";
    translate::recognized_by(
        properties,
        |name| connection::is_only_javas(name) || sides.iter().any(|side| java::is_only_javas(*side, name)),
        |name| connection::is_only_rdkafkas(name) || java::is_only_rdkafkas(name),
        |name| is_shared(name) || sides.iter().any(|side| java::becomes(*side, name).is_some()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClientFile, Problems> {
        ClientFile::parse("own.properties", text, None)
    }

    fn value<'a>(options: &'a Option<Options>, name: &str) -> Option<&'a str> {
        options.as_ref()?.iter().find(|(own, _)| own.value == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn sides_are_told_by_their_options() {
        let file = read("bootstrap.servers=a:9092\nsecurity.protocol=PLAINTEXT\n").unwrap();
        assert!(file.producer.is_none() && file.consumer.is_none());
        assert_eq!(file.bootstrap.as_deref(), Some("a:9092"));
        let file = read("acks=all\n").unwrap();
        assert!(file.producer.is_some() && file.consumer.is_none());
        let file = read("group.id=g\nrequest.timeout.ms=20000\n").unwrap();
        assert_eq!((file.dialect, file.producer.is_none()), (Dialect::Java, true));
        assert_eq!(value(&file.consumer, "auto.offset.reset"), Some("latest"), "java's default");
        let file = read("acks=1\ngroup.id=g\nenable.auto.commit=false\n").unwrap();
        assert_eq!(value(&file.producer, "acks"), Some("1"));
        assert_eq!(value(&file.consumer, "enable.auto.commit"), Some("false"));
        assert_eq!(file.notes, Vec::<String>::new());
    }

    #[test]
    fn names_of_connecting_tell_the_dialect_too() {
        assert_eq!(read("acks=1\nsasl.username=ann\nsasl.password=s3cret\n").unwrap().dialect, Dialect::Librdkafka);
        let jaas =
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password=\"s3cret\";";
        let java = read(&format!("acks=1\nsasl.jaas.config={jaas}\n")).unwrap();
        assert_eq!(java.dialect, Dialect::Java);
        assert!(!format!("{java:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_is_shown_without_the_secrets_around_it() {
        let problems = read("sasl.password=s3cret\nacks=1\nbuffer.memory=lots\nssl.key.password=s3cret\n").unwrap_err();
        let told = problems.render(false, 100);
        assert!(told.contains("own.properties:") && !told.contains("s3cret"), "{told}");
        assert!(!format!("{problems:?}").contains("s3cret"));
    }

    #[test]
    fn a_misspelt_option_of_java_is_noted_with_its_place() {
        let file = read("key.serializer=x\nack=all\n").unwrap();
        assert_eq!(file.notes.len(), 1, "{:?}", file.notes);
        assert!(
            file.notes[0].starts_with("own.properties:2:1: Java's producer has no option `ack`"),
            "{:?}",
            file.notes
        );
    }
}
