//! `topic_config` and `broker_config`: options of topics or brokers are changed while they run, and put back.
//!
//! Proof: every value was another before, and each broker that answers tells the new one (a broker's own options only
//! itself). A value that was so already, or that the controller refuses, proves nothing. Healed: each tells what was
//! before, and where it came from: what had not been set on the topic or broker itself is removed again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lossproof_ledger::event::Proof;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{NEWS_LIMIT, POLL_EVERY};
use crate::cluster::Cluster;
use crate::cluster::readiness::{Address, with_any};
use crate::cluster::wire::{ConfigEntry, Refused, Resource, Wire};
use crate::fault::{Findings, Undo};

/// A busy broker needs a while for an answer; one that is dead is not waited for longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How long a broker that is away may take to come back and have its own options put back.
const RETURN_LIMIT: Duration = Duration::from_secs(60);

/// The options of a topic or broker as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Whose.
    pub resource: Resource,
    /// Each with the value that had been set on it; none where it inherited one.
    pub values: Vec<(String, Option<String>)>,
}

impl Options {
    /// What has to be done, one sentence.
    pub(in crate::fault) fn describe(&self) -> String {
        let back = self.values.iter().map(|(name, value)| match value {
            Some(value) => format!("set {name} to {value}"),
            None => format!("remove {name}"),
        });
        format!("{} of {}", back.collect::<Vec<_>>().join(", "), self.resource)
    }

    /// Which options these are, in words.
    pub(in crate::fault) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.values.iter().map(|(name, _)| format!("{name} of {}", self.resource))
    }
}

type Config = [(String, String)];

/// What each had before.
pub(super) async fn undo(cluster: &Cluster, resources: &[Resource], config: &Config) -> Result<Undo> {
    let mut before = Vec::new();
    for resource in resources {
        let entries = ask(cluster, resource, &names(config)).await?;
        let mut values = Vec::new();
        for (name, _) in config {
            let own = entries.iter().find(|entry| entry.name == *name && entry.is_own);
            if own.is_some_and(|entry| entry.is_secret) {
                bail!("{name} of {resource} is a secret that was set: it could not be put back");
            }
            values.push((name.clone(), own.and_then(|entry| entry.value.clone())));
        }
        before.push(Options { resource: resource.clone(), values });
    }
    Ok(Undo::RestoreConfig(before))
}

pub(super) async fn inject(cluster: &Cluster, resources: &[Resource], config: &Config) -> Result<Proof> {
    let wanted: Vec<(String, Option<String>)> =
        config.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let mut findings = Findings::default();
    for resource in resources {
        let before = ask(cluster, resource, &names(config)).await?;
        let value_before = |name: &str| before.iter().find(|entry| entry.name == name).and_then(|e| e.value.clone());
        let same = config.iter().find(|(name, value)| value_before(name).is_some_and(|before| is_same(&before, value)));
        let mut evidence = Map::new();
        evidence
            .insert("before".to_owned(), config.iter().map(|(name, _)| json!([name, value_before(name)])).collect());
        let (holds, sentence) = if let Some((name, value)) = same {
            (false, format!("{resource}: {name} was {value} already"))
        } else {
            match change(cluster, resource, &wanted).await {
                Err(error) if error.is::<Refused>() => (false, format!("{error:#}")),
                Err(error) => return Err(error),
                Ok(()) => {
                    let lack = |entries: &[ConfigEntry]| {
                        config.iter().find_map(|(name, value)| {
                            let now = entries.iter().find(|entry| entry.name == *name);
                            let there = now.is_some_and(|now| now.is_own && tells(now, value));
                            (!there).then(|| format!("{name} as {}", told(now)))
                        })
                    };
                    let seen = seen_by(cluster, resource, &names(config), lack).await;
                    evidence.insert("seen_by".to_owned(), json!(seen.brokers));
                    let changes = config.iter().map(|(name, value)| {
                        let before = value_before(name).unwrap_or_else(|| "nothing".to_owned());
                        format!("{name} is {value}, before {before}")
                    });
                    let changes = changes.collect::<Vec<_>>().join(", ");
                    (seen.holds(), format!("{resource}: {changes}{}", seen.words()))
                }
            }
        };
        findings.note(resource.to_string(), holds, sentence, Value::Object(evidence));
    }
    Ok(findings.proof())
}

