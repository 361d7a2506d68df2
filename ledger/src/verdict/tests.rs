//! The verdict by table: a run that passes, and one thing changed in each.

use test_case::test_case;

use super::*;
use crate::availability::{Latency, Resumption, Span, WindowTimes};
use crate::counts::{Counts, Undelivered};
use crate::reconcile::PartitionResult;

const fn span(ms: u64, at_least: bool) -> Option<Span> {
    Some(Span { ms, at_least })
}

fn profile(name: &str, counts: [Counts; 2]) -> ProfileOutcome {
    let mut sum = Counts::default();
    let partitions = (0..)
        .zip(counts)
        .map(|(partition, counts)| {
            sum += counts;
            PartitionResult { partition, counts, audit_complete: true, position_known: true }
        })
        .collect();
    ProfileOutcome {
        profile: name.to_owned(),
        reconciliation: Reconciliation {
            counts: sum,
            partitions,
            journals_complete: true,
            anomalies: vec![],
            anomalies_omitted: 0,
            strays: vec![],
            strays_omitted: 0,
        },
        times: Times {
            unavailable: span(8_200, false),
            exposed: 5_000,
            windows: vec![WindowTimes {
                resumption: Resumption {
                    acks: span(120, false),
                    processing: span(1_500, false),
                    ..Resumption::default()
                },
                ..WindowTimes::default()
            }],
            ..Times::default()
        },
        gaps: None,
        is_judged: true,
        read_committed: true,
        host_too_busy: false,
        deserted: Vec::new(),
        contradicted: Vec::new(),
    }
}

fn promise(profile: &str, metric: &str, comparison: Comparison, bound: u64) -> Promise {
    Promise { profile: profile.to_owned(), metric: Metric::named(metric).unwrap(), comparison, bound }
}

fn evidence(holds: bool) -> Option<Evidence> {
    Some(Evidence { holds, summary: "drops on the cut: 0.".to_owned() })
}

/// The baseline lost 100 and 50 messages in the cluster; the resilient profile none.
fn passing() -> Case {
    let lossy = |lost| Counts {
        offered: 1_000,
        acked: 1_000,
        delivered: 1_000 - lost,
        lost_in_cluster: lost,
        lost,
        ..Counts::default()
    };
    Case {
        promises: Promises {
            must_show: vec![promise("baseline", "lost_in_cluster", Comparison::AtLeast, 100)],
            must_hold: vec![
                promise("resilient", "lost", Comparison::Equal, 0),
                promise("resilient", "unavailable", Comparison::LessThan, 30_000),
                promise("resilient", "duplicates", Comparison::Equal, 0),
            ],
            min_exposure: vec![("resilient".to_owned(), 1_000)],
        },
        profiles: vec![profile("baseline", [lossy(100), lossy(50)]), profile("resilient", [lossy(0), lossy(0)])],
        faults: vec![FaultOutcome {
            profile: None,
            fault: 0,
            kind: "partition".to_owned(),
            brokers: vec![2],
            clients: vec![],
            same_for_all: true,
            passed_over: None,
            injected: evidence(true),
            healed: evidence(true),
            recovered: Some(Recovery { reached: true, state: "all replicas in sync.".to_owned() }),
        }],
        stopped_by: None,
    }
}

impl Case {
    fn baseline(&mut self) -> &mut ProfileOutcome {
        &mut self.profiles[0]
    }

    fn resilient(&mut self) -> &mut ProfileOutcome {
        &mut self.profiles[1]
    }

    /// Changes the resilient profile's count in one partition, and in the sum.
    fn count(&mut self, partition: usize, change: fn(&mut Counts)) {
        let reconciliation = &mut self.resilient().reconciliation;
        change(&mut reconciliation.partitions[partition].counts);
        change(&mut reconciliation.counts);
    }

    fn unread(&mut self, profile: usize, partition: usize) {
        self.profiles[profile].reconciliation.partitions[partition].audit_complete = false;
    }
}

fn told(change: impl FnOnce(&mut Case)) -> (Verdict, Vec<String>) {
    let mut case = passing();
    change(&mut case);
    let judgement = judge(&case);
    let reasons = judgement.reasons.iter().map(|r| r.text.clone()).collect();
    (judgement.verdict, reasons)
}

