//! Asks a cluster how it stands and is set: metadata and DescribeConfigs by librdkafka, which knows TLS and SASL. Nothing is
//! changed, and no group is joined.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::bootstrap::Address;
use super::certificate;
use super::cluster::{Broker, Cluster, Partition, Setting, Topic};
use super::finding::listed;
use super::trouble::{self, Heard};
use crate::exit::EnvironmentProblem;
use crate::experiment::yours::connection::Connection;

/// For the first answer, and for each that follows.
const LIMIT: Duration = Duration::from_secs(10);
/// Once every broker has refused: names with several addresses are tried one after the other.
const REFUSED_LIMIT: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(500);
/// Topics in one request.
const BATCH: usize = 200;

/// What a cluster told.
#[derive(Debug)]
pub struct Asked {
    /// The cluster.
    pub cluster: Cluster,
    /// What it did not tell, a sentence each with what helps: of that nothing can be said.
    pub unseen: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// librdkafka takes no such client, for this reason.
    Client(String),
    /// The cluster does not answer.
    Cluster(EnvironmentProblem),
}

/// Asks the cluster behind these addresses, each `host:port`.
///
/// # Errors
/// If no client can be made, or the cluster can't be reached or refuses it. No secret is in that.
pub async fn ask(bootstrap: &[String], connection: &Connection) -> Result<Asked, AskError> {
    let mut config = ClientConfig::new();
    for (name, value) in connection.options() {
        config.set(name, value);
    }
    config.set("bootstrap.servers", bootstrap.join(",")).set("client.id", "lossproof-check");
    config.set("reconnect.backoff.ms", "200").set("reconnect.backoff.max.ms", "500");
    config.set("socket.connection.setup.timeout.ms", "5000").set("socket.timeout.ms", "10000");
    config.set("enable.metrics.push", "false");
    let heard = Arc::default();
    let ear = Ear { heard: Arc::clone(&heard), connection: connection.clone() };
    let door: ThreadedProducer<Ear> =
        config.create_with_context(ear).map_err(|error| AskError::Client(refusal(&error, connection)))?;
    let door = Arc::new(door);
    let metadata = match metadata(&door, &heard).await {
        Ok(metadata) => metadata,
        Err(heard) => return Err(AskError::Cluster(explained(bootstrap, connection, heard).await)),
    };
    let mut asked = Asked { cluster: of(&metadata), unseen: Vec::new() };
    let brokers = &mut asked.cluster.brokers;
    join_all(brokers.iter_mut().map(async |broker| broker.resolved = resolved(&broker.address).await)).await;
    settings(&config, &door, &mut asked, connection).await?;
    Ok(asked)
}

/// Addresses with what they resolve to here.
pub async fn addresses(list: &[String]) -> Vec<Address> {
    join_all(list.iter().map(async |name| Address { name: name.clone(), resolved: resolved(name).await })).await
}

