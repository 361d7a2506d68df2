//! Selectors: which brokers a fault hits.

use std::fmt;

use serde_yaml::Spanned;

use super::check::Check;
use super::hint::{did_you_mean, one_of};
use super::raw::{self, Map};
use super::resolved::text;
use super::source::Span;
use super::value::{integer, topic};
use super::{Problem, Profile};

/// Which brokers a fault hits; resolved when it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By id, 1 to 3.
    Broker(i32),
    /// Leader of that partition of each profile's topic.
    LeaderOf(i32),
    /// Followers of that partition.
    FollowersOf(i32),
    /// All that hold a replica of that partition.
    ReplicasOf(i32),
    /// Leader of a partition of a named topic, such as one of the brokers' own.
    LeaderOfTopic {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The broker that coordinates a group or transactions.
    CoordinatorOf(Coordinator),
    /// The active KRaft controller.
    Controller,
    /// Every broker, by id.
    All,
    /// By their ids, each once.
    These(Vec<i32>),
    /// One broker, by chance.
    Random,
}

/// Whose coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coordinator {
    /// The profiles' own consumer groups.
    Group,
    /// The profiles' own transactions; those of partition 0, as each partition has a transactional id of its own.
    Transactions,
    /// The consumer group of that id.
    GroupId(String),
}

impl Coordinator {
    const GROUP: &'static str = "group";
    const TRANSACTIONS: &'static str = "transactions";
}

impl Selector {
    /// Whether it names several brokers.
    #[must_use]
    pub const fn is_many(&self) -> bool {
        matches!(self, Self::All | Self::These(_) | Self::FollowersOf(_) | Self::ReplicasOf(_))
    }

    /// Whether this one and another name a common broker whatever the state of the cluster.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(ids), Self::Broker(id)) | (Self::Broker(id), Self::These(ids)) => ids.contains(id),
            (Self::These(some), Self::These(ids)) => some.iter().any(|id| ids.contains(id)),
            _ => self == other && *self != Self::Random || *self == Self::All || *other == Self::All,
        }
    }

    /// The verb for it.
    pub(super) const fn is(&self) -> &'static str {
        if self.is_many() { "are" } else { "is" }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::LeaderOf(partition) => write!(f, "the leader of partition {partition}"),
            Self::FollowersOf(partition) => write!(f, "the followers of partition {partition}"),
            Self::ReplicasOf(partition) => write!(f, "the replicas of partition {partition}"),
            Self::LeaderOfTopic { topic, partition } => write!(f, "the leader of {topic}/{partition}"),
            Self::CoordinatorOf(Coordinator::Group) => f.write_str("the coordinator of the groups"),
            Self::CoordinatorOf(Coordinator::Transactions) => {
                f.write_str("the coordinator of the transactions of partition 0")
            }
            Self::CoordinatorOf(Coordinator::GroupId(id)) => write!(f, "the coordinator of group {id}"),
            Self::Controller => f.write_str("the active controller"),
            Self::All => f.write_str("all brokers"),
            Self::These(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                write!(f, "brokers {}", ids.join(", "))
            }
            Self::Random => f.write_str("a random broker"),
        }
    }
}

/// Selectors that stand for themselves.
const WORDS: [&str; 3] = ["all", "controller", "random"];
/// Selectors with a value of their own.
const KEYED_SELECTORS: &[&str] = &["broker", "leader_of", "followers_of", "replicas_of", "coordinator_of"];

/// Reads a selector. The partitions that it names are noted, until it is known which there are.
pub fn selector(check: &mut Check, raw: &Spanned<raw::Selector>) -> Option<Selector> {
    let span = check.span(raw);
    let entries = match &raw.value {
        raw::Selector::Word(word) => {
            let found = match word.as_str() {
                "all" => Some(Selector::All),
                "controller" => Some(Selector::Controller),
                "random" => Some(Selector::Random),
                _ => None,
            };
            if found.is_none() {
                check.report(unknown_selector(word, &span));
            }
            return found;
        }
        raw::Selector::List(ids) => return self::ids(check, ids, &span),
        raw::Selector::Map(entries) => &entries.0,
    };
    let [(key, value)] = entries.as_slice() else {
        let names: Vec<_> = entries.iter().map(|(key, _)| format!("`{}`", key.value)).collect();
        let has = if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") };
        let problem = Problem::new(format!("a selector names its target in one way, and this one has {has}"))
            .at(&span, format!("expected exactly one of {}", one_of(KEYED_SELECTORS.iter().copied())));
        check.report(problem);
        return None;
    };
    match key.value.as_str() {
        "broker" => Some(Selector::Broker(check.read(value, |text| integer(text, "broker id", 1, 3))?)),
        "leader_of" if value.value.contains('/') => leader_of_topic(check, value),
        "leader_of" => Some(Selector::LeaderOf(partition(check, value)?)),
        "followers_of" => Some(Selector::FollowersOf(partition(check, value)?)),
        "replicas_of" => Some(Selector::ReplicasOf(partition(check, value)?)),
        "coordinator_of" => coordinator(check, value).map(Selector::CoordinatorOf),
        other => {
            check.report(unknown_selector(other, &check.span(key)));
            None
        }
    }
}