#[test]
fn a_pass_says_what_was_shown_and_what_held() {
    let (verdict, reasons) = told(|_| {});
    assert_eq!(verdict, Verdict::Pass);
    insta::assert_snapshot!(reasons.join("\n"), @r"
    baseline: lost_in_cluster is 150, and >= 100 was to be shown.
    resilient: lost is 0, and 0 was promised.
    resilient: unavailable is 8.2 s, and < 30 s was promised.
    resilient: duplicates is 0, and 0 was promised.
    ");
}

#[test]
fn what_is_only_counted_spoils_no_verdict() {
    let spoilt = |case: &mut Case| {
        case.baseline().deserted = vec!["baseline producer 0 ended (exit 1)".to_owned()];
        case.baseline().reconciliation.counts.lagging = 7;
        case.baseline().reconciliation.counts.phantom = 1;
        case.unread(0, 1);
    };
    assert_ne!(told(spoilt).0, Verdict::Pass);
    let (verdict, reasons) = told(|case| {
        spoilt(case);
        case.baseline().is_judged = false;
    });
    assert_eq!((verdict, reasons.len()), (Verdict::Pass, 4), "{reasons:?}");
}

#[test]
fn a_pass_without_promises_has_a_reason_too() {
    let (verdict, reasons) = told(|case| case.promises = Promises::default());
    assert_eq!((verdict, reasons.len()), (Verdict::Pass, 1));
}

#[test]
fn a_broken_promise_is_told_with_its_places() {
    let (verdict, reasons) = told(|case| {
        case.count(0, |counts| counts.lost += 3);
        case.count(1, |counts| counts.lost += 2);
    });
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(reasons.join("\n"), @"resilient: lost is 5 (partition 0: 3, partition 1: 2), but 0 was promised.");
}

fn kinds(change: impl FnOnce(&mut Case)) -> (Verdict, Vec<ReasonKind>) {
    let mut case = passing();
    change(&mut case);
    let judgement = judge(&case);
    let mut kinds: Vec<_> = judgement.reasons.iter().map(|r| r.kind).collect();
    assert!(kinds.is_sorted(), "the weightiest first");
    kinds.dedup();
    (judgement.verdict, kinds)
}

type Change = fn(&mut Case);

#[test_case(|c| c.count(0, |n| n.lost = 1); "lost")]
#[test_case(|c| c.count(1, |n| n.duplicates = 1); "duplicates")]
#[test_case(|c| c.resilient().times.unavailable = span(30_000, false); "unavailable too long")]
#[test_case(|c| c.resilient().times.unavailable = span(30_000, true); "unavailable too long and still so")]
#[test_case(|c| c.count(0, |n| n.phantom = 1); "phantom: promised by all")]
#[test_case(|c| c.count(0, |n| n.corrupt = 1); "corrupt: promised by all")]
#[test_case(|c| c.count(0, |n| n.processed_foreign = 1); "processed foreign: promised by all")]
#[test_case(|c| c.count(0, |n| n.torn_txn = 1); "torn transaction: promised by all")]
#[test_case(|c| c.count(0, |n| n.aborted_reads = 1); "aborted read: promised under read committed")]
fn fails(change: Change) {
    assert_eq!(kinds(change), (Verdict::Fail, vec![ReasonKind::Broken]));
}

use ReasonKind as R;

#[test_case(None, &[2], "the run ended before it"; "not come to")]
#[test_case(None, &[], "its selector chose no broker"; "nobody to hit")]
#[test_case(Some("broker 2 was taken"), &[2], "broker 2 was taken"; "passed over")]
fn a_fault_that_was_never_injected_tells_why(passed_over: Option<&str>, brokers: &[i32], why: &str) {
    let mut case = passing();
    let fault = &mut case.faults[0];
    (fault.injected, fault.healed, fault.recovered) = (None, None, None);
    (fault.passed_over, fault.brokers) = (passed_over.map(str::to_owned), brokers.to_vec());
    let reasons: Vec<_> = judge(&case).reasons.into_iter().map(|reason| reason.text).collect();
    assert_eq!(reasons, [format!("The partition fault was never injected: {why}.")]);
}

#[test_case(|c| c.stopped_by = Some("SIGINT".to_owned()), R::Stopped; "stopped")]
#[test_case(|c| c.faults[0].injected = evidence(false), R::FaultUnproven; "no proof")]
#[test_case(|c| c.faults[0].injected = None, R::FaultUnproven; "never injected")]
#[test_case(|c| c.faults[0].healed = evidence(false), R::HealUnproven; "heal unproven")]
#[test_case(|c| c.faults[0].recovered.as_mut().unwrap().reached = false, R::NotRecovered; "not recovered")]
#[test_case(|c| c.faults[0].recovered = None, R::NotRecovered; "recovery not seen")]
#[test_case(|c| c.faults[0].same_for_all = false, R::SelectorDiffers; "selector differs")]
#[test_case(|c| c.baseline().deserted = vec!["baseline producer 0 ended (signal 9)".to_owned()], R::Deserted; "a client died")]
#[test_case(|c| c.resilient().times.exposed = 999, R::Exposure; "too few exposed")]
#[test_case(|c| c.promises.min_exposure[0].0 = "nobody".to_owned(), R::Exposure; "exposure of no profile")]
#[test_case(|c| c.baseline().times.windows[0].resumption.unacked_partitions = vec![1], R::NotResumed; "no acks")]
#[test_case(|c| c.resilient().times.windows[0].resumption.unprocessed_partitions = vec![0, 1], R::NotResumed; "no processing")]
#[test_case(|c| c.resilient().contradicted = vec!["partition 0: log end is 1".to_owned()], R::Contradicted; "a tool tells otherwise")]
#[test_case(|c| c.count(0, |n| n.lagging = 1), R::LagLeft; "lag left")]
#[test_case(|c| c.count(0, |n| n.behind_open_txn = 1), R::LagLeft; "behind an open transaction")]
#[test_case(|c| c.promises.must_show[0].bound = 151, R::NotShown; "not shown")]
#[test_case(|c| c.promises.must_show[0].profile = "nobody".to_owned(), R::NotShown; "shown by no profile")]
#[test_case(|c| c.resilient().times.unavailable = None, R::Undecided; "nothing to measure by")]
#[test_case(|c| c.resilient().times.unavailable = span(29_999, true), R::Undecided; "at least is not below")]
#[test_case(|c| c.resilient().host_too_busy = true, R::HostTooBusy; "host too busy")]
fn inconclusive(change: Change, why: ReasonKind) {
    assert_eq!(kinds(change), (Verdict::Inconclusive, vec![why]));
}

#[test]
fn clients_that_end_with_a_stopped_run_did_not_desert() {
    let (_, kinds) = kinds(|case| {
        case.stopped_by = Some("SIGINT".to_owned());
        case.baseline().deserted = vec!["baseline producer 0 ended (signal 9)".to_owned()];
    });
    assert_eq!(kinds, [R::Stopped]);
}

#[test]
fn enough_exposure_is_enough() {
    let (verdict, _) = kinds(|case| case.resilient().times.exposed = 1_000);
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn an_unread_partition_is_inconclusive_even_if_all_was_seen() {
    let (verdict, reasons) = kinds(|case| case.unread(1, 0));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons, [R::Unread, R::Undecided]);
}

#[test]
fn a_journal_missing_leaves_promises_undecided() {
    let (verdict, reasons) = kinds(|case| case.resilient().reconciliation.journals_complete = false);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons, [R::JournalIncomplete, R::Undecided]);
}

