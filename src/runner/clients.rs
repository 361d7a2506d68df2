//! The client processes of all profiles: started together, ended together, and between that in the hands of
//! the faults of clients.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::event::{ClientId, Event, EventKind, Progress, Role};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::experiment::Stage;
use super::recorder::Recorder;
use super::topics;
use crate::experiment::{Options, Profile, Sink};
use crate::fault::client::ClientName;
use crate::workload::parking::{self, Parking};
use crate::workload::{
    Behaviour, ClientProcess, ClientSpec, ClientStatus, Consuming, Ended, Producing, ResultsTo, SINKS, Transactions,
    sink_path,
};

/// All clients, by profile in the experiment's order. They die when this is dropped.
pub struct Clients {
    recorder: Arc<Recorder>,
    pub(super) starter: Starter,
    profiles: Vec<ProfileClients>,
}

struct ProfileClients {
    name: String,
    producer: Client,
    members: Vec<Client>,
}

/// Starts client processes of this program's own file.
pub(super) struct Starter {
    exe: PathBuf,
    run_dir: PathBuf,
    events: mpsc::UnboundedSender<Event>,
}

impl Starter {
    async fn start(&self, spec: &ClientSpec) -> Result<Arc<ClientProcess>> {
        let process = ClientProcess::spawn(spec, &self.exe, &self.run_dir, self.events.clone()).await;
        Ok(Arc::new(process.with_context(|| format!("can't start client {}", spec.name()))?))
    }
}

/// A client in its present incarnation.
pub(super) struct Client {
    /// How long its own options let it take to end well.
    end_limit: Duration,
    /// How long it may do nothing and yet go on.
    idle_limit: Duration,
    now: Mutex<Incarnation>,
}

struct Incarnation {
    spec: ClientSpec,
    /// None while a fault keeps it away.
    process: Option<Arc<ClientProcess>>,
}

