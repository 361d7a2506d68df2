//! From what was gathered to causes: losses in the cluster. Those of clients are in `client`.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Piece;
use super::history::{FaultSeen, History};
use super::passed::Consumed;
use super::{Acks, Cause, DestroyedBy, ExposedBy, Sighting, Witness};
use crate::category::Category;
use crate::event::Look;
use crate::journal::Stream;
use crate::reconcile::{Anomaly, Finding};

/// For how long a leader must be heard to claim what another was elected to, to be called isolated. News of an
/// election travels in milliseconds, and brokers are asked four times a second.
const STALE_NS: u64 = 1_000_000_000;
/// How long after an election it may be heard of first.
const HEARSAY_NS: u64 = 1_000_000_000;

/// Attributes pieces of one profile.
pub(super) struct Attribution<'a> {
    pub(super) history: &'a History,
    pub(super) profile: &'a str,
    pub(super) acks: Acks,
    audited: &'a BTreeMap<i32, BTreeMap<i32, i64>>,
    pub(super) paces: &'a [(u16, Stream)],
}

/// A leader epoch as it was heard of.
struct Reign {
    leader: i32,
    /// When it was heard of first.
    seen_ns: u64,
    /// The in-sync replicas that were heard of last under it.
    last_isr: Vec<i32>,
}

/// The place at which the final log leaves what a leader acknowledged.
struct Fork {
    /// Leader and epoch of the acknowledgements.
    leader: i32,
    epoch: i32,
    /// The next epoch of the final log, and its first offset.
    next_epoch: i32,
    start: i64,
}

impl<'a> Attribution<'a> {
    pub fn new(
        history: &'a History,
        profile: &'a str,
        acks: Acks,
        audited: &'a BTreeMap<i32, BTreeMap<i32, i64>>,
        paces: &'a [(u16, Stream)],
    ) -> Self {
        Self { history, profile, acks, audited, paces }
    }

    /// Why a part of a lost range was lost.
    pub fn cause(&self, anomaly: &Anomaly, piece: &Piece, consumed: &Consumed) -> Cause {
        let partition = anomaly.stream.partition;
        match anomaly.finding {
            Finding::Category(Category::LostInCluster | Category::Vanished) => self.in_cluster(partition, piece),
            Finding::Category(Category::LostByConsumer) => self.by_consumer(partition, piece, consumed),
            Finding::Category(Category::Undelivered) => self.undelivered(anomaly.stream, piece),
            Finding::Category(Category::Expired) => self.expired(partition, piece),
            _ => Cause::default(),
        }
    }

    /// A deletion on demand took what lies before its offset, unless retention came first: that can be where the log
    /// begins beyond what was deleted.
    fn expired(&self, partition: i32, piece: &Piece) -> Cause {
        let topic = self.history.topic(self.profile);
        let deletion = self.history.faults.iter().find_map(|(fault, seen)| {
            let (.., before) = seen.deleted.iter().find(|(of, p, _)| Some(of.as_str()) == topic && *p == partition)?;
            let (_, highest) = piece.offsets?;
            (highest < *before).then_some((*before, *fault))
        });
        let log_start = self.history.audits.get(&(self.profile.to_owned(), partition)).map(|seen| seen.log_start);
        let retention = log_start.filter(|start| deletion.is_none_or(|(before, _)| before < *start));
        let deletion = deletion.map(|(before, fault)| DestroyedBy::Deletion { before, fault });
        let retention = retention.map(|log_start| DestroyedBy::Retention { log_start });
        Cause { destroyed_by: deletion.into_iter().chain(retention).collect(), ..Cause::default() }
    }

