//! Anomalies planted at random in several streams must be found exactly, and nothing else.
//!
//! A plan says the fate of each message. From it come both the journals, as clients and an audit
//! would have written them, and the counts that are expected, by looking at whole lists where
//! reconciliation keeps a few bits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::category::{Category, Told};
use crate::counts::{Counts, Undelivered};
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Record};

const RUN: u64 = 99;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// Acknowledged, in the log, processed.
    Clean,
    /// As clean, with that many copies more.
    Duplicated(u8),
    /// As clean, and sent once more by the application.
    Resent,
    /// As clean, and processed twice.
    Redelivered,
    /// In the log and processed, but not acknowledged; none: no report.
    Landed(Option<Told>),
    /// Acknowledged, not in the log.
    LostInCluster,
    /// Processed, then truncated.
    Vanished(Told),
    /// Neither in the log nor acknowledged.
    Undelivered(Option<Told>),
    /// In the log, passed over by its consumer.
    Skipped,
    /// In the log, at its end, where the group has not come.
    Lagging,
}

fn not_acked() -> impl Strategy<Value = Told> {
    prop_oneof![Just(Told::Unconfirmed), Just(Told::Failed), Just(Told::Indeterminate),]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Clean),
        1 => (1_u8..3).prop_map(Fate::Duplicated),
        1 => Just(Fate::Resent),
        1 => Just(Fate::Redelivered),
        1 => proptest::option::of(not_acked()).prop_map(Fate::Landed),
        2 => Just(Fate::LostInCluster),
        1 => prop_oneof![Just(Told::Acked), not_acked()].prop_map(Fate::Vanished),
        1 => proptest::option::of(prop_oneof![not_acked(), Just(Told::Unsent)])
            .prop_map(Fate::Undelivered),
        1 => Just(Fate::Skipped),
        1 => Just(Fate::Lagging),
    ]
}

/// Records that belong to nobody, and where in the log they lie (as a message of that sequence).
#[derive(Debug, Clone, Copy)]
struct Foreign {
    at: u32,
    corrupt: bool,
}

#[derive(Debug, Clone)]
struct PartitionPlan {
    /// For each producer, the fate and the lateness of each message.
    streams: Vec<Vec<(Fate, u32)>>,
    /// The producers were killed at this sequence and started again.
    death: u64,
    foreign: Vec<Foreign>,
    /// How many records the audit read, if it did not come to the end.
    unread_after: Option<usize>,
}

fn partition_plan(producers: usize) -> impl Strategy<Value = PartitionPlan> {
    // A message is late by up to two places: neighbours change places now and then.
    let message = (fate(), prop_oneof![8 => Just(0_u32), 1 => 1_u32..25]);
    let stream = proptest::collection::vec(message, 0..24);
    let foreign = (0_u32..30, any::<bool>()).prop_map(|(at, corrupt)| Foreign { at, corrupt });
    (
        proptest::collection::vec(stream, producers),
        0_u64..30,
        proptest::collection::vec(foreign, 0..3),
        prop_oneof![3 => Just(None), 1 => (0_usize..40).prop_map(Some)],
    )
        .prop_map(|(streams, death, foreign, unread_after)| PartitionPlan {
            streams,
            death,
            foreign,
            unread_after,
        })
}

fn plan() -> impl Strategy<Value = Vec<PartitionPlan>> {
    (1_usize..4).prop_flat_map(|producers| proptest::collection::vec(partition_plan(producers), 1..4))
}

/// A record in a log: who it is (none: corrupt), and what the group does with it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: Option<Identity>,
    fate: Option<Fate>,
}

/// One partition played out.
struct Played {
    partition: i32,
    log: Vec<Entry>,
    position: usize,
    /// Records that the audit read.
    read: usize,
    complete: bool,
    messages: Vec<(Identity, Fate)>,
}

