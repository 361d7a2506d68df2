//! A hand on a broker's data volume while the broker may be down.

use anyhow::Result;
use testcontainers::bollard;

use bollard::models::HostConfig;
use bollard::query_parameters::RemoveContainerOptionsBuilder;

use crate::cluster::Cluster;
use crate::cluster::disks::{data_volume, run_helper};

/// Runs a script in a short-lived container that mounts a broker's volume at `/data`, and gives what it
/// printed.
pub(super) async fn on_volume(cluster: &Cluster, broker: i32, script: &str) -> Result<String> {
    let session = cluster.session();
    let name = format!("{}-hand", data_volume(session, broker));
    let host = HostConfig {
        init: Some(true),
        network_mode: Some("none".to_owned()),
        binds: Some(vec![format!("{}:/data", data_volume(session, broker))]),
        ..HostConfig::default()
    };
    run_helper(&cluster.engine, session, &name, host).await?;
    let output = cluster.engine.exec(&name, None, &["sh", "-c", script]).await;
    let remove = RemoveContainerOptionsBuilder::new().force(true).build();
    cluster.engine.api().remove_container(&name, Some(remove)).await?;
    output?.success()
}
