//! How fast a container's processes may read and write a loop device: limits of its cgroup, which the Docker API can
//! set only when a container is made. A short-lived helper mounts the engine's cgroup hierarchy itself, so that
//! nothing of the host is mounted. The limits go with the cgroup, at the latest when the container ends.

use anyhow::{Context, Result};
use testcontainers::bollard;

use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum};
use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptionsBuilder};

use super::disks::run_helper;
use super::engine::Engine;

/// Sets how many bytes a second a running container may read from and write to loop device `number`, or takes
/// the limit away. Gives what the kernel tells of that device then; nothing where it has no limit.
///
/// # Errors
/// When the engine or the kernel refuses, or the container has no cgroup of its own.
pub async fn limit(
    engine: &Engine,
    session: &str,
    container: &str,
    number: u32,
    bytes_per_second: Option<u64>,
) -> Result<String> {
    let inspected = engine.api().inspect_container(container, None::<InspectContainerOptions>).await?;
    let id = inspected.id.context("the engine gave a container without an id")?;
    let helper = format!("{container}-cgroup");
    let host = HostConfig {
        init: Some(true),
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(vec!["SYS_ADMIN".to_owned()]),
        // Where there is AppArmor, its profile for containers refuses every mount.
        security_opt: Some(vec!["apparmor=unconfined".to_owned()]),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
        ..HostConfig::default()
    };
    run_helper(engine, session, &helper, host).await?;
    let output = engine.exec(&helper, None, &["sh", "-c", &script(&id, number, bytes_per_second)]).await;
    let remove = RemoveContainerOptionsBuilder::new().force(true).build();
    engine.api().remove_container(&helper, Some(remove)).await?;
    Ok(output?.success()?.trim().to_owned())
}

/// Version 1 has a hierarchy for block devices alone, and files for each direction; 0 is no limit.
fn script(id: &str, number: u32, bytes_per_second: Option<u64>) -> String {
    let one = bytes_per_second.unwrap_or(0);
    let two = bytes_per_second.map_or_else(|| "max".to_owned(), |rate| rate.to_string());
    format!(
        r#"set -eu
mkdir /tmp/cgroup
version=1
mount -t cgroup -o blkio none /tmp/cgroup 2>/dev/null || {{ version=2; mount -t cgroup2 none /tmp/cgroup; }}
group=$(find /tmp/cgroup -type d -name '*{id}*' -print -quit)
if [ -z "$group" ]; then echo 'the container has no cgroup for block devices' >&2; exit 1; fi
if [ $version = 1 ]; then
  for direction in read write; do echo '7:{number} {one}' >"$group/blkio.throttle.${{direction}}_bps_device"; done
  grep '^7:{number} ' "$group/blkio.throttle.write_bps_device" || true
else
  echo '7:{number} rbps={two} wbps={two}' >"$group/io.max"
  grep '^7:{number} ' "$group/io.max" || true
fi"#
    )
}