fn play(partition: i32, plan: &PartitionPlan) -> Played {
    let mut keyed: Vec<(u32, Entry)> = Vec::new();
    let mut messages = Vec::new();
    for (producer, stream) in (0..).zip(&plan.streams) {
        for (sequence, (fate, late)) in (0..).zip(stream) {
            let identity = Identity {
                run: RUN,
                producer,
                incarnation: u16::from(sequence >= plan.death),
                partition,
                sequence,
                attempt: 0,
            };
            messages.push((identity, *fate));
            let key = sequence as u32 * 10 + late;
            let entry = |attempt| Entry { identity: Some(Identity { attempt, ..identity }), fate: Some(*fate) };
            match fate {
                Fate::Clean | Fate::Redelivered | Fate::Landed(_) | Fate::Skipped => {
                    keyed.push((key, entry(0)));
                }
                Fate::Duplicated(more) => {
                    keyed.extend((0..=u32::from(*more)).map(|n| (key + n * 7, entry(0))));
                }
                Fate::Resent => keyed.extend([(key, entry(0)), (key + 30, entry(1))]),
                Fate::Lagging => keyed.push((key + 1_000_000, entry(0))),
                Fate::LostInCluster | Fate::Vanished(_) | Fate::Undelivered(_) => {}
            }
        }
    }
    for foreign in &plan.foreign {
        let unknown = Identity {
            run: RUN,
            producer: 0,
            incarnation: 0,
            partition,
            // Never offered: beyond every stream.
            sequence: 1_000,
            attempt: 0,
        };
        let entry = Entry { identity: (!foreign.corrupt).then_some(unknown), fate: None };
        keyed.push((foreign.at * 10, entry));
    }
    keyed.sort_by_key(|(key, _)| *key);
    let position = keyed.partition_point(|(key, _)| *key < 1_000_000);
    let log: Vec<_> = keyed.into_iter().map(|(_, entry)| entry).collect();
    let read = plan.unread_after.map_or(log.len(), |read| read.min(log.len()));
    Played { partition, read, complete: plan.unread_after.is_none(), position, log, messages }
}

impl Played {
    fn audit_journal(&self) -> Vec<Record> {
        let records = |audit: u16, read: usize| {
            self.log[..read].iter().zip(0..).map(move |(entry, offset)| Record::Audited {
                partition: self.partition,
                offset,
                audit,
                isolation: Isolation::ReadUncommitted,
                leader_epoch: None,
                content: entry.identity.map_or(Content::Corrupt, Content::Message),
            })
        };
        // A first attempt that does not count, then the one that does, then the fence.
        let mut journal: Vec<_> = records(0, self.log.len() / 2).collect();
        journal.extend(records(1, self.read));
        if self.complete {
            journal.push(Record::Audited {
                partition: self.partition,
                offset: self.log.len() as i64,
                audit: 1,
                isolation: Isolation::ReadUncommitted,
                leader_epoch: None,
                content: Content::Fence,
            });
        }
        journal
    }

    /// Where the first copy of a message lies.
    fn offset(&self, identity: &Identity) -> Option<i64> {
        self.log.iter().position(|entry| entry.identity == Some(*identity)).map(|offset| offset as i64)
    }

    fn producer_journal(&self) -> Vec<(u16, Record)> {
        self.messages
            .iter()
            .filter_map(|(identity, fate)| {
                let told = told(*fate)?;
                let offset = match fate {
                    // It was acknowledged at an offset that another record has taken since.
                    Fate::LostInCluster => Some(identity.sequence as i64),
                    _ if told == Told::Acked => self.offset(identity),
                    _ => None,
                };
                let record = Record::Told {
                    partition: self.partition,
                    sequence: identity.sequence,
                    attempt: 0,
                    told,
                    offset,
                    error: 0,
                    broker: None,
                    in_txn: false,
                    at_ns: 0,
                };
                Some((identity.producer, record))
            })
            .collect()
    }

    fn consumer_journal(&self) -> Vec<Record> {
        let partition = self.partition;
        let assigned = Record::Assigned { partition, at_ns: 0 };
        let read = |offset: usize, identity: Option<Identity>| {
            let offset = offset as i64;
            [
                Record::Polled { partition, offset, at_ns: 0 },
                Record::Processed { partition, offset, identity, at_ns: 0 },
            ]
        };
        let mut journal = vec![assigned];
        // What is truncated later was read at offsets beyond those that the log has now.
        let vanished = self.messages.iter().filter(|(_, fate)| matches!(fate, Fate::Vanished(_)));
        for (n, (identity, _)) in vanished.enumerate() {
            journal.extend(read(10_000 + n, Some(*identity)));
        }
        journal.push(assigned);
        for (offset, entry) in self.log[..self.position].iter().enumerate() {
            match entry.fate {
                Some(Fate::Skipped) => {}
                Some(Fate::Redelivered) => {
                    let [polled, processed] = read(offset, entry.identity);
                    journal.extend([polled, processed, assigned, polled, processed]);
                }
                _ => journal.extend(read(offset, entry.identity)),
            }
        }
        journal
    }

