//! Records at random, absurd ones too, must be reconciled as the slow reference does it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::{self, Step};
use super::*;
use crate::category::Told;
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

const RUN: u64 = 5;

fn partition() -> impl Strategy<Value = i32> {
    prop_oneof![12 => Just(0), 6 => Just(1), 2 => Just(ANY_PARTITION), 1 => select(vec![2, 1023, 1024, i32::MIN, i32::MAX])]
}

fn producer() -> impl Strategy<Value = u16> {
    prop_oneof![8 => Just(0_u16), 4 => Just(1), 1 => select(vec![2, u16::MAX])]
}

fn sequence() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0_u64..8, 4 => 60_u64..70, 1 => select(vec![1_000_000, u64::MAX - 1, u64::MAX])]
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 0_i64..12,
        2 => 12_i64..40,
        1 => select(vec![i64::MIN, i64::MIN + 1, -2, -1, i64::MAX - 1, i64::MAX])
    ]
}

fn told() -> impl Strategy<Value = Told> {
    select(vec![Told::Acked, Told::Acked, Told::Unconfirmed, Told::Failed, Told::Indeterminate, Told::Unsent])
}

prop_compose! {
    /// Mostly of the partition in which it is found.
    fn identity(found: i32)(
        run in prop_oneof![20 => Just(RUN), 1 => Just(RUN + 1)],
        producer in producer(),
        incarnation in prop_oneof![4 => Just(0_u16), 1 => 1_u16..3],
        partition in prop_oneof![10 => Just(found), 1 => partition()],
        sequence in sequence(),
        attempt in prop_oneof![5 => Just(0_u16), 1 => 1_u16..3],
    ) -> Identity {
        Identity { run, producer, incarnation, partition, sequence, attempt }
    }
}

fn found() -> impl Strategy<Value = (i32, i64, Identity)> {
    partition().prop_flat_map(|partition| (Just(partition), offset(), identity(partition)))
}

fn audited() -> impl Strategy<Value = Record> {
    let isolation = select(vec![Isolation::ReadUncommitted, Isolation::ReadUncommitted, Isolation::ReadCommitted]);
    let kind = prop_oneof![16 => Just(0), 1 => Just(1), 1 => Just(2)];
    (found(), prop_oneof![9 => Just(0_u16), 1 => Just(1)], isolation, kind).prop_map(
        |((partition, offset, identity), audit, isolation, kind)| {
            let content = [Content::Message(identity), Content::Fence, Content::Corrupt][kind];
            Record::Audited { partition, offset, audit, isolation, leader_epoch: None, content }
        },
    )
}

fn log_record() -> impl Strategy<Value = Record> {
    let place = select(vec![Place::ProducerDlq, Place::Spool, Place::Outbox, Place::ConsumerDlq]);
    prop_oneof![
        12 => audited(),
        3 => (found(), 0..12_u8).prop_map(|((partition, offset, identity), ours)| {
            Record::Tailed { partition, offset, identity: (ours > 0).then_some(identity), at_ns: 0 }
        }),
        1 => (found(), place).prop_map(|((.., identity), place)| Record::Held { place, identity, at_ns: 0 }),
    ]
}

fn producer_record() -> impl Strategy<Value = Record> {
    let outcome = select(vec![TxnOutcome::Committed, TxnOutcome::Aborted, TxnOutcome::Unknown]);
    prop_oneof![
        6 => (found(), told(), any::<bool>(), any::<bool>()).prop_map(
            |((partition, offset, identity), told, names_offset, in_txn)| Record::Told {
                partition,
                sequence: identity.sequence,
                attempt: identity.attempt,
                told,
                offset: names_offset.then_some(offset),
                error: 0,
                broker: None,
                in_txn,
                at_ns: 0,
            }
        ),
        1 => (partition(), outcome)
            .prop_map(|(partition, outcome)| Record::TxnEnded { partition, outcome, at_ns: 0 }),
    ]
}

fn consumer_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        10 => (found(), 0..12_u8).prop_map(|((partition, offset, identity), ours)| {
            Record::Processed { partition, offset, identity: (ours > 0).then_some(identity), at_ns: 0 }
        }),
        6 => (partition(), offset()).prop_map(|(partition, offset)| Record::Polled { partition, offset, at_ns: 0 }),
        1 => partition().prop_map(|partition| Record::Assigned { partition, at_ns: 0 }),
        1 => partition().prop_map(|partition| Record::Revoked { partition, at_ns: 0 }),
        1 => (partition(), offset(), any::<bool>(), 0..5_u64)
            .prop_map(|(partition, offset, ok, at_ns)| Record::Committed { partition, offset, ok, at_ns }),
        1 => (partition(), offset())
            .prop_map(|(partition, offset)| Record::FenceSeen { partition, offset, at_ns: 0 }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let end = select(vec![JournalEnd::Sealed, JournalEnd::Torn, JournalEnd::Broken]);
    prop_oneof![
        10 => (producer(), producer_record()).prop_map(|(producer, record)| Step::Producer(producer, record)),
        10 => (0..2_u16, 0..2_u16, consumer_record()).prop_map(|(member, incarnation, record)| {
            Step::Consumer(Process { member, incarnation }, record)
        }),
        1 => end.prop_map(Step::Ended),
    ]
}

