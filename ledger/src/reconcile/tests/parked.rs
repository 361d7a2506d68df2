//! Messages parked outside the topic.

use test_case::test_case;

use super::*;

fn held(place: Place, sequence: u64) -> Record {
    Record::Held { place, identity: id(sequence), at_ns: 0 }
}

#[test_case(Place::ProducerDlq)]
#[test_case(Place::Spool)]
#[test_case(Place::Outbox)]
fn what_is_parked_is_recovered(place: Place) {
    let reconciliation = history(4)
        .log([held(place, 0), held(place, 1), held(place, 2), message(0, 2), held(place, 9)])
        .told([told(0, Failed, None), told(1, Acked, None), told(2, Indeterminate, None)])
        .group([processed(0, 2)])
        .reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.recovered, counts.lost_in_cluster, counts.delivered), (1, 1, 1));
    assert_eq!((counts.recovered_and_landed, counts.undelivered.total(), counts.lost), (1, 1, 2));
    assert_eq!(
        findings(&reconciliation),
        ["0-0 recovered", "1-1 lost_in_cluster", "2-2 recovered_and_landed", "3-3 undelivered"]
    );
}

#[test]
fn what_the_consumer_put_aside_is_delivered() {
    let other_run = Identity { run: 8, ..id(1) };
    let other_run = Record::Held { place: Place::ConsumerDlq, identity: other_run, at_ns: 0 };
    let reconciliation =
        history(2).log([message(0, 0), message(1, 1), held(Place::ConsumerDlq, 0), other_run]).reconcile();
    let counts = reconciliation.counts;
    assert_eq!((counts.delivered, counts.dead_lettered, counts.lost_by_consumer), (1, 1, 1));
    assert_eq!(findings(&reconciliation), ["0-0 dead_lettered", "1-1 lost_by_consumer"]);
}
