//! What the events of a run tell of its cluster and clients, kept for attribution.

use std::collections::BTreeMap;

use crate::event::{ClientId, Event, EventKind, Look, PositionSource, Proof, ReplicaLog};

/// A run's history, as far as causes need it. Times are nanoseconds since the run's start.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// CLOCK_BOOTTIME of the first event.
    started_ns: Option<u64>,
    topics: BTreeMap<String, String>,
    /// Changes of leader, epoch and ISR, in order.
    pub leaders: Vec<LeaderSeen>,
    /// Brokers whose view was behind, in order.
    pub claims: Vec<Claim>,
    /// When brokers did not answer, in order.
    pub silences: Vec<Silence>,
    /// By index in the experiment.
    pub faults: BTreeMap<usize, FaultSeen>,
    /// What brokers wrote of truncating their logs. Not from the events: see [`History::truncated`].
    pub truncations: Vec<Truncated>,
    pub(super) looks: Vec<LookSeen>,
    pub(super) audits: BTreeMap<(String, i32), AuditSeen>,
    pub(super) positions: BTreeMap<(String, i32), (i64, PositionSource)>,
    pub(super) ended: Vec<ClientEnd>,
}

/// Who leads a partition from a moment on, as the newest view of any broker tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderSeen {
    /// When it was seen first.
    pub at_ns: u64,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Leader, -1 for none.
    pub leader: i32,
    /// Leader epoch.
    pub epoch: i32,
    /// In-sync replicas.
    pub isr: Vec<i32>,
}

/// A broker whose own view of a partition was behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The broker.
    pub broker: i32,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Who led, as it believed.
    pub leader: i32,
    /// Under which epoch, as it believed.
    pub epoch: i32,
    /// The newest epoch then.
    pub newest_epoch: i32,
    /// When it was heard first to be behind.
    pub first_ns: u64,
    /// When it was heard last to be so; the first time, if its end was not recorded.
    pub last_ns: u64,
}

/// When a broker did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The broker.
    pub broker: i32,
    /// Since when.
    pub from_ns: u64,
    /// Until when; none if it never answered again.
    pub until_ns: Option<u64>,
}

/// The end of a client process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientEnd {
    pub(super) at_ns: u64,
    pub(super) client: ClientId,
    pub(super) how: String,
}

/// A fault and its window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultSeen {
    /// Its kind, in the experiment's words.
    pub kind: Option<String>,
    /// Whom it hit.
    pub brokers: Vec<i32>,
    /// The clients that it hit.
    pub clients: Vec<String>,
    /// When its injection was called for, and when it was proven.
    pub injected: Option<(u64, u64)>,
    /// Whether the proof of its injection holds.
    pub proven: bool,
    /// Whether it was held after its proof, until it was healed; otherwise it had ended by then.
    pub lasting: bool,
    /// When its healing was called for, and when that was proven.
    pub healed: Option<(u64, u64)>,
    /// When the cluster was as before.
    pub recovered_ns: Option<u64>,
    /// Topics and partitions with the offset before which it deleted all records.
    pub deleted: Vec<(String, i32, i64)>,
}

/// What a fault of the kind `delete_records` says that it deleted: in its evidence, by `TOPIC/PARTITION`.
fn deleted(proof: &Proof) -> Vec<(String, i32, i64)> {
    let of = |(name, found): (&String, &serde_json::Value)| {
        let (topic, partition) = name.rsplit_once('/')?;
        Some((topic.to_owned(), partition.parse().ok()?, found.get("deleted_before")?.as_i64()?))
    };
    proof.evidence.iter().filter_map(of).collect()
}

impl FaultSeen {
    /// Whether it is proven to have hit a broker.
    #[must_use]
    pub fn hit(&self, broker: i32) -> bool {
        self.proven && self.brokers.contains(&broker)
    }

    /// Whether it certainly held all of the time from `from_ns` to `to_ns`: after the proof that it bit, and before
    /// it was known to be gone.
    #[must_use]
    pub fn held(&self, from_ns: u64, to_ns: u64) -> bool {
        self.injected.is_some_and(|(_, proven)| proven <= from_ns) && self.healed.is_none_or(|(_, gone)| to_ns <= gone)
    }

    /// Whether a moment lies between its call and the cluster's recovery.
    #[must_use]
    pub fn covers(&self, at_ns: u64) -> bool {
        self.overlaps(at_ns, at_ns)
    }

