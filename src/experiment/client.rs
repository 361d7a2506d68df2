//! What stands under `producer:`, and what it has in common with `consumer:`: behaviours, which are lossproof's, and
//! librdkafka's options.
//!
//! Whether librdkafka knows an option and takes its value is checked where librdkafka is at hand; every option keeps its
//! place for that.

use super::check::Check;
use super::consumer::BEHAVIOURS;
use super::hint::did_you_mean;
use super::profile::Setting;
use super::{Located, Options, Problem, ProducerSpec, producer};

/// Options that can't be the profile's, with the reason. Finer rules, which depend on an option's value, are the workload's.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "clients are given the addresses of the run's own cluster"),
    ("metadata.broker.list", "clients are given the addresses of the run's own cluster"),
    ("client.id", "it names the client in the evidence"),
    ("group.id", "each run has groups of its own, and all profiles' coordinators on the same broker"),
    ("transactional.id", "each stream of a run has its own; `transaction_messages` makes a producer transactional"),
    ("delivery.report.only.error", "every delivery report is needed to account for every message"),
];

/// librdkafka options that are written with `_`, as behaviours are.
const UNDERSCORED_OPTIONS: &[&str] = &["log_level"];

/// Of the merged settings under `producer:`.
pub fn producer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ProducerSpec> {
    let (behaviours, options) = split(check, settings, "producer", producer::BEHAVIOURS);
    producer::spec(check, behaviours, options)
}

/// Parts behaviours from librdkafka's options, and refuses what the workload sets itself.
pub(super) fn split(
    check: &mut Check,
    settings: Vec<Setting>,
    side: &str,
    behaviours: &[&str],
) -> (Vec<Setting>, Options) {
    let (other, other_side) = match side {
        "producer" => ("consumer", BEHAVIOURS),
        _ => ("producer", producer::BEHAVIOURS),
    };
    let mut known = Vec::new();
    let mut options = Options::new();
    for setting in settings {
        let key = setting.key.as_str();
        if behaviours.contains(&key) {
            known.push(setting);
        } else if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == key) {
            check.report(
                Problem::new(format!("`{key}` is set by lossproof"))
                    .at(&setting.key_at, format!("remove it: {reason}")),
            );
        } else if other_side.contains(&key) {
            check.report(
                Problem::new(format!("`{key}` is a behaviour of the {other}"))
                    .at(&setting.key_at, format!("not of the {side}"))
                    .hint(format!("put it under `{other}:`")),
            );
        } else if key.contains('_') && !UNDERSCORED_OPTIONS.contains(&key) {
            let dotted = key.replace('_', ".");
            check.report(
                Problem::new(format!("unknown behaviour `{key}`"))
                    .at(&setting.key_at, format!("behaviours of a {side} are {}", behaviours.join(", ")))
                    .hint(
                        did_you_mean(key, behaviours.iter().copied())
                            .unwrap_or_else(|| format!("librdkafka's own options are written with dots: `{dotted}`")),
                    ),
            );
        } else {
            let at = setting.key_at.place();
            options.push((Located { value: setting.key, at }, setting.value.0));
        }
    }
    (known, options)
}
