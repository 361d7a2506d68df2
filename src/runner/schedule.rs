//! The faults of an experiment by their times: resolve, record the way back, inject, hold, heal.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::{EventKind, Look, Phase, Proof};
use tokio::time::{Instant, sleep_until};

use super::clients::Clients;
use super::recorder::Recorder;
use super::replicas;
use super::turns::{self, Actor, Moments};
use crate::cluster::{Cluster, readiness};
use crate::experiment::{FaultKind, FaultSpec, Held, Moment};
use crate::fault::client::{self, ClientName};
use crate::fault::exec::Commands;
use crate::fault::journal::{self, Entry, Written};
use crate::fault::net::Network;
use crate::fault::{self, Draw, Followed, Subjects, Target, Undo, World};

/// How long a cluster may take to be as before.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// Faults that are applied now, or may be, and how to take them back.
#[derive(Debug)]
pub struct Active {
    applied: Mutex<Vec<Applied>>,
    network: Network,
    commands: Commands,
    followed: Followed,
}

#[derive(Debug, Clone)]
struct Applied {
    index: usize,
    /// What no other fault may take hold of meanwhile.
    taken: Vec<Taken>,
    undo: Undo,
    written: Written,
}

/// What a fault takes hold of, alone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Taken {
    Broker(i32),
    Client(ClientName),
    /// What its undo puts back, in words.
    Setting(String),
}

impl Taken {
    fn by(kind: &FaultKind, target: &Target, undo: &Undo) -> Vec<Self> {
        let brokers = target.brokers.iter().filter(|_| kind.takes_the_broker()).copied().map(Self::Broker);
        let clients = target.clients.iter().cloned().map(Self::Client);
        brokers.chain(clients).chain(undo.puts_back().into_iter().map(Self::Setting)).collect()
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Client(name) => name.fmt(f),
            Self::Setting(setting) => f.write_str(setting),
        }
    }
}

impl Active {
    /// Nothing yet.
    pub fn new(commands: Commands) -> Self {
        Self { applied: Mutex::default(), network: Network::default(), commands, followed: Followed::default() }
    }

    /// What faults work on, where there are no clients.
    pub const fn world<'a>(&'a self, cluster: &'a Cluster) -> World<'a> {
        World {
            cluster,
            network: &self.network,
            commands: &self.commands,
            followed: &self.followed,
            gone: &[],
            clients: None,
        }
    }

    /// Where tail readers tell how far they are.
    pub const fn followed(&self) -> &Followed {
        &self.followed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Applied>> {
        self.applied.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes a fault before it is applied, with what it takes hold of; or gives the fault that has some of that
    /// already, and what.
    fn begin(&self, index: usize, taken: Vec<Taken>, undo: &Undo, written: &Written) -> Result<(), (usize, Taken)> {
        let mut applied = self.lock();
        let before = applied.iter().find_map(|other| {
            let both = other.taken.iter().find(|one| taken.contains(one))?;
            Some((other.index, both.clone()))
        });
        match before {
            Some(before) => Err(before),
            None => {
                applied.push(Applied { index, taken, undo: undo.clone(), written: written.clone() });
                Ok(())
            }
        }
    }

    /// Brokers that never come back.
    fn gone(&self, faults: &[FaultSpec]) -> Vec<i32> {
        let applied = self.lock();
        let forever = applied.iter().filter(|applied| faults[applied.index].held == Some(Held::Forever));
        let taken = forever.flat_map(|applied| &applied.taken);
        taken.filter_map(|taken| if let Taken::Broker(id) = taken { Some(*id) } else { None }).collect()
    }

    fn end(&self, index: usize) {
        self.lock().retain(|other| other.index != index);
    }

    /// Takes back whatever is still applied, after a run that did not come to it.
    ///
    /// # Errors
    /// When an event can't be stored.
    pub async fn heal_all(&self, cluster: &Cluster, recorder: &Recorder) -> Result<()> {
        loop {
            let next = self.lock().last().cloned();
            let Some(Applied { index, undo, written, .. }) = next else { return Ok(()) };
            heal(self.world(cluster), recorder, index, &undo, &written).await?;
            self.end(index);
        }
    }
}

/// What the faults of a run work with.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The experiment's.
    pub faults: &'a [FaultSpec],
    /// What chance chooses by.
    pub seed: u64,
    /// The clients.
    pub clients: &'a Clients,
    /// What the profiles work with.
    pub subjects: Subjects<'a>,
    /// The directory of the run.
    pub run_dir: &'a Path,
    /// The end of warm-up.
    pub zero: Instant,
    /// What is applied.
    pub active: &'a Active,
    /// Where events go.
    pub recorder: &'a Recorder,
}

/// Runs all faults. After each group of those that overlap, recovery is awaited by state.
///
/// # Errors
/// When the engine or the run directory refuses. A fault that does not bite is no error, but a proof that
/// does not hold.
pub async fn run(scene: Scene<'_>) -> Result<()> {
    turns::play(scene.faults, scene.zero, &scene).await
}

impl Actor for Scene<'_> {
    async fn act(&self, fault: usize, due: Instant, moments: &Moments) -> Result<bool> {
        self.fault(fault, due, moments).await
    }

