//! One experiment on a running cluster: the lifecycle from the topics to the stored evidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lossproof_ledger::event::{EventKind, Look, Phase};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::clients::Clients;
use super::lag::Watched;
use super::recorder::Recorder;
use super::schedule::{self, Active, Scene};
use super::tail::TailReader;
use super::{cross_check, lag, observe, position, replicas, tail, topics};
use crate::cluster::Cluster;
use crate::cluster::readiness::{known, settled};
use crate::experiment::schedule::{ends_by_state, faults_end};
use crate::experiment::{CrossCheck, Experiment, Profile};
use crate::fault::{self, Subjects};

/// How long clients may take to connect, join their groups and see a first message through.
const CLIENT_START_LIMIT: Duration = Duration::from_secs(60);
const TOPIC_LIMIT: Duration = Duration::from_secs(30);
/// How long consumers may take to come from where they are to the fence.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// What one experiment works with.
pub struct Stage<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The experiment, or a part of it.
    pub experiment: &'a Experiment,
    /// The group of each profile.
    pub groups: &'a [String],
    /// Its run directory.
    pub run_dir: &'a Path,
    /// Number that its payloads carry.
    pub run: u64,
    /// Where events go.
    pub recorder: &'a Arc<Recorder>,
    /// Faults that are applied.
    pub active: &'a Active,
    /// Told when warm-up begins, from which the experiment's time limit counts.
    pub warms_up: &'a Notify,
}

