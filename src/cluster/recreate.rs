//! A broker's container made anew from another image, as a rolling upgrade does it: the name, the labels, the
//! network namespace, the volumes and the environment that it was given stay; what came from the old image goes.
//!
//! The old container is not removed but set aside under another name, with the same labels: its log is evidence,
//! and it is the way back when no new one could be made. It goes when the session goes.

use std::collections::HashMap;

use anyhow::{Context, Result};
use testcontainers::bollard;

use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig, ImageConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, RenameContainerOptionsBuilder,
};

use super::engine::Engine;

/// Digits of a container's id that are enough to tell it from others.
const SHORT_ID: usize = 12;

/// Sets a stopped container aside and makes another one in its place from `image`. It is not started.
///
/// # Errors
/// When the engine refuses; the old container then has its name again, unless the engine refuses that too.
pub async fn recreate(engine: &Engine, container: &str, image: &str) -> Result<()> {
    let old = engine.api().inspect_container(container, None::<InspectContainerOptions>).await?;
    let id = old.id.context("the engine gave a container without an id")?;
    let old_image = old.image.context("the engine gave a container without an image")?;
    let old_image = engine.api().inspect_image(&old_image).await.context("the image that the container was made of")?;
    let given = given(old.config.unwrap_or_default(), old_image.config.unwrap_or_default());
    let host = old.host_config.context("the engine gave a container without a host configuration")?;
    rename(engine, container, &aside(container, &id)).await?;
    if let Err(error) = create(engine, container, image, given, host).await {
        restore(engine, container).await?;
        return Err(error).with_context(|| format!("a container from {image}"));
    }
    Ok(())
}

/// Gives the container that was set aside last its name back, if nobody has that name now.
///
/// # Errors
/// When the engine refuses, or there is no such container.
pub async fn restore(engine: &Engine, container: &str) -> Result<()> {
    if engine.api().inspect_container(container, None::<InspectContainerOptions>).await.is_ok() {
        return Ok(());
    }
    let earlier = earlier(engine, container).await?;
    let last = earlier.last().with_context(|| format!("there is no container {container} any more"))?;
    rename(engine, last, container).await
}

/// Names of the containers that had this one's place before it, the first one first.
///
/// # Errors
/// When the engine does not answer.
pub async fn earlier(engine: &Engine, container: &str) -> Result<Vec<String>> {
    // The engine finds names that contain this one.
    let filter = HashMap::from([("name", vec![container.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let mut found: Vec<(i64, String)> = engine
        .api()
        .list_containers(Some(options))
        .await?
        .into_iter()
        .filter_map(|summary| {
            let id = summary.id?;
            let name = aside(container, &id);
            let is_it = summary.names?.iter().any(|candidate| candidate.trim_start_matches('/') == name);
            is_it.then_some((summary.created.unwrap_or_default(), name))
        })
        .collect();
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

fn aside(container: &str, id: &str) -> String {
    format!("{container}-{}", id.get(..SHORT_ID).unwrap_or(id))
}

async fn rename(engine: &Engine, container: &str, to: &str) -> Result<()> {
    let options = RenameContainerOptionsBuilder::new().name(to).build();
    engine
        .api()
        .rename_container(container, options)
        .await
        .with_context(|| format!("container {container} can't be renamed to {to}"))
}

async fn create(
    engine: &Engine,
    container: &str,
    image: &str,
    given: ContainerCreateBody,
    host: HostConfig,
) -> Result<()> {
    let options = CreateContainerOptionsBuilder::new().name(container).build();
    let body = ContainerCreateBody { image: Some(image.to_owned()), host_config: Some(host), ..given };
    engine.api().create_container(Some(options), body).await?;
    Ok(())
}

/// What of a container's configuration was given to it, and did not come from its image. The host's name is the
/// namespace's, and not the container's to set.
fn given(container: ContainerConfig, image: ImageConfig) -> ContainerCreateBody {
    let of_image = image.env.unwrap_or_default();
    let env = container.env.map(|env| env.into_iter().filter(|entry| !of_image.contains(entry)).collect());
    let of_image = image.labels.unwrap_or_default();
    let labels = container.labels.map(|labels| {
        labels.into_iter().filter(|(name, value)| of_image.get(name) != Some(value)).collect::<HashMap<_, _>>()
    });
    ContainerCreateBody {
        env,
        labels,
        cmd: container.cmd.filter(|cmd| image.cmd.as_ref() != Some(cmd)),
        entrypoint: container.entrypoint.filter(|entrypoint| image.entrypoint.as_ref() != Some(entrypoint)),
        user: container.user.filter(|user| image.user.as_ref() != Some(user)),
        stop_timeout: container.stop_timeout,
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use testcontainers::bollard::models::{ContainerConfig, ImageConfig};

    use super::{aside, given};

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn what_the_old_image_said_is_not_said_to_the_new_one() {
        let labels = |names: &[&str]| Some(names.iter().map(|&name| (name.to_owned(), "x".to_owned())).collect());
        let image = ImageConfig {
            env: words(&["PATH=/bin", "HOME=/old"]),
            labels: labels(&["maintainer"]),
            cmd: words(&["run"]),
            user: Some("appuser".to_owned()),
            ..ImageConfig::default()
        };
        let container = ContainerConfig {
            hostname: Some("holder".to_owned()),
            env: words(&["KAFKA_NODE_ID=1", "HOME=/own", "PATH=/bin"]),
            labels: labels(&["maintainer", "lossproof"]),
            cmd: words(&["run"]),
            entrypoint: words(&["sh"]),
            user: Some("appuser".to_owned()),
            stop_timeout: Some(300),
            image: Some("old".to_owned()),
            ..ContainerConfig::default()
        };
        let body = given(container, image);
        assert_eq!(body.env, words(&["KAFKA_NODE_ID=1", "HOME=/own"]));
        assert_eq!(body.labels, Some(HashMap::from([("lossproof".to_owned(), "x".to_owned())])));
        assert_eq!((body.cmd, body.entrypoint, body.user), (None, words(&["sh"]), None));
        assert_eq!((body.hostname, body.stop_timeout), (None, Some(300)));
    }

    #[test]
    fn a_container_is_set_aside_under_a_name_of_its_own() {
        assert_eq!(aside("p-kafka-1-1", "0123456789abcdef"), "p-kafka-1-1-0123456789ab");
    }
}
