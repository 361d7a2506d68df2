//! Network effects at brokers: any number at a time, each with an id, put on and taken off one by one.
//!
//! Everything happens in the network namespaces of the brokers' holders, by their waiting shells. An effect
//! is in force when the call returns. Limits: IPv4 only; a broker takes 255 cuts and 6 other effects at a
//! time; a packet that two bandwidths concern is held to the lower one, and not counted for the other;
//! taking off a bandwidth, or a latency that netem makes, drops what its queue holds at that moment.

mod capabilities;
mod counters;
mod delays;
mod effect;
mod plan;
#[cfg(test)]
mod plan_tests;
mod program;
#[cfg(test)]
mod program_tests;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::{Mutex, OnceCell};

use crate::cluster::Cluster;
use crate::cluster::shell::{CLEAR_NETWORK, NetShell};

pub use capabilities::{Capabilities, Capability, Need, missing, needs, probe};
pub use counters::{Counters, Standing};
pub use effect::{Action, Direction, Effect, End, Scope};

use delays::Delays;
use effect::Side;
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
/// At a broker that it has not seen yet it first removes all that is there. A step that fails is gone back on;
/// where that fails too, all is removed before the next one.
#[derive(Debug, Default)]
pub struct Network {
    brokers: Mutex<BTreeMap<i32, Known>>,
    /// How the kernel under the brokers makes a latency, once there was one.
    delays: OnceCell<Delays>,
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
    /// Makes brokers ready, so that effects can come and go without a touch on other packets, until
    /// [`Network::clear`]. Where this was not done, the first effect on a side and the end of the last one stop all
    /// that the broker sends for some milliseconds, and what it sends then is lost: the kernel takes an
    /// interface out of service to change its root.
    ///
    /// # Errors
    /// When a kernel refused, as one without ifb does for `incoming`, which effects on what comes in need.
    pub async fn prepare(&self, namespaces: &impl Namespaces, brokers: &[i32], incoming: bool) -> Result<()> {
        let ready = if incoming { vec![Side::Out, Side::In] } else { vec![Side::Out] };
        self.go_over(namespaces, brokers, |_, plan| Ok(Plan { ready: ready.clone(), ..plan.clone() })).await
    }

    /// Whether latencies are among what [`Network::prepare`] is for: not without netem, where they have rules of their
    /// own. Found at one broker, once for all.
    ///
    /// # Errors
    /// When it can't be tried.
    pub async fn delays_by_tc(&self, namespaces: &impl Namespaces, broker: i32) -> Result<bool> {
        Ok(self.delays(namespaces, broker).await? == Delays::Netem)
    }

    async fn delays(&self, namespaces: &impl Namespaces, broker: i32) -> Result<Delays> {
        let find = async || {
            let tried = namespaces.run(broker, &capabilities::trial_of_netem()).await?;
            anyhow::Ok(if tried.trim() == "0" { Delays::Netem } else { Delays::Queue })
        };
        self.delays.get_or_try_init(find).await.copied()
    }

    /// Puts an effect on at some brokers, at all of them at once. One that is not `on` is only prepared:
    /// nothing happens to a packet before [`Network::switch`], which then has less to do.
    ///
    /// # Errors
    /// Nothing was done where an effect is refused as such: it makes no sense, or there are too many, or the id is
    /// taken. Otherwise a kernel refused; it then stands at those brokers where it did not, until it is taken off.
    pub async fn put(
        &self,
        namespaces: &impl Namespaces,
        id: usize,
        effects: &BTreeMap<i32, Effect>,
        on: bool,
    ) -> Result<()> {
        let brokers: Vec<i32> = effects.keys().copied().collect();
        let delayed = effects.iter().find(|(_, effect)| matches!(effect.action, Action::Latency { .. }));
        let delays = match delayed {
            Some((&broker, _)) => Some(self.delays(namespaces, broker).await?),
            None => None,
        };
        self.go_over(namespaces, &brokers, |broker, plan| {
            let with = plan.with(id, effects[&broker].clone(), on)?;
            Ok(Plan { delays: delays.unwrap_or(with.delays), ..with })
        })
        .await
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
            let shown = namespaces.run(broker, &counters::show(&known.plan)).await?;
            let all = counters::read(&shown, &known.plan).with_context(|| format!("broker {broker}"))?;
            anyhow::Ok((broker, all[&id]))
        });
        Ok(try_join_all(counted).await?.into_iter().collect())
    }

    /// What stands at a broker, whoever put it there.
    ///
    /// # Errors
    /// When the counters can't be read.
    pub async fn standing(&self, namespaces: &impl Namespaces, broker: i32) -> Result<Standing> {
        let delays = self.delays.get().copied().unwrap_or_default();
        counters::standing(&namespaces.run(broker, &counters::show_standing(delays)).await?)
    }

    /// Brokers at which other effects stand than this one.
    pub async fn with_others(&self, id: usize) -> Vec<i32> {
        let known = self.brokers.lock().await;
        let others = known.iter().filter(|(_, known)| known.plan.effects.keys().any(|other| *other != id));
        others.map(|(&broker, _)| broker).collect()
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
        let done = join_all(steps.iter().map(|(broker, next, line)| {
            let last = &known[broker].plan;
            async move {
                let Some(line) = line else { return Ok(()) };
                let done = namespaces.run(*broker, line).await.with_context(|| format!("broker {broker}"));
                let Err(error) = done else { return Ok(()) };
                Err((error, go_back(namespaces, *broker, next, last).await))
            }
        }))
        .await;
        let mut failed = None;
        for ((broker, next, _), done) in steps.into_iter().zip(done) {
            let known = known.entry(broker).or_default();
            match done {
                Ok(()) => *known = Known { plan: next, stands: true },
                Err((error, back)) => {
                    known.stands = back.is_ok();
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Leaves a broker as it was before a step that failed: what stood there goes on standing, its counters too.
async fn go_back(namespaces: &impl Namespaces, broker: i32, failed: &Plan, last: &Plan) -> Result<()> {
    // Most of its steps fail, as they were not reached on the way; what counts is what stands afterwards.
    namespaces.run(broker, &format!("{} || true", failed.go_back_to(last)?)).await?;
    counters::read(&namespaces.run(broker, &counters::show(last)).await?, last).map(drop)
}
