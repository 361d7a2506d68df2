//! The client processes of all profiles: started together, ended together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use lossproof_ledger::event::{ClientId, EventKind, Progress, Role};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::experiment::Stage;
use super::recorder::Recorder;
use super::topics;
use crate::experiment::Options;
use crate::workload::{Behaviour, ClientProcess, ClientSpec, ClientStatus, Consuming, Ended, Producing, Transactions};

/// All clients, by profile in the experiment's order. They die when this is dropped.
pub struct Clients {
    recorder: Arc<Recorder>,
    profiles: Vec<ProfileClients>,
}

struct ProfileClients {
    name: String,
    producer: Client,
    members: Vec<Client>,
}

struct Client {
    name: String,
    process: ClientProcess,
    /// How long its own options let it take to end well.
    end_limit: Duration,
}

impl Client {
    /// Asks it to end well and waits until it has, by force after its time and a margin.
    async fn end(&self) -> Ended {
        // A process that is gone can't be asked; how it went is told by its end.
        self.process.drain(self.end_limit).await.ok();
        self.process.ended(Instant::now() + self.end_limit + END_MARGIN).await
    }
}

const END_MARGIN: Duration = Duration::from_secs(10);

impl Clients {
    /// Starts the consumers of all profiles, and then their producers, so that nobody's first messages
    /// wait for a group to form.
    ///
    /// # Errors
    /// When a process can't be started.
    pub async fn start(stage: &Stage<'_>, groups: &[String]) -> Result<Self> {
        let (events, mut queue) = mpsc::unbounded_channel();
        let recorder = Arc::clone(stage.recorder);
        tokio::spawn({
            let recorder = Arc::clone(&recorder);
            async move {
                while let Some(event) = queue.recv().await {
                    if let Err(error) = recorder.record(event) {
                        tracing::error!("an event of a client is lost: {error:#}");
                    }
                }
            }
        });
        let exe = std::env::current_exe().context("where this program's own file is")?;
        let spawn = async |spec: ClientSpec| {
            let name = spec.name();
            let end_limit = spec.end_limit().with_context(|| format!("the options of client {name}"))?;
            let process = ClientProcess::spawn(&spec, &exe, stage.run_dir, events.clone())
                .await
                .with_context(|| format!("can't start client {name}"))?;
            anyhow::Ok(Client { name, process, end_limit })
        };
        let mut groups_of_members = Vec::new();
        for (profile, group) in stage.experiment.profiles.iter().zip(groups) {
            let mut members = Vec::new();
            for member in 0..profile.consumer.members {
                let consuming = Consuming { group: group.clone(), commit: profile.consumer.commit };
                let behaviour = Behaviour::Consumer(consuming);
                members.push(spawn(spec(stage, &profile.name, member, &profile.consumer.options, behaviour)).await?);
            }
            groups_of_members.push(members);
        }
        let mut profiles = Vec::new();
        for (number, (profile, members)) in (0..).zip(stage.experiment.profiles.iter().zip(groups_of_members)) {
            let behaviour = Behaviour::Producer(Producing {
                producer: number,
                partitions: profile.topic.partitions,
                rate_per_s: stage.experiment.workload.rate_per_s,
                payload_bytes: stage.experiment.workload.payload_bytes,
                on_queue_full: profile.producer.on_queue_full,
                on_fatal: profile.producer.on_fatal,
                keys: profile.producer.keys,
                transactions: profile.producer.transaction_messages.map(|messages| Transactions {
                    ids: topics::transactional_ids(stage.experiment, profile, stage.run),
                    messages,
                }),
                witness: None,
            });
            let producer = spawn(spec(stage, &profile.name, 0, &profile.producer.options, behaviour)).await?;
            profiles.push(ProfileClients { name: profile.name.clone(), producer, members });
        }
        Ok(Self { recorder, profiles })
    }

