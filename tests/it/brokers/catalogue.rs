//! The repository's own experiments, as a user runs them all.

use std::fs;
use std::time::Duration;

use super::engine::Engine;
use super::program::{Program, lossproof};

const EXPERIMENTS: [&str; 4] = ["disk-full", "leader-kill", "leader-partition", "rolling-restart"];
/// Five minutes on two cores.
const LIMIT: Duration = Duration::from_secs(15 * 60);

#[test]
fn every_experiment_of_the_catalogue_passes() {
    let engine = Engine::exclusive();
    let mut program = Program::run_of_repository(&engine, "experiments/");
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
