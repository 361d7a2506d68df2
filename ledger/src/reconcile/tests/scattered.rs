//! Sparse sequences, and streams whose messages may lie in any partition.

use super::*;

fn these(sequences: impl IntoIterator<Item = u64>) -> Offered {
    Offered::These(sequences.into_iter().collect())
}

#[test]
fn sparse_sequences_are_accounted_for_one_by_one() {
    let mut history = history(0);
    history.facts.streams[0].offered = these([3, 4, 1_000_001, u64::MAX - 1, u64::MAX]);
    let reconciliation = history
        .log([message(0, 3), message(1, 1_000_001), message(2, 5), message(3, u64::MAX)])
        .told([told(3, Acked, 0), told(4, Acked, None), told(u64::MAX - 1, Failed, None), told(u64::MAX, Acked, 3)])
        .group([processed(0, 3), processed(1, 1_000_001)])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.offered, counts.delivered, counts.phantom), (5, 2, 1));
    let largest = u64::MAX;
    assert_eq!(
        findings(&reconciliation),
        [
            "4-4 lost_in_cluster".to_owned(),
            format!("{0}-{0} undelivered", largest - 1),
            format!("{largest}-{largest} lost_by_consumer"),
        ]
    );
}

#[test]
fn a_sparse_sequence_never_offered_cannot_have_been_told_of() {
    let mut history = history(0).told([told(5, Acked, 0)]);
    history.facts.streams[0].offered = these([3, 4]);
    assert_eq!(history.try_reconcile(), Err(Error::ToldOfUnoffered { stream: STREAM, sequence: 5, offered: 2 }));
}

/// Offered: sequences 0 to 3, in partition 0 or 1.
fn anywhere() -> History {
    let mut history = history(0);
    let anywhere = StreamId { producer: PRODUCER, partition: ANY_PARTITION };
    history.facts.streams = vec![Stream { id: anywhere, offered: Offered::Below(4) }];
    let other = Partition { partition: 1, ..history.facts.partitions[0] };
    history.facts.partitions.push(other);
    let report = |record| match record {
        Record::Told { sequence, told, .. } => Record::Told {
            partition: ANY_PARTITION,
            sequence,
            attempt: 0,
            told,
            offset: None,
            error: 0,
            broker: None,
            in_txn: false,
            at_ns: 0,
        },
        other => other,
    };
    history.told([0, 1, 2, 3].map(|sequence| report(told(sequence, Acked, None))))
}

fn in_partition_1(offset: i64, sequence: u64) -> Record {
    Record::Audited {
        partition: 1,
        offset,
        audit: 0,
        isolation: Isolation::ReadUncommitted,
        leader_epoch: None,
        content: Content::Message(Identity { partition: 1, ..id(sequence) }),
    }
}

#[test]
fn a_message_may_be_found_in_any_partition() {
    let reconciliation = anywhere()
        .log([message(0, 0), in_partition_1(0, 2), in_partition_1(1, 1), in_partition_1(2, 0)])
        .group([processed(0, 0)])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.lost_by_consumer, counts.lost_in_cluster), (1, 2, 1));
    assert_eq!((counts.duplicates, counts.reordered, counts.phantom), (1, 1, 0));
    let partitions: Vec<_> = reconciliation.partitions.iter().map(|p| (p.partition, p.counts.offered)).collect();
    assert_eq!(partitions, [(ANY_PARTITION, 4), (0, 0), (1, 0)]);
    assert!(reconciliation.partitions[0].audit_complete && reconciliation.partitions[0].position_known);
}

#[test]
fn absence_from_any_partition_needs_all_of_them() {
    let mut history = anywhere().log([message(0, 0)]);
    history.facts.partitions[1].audit = None;
    history.facts.partitions[1].position = None;
    let reconciliation = history.reconcile();
    assert_eq!((reconciliation.counts.unreadable, reconciliation.counts.lost_in_cluster), (3, 0));
    assert!(!reconciliation.partitions[0].audit_complete && !reconciliation.partitions[0].position_known);
    history.facts.partitions.clear();
    history.log.clear();
    assert_eq!(history.counts().unreadable, 4, "no partition is not all of them");
}
