//! Small experiments, a few seconds each.

/// Two profiles beside each other, with faults as YAML flow maps and what else the experiment says.
pub fn experiment(name: &str, faults: &[&str], rest: &str) -> String {
    format!(
        "name: {name}
topic: {{ partitions: 3, replication_factor: 3 }}
workload: {{ rate: 500/s, payload: 200B, warm_up: 2s, after_recovery: 1s, max: 2m }}
profiles:
  baseline: {{ extends: baseline }}
  resilient: {{ extends: resilient }}
faults: [{}]
{rest}",
        faults.join(", ")
    )
}

/// SIGKILL to a leader. Although it is started after a second, it is let in again only when its old session with the
/// controller has ended, nine seconds after its death.
pub const KILL: &str = "{ at: 0s, for: 1s, kill: { target: { leader_of: 0 } } }";

/// A leader without its peers, too short for an election.
pub const CUT: &str = "{ at: 0s, for: 2s, partition: { isolate: { leader_of: 0 }, from: brokers } }";