async fn resolved(address: &str) -> Vec<String> {
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host(address)).await {
        Ok(Ok(found)) => found.map(|address: SocketAddr| address.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// The text of a client that can't be made.
fn refusal(error: &KafkaError, connection: &Connection) -> String {
    let text = match error {
        KafkaError::ClientCreation(text) | KafkaError::ClientConfig(_, text, _, _) => text.clone(),
        error => error.to_string(),
    };
    connection.without_secrets(&text)
}

/// Metadata of all topics, tried again until something is certain.
async fn metadata(door: &Arc<ThreadedProducer<Ear>>, ears: &Mutex<Vec<Heard>>) -> Result<Metadata, Vec<Heard>> {
    let begin = Instant::now();
    loop {
        let own = Arc::clone(door);
        let answer = tokio::task::spawn_blocking(move || own.client().fetch_metadata(None, STEP)).await;
        if let Ok(Ok(metadata)) = answer
            && !metadata.brokers().is_empty()
        {
            return Ok(metadata);
        }
        let heard = ears.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = heard.iter().any(|one| one.code == RDKafkaErrorCode::AllBrokersDown);
        let limit = if refused { REFUSED_LIMIT } else { LIMIT };
        if trouble::is_final(&heard) || begin.elapsed() >= limit {
            return Err(heard);
        }
    }
}

async fn explained(bootstrap: &[String], connection: &Connection, heard: Vec<Heard>) -> EnvironmentProblem {
    let (list, own) = (bootstrap.to_vec(), connection.clone());
    let is_tls = connection.is_tls() && heard.iter().all(|one| one.code != RDKafkaErrorCode::Authentication);
    let certificate = match is_tls {
        true => tokio::task::spawn_blocking(move || certificate::trouble(&list, &own)).await.ok().flatten(),
        false => None,
    };
    trouble::told(&bootstrap.join(","), connection, &heard, certificate)
}

fn of(metadata: &Metadata) -> Cluster {
    let mut brokers: Vec<Broker> = metadata
        .brokers()
        .iter()
        .map(|broker| Broker {
            id: broker.id(),
            address: format!("{}:{}", broker.host(), broker.port()),
            ..Broker::default()
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    let mut topics: Vec<Topic> = metadata
        .topics()
        .iter()
        .map(|topic| {
            let mut partitions: Vec<Partition> = topic
                .partitions()
                .iter()
                .map(|partition| Partition {
                    id: partition.id(),
                    leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                    replicas: partition.replicas().to_vec(),
                    isr: partition.isr().to_vec(),
                })
                .collect();
            partitions.sort_by_key(|partition| partition.id);
            Topic { name: topic.name().to_owned(), partitions, settings: Vec::new() }
        })
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Cluster { brokers, topics }
}

/// Puts in the settings of topics and brokers, and notes of which there are none.
async fn settings(
    config: &ClientConfig,
    door: &Arc<ThreadedProducer<Ear>>,
    asked: &mut Asked,
    connection: &Connection,
) -> Result<(), AskError> {
    let admin: AdminClient<Quiet> =
        config.create_with_context(Quiet).map_err(|error| AskError::Client(refusal(&error, connection)))?;
    let Cluster { brokers, topics } = &mut asked.cluster;
    let ids: Vec<i32> = brokers.iter().map(|broker| broker.id).collect();
    let mut failed: Vec<(String, String)> = Vec::new();
    for topics in topics.chunks_mut(BATCH) {
        match described_by_any(&admin, &ids, topics).await {
            // Answers come in the order of what was asked.
            Ok(all) => topics.iter_mut().zip(all).for_each(|(topic, settings)| topic.settings = settings),
            Err(error) => {
                failed.push((format!("the settings of topics could not be asked for: {}", brief(&error)), again()));
                break;
            }
        }
    }
    let asking = brokers.iter_mut().map(async |broker| {
        let answer = described(&admin, &[ResourceSpecifier::Broker(broker.id)], broker.id).await;
        answer.map(|mut all| broker.settings = all.pop().unwrap_or_default()).err().map(|error| (broker.id, error))
    });
    let silent: Vec<(i32, KafkaError)> = join_all(asking).await.into_iter().flatten().collect();
    if let Some((_, error)) = silent.first() {
        let ids: Vec<i32> = silent.iter().map(|(id, _)| *id).collect();
        let word = if ids.len() == 1 { "broker" } else { "brokers" };
        let text = format!("the settings of {word} {} could not be asked for: {}", listed(&ids), brief(error));
        failed.push((text, again()));
    }
    if failed.is_empty() {
        not_told(door, asked).await;
    }
    asked.unseen.extend(failed);
    Ok(())
}

fn again() -> String {
    "try again; if it stays so, the cluster is too old, or a broker can't be reached from here".to_owned()
}

fn brief(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}

/// Settings of topics, from the first broker that tells. Left to itself librdkafka asks the controller, which brokers do
/// not always know of.
async fn described_by_any(
    admin: &AdminClient<Quiet>,
    brokers: &[i32],
    topics: &[Topic],
) -> Result<Vec<Vec<Setting>>, KafkaError> {
    let resources: Vec<ResourceSpecifier<'_>> =
        topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let mut answer = Err(KafkaError::Canceled);
    for broker in brokers {
        answer = described(admin, &resources, *broker).await;
        if answer.is_ok() {
            break;
        }
    }
    answer
}

/// What was asked for and not told, which is how a cluster refuses it. A topic that is gone by now needs none.
async fn not_told(door: &Arc<ThreadedProducer<Ear>>, asked: &mut Asked) {
    if asked.cluster.topics.iter().any(|topic| topic.settings.is_empty()) {
        let own = Arc::clone(door);
        let now = tokio::task::spawn_blocking(move || own.client().fetch_metadata(None, LIMIT)).await;
        if let Ok(Ok(now)) = now {
            let is_there = |name: &str| now.topics().iter().any(|topic| topic.name() == name);
            asked.cluster.topics.retain(|topic| !topic.settings.is_empty() || is_there(&topic.name));
        }
    }
    let topics: Vec<&str> =
        asked.cluster.topics.iter().filter(|t| t.settings.is_empty()).map(|t| t.name.as_str()).collect();
    if let [first, rest @ ..] = topics.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        let text = format!("not authorised to see the settings of topic {first}{more}");
        let hint = "grant the user DescribeConfigs on its topics (kafka-acls --operation DescribeConfigs --topic …)";
        asked.unseen.push((text, hint.to_owned()));
    }
    if asked.cluster.brokers.iter().any(|broker| broker.settings.is_empty()) {
        let hint = "grant the user DescribeConfigs on the cluster (kafka-acls --operation DescribeConfigs --cluster)";
        asked.unseen.push(("not authorised to see the settings of the brokers".to_owned(), hint.to_owned()));
    }
}

async fn described(
    admin: &AdminClient<Quiet>,
    resources: &[ResourceSpecifier<'_>],
    broker: i32,
) -> Result<Vec<Vec<Setting>>, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(LIMIT)).broker_id(broker);
    let answers = admin.describe_configs(resources, &options).await?;
    let settings = |resource: rdkafka::admin::ConfigResource| {
        let entries = resource.entries.into_iter().filter(|entry| !entry.is_sensitive);
        let setting = entries.filter_map(|entry| {
            let own = matches!(entry.source, ConfigSource::DynamicTopic);
            Some(Setting { name: entry.name, value: entry.value?, own })
        });
        setting.collect()
    };
    Ok(answers.into_iter().map(|answer| answer.map(settings).unwrap_or_default()).collect())
}

/// Hears errors, and keeps librdkafka's log to itself.
struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    connection: Connection,
}

impl ClientContext for Ear {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            let reason = self.connection.without_secrets(reason);
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { code, reason });
        }
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Says nothing: what there is to say is heard at the door.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, _reason: &str) {}
}
