//! kill -9 of lossproof itself, at every stage: its clients die with it, its network rules go, and
//! `lossproof clean` removes the rest and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lossproof_ledger::event::{EventKind, Phase};
use test_case::test_case;

use super::engine::Engine;
use super::experiments::{CUT, experiment};
use super::foreign::Foreign;
use super::processes;
use super::program::{Program, lossproof};

const NAME: &str = "doomed";
/// A kill may come too late for a short stage.
const TRIES: usize = 5;
/// What happens by itself after the death happens within a moment.
const SOON: Duration = Duration::from_secs(10);

/// When the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The disks are being made.
    Disks,
    /// `docker compose up` is at work.
    ComposeUp,
    /// A phase of the run.
    In(Phase),
    /// A cut between brokers is held.
    Held,
    /// All evidence is stored, the tear-down has not begun.
    Judge,
    /// Containers are being removed.
    TearDown,
}

impl Moment {
    /// Waits until it has come.
    fn await_in(self, program: &mut Program, engine: &Engine) {
        match self {
            Self::Disks => program.until("the first volume", |program| {
                let session = program.sessions().first()?;
                engine.left_of(session).iter().any(|left| left.starts_with("volume")).then_some(())
            }),
            Self::ComposeUp => program
                .until("the first holder", |program| engine.container(program.sessions().first()?, "net-1").map(drop)),
            Self::In(phase) => program.reach(NAME, phase),
            Self::Held => {
                program.see(NAME, "the cut", |event| is_injected(event, 0));
                program.see(NAME, "the command", |event| is_injected(event, 1));
            }
            Self::Judge => program.see(NAME, "the end of the run", |event| matches!(event, EventKind::RunEnded)),
            Self::TearDown => program.until("the tear-down", |program| tears_down(program).then_some(())),
        }
    }

    /// Whether a program that is dead now died at that moment.
    fn was_hit(self, program: &Program, engine: &Engine) -> bool {
        let events = program.events(NAME);
        let ready = events.iter().any(|event| matches!(event, EventKind::ClusterReady { .. }));
        let ended = events.iter().any(|event| matches!(event, EventKind::RunEnded));
        let made = |service| engine.container(&program.session(), service).is_some();
        match self {
            Self::Disks => !made("net-1"),
            Self::ComposeUp => made("net-1") && !ready,
            Self::In(phase) => program.phase(NAME) == Some(phase) && !ended,
            Self::Held => {
                (0..2).all(|index| events.iter().any(|event| is_injected(event, index)))
                    && !events.iter().any(|e| matches!(e, EventKind::FaultHealed { .. }))
            }
            Self::Judge => ended && !tears_down(program),
            Self::TearDown => tears_down(program),
        }
    }

    /// Whether clients run then.
    fn has_clients(self) -> bool {
        matches!(self, Self::Held | Self::In(Phase::WarmUp | Phase::Recover | Phase::AfterRecovery))
    }
}

fn is_injected(event: &EventKind, index: usize) -> bool {
    matches!(event, EventKind::FaultInjected { fault, proof, .. } if *fault == index && proof.holds)
}

fn tears_down(program: &Program) -> bool {
    program.stdout().contains("tear-down")
}

/// Starts runs until one was killed at that moment. None of them may leave anything that `clean` does not remove.
fn killed_at(moment: Moment) {
    let engine = Engine::exclusive();
    let foreign = Foreign::make(&engine);
    for attempt in 1..=TRIES {
        let marks = tempfile::tempdir().unwrap();
        let mark = marks.path().join("mark").display().to_string();
        // It outlives the cluster, its own process, and the cut, which may take its time to be proven.
        let own = format!(
            "{{ at: 0s, for: 20s, exec: {{ start: \"touch {mark}; sh -c 'sleep 600; true {mark}' &\", \
             proof: test -e {mark}, undo: rm -f {mark} }} }}"
        );
        let faults: &[&str] = match moment {
            Moment::Held => &[CUT, &own],
            Moment::In(Phase::Recover) => &[CUT],
            _ => &[],
        };
        let text = experiment(NAME, faults, "").replace("warm_up: 2s", "warm_up: 1s");
        let mut program = Program::run(&engine, &[text], &[]);
        moment.await_in(&mut program, &engine);
        let clients = program.clients();
        assert!(!moment.has_clients() || clients.len() == 4, "{clients:?}");
        let by_us = program.kill9();
        let left: BTreeSet<String> = engine.left_of(&program.session()).into_iter().collect();
        let hit = by_us && !left.is_empty() && moment.was_hit(&program, &engine);
        assert!(!hit || left_is_seen(moment, &program, &left), "{left:?}");

        soon("the clients are dead", || program.clients().is_empty());
        if moment == Moment::Held {
            no_rule_stays(&engine, &program.session());
            soon("its command is dead", || processes::with(&mark).is_empty());
            assert!(!hit || Path::new(&mark).exists(), "nobody undid it yet");
        }
        let clean = lossproof(&["clean"]);
        assert_eq!(clean.code, Some(0), "{}{}", clean.stdout, clean.stderr);
        program.assert_nothing_left(&engine);
        foreign.assert_untouched();
        assert!(!Path::new(&mark).exists(), "{}", clean.stdout);
        if hit {
            if moment == Moment::Held {
                assert!(clean.stdout.contains("(partition)") && clean.stdout.contains("goes with its containers"));
                assert!(clean.stdout.contains("(exec)") && clean.stdout.contains("now it is"), "{}", clean.stdout);
            }
            let told = format!("{}: removed", program.session());
            assert!(clean.stdout.contains(&told), "{}", clean.stdout);
            never_a_pass(moment, &program);
            return;
        }
        println!("attempt {attempt}: the kill came too late for {moment:?}; trying again");
    }
    panic!("{TRIES} kills came too late for {moment:?}");
}

