//! What this machine has of what runs and faults need, found by trying it.

use std::time::Duration;

use anyhow::Result;

use super::capability::Answer;
use super::stop::Stop;
use super::trial::{Trial, on_trial};
use crate::cluster::disks::{Backing, SIDECAR_IMAGE};
use crate::cluster::engine::Engine;
use crate::cluster::session::try_lock;
use crate::cluster::sweep;
use crate::fault::needs::Requirement;
use crate::fault::net::{Capabilities, Need};

/// Three brokers of 640 MiB of heap each, what a JVM takes besides, and the clients.
const MEMORY_BYTES: u64 = 4 << 30;
/// Three disks of 1 GiB, were they all filled, and the journals.
const DISK_BYTES: u64 = 4 << 30;
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Runs are possible, and something is not.
    Lacking,
    /// No run is possible.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What it makes possible.
    pub gives: &'static str,
    /// How to get what is missing.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>, seen: impl Into<String>, gives: &'static str) -> Self {
        Self { what: what.into(), state: State::Good, seen: seen.into(), gives, remedy: None }
    }

    fn bad(
        state: State,
        what: impl Into<String>,
        seen: impl Into<String>,
        gives: &'static str,
        remedy: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), state, seen: seen.into(), gives, remedy: Some(remedy.into()) }
    }
}

/// Looks at everything. What can't be looked at because something before it is missing is left out.
pub async fn examine(kafka_image: &str, stop: &Stop) -> Vec<Finding> {
    let mut findings = Vec::new();
    let engine = match Engine::connect().await {
        Ok(engine) => engine,
        Err(error) => {
            let remedy = "start one, or let `compose/setup.sh` find or install what is missing";
            findings.push(Finding::bad(State::Missing, "Docker engine", format!("{error:#}"), ENGINE, remedy));
            findings.extend([memory()]);
            return findings;
        }
    };
    findings.push(match engine.version().await {
        Ok(version) => Finding::good("Docker engine", version, ENGINE),
        Err(error) => {
            Finding::bad(State::Missing, "Docker engine", format!("{error:#}"), ENGINE, "look at the engine's own log")
        }
    });
    findings.push(compose().await);
    let mut has_sidecar = false;
    for (image, gives) in [(kafka_image, "brokers"), (SIDECAR_IMAGE, "networks and disks of the brokers")] {
        let there = engine.has_image(image).await.unwrap_or(false);
        has_sidecar |= there && image == SIDECAR_IMAGE;
        findings.push(if there {
            Finding::good(format!("image {image}"), "there", gives)
        } else {
            let remedy = format!("`KAFKA_IMAGE={kafka_image} compose/setup.sh` pulls or builds it");
            Finding::bad(State::Missing, format!("image {image}"), "not there", gives, remedy)
        });
    }
    findings.push(memory());
    if has_sidecar {
        match by_trial(&engine, stop).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::bad(
                State::Missing,
                "a container on trial",
                format!("{error:#}"),
                "all that runs in containers",
                "look at the engine's own log",
            )),
        }
    }
    findings.push(dead_sessions(&engine).await);
    findings
}

const ENGINE: &str = "everything but analyze, explain and reconcile";

async fn compose() -> Finding {
    let (what, gives) = ("compose plugin", "starting clusters");
    let asked = tokio::process::Command::new("docker").args(["compose", "version", "--short"]).output();
    match tokio::time::timeout(ANSWER_LIMIT, asked).await {
        Ok(Ok(output)) if output.status.success() => {
            Finding::good(what, String::from_utf8_lossy(&output.stdout).trim(), gives)
        }
        _ => {
            let remedy = "install it (docker-compose-plugin), or let `compose/setup.sh` do it";
            Finding::bad(State::Missing, what, "`docker compose version` does not answer", gives, remedy)
        }
    }
}

fn memory() -> Finding {
    let (what, gives) = ("memory", "three brokers and the clients");
    let Some(bytes) = available_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()) else {
        return Finding::bad(State::Lacking, what, "can't be read", gives, "is /proc mounted?");
    };
    let seen = format!("{:.1} GiB available", bytes as f64 / f64::from(1 << 30));
    if bytes >= MEMORY_BYTES {
        Finding::good(what, seen, gives)
    } else {
        let remedy = format!("end other programs: a run wants {} GiB", MEMORY_BYTES >> 30);
        Finding::bad(State::Lacking, what, seen, gives, remedy)
    }
}

fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// What only a container can tell; it is removed again.
async fn by_trial(engine: &Engine, stop: &Stop) -> Result<Vec<Finding>> {
    let look = async |trial: &Trial<'_>| {
        let mut findings = vec![disk_space(engine, &trial.container).await?, loop_devices(trial.disks().await?)];
        findings.push(slow_disks(trial.disk_limits().await));
        findings.extend(kernel(&trial.packets().await?));
        Ok(findings)
    };
    let (mut findings, left) = on_trial(engine, stop, SIDECAR_IMAGE, look).await?;
    if !left.is_empty() {
        let seen = format!("{} things of this trial stay", left.len());
        let remedy = "`lossproof clean`";
        findings.push(Finding::bad(State::Lacking, "clean-up", seen, "runs that leave nothing behind", remedy));
    }
    Ok(findings)
}

async fn disk_space(engine: &Engine, container: &str) -> Result<Finding> {
    let (what, gives) = ("disk space of the engine", "the brokers' disks");
    let bytes = engine.free_bytes(container, "/").await?;
    let seen = format!("{} GiB free", bytes >> 30);
    Ok(if bytes >= DISK_BYTES {
        Finding::good(what, seen, gives)
    } else {
        let remedy = format!("make room: a run may take {} GiB", DISK_BYTES >> 30);
        Finding::bad(State::Lacking, what, seen, gives, remedy)
    })
}

fn loop_devices(backing: Backing) -> Finding {
    let (what, gives) = ("loop devices", "real disks of limited size; power_loss");
    match backing {
        Backing::Loop => Finding::good(what, "a file system on one was made", gives),
        Backing::Tmpfs => Finding::bad(
            State::Lacking,
            what,
            "none to be had: disks are in memory (tmpfs)",
            gives,
            Requirement::LoopDevices.how(),
        ),
    }
}

fn slow_disks(answer: Answer) -> Finding {
    let (what, gives) = (Requirement::DiskLimits.to_string(), "disk_slow");
    match answer {
        Answer::There => Finding::good(what, "can be set while a container runs", gives),
        Answer::Missing(said) => Finding::bad(State::Lacking, what, said, gives, Requirement::DiskLimits.how()),
    }
}

fn kernel(network: &Capabilities) -> Vec<Finding> {
    let finding = |found: &crate::fault::net::Capability| {
        let what = found.need.to_string();
        let gives = gives(found.need);
        if found.there {
            Finding::good(what, "works", gives)
        } else {
            Finding::bad(State::Lacking, what, found.said.clone(), gives, found.need.how())
        }
    };
    network.all.iter().map(finding).collect()
}

const fn gives(need: Need) -> &'static str {
    match need {
        Need::Htb | Need::Classifier => "all network faults",
        Need::Fifo => "limits of bandwidth",
        Need::Blackhole => "cuts and loss of packets",
        Need::Ingress => "faults on what a broker receives",
        Need::Delay => "latency",
    }
}

async fn dead_sessions(engine: &Engine) -> Finding {
    let (what, gives) = ("remains of dead runs", "free memory, disks and subnets");
    let sessions = sweep::sessions(engine).await.unwrap_or_default();
    let dead: Vec<_> = sessions.into_iter().filter(|id| matches!(try_lock(id), Ok(Some(_)))).collect();
    if dead.is_empty() {
        Finding::good(what, "none", gives)
    } else {
        Finding::bad(State::Lacking, what, dead.join(", "), gives, "`lossproof clean` removes them")
    }
}

#[cfg(test)]
mod tests {
    use super::available_memory;

    #[test]
    fn memory_is_read_from_meminfo() {
        assert_eq!(available_memory("MemTotal:  9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        for odd in ["", "MemAvailable: many kB", "MemAvailable: 2048 MB", "MemTotal: 2048 kB"] {
            assert_eq!(available_memory(odd), None, "{odd}");
        }
    }
}