    fn pass_over(&self, fault: usize, why: String) -> Result<()> {
        self.recorder.emit(EventKind::FaultPassedOver { fault, why })
    }

    async fn recover(&self, faults: &[usize], last: bool, moments: &Moments) -> Result<()> {
        if last {
            self.recorder.emit(EventKind::PhaseStarted { phase: Phase::Recover, expected_ms: None })?;
        }
        recovered(self, faults, moments).await?;
        for &fault in faults {
            replicas::look(self.cluster, self.subjects.topics, Look::Recovered, Some(fault), self.recorder).await?;
        }
        Ok(())
    }
}

impl Scene<'_> {
    fn world(&self) -> World<'_> {
        World { clients: Some(self.clients), ..self.active.world(self.cluster) }
    }

    /// Clients that a fault has hit, and that are to work again.
    fn returning(&self, fault: usize) -> Vec<ClientName> {
        let spec = &self.faults[fault];
        let chosen = spec.kind.clients().filter(|_| spec.held != Some(Held::Forever));
        chosen.map(|chosen| client::resolve(Some(self.clients), chosen).clients).unwrap_or_default()
    }

    /// One fault from its time to its healing. False if it hit nobody.
    async fn fault(self, index: usize, due: Instant, moments: &Moments) -> Result<bool> {
        let Self { cluster, faults, seed, subjects, run_dir, active, recorder, .. } = self;
        let spec = &faults[index];
        sleep_until(due).await;
        let target = fault::target(self.world(), &spec.kind, subjects, Draw { seed, fault: index }).await?;
        recorder.emit(EventKind::FaultResolved {
            fault: index,
            kind: spec.kind.name().to_owned(),
            brokers: target.brokers.clone(),
            clients: target.clients.iter().map(ToString::to_string).collect(),
            basis: target.basis.clone(),
            same_for_all: target.same_for_all,
        })?;
        if target.is_empty() {
            return Ok(false);
        }
        let undo = match fault::undo(index, &spec.kind, &target, self.world()).await {
            Ok(undo) => undo,
            Err(error) => {
                self.pass_over(index, format!("what it would change can't be read: {error:#}"))?;
                return Ok(false);
            }
        };
        let entry = Entry {
            run_dir: run_dir.to_string_lossy().into_owned(),
            fault: index,
            kind: spec.kind.name().to_owned(),
            undo: undo.clone(),
        };
        let written = journal::write(cluster.session(), &entry)?;
        if let Err((other, taken)) = active.begin(index, Taken::by(&spec.kind, &target, &undo), &undo, &written) {
            written.remove()?;
            self.pass_over(index, format!("{taken} is in the hands of fault {} at this moment", other + 1))?;
            return Ok(false);
        }
        let data = serde_json::to_value(&undo)?;
        recorder.emit(EventKind::UndoRecorded { fault: index, undo: undo.describe(), data })?;

        let called_at = Stamp::now();
        let injected = Instant::now();
        let note = |text: String| {
            // A note that can't be stored is followed by an event that can't be either, and that one ends the run.
            recorder.emit(EventKind::FaultStep { fault: index, text }).ok();
        };
        let world = World { gone: &active.gone(faults), ..self.world() };
        let proof = fault::inject(index, spec, &target, world, &note).await?;
        let bites = proof.holds;
        let held = fault::held(spec);
        let held_for = held.and_then(Held::duration);
        let held_ms = held_for.map(|held| u64::try_from(held.as_millis()).unwrap_or(u64::MAX));
        recorder.emit(EventKind::FaultInjected { fault: index, called_at, proof, held_ms })?;
        if bites {
            moments.came(index, Moment::Injected);
        }
        if held == Some(Held::Forever) {
            // It stays in `active`, and is healed after the audit.
            return Ok(true);
        }
        // The look takes part of the time that the fault is held, so that healing comes when it was planned.
        let heal_at = injected + held_for.unwrap_or_default();
        sleep_until(heal_at.checked_sub(replicas::LOOK_LIMIT).unwrap_or(injected)).await;
        replicas::look(cluster, subjects.topics, Look::BeforeHealing, Some(index), recorder).await?;
        sleep_until(heal_at).await;
        let healed = heal(self.world(), recorder, index, &undo, &written).await?;
        active.end(index);
        if healed {
            moments.came(index, Moment::Healed);
        }
        Ok(true)
    }
}

