//! Long histories in which nearly everything is in order, as in life, with a few irregularities
//! anywhere: what is taken in by whole words must come to the same as record by record.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::reference::{self, Step};
use super::*;
use crate::category::Told;
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Record};

const RUN: u64 = 7;
const LEN: u64 = 9_000;

/// Two partitions, each written by two producers in turn, `batch` messages at a time.
#[derive(Debug, Clone)]
struct Plan {
    batch: u64,
    offered: u64,
    /// Every second sequence is offered, huge ones.
    sparse: bool,
    /// By place in the log: left out of it, in it twice, acknowledged at another offset, not
    /// acknowledged, never processed, processed again later.
    lost: Vec<u64>,
    twice: Vec<u64>,
    elsewhere: Vec<u64>,
    untold: Vec<u64>,
    skipped: Vec<u64>,
    again: Vec<(u64, u64)>,
    position: Option<u64>,
    members: u16,
}

fn plan() -> impl Strategy<Value = Plan> {
    let places = || btree_set(0..LEN, 0..6).prop_map(|places| places.into_iter().collect::<Vec<u64>>());
    let shape = (prop_oneof![1_u64..70, Just(LEN)], 0..LEN, prop::bool::weighted(0.2), 1_u16..3);
    let position = prop::option::of(0..2 * LEN);
    (shape, places(), places(), places(), places(), places(), vec((0..LEN, 1_u64..200), 0..4), position).prop_map(
        |((batch, offered, sparse, members), lost, twice, elsewhere, untold, skipped, again, position)| Plan {
            batch,
            offered,
            sparse,
            lost,
            twice,
            elsewhere,
            untold,
            skipped,
            again,
            position,
            members,
        },
    )
}

impl Plan {
    /// The messages of a partition in the order of sending.
    fn sent(&self, partition: i32) -> Vec<Identity> {
        (0..self.offered)
            .map(|place| {
                let (round, producer) = (place / self.batch / 2, place / self.batch % 2);
                let number = round * self.batch + place % self.batch;
                Identity {
                    run: RUN,
                    producer: producer as u16,
                    incarnation: 0,
                    partition,
                    sequence: if self.sparse { u64::MAX - 1 - 2 * number } else { number },
                    attempt: 0,
                }
            })
            .collect()
    }

    fn facts(&self) -> Facts {
        let streams = [0, 1].into_iter().flat_map(|partition| {
            [0, 1].map(|producer| {
                let of = |identity: &Identity| identity.producer == producer;
                let sequences = self.sent(partition).into_iter().filter(of).map(|identity| identity.sequence);
                let offered = if self.sparse {
                    Offered::These(sequences.collect())
                } else {
                    Offered::Below(sequences.max().map_or(0, |last| last + 1))
                };
                Stream { id: StreamId { producer, partition }, offered }
            })
        });
        let position = |offset: u64| Position { offset: offset as i64, source: PositionSource::Committed };
        Facts {
            run: RUN,
            streams: streams.collect(),
            partitions: [0, 1]
                .map(|partition| Partition {
                    partition,
                    audit: Some(Audit { attempt: 0, complete: true, log_start: 0, committed: None, tail: None }),
                    position: self.position.map(position),
                })
                .into(),
            journals: 1,
        }
    }

    /// A partition's log, and at which offset each message was acknowledged.
    fn play(&self, partition: i32) -> (Vec<Identity>, Vec<(Identity, i64)>) {
        let (mut log, mut acks) = (Vec::new(), Vec::new());
        for (place, identity) in (0..).zip(self.sent(partition)) {
            let offset = log.len() as i64;
            if !self.untold.contains(&place) {
                acks.push((identity, offset + i64::from(self.elsewhere.contains(&place))));
            }
            if !self.lost.contains(&place) {
                log.push(identity);
            }
            if self.twice.contains(&place) {
                log.push(identity);
            }
        }
        (log, acks)
    }

    fn audited(&self) -> Vec<Record> {
        let mut records: Vec<(usize, Record)> = Vec::new();
        for partition in [0, 1] {
            records.extend(self.play(partition).0.into_iter().enumerate().map(|(offset, identity)| {
                let record = Record::Audited {
                    partition,
                    offset: offset as i64,
                    audit: 0,
                    isolation: Isolation::ReadUncommitted,
                    leader_epoch: None,
                    content: Content::Message(identity),
                };
                (offset, record)
            }));
        }
        // Partitions take turns, a thousand records each.
        records.sort_by_key(|(offset, _)| offset / 1000);
        records.into_iter().map(|(_, record)| record).collect()
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for partition in [0, 1] {
            let (log, acks) = self.play(partition);
            for producer in [0, 1] {
                let own = acks.iter().filter(|(identity, _)| identity.producer == producer);
                steps.extend(own.map(|(identity, offset)| Step::Producer(producer, told(identity, *offset))));
            }
            for (place, (offset, identity)) in (0..).zip((0..).zip(&log)) {
                if self.skipped.contains(&place) {
                    continue;
                }
                let member = Process { member: (place % u64::from(self.members)) as u16, incarnation: 0 };
                steps.push(Step::Consumer(member, processed(partition, offset, identity)));
                if let Some((_, back)) = self.again.iter().find(|(at, _)| *at == place) {
                    let from = place.saturating_sub(*back) as usize;
                    steps.extend((from..place as usize).map(|at| {
                        let record = processed(partition, at as i64, &log[at]);
                        Step::Consumer(Process { member: 0, incarnation: 1 }, record)
                    }));
                }
            }
        }
        steps.push(Step::Ended(JournalEnd::Sealed));
        steps
    }
}

const fn told(identity: &Identity, offset: i64) -> Record {
    Record::Told {
        partition: identity.partition,
        sequence: identity.sequence,
        attempt: 0,
        told: Told::Acked,
        offset: Some(offset),
        error: 0,
        broker: None,
        in_txn: false,
        at_ns: 0,
    }
}

const fn processed(partition: i32, offset: i64, identity: &Identity) -> Record {
    Record::Processed { partition, offset, identity: Some(*identity), at_ns: 0 }
}

fn reconcile(plan: &Plan) -> Reconciliation {
    let mut log = LogPass::new(&plan.facts()).unwrap();
    for record in plan.audited() {
        log.record(&record).unwrap();
    }
    let mut clients = log.clients();
    for step in plan.steps() {
        match step {
            Step::Producer(producer, record) => clients.producer_record(producer, &record).unwrap(),
            Step::Consumer(process, record) => clients.consumer_record(process, &record).unwrap(),
            Step::Ended(end) => clients.journal_ended(end),
        }
    }
    clients.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn what_is_in_order_is_taken_in_at_once_and_the_rest_is_not_missed(plan in plan()) {
        let expected = reference::reconcile(&plan.facts(), &plan.audited(), &plan.steps());
        prop_assert_eq!(reconcile(&plan), expected);
    }
}
