//! Streams of one message every 10 ms, told by hand.

use super::*;
use crate::category::Told;
use crate::record::{Identity, Record, TxnOutcome};

const MS: u64 = 1_000_000;
const START: u64 = 1_000 * MS;
const RUN: u64 = 7;
const ID: StreamId = StreamId { producer: 1, partition: 0 };

fn stream(offered: u64) -> PacedStream {
    PacedStream { id: ID, offered, paces: vec![Pace { first: 0, start_ns: START, period_ns: 10 * MS }] }
}

/// A report, `at_ms` after the stream's start.
fn report(sequence: u64, told: Told, at_ms: u64) -> Record {
    Record::Told {
        partition: 0,
        sequence,
        attempt: 0,
        told,
        offset: None,
        error: 0,
        broker: None,
        in_txn: false,
        at_ns: START + at_ms * MS,
    }
}

fn processing(partition: i32, at_ms: u64) -> Record {
    Record::Processed { partition, offset: 0, identity: None, at_ns: START + at_ms * MS }
}

fn window(called_ms: u64, healed_ms: u64, recovered_ms: u64) -> Window {
    Window {
        called_ns: START + called_ms * MS,
        healed_ns: Some(START + healed_ms * MS),
        recovered_ns: Some(START + recovered_ms * MS),
        given_up_ns: None,
        partitions: None,
    }
}

fn times(offered: u64, windows: Vec<Window>, records: &[Record], end_ms: u64) -> Times {
    let mut keeper = Timekeeper::new(RUN, &[stream(offered)], windows);
    for record in records {
        keeper.producer_record(ID.producer, record);
        keeper.consumer_record(record);
    }
    keeper.finish(START + end_ms * MS)
}

fn unavailable(offered: u64, records: &[Record], end_ms: u64) -> Option<Span> {
    times(offered, vec![], records, end_ms).unavailable
}

const fn exactly(ms: u64) -> Option<Span> {
    Some(Span { ms, at_least: false })
}

const fn at_least(ms: u64) -> Option<Span> {
    Some(Span { ms, at_least: true })
}

#[test]
fn a_healthy_stream_is_unavailable_for_its_latency() {
    // 35 ms of latency: three messages are always in flight.
    let acks: Vec<_> = (0..100).map(|n| report(n, Told::Acked, n * 10 + 35)).collect();
    assert_eq!(unavailable(100, &acks, 5_000), exactly(35));
}

#[test]
fn an_outage_is_as_long_as_it_is_for_the_message_it_began_with() {
    // From 100 ms to 8,100 ms nothing is acknowledged; then the backlog at once.
    let acks: Vec<_> =
        (0..1_000).map(|n| report(n, Told::Acked, (n * 10 + 5).max(if n < 10 { 0 } else { 8_100 }))).collect();
    assert_eq!(unavailable(1_000, &acks, 20_000), exactly(8_000));
}

#[test]
fn an_outage_whose_messages_failed_ends_with_the_first_ack_after_it() {
    let reports: Vec<_> = (0..100)
        .map(|n| match n {
            10..60 => report(n, Told::Failed, n * 10 + 5),
            _ => report(n, Told::Acked, n * 10 + 5),
        })
        .collect();
    // From 100 ms, when sequence 10 was due, until sequence 60 was acknowledged at 605 ms.
    assert_eq!(unavailable(100, &reports, 5_000), exactly(505));
}

#[test]
fn unacknowledged_to_the_end_is_at_least() {
    let acks: Vec<_> = (0..10).map(|n| report(n, Told::Acked, n * 10 + 5)).collect();
    assert_eq!(unavailable(100, &acks, 7_100), at_least(7_000));
}

#[test]
fn after_the_last_report_nobody_tried() {
    let reports: Vec<_> = (0..100)
        .map(|n| match n {
            90.. => report(n, Told::Failed, n * 10 + 5),
            _ => report(n, Told::Acked, n * 10 + 5),
        })
        .collect();
    assert_eq!(unavailable(100, &reports, 60_000), at_least(95));
}

#[test]
fn acks_out_of_order_end_the_wait_of_those_before() {
    let acks = [report(1, Told::Acked, 20), report(0, Told::Acked, 500), report(2, Told::Acked, 25)];
    assert_eq!(unavailable(3, &acks, 1_000), exactly(20));
}

