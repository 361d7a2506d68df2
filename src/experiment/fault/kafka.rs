//! Faults by Kafka's own administration: elections, options and records.

use std::fmt;

use serde_yaml::Spanned;

use super::HeldRule;
use crate::experiment::check::Check;
use crate::experiment::option_name::{self, OWNED_BROKER_CONFIG, TOPIC_OPTIONS};
use crate::experiment::raw::{self, Map};
use crate::experiment::resolved::{spanned, text};
use crate::experiment::selector::{self, partition, selector};
use crate::experiment::value::{integer, percent, topic, word};
use crate::experiment::{Problem, Selector, Word};

/// What is asked of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaFault {
    /// An election for one partition.
    ElectLeader {
        /// Of which.
        partition: OfPartition,
        /// Who may be elected.
        election: Election,
    },
    /// Another replica leads one partition, for as long as it is held.
    MoveLeader {
        /// Of which.
        partition: OfPartition,
        /// Who.
        to: Destination,
    },
    /// Options of topics have other values, for as long as it is held.
    TopicConfig {
        /// The topic; none for every profile's own.
        topic: Option<String>,
        /// The options.
        config: Config,
    },
    /// Options of brokers have other values, for as long as it is held.
    BrokerConfig {
        /// Whose.
        target: Selector,
        /// The options.
        config: Config,
    },
    /// The oldest records of one partition are deleted.
    DeleteRecords {
        /// Of which.
        partition: OfPartition,
        /// How many of those that lie below the high watermark then, in per cent.
        oldest_percent: u8,
    },
    /// Clients may not do something with the profiles' topics, for as long as it is held.
    Acl {
        /// What.
        deny: Denied,
    },
}

/// What clients may not do any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Write.
    Write,
}

impl Word for Denied {
    const WORDS: &'static [(&'static str, Self)] = &[("write", Self::Write)];
}

/// Options with their values, in the order of the file.
pub type Config = Vec<(String, String)>;

/// A partition of each profile's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfPartition {
    /// Its number.
    pub number: i32,
    replicas: Selector,
}

impl OfPartition {
    /// That of this number.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self { number, replicas: Selector::ReplicasOf(number) }
    }
}

/// Who may be elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The preferred leader, if it is in sync.
    Preferred,
    /// A living replica, though none is in sync; only where there is no leader.
    Unclean,
}

impl Word for Election {
    const WORDS: &'static [(&'static str, Self)] = &[("preferred", Self::Preferred), ("unclean", Self::Unclean)];
}

/// Who is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The broker of that id.
    Broker(i32),
    /// The first replica in sync that does not lead.
    Follower,
}

const FOLLOWER: &str = "follower";

