//! `explain` on stored runs: what it says, and on what evidence.
//!
//! The run is `stored_run`'s, in which broker 2 is cut off and what the baseline had acknowledged from then on is gone;
//! but its names tell nothing: the experiment is called otherwise, and its fault is of a kind that nobody knows.

use std::fs;
use std::path::Path;

use lossproof_ledger::event::{Event, EventKind, Look, ReplicaLog};
use lossproof_ledger::journal::{JournalReader, JournalWriter};
use lossproof_ledger::record::Record;
use tempfile::TempDir;

use super::stored_run::{Course, stamp, store};

const TOPIC: &str = "lossproof-baseline";

/// A change of what a run has recorded; false leaves an event out.
type Change = fn(&mut Event) -> bool;

const fn nothing(_: &mut Event) -> bool {
    true
}

/// A stored run with what an isolated leader leaves behind, but for what `change` takes away.
fn isolated_leader(change: Change) -> TempDir {
    let dir = store(&Course::default());
    rename(dir.path());
    name_offsets(dir.path());
    let path = dir.path().join("events.ndjson");
    let mut events: Vec<Event> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.extend(evidence());
    events.sort_by_key(|event| event.at.boottime_ns);
    let mut text = String::new();
    for mut event in events {
        match &mut event.kind {
            EventKind::RunStarted { experiment, .. } => "anything".clone_into(experiment),
            EventKind::FaultResolved { kind, .. } => "mystery".clone_into(kind),
            _ => {}
        }
        if change(&mut event) {
            text.push_str(&serde_json::to_string(&event).unwrap());
            text.push('\n');
        }
    }
    fs::write(path, text).unwrap();
    dir
}

