//! Topics made and removed (CreateTopics, DeleteTopics).

use anyhow::Result;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, DeleteTopicsRequest};

use super::{Wire, check, text, topic_name};

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
            .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))))
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
}