#[test]
fn a_violation_counts_only_where_its_witnesses_are_complete() {
    let broken = |partition: usize| {
        kinds(|case| {
            case.unread(1, 0);
            case.count(partition, |counts| counts.lost = 1);
        })
    };
    assert_eq!(broken(0).0, Verdict::Inconclusive, "in the unread partition");
    let (verdict, reasons) = broken(1);
    assert_eq!(verdict, Verdict::Fail, "in the other one");
    assert_eq!(reasons[0], R::Broken);
    assert!(reasons.contains(&R::Unread), "the rest is told as well");
}

#[test]
fn a_proven_failure_is_not_softened() {
    let (verdict, reasons) = kinds(|case| {
        case.count(0, |counts| counts.lost = 1);
        case.faults[0].injected = evidence(false);
        case.faults[0].same_for_all = false;
        case.resilient().host_too_busy = true;
        case.promises.must_show[0].bound = 10_000;
    });
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(reasons, [R::Broken, R::FaultUnproven, R::SelectorDiffers, R::HostTooBusy, R::NotShown]);
}

#[test]
fn what_must_show_needs_only_the_partitions_that_were_read() {
    // 100 of the 150 are in partition 0.
    let (_, reasons) = kinds(|case| case.unread(0, 1));
    assert_eq!(reasons, [R::Unread], "shown all the same");
    let (_, reasons) = kinds(|case| case.unread(0, 0));
    assert_eq!(reasons, [R::Unread, R::NotShown]);
}

