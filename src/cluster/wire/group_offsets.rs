//! What consumer groups have committed (OffsetFetch).

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest};

use super::{TopicPartition, Wire, by_topic, refusal, text};

impl Wire {
    /// The offsets that a group has committed, to the broker that coordinates it: the next offset to read in each
    /// partition; none without a commit. Partitions that it can't tell of are left out.
    ///
    /// # Errors
    /// When the broker does not answer, or is not the group's coordinator.
    pub async fn committed(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Option<i64>)>> {
        let topics = by_topic(partitions.iter().cloned())
            .into_iter()
            .map(|(name, indexes)| OffsetFetchRequestTopic::default().with_name(name).with_partition_indexes(indexes));
        let request =
            OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(Some(topics.collect()));
        let answer = self.call(&request, 7).await.context("OffsetFetch")?;
        if let Some(said) = refusal(answer.error_code, None) {
            bail!("OffsetFetch of group {group}: {said}");
        }
        let told = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().filter(|partition| partition.error_code == 0).map(move |partition| {
                let committed = Some(partition.committed_offset).filter(|offset| *offset >= 0);
                ((name.clone(), partition.partition_index), committed)
            })
        });
        Ok(told.collect())
    }
}
