//! `flap`: a cut that comes and goes, as of a loose cable or a switch that restarts: connections never last.
//!
//! Proof: in every turn packets met the rule while it was on, and not one while it was off.

use std::time::Duration;

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::Ground;
use super::cut::Drops;
use crate::experiment::Cut;
use crate::fault::net::Namespaces;
use crate::fault::{Findings, Notes, Target};

/// How often, and how long each time and after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub times: u32,
    pub down: Duration,
    pub up: Duration,
}

/// Packets that a broker's rule dropped in a turn.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    down: u64,
    up: u64,
}

pub(super) async fn inject<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    cut: &Cut,
    rhythm: Rhythm,
    target: &Target,
    note: Notes<'_>,
) -> Result<Proof> {
    let Rhythm { times, down, up } = rhythm;
    let drops = Drops::of(cut, target);
    let effects = drops.effects(ground, &cut.ports.numbers)?;
    let mut findings = Findings::default();
    if effects.is_empty() {
        return Ok(findings.proof());
    }
    ground.network.put(ground.namespaces, index, &effects, false).await?;
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); target.brokers.len()];
    let mut before = dropped(ground, index, &drops, target).await?;
    for turn in 1..=times {
        ground.network.switch(ground.namespaces, index, true).await?;
        sleep_until(Instant::now() + down).await;
        ground.network.switch(ground.namespaces, index, false).await?;
        let while_down = dropped(ground, index, &drops, target).await?;
        sleep_until(Instant::now() + up).await;
        let after = dropped(ground, index, &drops, target).await?;
        for (n, turns) in turns.iter_mut().enumerate() {
            turns.push(Turn { down: while_down[n] - before[n], up: after[n] - while_down[n] });
        }
        note(format!(
            "turn {turn} of {times}: {} packets dropped",
            while_down.iter().sum::<u64>() - before.iter().sum::<u64>()
        ));
        before = after;
    }
    for (&id, turns) in target.brokers.iter().zip(turns) {
        let cut: Vec<u64> = turns.iter().map(|turn| turn.down).collect();
        let in_between: u64 = turns.iter().map(|turn| turn.up).sum();
        let silent = cut.iter().filter(|dropped| **dropped == 0).count();
        let (holds, sentence) = if silent > 0 {
            (false, format!("broker {id}: in {silent} of {times} turns not one packet met the cut"))
        } else if in_between > 0 {
            (false, format!("broker {id}: {in_between} packets were dropped while the link should have been up"))
        } else {
            let all: u64 = cut.iter().sum();
            (true, format!("broker {id}: {times} times cut, {all} packets dropped, none in between"))
        };
        findings.add(id, holds, sentence, json!({ "dropped": cut, "dropped_in_between": in_between }));
    }
    Ok(findings.proof())
}

/// What the rules dropped so far, for each broker that is hit.
async fn dropped<N: Namespaces>(
    ground: &Ground<'_, N>,
    index: usize,
    drops: &Drops,
    target: &Target,
) -> Result<Vec<u64>> {
    let counters = ground.network.counters(ground.namespaces, index).await?;
    let of = |id: &i32| {
        let rules = drops.rules_for(*id);
        rules.iter().filter_map(|rule| counters.get(rule)).map(|counters| counters.dropped).sum()
    };
    Ok(target.brokers.iter().map(of).collect())
}
