//! What producers were told, the log and the group, without transactions.

use test_case::test_case;

use super::*;

#[test]
fn delivered() {
    let history =
        history(1).log([message(0, 0)]).told([told(0, Acked, 0)]).group([ASSIGNED, polled(0), processed(0, 0)]);
    let reconciliation = history.reconcile();
    assert_eq!(
        reconciliation.counts,
        Counts { offered: 1, acked: 1, delivered: 1, in_log: 1, records_in_log: 1, ..Counts::default() }
    );
    assert_eq!(reconciliation.anomalies, []);
    assert!(reconciliation.journals_complete);
    assert!(reconciliation.partitions[0].audit_complete);
}

#[test_case(Acked, 1; "acked: a promise broken")]
#[test_case(Indeterminate, 0; "never promised")]
fn vanished(what: Told, lost: u64) {
    let reconciliation = history(1).told([told(0, what, None)]).group([processed(0, 0)]).reconcile();
    assert_eq!(reconciliation.counts.vanished, 1);
    assert_eq!(reconciliation.counts.lost, lost);
    assert_eq!(findings(&reconciliation), ["0-0 vanished"]);
}

#[test]
fn lost_in_cluster() {
    let reconciliation = history(4)
        .log([message(0, 0), message(1, 3)])
        .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2), told(3, Acked, 1)])
        .group([processed(0, 0), processed(1, 3)])
        .reconcile();
    assert_eq!(reconciliation.counts.lost_in_cluster, 2);
    assert_eq!(reconciliation.counts.lost, 2);
    assert_eq!(findings(&reconciliation), ["1-1 offset_conflict", "1-2 lost_in_cluster"]);
}

#[test]
fn undelivered_by_what_was_told() {
    let counts = history(6)
        .told([
            told(0, Failed, None),
            told(1, Indeterminate, None),
            told(2, Unconfirmed, None),
            told(3, Unsent, None),
            // 4 and 5: the producer died with them in hand.
        ])
        .counts();
    assert_eq!(counts.undelivered, Undelivered { failed: 1, indeterminate: 3, unconfirmed: 1, unsent: 1 });
    assert_eq!(counts.indeterminate, 3);
    assert_eq!((counts.lost, counts.lost_in_cluster), (6, 0));
}

#[test]
fn the_best_that_was_told_counts() {
    let counts = history(2)
        .told([
            told(0, Indeterminate, None),
            told(0, Acked, None),
            told(0, Failed, None),
            told(1, Unsent, None),
            told(1, Failed, None),
        ])
        .counts();
    assert_eq!((counts.acked, counts.failed), (1, 1));
}

#[test]
fn an_acknowledgement_is_better_than_all_that_was_told_before() {
    for before in [Unsent, Failed, Indeterminate, Unconfirmed, Acked] {
        let log = [message(0, 0), message(1, 1), message(2, 2)];
        let tellings = [told(1, before, None), told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2)];
        assert_eq!(history(3).log(log).told(tellings).counts().acked, 3, "{before:?}");
    }
}

#[test_case(100, 1, 0; "past")]
#[test_case(1, 1, 0; "just past")]
#[test_case(0, 0, 1; "not come to it")]
fn lost_by_consumer_or_lagging(position: i64, lost: u64, lagging: u64) {
    let counts = history(1)
        .log([message(0, 0)])
        .told([told(0, Acked, 0)])
        .position(Some((position, PositionSource::Committed)))
        .counts();
    assert_eq!((counts.lost_by_consumer, counts.lagging), (lost, lagging));
    assert_eq!(counts.lost, lost);
}

#[test]
fn with_a_copy_ahead_the_group_may_still_read_it() {
    let counts = history(1).log([message(0, 0), message(5, 0)]).position(Some((5, PositionSource::Owner))).counts();
    assert_eq!((counts.lost_by_consumer, counts.lagging), (0, 1));
}