    fn in_cluster(&self, partition: i32, piece: &Piece) -> Cause {
        let audit = self.history.audits.get(&(self.profile.to_owned(), partition));
        let mut cause = Cause {
            held: piece.told_ns.map(|(_, at_ns)| Sighting { at_ns, by: Witness::Ack { broker: piece.broker } }),
            gone: audit.map(|seen| Sighting { at_ns: seen.at_ns, by: Witness::Audit }),
            ..Cause::default()
        };
        let (Some(topic), Some(told_ns), Some(offsets)) =
            (self.history.topic(self.profile), piece.told_ns, piece.offsets)
        else {
            return cause;
        };
        let reigns = self.reigns(topic, partition);
        let Some(fork) = self.fork(topic, partition, &reigns, piece.broker, told_ns, offsets) else { return cause };
        let (leader, epoch) = (fork.leader, fork.epoch);
        let next = reigns.get(&fork.next_epoch);
        let election_ns = next.map(|reign| reign.seen_ns);
        let fault_at = |broker: i32, at_ns: u64| {
            let found = self.history.faults.iter().find(|(_, fault)| fault.hit(broker) && fault.covers(at_ns));
            found.map(|(index, _)| *index)
        };

        let last_isr = reigns.get(&epoch).map(|reign| reign.last_isr.as_slice()).unwrap_or_default();
        cause.destroyed_by.push(DestroyedBy::Election {
            leader: next.map(|reign| reign.leader),
            epoch: fork.next_epoch,
            start_offset: fork.start,
            seen_ns: election_ns,
            unclean: next.is_some_and(|reign| !last_isr.is_empty() && !last_isr.contains(&reign.leader)),
            fault: election_ns.and_then(|at_ns| fault_at(leader, at_ns)),
        });

        // A broker that led again after a silence, with a log that ends before what it had, lost that in between.
        let silence = election_ns.and_then(|until_ns| self.history.silent(next?.leader, told_ns.1, until_ns));
        let heir_had_it = match next {
            Some(reign) if reign.leader == leader => true,
            Some(reign) => self.acks == Acks::All && self.in_sync(topic, partition, epoch, told_ns.1, reign.leader),
            None => false,
        };
        let came_back = silence.filter(|_| heir_had_it).map(|silence| (silence.broker, silence.from_ns));
        let emptied = came_back.and_then(|(broker, silent_ns)| self.emptied(broker, silent_ns));
        match (came_back, emptied) {
            (Some((broker, _)), Some(fault)) => {
                cause.exposed_by.extend(self.exposure(topic, partition, &fork, told_ns));
                cause.destroyed_by.push(DestroyedBy::DiskLost { broker, fault });
            }
            (Some((broker, silent_ns)), None) => {
                cause.exposed_by.push(ExposedBy::UnflushedTail { broker, silent_ns });
                let fault = fault_at(broker, silent_ns);
                cause.destroyed_by.push(DestroyedBy::LogCutShort { broker, silent_ns, fault });
            }
            (None, _) => cause.exposed_by.extend(self.exposure(topic, partition, &fork, told_ns)),
        }
        let truncation = self.truncation(topic, partition, &fork, told_ns, offsets, &mut cause);
        // Who leads on with what is left follows nobody.
        let leads_on = came_back.is_some_and(|(broker, _)| broker == leader);
        cause.destroyed_by.extend(truncation.filter(|_| !leads_on));
        cause.edge_of =
            self.history.faults.iter().find(|(_, fault)| fault.hit(leader) && fault.edge(told_ns.0)).map(|(i, _)| *i);
        cause
    }

    /// The fault that emptied the disk of a broker that fell silent then.
    fn emptied(&self, broker: i32, silent_ns: u64) -> Option<usize> {
        let empties = |fault: &&FaultSeen| fault.kind.as_deref() == Some("disk_wipe") && fault.hit(broker);
        let mut faults = self.history.faults.iter();
        faults.find(|(_, fault)| empties(fault) && fault.covers(silent_ns)).map(|(index, _)| *index)
    }

    /// Leader epochs of a partition as they were heard of.
    fn reigns(&self, topic: &str, partition: i32) -> BTreeMap<i32, Reign> {
        let mut reigns: BTreeMap<i32, Reign> = BTreeMap::new();
        for seen in self.history.leaders_of(topic, partition).filter(|seen| seen.leader >= 0) {
            let reign = reigns.entry(seen.epoch).or_insert_with(|| Reign {
                leader: seen.leader,
                seen_ns: seen.at_ns,
                last_isr: Vec::new(),
            });
            reign.last_isr.clone_from(&seen.isr);
        }
        reigns
    }

