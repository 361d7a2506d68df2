//! What a broker believes of brokers and partitions (Metadata).

use anyhow::{Context, Result};
use kafka_protocol::messages::{BrokerId, MetadataRequest, metadata_request};

use super::{Wire, topic_name};

/// What a broker believes of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Ids of the brokers that are registered and not fenced.
    pub brokers: Vec<i32>,
    /// Every partition of every topic, internal ones too.
    pub partitions: Vec<PartitionView>,
}

impl View {
    /// One partition.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionView> {
        self.partitions.iter().find(|state| state.topic == topic && state.partition == partition)
    }
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
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync, by id.
    pub isr: Vec<i32>,
}

impl PartitionView {
    /// Whether all replicas but those that are gone are in sync and one of them leads. With nobody left there is
    /// nothing to wait for.
    #[must_use]
    pub fn is_sound(&self, gone: &[i32]) -> bool {
        let mut left: Vec<i32> = self.replicas.iter().copied().filter(|id| !gone.contains(id)).collect();
        left.sort_unstable();
        left.is_empty() || self.isr == left && left.contains(&self.leader)
    }

    /// The replica that a preferred election makes the leader.
    #[must_use]
    pub fn preferred(&self) -> Option<i32> {
        self.replicas.first().copied()
    }
}

impl Wire {
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
                let mut isr = ids(&partition.isr_nodes);
                isr.sort_unstable();
                partitions.push(PartitionView {
                    topic: name.to_string(),
                    partition: partition.partition_index,
                    leader: partition.leader_id.0,
                    leader_epoch: partition.leader_epoch,
                    replicas: ids(&partition.replica_nodes),
                    isr,
                });
            }
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(View { brokers, partitions })
    }
}

fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|id| id.0).collect()
}
