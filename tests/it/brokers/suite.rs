//! Several experiments, stopped in the middle and resumed.

use std::fs;

use lossproof_ledger::event::Phase;
use serde_json::Value;

use super::engine::Engine;
use super::experiments::experiment;
use super::program::{Program, lossproof};

#[test]
fn what_had_ended_before_a_kill_is_taken_over() {
    let engine = Engine::exclusive();
    let later = "requires: { kafka: \">=99\" }\nhazard: what nobody knows yet";
    let texts = [experiment("one", &[], "hazard: none"), experiment("newer", &[], later), experiment("two", &[], "")];
    // Its `auto.offset.reset=none` needs a group that has begun, as every one of long standing has.
    let own = ["--producer-config", "java-producer", "--consumer-config", "java-consumer"];
    let own = own.map(|word| match word.starts_with('-') {
        true => word.to_owned(),
        false => format!("{}/tests/own-configuration/{word}.properties", env!("CARGO_MANIFEST_DIR")),
    });
    let mut program = Program::run(&engine, &texts, &own.each_ref().map(String::as_str));
    program.reach("two", Phase::WarmUp);
    assert!(program.kill9());
    for session in program.sessions() {
        assert_eq!(lossproof(&["clean", "--run", session]).code, Some(0));
    }
    program.assert_nothing_left(&engine);
    let run = program.run_dir("one").file_name().unwrap().to_owned();

    let mut program = program.again(&engine, &["--resume"]);
    assert_eq!(program.end(), Some(0), "{}", program.stdout());
    let told = program.stdout();
    assert!(told.contains("-suite is resumed") && told.contains("PASS  one, taken over from "), "{told}");
    assert!(told.contains("newer is skipped: it is for Kafka >=99, and apache/kafka:"), "{told}");
    assert!(!told.contains("one: run "), "it ran again: {told}");
    let suite = program.find_run_dir("suite").unwrap();
    let matrix: Value = serde_json::from_slice(&fs::read(suite.join("matrix.json")).unwrap()).unwrap();
    let row = |row: usize| (&matrix["rows"][row]["experiment"], &matrix["rows"][row]["ended"]);
    assert_eq!(row(0), (&"one".into(), &serde_json::json!({ "judged": "pass" })));
    assert_eq!(matrix["rows"][0]["run"], run.to_str().unwrap());
    assert_eq!(row(1), (&"newer".into(), &"skipped".into()));
    assert_eq!(row(2), (&"two".into(), &serde_json::json!({ "judged": "pass" })));
    assert_eq!(matrix["rows"][2]["profiles"]["resilient"]["state"], "held", "{matrix}");
    let yours = &matrix["rows"][2]["profiles"]["yours"];
    assert_eq!(
        (&yours["state"], &yours["lost"], &yours["unknown"]),
        (&"held".into(), &0.into(), &0.into()),
        "{matrix}"
    );
    let report = program.report("one");
    assert!(report["profiles"]["yours"]["counts"]["delivered"].as_u64() > Some(500), "{report}");
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().starts_with("yours: an approximation by librdkafka")));
    program.assert_nothing_left(&engine);
}
