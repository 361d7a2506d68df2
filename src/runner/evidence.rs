//! What is asked when clients have ended, besides the logs of the profiles' topics: where groups stand, what members did
//! and what was put aside elsewhere, and what was followed while it was there. What can't be told is a warning, and the
//! judge misses it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use lossproof_ledger::event::EventKind;
use lossproof_ledger::record::Isolation;

use super::effects::Deeds;
use super::experiment::Stage;
use super::tail::TailReader;
use super::{audit, effects, fence, parked, position, tail, topics, transactions};
use crate::experiment::{Experiment, Profile, ResultsIsolation, Sink};
use crate::workload::sink_path;

/// How long a coordinator may take to end a transaction.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(30);
/// How long a tail reader may take to come to the fence.
const TAIL_LIMIT: Duration = Duration::from_secs(20);

impl Stage<'_> {
    /// Freezes each topic and writes its fences, by profile and partition.
    pub(super) async fn fences(&self) -> Result<Vec<BTreeMap<i32, i64>>> {
        let mut all = Vec::new();
        for profile in &self.experiment.profiles {
            let topic = self.topic(profile);
            match topics::freeze(self.cluster, &topic).await {
                Ok(()) => self.recorder.emit(EventKind::TopicFrozen { topic: topic.clone() })?,
                Err(error) => self.recorder.emit(EventKind::Warning { text: format!("{error:#}") })?,
            }
            let written =
                fence::write(&self.cluster.harness_bootstrap(), &topic, profile.topic.partitions, fence::LIMIT).await?;
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

    /// The log of a topic besides the profiles' own, to which nobody writes any more.
    async fn fenced(&self, topic: String, partitions: i32) -> Result<audit::Log> {
        let bootstrap = self.cluster.harness_bootstrap();
        let fences = fence::write(&bootstrap, &topic, partitions, fence::LIMIT).await?;
        let fences = (0..).zip(fences).filter_map(|(partition, fence)| Some((partition, fence.ok()?))).collect();
        let deadline = Instant::now() + audit::LIMIT;
        Ok(audit::Log { bootstrap, run: self.run, fences, deadline, topic })
    }

    /// Ends what the owners of transactional ids left open, so that nothing lands any more and nothing is hidden.
    pub(super) async fn end_transactions(&self, ids: fn(&Experiment, &Profile, u64) -> Vec<String>) -> Result<()> {
        let ids = self.experiment.profiles.iter().flat_map(|profile| ids(self.experiment, profile, self.run));
        let ends = ids.map(|id| {
            let bootstrap = self.cluster.harness_bootstrap();
            tokio::task::spawn_blocking(move || transactions::end(&bootstrap, &id, TRANSACTION_LIMIT))
        });
        for ended in join_all(ends).await {
            if let Err(error) = ended? {
                self.recorder.emit(EventKind::Warning { text: format!("{error:#}") })?;
            }
        }
        Ok(())
    }

    pub(super) async fn positions(&self, fences: &[BTreeMap<i32, i64>], at_fence: Vec<Vec<i32>>) -> Result<()> {
        let profiles = self.experiment.profiles.iter().zip(self.groups);
        for (((profile, group), fences), seen) in profiles.zip(fences).zip(at_fence) {
            let at_fence = fences.iter().filter(|(partition, _)| seen.contains(partition));
            let question = self.group(profile, group, at_fence.map(|(&p, &o)| (p, o)).collect());
            let answer = tokio::task::spawn_blocking(move || position::positions(&question, position::LIMIT)).await?;
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
    pub(super) async fn effects(&self) -> Result<()> {
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

    /// Looks for what the profile's clients have put aside.
    pub(super) async fn parked(&self, profile: &Profile) -> Result<()> {
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

    pub(super) async fn tailed(&self, tails: Vec<Option<TailReader>>, fences: &[BTreeMap<i32, i64>]) -> Result<()> {
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
}
