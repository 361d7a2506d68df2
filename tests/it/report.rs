//! Stored runs, judged: the whole of report.json and of what a terminal shows.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lossproof::report::Report;
use lossproof::report::judge::{JudgeError, judge};
use lossproof::report::terminal::Terminal;
use lossproof_ledger::category::Told;
use lossproof_ledger::journal::{JournalReader, JournalWriter, Source};
use lossproof_ledger::record::Record;
use lossproof_ledger::verdict::{ReasonKind, Verdict};

use super::stored_run::{Course, Fate, store};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(report: &Report) -> String {
    let page = Page::default();
    Terminal::plain(Box::new(page.clone())).report(report, Path::new("runs/a-run"));
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn json(report: &Report) -> String {
    String::from_utf8(report.to_json().unwrap()).unwrap()
}

#[test]
fn a_passing_run_shows_what_the_baseline_lost() {
    let dir = store(&Course::default());
    let report = judge(dir.path()).unwrap();
    insta::assert_snapshot!("pass.json", json(&report));
    insta::assert_snapshot!("pass", shown(&report));
}

#[test]
fn a_failing_run_names_the_broken_promise() {
    let dir = store(&Course {
        resilient: Fate { gone: [12, 13].into(), twice: [30].into(), ..Fate::default() },
        ..Course::default()
    });
    let report = judge(dir.path()).unwrap();
    insta::assert_snapshot!("fail.json", json(&report));
    insta::assert_snapshot!("fail", shown(&report));
}

#[test]
fn a_fault_without_proof_leaves_the_run_inconclusive() {
    let dir = store(&Course { proven: false, ..Course::default() });
    let report = judge(dir.path()).unwrap();
    insta::assert_snapshot!("unproven.json", json(&report));
    insta::assert_snapshot!("unproven", shown(&report));
}

#[test]
fn an_interrupted_run_is_inconclusive_and_blames_nobody() {
    let dir = store(&Course { interrupted: true, ..Course::default() });
    let report = judge(dir.path()).unwrap();
    insta::assert_snapshot!("interrupted.json", json(&report));
    insta::assert_snapshot!("interrupted", shown(&report));
}

#[test]
fn each_profile_that_was_alone_is_judged_by_its_own_faults() {
    let dir = store(&Course { apart: true, ..Course::default() });
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
    let faults: Vec<_> = report.faults.iter().map(|fault| (fault.profile.as_deref(), fault.injected_at)).collect();
    let at = |ms| Some(super::stored_run::stamp(ms).utc);
    assert_eq!(faults, [(Some("resilient"), at(102)), (Some("baseline"), at(1102))]);
    insta::assert_snapshot!("apart", shown(&report));

    // The same journals say of each window what they said when both profiles met the same one.
    let together = judge(store(&Course::default()).path()).unwrap();
    for (fault, profile) in report.faults.iter().zip(["resilient", "baseline"]) {
        let exposed: Vec<_> = fault.exposure.iter().map(|(name, messages)| (name.as_str(), *messages)).collect();
        assert_eq!(exposed, [(profile, together.faults[0].exposure[profile])]);
        assert_eq!(fault.profiles[profile], together.faults[0].profiles[profile]);
        assert_eq!(report.profiles[profile].counts, together.profiles[profile].counts);
    }
}

#[test]
fn a_cut_that_one_profile_alone_met_is_proven_for_that_one_only() {
    let dir = store(&Course { apart: true, proven: false, ..Course::default() });
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let reasons: Vec<_> =
        report.reasons.iter().map(|reason| (reason.kind, reason.profile.as_deref(), reason.text.as_str())).collect();
    let text = "The partition fault of baseline is not proven to have bitten: no packet was dropped.";
    assert_eq!(reasons, [(ReasonKind::FaultUnproven, Some("baseline"), text)]);
}

#[test]
fn without_the_second_part_nothing_is_said_of_its_profile() {
    let dir = store(&Course { apart: true, ..Course::default() });
    let events = dir.path().join("events.ndjson");
    let text = fs::read_to_string(&events).unwrap();
    let first = text.split_inclusive('\n').take_while(|line| !line.contains("\"part\":2"));
    fs::write(&events, first.collect::<String>()).unwrap();
    for journal in fs::read_dir(dir.path().join("journal")).unwrap() {
        let path = journal.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("baseline") {
            fs::remove_file(path).unwrap();
        }
    }
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(report.profiles["baseline"].counts.messages.offered, 0);
    assert_eq!(report.profiles["resilient"].counts.messages.delivered, 40);
    assert!(report.reasons.iter().any(|reason| reason.kind == ReasonKind::Stopped), "{:?}", report.reasons);
}

#[test]
fn judging_again_gives_the_same_bytes() {
    let dir = store(&Course::default());
    let first = judge(dir.path()).unwrap();
    first.store(dir.path()).unwrap();
    let stored = fs::read(dir.path().join("report.json")).unwrap();
    assert_eq!(stored, judge(dir.path()).unwrap().to_json().unwrap());
    assert_eq!(serde_json::from_slice::<Report>(&stored).unwrap(), first);
}

#[test]
fn what_two_members_processed_is_timed_by_the_first_of_them() {
    let dir = store(&Course::default());
    let journals = dir.path().join("journal");
    let mut journal = JournalReader::open(&journals.join("resilient-consumer-0-0.ljr")).unwrap();
    let mut header = journal.header().clone();
    header.source = Source::Consumer { member: 1, incarnation: 0 };
    let mut copy = JournalWriter::create(&journals, &header).unwrap();
    for record in &mut journal {
        // Member 0 processed everything 3 ms after it was due.
        let Record::Processed { partition, offset, identity, at_ns } = record.unwrap() else { unreachable!() };
        let at_ns = at_ns - 2_000_000;
        copy.append(&Record::Processed { partition, offset, identity, at_ns }).unwrap();
    }
    copy.seal().unwrap();
    let counts = &judge(dir.path()).unwrap().profiles["resilient"].counts;
    assert_eq!(counts.messages.redelivered, 40);
    let latency = counts.end_to_end_ms.unwrap();
    assert!((0.999..1.001).contains(&latency.p50) && latency.max < 1.001, "{latency:?}");
}

#[test]
fn an_audit_journal_that_is_not_there_never_makes_a_loss() {
    let dir = store(&Course::default());
    fs::remove_file(dir.path().join("journal/resilient-audit.ljr")).unwrap();
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let counts = report.profiles["resilient"].counts.messages;
    assert_eq!(counts.lost, 0);
    // What was processed is known to be delivered even so.
    assert_eq!(counts.delivered + counts.unreadable, counts.offered);
}

#[test]
fn a_damaged_audit_journal_never_makes_a_loss() {
    let dir = store(&Course::default());
    let path = dir.path().join("journal/baseline-audit.ljr");
    let mut bytes = fs::read(&path).unwrap();
    // In the first block of entries.
    bytes[64 * 1024 + 40] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(report.profiles["baseline"].counts.messages.lost, 0);
    assert_eq!(report.profiles["baseline"].unread_partitions, [0]);
    assert!(report.profiles["resilient"].is_complete());
}

#[test]
fn journals_of_two_runs_in_one_folder_do_not_pass_for_one() {
    let (dir, other) = (store(&Course::default()), store(&Course::default()));
    let name = "journal/resilient-audit.ljr";
    let mut journal = JournalReader::open(&other.path().join(name)).unwrap();
    let mut header = journal.header().clone();
    header.run += 1;
    fs::remove_file(dir.path().join(name)).unwrap();
    let mut copy = JournalWriter::create(&dir.path().join("journal"), &header).unwrap();
    for record in &mut journal {
        copy.append(&record.unwrap()).unwrap();
    }
    copy.seal().unwrap();
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(report.profiles["resilient"].counts.messages.lost, 0);
    assert!(report.notes.iter().any(|note| note.contains("another run")), "{:?}", report.notes);
}

#[test]
fn a_consumer_journal_that_is_not_there_leaves_the_verdict_open() {
    let dir = store(&Course::default());
    fs::remove_file(dir.path().join("journal/resilient-consumer-0-0.ljr")).unwrap();
    let report = judge(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let kinds: Vec<ReasonKind> = report.reasons.iter().map(|reason| reason.kind).collect();
    assert!(kinds.contains(&ReasonKind::JournalIncomplete), "{kinds:?}");
}

#[test]
fn a_damaged_journal_header_is_noted_and_leaves_the_verdict_open() {
    let dir = store(&Course::default());
    let path = dir.path().join("journal/resilient-producer-0-0-p0.ljr");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let report = judge(dir.path()).unwrap();
    assert_ne!(report.verdict, Verdict::Pass);
    assert!(report.notes.iter().any(|note| note.contains("damaged")), "{:?}", report.notes);
}

fn analyze(run_dir: &Path) -> assert_cmd::assert::Assert {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("lossproof"));
    command.arg("analyze").arg(run_dir).assert()
}

#[test]
fn analyze_stores_the_report_shows_it_and_ends_with_the_verdict() {
    let dir = store(&Course::default());
    let shown = analyze(dir.path()).code(0).get_output().stdout.clone();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("lost in the cluster (acknowledged, then gone)"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe: {shown:?}");
    let stored = fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert_eq!(stored, json(&judge(dir.path()).unwrap()));

    let failing = Course { resilient: Fate { gone: [12].into(), ..Fate::default() }, ..Course::default() };
    analyze(store(&failing).path()).code(1);

    let unproven = Course { proven: false, ..Course::default() };
    analyze(store(&unproven).path()).code(2);
}

#[test]
fn analyze_gives_the_report_as_json_on_standard_output_alone() {
    let dir = store(&Course::default());
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("lossproof"));
    let command = command.arg("analyze").arg(dir.path()).args(["--output", "json"]);
    let output = command.assert().code(0).get_output().clone();
    assert_eq!(output.stdout, fs::read(dir.path().join("report.json")).unwrap());
    assert!(String::from_utf8(output.stderr).unwrap().contains("PASS"));
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_fail() {
    let dir = store(&Course::default());
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("lossproof"))
        .arg("analyze")
        .arg(dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(dir.path().join("report.json").is_file());
}

#[test]
fn what_is_not_a_run_is_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    let refused = analyze(empty.path()).code(3).get_output().stderr.clone();
    let refused = String::from_utf8(refused).unwrap();
    assert!(refused.contains("experiment.yaml does not belong to a stored run"), "{refused}");
    analyze(Path::new("/nonexistent")).code(3);

    let dir = store(&Course::default());
    fs::remove_file(dir.path().join("events.ndjson")).unwrap();
    let error = judge(dir.path()).unwrap_err();
    assert!(matches!(&error, JudgeError::NotARun { path, .. } if path.ends_with("events.ndjson")));
}

#[test]
fn evidence_that_contradicts_itself_outranks_every_verdict() {
    let dir = store(&Course::default());
    let path = dir.path().join("journal/resilient-producer-0-0-p0.ljr");
    let header = JournalReader::open(&path).unwrap().header().clone();
    fs::remove_file(&path).unwrap();
    // One answer, to a message that was never offered.
    let mut journal = JournalWriter::create(&dir.path().join("journal"), &header).unwrap();
    let record = Record::Told {
        partition: 0,
        sequence: 3,
        attempt: 0,
        told: Told::Acked,
        offset: None,
        error: 0,
        broker: None,
        in_txn: false,
        at_ns: 1,
    };
    journal.append(&record).unwrap();
    journal.seal().unwrap();
    analyze(dir.path()).code(70);
    assert!(!dir.path().join("report.json").exists());
}
