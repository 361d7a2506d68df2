//! One experiment on a running cluster: the lifecycle from the topics to the stored evidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lossproof_ledger::event::{CommittedRead, EventKind, Look, Phase};
use lossproof_ledger::record::Isolation;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::clients::Clients;
use super::effects::Deeds;
use super::lag::Watched;
use super::recorder::Recorder;
use super::schedule::{self, Active, Scene};
use super::tail::TailReader;
use super::{audit, cross_check, effects, fence, lag, observe, parked, position, replicas, tail, topics, transactions};
use crate::cluster::Cluster;
use crate::cluster::readiness::{known, settled, with_any};
use crate::experiment::schedule::{ends_by_state, faults_end};
use crate::experiment::{CrossCheck, Experiment, Profile, ResultsIsolation, Sink};
use crate::fault::{self, Subjects};
use crate::workload::sink_path;

/// How long clients may take to connect, join their groups and see a first message through.
const CLIENT_START_LIMIT: Duration = Duration::from_secs(60);
const TOPIC_LIMIT: Duration = Duration::from_secs(30);
const FENCE_LIMIT: Duration = Duration::from_secs(30);
/// How long consumers may take to come from where they are to the fence.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// How long a coordinator may take to end a transaction.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(30);
/// How long a tail reader may take to come to the fence.
const TAIL_LIMIT: Duration = Duration::from_secs(20);
const AUDIT_LIMIT: Duration = Duration::from_secs(60);
/// How often the audit of a partition is tried when its leader changed meanwhile.
const AUDIT_PASSES: u16 = 3;

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
    fn topic(&self, profile: &Profile) -> String {
        topics::topic_name(&self.experiment.name, &profile.name)
    }

    fn topics(&self) -> Vec<String> {
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

    /// The log of a topic besides the profiles' own, to which nobody writes any more.
    async fn fenced(&self, topic: String, partitions: i32) -> Result<audit::Log> {
        let bootstrap = self.cluster.harness_bootstrap();
        let fences = fence::write(&bootstrap, &topic, partitions, FENCE_LIMIT).await?;
        let fences = (0..).zip(fences).filter_map(|(partition, fence)| Some((partition, fence.ok()?))).collect();
        let deadline = std::time::Instant::now() + AUDIT_LIMIT;
        Ok(audit::Log { bootstrap, run: self.run, fences, deadline, topic })
    }

    /// Looks for what the profile's clients have put aside.
    async fn parked(&self, profile: &Profile) -> Result<()> {
        let mut stores = parked::files(self.run_dir, profile);
        for (topic, place) in topics::dead_letters_of(self.experiment, profile) {
            let log = self.fenced(topic, profile.topic.partitions).await?;
            stores.push(parked::Store::DeadLetters { log, partitions: profile.topic.partitions, place });
        }
        if stores.is_empty() {
            return Ok(());
        }
        let (run, name, journals) = (self.run, profile.name.clone(), self.run_dir.join("journal"));
        let troubles = tokio::task::spawn_blocking(move || parked::look(run, &name, &stores, &journals)).await??;
        for text in troubles {
            self.recorder.emit(EventKind::Warning { text: format!("{}: {text}", profile.name) })?;
        }
        Ok(())
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

    async fn tailed(&self, tails: Vec<Option<TailReader>>, fences: &[BTreeMap<i32, i64>]) -> Result<()> {
        for ((profile, tail), fences) in self.experiment.profiles.iter().zip(tails).zip(fences) {
            let Some(tail) = tail else { continue };
            let compacted = profile.is_compacted(&self.experiment.cluster);
            let keys = profile.producer.keys.filter(|_| compacted);
            let target = fences.clone();
            let partitions = tokio::task::spawn_blocking(move || tail.finish(&target, TAIL_LIMIT)).await??;
            for (partition, tail::PartitionTail { position, reset }) in partitions {
                // Compaction takes from the midst of the log: what was read of its beginning tells nothing of the rest.
                let short = fences.get(&partition).is_none_or(|fence| position <= *fence);
                let reset = reset.or_else(|| (compacted && short).then(|| "there was no time to read it".to_owned()));
                let profile = profile.name.clone();
                self.recorder.emit(EventKind::PartitionTailed {
                    profile,
                    partition,
                    from: 0,
                    position,
                    reset,
                    keys,
                })?;
            }
        }
        Ok(())
    }

    /// Ends what transactional producers left open, so that nothing lands any more and nothing is hidden.
    async fn end_transactions(&self, ids: fn(&Experiment, &Profile, u64) -> Vec<String>) -> Result<()> {
        let ids = self.experiment.profiles.iter().flat_map(|profile| ids(self.experiment, profile, self.run));
        let ends = ids.map(|id| {
            let bootstrap = self.cluster.harness_bootstrap();
            tokio::task::spawn_blocking(move || transactions::end(&bootstrap, &id, TRANSACTION_LIMIT))
        });
        for ended in futures_util::future::join_all(ends).await {
            if let Err(error) = ended? {
                self.recorder.emit(EventKind::Warning { text: format!("{error:#}") })?;
            }
        }
        Ok(())
    }

    /// Freezes each topic and writes its fences, by profile and partition.
    async fn fences(&self) -> Result<Vec<BTreeMap<i32, i64>>> {
        let mut all = Vec::new();
        for profile in &self.experiment.profiles {
            let topic = self.topic(profile);
            match topics::freeze(self.cluster, &topic).await {
                Ok(()) => self.recorder.emit(EventKind::TopicFrozen { topic: topic.clone() })?,
                Err(error) => self.recorder.emit(EventKind::Warning { text: format!("{error:#}") })?,
            }
            let written =
                fence::write(&self.cluster.harness_bootstrap(), &topic, profile.topic.partitions, FENCE_LIMIT).await?;
            let mut fences = BTreeMap::new();
            for (partition, fence) in (0..).zip(written) {
                match fence {
                    Ok(offset) => {
                        fences.insert(partition, offset);
                        let profile = profile.name.clone();
                        self.recorder.emit(EventKind::FenceWritten { profile, partition, offset })?;
                    }
                    Err(error) => self.recorder.emit(EventKind::Warning { text: format!("{topic}: {error:#}") })?,
                }
            }
            all.push(fences);
        }
        Ok(all)
    }

    /// A profile's group, in questions about its position.
    fn group(&self, profile: &Profile, group: &str, at_fence: BTreeMap<i32, i64>) -> position::Group {
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
            tokio::task::spawn_blocking(move || position::begin(&group, FENCE_LIMIT)).await??;
        }
        Ok(())
    }

    async fn positions(&self, fences: &[BTreeMap<i32, i64>], at_fence: Vec<Vec<i32>>) -> Result<()> {
        let profiles = self.experiment.profiles.iter().zip(self.groups);
        for (((profile, group), fences), seen) in profiles.zip(fences).zip(at_fence) {
            let at_fence = fences.iter().filter(|(partition, _)| seen.contains(partition));
            let question = self.group(profile, group, at_fence.map(|(&p, &o)| (p, o)).collect());
            let answer = tokio::task::spawn_blocking(move || position::positions(&question, FENCE_LIMIT)).await?;
            match answer {
                Ok(positions) => {
                    for (partition, (position, source)) in positions {
                        let profile = profile.name.clone();
                        self.recorder.emit(EventKind::GroupPosition { profile, partition, position, source })?;
                    }
                }
                Err(error) => {
                    let text = format!("where the group of {} stands can't be told: {error:#}", profile.name);
                    self.recorder.emit(EventKind::Warning { text })?;
                }
            }
        }
        Ok(())
    }

    /// Journals what members did that lies elsewhere than in their journals.
    async fn effects(&self) -> Result<()> {
        for profile in &self.experiment.profiles {
            let deeds = match profile.consumer.handling.sink {
                Sink::None => continue,
                Sink::SqliteDedup => Deeds::Sink(sink_path(self.run_dir, &profile.name)),
                Sink::Topic => {
                    let Some(topic) = topics::results_of(self.experiment, profile) else { continue };
                    let partitions = profile.topic.partitions;
                    let isolation = match profile.consumer.results_isolation {
                        ResultsIsolation::ReadCommitted => Isolation::ReadCommitted,
                        ResultsIsolation::ReadUncommitted => Isolation::ReadUncommitted,
                    };
                    Deeds::Results { log: self.fenced(topic, partitions).await?, partitions, isolation }
                }
            };
            let (name, run, journals) = (profile.name.clone(), self.run, self.run_dir.join("journal"));
            let read = move || effects::look(&deeds, run, &name, &journals);
            if let Err(error) = tokio::task::spawn_blocking(read).await? {
                let text = format!("what the consumers of {} did is not all known: {error:#}", profile.name);
                self.recorder.emit(EventKind::Warning { text })?;
            }
        }
        Ok(())
    }

    async fn audit(&self, fences: &[BTreeMap<i32, i64>]) -> Result<()> {
        let audits =
            self.experiment.profiles.iter().zip(fences).map(|(profile, fences)| self.audit_one(profile, fences));
        futures_util::future::try_join_all(audits).await?;
        Ok(())
    }

    async fn audit_one(&self, profile: &Profile, fences: &BTreeMap<i32, i64>) -> Result<()> {
        let log = audit::Log {
            bootstrap: self.cluster.harness_bootstrap(),
            run: self.run,
            topic: self.topic(profile),
            fences: fences.clone(),
            deadline: std::time::Instant::now() + AUDIT_LIMIT,
        };
        let plan = audit::Plan { profile: profile.name.clone(), log, journals: self.run_dir.join("journal") };
        let mut auditor = audit::Auditor::new(plan)?;
        let mut open: Vec<i32> = fences.keys().copied().collect();
        for partition in (0..profile.topic.partitions).filter(|partition| !fences.contains_key(partition)) {
            self.audited(profile, partition, 0, 0, Some("no fence could be written".to_owned()), None)?;
        }
        for pass in 0..AUDIT_PASSES {
            let before = self.leader_epochs(profile).await?;
            let partitions = open.clone();
            let transactional = profile.producer.transaction_messages.is_some();
            let (read, committed);
            (auditor, read, committed) = tokio::task::spawn_blocking(move || {
                let read = auditor.read(&partitions, pass, Isolation::ReadUncommitted);
                let committed = transactional.then(|| auditor.read(&partitions, pass, Isolation::ReadCommitted));
                (auditor, read, committed.transpose())
            })
            .await?;
            let committed = committed?;
            let after = self.leader_epochs(profile).await?;
            let last = pass + 1 == AUDIT_PASSES;
            let mut again = Vec::new();
            for (partition, result) in read? {
                let second = committed.as_ref().map(|committed| committed.get(&partition));
                let committed = second.map(|second| CommittedRead {
                    complete: second.is_some_and(|second| second.failure.is_none()),
                    open_from: second.and_then(|second| second.open_from),
                });
                let moved = before.get(&partition) != after.get(&partition);
                let why = result.failure.or_else(|| {
                    moved.then(|| {
                        format!(
                            "its leader epoch changed from {:?} to {:?}",
                            before.get(&partition),
                            after.get(&partition)
                        )
                    })
                });
                if (why.is_some() || committed.is_some_and(|committed| !committed.complete)) && !last {
                    again.push(partition);
                } else {
                    self.audited(profile, partition, result.log_start, pass, why, committed)?;
                }
            }
            open = again;
            if open.is_empty() {
                break;
            }
        }
        auditor.seal()
    }

    fn audited(
        &self,
        profile: &Profile,
        partition: i32,
        log_start: i64,
        attempt: u16,
        why: Option<String>,
        committed: Option<CommittedRead>,
    ) -> Result<()> {
        self.recorder.emit(EventKind::PartitionAudited {
            profile: profile.name.clone(),
            partition,
            complete: why.is_none(),
            log_start,
            attempt,
            why,
            committed,
        })
    }

    async fn leader_epochs(&self, profile: &Profile) -> Result<BTreeMap<i32, i32>> {
        let topic = [self.topic(profile)];
        let view = with_any(&self.cluster.harness(), async |wire| wire.view(Some(&topic)).await).await?;
        if view.partitions.is_empty() {
            bail!("topic {} is gone", topic[0]);
        }
        Ok(view.partitions.into_iter().map(|state| (state.partition, state.leader_epoch)).collect())
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