pub(in crate::fault) async fn heal(cluster: &Cluster, before: &[Options]) -> Result<Proof> {
    let mut findings = Findings::default();
    for Options { resource, values } in before {
        // A broker's own options are put back by itself alone, and it may be on its way back.
        let deadline = Instant::now() + RETURN_LIMIT;
        while let Err(error) = change(cluster, resource, values).await {
            if error.is::<Refused>() || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let names: Vec<String> = values.iter().map(|(name, _)| name.clone()).collect();
        let lack = |entries: &[ConfigEntry]| {
            values.iter().find_map(|(name, value)| {
                let now = entries.iter().find(|entry| entry.name == *name);
                let as_before = match (value, now) {
                    (Some(value), Some(now)) => now.is_own && tells(now, value),
                    (Some(_), None) => false,
                    (None, now) => now.is_none_or(|now| !now.is_own),
                };
                (!as_before).then(|| format!("{name} as {}", told(now)))
            })
        };
        let seen = seen_by(cluster, resource, &names, lack).await;
        let back = values.iter().map(|(name, value)| match value {
            Some(value) => format!("{name} is {value} again"),
            None => format!("{name} is not set any more"),
        });
        let sentence = format!("{resource}: {}{}", back.collect::<Vec<_>>().join(", "), seen.words());
        let evidence = json!({ "values": values, "seen_by": seen.brokers });
        findings.note(resource.to_string(), seen.holds(), sentence, evidence);
    }
    Ok(findings.proof())
}

fn names(config: &Config) -> Vec<String> {
    config.iter().map(|(name, _)| name.clone()).collect()
}

/// Who can change and tell the options: of a topic all brokers, of a broker itself.
fn addresses(cluster: &Cluster, resource: &Resource) -> Vec<Address> {
    let mut all = cluster.harness();
    if let Resource::Broker(of) = resource {
        all.retain(|(id, _)| id == of);
    }
    all
}

async fn ask(cluster: &Cluster, resource: &Resource, names: &[String]) -> Result<Vec<ConfigEntry>> {
    with_any(&addresses(cluster, resource), async |wire| wire.config(resource, Some(names)).await).await
}

async fn change(cluster: &Cluster, resource: &Resource, values: &[(String, Option<String>)]) -> Result<()> {
    with_any(&addresses(cluster, resource), async |wire| wire.change_config(resource, values).await).await
}

/// What brokers told of options.
struct Told {
    brokers: Vec<i32>,
    lacks: Option<String>,
}

impl Told {
    fn holds(&self) -> bool {
        !self.brokers.is_empty() && self.lacks.is_none()
    }

    fn words(&self) -> String {
        match &self.lacks {
            Some(lacks) => format!(", but {lacks}"),
            None if self.brokers.is_empty() => ", but no broker tells of it".to_owned(),
            None => format!(", as {} told", crate::fault::brokers_of(&self.brokers)),
        }
    }
}

/// Waits until no broker that answers lacks anything.
async fn seen_by(
    cluster: &Cluster,
    resource: &Resource,
    names: &[String],
    lack: impl Fn(&[ConfigEntry]) -> Option<String>,
) -> Told {
    let deadline = Instant::now() + NEWS_LIMIT;
    loop {
        let asked = addresses(cluster, resource).into_iter().map(async |(id, address)| {
            let entries = async { Wire::connect(&address, ANSWER_LIMIT).await?.config(resource, Some(names)).await };
            entries.await.ok().map(|entries| (id, entries))
        });
        let answers: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
        let lacks = answers.iter().find_map(|(id, entries)| Some(format!("broker {id} tells {}", lack(entries)?)));
        let told = Told { brokers: answers.into_iter().map(|(id, _)| id).collect(), lacks };
        if told.holds() || Instant::now() >= deadline {
            return told;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Whether an entry has a value; of secrets only that they are set can be told.
fn tells(entry: &ConfigEntry, value: &str) -> bool {
    entry.is_secret || entry.value.as_deref().is_some_and(|now| is_same(now, value))
}

fn told(entry: Option<&ConfigEntry>) -> String {
    match entry {
        None => "an option that it does not know".to_owned(),
        Some(entry) => {
            let value = entry.value.as_deref().unwrap_or("nothing");
            format!("{value} ({})", if entry.is_own { "set on it" } else { "inherited" })
        }
    }
}

/// Brokers tell values as they understood them: numbers and words in their own writing, lists without blanks.
fn is_same(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> { text.split(',').map(|word| word.trim().to_lowercase()).collect() };
    words(one) == words(other)
        || matches!((one.trim().parse::<f64>(), other.trim().parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::is_same;

    #[test_case("2", "2", true)]
    #[test_case("0.5", "0.50", true; "numbers")]
    #[test_case("true", "TRUE", true; "words")]
    #[test_case("compact,delete", "compact, delete", true; "lists")]
    #[test_case("compact,delete", "compact", false)]
    #[test_case("", "0", false; "nothing is not zero")]
    #[test_case("10", "1", false)]
    fn values_are_compared_as_brokers_understand_them(one: &str, other: &str, expected: bool) {
        assert_eq!(is_same(one, other), expected);
    }
}
