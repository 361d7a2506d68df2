//! A stored run judged by other expectations than its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lossproof::report::judge::judge;
use lossproof_ledger::gaps::Score;
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use lossproof_ledger::record::{Identity, Place, Record};
use test_case::test_case;

use super::stored_run::{Course, RUN, store};

/// Runs `lossproof analyze` in the run's folder.
fn analyze(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_lossproof"))
        .current_dir(dir)
        .env_remove("RUST_BACKTRACE")
        .args(["analyze", "."])
        .args(args)
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test_case(&["--expect", "resilient.lost: 0"], 0; "it holds")]
#[test_case(&["--expect", "baseline.lost: 0"], 1; "it does not")]
#[test_case(&["--expect", "baseline.lost: 6", "--expect", "baseline.lost_in_cluster: >=5"], 0; "several hold")]
#[test_case(&["--expect", "resilient.lost: 0", "--expect", "baseline.lost: \"<6\""], 1; "one of several does not")]
#[test_case(&["--expect", "resilient.unavailable: <1ms"], 1; "a time")]
#[test_case(&["--expect-file", "stricter.yaml"], 2; "a file with what did not show")]
#[test_case(&["--expect-file", "stricter.yaml", "--expect", "baseline.lost: 0"], 1; "both")]
fn the_run_is_judged_by_what_is_given(args: &[&str], code: i32) {
    let dir = store(&Course::default());
    fs::write(
        dir.path().join("stricter.yaml"),
        "must_hold: { resilient: { lost: 0 } }\nmust_show: { baseline: { lost_in_cluster: \">=100\" } }\n",
    )
    .unwrap();
    let output = analyze(dir.path(), args);
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!dir.path().join("report.json").exists(), "nobody asked for it");
}

#[test]
fn the_stored_report_stays_unless_it_is_to_be_replaced() {
    let dir = store(&Course::default());
    let path = dir.path().join("report.json");
    assert_eq!(analyze(dir.path(), &[]).status.code(), Some(0));
    let own = fs::read(&path).unwrap();
    assert_eq!(own, judge(dir.path()).unwrap().to_json().unwrap());

    let other = ["--expect", "baseline.lost: 0"];
    let output = analyze(dir.path(), &other);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("note: judged by other expectations than the experiment's: baseline.lost: 0"), "{shown}");
    assert!(shown.ends_with("not stored: ./report.json stays as it is (--write replaces it)\n"), "{shown}");
    assert!(!shown.contains("was to be shown"), "the experiment's own expectations are set aside: {shown}");
    assert_eq!(fs::read(&path).unwrap(), own);

    let output = analyze(dir.path(), &["--expect", "baseline.lost: 0", "--write", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(&path).unwrap(), output.stdout);
    assert_ne!(output.stdout, own);

    assert_eq!(analyze(dir.path(), &[]).status.code(), Some(0));
    assert_eq!(fs::read(&path).unwrap(), own, "judged as it is, it is the same to the byte again");
}