fn offered() -> impl Strategy<Value = Offered> {
    prop_oneof![
        3 => prop_oneof![0_u64..10, 62_u64..70, Just(128)].prop_map(Offered::Below),
        1 => vec(sequence(), 0..20).prop_map(|sequences| Offered::These(sequences.into_iter().collect())),
    ]
}

prop_compose! {
    fn audit()(
        complete in prop_oneof![4 => Just(true), 1 => Just(false)],
        log_start in prop_oneof![3 => Just(0), 1 => -1..6_i64],
        committed in option::of((prop_oneof![3 => Just(true), 1 => Just(false)], option::of(0_i64..12))),
        tail in option::of((prop_oneof![3 => Just(0), 1 => -1..3_i64], 0_i64..14, option::of(0_u64..4))),
    ) -> Audit {
        let committed = committed.map(|(complete, open_from)| CommittedPass { complete, open_from });
        let tail = tail.map(|(from, position, keys)| Tail { from, position, keys });
        Audit { attempt: 0, complete, log_start, committed, tail }
    }
}

fn partition_facts(partition: i32) -> impl Strategy<Value = Partition> {
    let source = select(vec![PositionSource::Owner, PositionSource::Committed, PositionSource::Reset]);
    let position = (offset(), source).prop_map(|(offset, source)| Position { offset, source });
    (prop_oneof![9 => audit().prop_map(Some), 1 => Just(None)], option::of(position))
        .prop_map(move |(audit, position)| Partition { partition, audit, position })
}

fn facts() -> impl Strategy<Value = Facts> {
    let stream = |producer, partition| {
        offered().prop_map(move |offered| Stream { id: StreamId { producer, partition }, offered })
    };
    let streams = (
        stream(0, 0),
        stream(1, 0),
        stream(0, 1),
        option::of(stream(0, ANY_PARTITION)),
        option::of(stream(1, ANY_PARTITION)),
    );
    let partitions = (
        partition_facts(0),
        option::weighted(0.8, partition_facts(1)),
        option::weighted(0.1, partition_facts(ANY_PARTITION)),
        option::weighted(0.1, partition_facts(1024)),
    );
    (streams, partitions, 0..4_usize).prop_map(|(streams, partitions, journals)| Facts {
        run: RUN,
        streams: [Some(streams.0), Some(streams.1), Some(streams.2), streams.3, streams.4]
            .into_iter()
            .flatten()
            .collect(),
        partitions: [Some(partitions.0), partitions.1, partitions.2, partitions.3].into_iter().flatten().collect(),
        journals,
    })
}

fn reconcile(facts: &Facts, log: &[Record], steps: &[Step]) -> Result<Reconciliation, Error> {
    let mut pass = LogPass::new(facts)?;
    for record in log {
        pass.record(record)?;
    }
    let mut clients = pass.clients();
    for step in steps {
        match step {
            Step::Producer(producer, record) => clients.producer_record(*producer, record)?,
            Step::Consumer(process, record) => clients.consumer_record(*process, record)?,
            Step::Ended(end) => clients.journal_ended(*end),
        }
    }
    clients.finish()
}

/// Whether somebody may have been told of it: reports of what was not offered are errors.
fn is_offered(facts: &Facts, step: &Step) -> bool {
    let Step::Producer(producer, Record::Told { partition, sequence, .. }) = step else {
        return true;
    };
    facts.streams.iter().any(|stream| {
        stream.id.producer == *producer
            && [*partition, ANY_PARTITION].contains(&stream.id.partition)
            && match &stream.offered {
                Offered::Below(next) => sequence < next,
                Offered::These(these) => these.contains(*sequence),
            }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_soup_is_reconciled_as_by_the_reference(
        facts in facts(),
        sorted in any::<bool>(),
        mut log in vec(log_record(), 0..60),
        mut steps in vec(step(), 0..60),
    ) {
        if sorted {
            // As an audit reads.
            log.sort_by_key(|record| match record {
                Record::Audited { isolation, partition, offset, .. } => (Some(*isolation), *partition, *offset),
                _ => (None, 0, 0),
            });
        }
        steps.retain(|step| is_offered(&facts, step));
        let found = reconcile(&facts, &log, &steps).unwrap();
        let expected = reference::reconcile(&facts, &log, &steps);
        for (found, expected) in found.partitions.iter().zip(&expected.partitions) {
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(found, expected);
    }
}
