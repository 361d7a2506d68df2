//! The end of transactions that a producer may have left open: whoever registers a transactional id ends
//! what its owner before had begun. Until then read-committed readers see nothing beyond.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

/// How long one call of librdkafka may take; it goes on in the background, and the next call resumes it.
const CALL_MAX: Duration = Duration::from_secs(1);

/// Registers the id (InitProducerId), whose open transaction is aborted when this returns, and whose
/// clients of before are shut out.
///
/// # Errors
/// When its coordinator does not do so within `limit`.
pub fn end(bootstrap: &str, id: &str, limit: Duration) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "lossproof-harness")
        .set("transactional.id", id)
        .create()
        .context("a client that ends transactions")?;
    let deadline = Instant::now() + limit;
    loop {
        match producer.init_transactions(CALL_MAX) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                tracing::debug!("{id}: {error}");
            }
            Err(error) => return Err(error).context(format!("the transactions of {id} are not known to have ended")),
        }
    }
}
