//! A run's directory: everything that its verdict is computed from, and what a person may want to look at.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::{Map, json};

use crate::cluster::Cluster;
use crate::cluster::disks::Backing;
use crate::cluster::engine::Engine;
use crate::experiment::Experiment;

/// `runs/<time>-<name>/`.
#[derive(Debug)]
pub struct RunDir {
    /// Its last component.
    pub id: String,
    /// Absolute path.
    pub path: PathBuf,
    /// Number that the run's payloads carry.
    pub number: u64,
    started_unix_s: i64,
}

impl RunDir {
    /// Makes the directory with the experiment as resolved.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(runs: &Path, experiment: &Experiment) -> Result<Self> {
        let now = jiff::Zoned::now();
        fs::create_dir_all(runs).with_context(|| format!("can't make {}", runs.display()))?;
        let runs = runs.canonicalize()?;
        let base = format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), experiment.name);
        let (id, path) = (0..100)
            .map(|n| if n == 0 { base.clone() } else { format!("{base}-{n}") })
            .map(|id| (runs.join(&id), id))
            // Two lossproofs may start the same experiment in the same second.
            .find_map(|(path, id)| fs::create_dir(&path).ok().map(|()| (id, path)))
            .with_context(|| format!("can't make a directory like {} in {}", base, runs.display()))?;
        for folder in ["journal", "clients", "brokers"] {
            fs::create_dir(path.join(folder)).with_context(|| format!("can't write into {}", path.display()))?;
        }
        fs::write(path.join("experiment.yaml"), &experiment.resolved)
            .with_context(|| format!("can't write into {}", path.display()))?;
        Ok(Self { id, path, number: rand::rng().random(), started_unix_s: now.timestamp().as_second() })
    }

    /// Writes what the run runs on. Once more at its end: an upgrade leaves the brokers with other images.
    ///
    /// # Errors
    /// When the engine does not answer, or the file can't be written.
    pub async fn write_environment(&self, engine: &Engine, cluster: &Cluster) -> Result<()> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut brokers = Map::new();
        for broker in &cluster.brokers {
            let image = engine.image_of(&broker.container).await?;
            brokers.insert(broker.id.to_string(), json!({ "image": image.name, "image_id": image.id }));
        }
        let environment = json!({
            "lossproof": env!("CARGO_PKG_VERSION"),
            "kafka_image": cluster.image,
            "brokers": brokers,
            "engine": engine.version().await?,
            "kernel": kernel.trim(),
            "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "disks": match cluster.backing { Backing::Loop => "ext4 on loop devices", Backing::Tmpfs => "tmpfs" },
            "librdkafka": rdkafka::util::get_rdkafka_version().1,
        });
        fs::write(self.path.join("environment.json"), serde_json::to_vec_pretty(&environment)?)
            .context("can't write environment.json")
    }

    /// Saves what each broker wrote during the run; of a profile that was alone, in a folder of its own. A log that can't
    /// be had is told in its place.
    pub async fn save_broker_logs(&self, cluster: &Cluster, alone: Option<&str>) {
        let folder = self.path.join("brokers").join(alone.unwrap_or_default());
        if let Err(error) = fs::create_dir_all(&folder) {
            tracing::warn!("{} can't be made: {error}", folder.display());
        }
        for broker in &cluster.brokers {
            let log = cluster.log_since(broker, self.started_unix_s).await;
            let text = log.unwrap_or_else(|error| format!("(this log can't be had: {error:#})\n"));
            if let Err(error) = fs::write(folder.join(format!("kafka-{}.log", broker.id)), text) {
                tracing::warn!("the log of broker {} can't be stored: {error}", broker.id);
            }
        }
    }
}
