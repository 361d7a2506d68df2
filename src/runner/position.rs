//! Where a group stands in each partition when the drain ends, and how that is known.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::event::PositionSource;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long a coordinator may take to answer.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Group {
    /// HARNESS addresses.
    pub bootstrap: String,
    /// The group's id.
    pub group: String,
    /// Its topic.
    pub topic: String,
    /// Number of partitions.
    pub partitions: i32,
    /// The group's own `auto.offset.reset`, if it was set.
    pub reset: Option<String>,
    /// Partitions whose fence a living member has read, with its offset.
    pub at_fence: BTreeMap<i32, i64>,
}

/// Of the group, and no member of it.
fn client(group: &Group) -> Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", &group.bootstrap)
        .set("client.id", "lossproof-harness")
        .set("group.id", &group.group)
        .set("enable.auto.commit", "false")
        .create()
        .context("a client that speaks for a group")
}

/// The group's position in each partition that can be told.
///
/// # Errors
/// When no broker answers within `limit`.
pub fn positions(group: &Group, limit: Duration) -> Result<BTreeMap<i32, (i64, PositionSource)>> {
    let mut found: BTreeMap<i32, (i64, PositionSource)> =
        group.at_fence.iter().map(|(&partition, &fence)| (partition, (fence + 1, PositionSource::Owner))).collect();
    let open: Vec<i32> = (0..group.partitions).filter(|partition| !found.contains_key(partition)).collect();
    if open.is_empty() {
        return Ok(found);
    }
    let consumer = client(group)?;
    let mut asked = TopicPartitionList::new();
    for &partition in &open {
        asked.add_partition(&group.topic, partition);
    }
    let committed = consumer.committed_offsets(asked, limit).context("committed offsets")?;
    for element in committed.elements() {
        let partition = element.partition();
        let position = match element.offset() {
            Offset::Offset(offset) => (offset, PositionSource::Committed),
            _ => {
                let (low, high) = consumer.fetch_watermarks(&group.topic, partition, limit).context("watermarks")?;
                (if resets_to_start(group.reset.as_deref()) { low } else { high }, PositionSource::Reset)
            }
        };
        found.insert(partition, position);
    }
    Ok(found)
}

/// Commits the beginning of each partition for a group that is new and would not begin there by itself: without a position
/// it would begin nowhere, or pass over what came before it had joined, as no group of long standing does.
///
/// # Errors
/// When the group's coordinator does not take it within `limit`.
pub fn begin(group: &Group, limit: Duration) -> Result<()> {
    if resets_to_start(group.reset.as_deref()) {
        return Ok(());
    }
    let mut beginning = TopicPartitionList::new();
    for partition in 0..group.partitions {
        beginning.add_partition_offset(&group.topic, partition, Offset::Offset(0))?;
    }
    let client = client(group)?;
    let until = Instant::now() + limit;
    // On a fresh cluster coordinators are found only after a while.
    loop {
        match client.commit(&beginning, CommitMode::Sync) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= until => return Err(error).context("the first position of a group"),
            Err(error) => {
                tracing::debug!("the first position of {}: {error}", group.group);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

/// librdkafka's names for it; its default is the end (`largest`).
fn resets_to_start(reset: Option<&str>) -> bool {
    matches!(reset, Some("earliest" | "smallest" | "beginning"))
}

#[cfg(test)]
mod tests {
    use super::resets_to_start;

    #[test]
    fn without_an_option_a_group_starts_at_the_end() {
        assert!(!resets_to_start(None));
        assert!(!resets_to_start(Some("latest")));
        assert!(resets_to_start(Some("earliest")));
    }
}
