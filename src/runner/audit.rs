//! The audit: the whole log of a topic, from its start to the fence of each partition, into a journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use lossproof_ledger::payload::{self, Decoded, FENCE_HEADER};
use lossproof_ledger::record::{Content, Isolation, Record};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::workload::leader_epoch;

/// How long the reading of a log may take.
pub const LIMIT: Duration = Duration::from_secs(60);
/// How long the end of an open transaction is waited for.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The profile.
    pub profile: String,
    /// The log of its topic.
    pub log: Log,
    /// Folder of the journals.
    pub journals: PathBuf,
}

/// A log that is to be read from its start to the fences that were written to it.
#[derive(Debug, Clone)]
pub struct Log {
    /// HARNESS addresses.
    pub bootstrap: String,
    /// Number of the run, as its payloads carry it.
    pub run: u64,
    /// The topic.
    pub topic: String,
    /// By partition.
    pub fences: BTreeMap<i32, i64>,
    /// When to give up.
    pub deadline: Instant,
}

/// How the reading of one partition ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRead {
    /// First offset of the log.
    pub log_start: i64,
    /// Why it did not come to the fence; none if it did.
    pub failure: Option<String>,
    /// Under read_committed, where the log seems to end before the fence: an open transaction begins there.
    pub open_from: Option<i64>,
}

/// A reader with its journal; each pass reads some partitions from their start.
pub struct Auditor {
    plan: Plan,
    journal: JournalWriter,
}

impl Auditor {
    /// Opens the journal of the audit.
    ///
    /// # Errors
    /// When the journal can't be made.
    pub fn new(plan: Plan) -> Result<Self> {
        let header = Header { run: plan.log.run, profile: plan.profile.clone(), source: Source::Audit };
        let journal = JournalWriter::create(Path::new(&plan.journals), &header)?;
        Ok(Self { plan, journal })
    }

    /// Reads partitions from the log's start to their fences; `pass` tags what is journalled. Under
    /// read_committed, all passes of a partition under read_uncommitted come before.
    ///
    /// # Errors
    /// When the client can't be made, or the journal can't be written.
    pub fn read(
        &mut self,
        partitions: &[i32],
        pass: u16,
        isolation: Isolation,
    ) -> Result<BTreeMap<i32, PartitionRead>> {
        let log = self.plan.log.clone();
        log.read(partitions, isolation, |message, content| {
            let record = Record::Audited {
                partition: message.partition(),
                offset: message.offset(),
                audit: pass,
                isolation,
                leader_epoch: leader_epoch(message),
                content,
            };
            Ok(self.journal.append(&record)?)
        })
    }

    /// Closes the journal.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn seal(self) -> Result<()> {
        Ok(self.journal.seal()?)
    }
}