#[test]
fn an_unknown_position_proves_no_loss() {
    let reconciliation = history(1).log([message(0, 0)]).position(None).reconcile();
    assert_eq!(reconciliation.counts.lagging, 1);
    assert!(!reconciliation.partitions[0].position_known);
}

#[test]
fn a_copy_processed_anywhere_is_delivered() {
    // Read at offset 4, then truncated; the producer's retry lies at offset 9.
    let counts = history(1).log([message(9, 0)]).told([told(0, Acked, 9)]).group([processed(4, 0)]).counts();
    assert_eq!(counts.delivered, 1);
}

#[test_case(|a| a.complete = false; "no fence")]
#[test_case(|a| a.log_start = 1; "records were removed before the start")]
#[test_case(|a| a.attempt = 1; "another attempt counts, which read nothing")]
fn what_was_not_read_is_not_lost(change: fn(&mut Audit)) {
    let reconciliation = history(3)
        .log([message(0, 0)])
        .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Failed, None)])
        .group([processed(0, 0), processed(1, 1)])
        .audit(change)
        .reconcile();
    let counts = reconciliation.counts;
    if reconciliation.partitions[0].audit_complete {
        // The attempt that counts was complete and found the log empty.
        assert_eq!((counts.vanished, counts.in_log), (2, 0));
    } else {
        assert_eq!((counts.delivered, counts.unreadable), (2, 1));
        assert_eq!(counts.lost, 0);
    }
}

#[test]
fn a_partition_without_an_audit_is_unreadable() {
    let mut history = history(1).log([message(0, 0)]).told([told(0, Acked, 0)]);
    history.facts.partitions[0].audit = None;
    assert_eq!(history.counts().unreadable, 1);
    history.facts.partitions.clear();
    let reconciliation = history.reconcile();
    assert_eq!(reconciliation.counts.unreadable, 1);
    assert!(!reconciliation.partitions[0].audit_complete);
}

#[test]
fn two_contents_at_one_offset_prove_nothing_absent() {
    let reconciliation = history(3)
        .log([message(0, 0), message(0, 1)])
        .told([told(0, Acked, 0), told(1, Acked, 0), told(2, Acked, 1)])
        .reconcile();
    assert!(!reconciliation.partitions[0].audit_complete);
    assert_eq!(reconciliation.counts.unreadable, 2);
    assert_eq!(reconciliation.counts.records_in_log, 1);
}

#[test]
fn the_same_record_read_twice_is_one_record() {
    let counts = history(1).log([message(0, 0), message(0, 0)]).counts();
    assert_eq!((counts.records_in_log, counts.duplicate_records), (1, 0));
}

#[test]
fn duplicates_and_the_applications_own_resend() {
    let resend = Identity { attempt: 1, ..id(1) };
    let reconciliation = history(2)
        .log([message(0, 0), message(1, 0), message(2, 0), message(3, 1), audited(4, Content::Message(resend))])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!(counts.duplicates, 2);
    assert_eq!(counts.duplicate_records, 3);
    assert_eq!((counts.in_log, counts.records_in_log), (2, 5));
    assert_eq!(
        findings(&reconciliation),
        ["0-0 duplicate", "0-1 lost_by_consumer"],
        "sorted by first sequence, then last"
    );
}

#[test]
fn a_copy_of_another_incarnation_is_a_duplicate_too() {
    let again = |offset, sequence| audited(offset, Content::Message(Identity { incarnation: 1, ..id(sequence) }));
    let counts = history(4).log([message(0, 0), message(1, 1), again(2, 1), again(3, 2)]).counts();
    assert_eq!((counts.duplicates, counts.duplicate_records), (1, 1));
    assert_eq!((counts.records_in_log, counts.in_log), (4, 3));
}

#[test]
fn a_stretch_that_goes_on_beyond_what_was_offered_ends_in_phantoms() {
    let counts = history(2).log([message(0, 0), message(1, 1), message(2, 2)]).counts();
    assert_eq!((counts.records_in_log, counts.in_log, counts.phantom), (3, 2, 1));
}

