//! What a round of the soak does, drawn from its seed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use lossproof::experiment;
use lossproof::fault::pages;
use lossproof_ledger::event::Phase;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// When the signal comes, but for the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// With the program's start.
    Start,
    /// A phase of the doomed experiment.
    In(Phase),
    /// Its first fault is about to be applied.
    Injection,
    /// Its first fault is applied.
    Held,
    /// Its first fault is healed.
    Healing,
    /// Its evidence is complete.
    TearDown,
}

/// Each with its weight, and how long it lasts at most, in milliseconds: about what it takes on two cores.
const STAGES: [(Stage, u32, u64); 10] = [
    (Stage::Start, 6, 14_000),
    (Stage::In(Phase::WarmUp), 1, 1_000),
    (Stage::Injection, 4, 1_500),
    (Stage::Held, 4, 3_000),
    (Stage::Healing, 3, 2_000),
    (Stage::In(Phase::Recover), 2, 4_000),
    (Stage::In(Phase::AfterRecovery), 1, 1_000),
    (Stage::In(Phase::Drain), 1, 1_000),
    (Stage::In(Phase::Audit), 1, 500),
    (Stage::TearDown, 3, 2_000),
];

/// One round.
#[derive(Debug)]
pub struct Round {
    pub seed: u64,
    faults: Vec<Fault>,
    pub stage: Stage,
    /// From the stage's beginning to the signal.
    pub delay: Duration,
    /// SIGKILL; otherwise SIGTERM.
    pub kills: bool,
}

/// One fault, as lines of YAML.
#[derive(Debug, Clone)]
struct Fault {
    at_ms: u64,
    held: Option<String>,
    lines: Vec<String>,
}

impl Round {
    pub fn draw(seed: u64, kinds: &[&'static str]) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (stage, _, lasts_ms) = *STAGES.choose_weighted(&mut random, |(_, weight, _)| *weight).unwrap();
        let delay = Duration::from_millis(random.random_range(0..lasts_ms));
        let kills = random.random_bool(0.6);
        let count = *[1, 1, 2, 2, 3].choose(&mut random).unwrap();
        loop {
            let faults = (0..count).map(|_| Fault::draw(&mut random, kinds)).collect();
            let round = Self { seed, faults, stage, delay, kills };
            // Some do not go together, some can't be held for ever, some have no such target.
            if round.is_valid() {
                return round;
            }
        }
    }

    fn is_valid(&self) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawn.yaml");
        std::fs::write(&file, self.experiment("drawn", folder.path())).unwrap();
        experiment::load(&[file]).is_ok()
    }

    /// The doomed experiment. Its own commands leave their marks in the folder.
    pub fn experiment(&self, name: &str, marks: &Path) -> String {
        let mut text = super::super::experiments::experiment(name, &[], "").replace("warm_up: 2s", "warm_up: 1s");
        text = text.replace("faults: []\n", "faults:\n");
        for (number, fault) in self.faults.iter().enumerate() {
            text.push_str(&format!("  - at: {}ms\n", fault.at_ms));
            text.extend(fault.held.iter().map(|held| format!("    for: {held}\n")));
            let mark = marks.join(format!("mark-{number}"));
            text.extend(fault.lines.iter().map(|line| format!("    {line}\n").replace("MARK", mark.to_str().unwrap())));
        }
        with_authorizer(text)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = if self.kills { "SIGKILL" } else { "SIGTERM" };
        write!(f, "SOAK_SEED={} {signal} {:.1?} after {:?} under", self.seed, self.delay, self.stage)?;
        for Fault { at_ms, held, lines, .. } in &self.faults {
            let held = held.as_deref().unwrap_or("-");
            write!(
                f,
                "\n  at {at_ms}ms for {held}: {}",
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            )?;
        }
        Ok(())
    }
}

/// Commands that leave a mark and a process on this host, which both outlive the cluster.
const EXEC: [&str; 4] = [
    "exec:",
    "  start: touch MARK && { sh -c 'sleep 600; true MARK' & }",
    "  proof: test -e MARK",
    "  undo: rm -f MARK",
];

impl Fault {
    /// A kind with its page's example, at another time, on other brokers, and quicker.
    fn draw(random: &mut StdRng, kinds: &[&'static str]) -> Self {
        let kind = *kinds.choose(random).unwrap();
        let mut lines: Vec<String> = fault(kind)
            .lines()
            .map(|line| line.split(" #").next().unwrap().trim_end())
            .filter_map(|line| line.strip_prefix("- ").or_else(|| line.strip_prefix("  ")))
            .map(str::to_owned)
            .collect();
        let is_held = lines.iter().any(|line| line.starts_with("for: "));
        lines.retain(|line| !line.starts_with("at: ") && !line.starts_with("for: "));
        if kind == "exec" {
            lines = EXEC.map(str::to_owned).to_vec();
        }
        let target = target(random);
        for line in &mut lines {
            *line = quicker(&aimed(line, &target));
        }
        let held = || {
            if random.random_bool(0.1) { "forever".to_owned() } else { format!("{}ms", random.random_range(200..3000)) }
        };
        let held = is_held.then(held);
        Self { at_ms: random.random_range(0..1500), held, lines }
    }
}

/// The first example of a kind's page: a fault in YAML.
fn fault(kind: &str) -> &'static str {
    let page = pages::page(kind).unwrap();
    page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

/// An experiment with it.
pub fn example(kind: &str) -> String {
    let head = "name: example\nworkload: { rate: 1/s, payload: 1KiB }\nprofiles: { resilient: {} }\nfaults:\n";
    with_authorizer(format!("{head}{}", fault(kind)))
}

/// Rules need brokers that keep to them.
fn with_authorizer(experiment: String) -> String {
    const AUTHORIZER: &str = "cluster:
  broker_config:
    authorizer.class.name: org.apache.kafka.metadata.authorizer.StandardAuthorizer
    allow.everyone.if.no.acl.found: \"true\"
";
    if experiment.contains(" acl: ") { experiment + AUTHORIZER } else { experiment }
}

fn target(random: &mut StdRng) -> String {
    let number = random.random_range(0..3);
    match random.random_range(0..5) {
        0 => format!("{{ broker: {} }}", number + 1),
        1 => format!("{{ leader_of: {number} }}"),
        2 => format!("{{ followers_of: {number} }}"),
        3 => "controller".to_owned(),
        _ => "all".to_owned(),
    }
}

/// A line with its selector replaced.
fn aimed(line: &str, target: &str) -> String {
    for key in ["target: ", "isolate: "] {
        let Some((before, rest)) = line.split_once(key) else { continue };
        let end = if rest.starts_with('{') { rest.find('}').map(|at| at + 1) } else { rest.find([',', ' ', '}']) };
        return format!("{before}{key}{target}{}", &rest[end.unwrap_or(rest.len())..]);
    }
    line.to_owned()
}

/// A line with a second in place of every longer time.
fn quicker(line: &str) -> String {
    let is_time = |word: &str| word.strip_suffix('s').is_some_and(|number| number.parse::<u64>().is_ok_and(|n| n > 1));
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', '}']);
        if is_time(bare) { format!("1s{}", &word[bare.len()..]) } else { word.to_owned() }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
