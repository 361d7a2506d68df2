//! The fence: a record at the end of each partition, acknowledged by all in-sync replicas, after which
//! nothing of the run can land. What the audit reads up to it is the whole log.

use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::payload::FENCE_HEADER;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

/// How long a partition may take to take one.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Writes the fence of each partition. Gives its offset, or why there is none.
///
/// # Errors
/// When the client can't be made.
pub async fn write(bootstrap: &str, topic: &str, partitions: i32, limit: Duration) -> Result<Vec<Result<i64>>> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "lossproof-harness")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("message.timeout.ms", limit.as_millis().to_string())
        .create()
        .context("the fence's producer")?;
    let fences = (0..partitions).map(|partition| {
        let record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic)
            .partition(partition)
            // A compacted topic takes nothing without one.
            .key("fence")
            .headers(OwnedHeaders::new().insert(Header { key: FENCE_HEADER, value: None::<&[u8]> }))
            .payload(b"fence");
        let sent = producer.send(record, limit);
        async move {
            match sent.await {
                Ok(delivery) => Ok(delivery.offset),
                Err((error, _)) => {
                    Err(anyhow::Error::new(error).context(format!("partition {partition} took no fence")))
                }
            }
        }
    });
    Ok(futures_util::future::join_all(fences).await)
}
