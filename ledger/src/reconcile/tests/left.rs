//! What left the log at its start, or by compaction.

use super::*;

impl History {
    fn tail(mut self, tail: Tail) -> Self {
        self.facts.partitions[0].audit.as_mut().unwrap().tail = Some(tail);
        self
    }

    fn log_start(mut self, offset: i64) -> Self {
        self.facts.partitions[0].audit.as_mut().unwrap().log_start = offset;
        self
    }
}

fn tailed(offset: i64, sequence: u64) -> Record {
    Record::Tailed { partition: P, offset, identity: Some(id(sequence)), at_ns: 0 }
}

#[test]
fn what_the_tail_reader_saw_below_the_start_has_expired() {
    let base = || {
        history(4)
            .log_start(2)
            .log([tailed(0, 0), tailed(1, 1), tailed(2, 3), message(2, 2)])
            .told([told(0, Acked, 0), told(1, Acked, 1), told(2, Acked, 2), told(3, Acked, 3)])
            .group([processed(1, 1), processed(2, 2)])
    };
    let reconciliation = base().tail(Tail { from: 0, position: 2, keys: None }).reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.expired, counts.lost_in_cluster, counts.lost), (2, 1, 1, 2));
    assert_eq!(findings(&reconciliation), ["0-0 expired", "3-3 lost_in_cluster"]);
    assert!(reconciliation.partitions[0].audit_complete);

    for gap in [Tail { from: 0, position: 1, keys: None }, Tail { from: 1, position: 9, keys: None }] {
        let reconciliation = base().tail(gap).reconcile();
        assert_eq!((reconciliation.counts.expired, reconciliation.counts.unreadable), (1, 1), "{gap:?}");
        assert!(!reconciliation.partitions[0].audit_complete);
    }
    let no_tail = base().counts();
    assert_eq!((no_tail.expired, no_tail.unreadable), (0, 2));
    let unread = base().tail(Tail { from: 0, position: 2, keys: None }).audit(|audit| audit.complete = false);
    assert_eq!((unread.counts().expired, unread.counts().unreadable), (0, 2), "it may lie further on");
}

#[test]
fn what_the_tail_reader_saw_in_the_log_and_is_not_there_was_truncated() {
    let counts = history(2)
        .tail(Tail { from: 0, position: 9, keys: None })
        .log([tailed(0, 0), tailed(1, 1), message(0, 0)])
        .told([told(0, Acked, 0), told(1, Acked, 1)])
        .counts();
    assert_eq!((counts.lost_in_cluster, counts.expired), (1, 0));
}

/// Sequences 0, 2, 4 have one key, and 1, 3, 5 the other.
fn compacted() -> History {
    history(6)
        .tail(Tail { from: 0, position: 9, keys: Some(2) })
        .told([0, 1, 2, 3, 4, 5].map(|sequence| told(sequence, Acked, None)))
}

#[test]
fn what_a_later_record_of_its_key_superseded_is_compacted() {
    let reconciliation = compacted()
        .log([tailed(0, 0), tailed(1, 1), tailed(2, 2), tailed(3, 3), tailed(4, 4), tailed(5, 5)])
        .log([message(3, 3), message(4, 4)])
        .group([processed(3, 3), processed(4, 4)])
        .reconcile();
    let counts = reconciliation.counts;
    // 5 was the last of its key, and is gone all the same.
    assert_eq!((counts.delivered, counts.compacted, counts.lost_in_cluster, counts.lost), (2, 3, 1, 1));
    assert_eq!(findings(&reconciliation), ["0-2 compacted", "5-5 lost_in_cluster"]);
}

#[test]
fn what_another_record_replaced_was_truncated_whatever_its_key() {
    let counts = compacted().log([tailed(0, 0), tailed(1, 2), message(0, 0), message(1, 3), message(2, 4)]).counts();
    assert_eq!(counts.lost_in_cluster, 1, "{counts:?}");
    // Nobody saw 1 and 5, and their key is in the log.
    assert_eq!((counts.compacted, counts.unreadable), (0, 2));
}

#[test]
fn an_offset_may_tell_that_compaction_did_not_come_first() {
    let told_at =
        |offset| compacted().log([message(0, 0), message(1, 1), message(7, 3)]).told([told(5, Acked, offset)]).counts();
    // 2 and 4 come after 0: nobody knows.
    assert_eq!((told_at(None).unreadable, told_at(None).lost_in_cluster), (3, 0));
    assert_eq!(told_at(Some(8)).lost_in_cluster, 1, "beyond every record of its key");
    assert_eq!(told_at(Some(1)).lost_in_cluster, 1, "where another record lies");
    assert_eq!(told_at(Some(6)).lost_in_cluster, 0, "before one of its key");
}

#[test]
fn without_a_record_of_its_key_nothing_was_compacted() {
    let counts = compacted().log([message(0, 0)]).counts();
    assert_eq!((counts.lost_in_cluster, counts.unreadable), (3, 2));
}
