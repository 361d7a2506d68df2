//! `exec`: commands of the experiment's own, for faults that lossproof does not have.
//!
//! Proof: the `proof` command failed before, `start` succeeded, and `proof` succeeds now. Healed: `undo` succeeded,
//! and `proof` fails again. A proof that holds without the fault proves nothing, and nothing is started then.

mod command;
mod commands;
pub mod guard;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use command::{End, Outcome, Processes, Running, Setting};
pub use commands::Commands;

/// How often the world is asked again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a shell ends with where there is no such command, or it can't be run: no answer of the command's own.
const NOT_RUN: [i32; 2] = [126, 127];

/// How such a fault is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// The command that does it.
    pub undo: String,
    /// The command that succeeds while the fault is there.
    pub proof: String,
    /// What both run with.
    pub setting: Setting,
}

/// What was found, and what was seen on the way.
struct Account {
    evidence: Map<String, Value>,
}

impl Account {
    fn new() -> Self {
        Self { evidence: Map::new() }
    }

    fn note(&mut self, what: &str, outcome: &Outcome) {
        let end = match outcome.end {
            End::Code(code) => json!(code),
            other => json!(other.to_string()),
        };
        self.evidence.insert(what.to_owned(), json!({ "exit": end, "printed": outcome.tail }));
    }

    fn proof(self, holds: bool, summary: impl Into<String>) -> Proof {
        Proof { holds, summary: summary.into(), evidence: self.evidence }
    }
}

/// What a proof says.
enum Answer {
    Yes,
    No,
    /// Nothing, and why.
    Unknown(String),
}

fn answer(proof: &Outcome) -> Answer {
    match proof.end {
        End::Code(0) => Answer::Yes,
        End::Code(code) if !NOT_RUN.contains(&code) => Answer::No,
        _ => Answer::Unknown(format!("`proof` says nothing: it {}", told(proof))),
    }
}

/// How a command ended, with the end of what it printed.
fn told(outcome: &Outcome) -> String {
    if outcome.tail.is_empty() { outcome.end.to_string() } else { format!("{} ({})", outcome.end, outcome.tail) }
}

/// Starts the fault. `keep` gets the processes of its command as soon as there are any: they live until these are
/// dropped, whatever becomes of this call.
///
/// # Errors
/// When commands can't be run at all.
pub async fn inject(exe: &Path, start: &str, way: &Way, keep: impl FnOnce(Processes)) -> Result<Proof> {
    let setting = &way.setting;
    let mut account = Account::new();
    let before = setting.run(exe, &way.proof).await?;
    account.note("proof_before", &before);
    match answer(&before) {
        Answer::No => {}
        Answer::Yes => {
            let summary = "`proof` holds before anything was started, and so proves nothing; nothing was started";
            return Ok(account.proof(false, summary));
        }
        Answer::Unknown(why) => return Ok(account.proof(false, format!("{why}; nothing was started"))),
    }
    let (running, processes) = setting.start(exe, start)?;
    keep(processes);
    let started = running.outcome().await?;
    account.note("start", &started);
    if started.end != End::Code(0) {
        return Ok(account.proof(false, format!("`start` {}", told(&started))));
    }
    let (after, waited) = settled(exe, way, true).await?;
    account.note("proof", &after);
    Ok(match answer(&after) {
        Answer::Yes => account.proof(true, "`proof` failed before `start`, and holds now"),
        Answer::No => {
            account.proof(false, format!("`proof` does not hold {waited:.1?} after `start`: it {}", told(&after)))
        }
        Answer::Unknown(why) => account.proof(false, why),
    })
}

/// Takes the fault back, and kills what its start left running. May be repeated.
///
/// # Errors
/// When commands can't be run at all.
pub async fn heal(exe: &Path, way: &Way, mut started: Option<Processes>) -> Result<Proof> {
    let mut account = Account::new();
    // A start that still goes on would go on against its undo.
    if let Some(unfinished) = started.take_if(|started| !started.has_ended()) {
        unfinished.kill().await?;
    }
    let undone = way.setting.run(exe, &way.undo).await;
    // Whatever became of the way back: nothing of the fault's own may live on.
    if let Some(rest) = started {
        rest.kill().await?;
    }
    let undone = undone?;
    account.note("undo", &undone);
    if undone.end != End::Code(0) {
        return Ok(account.proof(false, format!("`undo` {}", told(&undone))));
    }
    let (after, waited) = settled(exe, way, false).await?;
    account.note("proof_after", &after);
    Ok(match answer(&after) {
        Answer::No => account.proof(true, "`undo` was done, and `proof` fails again"),
        Answer::Yes => account.proof(false, format!("`proof` still holds {waited:.1?} after `undo`")),
        Answer::Unknown(why) => account.proof(false, why),
    })
}

/// The last answer of `proof`, asked until it is as expected or the time of one command has passed; and that time.
async fn settled(exe: &Path, way: &Way, expected: bool) -> Result<(Outcome, Duration)> {
    let began = Instant::now();
    loop {
        let outcome = way.setting.run(exe, &way.proof).await?;
        let as_expected = matches!(answer(&outcome), Answer::Yes) == expected;
        let waited = began.elapsed();
        if as_expected || matches!(answer(&outcome), Answer::Unknown(_)) || waited >= way.setting.limit() {
            return Ok((outcome, waited));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
