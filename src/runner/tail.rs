//! The tail reader: follows the log of a topic from the run's start, where records may leave it before
//! the audit reads them, so that what retention or compaction took is known, and is not taken for lost.
//!
//! It reads under read_uncommitted and without a group, and never jumps: a partition whose log has gone on
//! without it, or was cut off behind it, is read no further, and told as reset.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use lossproof_ledger::record::{Content, Isolation, Record};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::audit;
use crate::experiment::{ClusterSpec, Election, Experiment, FaultKind, KafkaFault, Profile};
use crate::fault::Followed;

/// How long the thread waits when no partition has anything.
const IDLE: Duration = Duration::from_millis(10);
/// Records taken from one partition before the others have their turn.
const TURN: usize = 1000;
/// What a run may take beside its `max`: clocks that differ, and the brokers' checks.
const MARGIN: Duration = Duration::from_secs(300);

/// Whether records of the profile's topic may leave the log within the run: by retention or compaction, by the election
/// of a leader that lacks them, or by hand.
#[must_use]
pub fn is_needed(profile: &Profile, experiment: &Experiment) -> bool {
    let Experiment { cluster, workload, .. } = experiment;
    options_let_records_go(profile, cluster, workload.max)
        || experiment.faults.iter().any(|fault| match &fault.kind {
            FaultKind::Kafka(KafkaFault::DeleteRecords { .. }) => true,
            FaultKind::Kafka(KafkaFault::ElectLeader { election, .. }) => *election == Election::Unclean,
            FaultKind::Kafka(KafkaFault::TopicConfig { config, .. }) => {
                let mut changed = profile.clone();
                changed.topic.config.extend(config.iter().cloned());
                options_let_records_go(&changed, cluster, workload.max)
            }
            FaultKind::Kafka(KafkaFault::BrokerConfig { config, .. }) => {
                let mut changed = cluster.clone();
                changed.broker_config.extend(config.iter().cloned());
                options_let_records_go(profile, &changed, workload.max)
            }
            _ => false,
        })
}

fn options_let_records_go(profile: &Profile, cluster: &ClusterSpec, max: Duration) -> bool {
    let value = |topic: &str, broker: &str| {
        let own = profile.topic.config.iter().rfind(|(name, _)| name == topic);
        let all = cluster.broker_config.iter().rfind(|(name, _)| name == broker);
        own.or(all).map(|(_, value)| value.trim().to_lowercase())
    };
    // The finest of the brokers' options holds; -1, in any of them, is without limit.
    let kept_ms = [("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]
        .into_iter()
        .find_map(|(broker, unit_ms)| {
            let (own, all) = (value("retention.ms", ""), value("", broker));
            own.map(|own| (own, 1)).or(all.map(|all| (all, unit_ms)))
        })
        .and_then(|(text, unit_ms)| text.parse::<u64>().ok()?.checked_mul(unit_ms));
    profile.is_compacted(cluster)
        || kept_ms.is_some_and(|kept_ms| u128::from(kept_ms) < (max + MARGIN).as_millis())
        || value("retention.bytes", "log.retention.bytes").is_some_and(|bytes| bytes.parse::<u64>().is_ok())
        || value("unclean.leader.election.enable", "unclean.leader.election.enable").is_some_and(|v| v == "true")
}

/// What is to be followed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// HARNESS addresses.
    pub bootstrap: String,
    /// Number of the run, as its payloads carry it.
    pub run: u64,
    /// The profile.
    pub profile: String,
    /// Its topic, which holds nothing yet.
    pub topic: String,
    /// Number of its partitions.
    pub partitions: i32,
    /// Folder of the journals.
    pub journals: PathBuf,
    /// Where it tells how far it is.
    pub followed: Followed,
}

/// How far one partition was read, from offset 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTail {
    /// The offset after the last record that was read.
    pub position: i64,
    /// Why it was read no further; none if it followed to the end.
    pub reset: Option<String>,
}

/// A tail reader at work on a thread of its own. Dropped, it stops, and leaves its journal unsealed.
pub struct TailReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<BTreeMap<i32, PartitionTail>>>>,
}