#[test]
fn acks_0_and_an_empty_stream_have_no_times() {
    let reports = [report(0, Told::Unconfirmed, 1)];
    let times = times(1, vec![window(0, 1, 1)], &reports, 1_000);
    assert_eq!(times.unavailable, None);
    assert_eq!(times.ack_latency_ms, None);
    assert_eq!(times.windows[0].resumption.acks, None);
    assert_eq!(times.windows[0].resumption.unacked_partitions, [0; 0]);

    let nothing = self::times(0, vec![window(0, 1, 1)], &[], 1_000);
    assert_eq!(nothing.unavailable, None);
    assert_eq!(nothing.resumed_within(), None);
    assert_eq!(nothing.windows[0].resumption.unprocessed_partitions, [0; 0]);
}

#[test]
fn fractions_are_never_in_the_promises_favour() {
    assert_eq!(Span::closed(29_000_000_001).ms, 29_001);
    assert_eq!(Span::open(29_999_999).ms, 29);
}

#[test]
fn with_one_stream_open_the_longest_is_open() {
    let other = StreamId { producer: 1, partition: 1 };
    let second = PacedStream { id: other, ..stream(1) };
    let mut keeper = Timekeeper::new(RUN, &[stream(1), second], vec![]);
    keeper.producer_record(1, &report(0, Told::Acked, 900));
    assert_eq!(keeper.finish(START + 300 * MS).unavailable, at_least(900));
}

#[test]
fn latency_counts_from_the_intended_moment_and_once_a_message() {
    let mut records: Vec<_> = (0..2_000).map(|n| report(n, Told::Acked, n * 10 + 2)).collect();
    records[1_999] = report(1_999, Told::Acked, 19_990 + 400);
    records.push(report(0, Told::Acked, 9_000));
    let latency = times(2_000, vec![], &records, 30_000).ack_latency_ms.unwrap();
    assert!(near(latency.p50, 2.0), "{latency:?}");
    assert!(near(latency.p99, 2.0), "{latency:?}");
    assert!(near(latency.p999, 2.0), "{latency:?}");
    assert!(near(latency.max, 400.0), "{latency:?}");
}

#[test]
fn exposed_is_what_was_on_its_way() {
    // Due at 0, 10, 20, 30, 40, 50, 60 ms; the window lasts from 20 to 40 ms.
    let records = [
        report(0, Told::Acked, 5),
        report(1, Told::Acked, 20),
        report(2, Told::Indeterminate, 25),
        report(3, Told::Unsent, 30),
        // 4: no report.
        report(5, Told::Acked, 55),
        // 6: no report, and due after the window.
    ];
    let elsewhere = Window { partitions: Some(vec![1]), ..window(0, 60, 60) };
    let windows = vec![window(20, 30, 40), window(22, 23, 24), elsewhere];
    let times = times(7, windows, &records, 100);
    assert_eq!(times.windows.iter().map(|window| window.exposure).collect::<Vec<_>>(), [3, 1, 0]);
    assert_eq!(times.exposed, 3);
}

#[test]
fn a_resend_that_was_dropped_does_not_undo_the_first_send() {
    let records = [report(0, Told::Indeterminate, 25), report(0, Told::Unsent, 30), report(1, Told::Unsent, 30)];
    assert_eq!(times(2, vec![window(20, 30, 40)], &records, 100).exposed, 1);
}

#[test]
fn a_fault_never_healed_exposes_to_the_end() {
    let open = Window { healed_ns: None, recovered_ns: None, ..window(15, 0, 0) };
    let acks: Vec<_> = (0..4).map(|n| report(n, Told::Acked, n * 10 + 1)).collect();
    let times = times(4, vec![open], &acks, 100);
    assert_eq!(times.windows[0].exposure, 2);
    assert_eq!(times.resumed_within(), None);
}

#[test]
fn resumption_is_that_of_the_last_stream_and_partition() {
    let second = PacedStream { id: StreamId { producer: 1, partition: 1 }, ..stream(100) };
    let mut keeper = Timekeeper::new(RUN, &[stream(100), second], vec![window(0, 100, 200)]);
    keeper.producer_record(1, &report(0, Told::Acked, 99));
    keeper.producer_record(1, &report(1, Told::Acked, 130));
    let Record::Told { sequence, told, at_ns, .. } = report(0, Told::Acked, 250) else { unreachable!() };
    keeper.producer_record(
        1,
        &Record::Told {
            partition: 1,
            sequence,
            attempt: 0,
            told,
            offset: None,
            error: 0,
            broker: None,
            in_txn: false,
            at_ns,
        },
    );
    keeper.consumer_record(&processing(0, 50));
    keeper.consumer_record(&processing(0, 300));
    let times = keeper.finish(START + 1_100 * MS);
    assert_eq!(
        times.windows[0].resumption,
        Resumption {
            acks: exactly(150),
            processing: at_least(1_000),
            unacked_partitions: vec![0],
            unprocessed_partitions: vec![1],
        }
    );
    assert_eq!(times.resumed_within(), at_least(1_000));
}

