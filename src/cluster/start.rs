//! Starting a cluster: disks, subnet, compose, readiness.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use testcontainers::compose::{DockerCompose, LocalComposeOptions};

use super::composed::Composed;
use super::disks::{self, SIDECAR_IMAGE};
use super::engine::Engine;
use super::readiness::{self, NotReached};
use super::session::{Session, Subnet};
use super::{Broker, Cluster};
use crate::exit::EnvironmentProblem;
use crate::experiment::ClusterSpec;

/// The definition, as embedded; the same file works with `docker compose` by hand.
const THREE_BROKERS: &str = include_str!("../../compose/three-brokers.yaml");
const BROKER_IDS: [i32; 3] = [1, 2, 3];
const READY_LIMIT: Duration = Duration::from_secs(90);
const LOG_LINES: usize = 20;
/// How far back the first error is looked for.
const LOG_LINES_SEARCHED: usize = 5_000;

impl Cluster {
    /// Starts a cluster and waits until it is ready. What was made is removed again when it fails.
    ///
    /// # Errors
    /// An `EnvironmentProblem` where images or capabilities lack; otherwise what did not come up, with
    /// the tail of its log.
    pub async fn start(engine: Engine, image: &str, spec: &ClusterSpec, session: Session) -> Result<Self> {
        for needed in [image, SIDECAR_IMAGE] {
            engine.require_image(needed, image).await?;
        }
        let id = session.id.clone();
        let started = Self::start_all(engine.clone(), image, spec, session).await;
        if started.is_err() {
            super::sweep::sweep(&engine, &id).await.ok();
            super::session::forget(&id);
        }
        started
    }

    async fn start_all(engine: Engine, image: &str, spec: &ClusterSpec, session: Session) -> Result<Self> {
        let backing = disks::create(&engine, &session.id, &BROKER_IDS, spec.disk_bytes).await.context("disks")?;
        let subnet = Subnet::reserve(&engine).await?;
        let project = DockerCompose::with_local_client(LocalComposeOptions::new(&compose_files(&session, spec)?))
            .with_project_name(session.project())
            .with_wait(false)
            .with_env_vars(environment(&session, &subnet, image));
        let mut compose = Composed::new(project);

        let started = Instant::now();
        compose.up().await.context("docker compose up")?;
        let mut brokers = Vec::new();
        for id in BROKER_IDS {
            let container = async |service: &str| {
                let found = compose.service(service).with_context(|| format!("compose started no {service}"))?;
                engine.name_of(found.id()).await
            };
            brokers.push(Broker {
                id,
                container: container(&format!("kafka-{id}")).await?,
                holder: container(&format!("net-{id}")).await?,
                ip: format!("{}.{}", subnet.prefix, 10 + id),
            });
        }
        let mut cluster = Self {
            engine,
            image: image.to_owned(),
            spec: spec.clone(),
            brokers,
            boot: Duration::ZERO,
            backing,
            session,
            compose,
            shells: tokio::sync::Mutex::default(),
            _subnet: subnet,
        };
        if let Err(reason) = cluster.brokers_ready().await {
            return Err(cluster.boot_failure(&reason).await);
        }
        cluster.boot = started.elapsed();
        cluster.compose = cluster.compose.into_ready();
        Ok(cluster)
    }

