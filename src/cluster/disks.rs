//! The brokers' data volumes: real file systems of limited size, never the host's own disk.
//!
//! A helper container makes one image file for each broker on a labelled volume, an ext4 in it, and a
//! loop device on it; a second volume mounts that device into the broker, and nowhere else. The kernel
//! frees the device when the last that has it open is gone: the mount, and a process in the helper that
//! bridges the times without a mount. So none outlives the containers, however they end, and whatever
//! their paths are called by then. Where the engine gives no loop devices, the volumes are size-limited
//! tmpfs, which the helper keeps mounted so that their content survives a broker's restart.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testcontainers::bollard;

use bollard::errors::Error::DockerResponseServerError;
use bollard::models::{ContainerCreateBody, DeviceMapping, HostConfig, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions};

use super::engine::{Engine, labels};
use super::session::project_of;

/// Image that has tc, mke2fs and losetup.
pub const SIDECAR_IMAGE: &str = "lossproof/sidecar:1";
/// How long a helper of the same name may take to go.
const OLD_HELPER_LIMIT: Duration = Duration::from_secs(15);
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// How the volumes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// ext4 on a loop device.
    Loop,
    /// tmpfs with a size.
    Tmpfs,
}

/// Name of the helper container of a session.
#[must_use]
pub fn helper_name(session: &str) -> String {
    format!("{}-disks", project_of(session))
}

/// Name of the volume that holds the image files, and of its mount point in the helper.
#[must_use]
pub fn images_volume(session: &str) -> String {
    format!("{}-images", project_of(session))
}

/// Name of a broker's data volume.
#[must_use]
pub fn data_volume(session: &str, broker: i32) -> String {
    format!("{}-data-{broker}", project_of(session))
}

/// Makes the data volumes of all brokers, each of `bytes`.
///
/// # Errors
/// When neither loop devices nor tmpfs volumes can be had.
pub async fn create(engine: &Engine, session: &str, brokers: &[i32], bytes: u64) -> Result<Backing> {
    match create_on_loop(engine, session, brokers, bytes).await {
        Ok(()) => Ok(Backing::Loop),
        Err(error) => {
            tracing::warn!("no loop devices, so the disks are tmpfs: {error:#}");
            let remove = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            engine.api().remove_container(&helper_name(session), Some(remove)).await.ok();
            for &broker in brokers {
                engine.api().remove_volume(&data_volume(session, broker), None::<RemoveVolumeOptions>).await.ok();
            }
            create_on_tmpfs(engine, session, brokers, bytes).await?;
            Ok(Backing::Tmpfs)
        }
    }
}

async fn create_on_loop(engine: &Engine, session: &str, brokers: &[i32], bytes: u64) -> Result<()> {
    volume(engine, session, &images_volume(session), &[]).await?;
    start_helper(engine, session, &[]).await?;
    let folder = format!("/{}", images_volume(session));
    let script = format!(
        r#"set -eu
make() {{
  image={folder}/broker-$1.img
  truncate -s {bytes} "$image"
  mke2fs -q -t ext4 -m 0 -E root_owner=1000:1000 "$image"
  # Between asking for a free device and taking it, somebody else may have been quicker.
  for attempt in $(seq 20); do
    device=$(losetup -f)
    [ -b "$device" ] || mknod "$device" b 7 "${{device#/dev/loop}}" 2>/dev/null || true
    if losetup "$device" "$image" 2>/tmp/error-$1; then
      exec 3<"$device"
      sleep infinity >/dev/null 2>&1 &
      # Of a device in use, this is the order to free it at the last close.
      losetup -d "$device"
      exec 3<&-
      echo "$1 $device"; return
    fi
  done
  cat /tmp/error-$1 >&2; return 1
}}
for broker in {ids}; do make $broker; done"#,
        ids = brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    );
    let made = engine
        .exec(&helper_name(session), None, &["sh", "-c", &script])
        .await?
        .success()
        .context("the image files and loop devices could not be made")?;
    let devices: HashMap<i32, &str> = made
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(broker, device)| Some((broker.parse().ok()?, device)))
        .collect();
    for broker in brokers {
        let Some(&device) = devices.get(broker) else {
            bail!("no loop device was made for broker {broker}: {made}");
        };
        volume(engine, session, &data_volume(session, *broker), &[("type", "ext4"), ("device", device)]).await?;
    }
    Ok(())
}

async fn create_on_tmpfs(engine: &Engine, session: &str, brokers: &[i32], bytes: u64) -> Result<()> {
    let options = format!("size={bytes},uid=1000,gid=1000");
    let mut binds = Vec::new();
    for &broker in brokers {
        let name = data_volume(session, broker);
        volume(engine, session, &name, &[("type", "tmpfs"), ("device", "tmpfs"), ("o", &options)]).await?;
        binds.push(format!("{name}:/data-{broker}"));
    }
    start_helper(engine, session, &binds).await
}

async fn volume(engine: &Engine, session: &str, name: &str, options: &[(&str, &str)]) -> Result<()> {
    let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    engine
        .api()
        .create_volume(VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some("local".to_owned()),
            driver_opts: Some(options),
            labels: Some(labels(session)),
            ..VolumeCreateRequest::default()
        })
        .await
        .with_context(|| format!("volume {name}"))?;
    Ok(())
}

/// Starts the helper of a session, with the volume of image files where there are no `binds`.
///
/// # Errors
/// When the engine refuses its capabilities or devices.
async fn start_helper(engine: &Engine, session: &str, binds: &[String]) -> Result<()> {
    let mut host = HostConfig {
        init: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        network_mode: Some("none".to_owned()),
        binds: Some(binds.to_vec()),
        ..HostConfig::default()
    };
    if binds.is_empty() {
        let images = images_volume(session);
        host.binds = Some(vec![format!("{images}:/{images}")]);
        host.cap_add = Some(vec!["SYS_ADMIN".to_owned(), "MKNOD".to_owned()]);
        host.devices = Some(vec![DeviceMapping {
            path_on_host: Some("/dev/loop-control".to_owned()),
            path_in_container: Some("/dev/loop-control".to_owned()),
            cgroup_permissions: Some("rwm".to_owned()),
        }]);
        // Block devices of major 7 are the loop devices.
        host.device_cgroup_rules = Some(vec!["b 7:* rwm".to_owned()]);
    }
    run_helper(engine, session, &helper_name(session), host).await
}

/// Runs a labelled container of the sidecar image that waits for `exec`. One of that name is what an interrupted
/// call left, or the engine is still making for it, and gives way.
///
/// # Errors
/// When the engine refuses.
pub async fn run_helper(engine: &Engine, session: &str, name: &str, host: HostConfig) -> Result<()> {
    run_container(engine, session, name, SIDECAR_IMAGE, host).await
}

/// The same of any image that has a `sleep`.
///
/// # Errors
/// When the engine refuses.
pub async fn run_container(engine: &Engine, session: &str, name: &str, image: &str, host: HostConfig) -> Result<()> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["sleep".to_owned()]),
        cmd: Some(vec!["infinity".to_owned()]),
        labels: Some(labels(session)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let until = Instant::now() + OLD_HELPER_LIMIT;
    loop {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match engine.api().create_container(Some(options), body.clone()).await {
            Err(DockerResponseServerError { status_code: 409, .. }) if Instant::now() < until => {
                // Refused until it is made, and while it is being removed.
                let remove = RemoveContainerOptionsBuilder::new().force(true).build();
                engine.api().remove_container(name, Some(remove)).await.ok();
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            created => {
                created?;
                return engine.start(name).await;
            }
        }
    }
}