impl KafkaFault {
    pub(super) const NAMES: [&'static str; 6] =
        ["elect_leader", "move_leader", "topic_config", "broker_config", "delete_records", "acl"];

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::ElectLeader { .. } => "elect_leader",
            Self::MoveLeader { .. } => "move_leader",
            Self::TopicConfig { .. } => "topic_config",
            Self::BrokerConfig { .. } => "broker_config",
            Self::DeleteRecords { .. } => "delete_records",
            Self::Acl { .. } => "acl",
        }
    }

    /// The brokers that do it.
    pub(super) const fn target(&self) -> &Selector {
        match self {
            Self::ElectLeader { partition, .. }
            | Self::MoveLeader { partition, .. }
            | Self::DeleteRecords { partition, .. } => &partition.replicas,
            Self::TopicConfig { .. } | Self::Acl { .. } => &Selector::All,
            Self::BrokerConfig { target, .. } => target,
        }
    }

    pub(super) const fn partition(&self) -> Option<i32> {
        match self {
            Self::ElectLeader { partition, .. }
            | Self::MoveLeader { partition, .. }
            | Self::DeleteRecords { partition, .. } => Some(partition.number),
            Self::TopicConfig { .. } | Self::BrokerConfig { .. } | Self::Acl { .. } => None,
        }
    }

    pub(super) const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::ElectLeader { .. } | Self::DeleteRecords { .. })
    }

    pub(super) const fn end(&self) -> &'static str {
        match self {
            Self::ElectLeader { .. } => "the leader is elected",
            Self::MoveLeader { .. } => "who led before leads again",
            Self::TopicConfig { .. } | Self::BrokerConfig { .. } => "the options are as before",
            Self::DeleteRecords { .. } => "the records are deleted",
            Self::Acl { .. } => "writing is allowed again",
        }
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        match self {
            Self::ElectLeader { .. } => HeldRule::Meaningless("who was elected leads on"),
            Self::DeleteRecords { .. } => HeldRule::Meaningless("what is deleted is gone for good"),
            Self::MoveLeader { .. } => HeldRule::Needed("how long the other replica leads"),
            Self::TopicConfig { .. } | Self::BrokerConfig { .. } => {
                HeldRule::Needed("how long the options are changed")
            }
            Self::Acl { .. } => HeldRule::Needed("how long writing is denied"),
        }
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        if let Some(Spanned { value: raw::ElectLeader { partition, election }, .. }) = &raw.elect_leader {
            let election = check.read(election, |text| word(text, "kind of election"));
            return Some(Self::ElectLeader { partition: of_partition(check, partition)?, election: election? });
        }
        if let Some(Spanned { value: raw::MoveLeader { partition, to }, .. }) = &raw.move_leader {
            let to = destination(check, to);
            return Some(Self::MoveLeader { partition: of_partition(check, partition)?, to: to? });
        }
        if let Some(Spanned { value: raw::TopicConfig { topic: name, config }, .. }) = &raw.topic_config {
            let name = match name {
                Some(name) => Some(check.read(name, topic)?),
                None => None,
            };
            return Some(Self::TopicConfig { topic: name, config: self::config(check, config, Of::Topics)? });
        }
        if let Some(Spanned { value: raw::BrokerConfig { target, config }, .. }) = &raw.broker_config {
            let target = selector(check, target);
            return Some(Self::BrokerConfig { config: self::config(check, config, Of::Brokers)?, target: target? });
        }
        if let Some(Spanned { value: raw::Acl { deny }, .. }) = &raw.acl {
            return Some(Self::Acl { deny: check.read(deny, |text| word(text, "operation to deny"))? });
        }
        let raw::DeleteRecords { partition, oldest } = &raw.delete_records.as_ref()?.value;
        let oldest_percent = match oldest {
            Some(text) if text.value != "all" => check.read(text, percent),
            _ => Some(100),
        };
        Some(Self::DeleteRecords { partition: of_partition(check, partition)?, oldest_percent: oldest_percent? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        let options = |config: &Config| {
            spanned(Map(config.iter().map(|(name, value)| (text(name), Some(text(value)))).collect()))
        };
        match self {
            Self::ElectLeader { partition, election } => {
                let (partition, election) = (text(partition.number), text(election.word()));
                raw.elect_leader = Some(spanned(raw::ElectLeader { partition, election }));
            }
            Self::MoveLeader { partition, to } => {
                let to = match to {
                    Destination::Broker(id) => selector::write(&Selector::Broker(*id)),
                    Destination::Follower => raw::Selector::Word(FOLLOWER.to_owned()),
                };
                let partition = text(partition.number);
                raw.move_leader = Some(spanned(raw::MoveLeader { partition, to: spanned(to) }));
            }
            Self::TopicConfig { topic, config } => {
                let (topic, config) = (topic.as_ref().map(text), options(config));
                raw.topic_config = Some(spanned(raw::TopicConfig { topic, config }));
            }
            Self::BrokerConfig { target, config } => {
                let (target, config) = (spanned(selector::write(target)), options(config));
                raw.broker_config = Some(spanned(raw::BrokerConfig { target, config }));
            }
            Self::DeleteRecords { partition, oldest_percent } => {
                let (partition, oldest) = (text(partition.number), Some(text(format!("{oldest_percent}%"))));
                raw.delete_records = Some(spanned(raw::DeleteRecords { partition, oldest }));
            }
            Self::Acl { deny } => raw.acl = Some(spanned(raw::Acl { deny: text(deny.word()) })),
        }
    }

    /// What two of them would both change, whatever the state of the cluster, so that they can't hold at the same time.
    pub(in crate::experiment) fn common(&self, other: &Self) -> Option<String> {
        let leadership = |fault: &Self| match fault {
            Self::ElectLeader { partition, .. } | Self::MoveLeader { partition, .. } => Some(partition.number),
            _ => None,
        };
        match (self, other) {
            (Self::TopicConfig { topic: one, config: a }, Self::TopicConfig { topic: two, config: b })
                if one == two =>
            {
                let whose = one.as_deref().map_or("the profiles' topics".to_owned(), |name| format!("topic {name}"));
                common_option(a, b).map(|option| format!("`{option}` of {whose}"))
            }
            (Self::BrokerConfig { target: one, config: a }, Self::BrokerConfig { target: two, config: b })
                if one.meets(two) =>
            {
                common_option(a, b).map(|option| format!("`{option}` of {one}"))
            }
            (Self::Acl { .. }, Self::Acl { .. }) => Some("who may write to the profiles' topics".to_owned()),
            (one, two) => {
                let of = leadership(one).filter(|number| leadership(two) == Some(*number))?;
                Some(format!("the leadership of partition {of}"))
            }
        }
    }
}

