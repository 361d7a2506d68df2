//! Chaos for the chaos tool: lossproof is ended by a random signal at a random moment under random faults, round after
//! round. `make soak` runs it.
//!
//! After SIGKILL `lossproof clean` must remove everything; after SIGTERM nothing may be left to remove. Each round begins
//! with a small healthy run, which shows that the round before left nothing behind that hurts the next one.

mod draw;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use lossproof::cluster::session::try_lock;
use lossproof::experiment::FaultKind;
use lossproof_ledger::event::{EventKind, Phase};
use rustix::process::Signal;

use super::engine::{Engine, SESSIONS, entries};
use super::experiments::experiment;
use super::foreign::Foreign;
use super::kill9::soon;
use super::processes;
use super::program::{Program, lossproof};
use draw::{Round, Stage};

const HEALTHY: &str = "healthy";
const DOOMED: &str = "doomed";
const ROUNDS: u64 = 50;
/// To heal, to judge and to tear down.
const END_LIMIT: Duration = Duration::from_secs(90);

#[test]
#[ignore = "takes half an hour; `make soak` runs it"]
fn soak() {
    let seed = number("SOAK_SEED").unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let rounds = number("SOAK_ROUNDS").unwrap_or(ROUNDS);
    let kinds = possible_here(&Engine::exclusive());
    println!("kinds of faults: {}", kinds.join(", "));
    let mut failed = Vec::new();
    for n in 0..rounds {
        let round = Round::draw(seed + n, &kinds);
        println!("round {} of {rounds}: {round}", n + 1);
        // Anew for each round, so that others get their turn.
        let engine = Engine::exclusive();
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| run(&round, &engine))) {
            Ok(what) => println!("  {what}; {:.0?}", began.elapsed()),
            Err(panic) => {
                let why = panic.downcast_ref::<String>().cloned();
                let why = why.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default();
                println!("  FAILED: {why}; {:.0?}", began.elapsed());
                failed.push((round, why));
            }
        }
    }
    if let Err(panic) = catch_unwind(|| healthy(&Engine::exclusive())) {
        println!("the run after the last round FAILED");
        std::panic::resume_unwind(panic);
    }
    println!("{} of {rounds} rounds passed, and the run after them", rounds - failed.len() as u64);
    for (round, why) in &failed {
        println!("SOAK_SEED={} SOAK_ROUNDS=1 make soak   # {}", round.seed, why.lines().next().unwrap_or_default());
    }
    assert!(failed.is_empty(), "{} of {rounds} rounds failed", failed.len());
}

/// The kinds of faults that this machine can do; the others are refused before a run starts.
fn possible_here(_engine: &Engine) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.yaml");
    let is_possible = |kind: &&str| {
        fs::write(&file, draw::example(kind)).unwrap();
        let plan = lossproof(&["plan", file.to_str().unwrap()]);
        assert_eq!(plan.code, Some(0), "{}", plan.stderr);
        !plan.stdout.contains("MISSING here")
    };
    FaultKind::names().filter(is_possible).collect()
}

/// The value of a variable; none where it is not set.
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

fn healthy_experiment() -> String {
    experiment(HEALTHY, &[], "must_hold: { resilient: { lost: 0 } }\n").replace("warm_up: 2s", "warm_up: 1s")
}

/// A run of its own, to its end.
fn healthy(engine: &Engine) {
    let mut program = Program::run(engine, &[healthy_experiment()], &[]);
    assert_eq!(program.end(), Some(0), "{}", program.stdout());
    program.assert_nothing_left(engine);
}

/// One round. Gives what happened, in a few words.
fn run(round: &Round, engine: &Engine) -> String {
    let foreign = Foreign::make(engine);
    let before = sessions();
    let folder = tempfile::tempdir().unwrap();
    let doomed = round.experiment(DOOMED, folder.path());
    let mut program = Program::run(engine, &[healthy_experiment(), doomed], &[]);

    let came = round.stage == Stage::Start || wait(&mut program, |program| has_come(round.stage, program));
    let in_time = came && !ends_within(&mut program, round.delay);
    let what = if round.kills { kill(&mut program, folder.path()) } else { terminate(&mut program) };

    if came && round.stage != Stage::Start {
        assert_eq!(program.report(HEALTHY)["verdict"], "pass", "the run after the round before");
    }
    soon("the clients are dead", || program.clients().is_empty());
    soon("its commands are dead", || processes::with(&folder.path().display().to_string()).is_empty());
    if !program.sessions().is_empty() {
        program.assert_nothing_left(engine);
    }
    assert_eq!(sessions().difference(&before).collect::<Vec<_>>(), [""; 0], "files of sessions");
    assert_eq!(entries(folder.path()), [""; 0], "marks of the experiment's own commands");
    foreign.assert_untouched();
    if in_time { what } else { format!("it had ended before: {what}") }
}