    fn expected(&self) -> Counts {
        let mut counts =
            Counts { offered: self.messages.len() as u64, records_in_log: self.read as u64, ..Counts::default() };
        let read = &self.log[..self.read];
        for (identity, fate) in &self.messages {
            let copies = read
                .iter()
                .filter(|entry| entry.identity.is_some_and(|i| Identity { attempt: 0, ..i } == *identity))
                .count() as u64;
            counts.in_log += copies.min(1);
            counts.duplicate_records += copies.saturating_sub(1);
            if *fate != Fate::Resent {
                counts.duplicates += copies.saturating_sub(1);
            }
            counts.redelivered += u64::from(*fate == Fate::Redelivered);

            let told = told(*fate);
            *match told {
                Some(Told::Acked) => &mut counts.acked,
                Some(Told::Unconfirmed) => &mut counts.unconfirmed,
                Some(Told::Failed) => &mut counts.failed,
                Some(Told::Unsent) => &mut counts.unsent,
                Some(Told::Indeterminate) | None => &mut counts.indeterminate,
            } += 1;
            counts.failed_but_landed += u64::from(copies > 0 && *fate == Fate::Landed(Some(Told::Failed)));

            // What has to be seen to be believed is unreadable where it was not seen.
            let seen = copies > 0 || self.complete;
            match fate {
                Fate::Clean | Fate::Duplicated(_) | Fate::Resent | Fate::Redelivered | Fate::Landed(_) => {
                    counts.delivered += 1
                }
                Fate::Vanished(told) if self.complete => {
                    counts.vanished += 1;
                    counts.lost += u64::from(*told == Told::Acked);
                }
                Fate::Vanished(_) => counts.delivered += 1,
                _ if !seen => counts.unreadable += 1,
                Fate::Lagging => counts.lagging += 1,
                Fate::LostInCluster => {
                    counts.lost_in_cluster += 1;
                    counts.lost += 1;
                }
                Fate::Skipped => {
                    counts.lost_by_consumer += 1;
                    counts.lost += 1;
                }
                Fate::Undelivered(_) => {
                    let Undelivered { failed, indeterminate, unconfirmed, unsent } = &mut counts.undelivered;
                    *match told {
                        Some(Told::Failed) => failed,
                        Some(Told::Unconfirmed) => unconfirmed,
                        Some(Told::Unsent) => unsent,
                        _ => indeterminate,
                    } += 1;
                    counts.lost += 1;
                }
            }
            if *fate == Fate::LostInCluster {
                // The fence conflicts as well.
                let end = self.read as u64 + u64::from(self.complete);
                counts.offset_conflicts += u64::from(identity.sequence < end);
            }
        }
        for (offset, entry) in self.log.iter().enumerate() {
            if entry.fate.is_none() {
                let seen = u64::from(offset < self.read);
                match entry.identity {
                    Some(_) => counts.phantom += seen,
                    None => counts.corrupt += seen,
                }
                counts.processed_foreign += u64::from(offset < self.position);
            }
        }
        counts.reordered = reordered(read);
        counts.skips = skips(&self.log[..self.position], self.read);
        counts
    }
}

fn told(fate: Fate) -> Option<Told> {
    match fate {
        Fate::Landed(told) | Fate::Undelivered(told) => told,
        Fate::Vanished(told) => Some(told),
        _ => Some(Told::Acked),
    }
}

/// First copies that have a later sequence of the same producer process before them.
fn reordered(read: &[Entry]) -> u64 {
    let first_sends: Vec<Identity> = read
        .iter()
        .filter(|entry| entry.fate.is_some())
        .filter_map(|entry| entry.identity)
        .filter(|identity| identity.attempt == 0)
        .collect();
    let overtaken = |(n, identity): &(usize, &Identity)| {
        let before = &first_sends[..*n];
        !before.contains(identity)
            && before.iter().any(|other| {
                (other.producer, other.incarnation) == (identity.producer, identity.incarnation)
                    && other.sequence > identity.sequence
            })
    };
    first_sends.iter().enumerate().filter(overtaken).count() as u64
}