    /// Whether some of an interval lies between its call and the cluster's recovery.
    #[must_use]
    pub fn overlaps(&self, from_ns: u64, to_ns: u64) -> bool {
        let end = self.recovered_ns.or(self.healed.map(|(_, gone)| gone));
        self.injected.is_some_and(|(called, _)| called <= to_ns) && end.is_none_or(|end| from_ns <= end)
    }

    /// Whether a moment lies between the call that injected it and the proof, so that it can't be said whether it
    /// held then.
    #[must_use]
    pub fn edge(&self, at_ns: u64) -> bool {
        self.lasting && self.injected.is_some_and(|(called, proven)| called <= at_ns && at_ns < proven)
    }
}

/// A broker cut its log of a partition short, as its own log file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// When.
    pub at_ns: u64,
    /// The broker.
    pub broker: i32,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The new end of the log.
    pub to: i64,
}

/// What the replicas of a partition held at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicasSeen {
    /// When.
    pub at_ns: u64,
    /// At which point of the run.
    pub look: Look,
    /// The fault that it belongs to.
    pub fault: Option<usize>,
    /// Broker, end of its log, and the last leader epoch in it, if that could be read. Brokers that could not be asked
    /// are left out.
    pub held: Vec<(i32, i64, Option<i32>)>,
}

#[derive(Debug, Clone)]
pub(super) struct LookSeen {
    pub at_ns: u64,
    pub look: Look,
    pub fault: Option<usize>,
    pub broker: i32,
    pub replicas: Vec<ReplicaLog>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AuditSeen {
    pub at_ns: u64,
    pub attempt: u16,
    pub log_start: i64,
}

impl History {
    /// Takes note of an event; in their order.
    pub fn add(&mut self, event: &Event) {
        self.started_ns.get_or_insert(event.at.boottime_ns);
        let at_ns = self.since_start(event.at.boottime_ns);
        match &event.kind {
            EventKind::TopicCreated { profile, topic, .. } => {
                self.topics.insert(profile.clone(), topic.clone());
            }
            EventKind::PartitionState { topic, partition, leader, leader_epoch, isr } => {
                self.leaders.push(LeaderSeen {
                    at_ns,
                    topic: topic.clone(),
                    partition: *partition,
                    leader: *leader,
                    epoch: *leader_epoch,
                    isr: isr.clone(),
                });
            }
            EventKind::BrokerView { broker, topic, partition, leader, leader_epoch, newest_epoch, last_held } => {
                let held_ns = last_held.map(|held| self.since_start(held.boottime_ns));
                let known = self.claims.iter_mut().rev().find(|claim| {
                    (claim.broker, &claim.topic, claim.partition, claim.epoch)
                        == (*broker, topic, *partition, *leader_epoch)
                });
                match (known, held_ns) {
                    (Some(claim), Some(held_ns)) => claim.last_ns = held_ns.max(claim.first_ns),
                    _ => self.claims.push(Claim {
                        broker: *broker,
                        topic: topic.clone(),
                        partition: *partition,
                        leader: *leader,
                        epoch: *leader_epoch,
                        newest_epoch: *newest_epoch,
                        first_ns: at_ns,
                        last_ns: at_ns,
                    }),
                }
            }
            EventKind::BrokerAnswers { broker, answers: false } => {
                self.silences.push(Silence { broker: *broker, from_ns: at_ns, until_ns: None });
            }
            EventKind::BrokerAnswers { broker, answers: true } => {
                let open = self.silences.iter_mut().rev().find(|s| s.broker == *broker && s.until_ns.is_none());
                if let Some(silence) = open {
                    silence.until_ns = Some(at_ns);
                }
            }
            EventKind::ReplicaLogs { look, fault, broker, replicas, .. } => {
                let replicas = replicas.clone();
                self.looks.push(LookSeen { at_ns, look: *look, fault: *fault, broker: *broker, replicas });
            }
            EventKind::FaultResolved { fault, kind, brokers, clients, .. } => {
                let seen = self.faults.entry(*fault).or_default();
                seen.kind = Some(kind.clone());
                seen.brokers.clone_from(brokers);
                seen.clients.clone_from(clients);
            }
            EventKind::FaultInjected { fault, called_at, proof, held_ms } => {
                let called_ns = self.since_start(called_at.boottime_ns);
                let seen = self.faults.entry(*fault).or_default();
                seen.injected = Some((called_ns, at_ns));
                seen.proven = proof.holds;
                seen.lasting = held_ms.is_some();
                seen.deleted = deleted(proof);
            }
            EventKind::FaultHealed { fault, called_at, .. } => {
                let called_ns = self.since_start(called_at.boottime_ns);
                self.faults.entry(*fault).or_default().healed = Some((called_ns, at_ns));
            }
            EventKind::FaultRecovered { fault, reached: true, .. } => {
                self.faults.entry(*fault).or_default().recovered_ns = Some(at_ns);
            }
            EventKind::PartitionAudited { profile, partition, log_start, attempt, .. } => {
                let seen = AuditSeen { at_ns, attempt: *attempt, log_start: *log_start };
                self.audits.insert((profile.clone(), *partition), seen);
            }
            EventKind::GroupPosition { profile, partition, position, source } => {
                self.positions.insert((profile.clone(), *partition), (*position, *source));
            }
            EventKind::ClientEnded { client, how, .. } => {
                self.ended.push(ClientEnd { at_ns, client: client.clone(), how: how.clone() });
            }
            _ => {}
        }
    }

