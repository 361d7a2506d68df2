//! A running cluster: how it starts, where its brokers are, how it is asked, how it goes away.

pub mod cgroup;
mod composed;
pub mod disks;
pub mod engine;
pub mod readiness;
mod recreate;
pub mod session;
pub mod shell;
pub mod start;
pub mod sweep;
pub mod wire;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::experiment::{ClusterSpec, HARNESS_PORT, Listener};
use composed::Composed;
use disks::Backing;
use engine::Engine;
use readiness::Address;
use session::{Session, Subnet};
use shell::NetShell;
use wire::Resource;

/// A cluster whose brokers were ready.
pub struct Cluster {
    /// The engine that it runs on.
    pub engine: Engine,
    /// Image that the brokers were started from.
    pub image: String,
    /// What was asked for.
    pub spec: ClusterSpec,
    /// In order of their ids.
    pub brokers: Vec<Broker>,
    /// From `up` to ready.
    pub boot: Duration,
    /// How its disks are made.
    pub backing: Backing,
    session: Session,
    compose: Composed,
    shells: tokio::sync::Mutex<HashMap<i32, NetShell>>,
    _subnet: Subnet,
}

/// A broker and the container that holds its network namespace.
#[derive(Debug, Clone)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// Name of its own container; an upgrade makes another one of that name.
    pub container: String,
    /// Name of the holder's container.
    pub holder: String,
    /// Fixed IPv4 address.
    pub ip: String,
}

impl Broker {
    /// Address of one of its listeners.
    #[must_use]
    pub fn address(&self, port: u16) -> String {
        format!("{}:{port}", self.ip)
    }
}