    /// The epochs of the final log with their first offsets, as the leader's own file and the audited records have them.
    fn chain(&self, topic: &str, partition: i32) -> BTreeMap<i32, i64> {
        let mut chain: BTreeMap<i32, i64> = self.history.chain(topic, partition).into_iter().collect();
        // The file also knows epochs in which nothing was written; where both know one, they agree.
        for (epoch, first) in self.audited.get(&partition).into_iter().flatten() {
            chain.entry(*epoch).or_insert(*first);
        }
        chain
    }

    /// Under which epoch the offsets were acknowledged, and where the final log leaves it. What the final log holds
    /// at an offset is the record of its own epoch; so what was acknowledged there and is gone is of an epoch that
    /// the log left before, at the latest of those that were heard of by then.
    fn fork(
        &self,
        topic: &str,
        partition: i32,
        reigns: &BTreeMap<i32, Reign>,
        broker: Option<i32>,
        told_ns: (u64, u64),
        offsets: (i64, i64),
    ) -> Option<Fork> {
        let chain = self.chain(topic, partition);
        let candidate = |until_ns: u64| {
            reigns.iter().rev().find_map(|(&epoch, reign)| {
                if broker.is_some_and(|broker| broker != reign.leader) || reign.seen_ns > until_ns {
                    return None;
                }
                let (&next_epoch, &start) = chain.range(epoch + 1..).next()?;
                (start <= offsets.0).then_some(Fork { leader: reign.leader, epoch, next_epoch, start })
            })
        };
        candidate(told_ns.1).or_else(|| candidate(told_ns.1 + HEARSAY_NS))
    }

    /// Whether a broker was in sync under an epoch when that was last heard of before a moment.
    fn in_sync(&self, topic: &str, partition: i32, epoch: i32, at_ns: u64, broker: i32) -> bool {
        let heard = self.history.leaders_of(topic, partition).filter(|seen| seen.epoch == epoch);
        heard.rev().find(|seen| seen.at_ns <= at_ns).is_some_and(|seen| seen.isr.contains(&broker))
    }

    fn exposure(&self, topic: &str, partition: i32, fork: &Fork, told_ns: (u64, u64)) -> Option<ExposedBy> {
        let (broker, epoch) = (fork.leader, fork.epoch);
        if let Some(isolated) = self.isolation(topic, partition, fork, told_ns) {
            return Some(isolated);
        }
        let states = self.history.leaders_of(topic, partition);
        let heard: Vec<_> = states.filter(|seen| seen.epoch <= epoch && seen.at_ns <= told_ns.0).collect();
        let alone = heard.iter().rev().take_while(|seen| seen.isr == [broker]).last();
        if let Some(alone) = alone
            && heard.iter().any(|seen| seen.isr.len() > 1)
        {
            return Some(ExposedBy::ShrunkIsr { broker, epoch, since_ns: alone.at_ns });
        }
        (self.acks == Acks::Leader).then_some(ExposedBy::UnreplicatedTail { broker, epoch })
    }

    /// Whether the leader was cut off from its peers: after they had elected another it was heard to claim
    /// leadership on, or its log was seen to have gone its own way. What it acknowledged before a fault that
    /// did this was called for, it acknowledged among its peers. And a broker that fell silent after the
    /// acknowledgement may have died: what it says when it is back is old, and nobody's acknowledgement.
    fn isolation(&self, topic: &str, partition: i32, fork: &Fork, told_ns: (u64, u64)) -> Option<ExposedBy> {
        let (broker, epoch) = (fork.leader, fork.epoch);
        let alive_until = |at_ns: u64| self.history.silent(broker, told_ns.1, at_ns).is_none();
        let claim = self.history.claims.iter().find(|claim| {
            alive_until(claim.first_ns)
                && (claim.broker, claim.leader, claim.epoch) == (broker, broker, epoch)
                && (claim.topic.as_str(), claim.partition) == (topic, partition)
                && claim.newest_epoch > epoch
                && claim.last_ns - claim.first_ns >= STALE_NS
        });
        let parted = self.parted(topic, partition, fork).filter(|(at_ns, _)| alive_until(*at_ns));
        let proof_ns = claim.map(|claim| claim.last_ns).max(parted.map(|(at_ns, _)| at_ns))?;
        let faults = || self.history.faults.iter().filter(|(_, fault)| fault.hit(broker) && fault.covers(proof_ns));
        if faults().any(|(_, fault)| fault.injected.is_some_and(|(called, _)| told_ns.1 < called)) {
            return None;
        }
        Some(ExposedBy::IsolatedLeader {
            broker,
            epoch,
            claimed_ms: claim.map(|claim| (claim.last_ns - claim.first_ns) / 1_000_000),
            log_end: parted.map(|(_, log_end)| log_end),
            fault: faults().find(|(_, fault)| fault.held(told_ns.0, told_ns.1)).map(|(index, _)| *index),
        })
    }

