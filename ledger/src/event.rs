//! What happens in a run, as one stream: the runner emits it, reporters show it, the run directory
//! keeps it in `events.ndjson`, and the verdict is computed from what was kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Stamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event of this moment.
    #[must_use]
    pub fn now(kind: EventKind) -> Self {
        Self { at: Stamp::now(), kind }
    }
}

/// The stages of an experiment, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The cluster starts, or an existing one is found sound; topics and clients are made.
    Provision,
    /// Clients run undisturbed, and acks and processing are seen.
    WarmUp,
    /// Faults are injected, held and healed by schedule.
    Faults,
    /// The cluster's recovery is awaited by state.
    Recover,
    /// Clients run on after recovery.
    AfterRecovery,
    /// Producers finish what they hold; consumers come to the fence.
    Drain,
    /// The whole log is read.
    Audit,
    /// The verdict is computed.
    Judge,
    /// Everything of the run is removed.
    TearDown,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provision => "provision",
            Self::WarmUp => "warm-up",
            Self::Faults => "faults",
            Self::Recover => "recover",
            Self::AfterRecovery => "after recovery",
            Self::Drain => "drain",
            Self::Audit => "audit",
            Self::Judge => "judge",
            Self::TearDown => "tear-down",
        })
    }
}

/// A client's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Offers messages.
    Producer,
    /// Polls and processes them.
    Consumer,
}

/// Which client process: profile, role, member of its group, and how often it was started before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientId {
    /// The profile's name.
    pub profile: String,
    /// Producer or consumer.
    pub role: Role,
    /// Counts the processes of one role in a profile, from 0.
    pub member: u16,
    /// Restarts of this process, from 0.
    pub incarnation: u16,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        };
        write!(f, "{} {role} {}", self.profile, self.member)?;
        match self.incarnation {
            0 => Ok(()),
            n => write!(f, " (restart {n})"),
        }
    }
}

/// What the world showed when a fault was injected or healed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Whether the evidence shows what it should: the fault bites, or is gone.
    pub holds: bool,
    /// One sentence for people.
    pub summary: String,
    /// What was read back, by name.
    pub evidence: serde_json::Map<String, serde_json::Value>,
}

/// Where a consumer group stands in a partition, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionSource {
    /// A live member that owns the partition and has nothing in hand: polled + 1.
    Owner,
    /// The committed offset.
    Committed,
    /// No commit: where `auto.offset.reset` leads.
    Reset,
}

/// How an audit's pass under read_committed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedRead {
    /// It came to the fence, or read all below `open_from`.
    pub complete: bool,
    /// The last stable offset, if an open transaction hides what lies beyond.
    pub open_from: Option<i64>,
}

/// At which point of a run the replicas' logs were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Right before a fault is healed: what is cut off then is truncated soon after.
    BeforeHealing,
    /// When recovery from a fault was reached or given up.
    Recovered,
    /// Right before the audit.
    Audit,
}

/// One replica of a partition, as its own broker holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaLog {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset after the last record; none if the broker did not tell.
    pub log_end: Option<i64>,
    /// Each leader epoch with the first offset written under it, oldest first; empty if that could not be read.
    pub epochs: Vec<(i32, i64)>,
}

/// A group's place in a partition, and the end of the log there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Partition.
    pub partition: i32,
    /// The high watermark, as the leader tells it.
    pub log_end: i64,
    /// The committed offset, as the group's coordinator tells it; none without a commit.
    pub committed: Option<i64>,
}

impl Behind {
    /// Offsets from the commit to the end of the log, as Kafka's tools call it the lag. Control records have offsets
    /// too. Without a commit everything counts.
    #[must_use]
    pub fn lag(&self) -> u64 {
        u64::try_from(self.log_end - self.committed.unwrap_or(0)).unwrap_or(0)
    }
}

