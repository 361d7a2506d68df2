//! Names of broker and topic options, against slips that would only show once a cluster is up.

use super::Problem;
use super::check::Check;
use super::source::Span;

/// Topic options of Kafka 3.9 to 4.3 (`TopicConfig`), against slips.
pub const TOPIC_OPTIONS: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// Broker options that the cluster's own definition depends on.
pub const OWNED_BROKER_CONFIG: &[&str] = &[
    "advertised.listeners",
    "broker.id",
    "cluster.id",
    "control.plane.listener.name",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "early.start.listeners",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
    "node.id",
    "process.roles",
    "security.inter.broker.protocol",
    "zookeeper.connect",
];

/// Names of broker and topic options are lower-case words joined by dots. What is not among the `known` ones may be new
/// in some version of Kafka; one letter beside a known one it is a slip.
pub fn check_name(check: &mut Check, key: &str, at: &Span, known: &[&str]) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    let slip = known.iter().find(|known| strsim::osa_distance(&key.replace('_', "."), known) <= 1);
    let hint = slip.map(|known| format!("did you mean `{known}`?"));
    if key.is_empty() || !key.chars().all(fits) {
        check.report(
            Problem::new(format!("`{key}` can't be an option's name"))
                .at(at, "expected Kafka's own name, such as `min.insync.replicas`")
                .hint_if(hint),
        );
    } else if hint.is_some() && !known.contains(&key) {
        check.report(Problem::new(format!("unknown option `{key}`")).at(at, "not one of Kafka's").hint_if(hint));
    }
}