fn rename(dir: &Path) {
    let path = dir.join("experiment.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let text =
        text.replace("name: leader-partition", "name: anything").replace("cut off from its peers", "made unhappy");
    let text = text.replace(
        "partition: { isolate: { leader_of: 0 }, from: brokers, listeners: [replication] }",
        "kill: { target: { leader_of: 0 } }",
    );
    assert!(!text.contains("isolate") && !text.contains("leader-partition"), "{text}");
    fs::write(path, text).unwrap();
}

/// What is gone was acknowledged by broker 2, at the offsets after the last that the others have.
fn name_offsets(dir: &Path) {
    let path = dir.join("journal/baseline-producer-0-0-p0.ljr");
    let reader = JournalReader::open(&path).unwrap();
    let (header, next) = (reader.header().clone(), reader.next_sequence());
    let records: Vec<Record> = reader.map(Result::unwrap).collect();
    fs::remove_file(&path).unwrap();
    let mut writer = JournalWriter::create(&dir.join("journal"), &header).unwrap();
    writer.raise_next(next);
    for mut record in records {
        if let Record::Told { sequence, offset, broker, .. } = &mut record
            && offset.is_none()
        {
            (*offset, *broker) = (Some(sequence.cast_signed()), Some(2));
        }
        writer.append(&record).unwrap();
    }
    writer.seal().unwrap();
}

fn evidence() -> Vec<Event> {
    let claim = |last_held: Option<u64>| EventKind::BrokerView {
        broker: 2,
        topic: TOPIC.to_owned(),
        partition: 0,
        leader: 2,
        leader_epoch: 0,
        newest_epoch: 1,
        last_held: last_held.map(stamp),
    };
    let logs = |look, broker, log_end, epochs: &[(i32, i64)]| EventKind::ReplicaLogs {
        look,
        fault: (look != Look::Audit).then_some(0),
        broker,
        replicas: vec![ReplicaLog {
            topic: TOPIC.to_owned(),
            partition: 0,
            log_end: Some(log_end),
            epochs: epochs.to_vec(),
        }],
        trouble: None,
    };
    let elected = EventKind::PartitionState {
        topic: TOPIC.to_owned(),
        partition: 0,
        leader: 1,
        leader_epoch: 1,
        isr: vec![1, 3],
    };
    let chain = [(0, 0), (1, 11)];
    let events = [
        (170, elected),
        (170, claim(None)),
        (195, logs(Look::BeforeHealing, 1, 11, &chain)),
        (195, logs(Look::BeforeHealing, 2, 16, &[(0, 0)])),
        (195, logs(Look::BeforeHealing, 3, 11, &[(0, 0)])),
        (240, claim(Some(220))),
        (252, logs(Look::Recovered, 2, 20, &chain)),
        (435, logs(Look::Audit, 1, 35, &chain)),
        (435, logs(Look::Audit, 2, 35, &chain)),
    ];
    events.into_iter().map(|(ms, kind)| Event { at: stamp(ms), kind }).collect()
}

fn explain(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("lossproof"));
    let output = command.arg("explain").arg(dir).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn told(dir: &Path, args: &[&str]) -> String {
    let (code, stdout, stderr) = explain(dir, args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    stdout
}

#[test]
fn the_largest_ranges_of_a_run_whose_names_tell_nothing() {
    let dir = isolated_leader(nothing);
    let text = told(dir.path(), &[]);
    assert!(text.contains("acknowledged by an isolated leader, truncated when it rejoined"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn without_its_own_log_and_claim_no_leader_is_called_isolated() {
    let dir = isolated_leader(|event| match &event.kind {
        EventKind::ReplicaLogs { look, .. } => *look == Look::Audit,
        EventKind::BrokerView { .. } => false,
        _ => true,
    });
    let text = told(dir.path(), &[]);
    assert!(!text.contains("isolated") && !text.contains("cut off") && !text.contains("rejoined"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn without_any_look_at_the_logs_the_loss_is_unexplained() {
    let dir = isolated_leader(|event| !matches!(event.kind, EventKind::ReplicaLogs { .. }));
    let text = told(dir.path(), &["baseline/0:12"]);
    insta::assert_snapshot!(text);
}

#[test]
fn the_life_of_a_lost_a_delivered_and_an_unanswered_message() {
    let dir = isolated_leader(nothing);
    for sequence in [12, 20, 16] {
        let name = format!("baseline/0:{sequence}");
        insta::assert_snapshot!(format!("message-{sequence}"), told(dir.path(), &[&name]));
    }
}

#[test]
fn programs_are_told_the_same() {
    let dir = isolated_leader(nothing);
    let json: serde_json::Value = serde_json::from_str(&told(dir.path(), &["--format", "json"])).unwrap();
    let range = &json["profiles"][1]["ranges"][0];
    assert_eq!((&range["first"], &range["last"]), (&11.into(), &15.into()), "{json:#}");
    assert_eq!(range["cause"]["exposed_by"][0]["kind"], "isolated_leader");
    assert_eq!(range["cause"]["destroyed_by"][1]["kind"], "truncation");
    let args = ["baseline/0:12", "--format", "json"];
    let json: serde_json::Value = serde_json::from_str(&told(dir.path(), &args)).unwrap();
    assert_eq!(json["messages"][0]["category"], "lost_in_cluster");
}

#[test]
fn the_report_counts_losses_by_cause() {
    let dir = isolated_leader(nothing);
    let report = lossproof::report::judge::judge(dir.path()).unwrap();
    let anomalies = &report.profiles["baseline"].anomalies;
    let losses: Vec<(u64, &str)> = anomalies.losses.iter().map(|loss| (loss.messages, loss.cause.as_str())).collect();
    let isolated = "acknowledged by an isolated leader, truncated when it rejoined \
                    (broker 2, cut off from its peers, epoch 0)";
    assert_eq!(losses[0], (5, isolated));
    assert_eq!(
        losses.iter().map(|(messages, _)| messages).sum::<u64>(),
        report.profiles["baseline"].counts.messages.lost
    );
}

#[test]
fn what_is_no_message_of_the_run_is_refused_with_what_there_is() {
    let dir = store(&Course::default());
    let mut said = String::new();
    for name in ["0:12", "baseline/0:40", "baseline/7:1", "base/0:1", "12"] {
        let (code, stdout, stderr) = explain(dir.path(), &[name]);
        assert_eq!((code, stdout.as_str()), (Some(3), ""), "{name}");
        said.push_str(&format!("--- {name}\n{stderr}"));
    }
    insta::assert_snapshot!(said);
    let (code, _, stderr) = explain(Path::new("/nonexistent"), &[]);
    assert_eq!(code, Some(3), "{stderr}");
}
