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

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// HARNESS addresses.
    pub bootstrap: String,
    /// Number of the run, as its payloads carry it.
    pub run: u64,
    /// The profile.
    pub profile: String,
    /// Its topic.
    pub topic: String,
    /// The fences that were written.
    pub fences: BTreeMap<i32, i64>,
    /// Folder of the journals.
    pub journals: PathBuf,
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
        let header = Header { run: plan.run, profile: plan.profile.clone(), source: Source::Audit };
        let journal = JournalWriter::create(Path::new(&plan.journals), &header)?;
        Ok(Self { plan, journal })
    }

    /// Reads partitions from the log's start to their fences; `pass` tags what is journalled.
    ///
    /// # Errors
    /// When the client can't be made, or the journal can't be written.
    pub fn read(&mut self, partitions: &[i32], pass: u16) -> Result<BTreeMap<i32, PartitionRead>> {
        let consumer = consumer(&self.plan.bootstrap)?;
        let mut read = BTreeMap::new();
        let mut assignment = TopicPartitionList::new();
        for &partition in partitions {
            match watermarks(&consumer, &self.plan, partition) {
                Ok(log_start) => {
                    assignment.add_partition_offset(&self.plan.topic, partition, Offset::Offset(log_start))?;
                    read.insert(
                        partition,
                        PartitionRead { log_start, failure: Some("not read to the fence".to_owned()) },
                    );
                }
                Err(error) => {
                    let failure = Some(format!("its start is not known: {error}"));
                    read.insert(partition, PartitionRead { log_start: 0, failure });
                }
            }
        }
        consumer.assign(&assignment)?;
        let mut open = assignment.count();
        while open > 0 && Instant::now() < self.plan.deadline {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    if self.take(&message, pass)?
                        && let Some(state) = read.get_mut(&message.partition())
                        && state.failure.take().is_some()
                    {
                        open -= 1;
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
        Ok(read)
    }

    /// Journals a record; true if it is the fence of its partition.
    fn take(&mut self, message: &BorrowedMessage<'_>, pass: u16) -> Result<bool> {
        let (partition, offset) = (message.partition(), message.offset());
        let content = content(message, self.plan.run);
        self.journal.append(&Record::Audited {
            partition,
            offset,
            audit: pass,
            isolation: Isolation::ReadUncommitted,
            leader_epoch: leader_epoch(message),
            content,
        })?;
        Ok(content == Content::Fence && self.plan.fences.get(&partition) == Some(&offset))
    }

    /// Closes the journal.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn seal(self) -> Result<()> {
        Ok(self.journal.seal()?)
    }
}

fn consumer(bootstrap: &str) -> Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "lossproof-audit")
        .set("group.id", "lossproof-audit")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_uncommitted")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .create()
        .context("the audit's consumer")
}

/// First offset of a partition. After restarts brokers answer ListOffsets with errors for a while.
fn watermarks(consumer: &BaseConsumer, plan: &Plan, partition: i32) -> Result<i64, KafkaError> {
    loop {
        match consumer.fetch_watermarks(&plan.topic, partition, Duration::from_secs(5)) {
            Ok((low, _)) => return Ok(low),
            Err(error) if Instant::now() >= plan.deadline => return Err(error),
            Err(error) => {
                tracing::debug!("watermarks of {} {partition}: {error}", plan.topic);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn content(message: &BorrowedMessage<'_>, run: u64) -> Content {
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
