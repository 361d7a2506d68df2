//! Faults that do not bite: the run is inconclusive and says why.

use lossproof_ledger::event::Phase;

use super::engine::Engine;
use super::experiments::experiment;
use super::program::Program;

#[test]
fn a_harmless_fault_proves_nothing() {
    let engine = Engine::exclusive();
    let nothing = "{ at: 0s, for: 1s, partition: { isolate: { leader_of: 0 }, from: brokers, ports: [9999] } }";
    let dead = "{ at: 3s, for: 1s, kill: { target: { broker: 2 } } }";
    let waiting = "{ after: injected, for: 1s, pause: { target: { broker: 1 } } }";
    let promise = "must_hold: { resilient: { lost: 0 } }";
    let experiments =
        [experiment("cut-of-nothing", &[nothing], promise), experiment("kill-of-the-dead", &[dead, waiting], promise)];
    let mut program = Program::run(&engine, &experiments, &[]);

    // Clients flow by then.
    program.reach("kill-of-the-dead", Phase::Faults);
    // The second experiment's cluster may be the first one's.
    let session = program.sessions().last().unwrap();
    engine.docker(&["kill", &engine.container(session, "kafka-2").unwrap()]);

    assert_eq!(program.end(), Some(2));
    let unproven = "is not proven to have bitten: ";
    let passed_over = "was never injected: it was to come after fault 1 is injected, and that did not happen";
    for (experiment, whys) in [
        ("cut-of-nothing", &[[unproven, "not one packet met the cut on [9999]"]][..]),
        (
            "kill-of-the-dead",
            &[[unproven, "broker 2 was not running when it should have been killed"], ["(2 of 2)", passed_over]],
        ),
    ] {
        let report = program.report(experiment);
        assert_eq!(report["verdict"], "inconclusive", "{experiment}");
        assert_eq!(report["faults"][0]["proof"]["injected"]["holds"], false, "{experiment}");
        let reasons = report["reasons"].as_array().unwrap();
        let told: Vec<&str> = reasons
            .iter()
            .filter(|reason| reason["kind"] == "fault_unproven")
            .map(|reason| reason["text"].as_str().unwrap())
            .collect();
        assert_eq!(told.len(), whys.len(), "{experiment}: {reasons:?}");
        for (told, whys) in told.into_iter().zip(whys) {
            assert!(whys.iter().all(|why| told.contains(why)), "{experiment}: {told:?}");
            assert!(program.stdout().contains(told), "{experiment}: said on the terminal too");
        }
    }
    program.assert_nothing_left(&engine);
}
