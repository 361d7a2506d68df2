//! Which broker coordinates a consumer group or a transactional id (FindCoordinator; several at once: KIP-699).

use anyhow::{Context, Result};
use kafka_protocol::messages::FindCoordinatorRequest;

use super::{Wire, refusal, text};

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinated {
    /// Consumer groups, by group id: the leader of a partition of `__consumer_offsets`.
    Groups,
    /// Transactions, by transactional id: the leader of a partition of `__transaction_state`.
    Transactions,
}

impl Wire {
    /// The coordinator of each id, or why there is none now. Asked before the topic behind it exists, brokers
    /// create it.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn coordinators(
        &mut self,
        of: Coordinated,
        ids: &[String],
    ) -> Result<Vec<(String, Result<i32, String>)>> {
        let request = FindCoordinatorRequest::default()
            .with_key_type(match of {
                Coordinated::Groups => 0,
                Coordinated::Transactions => 1,
            })
            .with_coordinator_keys(ids.iter().map(|id| text(id)).collect());
        let answer = self.call(&request, 4).await.context("FindCoordinator")?;
        let found = answer.coordinators.into_iter().map(|found| {
            let said = refusal(found.error_code, found.error_message.as_deref());
            (found.key.to_string(), said.map_or(Ok(found.node_id.0), Err))
        });
        Ok(found.collect())
    }
}
