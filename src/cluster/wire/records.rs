//! Records taken out of the log on demand (DeleteRecords; KIP-107).

use anyhow::{Context, Result};
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};

use super::{TopicPartition, Wire, by_topic, refusal};

impl Wire {
    /// Deletes what lies before an offset, of partitions that this broker leads. Gives for each where its log
    /// begins now on all living replicas, or what the broker has against it.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete_records(
        &mut self,
        before: &[(String, i32, i64)],
    ) -> Result<Vec<(TopicPartition, Result<i64, String>)>> {
        let asked = before.iter().map(|(topic, partition, offset)| {
            let partition = DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(*offset);
            (topic.clone(), partition)
        });
        let topics = by_topic(asked)
            .into_iter()
            .map(|(name, partitions)| DeleteRecordsTopic::default().with_name(name).with_partitions(partitions));
        let request = DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request, 2).await.context("DeleteRecords")?;
        let results = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |result| {
                let outcome = refusal(result.error_code, None).map_or(Ok(result.low_watermark), Err);
                ((name.clone(), result.partition_index), outcome)
            })
        });
        Ok(results.collect())
    }
}