impl Stage<'_> {
    pub(super) fn topic(&self, profile: &Profile) -> String {
        topics::topic_name(&self.experiment.name, &profile.name)
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.experiment.profiles.iter().map(|profile| self.topic(profile)).collect()
    }

    /// Of each profile that has transactions, the id of partition 0.
    fn transactional_ids(&self) -> Vec<String> {
        let ids = |own| topics::transactional_ids(self.experiment, own, self.run).into_iter().next();
        self.experiment.profiles.iter().filter_map(ids).collect()
    }

    fn watched(&self) -> Vec<Watched> {
        let profiles = self.experiment.profiles.iter().zip(self.groups);
        let watched = profiles.map(|(profile, group)| Watched {
            profile: profile.name.clone(),
            topic: self.topic(profile),
            partitions: profile.topic.partitions,
            group: group.clone(),
        });
        watched.collect()
    }

    fn phase(&self, phase: Phase, expected: Option<Duration>) -> Result<()> {
        let expected_ms = expected.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.recorder.emit(EventKind::PhaseStarted { phase, expected_ms })
    }

    /// Runs the experiment to the end of its audit. Faults that are still applied when this ends early are in
    /// `active`; clients die with the future.
    ///
    /// # Errors
    /// When the cluster, the engine or this host does not do what an experiment needs at all.
    pub async fn run(&self) -> Result<()> {
        let workload = &self.experiment.workload;
        topics::create(self.cluster, self.experiment).await?;
        settled(&self.cluster.harness(), &[], TOPIC_LIMIT).await.context("the new topics are not in sync")?;
        let topics =
            self.experiment.profiles.iter().map(|profile| (self.topic(profile), profile.topic.partitions as usize));
        let topics: Vec<(String, usize)> = topics.collect();
        known(&self.cluster.harness(), &topics, TOPIC_LIMIT).await.context("not every broker knows the new topics")?;
        fault::prepare(self.active.world(self.cluster), &self.experiment.faults).await?;
        for profile in &self.experiment.profiles {
            self.recorder.emit(EventKind::TopicCreated {
                profile: profile.name.clone(),
                topic: self.topic(profile),
                partitions: profile.topic.partitions,
            })?;
        }
        let observers = [
            tokio::spawn(observe::partitions(self.cluster.harness(), self.topics(), Arc::clone(self.recorder))),
            tokio::spawn(observe::host_load(Arc::clone(self.recorder))),
            tokio::spawn(lag::watch(self.cluster.harness(), self.watched(), Arc::clone(self.recorder))),
        ];
        let _watching = AbortOnDrop(observers);

        let tails = self.tails()?;
        self.begin_groups().await?;
        let clients = Clients::start(self, self.groups).await?;
        clients.ready(CLIENT_START_LIMIT).await?;

        self.warms_up.notify_one();
        self.phase(Phase::WarmUp, Some(workload.warm_up))?;
        sleep(workload.warm_up).await;
        clients.flowing(CLIENT_START_LIMIT).await?;

        let zero = Instant::now();
        self.phase(Phase::Faults, planned(self.experiment))?;
        let (topics, transactional_ids) = (self.topics(), self.transactional_ids());
        let scene = Scene {
            cluster: self.cluster,
            clients: &clients,
            faults: &self.experiment.faults,
            seed: self.experiment.seed.unwrap_or(self.run),
            subjects: Subjects { topics: &topics, groups: self.groups, transactional_ids: &transactional_ids },
            run_dir: self.run_dir,
            zero,
            active: self.active,
            recorder: self.recorder,
        };
        schedule::run(scene).await?;

        self.phase(Phase::AfterRecovery, Some(workload.after_recovery))?;
        sleep(workload.after_recovery).await;

        self.phase(Phase::Drain, None)?;
        clients.end_producers().await?;
        self.end_transactions(topics::transactional_ids).await?;
        let fences = self.fences().await?;
        clients.consumers_reach(&fences, CATCH_UP_LIMIT).await;
        let at_fence = clients.end_consumers().await?;
        self.end_transactions(topics::members_transactional_ids).await?;
        self.positions(&fences, at_fence).await?;
        self.effects().await?;
        if self.experiment.cross_check == Some(CrossCheck::KafkaTools) {
            cross_check::compare(self.cluster, &self.watched(), self.recorder).await.context("Kafka's own tools")?;
        }

        self.phase(Phase::Audit, None)?;
        self.tailed(tails, &fences).await?;
        replicas::look(self.cluster, &self.topics(), Look::Audit, None, self.recorder).await?;
        for profile in &self.experiment.profiles {
            self.parked(profile).await?;
        }
        self.audit(&fences).await
    }

    /// Starts to follow the topics whose records may be gone before the audit.
    fn tails(&self) -> Result<Vec<Option<TailReader>>> {
        let Experiment { profiles, .. } = self.experiment;
        let start = |profile: &Profile| {
            TailReader::start(tail::Plan {
                bootstrap: self.cluster.harness_bootstrap(),
                run: self.run,
                profile: profile.name.clone(),
                topic: self.topic(profile),
                partitions: profile.topic.partitions,
                journals: self.run_dir.join("journal"),
                followed: self.active.followed().clone(),
            })
        };
        let needed = |profile: &&Profile| tail::is_needed(profile, self.experiment);
        profiles.iter().map(|profile| Some(profile).filter(needed).map(start).transpose()).collect()
    }

    /// A profile's group, in questions about its position.
    pub(super) fn group(&self, profile: &Profile, group: &str, at_fence: BTreeMap<i32, i64>) -> position::Group {
        let reset = profile.consumer.options.iter().rfind(|(name, _)| name.value == "auto.offset.reset");
        position::Group {
            bootstrap: self.cluster.harness_bootstrap(),
            group: group.to_owned(),
            topic: self.topic(profile),
            partitions: profile.topic.partitions,
            reset: reset.map(|(_, value)| value.clone()),
            at_fence,
        }
    }

    async fn begin_groups(&self) -> Result<()> {
        for (profile, group) in self.experiment.profiles.iter().zip(self.groups) {
            let group = self.group(profile, group, BTreeMap::new());
            tokio::task::spawn_blocking(move || position::begin(&group, position::LIMIT)).await??;
        }
        Ok(())
    }
}

/// From the schedule's zero to the last planned heal; none when there is nothing to plan by, or the state of the
/// cluster decides.
fn planned(experiment: &Experiment) -> Option<Duration> {
    let faults = &experiment.faults;
    let by_time = !faults.is_empty() && !faults.iter().any(ends_by_state);
    by_time.then(|| faults_end(faults))
}

/// Observers end with the experiment, however that ends.
struct AbortOnDrop<const N: usize>([tokio::task::JoinHandle<Result<()>>; N]);

impl<const N: usize> Drop for AbortOnDrop<N> {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