/// Heals a fault, and tells whether that is proven. Its way back stays on disk unless it is.
async fn heal(world: World<'_>, recorder: &Recorder, index: usize, undo: &Undo, written: &Written) -> Result<bool> {
    let called_at = Stamp::now();
    let proof = undo.heal(world).await.with_context(|| format!("can't {}", undo.describe())).unwrap_or_else(|error| {
        Proof { holds: false, summary: format!("{error:#}"), evidence: serde_json::Map::new() }
    });
    let holds = proof.holds;
    recorder.emit(EventKind::FaultHealed { fault: index, called_at, proof })?;
    if holds {
        written.remove()?;
    }
    Ok(holds)
}

/// Waits until the cluster is as before, but for brokers that never come back; and, after faults of clients, until
/// these are at work.
async fn recovered(scene: &Scene<'_>, applied: &[usize], moments: &Moments) -> Result<()> {
    let Scene { cluster, faults, active, recorder, .. } = *scene;
    let gone = active.gone(faults);
    let (reached, state) = match readiness::settled(&cluster.harness(), &gone, RECOVERY_LIMIT).await {
        Ok(()) if gone.is_empty() => {
            (true, "all brokers answer, every partition has a living leader and all replicas in sync".to_owned())
        }
        Ok(()) => {
            let left = "all other brokers answer, every partition has a living leader and all replicas left in sync";
            (true, format!("without {gone:?}, {left}"))
        }
        Err(reason) => (false, format!("not recovered {reason}")),
    };
    // Which of them came back first does not matter to the others.
    let waits = applied.iter().map(async |&fault| {
        let (reached, state) = match client::ready(scene.world(), &scene.returning(fault), RECOVERY_LIMIT).await {
            Ok(()) => (reached, state.clone()),
            Err(missing) => (false, format!("{missing}; {state}")),
        };
        recorder.emit(EventKind::FaultRecovered { fault, reached, state })?;
        if reached {
            moments.came(fault, Moment::Recovered);
        }
        anyhow::Ok(())
    });
    try_join_all(waits).await?;
    Ok(())
}