fn common_option<'a>(one: &'a Config, other: &Config) -> Option<&'a str> {
    one.iter().map(|(name, _)| name.as_str()).find(|name| other.iter().any(|(own, _)| own == name))
}

impl fmt::Display for KafkaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = |config: &Config| {
            let options: Vec<String> = config.iter().map(|(name, value)| format!("{name}={value}")).collect();
            options.join(", ")
        };
        match self {
            Self::ElectLeader { partition, election } => {
                write!(f, "{} election for partition {}", election.word(), partition.number)
            }
            Self::MoveLeader { partition, to } => {
                write!(f, "the leadership of partition {} moves to ", partition.number)?;
                match to {
                    Destination::Broker(id) => write!(f, "broker {id}"),
                    Destination::Follower => f.write_str("a follower"),
                }
            }
            Self::TopicConfig { topic: Some(topic), config } => write!(f, "topic {topic} has {}", options(config)),
            Self::TopicConfig { topic: None, config } => write!(f, "the profiles' topics have {}", options(config)),
            Self::BrokerConfig { target, config } => {
                write!(f, "{target} {} {}", if target.is_many() { "have" } else { "has" }, options(config))
            }
            Self::DeleteRecords { partition, oldest_percent: 100 } => {
                write!(f, "all records of partition {} are deleted", partition.number)
            }
            Self::DeleteRecords { partition, oldest_percent } => {
                write!(f, "the oldest {oldest_percent} % of the records of partition {} are deleted", partition.number)
            }
            Self::Acl { deny: Denied::Write } => f.write_str("nobody may write to the profiles' topics"),
        }
    }
}

fn of_partition(check: &mut Check, text: &raw::Text) -> Option<OfPartition> {
    partition(check, text).map(OfPartition::new)
}

fn destination(check: &mut Check, raw: &Spanned<raw::Selector>) -> Option<Destination> {
    match &raw.value {
        raw::Selector::Word(word) if word == FOLLOWER => return Some(Destination::Follower),
        raw::Selector::Map(Map(entries)) => {
            if let [(key, value)] = entries.as_slice()
                && key.value == "broker"
            {
                return check.read(value, |text| integer(text, "broker id", 1, 3)).map(Destination::Broker);
            }
        }
        raw::Selector::Word(_) | raw::Selector::List(_) => {}
    }
    let problem = Problem::new("nobody to move the leadership to")
        .at(&check.span(raw), "expected `follower`, or a map with `broker`")
        .hint("for example `to: { broker: 2 }`");
    check.report(problem);
    None
}

/// Whose options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Topics,
    Brokers,
}

fn config(check: &mut Check, raw: &Spanned<raw::Options>, of: Of) -> Option<Config> {
    if raw.value.0.is_empty() {
        let problem = Problem::new("this fault changes nothing")
            .at(&check.span(raw), "expected an option")
            .hint("for example `config: { min.insync.replicas: 3 }`");
        check.report(problem);
        return None;
    }
    let before = check.problems.len();
    let mut config = Vec::new();
    for (key, value) in &raw.value.0 {
        let at = check.span(key);
        let known = if of == Of::Topics { TOPIC_OPTIONS } else { OWNED_BROKER_CONFIG };
        option_name::check_name(check, &key.value, &at, known);
        if of == Of::Brokers && OWNED_BROKER_CONFIG.contains(&key.value.as_str()) {
            let problem =
                Problem::new(format!("`{}` is set by lossproof", key.value)).at(&at, "the faults depend on it");
            check.report(problem.hint("remove it"));
        }
        let Some(value) = value else {
            let problem = Problem::new(format!("`{}` has no value", key.value)).at(&at, "expected a value");
            check.report(problem.hint("what was before is put back when the fault ends"));
            continue;
        };
        if key.value.ends_with("cleanup.policy") && value.value.contains("compact") {
            let problem = Problem::new("compaction can't begin in the middle of a run")
                .at(&check.span(value), "not here")
                .hint("set it from the beginning: `topic: { config: { cleanup.policy: compact } }`");
            check.report(problem);
        }
        config.push((key.value.clone(), value.value.clone()));
    }
    (check.problems.len() == before).then_some(config)
}
