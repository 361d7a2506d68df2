//! Whole outputs on literal events.

use std::io;
use std::sync::{Arc, Mutex};

use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::{ClientId, Event, EventKind, Phase, Progress, Proof, Role};

use lossproof_ledger::verdict::{Reason, ReasonKind, Verdict};

use super::super::sample;
use super::*;
use crate::report::Ablation;

/// A sink whose content can be looked at.
#[derive(Clone, Default)]
pub(in crate::report) struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub(in crate::report) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stamp(ms: u64) -> Stamp {
    Stamp {
        boottime_ns: (1_000_000 + ms) * 1_000_000,
        utc: jiff::Timestamp::from_millisecond(1_700_000_000_000 + ms.cast_signed()).unwrap(),
    }
}

fn proof(holds: bool, summary: &str) -> Proof {
    Proof { holds, summary: summary.to_owned(), evidence: serde_json::Map::new() }
}

fn client(profile: &str, role: Role) -> ClientId {
    ClientId { profile: profile.to_owned(), role, member: 0, incarnation: 0 }
}

fn produced(offered: u64, acked: u64, errors: u64) -> EventKind {
    EventKind::ClientProgress {
        client: client("baseline", Role::Producer),
        progress: Progress::Producer { offered, acked, errors, in_flight: offered - acked - errors },
    }
}

fn shown(events: &[(u64, EventKind)]) -> String {
    let page = Page::default();
    let mut terminal = Terminal::plain(Box::new(page.clone()));
    for (ms, kind) in events {
        terminal.event(&Event { at: stamp(*ms), kind: kind.clone() });
    }
    page.text()
}