impl Log {
    /// As `read`, of all partitions. Gives why that was not all that the log holds, if it was not.
    ///
    /// # Errors
    /// As there.
    pub fn read_whole(
        &self,
        partitions: i32,
        isolation: Isolation,
        take: impl FnMut(&BorrowedMessage<'_>, Content) -> Result<()>,
    ) -> Result<Option<String>> {
        let fenced: Vec<i32> = self.fences.keys().copied().collect();
        let read = self.read(&fenced, isolation, take)?;
        let unfenced = (0..partitions).find(|partition| !self.fences.contains_key(partition));
        let unread = read.into_iter().find_map(|(partition, PartitionRead { failure, open_from, .. })| {
            let hidden = || Some(format!("hidden from offset {} on by a transaction that never ended", open_from?));
            Some(format!("partition {partition} was {}", failure.or_else(hidden)?))
        });
        Ok(unfenced.map(|partition| format!("no fence could be written to partition {partition}")).or(unread))
    }

    /// Reads partitions from the log's start to their fences, and hands over what it reads.
    ///
    /// # Errors
    /// When the client can't be made, or `take` fails.
    pub fn read(
        &self,
        partitions: &[i32],
        isolation: Isolation,
        mut take: impl FnMut(&BorrowedMessage<'_>, Content) -> Result<()>,
    ) -> Result<BTreeMap<i32, PartitionRead>> {
        let consumer = consumer(&self.bootstrap, isolation)?;
        let mut read = BTreeMap::new();
        let mut assignment = TopicPartitionList::new();
        for &partition in partitions {
            match watermarks(&consumer, self, partition) {
                Ok((log_start, _)) => {
                    assignment.add_partition_offset(&self.topic, partition, Offset::Offset(log_start))?;
                    read.insert(
                        partition,
                        PartitionRead { log_start, failure: Some("not read to the fence".to_owned()), open_from: None },
                    );
                }
                Err(error) => {
                    let failure = Some(format!("its start is not known: {error}"));
                    read.insert(partition, PartitionRead { log_start: 0, failure, open_from: None });
                }
            }
        }
        consumer.assign(&assignment)?;
        let mut open = assignment.count();
        let mut deadline = self.deadline;
        while open > 0 && Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    let (partition, content) = (message.partition(), content(&message, self.run));
                    take(&message, content)?;
                    let is_fence = content == Content::Fence && self.fences.get(&partition) == Some(&message.offset());
                    let Some(state) = read.get_mut(&partition) else { continue };
                    state.open_from = None;
                    if is_fence && state.failure.take().is_some() {
                        open -= 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if isolation == Isolation::ReadCommitted => {
                    // At the last stable offset, where librdkafka sees the end.
                    let stable = watermarks(&consumer, self, partition).ok().map(|(_, stable)| stable);
                    let fence = self.fences.get(&partition);
                    if let Some(state) = read.get_mut(&partition).filter(|state| state.failure.is_some()) {
                        state.open_from = stable.filter(|stable| fence.is_some_and(|fence| stable <= fence));
                        if state.open_from.is_some() {
                            // What the end of that transaction will show is waited for, but not for ever.
                            deadline = deadline.min(Instant::now() + OPEN_LIMIT);
                        }
                    }
                }
                Some(Err(error)) => {
                    if let Some(text) = lasting(&error) {
                        // librdkafka does not say which partition; the others go on to their fences.
                        for state in read.values_mut() {
                            if let Some(failure) = &mut state.failure {
                                *failure = format!("not read to the fence: {text}");
                            }
                        }
                    }
                }
                None => {}
            }
        }
        for (partition, state) in read.iter_mut().filter(|(_, state)| state.open_from.is_some()) {
            // All below was read, unless the last stable offset has moved since.
            let stable = watermarks(&consumer, self, *partition).ok().map(|(_, stable)| stable);
            if stable == state.open_from {
                state.failure = None;
            }
        }
        Ok(read)
    }
}

/// Options of a client that reads a log by itself, without a group, and never jumps.
pub(super) fn reader(bootstrap: &str, name: &str, isolation: Isolation) -> ClientConfig {
    let level = match isolation {
        Isolation::ReadUncommitted => "read_uncommitted",
        Isolation::ReadCommitted => "read_committed",
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", name)
        .set("group.id", name)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("isolation.level", level)
        .set("reconnect.backoff.max.ms", "1000");
    config
}

fn consumer(bootstrap: &str, isolation: Isolation) -> Result<BaseConsumer> {
    reader(bootstrap, "lossproof-audit", isolation)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .create()
        .context("the audit's consumer")
}

/// First offset of a partition, and its end: under read_committed the last stable offset. After restarts brokers answer ListOffsets with errors for a while.
fn watermarks(consumer: &BaseConsumer, log: &Log, partition: i32) -> Result<(i64, i64), KafkaError> {
    loop {
        match consumer.fetch_watermarks(&log.topic, partition, Duration::from_secs(5)) {
            Ok(bounds) => return Ok(bounds),
            Err(error) if Instant::now() >= log.deadline => return Err(error),
            Err(error) => {
                tracing::debug!("watermarks of {} {partition}: {error}", log.topic);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// What a record is.
pub fn content(message: &BorrowedMessage<'_>, run: u64) -> Content {
    let fence = message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == FENCE_HEADER));
    if fence {
        return Content::Fence;
    }
    match payload::decode(message.payload().unwrap_or_default(), run) {
        Decoded::Ours(identity) => Content::Message(identity),
        Decoded::OtherRun | Decoded::Corrupt | Decoded::Foreign => Content::Corrupt,
    }
}

/// An error that says something of the log; none for what passes by itself.
fn lasting(error: &KafkaError) -> Option<String> {
    match error {
        KafkaError::PartitionEOF(_) => None,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable,
        ) => None,
        other => Some(other.to_string()),
    }
}