fn near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= wanted / 500.0
}

/// An outage from 1,000 ms to 9,000 ms: nothing is acknowledged in it, then the backlog at once; 2 ms
/// of latency before and after.
fn outage(offered: u64) -> Vec<Record> {
    let at_ms = |n: u64| match n * 10 {
        due @ 1_000..9_000 => due.max(9_000),
        due => due + 2,
    };
    (0..offered).map(|n| report(n, Told::Acked, at_ms(n))).collect()
}

#[test]
fn an_outage_belongs_to_the_fault_that_it_overlaps() {
    let windows = vec![window(500, 800, 900), window(2_000, 6_000, 8_000), window(9_500, 9_600, 9_700)];
    let times = times(1_200, windows, &outage(1_200), 20_000);
    assert_eq!(times.unavailable, exactly(8_000));
    let unavailable: Vec<_> = times.windows.iter().map(|window| window.unavailable).collect();
    // In its full length, though it began before the fault and outlasted it.
    assert_eq!(unavailable, [exactly(2), exactly(8_000), exactly(2)]);
    assert_eq!(times.unavailable_in_faults(), exactly(8_000));
    // Due at 1,000, 1,010, ... and at 9,000 ms itself.
    let waited: Vec<_> = times.windows.iter().map(|window| window.waited).collect();
    assert_eq!(waited, [1, 801, 1]);
}

#[test]
fn those_that_waited_are_summed_over_the_streams() {
    let second = PacedStream { id: StreamId { producer: 1, partition: 1 }, ..stream(10) };
    let mut keeper = Timekeeper::new(RUN, &[stream(10), second], vec![window(10, 30, 39)]);
    // Sequences 0 to 4 wait for 45 ms; in the other stream sequences 1 and 2 for 15 ms.
    keeper.producer_record(1, &report(4, Told::Acked, 45));
    for (sequence, at_ms) in [(0, 1), (2, 25), (3, 31)] {
        let mut record = report(sequence, Told::Acked, at_ms);
        if let Record::Told { partition, .. } = &mut record {
            *partition = 1;
        }
        keeper.producer_record(1, &record);
    }
    let times = keeper.finish(START + 100 * MS);
    assert_eq!(times.windows[0].waited, 5 + 2);
    // What both streams still wait for came due after it.
    assert_eq!(times.windows[0].unavailable, exactly(45));
}

#[test]
fn an_outage_without_end_belongs_to_all_faults_since_it_began() {
    let acks: Vec<_> = (0..10).map(|n| report(n, Told::Acked, n * 10 + 5)).collect();
    let windows = vec![window(20, 40, 50), window(60, 120, 150), window(400, 500, 600)];
    let times = times(100, windows, &acks, 7_100);
    let unavailable: Vec<_> = times.windows.iter().map(|window| window.unavailable).collect();
    assert_eq!(unavailable, [exactly(5), at_least(7_000), at_least(7_000)]);
    assert_eq!(times.windows[1].waited, 90);
}

#[test]
fn a_fault_in_which_no_message_was_due_has_no_times() {
    let acks: Vec<_> = (0..10).map(|n| report(n, Told::Acked, n * 10 + 5)).collect();
    let never = Window { called_ns: u64::MAX, healed_ns: None, recovered_ns: None, ..window(0, 0, 0) };
    let times = times(10, vec![window(200, 300, 400), never], &acks, 1_000);
    for window in &times.windows {
        assert_eq!((window.unavailable, window.waited, window.ack_latency_ms), (None, 0, None));
    }
    assert_eq!(times.unavailable_in_faults(), None);
}

