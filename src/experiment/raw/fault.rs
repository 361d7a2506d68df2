//! One of `faults:`, and what each kind says.

use serde::{Deserialize, Serialize};
use serde_yaml::{Location, Spanned};

use super::{Options, Selector, Text, Texts};

/// One of `faults:`. Exactly one kind must be there, which is checked later: an enum could not say which two were given.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Text>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub held: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<Spanned<Target>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Spanned<Restart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Spanned<Target>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_loop: Option<Spanned<CrashLoop>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Spanned<Upgrade>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Spanned<Partition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap: Option<Spanned<Flap>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Spanned<Latency>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Spanned<Loss>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Spanned<Bandwidth>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_fill: Option<Spanned<DiskFill>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_slow: Option<Spanned<DiskSlow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_wipe: Option<Spanned<Target>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_loss: Option<Spanned<Target>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Spanned<Exec>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_kill: Option<Spanned<Clients>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_pause: Option<Spanned<Clients>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_stop: Option<Spanned<Clients>>,
    pub elect_leader: Option<Spanned<ElectLeader>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_leader: Option<Spanned<MoveLeader>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_config: Option<Spanned<TopicConfig>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_config: Option<Spanned<BrokerConfig>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_records: Option<Spanned<DeleteRecords>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<Spanned<Acl>>,
}

impl Fault {
    /// Nothing yet.
    pub const fn empty() -> Self {
        Self {
            after: None,
            at: None,
            every: None,
            times: None,
            held: None,
            kill: None,
            restart: None,
            pause: None,
            crash_loop: None,
            upgrade: None,
            partition: None,
            flap: None,
            latency: None,
            loss: None,
            bandwidth: None,
            disk_fill: None,
            disk_slow: None,
            disk_wipe: None,
            power_loss: None,
            exec: None,
            client_kill: None,
            client_pause: None,
            client_stop: None,
            elect_leader: None,
            move_leader: None,
            topic_config: None,
            broker_config: None,
            delete_records: None,
            acl: None,
        }
    }

    /// Every kind's key, with its place where it is given.
    pub fn kinds(&self) -> [(&'static str, Option<Location>); 24] {
        [
            ("kill", place(&self.kill)),
            ("restart", place(&self.restart)),
            ("pause", place(&self.pause)),
            ("crash_loop", place(&self.crash_loop)),
            ("upgrade", place(&self.upgrade)),
            ("partition", place(&self.partition)),
            ("flap", place(&self.flap)),
            ("latency", place(&self.latency)),
            ("loss", place(&self.loss)),
            ("bandwidth", place(&self.bandwidth)),
            ("disk_fill", place(&self.disk_fill)),
            ("disk_slow", place(&self.disk_slow)),
            ("disk_wipe", place(&self.disk_wipe)),
            ("power_loss", place(&self.power_loss)),
            ("exec", place(&self.exec)),
            ("client_kill", place(&self.client_kill)),
            ("client_pause", place(&self.client_pause)),
            ("client_stop", place(&self.client_stop)),
            ("elect_leader", place(&self.elect_leader)),
            ("move_leader", place(&self.move_leader)),
            ("topic_config", place(&self.topic_config)),
            ("broker_config", place(&self.broker_config)),
            ("delete_records", place(&self.delete_records)),
            ("acl", place(&self.acl)),
        ]
    }
}

fn place<T>(value: &Option<Spanned<T>>) -> Option<Location> {
    value.as_ref().map(|value| value.referenced)
}

/// Kinds that have a target and nothing else.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub target: Spanned<Selector>,
}

/// `restart:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    pub target: Spanned<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Text>,
}

/// `crash_loop:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CrashLoop {
    pub target: Spanned<Selector>,
    pub times: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<Text>,
}

/// `upgrade:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    pub to: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalize: Option<Text>,
}

/// `disk_fill:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFill {
    pub target: Spanned<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave: Option<Text>,
}

/// `disk_slow:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSlow {
    pub target: Spanned<Selector>,
    pub rate: Text,
}

/// `partition:`
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolate: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Texts>,
}

/// `flap:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    pub partition: Spanned<Partition>,
    pub times: Text,
    pub down: Text,
    pub up: Text,
}

/// `latency:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub target: Spanned<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Texts>,
    pub delay: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Text>,
}

/// `loss:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    pub target: Spanned<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Texts>,
    pub per_cent: Text,
}

/// `bandwidth:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    pub target: Spanned<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Texts>,
    pub rate: Text,
}

/// `exec:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    pub start: Text,
    pub proof: Text,
    pub undo: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Spanned<Selector>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Text>,
}

/// Clients: `client_kill:` and the like.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    pub profile: Text,
    pub role: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Text>,
}

/// `elect_leader:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ElectLeader {
    pub partition: Text,
    pub election: Text,
}

/// `move_leader:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MoveLeader {
    pub partition: Text,
    pub to: Spanned<Selector>,
}

/// `topic_config:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Text>,
    pub config: Spanned<Options>,
}

/// `broker_config:` of a fault.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    pub target: Spanned<Selector>,
    pub config: Spanned<Options>,
}

/// `delete_records:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRecords {
    pub partition: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Text>,
}

/// `acl:`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Acl {
    pub deny: Text,
}
