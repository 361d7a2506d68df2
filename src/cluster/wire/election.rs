//! Elections on demand (ElectLeaders; KIP-460).

use anyhow::{Context, Result};
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;

use super::{TopicPartition, Wire, by_topic, check, refusal};
use crate::experiment::Election;

impl Wire {
    /// Elects leaders; with what the controller has against it for each partition, none where it did.
    ///
    /// # Errors
    /// When the request as a whole is refused, or not answered.
    pub async fn elect_leaders(
        &mut self,
        election: Election,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Option<String>)>> {
        let asked = by_topic(partitions.iter().cloned())
            .into_iter()
            .map(|(topic, partitions)| TopicPartitions::default().with_topic(topic).with_partitions(partitions));
        let request = ElectLeadersRequest::default()
            .with_election_type(match election {
                Election::Preferred => 0,
                Election::Unclean => 1,
            })
            .with_topic_partitions(Some(asked.collect()))
            .with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request, 2).await.context("ElectLeaders")?;
        check("ElectLeaders", answer.error_code, None)?;
        let results = answer.replica_election_results.into_iter().flat_map(|topic| {
            let name = topic.topic.to_string();
            topic.partition_result.into_iter().map(move |result| {
                let said = refusal(result.error_code, result.error_message.as_deref());
                ((name.clone(), result.partition_id), said)
            })
        });
        Ok(results.collect())
    }
}
