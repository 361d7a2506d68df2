//! The faults of an experiment by their times: resolve, record the way back, inject, hold, heal.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::{EventKind, Look, Phase, Proof};
use tokio::time::{Instant, sleep_until};

use super::recorder::Recorder;
use super::replicas;
use crate::cluster::{Cluster, readiness};
use crate::experiment::FaultSpec;
use crate::fault::{self, Target, Undo};

/// How long a cluster may take to be as before.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// Faults that are applied now, or may be, and how to take them back.
#[derive(Debug, Default)]
pub struct Active {
    undo: Mutex<Vec<(usize, Undo)>>,
}

impl Active {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, Undo)>> {
        self.undo.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes back whatever is still applied, after a run that did not come to it.
    ///
    /// # Errors
    /// When an event can't be stored.
    pub async fn heal_all(&self, cluster: &Cluster, recorder: &Recorder) -> Result<()> {
        loop {
            let next = self.lock().last().cloned();
            let Some((index, undo)) = next else { return Ok(()) };
            heal(cluster, recorder, index, &undo).await?;
            self.lock().retain(|(other, _)| *other != index);
        }
    }
}

/// Runs all faults; `zero` is the end of warm-up. After each, recovery is awaited by state.
///
/// # Errors
/// When the engine or the run directory refuses. A fault that does not bite is no error, but a proof that
/// does not hold.
pub async fn run(
    cluster: &Cluster,
    faults: &[FaultSpec],
    topics: &[String],
    zero: Instant,
    active: &Active,
    recorder: &Recorder,
) -> Result<()> {
    let mut order: Vec<(usize, &FaultSpec)> = faults.iter().enumerate().collect();
    order.sort_by_key(|(_, spec)| spec.at);
    let last = order.last().map(|(index, _)| *index);
    for (index, spec) in order {
        sleep_until(zero + spec.at).await;
        let target = fault::resolve(cluster, spec.kind.target(), topics).await?;
        recorder.emit(EventKind::FaultResolved {
            fault: index,
            kind: spec.kind.name().to_owned(),
            brokers: target.brokers.clone(),
            basis: target.basis.clone(),
            same_for_all: target.same_for_all,
        })?;
        if target.brokers.is_empty() {
            continue;
        }
        one(cluster, index, spec, &target, topics, active, recorder).await?;
        if Some(index) == last {
            recorder.emit(EventKind::PhaseStarted { phase: Phase::Recover, expected_ms: None })?;
        }
        recovered(cluster, recorder, index).await?;
        replicas::look(cluster, topics, Look::Recovered, Some(index), recorder).await?;
    }
    Ok(())
}

async fn one(
    cluster: &Cluster,
    index: usize,
    spec: &FaultSpec,
    target: &Target,
    topics: &[String],
    active: &Active,
    recorder: &Recorder,
) -> Result<()> {
    let undo = fault::undo(&spec.kind, target, cluster);
    recorder.emit(EventKind::UndoRecorded { fault: index, undo: undo.describe() })?;
    active.lock().push((index, undo.clone()));

    let called_at = Stamp::now();
    let injected = Instant::now();
    let note = |text: String| {
        // A note that can't be stored is followed by an event that can't be either, and that one ends the run.
        recorder.emit(EventKind::FaultStep { fault: index, text }).ok();
    };
    let proof = fault::inject(spec, target, cluster, &note).await?;
    let held = fault::held(spec);
    let held_ms = held.map(|held| u64::try_from(held.as_millis()).unwrap_or(u64::MAX));
    recorder.emit(EventKind::FaultInjected { fault: index, called_at, proof, held_ms })?;
    // The look takes part of the time that the fault is held, so that healing comes when it was planned.
    let heal_at = injected + held.unwrap_or_default();
    sleep_until(heal_at.checked_sub(replicas::LOOK_LIMIT).unwrap_or(injected)).await;
    replicas::look(cluster, topics, Look::BeforeHealing, Some(index), recorder).await?;
    sleep_until(heal_at).await;
    heal(cluster, recorder, index, &undo).await?;
    active.lock().retain(|(other, _)| *other != index);
    Ok(())
}

async fn heal(cluster: &Cluster, recorder: &Recorder, index: usize, undo: &Undo) -> Result<()> {
    let called_at = Stamp::now();
    let proof =
        undo.heal(cluster).await.with_context(|| format!("can't {}", undo.describe())).unwrap_or_else(|error| Proof {
            holds: false,
            summary: format!("{error:#}"),
            evidence: serde_json::Map::new(),
        });
    recorder.emit(EventKind::FaultHealed { fault: index, called_at, proof })
}

async fn recovered(cluster: &Cluster, recorder: &Recorder, index: usize) -> Result<()> {
    let (reached, state) = match readiness::settled(&cluster.harness(), RECOVERY_LIMIT).await {
        Ok(()) => (true, "all brokers answer, every partition has a living leader and all replicas in sync".to_owned()),
        Err(reason) => (false, format!("not recovered {reason}")),
    };
    recorder.emit(EventKind::FaultRecovered { fault: index, reached, state })
}