#[test]
fn latency_in_a_fault_stands_beside_the_quiet_one() {
    let times = times(1_200, vec![window(1_500, 6_000, 9_500)], &outage(1_200), 20_000);
    let [all, quiet, during] =
        [times.ack_latency_ms, times.ack_latency_quiet_ms, times.windows[0].ack_latency_ms].map(Option::unwrap);
    assert!(near(quiet.max, 2.0), "{quiet:?}");
    assert!(near(during.max, 8_000.0), "{during:?}");
    // 851 messages waited in it: 800 for 8,000, 7,990, ... 10 ms, and 51 after them for 2 ms.
    assert!(near(during.p50, 3_750.0), "{during:?}");
    assert!(near(during.p99, 7_920.0), "{during:?}");
    assert!(near(all.max, 8_000.0) && near(all.p50, 2_000.0), "{all:?}");
}

#[test]
fn the_longest_is_as_measured_and_nothing_is_above_it() {
    let acks = [report(0, Told::Acked, 21_851), report(1, Told::Acked, 172_800_010)];
    assert_eq!(times(1, vec![], &acks[..1], 30_000).ack_latency_ms.map(|l| (l.p50, l.max)), Some((21_851.0, 21_851.0)));
    let two_days = times(2, vec![], &acks, 172_900_000).ack_latency_ms.unwrap();
    assert_eq!(two_days.max, 172_800_000.0);
    // Told apart up to a day.
    assert!(near(two_days.p999, 86_400_000.0), "{two_days:?}");
}

#[test]
fn without_faults_all_is_quiet() {
    let times = times(10, vec![], &[report(0, Told::Acked, 3)], 1_000);
    assert!(times.ack_latency_ms.is_some());
    assert_eq!(times.ack_latency_quiet_ms, times.ack_latency_ms);
}

#[test]
fn recovery_counts_from_the_heal() {
    let given_up = Window { recovered_ns: None, given_up_ns: Some(START + 900 * MS), ..window(0, 100, 0) };
    let unseen = Window { recovered_ns: None, ..window(0, 100, 0) };
    let unhealed = Window { healed_ns: None, ..unseen.clone() };
    let recovered = |windows: &[Window]| times(0, windows.to_vec(), &[], 5_000).recovered_within();
    assert_eq!(recovered(&[window(0, 100, 350)]), exactly(250));
    assert_eq!(recovered(&[window(0, 100, 350), window(400, 500, 505)]), exactly(250));
    assert_eq!(recovered(&[window(0, 100, 350), given_up.clone()]), at_least(800));
    assert_eq!(recovered(&[window(0, 100, 350), unseen]), at_least(250));
    assert_eq!(recovered(&[unhealed]), None);
    assert_eq!(times(0, vec![given_up], &[], 5_000).windows[0].recovery, at_least(800));
}

fn processing_of(sequence: u64, run: u64, at_ms: u64) -> Record {
    let identity = Identity { run, producer: 1, incarnation: 0, partition: 0, sequence, attempt: 0 };
    Record::Processed { partition: 0, offset: 0, identity: Some(identity), at_ns: START + at_ms * MS }
}

#[test]
fn end_to_end_counts_the_first_processing_from_the_intended_moment() {
    let records = [
        processing_of(0, RUN, 7),
        processing_of(1, RUN, 110),
        // Again; of another run; never offered; damaged.
        processing_of(0, RUN, 5_000),
        processing_of(2, RUN + 1, 6_000),
        processing_of(10, RUN, 7_000),
        processing(0, 8_000),
    ];
    let latency = times(10, vec![], &records, 10_000).end_to_end_ms.unwrap();
    assert!(near(latency.p50, 7.0), "{latency:?}");
    assert!(near(latency.max, 100.0), "{latency:?}");
    assert_eq!(times(10, vec![], &[processing(0, 8_000)], 10_000).end_to_end_ms, None);
}

#[test]
fn end_to_end_needs_no_ack() {
    let records = [report(0, Told::Unconfirmed, 1), processing_of(0, RUN, 20)];
    let times = times(1, vec![], &records, 1_000);
    assert_eq!(times.ack_latency_ms, None);
    assert!(near(times.end_to_end_ms.unwrap().max, 20.0));
}

fn in_txn(sequence: u64, told: Told, at_ms: u64) -> Record {
    let mut record = report(sequence, told, at_ms);
    if let Record::Told { in_txn, .. } = &mut record {
        *in_txn = true;
    }
    record
}

const fn txn(outcome: TxnOutcome, at_ms: u64) -> Record {
    Record::TxnEnded { partition: 0, outcome, at_ns: START + at_ms * MS }
}

