//! Streams of one message every 10 ms, told by hand.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const START: u64 = 1_000 * MS;
const ID: StreamId = StreamId { producer: 1, partition: 0 };

const fn stream(offered: u64) -> PacedStream {
    PacedStream { id: ID, offered, start_ns: START, period_ns: 10 * MS }
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
        partitions: None,
    }
}

fn times(offered: u64, windows: Vec<Window>, records: &[Record], end_ms: u64) -> Times {
    let mut keeper = Timekeeper::new(&[stream(offered)], windows);
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
    assert_eq!(times.resumption[0].acks, None);
    assert_eq!(times.resumption[0].unacked_partitions, [0; 0]);

    let nothing = self::times(0, vec![window(0, 1, 1)], &[], 1_000);
    assert_eq!(nothing.unavailable, None);
    assert_eq!(nothing.resumed_within(), None);
    assert_eq!(nothing.resumption[0].unprocessed_partitions, [0; 0]);
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
    let mut keeper = Timekeeper::new(&[stream(1), second], vec![]);
    keeper.producer_record(1, &report(0, Told::Acked, 900));
    assert_eq!(keeper.finish(START + 300 * MS).unavailable, at_least(900));
}

#[test]
fn latency_counts_from_the_intended_moment_and_once_a_message() {
    let mut records: Vec<_> = (0..2_000).map(|n| report(n, Told::Acked, n * 10 + 2)).collect();
    records[1_999] = report(1_999, Told::Acked, 19_990 + 400);
    records.push(report(0, Told::Acked, 9_000));
    let latency = times(2_000, vec![], &records, 30_000).ack_latency_ms.unwrap();
    let near = |value: f64, wanted: f64| (value - wanted).abs() <= wanted / 500.0;
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
    assert_eq!(times.exposure, [3, 1, 0]);
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
    assert_eq!(times.exposure, [2]);
    assert_eq!(times.resumed_within(), None);
}

#[test]
fn resumption_is_that_of_the_last_stream_and_partition() {
    let second = PacedStream { id: StreamId { producer: 1, partition: 1 }, ..stream(100) };
    let mut keeper = Timekeeper::new(&[stream(100), second], vec![window(0, 100, 200)]);
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
        times.resumption,
        [Resumption {
            acks: exactly(150),
            processing: at_least(1_000),
            unacked_partitions: vec![0],
            unprocessed_partitions: vec![1],
        }]
    );
    assert_eq!(times.resumed_within(), at_least(1_000));
}

/// What became of a message: its report and how long after the intended moment, in ms.
fn fate() -> impl Strategy<Value = Option<(Told, u64)>> {
    let told = prop_oneof![4 => Just(Told::Acked), 1 => Just(Told::Failed)];
    proptest::option::weighted(0.9, (told, 0_u64..300))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// One pass backwards gives what looking at each message's successors gives.
    #[test]
    fn unavailability_agrees_with_its_definition(fates in proptest::collection::vec(fate(), 1..60)) {
        let end_ms = 5_000;
        let timed: Vec<_> = (0..)
            .zip(&fates)
            .map(|(n, fate)| (n * 10, fate.map(|(told, after)| (told, n * 10 + after))))
            .collect();
        let reports: Vec<_> = (0..)
            .zip(&timed)
            .filter_map(|(n, (_, fate))| fate.map(|(told, at_ms)| report(n, told, at_ms)))
            .collect();

        let mut longest = 0;
        let mut open = false;
        for (n, (intended, _)) in timed.iter().enumerate() {
            let rest = &timed[n..];
            let acks = rest.iter().filter_map(|(_, fate)| match fate {
                Some((Told::Acked, at)) => Some(*at),
                _ => None,
            });
            let last_try = rest
                .iter()
                .map(|(intended, fate)| fate.map_or(end_ms, |(_, at)| at.max(*intended)))
                .max()
                .unwrap();
            let until = acks.min();
            open |= until.is_none();
            longest = longest.max(until.unwrap_or(last_try) - intended);
        }
        let found = unavailable(fates.len() as u64, &reports, end_ms);
        prop_assert_eq!(found, Some(Span { ms: longest, at_least: open }));
    }
}
