//! Random histories: the streaming code gives what looking up each sequence gives.

use proptest::prelude::*;

use super::slow::{self, Processing, Report};
use super::*;
use crate::category::Told;
use crate::record::{Identity, Record};

const RUN: u64 = 7;
/// `u64::MAX` stands for "none" in the slow code.
const LAST: u64 = u64::MAX - 1;
/// Two producers, of which one has two partitions.
const IDS: [StreamId; 3] = [
    StreamId { producer: 1, partition: 0 },
    StreamId { producer: 1, partition: 1 },
    StreamId { producer: 2, partition: 0 },
];

#[derive(Debug, Clone)]
struct History {
    streams: Vec<PacedStream>,
    windows: Vec<Window>,
    /// By stream, in the order of time.
    reports: Vec<Report>,
    /// In the order of time.
    processings: Vec<Processing>,
    end_ns: u64,
}

/// Nanoseconds in units that make times round, or not, to milliseconds.
fn moment(unit: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        12 => (1_u64..200).prop_map(move |n| n * unit),
        1 => 1..=LAST,
    ]
}

/// Steps of time, nearly all small.
fn step(unit: u64) -> impl Strategy<Value = u64> {
    prop_oneof![40 => (0_u64..6).prop_map(move |n| n * unit), 1 => any::<u64>()]
}

fn stream(id: StreamId, unit: u64) -> impl Strategy<Value = PacedStream> {
    let period = || prop_oneof![12 => (0_u64..10).prop_map(move |n| n * unit), 1 => any::<u64>()];
    // Restarts: sequences since the one before, time that it was away, and its period.
    let restarts = proptest::collection::vec((0_u64..15, 0_u64..20, period()), 0..3);
    (0_u64..40, 0_u64..3, moment(unit), period(), restarts).prop_map(
        move |(offered, first, start_ns, period_ns, restarts)| {
            let mut last = Pace { first, start_ns, period_ns };
            let mut paces = vec![last];
            for (sequences, away, period_ns) in restarts {
                let first = last.first + sequences;
                // Its first is meant to be sent after the last of the one before, at the latest as that ended.
                let start = last.intended_ns(first.saturating_sub(1)).saturating_add(away * unit);
                // Nothing is due before CLOCK_BOOTTIME began.
                let Some(start_ns) = first.checked_mul(period_ns).and_then(|before| start.checked_sub(before)) else {
                    continue;
                };
                last = Pace { first, start_ns, period_ns };
                paces.push(last);
            }
            PacedStream { id, offered, paces }
        },
    )
}

fn window(unit: u64) -> impl Strategy<Value = Window> {
    let later = || proptest::option::weighted(0.8, moment(unit));
    let partitions = prop_oneof![3 => Just(None), 1 => Just(Some(vec![0])), 1 => Just(Some(vec![]))];
    (moment(unit), later(), later(), later(), partitions).prop_map(
        |(called_ns, healed_ns, recovered_ns, given_up_ns, partitions)| Window {
            called_ns,
            healed_ns,
            recovered_ns,
            given_up_ns,
            partitions,
        },
    )
}

fn told(acks: bool) -> BoxedStrategy<Told> {
    if acks {
        prop_oneof![
            6 => Just(Told::Acked),
            2 => Just(Told::Failed),
            1 => Just(Told::Indeterminate),
            2 => Just(Told::Unsent),
        ]
        .boxed()
    } else {
        prop_oneof![4 => Just(Told::Unconfirmed), 1 => Just(Told::Indeterminate)].boxed()
    }
}

/// Nearly in order, some again, some of what was never offered.
fn reports(id: StreamId, unit: u64) -> impl Strategy<Value = Vec<Report>> {
    let acks = proptest::bool::weighted(0.9);
    let ones = acks.prop_flat_map(move |acks| proptest::collection::vec((-6_i64..6, told(acks), step(unit)), 0..60));
    (moment(unit), ones).prop_map(move |(mut at_ns, ones)| {
        (0..)
            .zip(ones)
            .map(|(next, (offset, told, step)): (i64, _)| {
                at_ns = at_ns.saturating_add(step).min(LAST);
                (id, (next + offset).unsigned_abs(), told, at_ns)
            })
            .collect()
    })
}

fn processings(unit: u64) -> impl Strategy<Value = Vec<Processing>> {
    let message = proptest::option::weighted(0.95, (proptest::sample::select(&IDS[..]), 0_u64..45));
    let one = (message, 0_i32..3, step(unit));
    (moment(unit), proptest::collection::vec(one, 0..60)).prop_map(|(mut at_ns, ones)| {
        ones.into_iter()
            .map(|(message, partition, step)| {
                at_ns = at_ns.saturating_add(step).min(LAST);
                // Most are read from where they were sent to.
                let partition = if partition == 0 { 0 } else { message.map_or(partition, |(id, _)| id.partition) };
                (message, partition, at_ns)
            })
            .collect()
    })
}

fn history() -> impl Strategy<Value = History> {
    prop_oneof![Just(1_u64), Just(333_333)].prop_flat_map(|unit| {
        (
            IDS.map(|id| stream(id, unit)),
            proptest::collection::vec(window(unit), 0..4),
            IDS.map(|id| reports(id, unit)),
            processings(unit),
            moment(unit),
        )
            .prop_map(|(streams, windows, reports, processings, end_ns)| History {
                streams: streams.to_vec(),
                windows,
                reports: reports.concat(),
                processings,
                end_ns,
            })
    })
}

/// The times of a history as the journals tell it.
fn streamed(history: &History) -> Times {
    let mut keeper = Timekeeper::new(RUN, &history.streams, history.windows.clone());
    for &(id, sequence, told, at_ns) in &history.reports {
        let record = Record::Told {
            partition: id.partition,
            sequence,
            attempt: 0,
            told,
            offset: None,
            error: 0,
            broker: None,
            in_txn: false,
            at_ns,
        };
        keeper.producer_record(id.producer, &record);
    }
    for &(message, partition, at_ns) in &history.processings {
        let identity = message.map(|(id, sequence)| Identity {
            run: RUN,
            producer: id.producer,
            incarnation: 0,
            partition: id.partition,
            sequence,
            attempt: 0,
        });
        keeper.consumer_record(&Record::Processed { partition, offset: 0, identity, at_ns });
    }
    keeper.finish(history.end_ns)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn streaming_agrees_with_looking_up_each_sequence(history in history()) {
        let History { streams, windows, reports, processings, end_ns } = &history;
        let wanted = slow::times(streams, windows, reports, processings, *end_ns);
        prop_assert_eq!(streamed(&history), wanted);
    }

    /// A clock that goes back is none of ours, and not flattered all the same.
    #[test]
    fn times_out_of_order_never_shorten_a_wait(history in history(), moments in proptest::collection::vec(moment(1), 200)) {
        let mut history = history;
        for (report, at_ns) in history.reports.iter_mut().zip(moments) {
            report.3 = at_ns;
        }
        let History { streams, windows, reports, processings, end_ns } = &history;
        let (found, wanted) = (streamed(&history), slow::times(streams, windows, reports, processings, *end_ns));
        let (found_ms, wanted_ms) = (found.unavailable.map(|span| span.ms), wanted.unavailable.map(|span| span.ms));
        prop_assert!(found_ms >= wanted_ms, "{:?} {:?}", found_ms, wanted_ms);
        prop_assert_eq!(found.exposed, wanted.exposed);
        let exposure = |times: &Times| times.windows.iter().map(|window| window.exposure).collect::<Vec<_>>();
        prop_assert_eq!(exposure(&found), exposure(&wanted));
    }
}
