//! What is known of a cluster at one moment: plain data, from which findings follow.

/// A cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its brokers, by id.
    pub brokers: Vec<Broker>,
    /// Its topics that the user may see, internal ones too, by name.
    pub topics: Vec<Topic>,
}

/// A broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// The address that it tells clients, `host:port`.
    pub address: String,
    /// What that resolves to here, `ip:port`; empty if it does not.
    pub resolved: Vec<String>,
    /// Its settings in force; empty if they were not told.
    pub settings: Vec<Setting>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Its settings in force, those from the brokers too; empty if they were not told.
    pub settings: Vec<Setting>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub id: i32,
    /// The broker that leads it.
    pub leader: Option<i32>,
    /// Brokers that are to hold it.
    pub replicas: Vec<i32>,
    /// Of these, the ones in sync.
    pub isr: Vec<i32>,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Of a topic: whether the topic has it itself, and not from its brokers.
    pub own: bool,
}

/// The topics in which brokers keep what groups and transactions committed.
pub const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

impl Topic {
    /// Whether brokers keep their own records in it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        INTERNAL.contains(&self.name.as_str())
    }

    /// Replicas of the partition that has fewest; none if there is no partition.
    #[must_use]
    pub fn replication_factor(&self) -> Option<u64> {
        self.partitions.iter().map(|partition| partition.replicas.len() as u64).min()
    }

    /// `min.insync.replicas` in force.
    #[must_use]
    pub fn min_insync(&self) -> Option<u64> {
        value(&self.settings, "min.insync.replicas")?.parse().ok()
    }

    /// Whether a replica out of sync may be elected, and whether that is the topic's own setting.
    #[must_use]
    pub fn unclean(&self) -> Option<bool> {
        let setting = self.settings.iter().find(|setting| setting.name == UNCLEAN)?;
        (setting.value == "true").then_some(setting.own)
    }
}

/// The setting by which a replica out of sync may be elected.
pub const UNCLEAN: &str = "unclean.leader.election.enable";

impl Broker {
    /// A setting in force.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        value(&self.settings, name)
    }
}

fn value<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
}

#[cfg(test)]
pub(super) mod samples {
    //! Tiny clusters for the tests of rules.

    use super::*;

    pub fn setting(name: &str, value: &str, own: bool) -> Setting {
        Setting { name: name.to_owned(), value: value.to_owned(), own }
    }

    /// A topic of two partitions, led by the first of their replicas, all in sync.
    pub fn topic(name: &str, replicas: &[i32], min_insync: &str) -> Topic {
        let partition = |id| Partition {
            id,
            leader: replicas.first().copied(),
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
        };
        let settings = vec![setting("min.insync.replicas", min_insync, true), setting(UNCLEAN, "false", false)];
        Topic { name: name.to_owned(), partitions: vec![partition(0), partition(1)], settings }
    }

    /// Three brokers as they should be, and these topics.
    pub fn cluster(topics: &[Topic]) -> Cluster {
        let defaults = [
            ("auto.create.topics.enable", "true"),
            ("default.replication.factor", "3"),
            ("offsets.topic.replication.factor", "3"),
            ("transaction.state.log.replication.factor", "3"),
            ("transaction.state.log.min.isr", "2"),
            ("min.insync.replicas", "2"),
            (UNCLEAN, "false"),
        ];
        let broker = |id| Broker {
            id,
            address: format!("b{id}.example:9092"),
            resolved: vec![format!("10.0.0.{id}:9092")],
            settings: defaults.map(|(name, value)| setting(name, value, false)).into(),
        };
        Cluster { brokers: (1..=3).map(broker).collect(), topics: topics.to_vec() }
    }

    /// The same with another value for a setting of all brokers.
    pub fn with(mut cluster: Cluster, name: &str, value: &str) -> Cluster {
        for broker in &mut cluster.brokers {
            broker.settings.retain(|setting| setting.name != name);
            broker.settings.push(setting(name, value, false));
        }
        cluster
    }
}
