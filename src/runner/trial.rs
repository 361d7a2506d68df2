//! What only a container can tell of a machine: it is started, asked, and removed again.

use anyhow::{Context, Result};
use semver::Version;
use testcontainers::bollard::models::HostConfig;

use super::capability::Answer;
use super::stop::Stop;
use crate::cluster::cgroup;
use crate::cluster::disks::{self, Backing, run_container};
use crate::cluster::engine::Engine;
use crate::cluster::session::{Session, forget, project_of};
use crate::cluster::sweep::{Remains, sweep};
use crate::exit::{EnvironmentProblem, Interrupted};
use crate::fault::net::{Capabilities, probe};

/// Of the file system that is made on trial.
const DISK_BYTES: u64 = 16 << 20;

/// A container on trial.
pub struct Trial<'a> {
    engine: &'a Engine,
    session: &'a str,
    /// Its name.
    pub container: String,
}

/// Where brokers have their jars.
const LIBS: &str = "/opt/kafka/libs";

/// Does some work with a container of an image on trial, and removes it. Gives what could not be removed, too.
///
/// # Errors
/// Those of the work; when no container can be had; or that somebody asked for the end meanwhile.
pub async fn on_trial<T>(
    engine: &Engine,
    stop: &Stop,
    image: &str,
    work: impl AsyncFnOnce(&Trial<'_>) -> Result<T>,
) -> Result<(T, Remains)> {
    let session = Session::begin()?;
    let done = tokio::select! {
        biased;
        signal = stop.asked() => Err(Interrupted(signal.to_owned()).into()),
        done = async { work(&Trial::start(engine, &session.id, image).await?).await } => done,
    };
    let left = sweep(engine, &session.id).await?;
    if left.is_empty() {
        forget(&session.id);
    }
    Ok((done?, left))
}

impl<'a> Trial<'a> {
    async fn start(engine: &'a Engine, session: &'a str, image: &str) -> Result<Self> {
        let container = format!("{}-trial", project_of(session));
        let host = HostConfig {
            init: Some(true),
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            ..HostConfig::default()
        };
        run_container(engine, session, &container, image, host).await?;
        Ok(Self { engine, session, container })
    }

    /// How disks are made here.
    ///
    /// # Errors
    /// When they can't be made at all.
    pub async fn disks(&self) -> Result<Backing> {
        disks::create(self.engine, self.session, &[1], DISK_BYTES).await
    }

    /// Whether a container that runs can be limited in its use of a loop device. This one uses none: nothing is slowed.
    pub async fn disk_limits(&self) -> Answer {
        match cgroup::limit(self.engine, self.session, &self.container, 0, None).await {
            Ok(_) => Answer::There,
            Err(error) => Answer::Missing(format!("{error:#}")),
        }
    }

    /// The version of Kafka in the image, by the names of its jars.
    ///
    /// # Errors
    /// An `EnvironmentProblem` when it has none of Kafka where brokers have theirs.
    pub async fn kafka_version(&self) -> Result<Version> {
        let jars = self.engine.exec(&self.container, None, &["ls", LIBS]).await?.success()?;
        version_among(&jars).ok_or_else(|| {
            let what = format!("the brokers' image does not tell its version: no kafka-clients jar in {LIBS}");
            EnvironmentProblem::new(what, "use an image like the official apache/kafka").into()
        })
    }

    /// What the kernel does to packets.
    ///
    /// # Errors
    /// When it can't be tried.
    pub async fn packets(&self) -> Result<Capabilities> {
        let run = async |line: String| self.engine.exec(&self.container, None, &["bash", "-c", &line]).await?.success();
        probe(run).await.context("what the kernel does to packets")
    }
}

/// The version in `kafka-clients-3.9.2.jar`, one of the names in a listing. What stands behind the three numbers, as in
/// `-SNAPSHOT`, is left out: a range of versions would not hold them.
fn version_among(listing: &str) -> Option<Version> {
    listing.lines().find_map(|name| {
        let version = name.trim().strip_prefix("kafka-clients-")?.strip_suffix(".jar")?;
        let version = Version::parse(version).ok()?;
        Some(Version::new(version.major, version.minor, version.patch))
    })
}

#[cfg(test)]
mod tests {
    use semver::Version;
    use test_case::test_case;

    use super::version_among;

    #[test_case("jackson-core-2.16.2.jar\nkafka-clients-3.9.2.jar\nkafka_2.13-3.9.2.jar\n", Some((3, 9, 2)))]
    #[test_case("kafka-clients-4.4.0-SNAPSHOT.jar", Some((4, 4, 0)); "not released")]
    #[test_case("kafka-clients-4.3.1-test.txt\nkafka-clients-x.jar", None; "no jar of a version")]
    #[test_case("", None; "nothing")]
    fn a_jar_tells_the_version(listing: &str, expected: Option<(u64, u64, u64)>) {
        let expected = expected.map(|(major, minor, patch)| Version::new(major, minor, patch));
        assert_eq!(version_among(listing), expected);
    }
}
