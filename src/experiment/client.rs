//! What stands under `producer:` and `consumer:`: behaviours, which are lossproof's, and librdkafka's options.
//!
//! Whether librdkafka knows an option and takes its value is checked where librdkafka is at hand; every option keeps its
//! place for that.

use super::check::Check;
use super::hint::did_you_mean;
use super::profile::Setting;
use super::source::Span;
use super::value::{integer, word};
use super::{Commit, ConsumerSpec, Located, Options, Problem, ProducerSpec, producer};

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

/// Behaviours, which are lossproof's and not librdkafka's.
const CONSUMER_BEHAVIOURS: &[&str] = &["members", "commit"];

/// Of the merged settings under `producer:`.
pub fn producer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ProducerSpec> {
    let (behaviours, options) = split(check, settings, "producer", producer::BEHAVIOURS, CONSUMER_BEHAVIOURS);
    producer::spec(check, behaviours, options)
}

/// Of the merged settings under `consumer:`.
pub fn consumer_spec(check: &mut Check, settings: Vec<Setting>) -> Option<ConsumerSpec> {
    let auto = settings.iter().find(|setting| setting.key == "enable.auto.commit").map(|setting| {
        let on = matches!(setting.value.0.to_lowercase().as_str(), "true" | "t" | "1");
        (on, setting.value.1.clone())
    });
    let (behaviours, options) = split(check, settings, "consumer", CONSUMER_BEHAVIOURS, producer::BEHAVIOURS);
    let mut members = Some(1);
    let mut commit = None;
    for Setting { key, value: (text, at), .. } in behaviours {
        match key.as_str() {
            "members" => members = check.read_at(&text, &at, |text| integer(text, "number of members", 1, 16)),
            _ => commit = Some((check.read_at(&text, &at, |text| word(text, "way to commit"))?, at)),
        }
    }
    let commit = match (commit, auto) {
        (Some((Commit::Auto, commit_at)), Some((false, at))) => {
            contradiction(check, "`commit: auto` needs librdkafka's auto-commit, which is off here", &at, &commit_at);
            return None;
        }
        (Some((Commit::AfterSync, commit_at)), Some((true, at))) => {
            contradiction(check, "`commit: after_sync` commits by itself, and auto-commit is on here", &at, &commit_at);
            return None;
        }
        (Some((commit, _)), _) => commit,
        // Switched off and nothing said: the one other way there is.
        (None, Some((false, _))) => Commit::AfterSync,
        (None, _) => Commit::Auto,
    };
    Some(ConsumerSpec { options, members: members?, commit })
}

fn contradiction(check: &mut Check, message: &str, option: &Span, commit: &Span) {
    let place = commit.place();
    check.report(
        Problem::new(message)
            .at(option, "`enable.auto.commit` is set here")
            .hint(format!("`commit` is set at {}:{}:{}: change one of them", place.file, place.line, place.column)),
    );
}

/// Parts behaviours from librdkafka's options, and refuses what the workload sets itself.
fn split(
    check: &mut Check,
    settings: Vec<Setting>,
    side: &str,
    behaviours: &[&str],
    other_side: &[&str],
) -> (Vec<Setting>, Options) {
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
            let other = if side == "producer" { "consumer" } else { "producer" };
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