#[derive(Default)]
struct Shared {
    abandoned: AtomicBool,
    /// Once the run is over: how far to read, and by when.
    target: Mutex<Option<(BTreeMap<i32, i64>, Instant)>>,
}

impl TailReader {
    /// Begins to follow the topic.
    ///
    /// # Errors
    /// When the journal, the client or the thread can't be made.
    pub fn start(plan: Plan) -> Result<Self> {
        let header = Header { run: plan.run, profile: plan.profile.clone(), source: Source::Tail };
        let journal = JournalWriter::create(&plan.journals, &header)?;
        let consumer: BaseConsumer = audit::reader(&plan.bootstrap, "lossproof-tail", Isolation::ReadUncommitted)
            .set("fetch.wait.max.ms", "100")
            .create()
            .context("the tail reader's consumer")?;
        let shared = Arc::new(Shared::default());
        let follower = Follower {
            run: plan.run,
            topic: plan.topic.clone(),
            followed: plan.followed.clone(),
            journal,
            partitions: BTreeMap::new(),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("tail-reader".into())
            .spawn(move || follower.follow(&Arc::new(consumer), &plan))
            .context("the tail reader's thread")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Lets it come to the fences, within `limit`, and ends it. Gives how far it came.
    ///
    /// # Errors
    /// When it could not be written down what it read.
    pub fn finish(mut self, fences: &BTreeMap<i32, i64>, limit: Duration) -> Result<BTreeMap<i32, PartitionTail>> {
        let target = (fences.clone(), Instant::now() + limit);
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
        let thread = self.thread.take().context("the tail reader ended twice")?;
        thread.join().map_err(|_| anyhow!("the tail reader panicked"))?
    }
}

impl Drop for TailReader {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

type Queue = PartitionQueue<DefaultConsumerContext>;

struct Follower {
    run: u64,
    topic: String,
    followed: Followed,
    journal: JournalWriter,
    partitions: BTreeMap<i32, PartitionTail>,
    shared: Arc<Shared>,
}

impl Follower {
    fn follow(mut self, consumer: &Arc<BaseConsumer>, plan: &Plan) -> Result<BTreeMap<i32, PartitionTail>> {
        let mut assignment = TopicPartitionList::new();
        for partition in 0..plan.partitions {
            assignment.add_partition_offset(&plan.topic, partition, Offset::Offset(0))?;
            self.partitions.insert(partition, PartitionTail { position: 0, reset: None });
        }
        consumer.assign(&assignment)?;
        // Queues of their own, so that an error has a partition.
        let queues: Vec<(i32, Queue)> = (0..plan.partitions)
            .filter_map(|partition| Some((partition, consumer.split_partition_queue(&plan.topic, partition)?)))
            .collect();
        while !self.is_done() {
            let mut idle = true;
            for (partition, queue) in &queues {
                if self.take_turn(*partition, queue)? {
                    idle = false;
                    if let Some(tail) = self.partitions.get(partition) {
                        self.followed.advance(&self.topic, *partition, tail.position);
                    }
                }
            }
            // What concerns no partition, such as a broker that is away, passes by itself.
            if let Some(Err(error)) = consumer.poll(if idle { IDLE } else { Duration::ZERO }) {
                tracing::debug!("tail reader: {error}");
            }
        }
        self.journal.seal()?;
        Ok(self.partitions)
    }

    /// Whether all that can be followed to the fences was.
    fn is_done(&self) -> bool {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return true;
        }
        let target = self.shared.target.lock().unwrap_or_else(PoisonError::into_inner);
        target.as_ref().is_some_and(|(fences, deadline)| {
            let reached = fences.iter().all(|(partition, fence)| {
                self.partitions.get(partition).is_none_or(|tail| tail.reset.is_some() || tail.position > *fence)
            });
            reached || Instant::now() >= *deadline
        })
    }

    /// Takes what a partition has; true if that was anything.
    fn take_turn(&mut self, partition: i32, queue: &Queue) -> Result<bool> {
        let Some(tail) = self.partitions.get_mut(&partition) else { return Ok(false) };
        for taken in 0..TURN {
            match queue.poll(Duration::ZERO) {
                None => return Ok(taken > 0),
                // After a gap nothing is read of it: what lies between is not known.
                Some(_) if tail.reset.is_some() => {}
                Some(Ok(message)) => {
                    tail.position = message.offset() + 1;
                    let identity = match audit::content(&message, self.run) {
                        Content::Fence => continue,
                        Content::Corrupt => None,
                        Content::Message(identity) => Some(identity),
                    };
                    let (offset, at_ns) = (message.offset(), boottime_ns());
                    self.journal.append(&Record::Tailed { partition, offset, identity, at_ns })?;
                }
                Some(Err(error)) if is_reset(&error) => tail.reset = Some(error.to_string()),
                Some(Err(error)) => tracing::debug!("tail reader, partition {partition}: {error}"),
            }
        }
        Ok(true)
    }
}

/// Whether the log no longer holds what would be next.
fn is_reset(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::LogTruncation)
    )
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::is_needed;
    use crate::experiment::Experiment;

