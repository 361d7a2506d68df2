//! The lifecycle: provision, warm up, inject, heal, recover, drain, audit, tear down. Emits events and
//! leaves run directories; judges nothing and prints nothing.

mod audit;
pub mod capability;
pub mod clean;
mod client_control;
mod clients;
mod cross_check;
pub mod doctor;
mod effects;
mod evidence;
mod experiment;
mod fence;
mod lag;
mod observe;
pub mod order;
mod parked;
mod passes;
mod position;
pub mod recorder;
mod replicas;
mod run_dir;
mod schedule;
pub mod stop;
pub mod suite;
mod tail;
mod topics;
mod transactions;
mod trial;
mod turns;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use lossproof_ledger::event::{Event, EventKind, Phase};
use semver::Version;
use tokio::sync::{Notify, mpsc};

use crate::cluster::Cluster;
use crate::cluster::disks::Backing;
use crate::cluster::engine::Engine;
use crate::cluster::session::Session;
use crate::cluster::sweep::Remains;
use crate::experiment::{Experiment, Isolation};
use crate::fault;
use crate::fault::exec::Commands;
use experiment::Stage;
use recorder::Recorder;
use run_dir::RunDir;
use schedule::Active;
use stop::Stop;
use trial::on_trial;

/// How runs are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that gets a directory for each run.
    pub runs: PathBuf,
    /// Image of the brokers.
    pub image: String,
    /// Leave the last cluster up.
    pub keep: bool,
}

/// How an experiment's time on the cluster ended; what it showed is judged from its directory.
#[derive(Debug)]
pub struct Finished {
    /// Where its evidence is.
    pub run_dir: PathBuf,
    /// The signal that stopped it.
    pub interrupted: Option<&'static str>,
    /// What made it end early, other than a signal.
    pub error: Option<anyhow::Error>,
}

/// A cluster that was left up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Session id, for `clean`.
    pub session: String,
    /// Bootstrap list for clients on this host.
    pub bootstrap: String,
    /// The brokers' containers.
    pub containers: Vec<String>,
}

/// Runs experiments one after another, on one cluster as long as that is sound.
pub struct Runner {
    engine: Engine,
    options: Options,
    stop: Stop,
    watchers: mpsc::UnboundedSender<Event>,
    cluster: Option<Cluster>,
    left: Left,
}

/// What could not be removed or taken back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Left {
    /// In the engine.
    pub remains: Remains,
    /// Faults that outlive the cluster, a sentence each.
    pub faults: Vec<String>,
}

impl Left {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remains.is_empty() && self.faults.is_empty()
    }
}

impl Runner {
    /// Connects to the engine. Every event goes to `watchers`.
    ///
    /// # Errors
    /// An `EnvironmentProblem` when no engine answers.
    pub async fn new(options: Options, stop: Stop, watchers: mpsc::UnboundedSender<Event>) -> Result<Self> {
        let engine = Engine::connect().await?;
        Ok(Self { engine, options, stop, watchers, cluster: None, left: Left::default() })
    }

    /// Whether the engine still answers.
    pub async fn engine_answers(&self) -> bool {
        self.engine.version().await.is_ok()
    }

    /// The version of Kafka in the image of the brokers.
    ///
    /// # Errors
    /// An `EnvironmentProblem` when there is no such image, or it does not tell.
    pub async fn kafka_version(&self) -> Result<Version> {
        self.engine.require_image(&self.options.image, &self.options.image).await?;
        let (version, _) =
            on_trial(&self.engine, &self.stop, &self.options.image, async |trial| trial.kafka_version().await).await?;
        Ok(version)
    }