#[test]
fn a_busy_host_softens_times_but_no_loss() {
    let (verdict, _) = kinds(|case| {
        case.resilient().host_too_busy = true;
        case.resilient().times.unavailable = span(99_000, false);
    });
    assert_eq!(verdict, Verdict::Inconclusive);
    let (verdict, reasons) = kinds(|case| {
        case.resilient().host_too_busy = true;
        case.count(0, |counts| counts.lost = 1);
    });
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(reasons, [R::Broken, R::HostTooBusy]);
}

#[test]
fn a_busy_host_shows_no_time_either() {
    let (verdict, reasons) = kinds(|case| {
        case.promises.must_show = vec![promise("baseline", "unavailable", Comparison::AtLeast, 5_000)];
        case.baseline().host_too_busy = true;
    });
    assert_eq!((verdict, reasons), (Verdict::Inconclusive, vec![R::HostTooBusy]));
}

#[test_case("ack_latency_p99", 13, Verdict::Pass; "below")]
#[test_case("ack_latency_p99", 12, Verdict::Fail; "above by less than a millisecond")]
#[test_case("end_to_end_p99", 13, Verdict::Inconclusive; "nothing was processed")]
fn latencies_are_judged_to_the_microsecond(metric: &str, bound: u64, expected: Verdict) {
    let (verdict, _) = kinds(|case| {
        case.resilient().times.ack_latency_ms = Some(Latency { p50: 1.0, p99: 12.7, p999: 100.0, max: 100.0 });
        case.promises.must_hold.push(promise("resilient", metric, Comparison::LessThan, bound));
    });
    assert_eq!(verdict, expected);
}

#[test_case("ack_latency_p99", 12.7, "12.7 ms"; "milliseconds")]
#[test_case("ack_latency_p99", 0.25, "0.25 ms"; "parts of one")]
#[test_case("ack_latency_p99", 7_880.703, "7.881 s"; "seconds")]
fn latencies_are_told_as_people_read_them(metric: &str, ms: f64, text: &str) {
    let (_, reasons) = told(|case| {
        case.resilient().times.ack_latency_ms = Some(Latency { p50: 0.0, p99: ms, p999: ms, max: ms });
        case.promises.must_hold = vec![promise("resilient", metric, Comparison::LessThan, 30_000)];
    });
    assert_eq!(reasons[1], format!("resilient: {metric} is {text}, and < 30 s was promised."));
}

#[test]
fn how_many_waited_is_the_hosts_too_where_it_is_too_busy() {
    let waited = |too_busy| {
        kinds(move |case| {
            case.resilient().host_too_busy = too_busy;
            case.resilient().times.windows[0].unavailable = span(8_200, false);
            case.resilient().times.windows[0].waited = 5_000;
            case.promises.must_hold = vec![promise("resilient", "waited", Comparison::AtMost, 100)];
        })
    };
    assert_eq!(waited(false), (Verdict::Fail, vec![R::Broken]));
    assert_eq!(waited(true), (Verdict::Inconclusive, vec![R::HostTooBusy]));
}