/// Skipped records that the audit read, with a polled one on either side and, between those, no
/// reassignment: polling a redelivered record ends with one before its second time.
fn skips(consumed: &[Entry], read: usize) -> u64 {
    let skipped = |entry: &Entry| entry.fate == Some(Fate::Skipped);
    consumed
        .iter()
        .enumerate()
        .filter(|(offset, entry)| {
            skipped(entry)
                && *offset < read
                && consumed[..*offset].iter().any(|e| !skipped(e))
                && consumed[*offset..].iter().any(|e| !skipped(e))
        })
        .count() as u64
}

fn facts(plans: &[PartitionPlan], played: &[Played]) -> Facts {
    let mut facts = Facts { run: RUN, journals: 0, ..Facts::default() };
    for (played, plan) in played.iter().zip(plans) {
        let partition = played.partition;
        for (producer, stream) in (0..).zip(&plan.streams) {
            facts
                .streams
                .push(Stream { id: StreamId { producer, partition }, offered: Offered::Below(stream.len() as u64) });
        }
        facts.partitions.push(Partition {
            partition,
            audit: Some(Audit { attempt: 1, complete: played.complete, log_start: 0, committed: None, tail: None }),
            position: Some(Position { offset: played.position as i64, source: PositionSource::Owner }),
        });
    }
    facts
}

/// Takes one from each list in turn, so that partitions mix as they do in real journals.
fn mixed<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut keyed: Vec<_> = lists.into_iter().flat_map(|list| list.into_iter().enumerate()).collect();
    keyed.sort_by_key(|(n, _)| *n);
    keyed.into_iter().map(|(_, item)| item).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planted_anomalies_are_found_exactly(plans in plan()) {
        let played: Vec<_> = (0..).zip(&plans).map(|(p, plan)| play(p, plan)).collect();

        let mut log = LogPass::new(&facts(&plans, &played)).unwrap();
        for record in mixed(played.iter().map(Played::audit_journal).collect()) {
            log.record(&record).unwrap();
        }
        let mut clients = log.clients();
        for (producer, record) in mixed(played.iter().map(Played::producer_journal).collect()) {
            clients.producer_record(producer, &record).unwrap();
        }
        let member = Process { member: 0, incarnation: 0 };
        for record in mixed(played.iter().map(Played::consumer_journal).collect()) {
            clients.consumer_record(member, &record).unwrap();
        }
        let found = clients.finish().unwrap();

        let mut sum = Counts::default();
        for (played, partition) in played.iter().zip(&found.partitions) {
            let expected = played.expected();
            prop_assert_eq!(partition.counts, expected, "partition {}", played.partition);
            prop_assert_eq!(partition.audit_complete, played.complete);
            sum += expected;
        }
        prop_assert_eq!(found.counts, sum);
        prop_assert_eq!(found.strays.len() as u64, sum.phantom + sum.corrupt);
        prop_assert_eq!(&ranges(&found), &ranges_of_counts(&sum));
    }
}

/// Sequences by finding, as the ranges tell; ranges may neither overlap nor touch.
fn ranges(found: &Reconciliation) -> BTreeMap<Finding, u64> {
    let mut sums = BTreeMap::new();
    let mut last_of = BTreeMap::new();
    for a in &found.anomalies {
        *sums.entry(a.finding).or_default() += a.last - a.first + 1;
        if let Some(last) = last_of.insert((a.stream, a.finding), a.last) {
            assert!(last + 1 < a.first, "{a:?} touches the one before");
        }
    }
    // These are counted in records, and their ranges in sequences.
    sums.retain(|finding, _| !matches!(finding, Finding::Flag(Flag::Duplicate)));
    sums
}

fn ranges_of_counts(counts: &Counts) -> BTreeMap<Finding, u64> {
    let category = Finding::Category;
    [
        (category(Category::Vanished), counts.vanished),
        (category(Category::LostInCluster), counts.lost_in_cluster),
        (category(Category::Unreadable), counts.unreadable),
        (category(Category::LostByConsumer), counts.lost_by_consumer),
        (category(Category::Lagging), counts.lagging),
        (category(Category::Undelivered), counts.undelivered.total()),
        (Finding::Flag(Flag::Redelivered), counts.redelivered),
        (Finding::Flag(Flag::Reordered), counts.reordered),
        (Finding::Flag(Flag::OffsetConflict), counts.offset_conflicts),
        (Finding::Flag(Flag::FailedButLanded), counts.failed_but_landed),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}
