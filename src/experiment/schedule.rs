//! How long things take: what the file says, and an estimate where the state of the cluster decides.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{BrokerFault, Experiment, FaultKind, FaultSpec, Held, Isolation, Moment, Selector};

/// Brokers of the one cluster definition there is.
pub const BROKERS: u32 = 3;

/// A graceful stop and start until the broker is in sync again. Measured: 12 s a broker when light, over 30 s under load.
const RESTART_ESTIMATE: Duration = Duration::from_secs(12);

/// The same from another image. Measured: 40 s for three under load.
const UPGRADE_ESTIMATE: Duration = Duration::from_secs(14);

/// From healing to full in-sync replicas. Measured: 5 to 8 s after a start, 15 s and more under load.
pub const RECOVERY_ESTIMATE: Duration = Duration::from_secs(10);

/// Around the messages: a fresh cluster with topics and clients before, drain, audit and tear-down after. Measured: 14 s on
/// two cores.
const AROUND_ESTIMATE: Duration = Duration::from_secs(14);

/// How many brokers a selector names.
#[must_use]
pub const fn brokers(selector: &Selector) -> u32 {
    match selector {
        Selector::All | Selector::ReplicasOf(_) => BROKERS,
        Selector::FollowersOf(_) => BROKERS - 1,
        Selector::These(ids) => ids.len() as u32,
        Selector::Broker(_)
        | Selector::LeaderOf(_)
        | Selector::LeaderOfTopic { .. }
        | Selector::CoordinatorOf(_)
        | Selector::Controller
        | Selector::Random => 1,
    }
}

/// How long a fault lasts: exact where `for` decides, an estimate for a rolling restart, an upgrade and a crash loop. For one that
/// is held for ever, how long until the schedule goes on: not at all.
#[must_use]
pub fn duration(fault: &FaultSpec) -> Duration {
    let held = fault.held.and_then(Held::duration).unwrap_or_default();
    match &fault.kind {
        FaultKind::Broker(BrokerFault::Restart { target, .. }) => (held + RESTART_ESTIMATE) * brokers(target),
        FaultKind::Broker(BrokerFault::Upgrade { .. }) => UPGRADE_ESTIMATE * BROKERS,
        FaultKind::Broker(BrokerFault::CrashLoop { times, up, down, .. }) => (*up + *down) * *times,
        FaultKind::Network(fault) => fault.duration().unwrap_or(held),
        _ => held,
    }
}

/// When a fault is planned to end; none for one that is held for ever.
#[must_use]
pub fn end(fault: &FaultSpec) -> Option<Duration> {
    (fault.held != Some(Held::Forever)).then(|| fault.planned + duration(fault))
}

/// Whether two faults are planned to hold at the same time.
#[must_use]
pub fn overlap(one: &FaultSpec, other: &FaultSpec) -> bool {
    let begins_before_end_of = |one: &FaultSpec, other| end(other).is_none_or(|end| one.planned < end);
    begins_before_end_of(one, other) && begins_before_end_of(other, one)
}

/// Whether it depends on the state of the cluster when a fault ends, so that the plan is an estimate.
#[must_use]
pub const fn ends_by_state(fault: &FaultSpec) -> bool {
    fault.after.is_some() || fault.kind.ends_by_itself()
}

/// Faults by number, in the order in which they are planned: those that overlap, directly or by others, stand together,
/// and so do those that wait for one to be injected or healed. After each group the cluster's recovery is awaited.
#[must_use]
pub fn groups(faults: &[FaultSpec]) -> Vec<Vec<usize>> {
    Plan::of(faults).groups
}

/// When each fault is planned to begin, from the end of warm-up.
#[must_use]
pub(super) fn begins(faults: &[FaultSpec]) -> Vec<Duration> {
    Plan::of(faults).begins
}

struct Plan {
    begins: Vec<Duration>,
    groups: Vec<Vec<usize>>,
}

