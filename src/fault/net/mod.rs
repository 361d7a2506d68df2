//! Network effects at brokers: any number at a time, each with an id, put on and taken off one by one.
//!
//! Everything happens in the network namespaces of the brokers' holders, by their waiting shells. An effect
//! is in force when the call returns. Limits: IPv4 only; a broker takes 255 cuts and 6 other effects at a
//! time; a packet that two bandwidths concern is held to the lower one, and not counted for the other;
//! taking off a latency or a bandwidth drops what its queue holds at that moment.

mod capabilities;
mod counters;
mod effect;
mod plan;
mod program;
#[cfg(test)]
mod program_tests;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::Mutex;

use crate::cluster::Cluster;
use crate::cluster::shell::{CLEAR_NETWORK, NetShell};

pub use capabilities::{Capabilities, Capability, Need, missing, probe};
pub use counters::Counters;
pub use effect::{Action, Direction, Effect, End, Scope};

use plan::Plan;

/// Who runs lines of shell in the brokers' network namespaces, by shells that stay.
pub trait Namespaces: Sync {
    /// Runs one line and gives what it printed.
    ///
    /// # Errors
    /// What it printed, when it failed; or that the shell is gone.
    fn run(&self, broker: i32, line: &str) -> impl Future<Output = Result<String>> + Send;
}

impl Namespaces for Cluster {
    async fn run(&self, broker: i32, line: &str) -> Result<String> {
        self.in_namespace(broker, line).await
    }
}

impl Namespaces for HashMap<i32, NetShell> {
    async fn run(&self, broker: i32, line: &str) -> Result<String> {
        self.get(&broker).with_context(|| format!("there is no broker {broker}"))?.run(line).await
    }
}

/// The network effects of a run: what stands at which broker.
///
/// At a broker that it has not seen yet, or where a step failed, it first removes all that is there.
#[derive(Debug, Default)]
pub struct Network {
    brokers: Mutex<BTreeMap<i32, Known>>,
}

/// What is known of a broker.
#[derive(Debug, Default)]
struct Known {
    /// What should stand there.
    plan: Plan,
    /// Whether it does; not after a step that failed.
    stands: bool,
}

impl Network {
    /// Puts an effect on at some brokers, at all of them at once. One that is not `on` is only prepared:
    /// nothing happens to a packet before [`Network::switch`], which then has less to do.
    ///
    /// # Errors
    /// Nothing was done where an effect is refused as such: it makes no sense, or there are too many, or the id is
    /// taken. Otherwise a kernel refused; the effect may then stand at some of the brokers, until it is taken off.
    pub async fn put(
        &self,
        namespaces: &impl Namespaces,
        id: usize,
        effects: &BTreeMap<i32, Effect>,
        on: bool,
    ) -> Result<()> {
        let brokers: Vec<i32> = effects.keys().copied().collect();
        self.go_over(namespaces, &brokers, |broker, plan| plan.with(id, effects[&broker].clone(), on)).await
    }

    /// Switches an effect on or off wherever it stands. Its counters go on.
    ///
    /// # Errors
    /// When it stands nowhere, or a kernel refused.
    pub async fn switch(&self, namespaces: &impl Namespaces, id: usize, on: bool) -> Result<()> {
        let brokers = self.brokers_with(id).await;
        anyhow::ensure!(!brokers.is_empty(), "there is no network effect {id}");
        self.go_over(namespaces, &brokers, |_, plan| plan.switched(id, on)).await
    }

    /// Takes an effect off wherever it stands; fine where it does not.
    ///
    /// # Errors
    /// When a kernel refused.
    pub async fn take_off(&self, namespaces: &impl Namespaces, id: usize) -> Result<()> {
        let brokers = self.brokers_with(id).await;
        self.go_over(namespaces, &brokers, |_, plan| Ok(plan.without(id))).await
    }

    /// Removes all network effects at some brokers, whoever put them on. Tried at each of them.
    ///
    /// # Errors
    /// When something stays at one.
    pub async fn clear(&self, namespaces: &impl Namespaces, brokers: &[i32]) -> Result<()> {
        let mut known = self.brokers.lock().await;
        let cleared = join_all(brokers.iter().map(|&broker| namespaces.run(broker, CLEAR_NETWORK))).await;
        for (broker, cleared) in brokers.iter().zip(&cleared) {
            known.insert(*broker, Known { plan: Plan::default(), stands: cleared.is_ok() });
        }
        cleared.into_iter().collect::<Result<Vec<_>>>().map(drop)
    }

    /// What the kernel counted for an effect, by broker. Nothing, where it does not stand.
    ///
    /// # Errors
    /// When the counters can't be read, or are gone because something else removed the effect.
    pub async fn counters(&self, namespaces: &impl Namespaces, id: usize) -> Result<BTreeMap<i32, Counters>> {
        let known = self.brokers.lock().await;
        let with = known.iter().filter(|(_, known)| known.plan.effects.contains_key(&id));
        let counted = with.map(|(&broker, known)| async move {
            let shown = namespaces.run(broker, counters::SHOW).await?;
            let all = counters::read(&shown, &known.plan).with_context(|| format!("broker {broker}"))?;
            anyhow::Ok((broker, all[&id]))
        });
        Ok(try_join_all(counted).await?.into_iter().collect())
    }

    /// Packets dropped at a broker by the cuts and losses that stand there, whoever put them on. None when
    /// none stands.
    ///
    /// # Errors
    /// When the counters can't be read.
    pub async fn drops(&self, namespaces: &impl Namespaces, broker: i32) -> Result<Option<u64>> {
        counters::drops(&namespaces.run(broker, counters::SHOW).await?)
    }

    async fn brokers_with(&self, id: usize) -> Vec<i32> {
        let known = self.brokers.lock().await;
        known.iter().filter(|(_, known)| known.plan.effects.contains_key(&id)).map(|(&broker, _)| broker).collect()
    }

    /// Changes the plans of some brokers, and then what stands there.
    async fn go_over(
        &self,
        namespaces: &impl Namespaces,
        brokers: &[i32],
        change: impl Fn(i32, &Plan) -> Result<Plan>,
    ) -> Result<()> {
        let mut known = self.brokers.lock().await;
        let mut steps = Vec::new();
        for &broker in brokers {
            let now = known.entry(broker).or_default();
            let next = change(broker, &now.plan)?;
            let line = if now.stands {
                now.plan.go_over_to(&next)?
            } else {
                let all = Plan::default().go_over_to(&next)?;
                Some(std::iter::once(CLEAR_NETWORK.to_owned()).chain(all).collect::<Vec<_>>().join(" && "))
            };
            steps.push((broker, next, line));
        }
        let done = join_all(steps.iter().map(|(broker, _, line)| async move {
            match line {
                Some(line) => namespaces.run(*broker, line).await.with_context(|| format!("broker {broker}")),
                None => Ok(String::new()),
            }
        }))
        .await;
        for ((broker, next, _), done) in steps.into_iter().zip(&done) {
            known.insert(broker, Known { plan: next, stands: done.is_ok() });
        }
        done.into_iter().collect::<Result<Vec<_>>>().map(drop)
    }
}
