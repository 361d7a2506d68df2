//! Clients that are killed, frozen and stopped beside each other, and one that was gone before: in one run.

use lossproof_ledger::event::{EventKind, Phase, Role};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::ending::assert_balanced;
use super::engine::Engine;
use super::experiments::experiment;
use super::program::{Program, lossproof};

const NAME: &str = "client-faults";

const KILL: &str = "{ at: 0s, for: 1s, client_kill: { profile: resilient, role: producer } }";
/// Longer than its session lasts: the other member takes its partitions over.
const PAUSE: &str = "{ at: 500ms, for: 8s, client_pause: { profile: resilient, role: consumer, member: 1 } }";
const STOP: &str = "{ at: 1s, for: 1s, client_stop: { profile: baseline, role: consumer } }";
/// Somebody else has killed it before.
const TOO_LATE: &str = "{ at: 4s, for: 1s, client_kill: { profile: baseline, role: producer } }";

/// Who started, by role, member and incarnation, where it was not for the first time.
fn restarted(program: &Program, profile: &str) -> Vec<(Role, u16, u16)> {
    let events = program.events(NAME).into_iter();
    let started = events.filter_map(|event| match event {
        EventKind::ClientStarted { client, .. } if client.profile == profile => Some(client),
        _ => None,
    });
    let again = started.filter(|client| client.incarnation > 0);
    again.map(|client| (client.role, client.member, client.incarnation)).collect()
}

#[test]
fn clients_die_freeze_and_leave_and_come_back() {
    let engine = Engine::exclusive();
    let text = experiment(NAME, &[KILL, PAUSE, STOP, TOO_LATE], "").replace(
        "{ extends: resilient }",
        "{ extends: resilient, consumer: { members: 2, session.timeout.ms: 6000 } }",
    );
    let mut program = Program::run(&engine, &[text], &[]);
    program.reach(NAME, Phase::Faults);
    let clients = program.clients();
    let (pid, _) = clients.iter().find(|(_, words)| words.contains("/baseline-producer")).expect("a producer");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(program.end(), Some(2), "{}", program.stdout());

    let report = program.report(NAME);
    assert_eq!(report["verdict"], "inconclusive");
    let proof = |fault: usize, when: &str| {
        let proof = &report["faults"][fault]["proof"][when];
        (proof["holds"].as_bool().unwrap(), proof["summary"].as_str().unwrap().to_owned())
    };
    let expected = [
        (0, "resilient producer 0", "ended by signal 9 and is gone", "resilient producer 0 (restart 1) runs"),
        (1, "resilient consumer 1", "is stopped (threads:", "resilient consumer 1: the same process"),
        (2, "baseline consumer 0", "ended by itself (exit 0)", "baseline consumer 0 (restart 1) runs"),
    ];
    for (fault, target, bites, heals) in expected {
        let ((bit, how), (healed, back)) = (proof(fault, "injected"), proof(fault, "healed"));
        assert!(bit && how.contains(target) && how.contains(bites), "{how}");
        assert!(healed && back.contains(heals), "{back}");
        let fault = &report["faults"][fault];
        assert_eq!(fault["target"]["clients"], Value::from(vec![target]));
        assert!(fault["recovered_at"].is_string(), "{fault}");
        // It had to do with its own profile, and with no other.
        for profile in ["baseline", "resilient"] {
            let exposed = fault["exposure"][profile].as_u64().unwrap();
            assert_eq!(exposed > 0, target.starts_with(profile), "{target}: {exposed} of {profile}");
        }
    }
    let (bit, how) = proof(3, "injected");
    assert!(!bit && how == "baseline producer 0 does not run, so nothing could be done to it", "{how}");
    assert!(!proof(3, "healed").0);
    let reasons = report["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason["kind"] == "fault_unproven"), "{reasons:?}");
    assert_eq!(restarted(&program, "resilient"), [(Role::Producer, 0, 1)]);
    assert_eq!(restarted(&program, "baseline"), [(Role::Consumer, 0, 1)]);

    let counts = |profile: &str| &report["profiles"][profile]["counts"];
    let count = |profile: &str, name: &str| counts(profile)[name].as_u64().unwrap();
    for profile in ["baseline", "resilient"] {
        assert_balanced(counts(profile));
        for none in ["lost_in_cluster", "lost_by_consumer", "lagging", "phantom", "duplicates", "reordered"] {
            assert_eq!(count(profile, none), 0, "{profile}: {none}");
        }
        assert_eq!(report["profiles"][profile]["journals_complete"], true, "{profile}");
    }
    // Every acknowledged message was processed, by whichever incarnation it was sent; of the rest nobody knows.
    assert!(count("resilient", "delivered") >= count("resilient", "acked"));
    assert_eq!(count("resilient", "failed") + count("resilient", "unsent"), 0);
    assert_eq!(report["faults"][0]["profiles"]["resilient"]["acks_resumed"]["at_least"], false);

    let run_dir = program.run_dir(NAME);
    let explained = lossproof(&["explain", run_dir.to_str().unwrap(), "resilient/0:1"]);
    assert_eq!(explained.code, Some(0), "{}{}", explained.stdout, explained.stderr);
    assert!(explained.stdout.contains("(client_kill) on resilient producer 0"), "{}", explained.stdout);
    program.assert_nothing_left(&engine);
}