/// A live count of one client process. Shown, not stored: the journals are the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Progress {
    /// Of a producer.
    Producer {
        /// Sequences offered so far.
        offered: u64,
        /// Delivery reports without an error.
        acked: u64,
        /// Delivery reports with an error, and refusals.
        errors: u64,
        /// Taken by the client and not reported yet.
        in_flight: u64,
    },
    /// Of a consumer.
    Consumer {
        /// Records handed out by the client.
        polled: u64,
        /// Records whose processing was journalled.
        processed: u64,
    },
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The first event of a run.
    RunStarted {
        /// Run id, as in every label.
        run: String,
        /// The experiment's name.
        experiment: String,
        /// lossproof's version.
        version: String,
    },
    /// A profile that runs apart from the others begins: what follows, up to the next such event, happened on a cluster of
    /// its own. In runs whose profiles share a cluster there is none.
    PartStarted {
        /// The profile.
        profile: String,
        /// Which part of the run it is, from 1.
        part: usize,
        /// Number of parts.
        parts: usize,
    },
    /// The brokers are up, answering and in sync.
    ClusterReady {
        /// Image that the brokers run.
        image: String,
        /// From `up` to ready, in milliseconds; none when an earlier experiment's cluster serves again.
        boot_ms: Option<u64>,
        /// HARNESS addresses, by broker id order.
        brokers: Vec<String>,
    },
    /// A stage began.
    PhaseStarted {
        /// Which.
        phase: Phase,
        /// How long it is planned to take; none when it ends by state.
        expected_ms: Option<u64>,
    },
    /// A profile's topic was made.
    TopicCreated {
        /// The profile.
        profile: String,
        /// The topic's name.
        topic: String,
        /// Number of partitions.
        partitions: i32,
    },
    /// A client process started.
    ClientStarted {
        /// Which.
        client: ClientId,
        /// Its process id.
        pid: u32,
        /// Its journal, relative to the run directory.
        journal: String,
    },
    /// A live count. Not stored.
    ClientProgress {
        /// Which.
        client: ClientId,
        /// Its counts.
        progress: Progress,
    },
    /// A client process said something a person should read (a fatal error, a rebalance).
    ClientNotice {
        /// Which.
        client: ClientId,
        /// One sentence.
        text: String,
    },
    /// A client process ended.
    ClientEnded {
        /// Which.
        client: ClientId,
        /// Whether it was asked to end, or killed, and ended so.
        expected: bool,
        /// How it ended, such as `exit 0`.
        how: String,
    },
    /// A fault's selector was resolved.
    FaultResolved {
        /// Index in the experiment's list of faults.
        fault: usize,
        /// Kind, such as `partition`.
        kind: String,
        /// The broker ids hit.
        brokers: Vec<i32>,
        /// The clients hit, such as `resilient consumer 0`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clients: Vec<String>,
        /// What the choice was based on, one sentence.
        basis: String,
        /// Whether the selector chose the same for each profile's topic.
        same_for_all: bool,
    },
    /// The way to undo a fault, on disk before the fault is applied.
    UndoRecorded {
        /// Index of the fault.
        fault: usize,
        /// What heals it, one sentence.
        undo: String,
        /// The same for machines, as the fault's own code reads it.
        #[serde(default)]
        data: serde_json::Value,
    },
    /// A fault that takes several steps has done one.
    FaultStep {
        /// Index of the fault.
        fault: usize,
        /// One sentence.
        text: String,
    },
    /// A fault was not so much as tried.
    FaultPassedOver {
        /// Index of the fault.
        fault: usize,
        /// What stood in its way, one sentence without its full stop.
        why: String,
    },
    /// A fault was applied. Its time is the interval from `called_at` to the event's own time, the proof.
    FaultInjected {
        /// Index of the fault.
        fault: usize,
        /// When the call was made.
        called_at: Stamp,
        /// What the world showed.
        proof: Proof,
        /// How long it will be held, in milliseconds; none when it ends by itself.
        held_ms: Option<u64>,
    },
    /// A fault was removed.
    FaultHealed {
        /// Index of the fault.
        fault: usize,
        /// When the call was made.
        called_at: Stamp,
        /// What the world showed.
        proof: Proof,
    },
    /// The cluster is as before the fault: all replicas in sync, leaders alive. Or the wait ended without that.
    FaultRecovered {
        /// Index of the fault.
        fault: usize,
        /// Whether that state was reached before the deadline.
        reached: bool,
        /// What was seen last, one sentence.
        state: String,
    },
    /// Leadership or in-sync replicas of a partition changed, as some broker's metadata tells.
    PartitionState {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Leader's broker id, -1 for none.
        leader: i32,
        /// Leader epoch.
        leader_epoch: i32,
        /// In-sync replicas.
        isr: Vec<i32>,
    },
    /// A broker's own view of a partition is behind the newest one in leader epoch. Recorded when that is first
    /// seen, and again when it has ended.
    BrokerView {
        /// Whose view.
        broker: i32,
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Who leads, as it believes.
        leader: i32,
        /// In which leader epoch, as it believes.
        leader_epoch: i32,
        /// The newest leader epoch that another broker told at that moment.
        newest_epoch: i32,
        /// None while it lasts; once it has ended, the last moment at which the broker was heard to say so.
        last_held: Option<Stamp>,
    },
    /// A broker stopped answering the harness, or answers again.
    BrokerAnswers {
        /// Which.
        broker: i32,
        /// Whether it does now.
        answers: bool,
    },
    /// What one broker's own disk holds of the experiment's topics.
    ReplicaLogs {
        /// At which point of the run.
        look: Look,
        /// Index of the fault that this look belongs to.
        fault: Option<usize>,
        /// The broker.
        broker: i32,
        /// Its replicas; empty if it could not be asked.
        replicas: Vec<ReplicaLog>,
        /// Why it could not be asked, or not about everything.
        trouble: Option<String>,
    },
    /// Retention was switched off so that nothing leaves the log during the audit.
    TopicFrozen {
        /// Topic.
        topic: String,
    },
    /// The record that ends the audit of a partition was acknowledged by all in-sync replicas.
    FenceWritten {
        /// The profile.
        profile: String,
        /// Partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// Where a profile's group stands when the drain ends.
    GroupPosition {
        /// The profile.
        profile: String,
        /// Partition.
        partition: i32,
        /// The next offset the group would read.
        position: i64,
        /// How that is known.
        source: PositionSource,
    },
    /// How far a profile's group is behind the ends of its logs, all asked at about the same moment.
    GroupLag {
        /// The profile.
        profile: String,
        /// Its partitions; those are left out whose leader, or whose group's coordinator, did not tell.
        partitions: Vec<Behind>,
    },
    /// One of Kafka's own tools was asked, while nothing moved, for what lossproof had asked the brokers.
    ToolCompared {
        /// The profile.
        profile: String,
        /// The tool, such as `kafka-get-offsets.sh`.
        tool: String,
        /// Figures that both told alike.
        equal: usize,
        /// Figures that differ, or that only one told: a sentence each, without its full stop.
        differences: Vec<String>,
    },
    /// The audit of a partition ended.
    PartitionAudited {
        /// The profile.
        profile: String,
        /// Partition.
        partition: i32,
        /// The fence was read under the leader epoch of the start, from the log's start.
        complete: bool,
        /// First offset of the log.
        log_start: i64,
        /// Which attempt of this partition's audit counts, as tagged in the audit journal.
        attempt: u16,
        /// Why it is not complete.
        why: Option<String>,
        /// How the second pass, under read_committed, ended; none for a topic without transactions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        committed: Option<CommittedRead>,
    },
    /// The tail reader of a partition ended: it read every offset from `from` up to `position`.
    PartitionTailed {
        /// The profile.
        profile: String,
        /// Partition.
        partition: i32,
        /// The first offset.
        from: i64,
        /// The offset after the last.
        position: i64,
        /// Why it was read no further: the log had gone on without the reader, or was cut off behind it.
        reset: Option<String>,
        /// With `cleanup.policy=compact`: the number of keys; the key of a sequence is `sequence % keys`.
        keys: Option<u64>,
    },
    /// Share of the processors' time that this host was busy, since the last such event.
    HostLoad {
        /// From 0 to 1.
        busy: f64,
    },
    /// Something a person should know that changes no count.
    Warning {
        /// One sentence.
        text: String,
    },
    /// The run was stopped before its end.
    Interrupted {
        /// By what, such as `SIGINT`.
        by: String,
    },
    /// The run directory holds all that will be judged.
    RunEnded,
}
