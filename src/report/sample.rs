//! A literal report for tests of what is made from reports.

use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use lossproof_ledger::availability::{Latency, Span};
use lossproof_ledger::counts::{Counts, Undelivered};
use lossproof_ledger::event::Proof;
use lossproof_ledger::verdict::{Reason, ReasonKind, Verdict};

use super::anomalies::Anomalies;
use super::model::{Effect, Environment, Fault, Profile, ProfileCounts, Proofs, Report, Target};

/// The leader cut off from its peers: the baseline loses, the resilient profile does not.
pub(super) fn leader_partition() -> Report {
    let started_at = Timestamp::from_second(1_700_000_000).unwrap();
    let at = |ms| Some(started_at + Duration::from_millis(ms));
    let proof =
        |summary: &str| Some(Proof { holds: true, summary: summary.to_owned(), evidence: serde_json::Map::new() });
    Report {
        experiment: "leader-partition".to_owned(),
        run: "20231114-221320-leader-partition".to_owned(),
        verdict: Verdict::Pass,
        reasons: vec![held("resilient", "resilient: lost must be 0, and it is 0.")],
        notes: vec!["the last line of events.ndjson was cut off and is not counted".to_owned()],
        started_at,
        duration_ms: 71_300,
        faults: vec![Fault {
            kind: "partition".to_owned(),
            profile: None,
            target: Some(Target {
                brokers: vec![2],
                clients: Vec::new(),
                basis: "broker 2 leads partition 0 of both topics".to_owned(),
                same_for_all: true,
            }),
            inject_called_at: at(20_202),
            injected_at: at(20_240),
            heal_called_at: at(40_240),
            healed_at: at(40_300),
            recovered_at: at(43_000),
            recovered_after_ms: Some(2_700),
            proof: Proofs {
                injected: proof("14 packets dropped, a probe of broker 1 went unanswered"),
                healed: proof("a probe of broker 1 was answered"),
                recovered: Some("all 12 partitions have three replicas in sync".to_owned()),
            },
            exposure: IndexMap::from([("baseline".to_owned(), 13_320), ("resilient".to_owned(), 13_344)]),
            profiles: IndexMap::from([
                (
                    "baseline".to_owned(),
                    Effect {
                        unavailable: span(841),
                        waited: 560,
                        ack_latency_ms: latency(1.9, 233.0, 612.0, 840.3),
                        acks_resumed: span(7),
                        processing_resumed: span(31),
                    },
                ),
                (
                    "resilient".to_owned(),
                    Effect {
                        unavailable: span(8_249),
                        waited: 5_499,
                        ack_latency_ms: latency(3_204.0, 8_101.0, 8_232.0, 8_249.0),
                        acks_resumed: span(12),
                        processing_resumed: span(1_540),
                    },
                ),
            ]),
        }],
        profiles: IndexMap::from([("baseline".to_owned(), baseline()), ("resilient".to_owned(), resilient())]),
        ablations: Vec::new(),
        environment: Environment {
            lossproof: "0.1.0".to_owned(),
            image: Some("apache/kafka:3.9.2".to_owned()),
            boot_ms: Some(9_304),
            host_busy_max: Some(0.71),
            host_busy_mean: Some(0.4),
        },
    }
}

const fn span(ms: u64) -> Option<Span> {
    Some(Span { ms, at_least: false })
}

const fn latency(p50: f64, p99: f64, p999: f64, max: f64) -> Option<Latency> {
    Some(Latency { p50, p99, p999, max })
}

fn held(profile: &str, text: &str) -> Reason {
    Reason { kind: ReasonKind::Held, profile: Some(profile.to_owned()), text: text.to_owned() }
}

fn baseline() -> Profile {
    Profile {
        topic: Some("lossproof-baseline".to_owned()),
        unread_partitions: Vec::new(),
        journals_complete: true,
        gaps: None,
        anomalies: Anomalies::default(),
        counts: ProfileCounts {
            messages: Counts {
                offered: 73_500,
                acked: 73_411,
                indeterminate: 80,
                failed: 9,
                delivered: 29_256,
                lost_in_cluster: 44_155,
                undelivered: Undelivered { failed: 9, indeterminate: 80, ..Undelivered::default() },
                lost: 44_244,
                redelivered: 3,
                doubled: 3,
                in_log: 29_256,
                records_in_log: 29_256,
                ..Counts::default()
            },
            unavailable_ms_max: Some(841),
            unavailable_at_least: false,
            lag_max: Some(1_204),
            ack_latency_ms: latency(1.42, 12.7, 240.0, 840.3),
            ack_latency_quiet_ms: latency(1.31, 4.8, 9.6, 21.2),
            end_to_end_ms: latency(2.6, 41.0, 402.0, 1_102.0),
        },
    }
}

fn resilient() -> Profile {
    Profile {
        topic: Some("lossproof-resilient".to_owned()),
        unread_partitions: Vec::new(),
        journals_complete: true,
        gaps: None,
        anomalies: Anomalies::default(),
        counts: ProfileCounts {
            messages: Counts {
                offered: 73_500,
                acked: 73_500,
                delivered: 73_500,
                in_log: 73_500,
                records_in_log: 73_502,
                duplicate_records: 2,
                ..Counts::default()
            },
            unavailable_ms_max: Some(8_249),
            unavailable_at_least: false,
            lag_max: Some(1_204),
            ack_latency_ms: latency(3.1, 7_912.0, 8_190.0, 8_249.0),
            ack_latency_quiet_ms: latency(2.8, 6.4, 11.9, 30.5),
            end_to_end_ms: latency(4.7, 8_004.0, 8_301.0, 9_870.0),
        },
    }
}
