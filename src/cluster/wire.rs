//! Requests of Kafka's protocol that the harness makes itself: who leads what, who is in sync, who is
//! the active controller, topics and their configuration. Always to one named broker, by its HARNESS
//! listener, so that the answer is that broker's view and no client library's mixture.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeQuorumRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, MetadataRequest, RequestHeader, ResponseHeader, TopicName,
    delete_topics_request::DeleteTopicState, describe_quorum_request, list_offsets_request, metadata_request,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to one broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    correlation: i32,
    limit: Duration,
}

/// What a broker believes of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Ids of the brokers that are registered and not fenced.
    pub brokers: Vec<i32>,
    /// Every partition of every topic, internal ones too.
    pub partitions: Vec<PartitionView>,
}

/// What a broker believes of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Leader's id, -1 for none.
    pub leader: i32,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// All replicas.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
}

impl PartitionView {
    /// Whether all replicas but those that are gone are in sync and one of them leads. With nobody left there is
    /// nothing to wait for.
    #[must_use]
    pub fn is_sound(&self, gone: &[i32]) -> bool {
        let left: Vec<i32> = self.replicas.iter().copied().filter(|id| !gone.contains(id)).collect();
        left.is_empty() || self.isr == left && left.contains(&self.leader)
    }
}

/// A topic to create. Replicas are named for each partition, so that profiles are placed alike.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Replicas of each partition, the preferred leader first.
    pub assignment: Vec<Vec<i32>>,
    /// Configuration.
    pub config: Vec<(String, String)>,
}

