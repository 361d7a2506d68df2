//! Where logs begin and end (ListOffsets).

use anyhow::{Context, Result};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, list_offsets_request};

use super::{TopicPartition, Wire, by_topic};

/// ListOffsetsRequest.DEBUGGING_REPLICA_ID: any replica answers, not only the leader, and with the end of its
/// log instead of the high watermark.
const DEBUGGING_REPLICA: BrokerId = BrokerId(-2);
/// As consumers ask: the leader alone answers.
const CONSUMER: BrokerId = BrokerId(-1);
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

impl Wire {
    /// Where the logs of this broker's own replicas end, whether it leads them or not: each partition with
    /// the offset after its last record. Replicas that it does not hold, or can't tell of, are left out.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn log_ends(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(String, i32, i64)>> {
        self.offsets(DEBUGGING_REPLICA, LATEST, partitions).await
    }

    /// Where the logs of this broker's own replicas begin, whether it leads them or not: their first offsets.
    /// Replicas that it does not hold, or can't tell of, are left out.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn log_starts(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(String, i32, i64)>> {
        self.offsets(DEBUGGING_REPLICA, EARLIEST, partitions).await
    }

    /// High watermarks of the partitions that this broker leads: what lies below is on all in-sync replicas.
    /// Others, and those of a leader that is too new to know, are left out.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn high_watermarks(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(String, i32, i64)>> {
        self.offsets(CONSUMER, LATEST, partitions).await
    }

    async fn offsets(
        &mut self,
        replica: BrokerId,
        timestamp: i64,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(String, i32, i64)>> {
        let asked = partitions.iter().map(|(topic, partition)| {
            let asked = list_offsets_request::ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp);
            (topic.clone(), asked)
        });
        let topics = by_topic(asked).into_iter().map(|(name, partitions)| {
            list_offsets_request::ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
        });
        let request = ListOffsetsRequest::default().with_replica_id(replica).with_topics(topics.collect());
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
}