    /// Waits until every producer had an acknowledgement in each partition, and every member an assignment.
    ///
    /// # Errors
    /// When that does not come: without a fault, clients must work.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        self.reach("connected", limit, |status| status.ready).await
    }

    /// Waits until every profile has processed something.
    ///
    /// # Errors
    /// When that does not come.
    pub async fn flowing(&self, limit: Duration) -> Result<()> {
        self.reach("seen a message through", limit, |status| match status.progress {
            Progress::Producer { acked, .. } => acked > 0,
            // Of several members one may own no partition.
            Progress::Consumer { processed, .. } => processed > 0 || self.profiles.iter().all(|p| p.members.len() > 1),
        })
        .await
    }

    async fn reach(&self, what: &str, limit: Duration, is_there: impl Fn(&ClientStatus) -> bool) -> Result<()> {
        for profile in &self.profiles {
            for client in profile.members.iter().chain([&profile.producer]) {
                let mut status = client.process.status();
                let reached = tokio::time::timeout(limit, status.wait_for(&is_there)).await;
                if !matches!(reached, Ok(Ok(_))) {
                    bail!(
                        "client {0} has not {what} within {limit:?}; see clients/{0}.log in the run's directory",
                        client.name
                    );
                }
            }
        }
        Ok(())
    }

    /// Asks all producers to deliver or give up what they hold, and waits for their ends.
    ///
    /// # Errors
    /// When an event can't be stored.
    pub async fn end_producers(&self) -> Result<()> {
        let recorder = &self.recorder;
        let ends = self.profiles.iter().map(async |profile| (&profile.name, profile.producer.end().await));
        for (name, ended) in join_all(ends).await {
            if !ended.expected {
                let text = format!("the producer of {name} did not end as asked: {}", ended.how);
                recorder.emit(EventKind::Warning { text })?;
            }
        }
        Ok(())
    }

    /// Waits until each group has read the fence of each partition, or `limit`; what is missing then is
    /// told by the groups' positions.
    pub async fn consumers_reach(&self, fences: &[BTreeMap<i32, i64>], limit: Duration) {
        let waits = self.profiles.iter().zip(fences).map(async |(profile, fences)| {
            let wanted: BTreeSet<i32> = fences.keys().copied().collect();
            let mut changes: Vec<_> = profile.members.iter().map(|member| member.process.status()).collect();
            loop {
                let seen: BTreeSet<i32> =
                    changes.iter_mut().flat_map(|status| status.borrow_and_update().fences_seen.clone()).collect();
                if seen.is_superset(&wanted) {
                    return;
                }
                let any = changes.iter_mut().map(|status| Box::pin(status.changed()));
                let (ended, ..) = futures_util::future::select_all(any).await;
                if ended.is_err() {
                    // A member is gone, and will see no more.
                    return;
                }
            }
        });
        // Not reached in time is an answer too.
        tokio::time::timeout(limit, join_all(waits)).await.ok();
    }

    /// Ends all members and gives the partitions whose fence each profile's group has read.
    ///
    /// # Errors
    /// When an event can't be stored.
    pub async fn end_consumers(&self) -> Result<Vec<Vec<i32>>> {
        let recorder = &self.recorder;
        let ends = self.profiles.iter().map(async |profile| {
            let mut seen = BTreeSet::new();
            let mut how = Vec::new();
            for member in &profile.members {
                let ended = member.end().await;
                seen.extend(member.process.status().borrow().fences_seen.iter().copied());
                if !ended.expected {
                    how.push(ended.how);
                }
            }
            (&profile.name, seen.into_iter().collect::<Vec<i32>>(), how)
        });
        let mut all_seen = Vec::new();
        for (name, seen, how) in join_all(ends).await {
            for how in how {
                let text = format!("a consumer of {name} did not end as asked: {how}");
                recorder.emit(EventKind::Warning { text })?;
            }
            all_seen.push(seen);
        }
        Ok(all_seen)
    }
}

fn spec(stage: &Stage<'_>, profile: &str, member: u16, options: &Options, behaviour: Behaviour) -> ClientSpec {
    let role = match behaviour {
        Behaviour::Producer(_) => Role::Producer,
        Behaviour::Consumer(_) => Role::Consumer,
    };
    ClientSpec {
        id: ClientId { profile: profile.to_owned(), role, member, incarnation: 0 },
        run: stage.run,
        bootstrap: stage.cluster.client_bootstrap(),
        topic: topics::topic_name(&stage.experiment.name, profile),
        options: options.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
        journal_dir: stage.run_dir.join("journal"),
        behaviour,
    }
}
