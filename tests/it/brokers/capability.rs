//! What faults need and not every machine has: found before anything of a run is started.

use std::fs;

use super::engine::Engine;
use super::experiments::experiment;
use super::program::lossproof;

#[test]
fn a_fault_that_this_machine_can_not_do_is_refused_before_the_run() {
    let _engine = Engine::exclusive();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slow.yaml");
    let fault = "{ at: 0s, for: 1s, latency: { target: all, delay: 100ms } }";
    fs::write(&file, experiment("slow", &[fault], "")).unwrap();
    let (file, runs) = (file.to_str().unwrap(), folder.path().join("runs"));

    let doctor = lossproof(&["doctor"]);
    let row = |text: &str, what: &str| text.lines().find(|line| line.contains(what)).map(str::to_owned);
    let lacks =
        row(&doctor.stdout, "delays (netem or nfqueue)").expect("a row on delays").trim_start().starts_with("lacks");
    let plan = lossproof(&["plan", file]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let told = row(&plan.stdout, "delays (netem or nfqueue)").expect("a row on delays");
    assert!(told.contains("line 7 (latency)") && told.contains(if lacks { "MISSING here" } else { "there" }), "{told}");
    if !lacks {
        return;
    }
    let run = lossproof(&["run", "--runs", runs.to_str().unwrap(), file]);
    assert_eq!(run.code, Some(4), "{}{}", run.stdout, run.stderr);
    for part in ["this machine lacks delays (netem or nfqueue)", &format!("{file}:7 (latency)"), "sch_netem"] {
        assert!(run.stderr.contains(part), "no {part:?} in {}", run.stderr);
    }
    assert!(!runs.exists(), "no folder of a run that never was");
}
