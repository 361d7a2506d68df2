//! `delete_records`: the oldest records of a partition are deleted, as by `kafka-delete-records.sh` or a clean-up
//! job that is told a wrong offset. Consumers that have not come so far are sent elsewhere by `auto.offset.reset`.
//!
//! Before anything is deleted the tail reader has read it, so that its fate is known. Proof: the log of each replica
//! that answers begins at that offset, and began before it. Where there was nothing to delete, or the tail reader does
//! not come so far, nothing is proven.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::{NEWS_LIMIT, POLL_EVERY, name, partitions};
use crate::cluster::Cluster;
use crate::cluster::wire::{TopicPartition, Wire};
use crate::experiment::HARNESS_PORT;
use crate::fault::{Findings, World};

/// The leader waits for all living replicas.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How long the tail reader may take to come to what is to be deleted.
const READ_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn inject(world: World<'_>, topics: &[String], partition: i32, oldest_percent: u8) -> Result<Proof> {
    let cluster = world.cluster;
    let before = partitions(cluster, topics, partition).await?;
    let deletions = join_all(before.iter().map(|state| {
        let of = (state.topic.clone(), partition);
        async move {
            let outcome = delete(world, state.leader, &of, oldest_percent).await;
            (of, outcome)
        }
    }));
    let mut findings = Findings::default();
    for (of, outcome) in deletions.await {
        let name = name(&of.0, partition);
        let (holds, sentence, evidence) = match outcome {
            Ok(done) => {
                let Deleted { start_before, high_watermark, deleted_before } = done;
                let starts = log_starts(cluster, &of, deleted_before).await;
                let holds = !starts.is_empty() && starts.iter().all(|(_, start)| *start >= deleted_before);
                let brokers: Vec<String> = starts.iter().map(|(id, start)| format!("{start} on broker {id}")).collect();
                let sentence = format!(
                    "{} offsets from {start_before} deleted of {} up to the high watermark; the log begins at {}",
                    deleted_before - start_before,
                    high_watermark - start_before,
                    if brokers.is_empty() { "a place that no broker tells".to_owned() } else { brokers.join(", ") },
                );
                let evidence = json!({
                    "log_start_before": start_before, "high_watermark": high_watermark,
                    "deleted_before": deleted_before, "log_starts": starts,
                });
                (holds, sentence, evidence)
            }
            Err(why) => (false, why, json!({})),
        };
        findings.note(name.clone(), holds, format!("{name}: {sentence}"), evidence);
    }
    Ok(findings.proof())
}

struct Deleted {
    start_before: i64,
    high_watermark: i64,
    deleted_before: i64,
}

/// Deletes, or tells why not.
async fn delete(world: World<'_>, leader: i32, of: &TopicPartition, oldest_percent: u8) -> Result<Deleted, String> {
    let cluster = world.cluster;
    let words = |error: anyhow::Error| format!("broker {leader}, which leads it: {error:#}");
    let address = cluster.broker(leader).map_err(|_| "nobody leads it".to_owned())?.address(HARNESS_PORT);
    let mut wire = Wire::connect(&address, ANSWER_LIMIT).await.map_err(words)?;
    let asked = std::slice::from_ref(of);
    let start_before = only(wire.log_starts(asked).await.map_err(words)?)?;
    let high_watermark = only(wire.high_watermarks(asked).await.map_err(words)?)?;
    let deleted_before = mark(start_before, high_watermark, oldest_percent);
    if deleted_before <= start_before {
        return Err(format!("nothing to delete: the log begins at {start_before} and ends at {high_watermark}"));
    }
    if !world.followed.comes_to(&of.0, of.1, deleted_before, READ_LIMIT).await {
        return Err(format!(
            "nothing was deleted, as the tail reader did not come to {deleted_before} in {READ_LIMIT:?}"
        ));
    }
    let outcome = wire.delete_records(&[(of.0.clone(), of.1, deleted_before)]).await.map_err(words)?;
    match outcome.into_iter().next() {
        Some((_, Err(refusal))) => Err(format!("broker {leader} refuses: {refusal}")),
        // Where the log begins now is asked of each replica.
        _ => Ok(Deleted { start_before, high_watermark, deleted_before }),
    }
}

/// The offset below which the oldest so many per cent lie.
fn mark(start: i64, high_watermark: i64, oldest_percent: u8) -> i64 {
    start + (high_watermark - start) * i64::from(oldest_percent) / 100
}

fn only(offsets: Vec<(String, i32, i64)>) -> Result<i64, String> {
    let first = offsets.first().map(|(.., offset)| *offset);
    first.ok_or_else(|| "its leader does not tell its offsets".to_owned())
}

/// Where the log begins on each replica that answers, once all have come to the mark or the time is up.
async fn log_starts(cluster: &Cluster, of: &TopicPartition, mark: i64) -> Vec<(i32, i64)> {
    let deadline = Instant::now() + NEWS_LIMIT;
    loop {
        let asked = cluster.brokers.iter().map(async |broker| {
            let mut wire = Wire::connect(&broker.address(HARNESS_PORT), ANSWER_LIMIT).await.ok()?;
            let starts = wire.log_starts(std::slice::from_ref(of)).await.ok()?;
            Some((broker.id, starts.first()?.2))
        });
        let starts: Vec<(i32, i64)> = join_all(asked).await.into_iter().flatten().collect();
        if starts.iter().all(|(_, start)| *start >= mark) || Instant::now() >= deadline {
            return starts;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::mark;

    #[test]
    fn the_oldest_lie_below_the_mark() {
        assert_eq!(mark(0, 1000, 100), 1000);
        assert_eq!(mark(400, 1000, 50), 700);
        assert_eq!(mark(7, 8, 50), 7, "half a record is none");
        assert_eq!(mark(7, 7, 100), 7);
    }
}
