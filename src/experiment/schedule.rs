//! How long things take: what the file says, and an estimate where the state of the cluster decides.

use std::time::Duration;

use super::{BrokerFault, Experiment, FaultKind, FaultSpec, Held, Selector};

/// Brokers of the one cluster definition there is.
pub const BROKERS: u32 = 3;

/// A graceful stop and start until the broker is in sync again. Measured: 12 s a broker when light, over 30 s under load.
const RESTART_ESTIMATE: Duration = Duration::from_secs(12);

/// From healing to full in-sync replicas. Measured: 5 to 8 s after a start, 15 s and more under load.
pub const RECOVERY_ESTIMATE: Duration = Duration::from_secs(10);

/// How many brokers a selector names.
#[must_use]
pub const fn brokers(selector: &Selector) -> u32 {
    match selector {
        Selector::All => BROKERS,
        Selector::FollowersOf(_) => BROKERS - 1,
        Selector::These(ids) => ids.len() as u32,
        Selector::Broker(_) | Selector::LeaderOf(_) | Selector::Controller => 1,
    }
}

/// How long a fault lasts: exact where `for` decides, an estimate for a rolling restart and a crash loop. For one that
/// is held for ever, how long until the schedule goes on: not at all.
#[must_use]
pub fn duration(fault: &FaultSpec) -> Duration {
    let held = fault.held.and_then(Held::duration).unwrap_or_default();
    match &fault.kind {
        FaultKind::Broker(BrokerFault::Restart { target, .. }) => (held + RESTART_ESTIMATE) * brokers(target),
        FaultKind::Broker(BrokerFault::CrashLoop { times, up, down, .. }) => (*up + *down) * *times,
        FaultKind::Network(fault) => fault.duration().unwrap_or(held),
        _ => held,
    }
}

/// When a fault is planned to end; none for one that is held for ever.
#[must_use]
pub fn end(fault: &FaultSpec) -> Option<Duration> {
    (fault.held != Some(Held::Forever)).then(|| fault.at + duration(fault))
}

/// Whether two faults are planned to hold at the same time.
#[must_use]
pub fn overlap(one: &FaultSpec, other: &FaultSpec) -> bool {
    let begins_before_end_of = |one: &FaultSpec, other| end(other).is_none_or(|end| one.at < end);
    begins_before_end_of(one, other) && begins_before_end_of(other, one)
}

/// Faults by number, in order of time: those that overlap, directly or by others, stand together.
#[must_use]
pub fn groups(faults: &[FaultSpec]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..faults.len()).collect();
    order.sort_by_key(|&index| faults[index].at);
    let mut groups: Vec<(Duration, Vec<usize>)> = Vec::new();
    for index in order {
        let fault = &faults[index];
        let end = fault.at + duration(fault);
        match groups.last_mut() {
            Some((until, group)) if fault.at < *until => {
                group.push(index);
                *until = end.max(*until);
            }
            _ => groups.push((end, vec![index])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// When the last fault ends, from the end of warm-up.
#[must_use]
pub fn faults_end(faults: &[FaultSpec]) -> Duration {
    faults.iter().map(|fault| fault.at + duration(fault)).max().unwrap_or_default()
}

/// Warm-up, faults, an estimate for the recovery of each, and the time after it: how long messages are offered.
#[must_use]
pub fn offering(experiment: &Experiment) -> Duration {
    let workload = &experiment.workload;
    let recovery = if experiment.faults.is_empty() { Duration::ZERO } else { RECOVERY_ESTIMATE };
    workload.warm_up + faults_end(&experiment.faults) + recovery + workload.after_recovery
}

/// Bytes that the workload brings to each broker, over all profiles; a third of all replicas are each broker's.
#[must_use]
pub fn bytes_per_broker(experiment: &Experiment) -> u64 {
    let offered =
        experiment.workload.rate_per_s * experiment.workload.payload_bytes as f64 * offering(experiment).as_secs_f64();
    let copies: i32 = experiment.profiles.iter().map(|profile| profile.topic.replication_factor).sum();
    (offered * f64::from(copies) / f64::from(BROKERS)) as u64
}