#[test]
fn a_resend_that_landed_twice_is_kafkas_duplicate() {
    let resend = Identity { attempt: 1, ..id(0) };
    let counts = history(1).log([audited(0, Content::Message(resend)), audited(1, Content::Message(resend))]).counts();
    assert_eq!((counts.duplicates, counts.duplicate_records), (1, 1));
}

#[test]
fn redelivered_is_one_offset_again() {
    let history = history(1).log([message(0, 0), message(1, 0)]).group([processed(0, 0), processed(1, 0)]);
    assert_eq!(history.counts().redelivered, 0, "two copies, once each");

    let mut again = history;
    again.group.push((OTHER_MEMBER, processed(0, 0)));
    let reconciliation = again.reconcile();
    assert_eq!(reconciliation.counts.redelivered, 1);
    assert!(findings(&reconciliation).contains(&"0-0 redelivered".to_owned()));
}

#[test]
fn doubled_is_a_message_again_whichever_record_carried_it() {
    let resend = Identity { attempt: 1, ..id(1) };
    let log = [message(0, 0), message(1, 1), audited(2, Content::Message(resend)), message(3, 2), message(4, 2)];
    // 0 once; 1 and its resend; 2 and Kafka's duplicate of it, which is delivered twice; 3 before it vanished, twice.
    let again = Record::Processed { partition: P, offset: 2, identity: Some(resend), at_ns: 0 };
    let group = [processed(0, 0), processed(1, 1), again, processed(3, 2), processed(4, 2), processed(4, 2)];
    let mut history = history(4).log(log).group(group);
    history.group.extend([(OTHER_MEMBER, processed(7, 3)), (OTHER_MEMBER, processed(8, 3))]);
    let reconciliation = history.reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.doubled, counts.redelivered, counts.duplicates), (4, 1, 1));
    assert!(findings(&reconciliation).contains(&"1-3 doubled".to_owned()));
}

#[test]
fn another_message_at_a_truncated_offset_is_no_redelivery() {
    let counts = history(2).log([message(0, 1)]).group([processed(0, 0), processed(0, 1)]).counts();
    assert_eq!((counts.redelivered, counts.vanished, counts.delivered), (0, 1, 1));
}

#[test]
fn a_message_at_two_offsets_of_which_the_log_knows_one_is_no_redelivery() {
    // Read at 0, truncated, appended again and read at 5; at 0 there is another one since.
    let group = [processed(0, 1), processed(5, 1)];
    let counts = history(2).log([message(0, 0), message(5, 1)]).group(group).counts();
    assert_eq!((counts.redelivered, counts.delivered, counts.lost_by_consumer), (0, 1, 1));
}

#[test]
fn truncated_offsets_between_others_are_new_once() {
    let counts = history(10).group([processed(5, 5), processed(9, 9), processed(7, 7), processed(8, 8)]).counts();
    assert_eq!((counts.redelivered, counts.vanished), (0, 4));
    let counts = history(10).group([processed(5, 5), processed(6, 6), processed(6, 6), processed(5, 5)]).counts();
    assert_eq!((counts.redelivered, counts.vanished), (2, 2));
}

#[test]
fn reordered_is_counted_within_one_incarnation_and_by_first_copies() {
    let restarted = |sequence| Identity { incarnation: 1, ..id(sequence) };
    let reconciliation = history(5)
        .log([
            message(0, 0),
            message(1, 2),
            message(2, 1),
            message(3, 0),
            audited(4, Content::Message(restarted(4))),
            // A late copy of the dead process: its own order holds.
            message(5, 3),
        ])
        .reconcile();
    assert_eq!(reconciliation.counts.reordered, 1);
    assert!(findings(&reconciliation).contains(&"1-1 reordered".to_owned()));
}

