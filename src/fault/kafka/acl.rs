//! `acl`: clients may not write to their topics any more, as when somebody tidies up the rules of a cluster.
//!
//! Proof: before, every broker that answers would have let a write pass, and now it refuses one, with
//! TOPIC_AUTHORIZATION_FAILED, as clients are refused. A cluster without an authorizer refuses the rule, which proves
//! nothing. Healed: the rules are removed, and every broker that answers lets a write pass again.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::{NEWS_LIMIT, POLL_EVERY};
use crate::cluster::Cluster;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::{Refused, Wire};
use crate::experiment::HARNESS_PORT;
use crate::fault::{Findings, brokers_of};

/// A busy broker needs a while for an answer; one that is dead is not waited for longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

pub(super) async fn inject(cluster: &Cluster, topics: &[String]) -> Result<Proof> {
    let mut findings = Findings::default();
    let before = join_all(topics.iter().map(|topic| answers(cluster, topic))).await;
    match with_any(&cluster.harness(), async |wire| wire.deny_writes(topics).await).await {
        Err(error) if error.is::<Refused>() => {
            findings.note("rule".to_owned(), false, format!("{error:#}"), json!({}));
            return Ok(findings.proof());
        }
        other => other?,
    }
    for (topic, before) in topics.iter().zip(before) {
        let now = awaited(cluster, topic, false).await;
        let open_before = !before.is_empty() && before.iter().all(|(_, may)| *may);
        let sentence = match open_before {
            true => format!("writing to topic {topic} was allowed, and {}", now.words()),
            false => format!("writing to topic {topic} was not allowed by all brokers before"),
        };
        let evidence = json!({ "allowed_before": before, "allowed": now.answers });
        findings.note(topic.clone(), open_before && now.reached, sentence, evidence);
    }
    Ok(findings.proof())
}

pub(in crate::fault) async fn heal(cluster: &Cluster, topics: &[String]) -> Result<Proof> {
    with_any(&cluster.harness(), async |wire| wire.allow_writes(topics).await).await?;
    let mut findings = Findings::default();
    for topic in topics {
        let now = awaited(cluster, topic, true).await;
        let sentence = format!("the rules of topic {topic} are removed, and writing to it {}", now.words());
        findings.note(topic.clone(), now.reached, sentence, json!({ "allowed": now.answers }));
    }
    Ok(findings.proof())
}

/// What the brokers that answer say of writing to a topic.
struct Answers {
    answers: Vec<(i32, bool)>,
    reached: bool,
    wanted: bool,
}

impl Answers {
    fn words(&self) -> String {
        let (those, others): (Vec<_>, Vec<_>) = self.answers.iter().partition(|(_, may)| *may == self.wanted);
        let ids = |answers: &[&(i32, bool)]| answers.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let is = if self.wanted { "is allowed again" } else { "is refused now" };
        match (those.as_slice(), others.as_slice()) {
            ([], []) => "no broker answers whether it is".to_owned(),
            (those, []) => format!("{is} by {}", brokers_of(&ids(those))),
            (_, others) => format!("{is}, but not by {}", brokers_of(&ids(others))),
        }
    }
}

async fn awaited(cluster: &Cluster, topic: &str, wanted: bool) -> Answers {
    let deadline = Instant::now() + NEWS_LIMIT;
    loop {
        let answers = answers(cluster, topic).await;
        let reached = !answers.is_empty() && answers.iter().all(|(_, may)| *may == wanted);
        if reached || Instant::now() >= deadline {
            return Answers { answers, reached, wanted };
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Whether writing is allowed, by each broker that answers.
async fn answers(cluster: &Cluster, topic: &str) -> Vec<(i32, bool)> {
    let asked = cluster.brokers.iter().map(async |broker| {
        let mut wire = Wire::connect(&broker.address(HARNESS_PORT), ANSWER_LIMIT).await.ok()?;
        Some((broker.id, wire.may_write(topic).await.ok()?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}
