//! Removing all that a session made: containers, networks, volumes (and with these its loop devices,
//! see `disks`). By label only, so that nothing else is ever touched. Used at the end of a run and by
//! `clean` alike.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use testcontainers::bollard;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};

use super::disks::{helper_name, images_volume};
use super::engine::{Engine, LABEL};
use super::session::project_of;

/// How often the sweep looks again before it says that something stays.
const PASSES: usize = 20;

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What of a session is still there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Remains {
    /// Names of containers.
    pub containers: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
}

impl Remains {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// How many things.
    #[must_use]
    pub fn len(&self) -> usize {
        self.containers.len() + self.networks.len() + self.volumes.len()
    }
}

/// Ids of all sessions, live or dead, of which the engine holds anything.
///
/// # Errors
/// When the engine does not answer.
pub async fn sessions(engine: &Engine) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut note = |labels: Option<HashMap<String, String>>| {
        if let Some(session) = labels.and_then(|mut labels| labels.remove(LABEL)) {
            found.insert(session);
        }
    };
    for container in containers(engine, LABEL).await? {
        note(container.labels);
    }
    for network in networks(engine, LABEL).await? {
        note(network.labels);
    }
    for volume in volumes(engine, LABEL).await? {
        note(Some(volume.labels));
    }
    Ok(found)
}

/// What of a session is there.
///
/// # Errors
/// When the engine does not answer.
pub async fn remains(engine: &Engine, session: &str) -> Result<Remains> {
    let label = format!("{LABEL}={session}");
    Ok(Remains {
        containers: containers(engine, &label).await?.iter().map(name_of).collect(),
        networks: networks(engine, &label).await?.into_iter().filter_map(|network| network.name).collect(),
        volumes: volumes(engine, &label).await?.into_iter().map(|volume| volume.name).collect(),
    })
}

/// Removes everything of a session, until two looks in a row find nothing. Gives what stays.
///
/// # Errors
/// When the engine does not answer.
pub async fn sweep(engine: &Engine, session: &str) -> Result<Remains> {
    end_compose(session);
    let mut clean_looks = 0;
    let mut left = Remains::default();
    for _ in 0..PASSES {
        left = remains(engine, session).await?;
        if left.is_empty() {
            clean_looks += 1;
            if clean_looks == 2 {
                return Ok(left);
            }
        } else {
            clean_looks = 0;
            remove(engine, session, &left).await;
        }
        // Between two looks: a request that was under way when its sender died may still be served.
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(left)
}

/// One pass, in the order in which things hold each other. What fails is seen by the next look.
async fn remove(engine: &Engine, session: &str, found: &Remains) {
    let helper = helper_name(session);
    let images = images_volume(session);
    let (helpers, others): (Vec<_>, Vec<_>) = found.containers.iter().partition(|name| **name == helper);
    // Brokers before their holders: a holder's death would not stop them, and both at once is quicker.
    join_all(others.into_iter().map(|name| remove_container(engine, name))).await;
    join_all(found.networks.iter().map(|name| async move {
        if let Err(error) = engine.api().remove_network(name).await {
            tracing::debug!("network {name}: {error}");
        }
    }))
    .await;
    let (image_volumes, data): (Vec<_>, Vec<_>) = found.volumes.iter().partition(|name| **name == images);
    join_all(data.into_iter().map(|name| remove_volume(engine, name))).await;
    // With the mounts gone, the helper is the last that holds the loop devices.
    join_all(helpers.into_iter().map(|name| remove_container(engine, name))).await;
    for name in image_volumes {
        remove_volume(engine, name).await;
    }
}

async fn remove_container(engine: &Engine, name: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    if let Err(error) = engine.api().remove_container(name, Some(options)).await {
        tracing::debug!("container {name}: {error}");
    }
}

async fn remove_volume(engine: &Engine, name: &str) {
    if let Err(error) = engine.api().remove_volume(name, None::<RemoveVolumeOptions>).await {
        tracing::debug!("volume {name}: {error}");
    }
}

/// Ends a `docker compose` that outlived its lossproof and would go on making containers.
fn end_compose(session: &str) {
    let project = project_of(session);
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(command) = std::fs::read(process.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let is_ours = words.contains(&b"compose".as_slice()) && words.contains(&project.as_bytes());
        if is_ours && let Some(pid) = Pid::from_raw(pid) {
            tracing::info!("ending a docker compose of {project} that was left over");
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

async fn containers(engine: &Engine, label: &str) -> Result<Vec<ContainerSummary>> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter(label)).build();
    Ok(engine.api().list_containers(Some(options)).await?)
}

async fn networks(engine: &Engine, label: &str) -> Result<Vec<bollard::models::Network>> {
    let options = ListNetworksOptionsBuilder::new().filters(&filter(label)).build();
    Ok(engine.api().list_networks(Some(options)).await?)
}

async fn volumes(engine: &Engine, label: &str) -> Result<Vec<bollard::models::Volume>> {
    let options = ListVolumesOptionsBuilder::new().filters(&filter(label)).build();
    Ok(engine.api().list_volumes(Some(options)).await?.volumes.unwrap_or_default())
}

fn filter(label: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", vec![label.to_owned()])])
}

fn name_of(container: &ContainerSummary) -> String {
    let name = container.names.as_ref().and_then(|names| names.first());
    match name {
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => container.id.clone().unwrap_or_default(),
    }
}
