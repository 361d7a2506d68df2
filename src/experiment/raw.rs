//! The shape of an experiment file, as serde sees it. Scalars stay text with their place, so that what they mean is
//! checked later, all of them at once, and client options keep the very text that was written.
//!
//! No `flatten`, no `untagged`: with these the places are lost.

mod fault;
mod map;
mod selector;

use serde::{Deserialize, Serialize};
use serde_yaml::Spanned;

pub use fault::*;
pub use map::Map;
pub use selector::Selector;

/// A scalar as written.
pub type Text = Spanned<String>;

/// A list of scalars.
pub type Texts = Spanned<Vec<Text>>;

/// An experiment file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hazard: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protects: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_check: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    pub workload: Workload,
    pub profiles: Spanned<Map<Option<Profile>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<Spanned<Fault>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_show: Option<Map<Map<Text>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_hold: Option<Map<Map<Text>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_exposure: Option<Map<Text>>,
}

/// A file of expectations alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    pub must_show: Option<Map<Map<Text>>>,
    pub must_hold: Option<Map<Map<Text>>>,
    pub min_exposure: Option<Map<Text>>,
}

/// `requires:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Text>,
}

/// `cluster:`
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub definition: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_config: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Text>,
}

/// `workload:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub rate: Text,
    pub payload: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_recovery: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Text>,
}

/// `topic:`, of the experiment or of a profile.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Options>,
}

/// A profile, in a file of its own or under `profiles:`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vary: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Options>,
}

/// Options by name; `null` removes what an extended profile says.
pub type Options = Map<Option<Text>>;
