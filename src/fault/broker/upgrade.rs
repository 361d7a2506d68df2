//! `upgrade`: the brokers get another Kafka, one after another, as a rolling upgrade does it: each is stopped in
//! order, its container is made anew from the other image on the volume that it has, and it is started; between
//! two, all replicas are in sync again. Then, where that is asked for, the feature levels of the cluster are raised
//! to the highest that the new brokers support, which is when the new version begins to behave as such.
//!
//! Proof, for each broker: it ended in order, it runs from the other image with a new start time, and all replicas
//! came back in sync. Of the features: each broker says that each level is the highest that it supports. The roll
//! begins only where all brokers run, and ends at the first one that fails, as the next could take the quorum along.
//!
//! An upgrade is not taken back. The way back from half-way is that every broker runs, from whichever image.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use lossproof_ledger::event::Proof;
use serde_json::{Map, Value, json};

use super::{kill, restart};
use crate::cluster::readiness::with_any;
use crate::cluster::wire::{Feature, Features, Wire};
use crate::cluster::{Broker, Cluster};
use crate::fault::{Findings, Notes};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long the brokers may take to follow the metadata log to the new levels.
const FINALIZED_LIMIT: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn inject(cluster: &Cluster, to: &str, finalize: bool, note: Notes<'_>) -> Result<Proof> {
    let mut findings = Findings::default();
    let wanted = cluster.engine.image_id(to).await?;
    for broker in &cluster.brokers {
        if let Some(obstacle) = obstacle(cluster, broker, to, &wanted).await? {
            findings.add(broker.id, false, obstacle, Value::Null);
        }
    }
    for broker in &cluster.brokers {
        if findings.failed {
            break;
        }
        let (holds, sentence, evidence) = upgrade(cluster, broker, to, &wanted, note).await?;
        findings.add(broker.id, holds, sentence, evidence);
    }
    if finalize && !findings.failed {
        let (holds, sentence, evidence) = raise(cluster, note).await?;
        findings.note("features".to_owned(), holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Lets every broker run, from the image that it has.
pub(in crate::fault) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    for &id in brokers {
        cluster.restore(id).await?;
    }
    kill::heal(cluster, brokers).await
}

/// What speaks against touching any broker: to stop one beside another that is down would stop the cluster.
async fn obstacle(cluster: &Cluster, broker: &Broker, to: &str, wanted: &str) -> Result<Option<String>> {
    let id = broker.id;
    if !cluster.engine.state(&broker.container).await?.running {
        return Ok(Some(format!("broker {id} was not running when it should have been upgraded")));
    }
    let runs_already = cluster.engine.image_of(&broker.container).await?.id == wanted;
    Ok(runs_already.then(|| format!("broker {id} runs from {to} already")))
}

/// Whether one broker runs from the other image now, in words, and what was seen.
async fn upgrade(
    cluster: &Cluster,
    broker: &Broker,
    to: &str,
    wanted: &str,
    note: Notes<'_>,
) -> Result<(bool, String, Value)> {
    let Broker { id, container, .. } = broker;
    let id = *id;
    let before = cluster.engine.image_of(container).await?;
    let began = Instant::now();
    let stopped = restart::stop(cluster, id, note).await?;
    cluster.recreate(id, to).await?;
    let started = kill::start(cluster, id).await?;
    let in_sync = Some(restart::in_sync(cluster, id, &[], began, note).await);
    let after = cluster.engine.image_of(container).await?;
    let (holds, sentence) = match restart::failure(id, &stopped, &started, in_sync) {
        Some(failure) => (false, failure),
        None if after.id != wanted => (false, format!("broker {id} runs from {} instead of {to}", after.id)),
        None => (
            true,
            format!(
                "broker {id} stopped in order (exit code {}) and runs from {to} instead of {}",
                stopped.exit_code, before.name
            ),
        ),
    };
    let mut evidence = restart::evidence(&stopped, &started, in_sync);
    evidence["image_before"] = json!({ "name": before.name, "id": before.id });
    evidence["image_after"] = json!({ "name": after.name, "id": after.id });
    Ok((holds, sentence, evidence))
}

/// Raises all feature levels as far as every broker supports them. Whether each broker has followed, in words,
/// and what was seen.
async fn raise(cluster: &Cluster, note: Notes<'_>) -> Result<(bool, String, Value)> {
    let steps = steps(&features(cluster).await?);
    let text: Vec<String> = steps.iter().map(|(name, from, to)| format!("{name} from {from} to {to}")).collect();
    let text = text.join(", ");
    let told: Vec<Value> =
        steps.iter().map(|(name, from, to)| json!({ "feature": name, "from": from, "to": to })).collect();
    if !steps.is_empty() {
        note(format!("feature levels are raised: {text}"));
        let levels: Vec<(String, i16)> = steps.into_iter().map(|(name, _, to)| (name, to)).collect();
        let raised = with_any(&cluster.harness(), async |wire| wire.raise_features(&levels).await).await;
        if let Err(error) = raised {
            let sentence = format!("the feature levels could not be raised ({text}): {error:#}");
            return Ok((false, sentence, json!({ "raised": [], "wanted": told })));
        }
    }
    let deadline = Instant::now() + FINALIZED_LIMIT;
    let (seen, behind) = loop {
        let seen = features(cluster).await?;
        let behind = seen.iter().find_map(|(id, features)| Some((*id, behind(features)?.clone())));
        if behind.is_none() || Instant::now() >= deadline {
            break (seen, behind);
        }
        tokio::time::sleep(POLL_EVERY).await;
    };
    let (holds, sentence) = match behind {
        Some((id, Feature { name, finalized, supported_max, .. })) => {
            (false, format!("broker {id} says that {name} is at level {finalized}, where it supports {supported_max}"))
        }
        None if told.is_empty() => (true, "all feature levels were the highest already".to_owned()),
        None => (true, format!("each broker says that the feature levels are raised: {text}")),
    };
    let levels: Map<String, Value> = seen
        .into_iter()
        .map(|(id, features)| {
            let levels: Map<String, Value> =
                features.features.into_iter().map(|feature| (feature.name, feature.finalized.into())).collect();
            (format!("broker_{id}"), levels.into())
        })
        .collect();
    Ok((holds, sentence, json!({ "raised": told, "levels": levels })))
}

/// What each broker supports and says is in use.
async fn features(cluster: &Cluster) -> Result<Vec<(i32, Features)>> {
    let asked = cluster.harness().into_iter().map(async |(id, address)| {
        let features = Wire::connect(&address, ANSWER_LIMIT).await?.features().await;
        anyhow::Ok((id, features.with_context(|| format!("broker {id}"))?))
    });
    try_join_all(asked).await
}

/// Each feature that can be raised, with the level it has and the highest one that every broker supports.
fn steps(brokers: &[(i32, Features)]) -> Vec<(String, i16, i16)> {
    let mut ranges: BTreeMap<&str, (i16, i16)> = BTreeMap::new();
    for feature in brokers.iter().flat_map(|(_, features)| &features.features) {
        let (level, highest) = ranges.entry(&feature.name).or_insert((feature.finalized, feature.supported_max));
        *level = feature.finalized.min(*level);
        *highest = feature.supported_max.min(*highest);
    }
    let steps = ranges.into_iter().filter(|(_, (level, highest))| level < highest);
    steps.map(|(name, (level, highest))| (name.to_owned(), level, highest)).collect()
}

/// A feature that this broker supports beyond the level in use.
fn behind(features: &Features) -> Option<&Feature> {
    features.features.iter().find(|feature| feature.finalized < feature.supported_max)
}

#[cfg(test)]
mod tests {
    use super::{behind, steps};
    use crate::cluster::wire::{Feature, Features};

    fn features(levels: &[(&str, i16, i16)]) -> Features {
        let feature = |&(name, supported_max, finalized): &(&str, i16, i16)| Feature {
            name: name.to_owned(),
            supported_min: 0,
            supported_max,
            finalized,
        };
        Features { epoch: 1, features: levels.iter().map(feature).collect() }
    }

    #[test]
    fn a_level_is_raised_as_far_as_every_broker_supports() {
        let new = features(&[("group.version", 1, 0), ("metadata.version", 29, 21)]);
        let old = features(&[("group.version", 0, 0), ("metadata.version", 25, 21)]);
        assert_eq!(steps(&[(1, new.clone()), (2, old)]), [("metadata.version".to_owned(), 21, 25)]);
        let all = [("group.version".to_owned(), 0, 1), ("metadata.version".to_owned(), 21, 29)];
        assert_eq!(steps(&[(1, new.clone()), (2, new.clone())]), all);
        assert_eq!(behind(&new).map(|feature| feature.name.as_str()), Some("group.version"));
        assert_eq!(behind(&features(&[("group.version", 1, 1)])), None);
        assert_eq!(steps(&[(1, features(&[("group.version", 1, 1)]))]), []);
    }
}