impl Cluster {
    /// Id that all its containers, networks and volumes carry as label.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session.id
    }

    /// The broker of that id.
    ///
    /// # Errors
    /// When there is none.
    pub fn broker(&self, id: i32) -> Result<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id).with_context(|| format!("there is no broker {id}"))
    }

    /// Ids of all brokers, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<i32> {
        self.brokers.iter().map(|broker| broker.id).collect()
    }

    /// HARNESS addresses, by id.
    #[must_use]
    pub fn harness(&self) -> Vec<Address> {
        self.brokers.iter().map(|broker| (broker.id, broker.address(HARNESS_PORT))).collect()
    }

    /// Bootstrap list of the harness's own clients.
    #[must_use]
    pub fn harness_bootstrap(&self) -> String {
        self.bootstrap_on(HARNESS_PORT)
    }

    /// Bootstrap list of the clients under test.
    #[must_use]
    pub fn client_bootstrap(&self) -> String {
        self.bootstrap_on(Listener::Client.port())
    }

    fn bootstrap_on(&self, port: u16) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(|broker| broker.address(port)).collect();
        addresses.join(",")
    }

    /// Runs a line of shell in a broker's network namespace, by a shell that stays for the next line.
    ///
    /// # Errors
    /// What the line printed, when it failed; or that the holder is gone.
    pub async fn in_namespace(&self, broker: i32, line: &str) -> Result<String> {
        let shell = {
            let mut shells = self.shells.lock().await;
            match shells.get(&broker) {
                Some(shell) => shell.clone(),
                None => {
                    let shell = NetShell::open(&self.engine, &self.broker(broker)?.holder).await?;
                    shells.insert(broker, shell.clone());
                    shell
                }
            }
        };
        shell.run(line).await
    }

    /// Puts a container from another image in the place of a stopped broker's, on the same volume and in the same
    /// network namespace. It is not started.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn recreate(&self, broker: i32, image: &str) -> Result<()> {
        recreate::recreate(&self.engine, &self.broker(broker)?.container, image).await
    }

    /// Gives a broker that was left without a container, half-way through `recreate`, the one that it had.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn restore(&self, broker: i32) -> Result<()> {
        recreate::restore(&self.engine, &self.broker(broker)?.container).await
    }

    /// What a broker wrote since a moment, in seconds of Unix time, in all containers that it had.
    ///
    /// # Errors
    /// When the engine does not give it.
    pub async fn log_since(&self, broker: &Broker, unix_s: i64) -> Result<String> {
        let mut text = String::new();
        for container in recreate::earlier(&self.engine, &broker.container).await? {
            text.push_str(&self.engine.log_since(&container, unix_s).await?);
        }
        text.push_str(&self.engine.log_since(&broker.container, unix_s).await?);
        Ok(text)
    }

    /// What must be the same before another experiment may use this cluster: all brokers up, from the image that
    /// they were started from, and in sync with nothing but internal topics, no option changed, no network rule,
    /// the disks' free space back.
    ///
    /// # Errors
    /// A sentence about what differs.
    pub async fn is_as_new(&self) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(10);
        readiness::settled(&self.harness(), &[], LIMIT).await.context("not settled")?;
        readiness::only_internal_topics(&self.harness(), LIMIT).await?;
        self.has_no_changed_option().await?;
        for broker in &self.brokers {
            let image = self.engine.image_of(&broker.container).await?;
            anyhow::ensure!(image.name == self.image, "broker {} was upgraded to {}", broker.id, image.name);
            let rules = self.in_namespace(broker.id, "tc qdisc show").await?;
            // Below a root that may be kept ready for rules.
            anyhow::ensure!(!rules.contains(" parent 1:"), "broker {} has a network rule: {}", broker.id, rules.trim());
            let free = self.free_bytes(broker.id).await?;
            anyhow::ensure!(
                free * 10 > self.spec.disk_bytes * 7,
                "broker {} has {free} of {} bytes free",
                broker.id,
                self.spec.disk_bytes
            );
        }
        Ok(())
    }

    /// Whether no option was changed while it ran, as a fault may have done whose healing failed.
    ///
    /// # Errors
    /// One that was.
    pub async fn has_no_changed_option(&self) -> Result<()> {
        /// What brokers set on their own topics when they create them.
        const OF_INTERNAL_TOPICS: [&str; 3] = ["cleanup.policy", "compression.type", "segment.bytes"];
        /// What they set besides on the topic of transactions (`TransactionStateManager`).
        const OF_TRANSACTIONS: [&str; 2] = ["min.insync.replicas", "unclean.leader.election.enable"];
        let any = self.harness();
        let view = readiness::with_any(&any, async |wire| wire.view(None).await).await?;
        let topics: BTreeSet<String> = view.partitions.into_iter().map(|state| state.topic).collect();
        let topics = topics.into_iter().map(|topic| {
            let more = if topic == "__transaction_state" { &OF_TRANSACTIONS[..] } else { &[] };
            (any.clone(), Resource::Topic(topic), [&OF_INTERNAL_TOPICS[..], more].concat())
        });
        let brokers = any.iter().map(|(id, address)| (vec![(*id, address.clone())], Resource::Broker(*id), Vec::new()));
        for (asked, resource, usual) in brokers.chain(topics) {
            let entries = readiness::with_any(&asked, async |wire| wire.config(&resource, None).await).await?;
            let changed = entries.iter().find(|entry| entry.is_own && !usual.contains(&entry.name.as_str()));
            if let Some(entry) = changed {
                anyhow::bail!("{} is set on {resource}", entry.name);
            }
        }
        Ok(())
    }

    /// Free bytes of a running broker's data volume.
    ///
    /// # Errors
    /// When the broker does not run.
    pub async fn free_bytes(&self, broker: i32) -> Result<u64> {
        self.engine.free_bytes(&self.broker(broker)?.container, "/data").await
    }

    /// Stops and removes everything. Gives what could not be removed.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn tear_down(self) -> Result<sweep::Remains> {
        // A killed broker goes at once, where `compose down` would wait for its orderly end.
        futures_util::future::join_all(
            self.brokers.iter().map(|broker| self.engine.kill(&broker.container, "SIGKILL")),
        )
        .await;
        drop(self.shells);
        if let Err(error) = self.compose.into_inner().down().await {
            tracing::warn!("compose down: {error}");
        }
        let left = sweep::sweep(&self.engine, &self.session.id).await?;
        if left.is_empty() {
            session::forget(&self.session.id);
        }
        Ok(left)
    }

    /// Leaves everything running and gives the session's id; `clean` removes it later.
    #[must_use]
    pub fn keep(self) -> String {
        // Its Drop would run `compose down`.
        std::mem::forget(self.compose.into_inner());
        self.session.id.clone()
    }
}
