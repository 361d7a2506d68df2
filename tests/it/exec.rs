//! Faults by commands: that they prove what they do, that a made-up proof proves nothing, and that nothing of a command
//! outlives its guard.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lossproof::fault::exec::{Processes, Setting, Way, heal, inject};
use lossproof_ledger::event::Proof;
use tempfile::TempDir;
use test_case::test_case;

use super::brokers::processes;

const EXE: &str = env!("CARGO_BIN_EXE_lossproof");
const SOON: Duration = Duration::from_secs(10);

/// A folder in which commands leave their marks.
struct Bed {
    folder: TempDir,
}

impl Bed {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With `F` in the commands for a file in the folder.
    fn way(&self, proof: &str, undo: &str) -> Way {
        let folder = self.folder.path().to_str().unwrap();
        let setting = Setting {
            directory: folder.to_owned(),
            environment: BTreeMap::from([("F".to_owned(), format!("{folder}/mark"))]),
            log: format!("{folder}/log"),
            limit_ms: 1000,
        };
        Way { proof: proof.to_owned(), undo: undo.to_owned(), setting }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

async fn started(start: &str, way: &Way) -> (Proof, Option<Processes>) {
    let mut kept = None;
    let proof = inject(Path::new(EXE), start, way, |processes| kept = Some(processes)).await.unwrap();
    (proof, kept)
}

async fn healed(way: &Way, rest: Option<Processes>) -> Proof {
    heal(Path::new(EXE), way, rest).await.unwrap()
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_fault_bites_and_heals() {
    let bed = Bed::new();
    let way = bed.way("test -e $F", "echo away; rm -f $F");
    let (proof, rest) = started("echo here >&2; touch $F", &way).await;
    assert!(proof.holds, "{}", proof.summary);
    assert_eq!(proof.evidence["start"]["printed"], "here");
    assert_eq!(proof.evidence["proof_before"]["exit"], 1);
    assert_eq!(proof.evidence["proof"]["exit"], 0);
    // Twice, as after a death in between.
    let proof = healed(&way, rest).await;
    assert!(proof.holds, "{}", proof.summary);
    assert_eq!(proof.evidence["undo"]["printed"], "away");
    assert!(healed(&way, None).await.holds);
    let log = bed.log();
    assert!(log.starts_with("$ test -e $F\n$ echo here >&2; touch $F\nhere\n$ test -e $F\n$ echo away"), "{log}");
}

#[tokio::test]
async fn a_proof_may_take_its_time_to_come_and_to_go() {
    let bed = Bed::new();
    let way = bed.way("test -e $F", "(sleep 0.4; rm -f $F) & wait");
    let (proof, rest) = started("(sleep 0.4; touch $F) &", &way).await;
    assert!(proof.holds, "{}", proof.summary);
    let proof = healed(&way, rest).await;
    assert!(proof.holds, "{}", proof.summary);
}

#[test_case("true", "touch $F", "holds before anything was started", false; "a proof that holds anyhow")]
#[test_case("no-such-program", "touch $F", "`proof` says nothing: it ended with exit code 127", false; "a proof that is no program")]
#[test_case("sleep 5", "touch $F", "`proof` says nothing: it did not end in time", false; "a proof without an end")]
#[test_case("test -e $F", "touch $F; echo so >&2; exit 3", "`start` ended with exit code 3 (so)", true; "a start that fails")]
#[test_case("test -e $F", "touch $F; sleep 5", "`start` did not end in time and was killed", true; "a start without an end")]
#[test_case("test -e $F", "touch $F; kill -9 $$", "`start` was ended by signal 9", true; "a start that is killed")]
#[test_case("test -e $F.not", "touch $F", "`proof` does not hold 1", true; "a proof that never holds")]
#[tokio::test]
async fn what_does_not_bite_is_not_proven(proof: &str, start: &str, why: &str, starts: bool) {
    let bed = Bed::new();
    let way = bed.way(proof, "rm -f $F");
    let (proof, rest) = started(start, &way).await;
    assert!(!proof.holds && proof.summary.contains(why), "{}", proof.summary);
    assert_eq!(bed.folder.path().join("mark").exists(), starts);
    healed(&way, rest).await;
    assert!(!bed.folder.path().join("mark").exists(), "undone all the same");
}

#[test_case("echo no; exit 1", "`undo` ended with exit code 1 (no)"; "an undo that fails")]
#[test_case("sleep 5", "`undo` did not end in time and was killed"; "an undo without an end")]
#[test_case("true", "`proof` still holds 1"; "an undo that does nothing")]
#[tokio::test]
async fn what_is_not_undone_is_told(undo: &str, why: &str) {
    let bed = Bed::new();
    let way = bed.way("test -e $F", undo);
    let (proof, rest) = started("touch $F", &way).await;
    assert!(proof.holds, "{}", proof.summary);
    let proof = healed(&way, rest).await;
    assert!(!proof.holds && proof.summary.contains(why), "{}", proof.summary);
}

/// As by a signal: healing begins while the fault is still being started.
#[tokio::test]
async fn a_start_that_goes_on_does_not_outdo_its_undo() {
    let bed = Bed::new();
    let way = bed.way("test -e $F", "rm -f $F");
    let mut kept = None;
    let start = "touch $F.begun; trap '' TERM; for i in $(seq 500); do touch $F; sleep 0.01; done";
    let begun = bed.folder.path().join("mark.begun");
    let seen = async {
        while !begun.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = inject(Path::new(EXE), start, &way, |processes| kept = Some(processes)) => panic!("it ended"),
        () = seen => {}
    }
    let proof = healed(&way, kept).await;
    assert!(proof.holds, "{}", proof.summary);
    assert!(!bed.folder.path().join("mark").exists());
}

#[tokio::test]
async fn what_start_leaves_running_lives_until_the_fault_is_healed() {
    let bed = Bed::new();
    let id = bed.folder.path().display().to_string();
    // The shell's own words name the folder, so that it is found.
    let runs = || processes::with(&id).into_iter().any(|(_, words)| words.contains("sleep 600; true"));
    let way = bed.way("test -e $F", "rm -f $F");
    let (proof, rest) = started(&format!("touch $F; sh -c 'sleep 600; true {id}' &"), &way).await;
    assert!(proof.holds && runs(), "{}", proof.summary);
    assert!(healed(&way, rest).await.holds);
    assert!(!runs());
    // Of a proof, nothing lives on.
    let way = bed.way(&format!("sh -c 'sleep 600; true {id}' & test -e $F"), "rm -f $F");
    let (proof, rest) = started("touch $F", &way).await;
    assert!(proof.holds && !runs(), "{}", proof.summary);
    assert!(healed(&way, rest).await.holds);
}

/// As after `kill -9` of lossproof: the kernel closes its end of the pipe.
#[test]
fn a_command_dies_with_its_guard_s_parent() {
    let bed = Bed::new();
    let id = bed.folder.path().display().to_string();
    let commands = || processes::with(&format!("sleep 600; true {id}"));
    for after in ["wait", "true"] {
        let mut guard = Command::new(EXE)
            .args(["guard", "--limit-ms", "60000", "--"])
            .arg(format!("sh -c 'sleep 600; true {id}' & {after}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        soon("the command runs", || commands().iter().any(|(_, words)| words.starts_with("sh -c sleep")));
        drop(guard.stdin.take());
        assert!(guard.wait().unwrap().success());
        soon("the command is dead", || commands().is_empty());
    }
}

/// A signal to everything that is called lossproof is the run's to act on: by healing.
#[test]
fn a_guard_does_not_end_by_a_signal_that_the_run_heals_after() {
    let bed = Bed::new();
    let mark = bed.folder.path().join("mark").display().to_string();
    let mut guard = Command::new(EXE)
        .args(["guard", "--limit-ms", "60000", "--"])
        .arg(format!("touch {mark}.begun; until test -e {mark}; do sleep 0.05; done; exit 7"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    soon("the command runs", || Path::new(&format!("{mark}.begun")).exists());
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP] {
        rustix::process::kill_process(rustix::process::Pid::from_child(&guard), signal).unwrap();
    }
    fs::write(&mark, "").unwrap();
    let mut told = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(guard.stdout.as_mut().unwrap()), &mut told).unwrap();
    assert_eq!(told, "{\"code\":7}\n");
    drop(guard.stdin.take());
    assert!(guard.wait().unwrap().success());
}