#[test]
fn all_mistakes_are_told_with_their_places() {
    let dir = store(&Course::default());
    fs::write(
        dir.path().join("wrong.yaml"),
        "must_hold:\n  resilent: { lost: 0 }\n  baseline: { losst: 0, unavailable: 30 }\nmin_exposure: { baseline: 0 }\n",
    )
    .unwrap();
    let args = [
        "--expect-file",
        "wrong.yaml",
        "--expect",
        "lost: 0",
        "--expect",
        "basline.lost: 0",
        "--expect",
        "baseline.lost: many",
    ];
    let output = analyze(dir.path(), &args);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), ""));
    insta::assert_snapshot!(text(&output.stderr));

    fs::write(dir.path().join("wrong.yaml"), "must_hodl: { baseline: { lost: 0 } }\n").unwrap();
    let output = analyze(dir.path(), &["--expect-file", "wrong.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("wrong.yaml:1:1"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("did you mean `must_hold`?"), "{}", text(&output.stderr));
}

#[test]
fn gap_detection_is_scored_by_what_was_lost() {
    let dir = store(&Course::default());
    assert_eq!(judge(dir.path()).unwrap().profiles["baseline"].gaps, None);
    // 11 to 16 are lost.
    let alarms = [
        r#"{"alarm":"gap","producer":1,"partition":0,"first":11,"last":15}"#,
        r#"{"alarm":"gap","producer":1,"partition":0,"first":30,"last":31}"#,
        r#"{"alarm":"late","producer":1,"partition":0,"sequence":31}"#,
        r#"{"alarm":"gap","producer":1,"partition":0,"fir"#,
    ];
    fs::create_dir(dir.path().join("gaps")).unwrap();
    fs::write(dir.path().join("gaps/baseline-consumer-0-0.jsonl"), alarms.join("\n")).unwrap();
    let report = judge(dir.path()).unwrap();
    let score = Score { found: 5, missed: 1, missed_at_end: 0, false_alarms: 1, withdrawn: 1 };
    assert_eq!(report.profiles["baseline"].gaps, Some(score));
    assert_eq!(report.profiles["resilient"].gaps, None);
    for (expectation, code) in [("gaps_found: 5", 0), ("gaps_missed: 0", 1), ("gaps_false: 1", 0), ("gaps_late: 0", 1)]
    {
        let output = analyze(dir.path(), &["--expect", &format!("baseline.{expectation}")]);
        assert_eq!(output.status.code(), Some(code), "{expectation}: {}", text(&output.stdout));
    }
    let shown = text(&analyze(dir.path(), &["--expect", "baseline.gaps_found: 5"]).stdout).to_owned();
    assert!(shown.contains("gap detection: 5 of 6 lost messages found, 1 missed"), "{shown}");
    // Where nobody looked, nothing is known.
    assert_eq!(analyze(dir.path(), &["--expect", "resilient.gaps_missed: 0"]).status.code(), Some(2));
}

/// The look for what the baseline's clients have put aside, which found one message.
fn parked(dir: &Path, sealed: bool) {
    let experiment = fs::read_to_string(dir.join("experiment.yaml")).unwrap();
    fs::write(dir.join("experiment.yaml"), experiment.replace("acks: 1 }", "acks: 1, on_error: spool }")).unwrap();
    let header = Header { run: RUN, profile: "baseline".to_owned(), source: Source::Parking };
    let mut journal = JournalWriter::create(&dir.join("journal"), &header).unwrap();
    let identity = Identity { run: RUN, producer: 1, incarnation: 0, partition: 0, sequence: 16, attempt: 0 };
    journal.append(&Record::Held { place: Place::Spool, identity, at_ns: 1_000 }).unwrap();
    if sealed {
        journal.seal().unwrap();
    }
}

#[test]
fn what_is_parked_is_recovered() {
    let dir = store(&Course::default());
    parked(dir.path(), true);
    let baseline = &judge(dir.path()).unwrap().profiles["baseline"];
    let counts = &baseline.counts.messages;
    assert_eq!((counts.recovered, counts.undelivered.total(), counts.lost), (1, 0, 5));
    assert!(baseline.journals_complete);
    assert_eq!(analyze(dir.path(), &["--expect", "baseline.lost: 5"]).status.code(), Some(0));
}

#[test]
fn what_was_not_all_looked_for_proves_no_loss() {
    for look in [Some(false), None] {
        let dir = store(&Course::default());
        parked(dir.path(), false);
        if look.is_none() {
            fs::remove_file(dir.path().join("journal/baseline-parking.ljr")).unwrap();
        }
        assert!(!judge(dir.path()).unwrap().profiles["baseline"].journals_complete);
        assert_eq!(analyze(dir.path(), &["--expect", "baseline.lost: 0"]).status.code(), Some(2), "{look:?}");
    }
}