    /// A look in which the leader, alive, held more of its epoch than the final log does, while another broker
    /// already held a later epoch: when, and where its log ended.
    fn parted(&self, topic: &str, partition: i32, fork: &Fork) -> Option<(u64, i64)> {
        self.history.looks_at(fork.leader, topic, partition).find_map(|(look, log)| {
            let log_end = log.log_end.filter(|end| *end > fork.start)?;
            let own_way = log.epochs.last().is_some_and(|(last, _)| *last == fork.epoch);
            let looks =
                self.history.looks.iter().filter(|other| {
                    (other.look, other.fault) == (look.look, look.fault) && other.broker != fork.leader
                });
            let others = looks.flat_map(|other| &other.replicas);
            let left = others
                .filter(|other| other.topic == topic && other.partition == partition)
                .any(|other| other.epochs.last().is_some_and(|(last, _)| *last > fork.epoch));
            (look.look == Look::BeforeHealing && own_way && left).then_some((look.at_ns, log_end))
        })
    }

    /// Whether the old leader's own log was seen, or said by itself, to have gone over to the final log's chain. When
    /// it had the messages last and first had not is noted in the cause.
    fn truncation(
        &self,
        topic: &str,
        partition: i32,
        fork: &Fork,
        told_ns: (u64, u64),
        offsets: (i64, i64),
        cause: &mut Cause,
    ) -> Option<DestroyedBy> {
        let broker = fork.leader;
        let looks: Vec<_> =
            self.history.looks_at(broker, topic, partition).filter(|(look, _)| look.at_ns >= told_ns.1).collect();
        let went_over = |epochs: &[(i32, i64)]| epochs.iter().any(|(epoch, _)| *epoch > fork.epoch);
        let own_way = |epochs: &[(i32, i64)]| epochs.last().is_some_and(|(last, _)| *last == fork.epoch);
        let before = looks.iter().filter(|(_, log)| own_way(&log.epochs));
        let seen_end = before.clone().filter_map(|(_, log)| log.log_end).max();
        let before = before.rev().find(|(_, log)| log.log_end.is_some_and(|end| end > offsets.1));
        let after = looks.iter().find(|(_, log)| went_over(&log.epochs));
        let logged = self.history.truncations.iter().find(|truncated| {
            (truncated.broker, truncated.topic.as_str(), truncated.partition) == (broker, topic, partition)
                && truncated.to <= offsets.0
                && truncated.at_ns >= told_ns.1
        });
        if let Some((look, _)) = before {
            let by = Witness::ReplicaLog { broker };
            cause.held = cause.held.max(Some(Sighting { at_ns: look.at_ns, by }));
        }
        let looked = after.map(|(look, _)| Sighting { at_ns: look.at_ns, by: Witness::ReplicaLog { broker } });
        let said = logged.map(|logged| Sighting { at_ns: logged.at_ns, by: Witness::BrokerLog { broker } });
        let seen: BTreeSet<Sighting> = looked.into_iter().chain(said).collect();
        let first = seen.first()?;
        cause.gone = cause.gone.into_iter().chain([*first]).min();
        Some(DestroyedBy::Truncation {
            broker,
            from: seen_end.unwrap_or_default().max(offsets.1 + 1),
            to: logged.map_or(fork.start, |logged| logged.to),
            logged_ns: logged.map(|logged| logged.at_ns),
        })
    }
}