#[test]
fn in_a_transaction_the_commit_is_the_ack() {
    let records = [
        in_txn(0, Told::Acked, 5),
        in_txn(1, Told::Acked, 15),
        txn(TxnOutcome::Committed, 50),
        in_txn(2, Told::Acked, 55),
        txn(TxnOutcome::Aborted, 60),
        in_txn(3, Told::Acked, 65),
        txn(TxnOutcome::Unknown, 70),
        report(4, Told::Acked, 75),
    ];
    let times = times(5, vec![window(52, 56, 58)], &records, 1_000);
    // Two of the five have no ack: 50, 40 and 35 ms are left.
    let latency = times.ack_latency_ms.unwrap();
    assert!(near(latency.max, 50.0) && near(latency.p50, 40.0), "{latency:?}");
    // From 20 ms, when sequence 2 was due, until sequence 4 was acknowledged.
    assert_eq!(times.unavailable, exactly(55));
    // On their way until their transaction ended: 2, 3 and 4.
    assert_eq!(times.windows[0].exposure, 3);
}

#[test]
fn a_transaction_left_open_is_not_heard_of_any_more() {
    let mut keeper = Timekeeper::new(RUN, &[stream(3)], vec![window(100, 200, 300)]);
    keeper.producer_record(1, &in_txn(0, Told::Acked, 5));
    keeper.producer_record(1, &in_txn(1, Told::Failed, 15));
    keeper.producer_journal_ended(ID);
    // The commit of the next incarnation is not about them.
    keeper.producer_record(1, &in_txn(2, Told::Indeterminate, 40));
    keeper.producer_record(1, &txn(TxnOutcome::Committed, 50));
    let times = keeper.finish(START + 1_000 * MS);
    assert_eq!(times.ack_latency_ms, None);
    assert_eq!(times.unavailable, at_least(1_000));
    assert_eq!(times.exposed, 2);
}

#[test]
fn a_message_sent_again_is_on_its_way_until_its_last_report() {
    let records = [
        report(0, Told::Failed, 5),
        report(1, Told::Failed, 15),
        report(2, Told::Acked, 25),
        // After the call: sequence 1 was on its way, 0 was not.
        report(1, Told::Indeterminate, 45),
    ];
    let windows = vec![window(40, 50, 60), window(46, 50, 60)];
    let times = times(3, windows, &records, 100);
    assert_eq!(times.windows.iter().map(|window| window.exposure).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(times.exposed, 1);
}

#[test]
fn a_header_that_claims_too_much_costs_nothing() {
    let acks: Vec<_> = (0..100).map(|n| report(n, Told::Acked, n * 10 + 5)).collect();
    let times = times(u64::MAX, vec![window(200, 300, 400)], &acks, 7_100);
    assert!(times.unavailable.is_some_and(|span| span.at_least));
    // Due until the window's end at 400 ms, and not acknowledged before its call.
    assert_eq!(times.windows[0].exposure, 41 - 20);
    assert_eq!(times.exposed, 21);
}

/// Two messages each before and after 500 ms in which the producer was away.
fn restarted() -> PacedStream {
    let away = Pace { first: 2, start_ns: START + 500 * MS, period_ns: 10 * MS };
    PacedStream { paces: vec![stream(0).paces[0], away], ..stream(4) }
}

fn times_of_restarted(windows: Vec<Window>, records: &[Record]) -> Times {
    let mut keeper = Timekeeper::new(RUN, &[restarted()], windows);
    records.iter().for_each(|record| keeper.producer_record(ID.producer, record));
    keeper.finish(START + 1_000 * MS)
}

#[test]
fn messages_of_a_restarted_producer_are_due_from_its_restart_on() {
    let records = [(0, 1), (1, 12), (2, 523), (3, 534)].map(|(n, at_ms)| report(n, Told::Acked, at_ms));
    let times = times_of_restarted(vec![window(100, 200, 300)], &records);
    assert_eq!(times.ack_latency_ms.unwrap().max, 4.0);
    assert_eq!(times.unavailable, exactly(4), "nothing was due while it was away");
    assert_eq!(times.windows[0].exposure, 0);
}

#[test]
fn what_a_killed_producer_left_unreported_waits_for_the_next_incarnation() {
    let records = [(0, 1), (2, 523), (3, 534)].map(|(n, at_ms)| report(n, Told::Acked, at_ms));
    let times = times_of_restarted(vec![window(15, 500, 510)], &records);
    assert_eq!(times.unavailable, exactly(523 - 10));
    assert_eq!(times.windows[0].waited, 2, "the one left, and the first of the next incarnation");
    assert_eq!(times.windows[0].exposure, 1);
}
