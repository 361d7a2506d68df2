//! Runs that are cut short: healed, torn down, told.

use std::time::{Duration, Instant};

use lossproof_ledger::event::{EventKind, Phase};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::engine::Engine;
use super::experiments::{CUT, experiment};
use super::program::Program;

const NAME: &str = "cut-short";

fn assert_interrupted(report: &Value, by: &str) {
    assert_eq!(report["verdict"], "inconclusive");
    let reason = format!("The run was stopped before its end by {by}.");
    let reasons = report["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|r| r["kind"] == "stopped" && r["text"] == reason.as_str()), "{reasons:?}");
}

#[test]
fn ctrl_c_during_a_fault_heals_it() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[experiment(NAME, &[CUT], "")], &[]);
    program.see(NAME, "the cut", |event| matches!(event, EventKind::FaultInjected { proof, .. } if proof.holds));
    program.signal(Signal::INT);
    assert_eq!(program.end(), Some(130));
    let report = program.report(NAME);
    assert_interrupted(&report, "SIGINT");
    let healed = &report["faults"][0]["proof"]["healed"];
    assert_eq!(healed["holds"], true);
    assert!(healed["summary"].as_str().unwrap().contains("rule removed after"), "{healed}");
    program.assert_nothing_left(&engine);
}

#[test]
fn sigterm_in_warm_up_ends_the_run() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[experiment(NAME, &[CUT], "")], &[]);
    program.reach(NAME, Phase::WarmUp);
    program.signal(Signal::TERM);
    assert_eq!(program.end(), Some(130));
    assert_eq!(program.phase(NAME), Some(Phase::WarmUp));
    assert_interrupted(&program.report(NAME), "SIGTERM");
    program.assert_nothing_left(&engine);
}

#[test]
fn ctrl_c_while_the_cluster_starts_leaves_nothing() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[experiment(NAME, &[CUT], "")], &[]);
    program.until("the first broker", |program| engine.container(program.sessions().first()?, "kafka-1").map(drop));
    program.signal(Signal::INT);
    assert_eq!(program.end(), Some(130));
    let ready = program.events(NAME).iter().any(|event| matches!(event, EventKind::ClusterReady { .. }));
    assert!(!ready, "the signal came too late");
    program.assert_nothing_left(&engine);
}

#[test]
fn a_run_beyond_its_time_limit_is_ended() {
    let engine = Engine::exclusive();
    let text = experiment(NAME, &[], "").replace("max: 2m", "max: 4s");
    let mut program = Program::run(&engine, &[text], &[]);
    program.reach(NAME, Phase::WarmUp);
    // Brokers that hang without a word: nobody's connection breaks, nothing is answered any more.
    for service in ["kafka-1", "kafka-2", "kafka-3"] {
        engine.docker(&["pause", &engine.container(&program.session(), service).unwrap()]);
    }
    let began = Instant::now();
    program.see(NAME, "the end of the run", |event| matches!(event, EventKind::RunEnded));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert_eq!(program.end(), Some(2));
    assert_interrupted(&program.report(NAME), "its time limit (`max: 4s`)");
    program.assert_nothing_left(&engine);
}

/// Without a fault, so that nothing but the client's death can spoil the run.
#[test]
fn a_client_killed_from_outside_leaves_no_pass() {
    let engine = Engine::exclusive();
    // A second's worth of messages lingers in the client, whenever it dies.
    let text = experiment(NAME, &[], "must_hold: { baseline: { lost_in_cluster: 0 }, resilient: { lost: 0 } }")
        .replace("{ extends: baseline }", "{ extends: baseline, producer: { linger.ms: 1000 } }");
    let mut program = Program::run(&engine, &[text], &[]);
    program.reach(NAME, Phase::WarmUp);
    let clients = program.clients();
    let (pid, _) = clients.iter().find(|(_, words)| words.contains("/baseline-producer")).expect("a producer");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    program.see(NAME, "its death", |event| matches!(event, EventKind::ClientEnded { expected: false, .. }));
    assert_eq!(program.phase(NAME), Some(Phase::WarmUp));

    assert_eq!(program.end(), Some(2));
    let report = program.report(NAME);
    assert_eq!(report["verdict"], "inconclusive");
    for profile in ["baseline", "resilient"] {
        assert_balanced(&report["profiles"][profile]["counts"]);
    }
    let counts = &report["profiles"]["baseline"]["counts"];
    assert!(counts["indeterminate"].as_u64().unwrap() > 0, "{counts}");
    assert_eq!(counts["failed"], 0, "{counts}");
    assert_eq!(counts["lost_in_cluster"], 0, "{counts}");
    assert_eq!(report["profiles"]["resilient"]["counts"]["indeterminate"], 0);
    program.assert_nothing_left(&engine);
}

/// Both identities, added up here once more.
pub fn assert_balanced(counts: &Value) {
    let sum = |names: &[&str]| -> u64 { names.iter().map(|name| counts[*name].as_u64().unwrap()).sum() };
    let undelivered: u64 = counts["undelivered"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let offered = sum(&["offered"]);
    assert!(offered > 0, "{counts}");
    assert_eq!(offered, sum(&["acked", "unconfirmed", "failed", "indeterminate", "unsent"]), "{counts}");
    let categories = [
        "delivered",
        "vanished",
        "lost_in_cluster",
        "recovered",
        "unreadable",
        "expired",
        "compacted",
        "lost_by_consumer",
        "lagging",
        "behind_open_txn",
    ];
    assert_eq!(offered, sum(&categories) + undelivered, "{counts}");
    assert_eq!(sum(&["records_in_log"]), sum(&["in_log", "duplicate_records", "phantom", "corrupt"]), "{counts}");
}
