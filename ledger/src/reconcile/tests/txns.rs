//! Transactions.

use test_case::test_case;

use super::*;

impl History {
    fn transactional(mut self, complete: bool, open_from: Option<i64>) -> Self {
        let audit = self.facts.partitions[0].audit.as_mut().unwrap();
        audit.committed = Some(CommittedPass { complete, open_from });
        self
    }

    /// What both passes show.
    fn visible<const N: usize>(self, records: [Record; N]) -> Self {
        let second = records.map(|record| match record {
            Record::Audited { partition, offset, audit, content, .. } => Record::Audited {
                partition,
                offset,
                audit,
                isolation: Isolation::ReadCommitted,
                leader_epoch: None,
                content,
            },
            other => other,
        });
        self.log(records).log(second)
    }
}

fn in_txn(sequence: u64, told: Told) -> Record {
    Record::Told {
        partition: P,
        sequence,
        attempt: 0,
        told,
        offset: None,
        error: 0,
        broker: None,
        in_txn: true,
        at_ns: 0,
    }
}

const fn txn_ended(outcome: TxnOutcome) -> Record {
    Record::TxnEnded { partition: P, outcome, at_ns: 0 }
}

#[test]
fn reports_in_a_transaction_count_by_its_end() {
    let all = [Acked, Indeterminate, Unconfirmed, Failed, Unsent];
    let counts = |end: Option<TxnOutcome>| {
        let mut history = history(5);
        history.told = (0..).zip(all).map(|(sequence, told)| in_txn(sequence, told)).collect();
        history.told.extend(end.map(txn_ended));
        let counts = history.counts();
        (counts.acked, counts.unconfirmed, counts.indeterminate, counts.failed, counts.unsent)
    };
    assert_eq!(counts(Some(TxnOutcome::Committed)), (1, 1, 1, 1, 1));
    assert_eq!(counts(Some(TxnOutcome::Aborted)), (0, 0, 0, 4, 1));
    assert_eq!(counts(Some(TxnOutcome::Unknown)), (0, 0, 3, 1, 1));
    assert_eq!(counts(None), (0, 0, 3, 1, 1), "the journal ended before");
}

#[test]
fn a_transaction_ends_for_its_own_reports_only() {
    let counts = history(4)
        .told([
            in_txn(0, Acked),
            txn_ended(TxnOutcome::Committed),
            in_txn(1, Acked),
            in_txn(2, Acked),
            txn_ended(TxnOutcome::Aborted),
            told(3, Acked, None),
            txn_ended(TxnOutcome::Aborted),
        ])
        .counts();
    assert_eq!((counts.acked, counts.failed), (2, 2));
}

#[test]
fn in_a_damaged_journal_no_transaction_is_known_to_have_ended_so() {
    let history = history(2).told([in_txn(0, Acked), txn_ended(TxnOutcome::Committed), told(1, Acked, None)]);
    for end in [Some(JournalEnd::Broken), None] {
        let mut clients = LogPass::new(&history.facts).unwrap().clients();
        for record in &history.told {
            clients.producer_record(PRODUCER, record).unwrap();
        }
        if let Some(end) = end {
            clients.journal_ended(end);
        }
        let counts = clients.finish().unwrap().counts;
        assert_eq!((counts.acked, counts.indeterminate), (1, 1), "{end:?}");
    }
}

#[test]
fn what_only_the_first_pass_showed_was_aborted() {
    let reconciliation = history(4)
        .transactional(true, None)
        .visible([message(0, 0), message(1, 1)])
        .log([message(3, 2), message(4, 3), message(5, 1)])
        .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Failed, None), told(3, Failed, None)])
        .group([ASSIGNED, polled(0), processed(0, 0), polled(1), processed(1, 1), polled(4), processed(4, 3)])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.vanished, counts.undelivered.failed), (2, 1, 1));
    assert_eq!((counts.records_in_log, counts.in_log, counts.aborted_records), (2, 2, 3));
    assert_eq!((counts.aborted_reads, counts.duplicates, counts.skips), (1, 0, 0));
    assert_eq!(findings(&reconciliation), ["2-2 undelivered", "3-3 vanished", "3-3 aborted_read"]);
}

#[test]
fn a_record_of_an_aborted_transaction_is_read_in_vain_once() {
    let counts = history(1)
        .transactional(true, None)
        .log([message(4, 0), audited(5, Content::Corrupt)])
        .group([processed(4, 0), processed(4, 0), processed(6, 0)])
        .group([Record::Processed { partition: P, offset: 5, identity: None, at_ns: 0 }])
        .counts();
    assert_eq!((counts.aborted_reads, counts.redelivered), (2, 1));
    assert_eq!((counts.corrupt, counts.records_in_log), (1, 1), "what is damaged counts anyhow");
}

