//! librdkafka configurations as client processes use them, and as they are checked beforehand.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};

use crate::experiment::Commit;

use super::spec::{ClientSpec, Consuming};

/// A configuration, and librdkafka's view of it.
pub(super) struct Config(ClientConfig);

impl Config {
    pub(super) fn new<'a>(options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut config = ClientConfig::new();
        for (name, value) in options {
            config.set(name, value);
        }
        // `debug` is one of librdkafka's options; its lines are asked for with it.
        config.set_log_level(match config.get("debug") {
            Some(_) => RDKafkaLogLevel::Debug,
            None => RDKafkaLogLevel::Info,
        });
        Self(config)
    }

    /// To create a client of.
    pub(super) const fn client(&self) -> &ClientConfig {
        &self.0
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.set(name, value);
    }

    /// The value in force, a default too. Aliases are known.
    pub(super) fn value(&self, name: &str) -> KafkaResult<String> {
        // librdkafka knows no values of topic options until one of them is set. This one means nothing
        // to a client that has no callbacks.
        let mut config = self.0.clone();
        config.set("consume.callback.max.messages", "0");
        config.create_native_config()?.get(name)
    }

    /// A value in force that is a number.
    pub(super) fn number(&self, name: &str) -> KafkaResult<u64> {
        let value = self.value(name)?;
        value.parse().map_err(|_| KafkaError::ClientCreation(format!("{name} is {value:?}, which is not a number")))
    }
}

fn common(spec: &ClientSpec) -> Config {
    let options = spec.options.iter();
    let mut config = Config::new(options.map(|(name, value)| (name.as_str(), value.as_str())));
    config.set("bootstrap.servers", &spec.bootstrap);
    if !spec.options.iter().any(|(name, _)| name == "client.id") {
        config.set("client.id", &spec.name());
    }
    config
}

/// Of a producer.
pub(super) fn producer(spec: &ClientSpec) -> Config {
    common(spec)
}

/// Of a consumer.
pub(super) fn consumer(spec: &ClientSpec, consuming: &Consuming) -> Config {
    let mut config = common(spec);
    config.set("group.id", &consuming.group);
    set_commit(&mut config, consuming.handling.commit);
    config
}

/// What a commit behaviour means in options. Automatic is librdkafka's default, so that a profile's
/// own options hold.
pub(super) fn set_commit(config: &mut Config, commit: Commit) {
    if commit != Commit::Auto {
        config.set("enable.auto.commit", "false");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case(&[], "acks" => "-1"; "a default of a topic option")]
    #[test_case(&[("acks", "0")], "acks" => "0")]
    #[test_case(&[("acks", "all")], "acks" => "-1"; "a name for a number")]
    #[test_case(&[("request.required.acks", "1")], "acks" => "1"; "the other name")]
    #[test_case(&[], "message.timeout.ms" => "300000")]
    #[test_case(&[("delivery.timeout.ms", "2000")], "message.timeout.ms" => "2000"; "an alias")]
    #[test_case(&[], "socket.timeout.ms" => "60000")]
    fn values(options: &[(&str, &str)], name: &str) -> String {
        Config::new(options.iter().copied()).value(name).unwrap()
    }
}