#[test]
fn an_expectation_on_lagging_lets_lag_be() {
    let (verdict, _) = kinds(|case| {
        case.count(0, |counts| {
            counts.lagging = 5;
            counts.behind_open_txn = 5;
        });
        let allowed = promise("resilient", "lagging", Comparison::AtMost, 10);
        case.promises.must_hold.push(allowed);
    });
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn an_expectation_on_lagging_is_that_profiles_alone() {
    let (verdict, reasons) = kinds(|case| {
        case.count(0, |counts| counts.lagging = 5);
        let allowed = promise("baseline", "lagging", Comparison::AtMost, 10);
        case.promises.must_hold.push(allowed);
    });
    assert_eq!((verdict, reasons), (Verdict::Inconclusive, vec![R::LagLeft]));
}

#[test]
fn a_group_that_is_expected_to_lag_may_stand_still_and_its_producer_may_not() {
    let silent = |acks: Vec<i32>| {
        kinds(move |case| {
            let resumption = &mut case.resilient().times.windows[0].resumption;
            resumption.unprocessed_partitions = vec![0];
            resumption.unacked_partitions = acks;
            case.count(0, |counts| counts.lagging = 5);
            case.promises.must_show.push(promise("resilient", "lagging", Comparison::AtLeast, 5));
        })
    };
    assert_eq!(silent(vec![]).0, Verdict::Pass);
    assert_eq!(silent(vec![0]), (Verdict::Inconclusive, vec![R::NotResumed]));
}

#[test]
fn an_expectation_on_resumption_judges_it() {
    let silent = |comparison, bound| {
        kinds(move |case| {
            let resumption = &mut case.resilient().times.windows[0].resumption;
            resumption.processing = span(50_000, true);
            resumption.unprocessed_partitions = vec![0];
            let asked = promise("resilient", "resumed_within", comparison, bound);
            case.promises.must_hold.push(asked);
        })
    };
    assert_eq!(silent(Comparison::AtMost, 40_000), (Verdict::Fail, vec![R::Broken]));
    assert_eq!(silent(Comparison::AtMost, 60_000), (Verdict::Inconclusive, vec![R::Undecided]));
}

#[test]
fn an_implicit_promise_can_be_said_otherwise() {
    let (verdict, _) = kinds(|case| {
        case.count(0, |counts| counts.corrupt = 5);
        let expected = promise("resilient", "corrupt", Comparison::AtLeast, 1);
        case.promises.must_show.push(expected);
    });
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn read_uncommitted_promises_nothing_of_aborted_reads() {
    let (verdict, _) = kinds(|case| {
        case.count(0, |counts| counts.aborted_reads = 5);
        case.resilient().read_committed = false;
    });
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn undelivered_is_the_sum_of_its_four() {
    let (verdict, _) = kinds(|case| {
        case.count(0, |counts| {
            counts.undelivered = Undelivered { failed: 1, unsent: 2, ..Undelivered::default() };
        });
        let asked = promise("resilient", "undelivered", Comparison::Equal, 3);
        case.promises.must_hold.push(asked);
    });
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn lag_by_an_unknown_position_is_told_as_such() {
    let (_, reasons) = told(|case| {
        case.count(1, |counts| counts.lagging = 2);
        case.resilient().reconciliation.partitions[1].position_known = false;
    });
    insta::assert_snapshot!(reasons.join("\n"), @"resilient: 2 messages are left that the group has not come to, as far as is known: its position in partition 1 is not.");
}

#[test]
fn reasons_are_sentences() {
    let (_, reasons) = told(|case| {
        case.stopped_by = Some("SIGINT".to_owned());
        case.faults[0].injected = evidence(false);
        case.faults[0].same_for_all = false;
        case.faults[0].recovered = None;
        case.unread(1, 0);
        case.count(0, |counts| counts.unreadable = 7);
        case.count(1, |counts| counts.lagging = 2);
        case.resilient().times.exposed = 12;
        case.resilient().times.unavailable = span(29_999, true);
        case.resilient().times.windows[0].resumption.unprocessed_partitions = vec![0, 1];
        case.baseline().reconciliation.journals_complete = false;
    });
    insta::assert_snapshot!(reasons.join("\n"), @r"
    The run was stopped before its end by SIGINT.
    The partition fault is not proven to have bitten: drops on the cut: 0.
    Nobody saw the cluster recover from the partition fault.
    The partition fault did not hit all profiles alike: its selector meant different brokers for their topics.
    resilient: 12 messages were on their way while the faults lasted, and 1000 are needed to prove anything.
    resilient: nothing was processed in partitions 0, 1 after the cluster had recovered from the partition fault.
    resilient: partition 0 could not be read from its start to its end, so that nothing can be said of 7 of its 1000 messages.
    baseline: a client's journal is missing or damaged.
    resilient: 2 messages are left that the group has not come to.
    resilient: lost is at least 0, which neither proves nor refutes the 0 that was promised.
    resilient: unavailable is at least 29.999 s, which neither proves nor refutes the < 30 s that was promised.
    resilient: duplicates is at least 0, which neither proves nor refutes the 0 that was promised.
    baseline: lost_in_cluster is at least 0, and the run is proof of anything only with >= 100.
    ");
}