#[test]
fn an_open_transaction_hides_what_lies_behind_it() {
    let base = || {
        history(3)
            .transactional(true, Some(1))
            .visible([message(0, 0)])
            .log([message(1, 1), message(2, 2)])
            .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2)])
            .position(Some((1, PositionSource::Owner)))
            .group([processed(0, 0)])
    };
    let reconciliation = base().reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.behind_open_txn, counts.lost), (1, 2, 0));
    assert_eq!((counts.records_in_log, counts.in_log, counts.aborted_records), (3, 3, 0));
    assert_eq!(findings(&reconciliation), ["1-2 behind_open_txn"]);

    let past = base().position(Some((2, PositionSource::Owner))).counts();
    assert_eq!((past.behind_open_txn, past.lost_by_consumer), (1, 1));
    let unknown = base().position(None).counts();
    assert_eq!(unknown.behind_open_txn, 2);
    let processed_all = base().group([processed(1, 1), processed(2, 2)]).counts();
    assert_eq!((processed_all.delivered, processed_all.aborted_reads), (3, 0));
}

#[test]
fn what_is_visible_ahead_is_not_hidden() {
    let counts = history(1)
        .transactional(true, Some(7))
        .visible([message(5, 0)])
        .log([message(7, 0)])
        .position(Some((5, PositionSource::Owner)))
        .counts();
    assert_eq!((counts.lagging, counts.behind_open_txn, counts.duplicates), (1, 0, 1));
}

#[test]
fn a_second_pass_cut_short_leaves_doubt() {
    let reconciliation = history(3)
        .transactional(false, None)
        .visible([message(0, 0)])
        .log([message(1, 1)])
        .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2)])
        .group([processed(0, 0)])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.unreadable, counts.lost_in_cluster), (1, 1, 1));
    assert_eq!((counts.records_in_log, counts.aborted_records), (1, 0));
    assert!(!reconciliation.partitions[0].audit_complete);
}

#[test]
fn a_second_pass_that_shows_more_contradicts_the_first() {
    let second = |offset, content| Record::Audited {
        partition: P,
        offset,
        audit: 0,
        isolation: Isolation::ReadCommitted,
        leader_epoch: None,
        content,
    };
    let more = history(2).transactional(true, None).log([second(0, Content::Message(id(0)))]);
    let other = history(2).transactional(true, None).log([message(0, 0), second(0, Content::Message(id(1)))]);
    for (history, present) in [(more, 1), (other, 0)] {
        let reconciliation = history.reconcile();
        assert_eq!((reconciliation.counts.unreadable, reconciliation.counts.in_log), (2 - present, present));
        assert!(!reconciliation.partitions[0].audit_complete);
    }
    let one_pass = history(1).log([message(0, 0), second(0, Content::Message(id(0)))]).reconcile();
    assert!(one_pass.partitions[0].audit_complete);
    assert_eq!(one_pass.counts.records_in_log, 1);
}

#[test_case(TxnOutcome::Committed; "committed")]
#[test_case(TxnOutcome::Aborted; "aborted")]
#[test_case(TxnOutcome::Unknown; "nobody knows")]
fn a_transaction_partly_visible_is_torn(outcome: TxnOutcome) {
    let reconciliation = history(4)
        .transactional(true, None)
        .visible([message(0, 0), message(2, 3)])
        .log([message(1, 1)])
        .told([in_txn(0, Acked), in_txn(1, Acked), in_txn(2, Failed), txn_ended(outcome)])
        .told([in_txn(3, Acked), txn_ended(outcome)])
        .reconcile();
    assert_eq!(reconciliation.counts.torn_txn, 1);
    assert!(findings(&reconciliation).contains(&"0-1 torn_txn".to_owned()));
}

#[test]
fn a_transaction_is_torn_only_where_that_is_certain() {
    let torn = |history: History| {
        let history = history.told([in_txn(0, Acked), in_txn(1, Acked), txn_ended(TxnOutcome::Committed)]);
        history.counts().torn_txn
    };
    let base = |open_from| history(2).transactional(true, open_from).visible([message(0, 0)]);
    assert_eq!(torn(base(None)), 1);
    assert_eq!(torn(base(Some(1)).log([message(1, 1)])), 0, "the rest is hidden");
    assert_eq!(torn(base(None).audit(|audit| audit.complete = false)), 0, "the rest was not read");
    assert_eq!(torn(base(None).audit(|audit| audit.log_start = 1)), 0, "the rest may have expired");
    let unknown = base(None).audit(|audit| audit.committed = Some(CommittedPass { complete: false, open_from: None }));
    assert_eq!(torn(unknown.log([message(1, 1)])), 0, "the rest may be visible");
    let resent = Identity { attempt: 1, ..id(1) };
    let resent = base(None).visible([audited(1, Content::Message(resent))]);
    assert_eq!(torn(resent), 1, "the application sent it again, after that transaction");
}
