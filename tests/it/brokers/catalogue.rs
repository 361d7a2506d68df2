//! Experiments of the repository's catalogue, as a user runs several.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::engine::Engine;
use super::program::{Program, lossproof};

const EXPERIMENTS: [&str; 5] = ["disk-full", "leader-kill", "leader-partition", "rolling-restart", QUICK];
/// The one of the catalogue takes three minutes.
const QUICK: &str = "power-loss-quick";
const QUICK_FILE: &str = "tests/experiments/quick/power-loss-quick.yaml";
/// Five minutes on two cores.
const LIMIT: Duration = Duration::from_secs(15 * 60);

#[test]
fn experiments_of_the_catalogue_pass() {
    let engine = Engine::exclusive();
    let named = EXPERIMENTS.map(|name| if name == QUICK { QUICK_FILE } else { name });
    let mut program = Program::run_of_repository(&engine, &named);
    assert_eq!(program.end_within(LIMIT).code(), Some(0), "{}", program.stdout());
    for experiment in EXPERIMENTS {
        let report = program.report(experiment);
        assert_eq!(report["verdict"], "pass", "{experiment}");
        assert_eq!(report["faults"][0]["proof"]["injected"]["holds"], true, "{experiment}");
        assert_eq!(report["profiles"]["resilient"]["counts"]["lost"], 0, "{experiment}");
        assert!(report["profiles"]["resilient"]["counts"]["acked"].as_u64() > Some(1000), "{experiment}");
    }
    let baseline = &program.report("leader-partition")["profiles"]["baseline"]["counts"];
    assert!(baseline["lost_in_cluster"].as_u64() >= Some(100), "{baseline}");
    explained(&program);
    program.assert_nothing_left(&engine);

    for experiment in EXPERIMENTS {
        let folder = program.run_dir(experiment);
        let before = fs::read(folder.join("report.json")).unwrap();
        // So that what is compared is what `analyze` wrote.
        fs::remove_file(folder.join("report.json")).unwrap();
        let judged = lossproof(&["analyze", folder.to_str().unwrap()]);
        assert_eq!(judged.code, Some(0), "{experiment}: {}{}", judged.stdout, judged.stderr);
        assert!(before == fs::read(folder.join("report.json")).unwrap(), "{experiment}: another report");
    }
}

/// What the baseline lost is attributed to what really happened.
fn explained(program: &Program) {
    // A loss by what exposed it and what destroyed it, by the names of the kinds.
    let by = |experiment: &str, exposed: &str, destroyed: &[&str]| -> (u64, u64) {
        let report = program.report(experiment);
        let baseline = &report["profiles"]["baseline"];
        let kinds = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect()
        };
        let messages = baseline["anomalies"].as_array().unwrap().iter().filter_map(|range| {
            let cause = range["cause"].as_object()?;
            let fits = kinds(&cause["exposed_by"]) == [exposed] && kinds(&cause["destroyed_by"]) == destroyed;
            fits.then(|| range["last"].as_u64().unwrap() - range["first"].as_u64().unwrap() + 1)
        });
        (messages.sum(), baseline["counts"]["lost"].as_u64().unwrap())
    };
    let truncated = ["election", "truncation"];
    let (isolated, lost) = by("leader-partition", "isolated_leader", &truncated);
    assert!(isolated * 100 >= lost * 99, "leader-partition: {isolated} of {lost}");
    let told = lossproof(&["explain", program.run_dir("leader-partition").to_str().unwrap()]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("acknowledged by an isolated leader, truncated when it rejoined"), "{}", told.stdout);

    // Nobody was isolated: the next leader had just not fetched it.
    for experiment in ["leader-kill", "rolling-restart"] {
        let (tail, lost) = by(experiment, "unreplicated_tail", &truncated);
        assert!(tail * 100 >= lost * 90, "{experiment}: {tail} of {lost}");
        assert_eq!(by(experiment, "isolated_leader", &truncated).0, 0, "{experiment}");
    }
    // Its leader was away, and the client gave up.
    let (away, lost) = by("disk-full", "leader_away", &["given_up"]);
    let (hit, _) = by("disk-full", "leader_hit", &["given_up"]);
    assert!((away + hit) * 100 >= lost * 90, "disk-full: {away} and {hit} of {lost}");
}