    fn experiment(topic: &str, brokers: &str, faults: &str) -> Experiment {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let text = format!(
            "name: a\nworkload: {{ rate: 1/s, payload: 1KiB }}\ncluster: {{ broker_config: {{ {brokers} }} }}\n\
             profiles: {{ own: {{ topic: {{ config: {{ {topic} }} }}, producer: {{ keys: 3 }} }} }}\nfaults: [{faults}]\n"
        );
        std::fs::write(&file, text).unwrap();
        match crate::experiment::load(&[file]) {
            Ok(mut all) => all.remove(0),
            Err(problems) => panic!("{problems}"),
        }
    }

    #[test_case("", "", false; "defaults: a week")]
    #[test_case("retention.ms: 5000", "", true)]
    #[test_case("retention.ms: -1", "", false; "for ever")]
    #[test_case("retention.ms: 3600000", "", false; "longer than the run")]
    #[test_case("", "log.retention.ms: 5000", true; "by the brokers")]
    #[test_case("retention.ms: -1", "log.retention.minutes: 5", false; "the topic's own time holds")]
    #[test_case("", "log.retention.minutes: 5", true; "minutes")]
    #[test_case("", "log.retention.hours: 168", false; "hours")]
    #[test_case("retention.bytes: 1048576", "", true; "bytes")]
    #[test_case("retention.bytes: -1", "", false; "any number of bytes")]
    #[test_case("cleanup.policy: compact", "", true)]
    #[test_case("cleanup.policy: \"compact,delete\"", "", true; "both policies")]
    #[test_case("cleanup.policy: delete", "", false; "deletion after a week")]
    #[test_case("unclean.leader.election.enable: true", "", true)]
    #[test_case("unclean.leader.election.enable: false", "unclean.leader.election.enable: true", false; "the topic's own holds")]
    fn needed(topic: &str, brokers: &str, expected: bool) {
        let experiment = experiment(topic, brokers, "");
        assert_eq!(is_needed(&experiment.profiles[0], &experiment), expected);
    }

    #[test_case("delete_records: { partition: 0 }", true)]
    #[test_case("elect_leader: { partition: 0, election: unclean }", true)]
    #[test_case("elect_leader: { partition: 0, election: preferred }", false)]
    #[test_case("for: 1s, topic_config: { config: { retention.ms: 1000 } }", true; "retention for a time")]
    #[test_case("for: 1s, topic_config: { config: { min.insync.replicas: 3 } }", false; "an option that takes nothing")]
    #[test_case("for: 1s, broker_config: { target: all, config: { log.retention.bytes: 1 } }", true; "by a broker")]
    #[test_case("for: 1s, kill: { target: all }", false; "kill")]
    fn needed_for(fault: &str, expected: bool) {
        let experiment = experiment("", "", &format!("{{ at: 1s, {fault} }}"));
        assert_eq!(is_needed(&experiment.profiles[0], &experiment), expected);
    }
}