impl Wire {
    /// Connects; each later call has the same limit.
    ///
    /// # Errors
    /// When the broker does not accept within `limit`.
    pub async fn connect(address: &str, limit: Duration) -> Result<Self> {
        let stream = tokio::time::timeout(limit, TcpStream::connect(address))
            .await
            .with_context(|| format!("{address} does not accept within {limit:?}"))?
            .with_context(|| format!("{address} refuses"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation: 0, limit })
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let limit = self.limit;
        tokio::time::timeout(limit, self.exchange(request, version))
            .await
            .with_context(|| format!("no answer within {limit:?}"))?
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("lossproof-harness")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version))?;
        request.encode(&mut body, version)?;
        let length = i32::try_from(body.len()).context("a request over 2 GiB")?;
        self.stream.write_i32(length).await?;
        self.stream.write_all(&body).await?;

        let length = usize::try_from(self.stream.read_i32().await?).context("a negative length")?;
        if length > 64 << 20 {
            bail!("an answer of {length} bytes");
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
        if header.correlation_id != self.correlation {
            bail!("answer {} to request {}", header.correlation_id, self.correlation);
        }
        R::Response::decode(&mut answer, version)
    }

    /// Brokers and partitions as this broker sees them; all topics, or the named ones.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn view(&mut self, topics: Option<&[String]>) -> Result<View> {
        let topics = topics.map(|names| {
            names
                .iter()
                .map(|name| metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name))))
                .collect()
        });
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let answer = self.call(&request, 12).await.context("Metadata")?;
        let mut brokers: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id.0).collect();
        brokers.sort_unstable();
        let mut partitions = Vec::new();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            for partition in &topic.partitions {
                partitions.push(PartitionView {
                    topic: name.to_string(),
                    partition: partition.partition_index,
                    leader: partition.leader_id.0,
                    leader_epoch: partition.leader_epoch,
                    replicas: ids(&partition.replica_nodes),
                    isr: ids(&partition.isr_nodes),
                });
            }
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(View { brokers, partitions })
    }

    /// Id of the active controller. In KRaft, Metadata names some live broker instead (KIP-590), so
    /// this asks DescribeQuorum (KIP-595) for the leader of `__cluster_metadata`.
    ///
    /// # Errors
    /// When the broker does not answer, or knows none.
    pub async fn active_controller(&mut self) -> Result<i32> {
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(topic_name("__cluster_metadata"))
            .with_partitions(vec![describe_quorum_request::PartitionData::default().with_partition_index(0)]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = self.call(&request, 1).await.context("DescribeQuorum")?;
        check("DescribeQuorum", answer.error_code, None)?;
        let leader = answer
            .topics
            .first()
            .and_then(|topic| topic.partitions.first())
            .map_or(-1, |partition| partition.leader_id.0);
        if leader < 0 {
            bail!("the quorum has no leader now");
        }
        Ok(leader)
    }

    /// Where the logs of this broker's own replicas end, whether it leads them or not: each partition with
    /// the offset after its last record. Replicas that it does not hold, or can't tell of, are left out.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn log_ends(&mut self, partitions: &[(String, i32)]) -> Result<Vec<(String, i32, i64)>> {
        // ListOffsetsRequest.DEBUGGING_REPLICA_ID: any replica answers, not only the leader, and with the end of
        // its log instead of the high watermark.
        const DEBUGGING_REPLICA: BrokerId = BrokerId(-2);
        const LATEST: i64 = -1;
        let mut topics: Vec<list_offsets_request::ListOffsetsTopic> = Vec::new();
        for (topic, partition) in partitions {
            let asked = list_offsets_request::ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(LATEST);
            let name = topic_name(topic);
            match topics.iter_mut().find(|known| known.name == name) {
                Some(known) => known.partitions.push(asked),
                None => topics.push(
                    list_offsets_request::ListOffsetsTopic::default().with_name(name).with_partitions(vec![asked]),
                ),
            }
        }
        let request = ListOffsetsRequest::default().with_replica_id(DEBUGGING_REPLICA).with_topics(topics);
        let answer = self.call(&request, 7).await.context("ListOffsets")?;
        let told = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().filter_map(move |partition| {
                let known = partition.error_code == 0 && partition.offset >= 0;
                known.then(|| (name.clone(), partition.partition_index, partition.offset))
            })
        });
        Ok(told.collect())
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn create_topic(&mut self, topic: &NewTopic) -> Result<()> {
        let assignments = topic
            .assignment
            .iter()
            .zip(0..)
            .map(|(replicas, partition)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(partition)
                    .with_broker_ids(replicas.iter().map(|&id| BrokerId(id)).collect())
            })
            .collect();
        let configs = topic
            .config
            .iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from_string(name.clone()))
                    .with_value(Some(StrBytes::from_string(value.clone())))
            })
            .collect();
        let creatable = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments)
            .with_configs(configs);
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request, 7).await?;
        for result in answer.topics {
            check(&format!("topic {}", topic.name), result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![DeleteTopicState::default().with_name(Some(topic_name(name)))])
            .with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request, 6).await?;
        for result in answer.responses {
            check(&format!("deleting topic {name}"), result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Sets some of a topic's options and leaves the others alone (KIP-339, which librdkafka's safe API lacks).
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn set_topic_config(&mut self, topic: &str, options: &HashMap<&str, &str>) -> Result<()> {
        const TOPIC: i8 = 2;
        let configs = options
            .iter()
            .map(|(name, value)| {
                AlterableConfig::default()
                    .with_name(StrBytes::from_string((*name).to_owned()))
                    .with_value(Some(StrBytes::from_string((*value).to_owned())))
            })
            .collect();
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configs(configs);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call(&request, 1).await?;
        for result in answer.responses {
            check(&format!("configuration of {topic}"), result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.limit.as_millis()).unwrap_or(i32::MAX)
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    let mut ids: Vec<i32> = brokers.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids
}

fn check(what: &str, code: i16, message: Option<&str>) -> Result<()> {
    match code.err() {
        None => Ok(()),
        Some(error) => {
            let message = message.map(|text| format!(" ({text})")).unwrap_or_default();
            Err(Refused(format!("{what}: {error}{message}")).into())
        }
    }
}

/// A broker understood a request and said no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);