impl Client {
    fn now(&self) -> MutexGuard<'_, Incarnation> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn process(&self) -> Option<Arc<ClientProcess>> {
        self.now().process.clone()
    }

    /// Asks it to end well and waits until it has, by force after its time and a margin. None if it is away.
    pub(super) async fn end(&self) -> Option<Ended> {
        let process = self.process()?;
        // A process that is gone can't be asked; how it went is told by its end.
        process.drain(self.end_limit).await.ok();
        Some(process.ended(Instant::now() + self.end_limit + END_MARGIN).await)
    }

    /// Whether its process comes to such a status in time.
    pub(super) async fn reaches(&self, limit: Duration, is_there: impl Fn(&ClientStatus) -> bool) -> bool {
        let Some(process) = self.process() else { return false };
        let mut status = process.status();
        matches!(tokio::time::timeout(limit, status.wait_for(is_there)).await, Ok(Ok(_)))
    }

    /// It is away from now on.
    pub(super) fn leaves(&self) {
        self.now().process = None;
    }

    /// Starts its next incarnation, unless it is there.
    pub(super) async fn start_again(&self, starter: &Starter) -> Result<()> {
        let next = {
            let now = self.now();
            if now.process.is_some() {
                return Ok(());
            }
            now.spec.next_incarnation().with_context(|| format!("where {} was", now.spec.id))?
        };
        let process = starter.start(&next).await?;
        *self.now() = Incarnation { spec: next, process: Some(process) };
        Ok(())
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
        let starter = Starter { exe, run_dir: stage.run_dir.to_owned(), events };
        let start = async |spec: ClientSpec| {
            let end_limit = spec.end_limit().with_context(|| format!("the options of client {}", spec.name()))?;
            let idle_limit = spec.idle_limit().with_context(|| format!("the options of client {}", spec.name()))?;
            let process = Some(starter.start(&spec).await?);
            anyhow::Ok(Client { end_limit, idle_limit, now: Mutex::new(Incarnation { spec, process }) })
        };
        let started_ns = boottime_ns();
        std::fs::create_dir_all(stage.run_dir.join(SINKS)).context("the folder of sinks")?;
        let mut groups_of_members = Vec::new();
        for (profile, group) in stage.experiment.profiles.iter().zip(groups) {
            let mut members = Vec::new();
            for member in 0..profile.consumer.members {
                let handling = profile.consumer.handling.clone();
                let sink = (handling.sink == Sink::SqliteDedup).then(|| sink_path(stage.run_dir, &profile.name));
                let results = results_to(stage, profile, member);
                let consuming = Consuming { group: group.clone(), handling, started_ns, sink, results };
                let behaviour = Behaviour::Consumer(consuming);
                members.push(start(spec(stage, &profile.name, member, &profile.consumer.options, behaviour)).await?);
            }
            groups_of_members.push(members);
        }
        let mut profiles = Vec::new();
        for (number, (profile, members)) in (0..).zip(stage.experiment.profiles.iter().zip(groups_of_members)) {
            let behaviour = Behaviour::Producer(Producing {
                producer: number,
                partitions: profile.topic.partitions,
                first: Vec::new(),
                rate_per_s: stage.experiment.workload.rate_per_s,
                payload_bytes: stage.experiment.workload.payload_bytes,
                on_queue_full: profile.producer.on_queue_full,
                on_fatal: profile.producer.on_fatal,
                keys: profile.producer.keys,
                transactions: profile.producer.transaction_messages.map(|messages| Transactions {
                    ids: topics::transactional_ids(stage.experiment, profile, stage.run),
                    messages,
                }),
                sending: profile.producer.sending,
                parking: profile.producer.sending.keeps_aside().then(|| parking(stage, profile)).transpose()?,
                witness: None,
            });
            let producer = start(spec(stage, &profile.name, 0, &profile.producer.options, behaviour)).await?;
            profiles.push(ProfileClients { name: profile.name.clone(), producer, members });
        }
        Ok(Self { recorder, starter, profiles })
    }

    /// All clients, in the experiment's order.
    pub(super) fn names(&self) -> Vec<ClientName> {
        let all = self.profiles.iter().flat_map(|profile| [&profile.producer].into_iter().chain(&profile.members));
        all.map(|client| {
            let ClientId { profile, role, member, .. } = client.now().spec.id.clone();
            ClientName { profile, role, member }
        })
        .collect()
    }

    /// The client of that name, in whichever incarnation.
    pub(super) fn find(&self, name: &ClientName) -> Option<&Client> {
        let profile = self.profiles.iter().find(|profile| profile.name == name.profile)?;
        match name.role {
            Role::Producer => (name.member == 0).then_some(&profile.producer),
            Role::Consumer => profile.members.get(usize::from(name.member)),
        }
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
                if !client.reaches(limit, &is_there).await {
                    let name = client.now().spec.name();
                    bail!(
                        "client {name} has not {what} within {limit:?}; see clients/{name}.log in the run's directory"
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
            if let Some(ended) = ended.filter(|ended| !ended.expected) {
                let text = format!("the producer of {name} did not end as asked: {}", ended.how);
                recorder.emit(EventKind::Warning { text })?;
            }
        }
        Ok(())
    }

    /// Waits until each group has read the fence of each partition, or stands still, or `limit`; what is missing
    /// then is told by the groups' positions.
    pub async fn consumers_reach(&self, fences: &[BTreeMap<i32, i64>], limit: Duration) {
        let waits = self.profiles.iter().zip(fences).map(async |(profile, fences)| {
            let wanted: BTreeSet<i32> = fences.keys().copied().collect();
            let members = profile.members.iter().filter_map(Client::process);
            let mut changes: Vec<_> = members.map(|process| process.status()).collect();
            let idle_limit = profile.members.iter().map(|member| member.idle_limit).max().unwrap_or(limit).min(limit);
            let (mut progress, mut idle_since) = (Vec::new(), Instant::now());
            // A group without members sees nothing more.
            while !changes.is_empty() {
                let seen: BTreeSet<i32> =
                    changes.iter_mut().flat_map(|status| status.borrow_and_update().fences_seen.clone()).collect();
                if seen.is_superset(&wanted) {
                    return;
                }
                let now: Vec<Progress> = changes.iter().map(|status| status.borrow().progress.clone()).collect();
                if now != progress {
                    (progress, idle_since) = (now, Instant::now());
                }
                let any = changes.iter_mut().map(|status| Box::pin(status.changed()));
                let any = futures_util::future::select_all(any);
                let Ok((ended, ..)) = tokio::time::timeout_at(idle_since + idle_limit, any).await else { return };
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
                let Some(process) = member.process() else { continue };
                let ended = member.end().await;
                seen.extend(process.status().borrow().fences_seen.iter().copied());
                how.extend(ended.filter(|ended| !ended.expected).map(|ended| ended.how));
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

/// Where a member writes its results, if it does.
fn results_to(stage: &Stage<'_>, profile: &Profile, member: u16) -> Option<ResultsTo> {
    let ids = topics::members_transactional_ids(stage.experiment, profile, stage.run);
    let transactional_id = ids.into_iter().nth(usize::from(member));
    topics::results_of(stage.experiment, profile).map(|topic| ResultsTo { topic, transactional_id })
}

/// Where a profile's clients put messages aside.
fn parking(stage: &Stage<'_>, profile: &Profile) -> Result<Parking> {
    let dir = stage.run_dir.join(parking::FOLDER);
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let dead_letters = topics::dead_letters(&topics::topic_name(&stage.experiment.name, &profile.name));
    Ok(Parking { dir, dead_letters })
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
