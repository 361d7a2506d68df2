//! What is looked for: each rule with why it matters, and the experiments of the catalogue that show it.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident: $name:literal, [$($experiment:literal),+], $why:literal;)+) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $rule,)+ }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// Its name for machines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)+ }
            }

            /// Why it loses or doubles messages.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$rule => $why,)+ }
            }

            /// Names of experiments that show it.
            #[must_use]
            pub const fn experiments(self) -> &'static [&'static str] {
                match self { $(Self::$rule => &[$($experiment),+],)+ }
            }
        }
    };
}

rules! {
    /// A partition has no leader.
    NoLeader: "no-leader", ["rf-one-restart"],
        "nothing can be written or read there; messages time out, and are lost where nobody handles that";
    /// A partition has fewer replicas in sync than acks=all asks for.
    UnderMinIsr: "under-min-isr", ["retries-exhausted"],
        "acks=all is refused (NOT_ENOUGH_REPLICAS) until a replica is back; clients without patience give messages up";
    /// A partition has replicas out of sync.
    UnderReplicated: "under-replicated", ["acks-one", "min-insync-one"],
        "one more broker that goes takes the partition away, or what was acknowledged with it";
    /// A topic with one replica.
    ReplicationFactorOne: "replication-factor-one", ["rf-one-restart", "rf-one-disk-lost"],
        "while its broker is away nothing can be written or read, and what is on its disk alone goes with the disk";
    /// As many replicas in sync are asked for as there are.
    MinInsyncAll: "min-insync-all", ["retries-exhausted"],
        "no broker may be away: acks=all is refused from the first one that is patched, and retries run out";
    /// One replica in sync is enough.
    MinInsyncOne: "min-insync-one", ["min-insync-one"],
        "when the followers fall behind, acks=all means one copy, and what is acknowledged so goes with that broker";
    /// A topic lets replicas out of sync lead.
    UncleanTopic: "unclean-election", ["unclean-election"],
        "a replica that was not in sync may be elected, and all that it lacks is thrown away, acknowledged or not";
    /// The brokers' default does.
    UncleanDefault: "unclean-election-default", ["unclean-election"],
        "a replica that was not in sync may be elected, and all that it lacks is thrown away, acknowledged or not";
    /// An internal topic, present or to come, that does not outlast a broker.
    InternalReplicas: "internal-topic-replicas", ["rf-one-disk-lost", "rf-one-restart"],
        "without it no group can commit or rebalance and no transaction end; its disk gone, groups begin anew, and skip or repeat";
    /// An internal topic that no broker may be away from.
    InternalMinInsyncAll: "internal-topic-min-insync-all", ["retries-exhausted"],
        "with one broker away nothing can be committed: what was processed meanwhile is processed again";
    /// An internal topic of which one copy counts.
    InternalMinInsyncOne: "internal-topic-min-insync-one", ["min-insync-one"],
        "commits may rest on one copy; when that is gone, groups fall back and repeat, or transactions are undecided";
    /// An internal topic that replicas out of sync may lead.
    InternalUnclean: "internal-topic-unclean-election", ["unclean-election"],
        "commits that the elected replica lacks are gone: groups fall back and repeat, or skip";
    /// A topic that comes by itself has one replica.
    AutoCreatedWithOneReplica: "auto-created-with-one-replica", ["rf-one-disk-lost"],
        "whoever writes to a topic that is not there gets one with a single replica, and is not told";
    /// All names to begin with are of one broker.
    SingleBootstrap: "single-bootstrap-broker", ["rolling-patch"],
        "a client that starts or starts again while that broker is patched finds no cluster, though two brokers are up";
    /// Nobody acknowledges.
    AcksZero: "acks-zero", ["acks-zero"],
        "nobody answers: whatever is lost on the way, the producer is told that it was sent";
    /// The leader alone acknowledges.
    AcksOne: "acks-one", ["acks-one", "leader-partition", "leader-kill"],
        "the leader answers before any follower has the message, and what they have not fetched goes with the leader";
    /// Less time for a message than a failover takes.
    DeliveryTimeout: "delivery-timeout-too-short", ["delivery-timeout-too-short", "controller-killed"],
        "messages are given up while a new leader is being elected, or the backlog of that time is being sent";
    /// Fewer retries than a failover takes.
    Retries: "retries-exhausted", ["retries-exhausted"],
        "errors such as NOT_ENOUGH_REPLICAS come at once, and the retries are spent long before a broker is back";
    /// Retries without idempotence.
    IdempotenceOff: "idempotence-off", ["idempotence-off-duplicates", "responses-dropped"],
        "where an answer is lost, the client sends again what the broker has already, and it is in the log twice";
    /// Several requests in flight without idempotence.
    Reordering: "reordering", ["reordering"],
        "what is refused and sent again stands in the log behind what was sent after it";
    /// An answer is not waited for.
    RequestTimeout: "request-timeout-too-short", ["responses-delayed"],
        "a pause of the leader outlasts it: requests count as failed, or are sent again, that the broker then takes";
    /// `send()` waits for less than a failover.
    MaxBlock: "max-block-too-short", ["local-queue-full"],
        "during a failover the buffer fills, and send() refuses; messages that nobody keeps then are lost";
    /// The client allows what no topic takes.
    MessageTooLarge: "message-too-large", ["message-too-large"],
        "the broker refuses a message that is too large, and all others of its batch with it";
    /// Offsets are committed by themselves.
    AutoCommit: "auto-commit", ["auto-commit-before-processing", "worker-queue"],
        "offsets are committed by the clock: what workers or a crash had not finished by then is never read again";
    /// Without an offset it begins at the end.
    ResetLatest: "offset-reset-latest", ["backlog-past-retention"],
        "where the group's offset is gone (retention, a new partition, a long absence), it skips to the end in silence";
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::experiment;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_is_shown_by_experiments_of_the_catalogue() {
        for rule in Rule::ALL {
            assert_eq!(Rule::ALL.iter().filter(|other| other.name() == rule.name()).count(), 1, "{rule:?}");
            for name in rule.experiments() {
                let path = experiment::catalogued(name).unwrap_or_else(|| panic!("{rule:?}: there is no {name}"));
                assert!(path.starts_with("experiments/") && path.ends_with(&format!("/{name}.yaml")), "{path}");
            }
        }
    }
}