/// Brokers by id, each once.
fn ids(check: &mut Check, texts: &[raw::Text], span: &Span) -> Option<Selector> {
    let mut ids = Vec::new();
    for text in texts {
        let id = check.read(text, |text| integer(text, "broker id", 1, 3))?;
        if ids.contains(&id) {
            check.report(Problem::new(format!("broker {id} is named twice")).at(&check.span(text), "again"));
            return None;
        }
        ids.push(id);
    }
    if ids.is_empty() {
        check.report(Problem::new("this selector names nobody").at(span, "expected ids of brokers, such as `[1, 2]`"));
        return None;
    }
    Some(Selector::These(ids))
}

/// `TOPIC/PARTITION`
fn leader_of_topic(check: &mut Check, text: &raw::Text) -> Option<Selector> {
    let (name, number) = text.value.rsplit_once('/')?;
    let span = check.span(text);
    let partition = check.read_at(number, &span, |text| integer(text, "partition", 0, i32::MAX));
    let topic = check.read_at(name, &span, topic)?;
    Some(Selector::LeaderOfTopic { topic, partition: partition? })
}

fn coordinator(check: &mut Check, text: &raw::Text) -> Option<Coordinator> {
    let words = [Coordinator::GROUP, Coordinator::TRANSACTIONS];
    match text.value.as_str() {
        Coordinator::GROUP => Some(Coordinator::Group),
        Coordinator::TRANSACTIONS => {
            check.transactional.push(check.span(text));
            Some(Coordinator::Transactions)
        }
        typed => match words.into_iter().find(|word| strsim::osa_distance(typed, word) <= 1) {
            None if !typed.is_empty() => Some(Coordinator::GroupId(typed.to_owned())),
            slip => {
                let problem = Problem::new(format!("`{typed}` has no coordinator"))
                    .at(&check.span(text), "expected `group`, `transactions`, or a consumer group's id")
                    .hint_if(slip.map(|word| format!("did you mean `{word}`?")));
                check.report(problem);
                None
            }
        },
    }
}

/// Reads the number of a partition of the profiles' topics, and notes it.
pub fn partition(check: &mut Check, text: &raw::Text) -> Option<i32> {
    let partition = check.read(text, |text| integer(text, "partition", 0, 63))?;
    check.partitions.push((partition, check.span(text)));
    Some(partition)
}

/// Refuses partitions that some profile does not have, and transactions that none has.
pub fn are_there(check: &mut Check, profiles: &[Profile]) {
    for span in std::mem::take(&mut check.transactional) {
        if profiles.iter().all(|profile| profile.producer.transaction_messages.is_none()) {
            let problem = Problem::new("no profile has transactions")
                .at(&span, "so that nobody coordinates any")
                .hint("give a profile `producer: { transaction_messages: 100 }`, or name `group`");
            check.report(problem);
        }
    }
    for (partition, span) in std::mem::take(&mut check.partitions) {
        for profile in profiles.iter().filter(|profile| partition >= profile.topic.partitions) {
            check.report(
                Problem::new(format!("profile `{}` has no partition {partition}", profile.name))
                    .at(&span, format!("its topic has partitions 0 to {}", profile.topic.partitions - 1)),
            );
        }
    }
}

/// As it is written in a file.
pub fn write(selector: &Selector) -> raw::Selector {
    let keyed = |key: &str, value: &dyn fmt::Display| raw::Selector::Map(Map(vec![(text(key), text(value))]));
    match selector {
        Selector::Broker(id) => keyed("broker", id),
        Selector::LeaderOf(partition) => keyed("leader_of", partition),
        Selector::FollowersOf(partition) => keyed("followers_of", partition),
        Selector::ReplicasOf(partition) => keyed("replicas_of", partition),
        Selector::LeaderOfTopic { topic, partition } => keyed("leader_of", &format!("{topic}/{partition}")),
        Selector::CoordinatorOf(Coordinator::Group) => keyed("coordinator_of", &Coordinator::GROUP),
        Selector::CoordinatorOf(Coordinator::Transactions) => keyed("coordinator_of", &Coordinator::TRANSACTIONS),
        Selector::CoordinatorOf(Coordinator::GroupId(id)) => keyed("coordinator_of", id),
        Selector::Controller => raw::Selector::Word("controller".to_owned()),
        Selector::All => raw::Selector::Word("all".to_owned()),
        Selector::These(ids) => raw::Selector::List(ids.iter().map(text).collect()),
        Selector::Random => raw::Selector::Word("random".to_owned()),
    }
}

fn unknown_selector(typed: &str, span: &Span) -> Problem {
    let known = WORDS.into_iter().chain(KEYED_SELECTORS.iter().copied());
    let hint = match typed.parse::<u64>() {
        Ok(id) => Some(format!("write `{{ broker: {id} }}`")),
        Err(_) if KEYED_SELECTORS.contains(&typed) => Some(format!("it needs a value: `{{ {typed}: 1 }}`")),
        Err(_) if WORDS.contains(&typed) => Some(format!("it takes no value: write `{typed}`")),
        Err(_) => did_you_mean(typed, known),
    };
    let keyed = one_of(KEYED_SELECTORS.iter().copied());
    Problem::new(format!("unknown selector `{typed}`"))
        .at(span, format!("expected `all`, `controller`, `random`, or a map with {keyed}"))
        .hint_if(hint)
}