/// Whether the look for what is left sees a whole cluster where there is one: later it must see nothing.
fn left_is_seen(moment: Moment, program: &Program, left: &BTreeSet<String>) -> bool {
    let count = |kind| left.iter().filter(|thing| thing.starts_with(kind)).count();
    match moment {
        Moment::Disks | Moment::ComposeUp | Moment::TearDown => true,
        _ => {
            let environment = fs::read_to_string(program.run_dir(NAME).join("environment.json")).unwrap();
            let loops = if environment.contains("ext4 on loop devices") { 3 } else { 0 };
            count("container ") == 7
                && count("network ") == 1
                && count("volume ") >= 3
                && count("loop device ") == loops
        }
    }
}

/// The holders' shells remove the rules when lossproof's end of the connection is gone.
fn no_rule_stays(engine: &Engine, session: &str) {
    for holder in ["net-1", "net-2", "net-3"] {
        let id = engine.container(session, holder).unwrap();
        soon("the network rule is gone", || {
            !engine.docker(&["exec", &id, "tc", "qdisc", "show", "dev", "eth0"]).contains("htb")
        });
    }
}

/// What was stored until then is judged, and is no proof of anything before the run's end.
fn never_a_pass(moment: Moment, program: &Program) {
    let Some(folder) = program.find_run_dir(NAME) else { return };
    if matches!(moment, Moment::Judge | Moment::TearDown) {
        return;
    }
    let judged = lossproof(&["analyze", folder.to_str().unwrap()]);
    assert_eq!(judged.code, Some(2), "{}{}", judged.stdout, judged.stderr);
    assert!(judged.stdout.contains("stopped before its end"), "{}", judged.stdout);
}

pub fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test_case(Moment::Disks; "while the disks are made")]
#[test_case(Moment::ComposeUp; "during compose up")]
#[test_case(Moment::In(Phase::WarmUp); "in warm up")]
#[test_case(Moment::Held; "while a cut is held")]
#[test_case(Moment::In(Phase::Recover); "in recovery")]
#[test_case(Moment::In(Phase::AfterRecovery); "after recovery")]
#[test_case(Moment::In(Phase::Drain); "while draining")]
#[test_case(Moment::In(Phase::Audit); "in the audit")]
#[test_case(Moment::Judge; "while judging")]
#[test_case(Moment::TearDown; "in the tear down")]
fn after_kill_9_clean_removes_what_is_its_own(moment: Moment) {
    killed_at(moment);
}

/// As after the end of a whole virtual machine, or after somebody else's `docker rm`: the paths of the
/// devices' backing files name nobody any more, and no sweep comes by while they still do.
#[test]
fn loop_devices_go_with_the_containers_that_use_them() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[experiment(NAME, &[], "")], &[]);
    program.reach(NAME, Phase::WarmUp);
    assert!(program.kill9());
    let session = program.session();
    let label = format!("label=lossproof={session}");
    let loops = || engine.left_of(&session).iter().filter(|thing| thing.starts_with("loop device ")).count();
    let environment = fs::read_to_string(program.run_dir(NAME).join("environment.json")).unwrap();
    assert_eq!(loops(), if environment.contains("ext4 on loop devices") { 3 } else { 0 });
    for (list, remove) in [
        (&["ps", "--all", "--quiet", "--filter", &label][..], &["rm", "--force", "--volumes"][..]),
        (&["volume", "ls", "--quiet", "--filter", &label], &["volume", "rm"]),
    ] {
        let names = engine.docker(list);
        engine.docker(&[remove, &names.lines().collect::<Vec<_>>()].concat());
    }
    soon("the loop devices are free", || loops() == 0);
    let clean = lossproof(&["clean"]);
    assert_eq!(clean.code, Some(0), "{}{}", clean.stdout, clean.stderr);
    program.assert_nothing_left(&engine);
}