#[test]
fn plain_output_tells_the_run_line_by_line() {
    let text = shown(&[
        (
            0,
            EventKind::RunStarted {
                run: "20261121-100000-leader-partition".to_owned(),
                experiment: "leader-partition".to_owned(),
                version: "0.1.0".to_owned(),
            },
        ),
        (1, EventKind::PhaseStarted { phase: Phase::Provision, expected_ms: None }),
        (
            9_312,
            EventKind::ClusterReady {
                image: "apache/kafka:3.9.2".to_owned(),
                boot_ms: Some(9_304),
                brokers: vec!["172.30.0.11:9095".to_owned(); 3],
            },
        ),
        (
            9_400,
            EventKind::TopicCreated {
                profile: "baseline".to_owned(),
                topic: "lossproof-baseline".to_owned(),
                partitions: 3,
            },
        ),
        (9_900, EventKind::PhaseStarted { phase: Phase::WarmUp, expected_ms: Some(5_000) }),
        (10_100, produced(400, 390, 0)),
        (10_600, produced(1_400, 1_390, 0)),
        (15_100, produced(11_400, 11_390, 0)),
        (15_200, EventKind::PhaseStarted { phase: Phase::Faults, expected_ms: Some(25_000) }),
        (
            20_200,
            EventKind::FaultResolved {
                fault: 0,
                kind: "partition".to_owned(),
                brokers: vec![2],
                clients: Vec::new(),
                basis: "broker 2 leads partition 0 of both topics".to_owned(),
                same_for_all: true,
            },
        ),
        (
            20_201,
            EventKind::UndoRecorded {
                fault: 0,
                undo: "delete the root qdisc of broker 2".to_owned(),
                data: serde_json::json!({ "reconnect": { "fault": 0, "brokers": [2] } }),
            },
        ),
        (
            20_240,
            EventKind::FaultInjected {
                fault: 0,
                called_at: stamp(20_202),
                proof: proof(true, "14 packets dropped, a probe of broker 1 went unanswered"),
                held_ms: Some(20_000),
            },
        ),
        (20_300, produced(22_000, 21_000, 12)),
        (
            31_000,
            EventKind::ClientEnded {
                client: client("baseline", Role::Producer),
                expected: false,
                how: "exit 101".to_owned(),
            },
        ),
        (
            40_300,
            EventKind::FaultHealed {
                fault: 0,
                called_at: stamp(40_240),
                proof: proof(false, "the cut's drop counter still rises"),
            },
        ),
        (
            43_000,
            EventKind::FaultRecovered {
                fault: 0,
                reached: true,
                state: "all 12 partitions have three replicas in sync".to_owned(),
            },
        ),
        (
            60_000,
            EventKind::PartitionAudited {
                profile: "resilient".to_owned(),
                partition: 1,
                complete: false,
                log_start: 0,
                attempt: 2,
                why: Some("the fence was not written before the deadline".to_owned()),
                committed: None,
            },
        ),
        (60_100, EventKind::Warning { text: "this host was 98 % busy".to_owned() }),
        (60_200, EventKind::Interrupted { by: "SIGINT".to_owned() }),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_fault_without_proof_is_never_said_to_be_injected() {
    let text = shown(&[(
        0,
        EventKind::FaultInjected {
            fault: 0,
            called_at: stamp(0),
            proof: proof(false, "no packet was dropped on port 9999"),
            held_ms: None,
        },
    )]);
    assert_eq!(text, "+0.0s fault 1 not proven to be injected: no packet was dropped on port 9999\n");
}

fn closed(style: Style, report: &Report) -> String {
    let page = Page::default();
    let mut terminal = Terminal::styled(Box::new(page.clone()), style);
    terminal.report(report, Path::new("runs/20231114-221320-leader-partition"));
    page.text()
}

#[test]
fn a_report_stands_side_by_side() {
    insta::assert_snapshot!(closed(Style { colour: false }, &sample::leader_partition()));
}

#[test]
fn a_failed_report_names_its_reasons_and_what_could_not_be_measured() {
    let mut report = sample::leader_partition();
    report.verdict = Verdict::Fail;
    report.reasons = vec![Reason {
        kind: ReasonKind::Broken,
        profile: Some("resilient".to_owned()),
        text: "resilient: lost must be 0, but it is 2.".to_owned(),
    }];
    report.notes.clear();
    report.faults[0].target = None;
    report.faults[0].proof.injected = None;
    let resilient = &mut report.profiles["resilient"].counts;
    resilient.unavailable_at_least = true;
    resilient.ack_latency_ms = None;
    insta::assert_snapshot!(closed(Style { colour: false }, &report));
}

#[test]
fn times_without_all_journals_are_not_sure() {
    let mut report = sample::leader_partition();
    report.profiles["baseline"].journals_complete = false;
    report.faults[0].profiles["baseline"].unavailable = None;
    let text = closed(Style { colour: false }, &report);
    let rows = |label: &str| text.lines().filter(|line| line.contains(label)).collect::<Vec<_>>();
    let [whole, fault] = rows("longest time without an ack")[..] else { panic!("{text}") };
    assert!(whole.contains("? 841 ms") && whole.contains("┆     8.2 s"), "{whole}");
    assert!(fault.contains("not measured") && !fault.contains("? not"), "{fault}");
    assert!(rows("processed again")[0].contains("? 31 ms"), "{text}");
}

#[test]
fn a_report_tells_which_setting_protected() {
    let mut report = sample::leader_partition();
    let ablation = |setting: &str, with: &[&str], lost, protects| Ablation {
        profile: "resilient".to_owned(),
        setting: setting.to_owned(),
        with: with.iter().map(|&name| name.to_owned()).collect(),
        without: format!("resilient-without-{setting}"),
        lost,
        doubled: lost / 10,
        reordered: 0,
        protects,
    };
    report.ablations = vec![
        ablation("acks", &["enable.idempotence"], 14_966, Some(true)),
        ablation("linger.ms", &[], 0, Some(false)),
        ablation("retries", &[], 3, None),
    ];
    let text = closed(Style { colour: false }, &report);
    let told: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("what protects")).take(4).collect();
    assert_eq!(
        told,
        [
            "what protects resilient",
            "  protects  acks (and enable.idempotence with it): without it 14,966 lost, 1,496 doubled",
            "  does not  linger.ms: without it nothing lost, doubled or reordered",
            "  unknown   retries: without it 3 lost",
        ]
    );
}

#[test]
fn losses_stand_out_in_colour() {
    let text = closed(Style { colour: true }, &sample::leader_partition());
    let lost = text.lines().find(|line| line.contains("lost in the cluster (")).unwrap();
    let red = "\u{1b}[38;5;9m";
    assert_eq!(lost.matches(red).count(), 1, "only the baseline's: {lost:?}");
    assert!(lost.find(red) < lost.find("44,155"), "{lost:?}");
}

#[test]
fn json_output_is_the_report_and_nothing_else() {
    let (page, json) = (Page::default(), Page::default());
    let mut terminal =
        Terminal { json: Some(Out::new(Box::new(json.clone()))), ..Terminal::plain(Box::new(page.clone())) };
    let report = sample::leader_partition();
    terminal.report(&report, Path::new("runs/x"));
    assert_eq!(json.text().into_bytes(), report.to_json().unwrap());
    assert_eq!(serde_json::from_str::<Report>(&json.text()).unwrap(), report);
    assert!(page.text().contains("PASS"));
}

#[test]
fn several_experiments_are_summed_up() {
    let passed = sample::leader_partition();
    let mut other = sample::leader_partition();
    other.verdict = Verdict::Inconclusive;
    other.profiles.shift_remove("resilient");
    other.duration_ms = 125_000;
    let page = Page::default();
    let mut terminal = Terminal::plain(Box::new(page.clone()));
    terminal.summary(&[
        Summary {
            experiment: "leader-partition",
            outcome: Ending::Judged(&passed),
            run_dir: Some(Path::new("runs/a")),
        },
        Summary { experiment: "sham", outcome: Ending::Judged(&other), run_dir: Some(Path::new("runs/b")) },
        Summary { experiment: "disk-full", outcome: Ending::Failed("no cluster"), run_dir: None },
        Summary { experiment: "newer", outcome: Ending::Skipped, run_dir: None },
    ]);
    insta::assert_snapshot!(page.text());
}
