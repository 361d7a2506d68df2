//! Who the active controller is (DescribeQuorum).

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::{DescribeQuorumRequest, describe_quorum_request};

use super::{Wire, check, topic_name};

impl Wire {
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
}
