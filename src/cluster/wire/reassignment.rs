//! Which brokers hold a partition, and in which order (AlterPartitionReassignments, ListPartitionReassignments;
//! KIP-455).

use anyhow::{Context, Result};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, BrokerId, ListPartitionReassignmentsRequest};
use serde::{Deserialize, Serialize};

use super::{TopicPartition, Wire, by_topic, check};

/// The replicas that a partition has, or is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Broker ids, the preferred leader first.
    pub replicas: Vec<i32>,
}

impl Wire {
    /// Gives partitions other replicas, or another order of them. In another order alone no data moves, and it
    /// holds at once.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn reassign(&mut self, reassignments: &[Reassignment]) -> Result<()> {
        let asked = reassignments.iter().map(|Reassignment { topic, partition, replicas }| {
            let partition = ReassignablePartition::default()
                .with_partition_index(*partition)
                .with_replicas(Some(replicas.iter().map(|&id| BrokerId(id)).collect()));
            (topic.clone(), partition)
        });
        let topics = by_topic(asked)
            .into_iter()
            .map(|(name, partitions)| ReassignableTopic::default().with_name(name).with_partitions(partitions));
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(self.timeout_ms())
            .with_topics(topics.collect());
        let answer = self.call(&request, 0).await.context("AlterPartitionReassignments")?;
        check("reassignment", answer.error_code, answer.error_message.as_deref())?;
        for topic in &answer.responses {
            for partition in &topic.partitions {
                let what = format!("reassignment of {} partition {}", topic.name.0, partition.partition_index);
                check(&what, partition.error_code, partition.error_message.as_deref())?;
            }
        }
        Ok(())
    }

    /// Those of these partitions whose replicas are being changed at this moment.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn being_reassigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<TopicPartition>> {
        let topics = by_topic(partitions.iter().cloned()).into_iter().map(|(name, partitions)| {
            ListPartitionReassignmentsTopics::default().with_name(name).with_partition_indexes(partitions)
        });
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(self.timeout_ms())
            .with_topics(Some(topics.collect()));
        let answer = self.call(&request, 0).await.context("ListPartitionReassignments")?;
        check("list of reassignments", answer.error_code, answer.error_message.as_deref())?;
        let under_way = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition.partition_index))
        });
        Ok(under_way.collect())
    }
}