    /// Waits for readiness, and gives up at once when a broker's process ends.
    async fn brokers_ready(&self) -> Result<(), NotReached> {
        let harness = self.harness();
        let died = async {
            loop {
                for broker in &self.brokers {
                    if let Ok(state) = self.engine.state(&broker.container).await
                        && !state.running
                    {
                        return NotReached {
                            waited: Duration::ZERO,
                            seen: format!("broker {} ended with exit code {}", broker.id, state.exit_code),
                            silent: vec![broker.id],
                        };
                    }
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            ready = readiness::ready(&harness, READY_LIMIT) => ready,
            reason = died => Err(reason),
        }
    }

    async fn boot_failure(&self, reason: &NotReached) -> anyhow::Error {
        let mut text = format!("the cluster did not become ready {reason}");
        for broker in &self.brokers {
            if reason.silent.is_empty() || reason.silent.contains(&broker.id) {
                let log = self.engine.log_tail(&broker.container, LOG_LINES_SEARCHED).await;
                text.push_str(&format!("\n\nfrom the log of broker {}:\n{}", broker.id, telling(&log)));
            }
        }
        EnvironmentProblem::new(text, "look for the first ERROR above; an option under `broker_config`, too little memory or a full disk are the usual causes; where the brokers say that they started, their addresses do not route from here (Docker Desktop): run lossproof inside its Linux").into()
    }
}

/// Of a log the first error with what follows it, such as where it came from, and the end: a broker that gives up says
/// why, and then a great deal more.
fn telling(log: &str) -> String {
    let lines: Vec<&str> = log.trim_end().lines().collect();
    let end = lines.len().saturating_sub(LOG_LINES);
    let is_error = |line: &&str| line.contains(" ERROR ") || line.contains(" FATAL ");
    let Some(first) = lines[..end].iter().position(is_error) else { return lines[end..].join("\n") };
    let after = end.min(first + LOG_LINES);
    let gap = if after < end { "…" } else { "" };
    let parts = [&lines[first..after], &[gap], &lines[end..]];
    parts.concat().into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The definition, and a second file for the experiment's broker options, in the session's folder.
///
/// # Errors
/// When they can't be written.
pub fn compose_files(session: &Session, spec: &ClusterSpec) -> Result<Vec<PathBuf>> {
    let folder = session.folder()?;
    let mut files = vec![folder.join("three-brokers.yaml")];
    std::fs::write(&files[0], THREE_BROKERS)?;
    if !spec.broker_config.is_empty() {
        let file = folder.join("broker-config.yaml");
        std::fs::write(&file, overrides(&spec.broker_config)?)?;
        files.push(file);
    }
    Ok(files)
}

/// What brokers with an authorizer need on top. Until it has read its rules, which lie in the metadata log, it lets nobody
/// but super users do anything; and to have a metadata log the controllers must vote. So they get a name, which takes
/// SASL, and be it with a password that everybody may know. All others stay `User:ANONYMOUS`, whom rules are for.
const NAMED_CONTROLLERS: &[(&str, &str)] = &[
    ("listener.security.protocol.map", "CLIENT:PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,REPL:PLAINTEXT,HARNESS:PLAINTEXT"),
    ("sasl.mechanism.controller.protocol", "PLAIN"),
    ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
    (
        "listener.name.controller.plain.sasl.jaas.config",
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"controller\" \
         password=\"controller\" user_controller=\"controller\";",
    ),
    ("super.users", "User:controller"),
];

/// A compose file that sets broker options in the image's own way: `a.b-c_d` as KAFKA_A_B___C__D.
fn overrides(options: &[(String, String)]) -> Result<String> {
    let authorizer = options.iter().any(|(name, value)| name == "authorizer.class.name" && !value.is_empty());
    let named = if authorizer { NAMED_CONTROLLERS } else { &[] };
    let own = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // What the experiment says comes last, and holds.
    let environment: serde_json::Map<String, serde_json::Value> = named
        .iter()
        .copied()
        .chain(own)
        .map(|(name, value)| {
            let name = name.replace('_', "__").replace('-', "___").replace('.', "_");
            (format!("KAFKA_{}", name.to_uppercase()), value.into())
        })
        .collect();
    let services: serde_json::Map<String, serde_json::Value> = BROKER_IDS
        .iter()
        .map(|id| (format!("kafka-{id}"), serde_json::json!({ "environment": environment })))
        .collect();
    // JSON is YAML.
    Ok(serde_json::to_string_pretty(&serde_json::json!({ "services": services }))?)
}

/// What the definition wants filled in.
#[must_use]
pub fn environment(session: &Session, subnet: &Subnet, image: &str) -> HashMap<String, String> {
    // Kafka takes any 16 bytes in base64 for a cluster id; hex digits are base64 digits too.
    let random: u64 = rand::rng().random();
    let cluster_id = format!("lossproof{:013x}", random >> 12);
    let values = [
        ("LOSSPROOF_RUN", session.id.clone()),
        ("LOSSPROOF_PROJECT", session.project()),
        ("LOSSPROOF_SUBNET", subnet.prefix.clone()),
        ("LOSSPROOF_CLUSTER_ID", cluster_id),
        ("LOSSPROOF_SIDECAR_IMAGE", SIDECAR_IMAGE.to_owned()),
        ("KAFKA_IMAGE", image.to_owned()),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::{LOG_LINES, overrides, telling};

    #[test]
    fn the_first_error_is_told_with_the_end_of_the_log() {
        let line = |n: usize| match n {
            100 => "[date] ERROR the reason (kafka.Kafka$)".to_owned(),
            101 => "\tat kafka.server".to_owned(),
            102.. => format!("[date] INFO stopping {n}"),
            _ => format!("[date] INFO starting {n}"),
        };
        let log: Vec<String> = (0..300).map(line).collect();
        let told = telling(&log.join("\n"));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..2], [log[100].as_str(), log[101].as_str()]);
        assert_eq!((lines[LOG_LINES], lines.last().copied()), ("…", log.last().map(String::as_str)));
        assert_eq!(lines.len(), 2 * LOG_LINES + 1);
        assert_eq!(telling(&log[..50].join("\n")).lines().count(), LOG_LINES, "without an error, the end");
        assert_eq!(telling(&log[95..105].join("\n")).lines().count(), 10, "each line once");
        assert_eq!(telling(""), "");
    }

    #[test]
    fn controllers_have_a_name_where_there_is_an_authorizer() {
        let options = [("authorizer.class.name".to_owned(), "Some".to_owned())];
        let text = overrides(&options).unwrap();
        assert!(text.contains("CONTROLLER:SASL_PLAINTEXT") && text.contains(r#"username=\"controller\""#), "{text}");
        assert!(!overrides(&[("a".to_owned(), "b".to_owned())]).unwrap().contains("SASL"));
    }

    #[test]
    fn broker_options_reach_every_broker_in_the_image_s_spelling() {
        let options =
            [("replica.lag.time.max.ms".to_owned(), "10000".to_owned()), ("a_b-c".to_owned(), "x".to_owned())];
        let text = overrides(&options).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        for broker in ["kafka-1", "kafka-2", "kafka-3"] {
            let environment = &file["services"][broker]["environment"];
            assert_eq!(environment["KAFKA_REPLICA_LAG_TIME_MAX_MS"], "10000");
            assert_eq!(environment["KAFKA_A__B___C"], "x");
        }
    }
}