    /// CLOCK_BOOTTIME as time since the run's start.
    #[must_use]
    pub fn since_start(&self, boottime_ns: u64) -> u64 {
        boottime_ns.saturating_sub(self.started_ns.unwrap_or_default())
    }

    /// Takes note of what a broker's own log file says.
    pub fn truncated(&mut self, truncation: Truncated) {
        self.truncations.push(truncation);
    }

    /// The topic of a profile; none if it was never made.
    #[must_use]
    pub fn topic(&self, profile: &str) -> Option<&str> {
        self.topics.get(profile).map(String::as_str)
    }

    /// Leaders of one partition, in order.
    pub fn leaders_of<'a>(&'a self, topic: &'a str, partition: i32) -> impl DoubleEndedIterator<Item = &'a LeaderSeen> {
        self.leaders.iter().filter(move |seen| seen.topic == topic && seen.partition == partition)
    }

    /// When a broker did not answer at some time of an interval.
    #[must_use]
    pub fn silent(&self, broker: i32, from_ns: u64, to_ns: u64) -> Option<&Silence> {
        self.silences.iter().find(|silence| {
            silence.broker == broker && silence.from_ns <= to_ns && silence.until_ns.is_none_or(|end| end >= from_ns)
        })
    }

    /// What the replicas of a partition held at each look, in order.
    #[must_use]
    pub fn replicas_of(&self, topic: &str, partition: i32) -> Vec<ReplicasSeen> {
        let mut seen: Vec<ReplicasSeen> = Vec::new();
        for look in &self.looks {
            let log = look.replicas.iter().find(|log| log.topic == topic && log.partition == partition);
            let held = log.and_then(|log| Some((look.broker, log.log_end?, log.epochs.last().map(|(last, _)| *last))));
            match seen.last_mut() {
                Some(last) if (last.look, last.fault) == (look.look, look.fault) => last.held.extend(held),
                _ => seen.push(ReplicasSeen {
                    at_ns: look.at_ns,
                    look: look.look,
                    fault: look.fault,
                    held: held.into_iter().collect(),
                }),
            }
        }
        seen
    }

    /// Looks at one broker's replica of a partition, in order.
    pub(super) fn looks_at<'a>(
        &'a self,
        broker: i32,
        topic: &'a str,
        partition: i32,
    ) -> impl DoubleEndedIterator<Item = (&'a LookSeen, &'a ReplicaLog)> {
        self.looks.iter().filter(move |look| look.broker == broker).filter_map(move |look| {
            let log = look.replicas.iter().find(|log| log.topic == topic && log.partition == partition)?;
            Some((look, log))
        })
    }

    /// The chain of leader epochs of a partition's final log, from the last look at its leader's own.
    pub(super) fn chain(&self, topic: &str, partition: i32) -> Vec<(i32, i64)> {
        let leader = self.leaders_of(topic, partition).next_back().map(|seen| seen.leader);
        let last = leader.and_then(|leader| self.looks_at(leader, topic, partition).next_back());
        last.filter(|(look, _)| look.look == Look::Audit).map(|(_, log)| log.epochs.clone()).unwrap_or_default()
    }

    /// Moments at which the effect of a fault may have begun or ended: what was told before and after them is
    /// kept apart.
    pub(super) fn turning_points(&self) -> Vec<u64> {
        let faults = self.faults.values().filter(|fault| fault.proven);
        let mut points: Vec<u64> =
            faults.flat_map(|f| f.injected.into_iter().chain(f.healed).flat_map(|(a, b)| [a, b])).collect();
        points.sort_unstable();
        points.dedup();
        points
    }
}