/// Whether that moment of the doomed experiment has come.
fn has_come(stage: Stage, program: &Program) -> bool {
    let seen = |is_it: fn(&EventKind) -> bool| program.events(DOOMED).iter().any(is_it);
    match stage {
        Stage::Start => true,
        Stage::In(phase) => program.phase(DOOMED).is_some_and(|reached| reached >= phase),
        Stage::Injection => seen(|event| matches!(event, EventKind::UndoRecorded { .. })),
        Stage::Held => seen(|event| matches!(event, EventKind::FaultInjected { .. })),
        Stage::Healing => seen(|event| matches!(event, EventKind::FaultHealed { .. })),
        Stage::TearDown => seen(|event| matches!(event, EventKind::RunEnded)),
    }
}

/// Waits for something, or the program's end. Whether it came.
fn wait(program: &mut Program, has_come: impl Fn(&Program) -> bool) -> bool {
    program.until("a moment", |program| if has_come(program) { Some(true) } else { program.is_dead().then_some(false) })
}

/// Lets a time pass. Whether the program ended in it.
fn ends_within(program: &mut Program, time: Duration) -> bool {
    let until = Instant::now() + time;
    program.until(
        "a delay",
        |program| {
            if program.is_dead() { Some(true) } else { (Instant::now() >= until).then_some(false) }
        },
    )
}

/// SIGKILL, then `lossproof clean`, which must tell of each fault that was not healed.
fn kill(program: &mut Program, folder: &Path) -> String {
    let phase = program.phase(DOOMED);
    program.kill9();
    let open = open_faults(program);
    soon("its commands are dead", || processes::with(&folder.display().to_string()).is_empty());
    let clean = lossproof(&["clean"]);
    assert_eq!(clean.code, Some(0), "{}{}", clean.stdout, clean.stderr);
    for fault in &open {
        let told = format!("fault {} (", fault + 1);
        assert!(clean.stdout.contains(&told), "{told} is not told in {}", clean.stdout);
    }
    format!(
        "SIGKILL in {}, {} faults open",
        phase.map_or("provision".to_owned(), |phase| phase.to_string()),
        open.len()
    )
}

/// Faults that were applied and not healed.
fn open_faults(program: &Program) -> BTreeSet<usize> {
    let mut open = BTreeSet::new();
    for event in program.events(DOOMED) {
        match event {
            EventKind::UndoRecorded { fault, .. } => _ = open.insert(fault),
            EventKind::FaultHealed { fault, proof, .. } if proof.holds => _ = open.remove(&fault),
            _ => {}
        }
    }
    open
}

/// SIGTERM: all is healed and removed, and the exit code says so.
fn terminate(program: &mut Program) -> String {
    let phase = program.phase(DOOMED);
    program.signal(Signal::TERM);
    let status = program.end_within(END_LIMIT);
    assert_eq!(open_faults(program), BTreeSet::new(), "faults that are not healed");
    let unhealed = program.events(DOOMED).into_iter().find_map(|event| match event {
        EventKind::FaultHealed { fault, proof, .. } if !proof.holds => Some(format!("{fault}: {}", proof.summary)),
        _ => None,
    });
    assert_eq!(unhealed, None);
    let ended = |name| program.events(name).iter().any(|event| matches!(event, EventKind::RunEnded));
    let interrupted = |name| program.events(name).iter().any(|event| matches!(event, EventKind::Interrupted { .. }));
    let as_expected = match status.code() {
        Some(130) => true,
        // The signal found nothing to interrupt any more, and lossproof tore down as it would have anyhow.
        Some(0..=2) => ended(DOOMED) && !interrupted(DOOMED),
        Some(_) => false,
        // It came before anything was begun.
        None => program.sessions().is_empty(),
    };
    assert!(as_expected, "{status}: {}", program.stdout());
    format!("SIGTERM in {}, {status}", phase.map_or("provision".to_owned(), |phase: Phase| phase.to_string()))
}

/// What lies in the folder of all sessions, but for the locks of subnets, which stay, and for what others hold.
fn sessions() -> BTreeSet<String> {
    let is_live = |name: &str| {
        let id = name.trim_end_matches(".lock").trim_end_matches(".d");
        Path::new(SESSIONS).join(format!("{id}.lock")).exists() && matches!(try_lock(id), Ok(None))
    };
    entries(SESSIONS).into_iter().filter(|name| !name.starts_with("subnet-") && !is_live(name)).collect()
}

#[test]
fn every_kind_of_fault_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: Vec<&str> = FaultKind::names().collect();
    let mut drawn = BTreeSet::new();
    for seed in 0..200 {
        let round = Round::draw(seed, &kinds);
        let again = Round::draw(seed, &kinds);
        assert_eq!(round.experiment(DOOMED, folder.path()), again.experiment(DOOMED, folder.path()));
        let file = folder.path().join("drawn.yaml");
        fs::write(&file, round.experiment(DOOMED, folder.path())).unwrap();
        let loaded = lossproof::experiment::load(&[file]).unwrap_or_else(|problems| panic!("{round}: {problems}"));
        drawn.extend(loaded[0].faults.iter().map(|fault| fault.kind.name()));
    }
    assert_eq!(drawn, kinds.into_iter().collect());
}