#[test]
fn phantom_and_corrupt_records_are_strays() {
    let foreign =
        [Identity { run: 8, ..id(0) }, Identity { producer: 9, ..id(0) }, Identity { partition: 1, ..id(0) }, id(1)];
    let mut history = history(1).log([message(0, 0), audited(1, Content::Corrupt)]);
    for (offset, identity) in (2..).zip(foreign) {
        history.log.push(audited(offset, Content::Message(identity)));
    }
    history.log.push(audited(6, Content::Fence));
    let reconciliation = history.reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.phantom, counts.corrupt), (4, 1));
    assert_eq!((counts.records_in_log, counts.in_log), (6, 1));
    assert_eq!(
        reconciliation.strays[..2],
        [
            Stray { partition: P, offset: 1, kind: StrayKind::Corrupt },
            Stray { partition: P, offset: 2, kind: StrayKind::Phantom },
        ]
    );
}

#[test]
fn foreign_records_that_were_processed_are_counted_even_if_truncated() {
    let unknown = Record::Processed { partition: P, offset: 3, identity: None, at_ns: 0 };
    let counts = history(1).group([processed(0, 1), unknown, unknown]).counts();
    assert_eq!((counts.processed_foreign, counts.redelivered), (2, 1));
}

#[test_case(message(0, 1), 1; "another message")]
#[test_case(audited(0, Content::Fence), 1; "the fence")]
#[test_case(audited(0, Content::Corrupt), 1; "a damaged record")]
#[test_case(audited(0, Content::Message(Identity { attempt: 1, ..id(0) })), 1; "another attempt")]
#[test_case(audited(0, Content::Message(Identity { producer: 4, ..id(0) })), 1; "another producer")]
#[test_case(message(0, 0), 0; "itself")]
#[test_case(message(1, 1), 0; "nothing")]
fn offset_conflicts(at_offset_0: Record, conflicts: u64) {
    let counts = history(2).log([at_offset_0]).told([told(0, Acked, 0), told(1, Unconfirmed, 0)]).counts();
    assert_eq!(counts.offset_conflicts, conflicts);
}

#[test]
fn failed_but_landed() {
    let reconciliation = history(2)
        .log([message(0, 0), message(1, 1)])
        .told([told(0, Failed, None), told(1, Indeterminate, None)])
        .group([processed(0, 0), processed(1, 1)])
        .reconcile();
    assert_eq!(reconciliation.counts.failed_but_landed, 1);
    assert_eq!(reconciliation.counts.delivered, 2);
    assert_eq!(findings(&reconciliation), ["0-0 failed_but_landed"]);
}

#[test]
fn skips_are_records_jumped_over_without_a_reassignment() {
    let base = || {
        history(4).log([
            message(0, 0),
            message(1, 1),
            message(2, 2),
            // 3 is a control record.
            message(4, 3),
        ])
    };
    let skips = |group: &[Record]| {
        let mut history = base();
        history.group = group.iter().map(|record| (MEMBER, *record)).collect();
        history.counts().skips
    };
    assert_eq!(skips(&[ASSIGNED, polled(0), polled(4)]), 2);
    assert_eq!(skips(&[ASSIGNED, polled(2), polled(4)]), 0);
    assert_eq!(skips(&[ASSIGNED, polled(0), ASSIGNED, polled(4)]), 0);
    assert_eq!(skips(&[ASSIGNED, polled(4), polled(0), polled(1)]), 0);

    let mut others = base();
    others.group = vec![(MEMBER, polled(0)), (OTHER_MEMBER, polled(4))];
    assert_eq!(others.counts().skips, 0, "each process for itself");
}

#[test_case(PositionSource::Committed, 5, 1; "behind the last commit")]
#[test_case(PositionSource::Committed, 10, 0; "at the last commit")]
#[test_case(PositionSource::Reset, 10, 1; "no commit is left")]
#[test_case(PositionSource::Owner, 5, 0; "a live member needs no commit")]
fn commits_lost(source: PositionSource, position: i64, lost: u64) {
    let counts = history(0)
        .group([
            committed(20, true, 1),
            // The group was set back: this is the last one accepted.
            committed(10, true, 2),
            committed(30, false, 3),
        ])
        .position(Some((position, source)))
        .counts();
    assert_eq!(counts.commits_lost, lost);
}