    /// Refuses experiments whose faults need what this machine lacks; they are tried in a container, where any fault
    /// needs more than every machine has.
    ///
    /// # Errors
    /// An `EnvironmentProblem` that names the faults and what helps.
    pub async fn check<'a>(&self, experiments: impl Iterator<Item = &'a Experiment> + Clone) -> Result<()> {
        for image in experiments.clone().flat_map(|experiment| fault::images(&experiment.faults)) {
            self.engine.require_image(image, image).await?;
        }
        capability::check(&self.engine, &self.stop, experiments).await
    }

    /// Runs one experiment, part by part, and leaves its directory.
    ///
    /// # Errors
    /// When no cluster can be started, or no directory written; then there is nothing to judge.
    pub async fn run(&mut self, experiment: &Experiment) -> Result<Finished> {
        let run_dir = RunDir::create(&self.options.runs, experiment)?;
        let recorder = Arc::new(Recorder::create(&run_dir.path, self.watchers.clone())?);
        recorder.emit(EventKind::RunStarted {
            run: run_dir.id.clone(),
            experiment: experiment.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        // Chosen together, so that the groups have the same coordinator also on clusters of their own.
        let groups = topics::group_ids(experiment, run_dir.number);
        let parts = experiment.parts();
        let mut finished = Finished { run_dir: run_dir.path.clone(), interrupted: None, error: None };
        for (n, (part, groups)) in parts.iter().zip(groups.chunks(groups.len() / parts.len().max(1))).enumerate() {
            let mut alone = None;
            if experiment.isolation == Isolation::Apart {
                if let Some(cluster) = self.cluster.take() {
                    self.remove(cluster).await?;
                }
                let profile = part.profiles[0].name.clone();
                alone = Some(profile.clone());
                recorder.emit(EventKind::PartStarted { profile, part: n + 1, parts: parts.len() })?;
            }
            let part = Part { experiment: part, groups, alone, is_last: n + 1 == parts.len() };
            let (outcome, is_whole) = self.part(&part, &run_dir, &recorder).await?;
            finished = Finished { run_dir: finished.run_dir, ..outcome };
            if !is_whole {
                break;
            }
        }
        Ok(finished)
    }

    /// One part of an experiment on its cluster. How it ended, and whether it came to its end.
    async fn part(&mut self, part: &Part<'_>, run_dir: &RunDir, recorder: &Arc<Recorder>) -> Result<(Finished, bool)> {
        let experiment = part.experiment;
        recorder.emit(EventKind::PhaseStarted { phase: Phase::Provision, expected_ms: None })?;
        let exe = std::env::current_exe().context("where this program's own file is")?;
        let profiles: Vec<&str> = experiment.profiles.iter().map(|profile| profile.name.as_str()).collect();
        let names: Vec<String> = profiles.iter().map(|name| topics::topic_name(&experiment.name, name)).collect();
        let active = Active::new(Commands::new(exe, &run_dir.path, &profiles, &names)?);
        let warms_up = Notify::new();
        let cluster = match self.cluster_for(experiment, recorder).await {
            Ok(cluster) => cluster,
            Err(error) => {
                let by = self.stop.reason().map_or_else(|| format!("{error:#}"), ToOwned::to_owned);
                recorder.emit(EventKind::Interrupted { by })?;
                return Err(error);
            }
        };
        run_dir.write_environment(&self.engine, &cluster).await?;

        let stage = Stage {
            cluster: &cluster,
            experiment,
            groups: part.groups,
            run_dir: &run_dir.path,
            run: run_dir.number,
            recorder,
            active: &active,
            warms_up: &warms_up,
        };
        let outcome = self.limited(&stage).await;
        let is_whole = matches!(outcome, Outcome::Complete);
        let ends = part.is_last || !is_whole;
        let finished = self.close(&stage, outcome, ends).await?;
        run_dir.save_broker_logs(&cluster, part.alone.as_deref()).await;
        if let Err(error) = run_dir.write_environment(&self.engine, &cluster).await {
            tracing::warn!("environment.json tells what was at the start of the run: {error:#}");
        }
        // The next part removes it before it begins.
        if self.options.keep || !ends || (is_whole && topics::delete(&cluster, experiment).await.is_ok()) {
            self.cluster = Some(cluster);
        } else {
            self.remove(cluster).await?;
        }
        Ok((finished, is_whole))
    }

    /// The experiment, until its end, a signal, its time limit, or a panic.
    async fn limited(&self, stage: &Stage<'_>) -> Outcome {
        let limit = stage.experiment.workload.max;
        let time_is_up = async {
            tokio::time::timeout(PROVISION_LIMIT, stage.warms_up.notified()).await.ok();
            tokio::time::sleep(limit).await;
        };
        tokio::select! {
            biased;
            signal = self.stop.asked() => Outcome::Signal(signal),
            result = AssertUnwindSafe(stage.run()).catch_unwind() => match result {
                Ok(Ok(())) => Outcome::Complete,
                Ok(Err(error)) => Outcome::Error(error),
                Err(panic) => Outcome::Error(Defect(panic_text(&*panic)).into()),
            },
            () = time_is_up => Outcome::TimeLimit(limit),
        }
    }

    /// Heals what is still broken and, where the run `ends` with it, its record.
    async fn close(&self, stage: &Stage<'_>, outcome: Outcome, ends: bool) -> Result<Finished> {
        let recorder = stage.recorder;
        let mut finished = Finished { run_dir: PathBuf::new(), interrupted: None, error: None };
        match outcome {
            Outcome::Complete => {}
            Outcome::Signal(signal) => {
                recorder.emit(EventKind::Interrupted { by: signal.to_owned() })?;
                finished.interrupted = Some(signal);
            }
            Outcome::TimeLimit(limit) => {
                let by = format!("its time limit (`max: {}`)", humantime::format_duration(limit));
                recorder.emit(EventKind::Interrupted { by })?;
            }
            Outcome::Error(error) => {
                recorder.emit(EventKind::Interrupted { by: format!("{error:#}") })?;
                finished.error = Some(error);
            }
        }
        if let Err(error) = stage.active.heal_all(stage.cluster, recorder).await {
            recorder.emit(EventKind::Warning { text: format!("healing: {error:#}") })?;
        }
        if ends {
            recorder.emit(EventKind::RunEnded)?;
        }
        Ok(finished)
    }

    /// The cluster of the experiment before, if it is what this one needs and as good as new; otherwise a new one.
    async fn cluster_for(&mut self, experiment: &Experiment, recorder: &Recorder) -> Result<Cluster> {
        if let Some(cluster) = self.cluster.take() {
            if cluster.spec == experiment.cluster && cluster.image == self.options.image {
                match cluster.is_as_new().await {
                    Ok(()) => {
                        self.ready(&cluster, recorder, None)?;
                        return Ok(cluster);
                    }
                    Err(reason) => {
                        let text = format!("the cluster of the experiment before can't serve again: {reason:#}");
                        recorder.emit(EventKind::Warning { text })?;
                    }
                }
            }
            self.remove(cluster).await?;
        }
        let session = Session::begin()?;
        let id = session.id.clone();
        let starting = Cluster::start(self.engine.clone(), &self.options.image, &experiment.cluster, session);
        tokio::select! {
            biased;
            signal = self.stop.asked() => {
                // The dropped start may have left anything.
                self.sweep(&id).await?;
                Err(crate::exit::Interrupted(signal.to_owned()).into())
            }
            cluster = starting => {
                let cluster = cluster?;
                self.ready(&cluster, recorder, Some(cluster.boot))?;
                if cluster.backing == Backing::Tmpfs {
                    let text = "this engine gives no loop devices, so the brokers' disks are in memory (tmpfs)";
                    recorder.emit(EventKind::Warning { text: text.to_owned() })?;
                }
                Ok(cluster)
            }
        }
    }

    fn ready(&self, cluster: &Cluster, recorder: &Recorder, boot: Option<Duration>) -> Result<()> {
        recorder.emit(EventKind::ClusterReady {
            image: cluster.image.clone(),
            boot_ms: boot.map(|boot| u64::try_from(boot.as_millis()).unwrap_or(u64::MAX)),
            brokers: cluster.harness().into_iter().map(|(_, address)| address).collect(),
        })
    }

    async fn remove(&mut self, cluster: Cluster) -> Result<()> {
        self.note_faults(cluster.session())?;
        let left = cluster.tear_down().await.context("tear-down")?;
        self.note_left(left);
        Ok(())
    }

    async fn sweep(&mut self, session: &str) -> Result<()> {
        let left = crate::cluster::sweep::sweep(&self.engine, session).await?;
        if left.is_empty() {
            crate::cluster::session::forget(session);
        }
        self.note_left(left);
        Ok(())
    }

    fn note_left(&mut self, left: Remains) {
        self.left.remains.containers.extend(left.containers);
        self.left.remains.networks.extend(left.networks);
        self.left.remains.volumes.extend(left.volumes);
    }

    /// Notes the faults that go on when their cluster goes.
    fn note_faults(&mut self, session: &str) -> Result<()> {
        let left = clean::forget_inside(session)?;
        self.left.faults.extend(left.into_iter().map(|fault| fault.text));
        Ok(())
    }

    /// Removes the last cluster, or leaves it up where that was asked for. Gives what was left up, and
    /// what could not be removed.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn end(mut self) -> Result<(Option<Kept>, Left)> {
        let mut kept = None;
        if let Some(cluster) = self.cluster.take() {
            if self.options.keep {
                self.note_faults(cluster.session())?;
                let bootstrap = cluster.client_bootstrap();
                let containers = cluster.brokers.iter().map(|broker| broker.container.clone()).collect();
                kept = Some(Kept { bootstrap, containers, session: cluster.keep() });
            } else {
                self.remove(cluster).await?;
            }
        }
        Ok((kept, self.left))
    }
}

/// `max` counts from warm-up; topics and clients before it have limits of their own that add up to this.
const PROVISION_LIMIT: Duration = Duration::from_secs(90);

/// A panic: lossproof itself is wrong.
#[derive(Debug, thiserror::Error)]
#[error("a defect of lossproof: {0}")]
pub struct Defect(String);

/// What runs on one cluster.
struct Part<'a> {
    /// With the profiles that it has.
    experiment: &'a Experiment,
    /// The group of each.
    groups: &'a [String],
    /// The one profile, where each is alone.
    alone: Option<String>,
    is_last: bool,
}

enum Outcome {
    Complete,
    Signal(&'static str),
    TimeLimit(Duration),
    Error(anyhow::Error),
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
