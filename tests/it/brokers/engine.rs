//! The Docker engine as a test sees it: by the command line, not by lossproof's own code.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use super::processes;

/// Two clusters at a time would make every wait on a small machine a gamble; processes share this one too.
const LOCK: &str = "lossproof-tests.lock";
/// Folder of the sessions' own files and locks.
pub const SESSIONS: &str = "/tmp/lossproof";
const SIDECAR_IMAGE: &str = "lossproof/sidecar:1";
const DEFAULT_IMAGE: &str = "apache/kafka:3.9.2";

/// The engine, for one test at a time.
pub struct Engine {
    _lock: File,
}

impl Engine {
    /// Waits until no other test uses the engine, and makes sure that it can be used.
    pub fn exclusive() -> Self {
        let path = std::env::temp_dir().join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| DEFAULT_IMAGE.to_owned());
        for question in [
            &["version", "--format", "{{ .Server.Version }}"][..],
            &["compose", "version"],
            &["image", "inspect", &image],
            &["image", "inspect", SIDECAR_IMAGE],
        ] {
            if let Err(error) = docker(question) {
                panic!("this test needs a Docker engine with lossproof's images; get them by `make setup`. {error}");
            }
        }
        Self { _lock: lock }
    }

    /// Runs `docker` and gives what it printed.
    pub fn docker(&self, args: &[&str]) -> String {
        docker(args).unwrap()
    }

    /// As `docker`, where failure is an answer too.
    pub fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        docker(args)
    }

    /// Everything on this machine that bears the session's id: what the engine holds, loop devices,
    /// processes, files.
    pub fn left_of(&self, session: &str) -> Vec<String> {
        let mut left = Vec::new();
        for (kind, list) in [
            ("container", &["ps", "--all", "--no-trunc", "--format", "{{ .Names }} {{ .Labels }}"][..]),
            ("network", &["network", "ls", "--no-trunc", "--format", "{{ .Name }} {{ .Labels }}"]),
            ("volume", &["volume", "ls", "--format", "{{ .Name }} {{ .Labels }}"]),
        ] {
            let lines = self.docker(list);
            let ours = lines.lines().filter(|line| line.contains(session));
            left.extend(ours.map(|line| format!("{kind} {}", line.split(' ').next().unwrap())));
        }
        for device in entries("/sys/block") {
            let backing = fs::read_to_string(format!("/sys/block/{device}/loop/backing_file")).unwrap_or_default();
            // Once its mount is gone, the path says no longer whose it was. Only one test uses the engine.
            if backing.contains(session) || backing.starts_with("/broker-") {
                left.push(format!("loop device {device}"));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(mounts.lines().filter(|mount| mount.contains(session)).map(|mount| format!("mount {mount}")));
        left.extend(processes::with(session).into_iter().map(|(pid, words)| format!("process {pid}: {words}")));
        left.extend(entries(SESSIONS).into_iter().filter(|name| name.contains(session)).map(|n| format!("file {n}")));
        left
    }

    /// The container of a service of the compose file, such as `kafka-2`, once it was made.
    pub fn container(&self, session: &str, service: &str) -> Option<String> {
        let label = format!("label=lossproof={session}");
        let service = format!("label=com.docker.compose.service={service}");
        let ids = self.docker(&["ps", "--all", "--quiet", "--filter", &label, "--filter", &service]);
        ids.lines().next().map(str::to_owned)
    }
}

fn docker(args: &[&str]) -> Result<String, String> {
    let command = format!("docker {}", args.join(" "));
    let output = Command::new("docker").args(args).output().map_err(|error| format!("{command}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Names in a folder; none where there is no such folder.
pub fn entries(folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