#[test]
fn a_group_that_never_committed_has_lost_no_commit() {
    let counts = history(0).position(Some((0, PositionSource::Reset))).counts();
    assert_eq!(counts.commits_lost, 0);
}

#[test]
fn a_journal_not_accounted_for_is_not_complete() {
    let mut history = history(0);
    history.facts.journals = 3;
    assert!(!history.reconcile().journals_complete);
}

#[test]
fn a_sequence_never_offered_cannot_have_been_told_of() {
    let error = history(1).told([told(1, Acked, 0)]).try_reconcile();
    assert_eq!(error, Err(Error::ToldOfUnoffered { stream: STREAM, sequence: 1, offered: 1 }));
}

#[test]
fn acknowledgements_in_a_row_end_where_what_was_offered_ends() {
    let told = history(2).told([told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2)]).try_reconcile();
    assert_eq!(told, Err(Error::ToldOfUnoffered { stream: STREAM, sequence: 2, offered: 2 }));
}

#[test]
fn acknowledgements_of_two_partitions_are_no_row() {
    let mut history = history(2);
    let other = StreamId { partition: 1, ..STREAM };
    history.facts.streams.push(Stream { id: other, offered: Offered::Below(2) });
    let mut second = told(1, Acked, 1);
    if let Record::Told { partition, .. } = &mut second {
        *partition = 1;
    }
    let reconciliation = history.told([told(0, Acked, 0), second]).reconcile();
    let acked: Vec<_> = reconciliation.partitions.iter().map(|p| (p.partition, p.counts.acked)).collect();
    assert_eq!(acked, [(0, 1), (1, 1)]);
}

#[test]
fn entries_in_the_wrong_journal_are_errors() {
    let misplaced = |history: History| {
        assert!(matches!(history.try_reconcile(), Err(Error::Misplaced { .. })));
    };
    misplaced(history(1).log([polled(0)]));
    misplaced(history(1).told([polled(0)]));
    misplaced(history(1).group([told(0, Acked, 0)]));
}

#[test]
fn facts_that_name_something_twice_are_errors() {
    let mut streams = history(1);
    streams.facts.streams.push(streams.facts.streams[0].clone());
    let mut partitions = history(1);
    partitions.facts.partitions.push(partitions.facts.partitions[0]);
    for history in [streams, partitions] {
        assert!(matches!(history.try_reconcile(), Err(Error::NamedTwice { .. })));
    }
}

#[test]
fn more_than_can_be_numbered_is_refused_before_memory_is_taken() {
    assert!(matches!(history(u64::MAX).try_reconcile(), Err(Error::TooMany { .. })));
}

#[test]
fn what_is_wrong_with_every_second_message_is_counted_and_not_all_listed() {
    let many = 2 * LISTED_MAX as u64 + 20;
    let mut pass = LogPass::new(&history(many).facts).unwrap();
    for sequence in (0..many).step_by(2) {
        let offset = sequence.cast_signed();
        pass.record(&message(offset, sequence)).unwrap();
        pass.record(&audited(offset + 1, Content::Corrupt)).unwrap();
    }
    let reconciliation = pass.clients().finish().unwrap();
    let counts = reconciliation.counts;
    // Half are missing, and most of the others are ahead of the group.
    assert_eq!((counts.undelivered.total(), counts.lagging), (many / 2, many / 2 - 50));
    assert_eq!(counts.corrupt, many / 2);
    assert_eq!(reconciliation.anomalies.len(), 2 * LISTED_MAX + 10);
    assert_eq!(reconciliation.anomalies_omitted + reconciliation.anomalies.len() as u64, many);
    assert_eq!(reconciliation.strays.len(), LISTED_MAX);
    assert_eq!(reconciliation.strays_omitted, 10);
}
