//! The audit of all profiles' topics, each partition by as many passes as its leader's changes ask for.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use lossproof_ledger::event::{CommittedRead, EventKind};
use lossproof_ledger::record::Isolation;

use super::audit;
use super::experiment::Stage;
use crate::cluster::readiness::with_any;
use crate::experiment::Profile;

/// How often the audit of a partition is tried when its leader changed meanwhile.
const AUDIT_PASSES: u16 = 3;

impl Stage<'_> {
    /// Reads the logs of all profiles up to their fences.
    pub(super) async fn audit(&self, fences: &[BTreeMap<i32, i64>]) -> Result<()> {
        let audits =
            self.experiment.profiles.iter().zip(fences).map(|(profile, fences)| self.audit_one(profile, fences));
        try_join_all(audits).await?;
        Ok(())
    }

    async fn audit_one(&self, profile: &Profile, fences: &BTreeMap<i32, i64>) -> Result<()> {
        let log = audit::Log {
            bootstrap: self.cluster.harness_bootstrap(),
            run: self.run,
            topic: self.topic(profile),
            fences: fences.clone(),
            deadline: Instant::now() + audit::LIMIT,
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