impl Plan {
    /// Plays the schedule through, with estimates for what the cluster decides. None comes before the one that it
    /// waits for in `faults`.
    fn of(faults: &[FaultSpec]) -> Self {
        // What waits for a fault to be injected or healed joins its group: such a chain moves as a whole.
        let mut links: Vec<Link> = Vec::with_capacity(faults.len());
        for (index, fault) in faults.iter().enumerate() {
            let joined = fault.after.filter(|after| after.moment != Moment::Recovered).map(|after| {
                let (before, link) = (&faults[after.fault], &links[after.fault]);
                let has_ended = after.moment == Moment::Healed || before.kind.ends_by_itself();
                let since = if has_ended { duration(before) } else { Duration::ZERO };
                Link { head: link.head, offset: link.offset + since + fault.at }
            });
            links.push(joined.unwrap_or(Link { head: index, offset: Duration::ZERO }));
        }

        let mut plan = Self { begins: vec![Duration::ZERO; faults.len()], groups: Vec::new() };
        let timed = (0..faults.len()).filter(|&index| faults[index].after.is_none());
        let mut heads: BTreeSet<(Duration, usize)> = timed.map(|index| (faults[index].at, index)).collect();
        while let Some(mut next) = heads.pop_first() {
            let mut group = Vec::new();
            let mut until = next.0;
            loop {
                let (begin, head) = next;
                for index in (head..faults.len()).filter(|&index| links[index].head == head) {
                    plan.begins[index] = begin + links[index].offset;
                    until = until.max(plan.begins[index] + duration(&faults[index]));
                    group.push(index);
                }
                let overlapping = heads.first().copied().filter(|(begin, _)| *begin < until);
                let Some(overlapping) = overlapping else { break };
                heads.remove(&overlapping);
                next = overlapping;
            }
            let recovered = until + RECOVERY_ESTIMATE;
            heads.extend((0..faults.len()).filter_map(|index| {
                let after = faults[index].after.filter(|after| after.moment == Moment::Recovered)?;
                group.contains(&after.fault).then(|| (recovered + faults[index].at, index))
            }));
            group.sort_by_key(|&index| (plan.begins[index], index));
            plan.groups.push(group);
        }
        plan
    }
}

/// Where a fault stands in the chain of those that begin with the same one.
struct Link {
    head: usize,
    offset: Duration,
}

/// When the last fault ends, from the end of warm-up.
#[must_use]
pub fn faults_end(faults: &[FaultSpec]) -> Duration {
    faults.iter().map(|fault| fault.planned + duration(fault)).max().unwrap_or_default()
}

/// Warm-up, faults, an estimate for the recovery of each, and the time after it: how long messages are offered; with
/// `isolation: apart`, to each profile.
#[must_use]
pub fn offering(experiment: &Experiment) -> Duration {
    let workload = &experiment.workload;
    let recovery = if experiment.faults.is_empty() { Duration::ZERO } else { RECOVERY_ESTIMATE };
    workload.warm_up + faults_end(&experiment.faults) + recovery + workload.after_recovery
}

/// About how long a run takes: with a fresh cluster, topics and clients before the messages, and drain, audit and
/// tear-down after them; with `isolation: apart`, all of that for each profile.
#[must_use]
pub fn length(experiment: &Experiment) -> Duration {
    let parts = match experiment.isolation {
        Isolation::Shared => 1,
        Isolation::Apart => u32::try_from(experiment.profiles.len()).unwrap_or(u32::MAX),
    };
    (offering(experiment) + AROUND_ESTIMATE).saturating_mul(parts)
}

/// Replicas of all partitions numbered alike that are on the cluster at the same time.
#[must_use]
pub fn copies(experiment: &Experiment) -> i32 {
    let factors = experiment.profiles.iter().map(|profile| profile.topic.replication_factor);
    match experiment.isolation {
        Isolation::Shared => factors.sum(),
        Isolation::Apart => factors.max().unwrap_or_default(),
    }
}

/// Bytes that the workload brings to each broker, over all profiles; a third of all replicas are each broker's.
#[must_use]
pub fn bytes_per_broker(experiment: &Experiment) -> u64 {
    let messages = experiment.workload.rate_per_s * offering(experiment).as_secs_f64();
    let bytes = experiment.profiles.iter().map(|profile| {
        let small = experiment.workload.payload_bytes as f64;
        let large = profile.producer.sending.large;
        let extra = large.map_or(0.0, |large| (large.payload_bytes as f64 - small) / large.every as f64);
        messages * (small + extra) * f64::from(profile.topic.replication_factor)
    });
    let bytes = match experiment.isolation {
        Isolation::Shared => bytes.sum(),
        Isolation::Apart => bytes.fold(0.0, f64::max),
    };
    (bytes / f64::from(BROKERS)) as u64
}
