//! Two runs at the same time on one engine, and `clean` beside them.

use std::collections::BTreeSet;

use lossproof_ledger::event::{EventKind, Phase};

use super::engine::Engine;
use super::experiments::{CUT, KILL, experiment};
use super::program::{Program, lossproof};

/// First three bytes of the brokers' addresses.
fn subnets(program: &Program, experiment: &str) -> BTreeSet<String> {
    let events = program.events(experiment);
    let addresses = events.iter().find_map(|event| match event {
        EventKind::ClusterReady { brokers, .. } => Some(brokers),
        _ => None,
    });
    addresses.unwrap().iter().map(|address| address.rsplit_once('.').unwrap().0.to_owned()).collect()
}

fn clean_leaves_alone(sessions: &[String]) {
    let clean = lossproof(&["clean"]);
    assert_eq!(clean.code, Some(0), "{}{}", clean.stdout, clean.stderr);
    for session in sessions {
        let told = format!("{session}: is running, left alone\n");
        assert!(clean.stdout.contains(&told), "no {told:?} in {}", clean.stdout);
    }
}

#[test]
fn two_runs_on_one_engine_do_not_collide() {
    let engine = Engine::exclusive();
    let promise = "must_hold: { resilient: { lost: 0 } }\nmin_exposure: { resilient: 100 }";
    // A second fault, when the first is over: another schedule needs no cluster of its own.
    let by_chance = "{ after: recovered, for: 1s, partition: { isolate: random, from: brokers } }";
    let mut one = Program::run(&engine, &[experiment("one", &[CUT, by_chance], promise)], &["--seed", "17"]);
    let mut two = Program::run(&engine, &[experiment("two", &[KILL], promise)], &[]);
    let starting = |program: &Program| {
        let session = program.sessions().first()?;
        engine.container(session, "net-1").map(|_| session.clone())
    };
    let sessions = [one.until("its holder", starting), two.until("its holder", starting)];
    clean_leaves_alone(&sessions);

    one.reach("one", Phase::WarmUp);
    two.reach("two", Phase::WarmUp);
    let (a, b) = (subnets(&one, "one"), subnets(&two, "two"));
    assert_eq!((a.len(), b.len(), a.is_disjoint(&b)), (1, 1, true), "{a:?} {b:?}");
    clean_leaves_alone(&sessions);

    for (program, experiment) in [(&mut one, "one"), (&mut two, "two")] {
        assert_eq!(program.end(), Some(0), "{}", program.stdout());
        let report = program.report(experiment);
        assert_eq!(report["verdict"], "pass");
        for fault in report["faults"].as_array().unwrap() {
            assert_eq!(fault["proof"]["injected"]["holds"], true, "{fault}");
        }
        program.assert_nothing_left(&engine);
    }
    let faults = &one.report("one")["faults"];
    assert_eq!(faults[1]["target"]["basis"], "random, seed 17: broker 2");
    let at = |moment: &serde_json::Value| moment.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at(&faults[1]["inject_called_at"]) >= at(&faults[0]["recovered_at"]), "{faults}");
}
