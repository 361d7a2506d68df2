//! The Docker engine, through its API only: what lossproof asks of it, in lossproof's words.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use testcontainers::bollard;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerStateStatusEnum, ExecConfig};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};

use crate::exit::EnvironmentProblem;

/// Label that everything of a session carries; its value is the session's id.
pub const LABEL: &str = "lossproof";

/// A connection to the engine.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
}

/// A container as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// Whether its process runs, or is frozen.
    pub running: bool,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// Host process id, 0 when it does not run.
    pub pid: i64,
    /// Exit code of the last process.
    pub exit_code: i64,
    /// When its process was started last, RFC 3339.
    pub started_at: String,
}

/// The image that a container was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOf {
    /// As it was named when the container was made.
    pub name: String,
    /// Its id: the digest of what is in it.
    pub id: String,
}

/// What a command in a container did.
#[derive(Debug, Clone)]
pub struct ExecOutput {
    /// Exit code.
    pub code: i64,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl ExecOutput {
    /// Standard output of a command that succeeded.
    ///
    /// # Errors
    /// The command's standard error when it did not.
    pub fn success(self) -> Result<String> {
        if self.code == 0 {
            Ok(self.stdout)
        } else {
            bail!("exit code {}: {}", self.code, self.stderr.trim());
        }
    }
}

impl Engine {
    /// Connects to the engine that the docker command line would use, and agrees on an API version.
    ///
    /// # Errors
    /// An `EnvironmentProblem` when no engine answers.
    pub async fn connect() -> Result<Self> {
        let problem = |error: bollard::errors::Error| {
            EnvironmentProblem::new(
                format!("no Docker engine answers: {error}"),
                "start one, or let `compose/setup.sh` (or `make setup`) find or install what is missing",
            )
        };
        let docker = Docker::connect_with_defaults().map_err(problem)?;
        let docker = docker.negotiate_version().await.map_err(problem)?;
        Ok(Self { docker })
    }

    /// The API client, for calls that only one place makes.
    #[must_use]
    pub fn api(&self) -> &Docker {
        &self.docker
    }

    /// The engine's version.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn version(&self) -> Result<String> {
        Ok(self.docker.version().await?.version.unwrap_or_default())
    }

    /// Whether an image is there.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool> {
        match self.docker.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that an image is there, which is had together with brokers of `kafka_image`.
    ///
    /// # Errors
    /// An `EnvironmentProblem` with how to get it, when it is not; or when the engine does not answer.
    pub async fn require_image(&self, image: &str, kafka_image: &str) -> Result<()> {
        if self.has_image(image).await? {
            return Ok(());
        }
        let hint = format!("run `KAFKA_IMAGE={kafka_image} compose/setup.sh`, which pulls or builds it");
        Err(EnvironmentProblem::new(format!("there is no image {image}"), hint).into())
    }

    /// The id of an image.
    ///
    /// # Errors
    /// When there is no such image, or the engine does not answer.
    pub async fn image_id(&self, image: &str) -> Result<String> {
        let inspected = self.docker.inspect_image(image).await.with_context(|| format!("image {image}"))?;
        inspected.id.context("the engine gave an image without an id")
    }

    /// The image that a container was made of.
    ///
    /// # Errors
    /// When there is no such container, or the engine does not answer.
    pub async fn image_of(&self, container: &str) -> Result<ImageOf> {
        let inspected = self.docker.inspect_container(container, None::<InspectContainerOptions>).await?;
        let id = inspected.image.context("the engine gave a container without an image")?;
        let name = inspected.config.and_then(|config| config.image).unwrap_or_else(|| id.clone());
        Ok(ImageOf { name, id })
    }

    /// The name of a container, by which another one can take its place.
    ///
    /// # Errors
    /// When there is no such container, or the engine does not answer.
    pub async fn name_of(&self, container: &str) -> Result<String> {
        let inspected = self.docker.inspect_container(container, None::<InspectContainerOptions>).await?;
        let name = inspected.name.context("the engine gave a container without a name")?;
        Ok(name.trim_start_matches('/').to_owned())
    }

    /// The state of a container.
    ///
    /// # Errors
    /// When there is no such container, or the engine does not answer.
    pub async fn state(&self, container: &str) -> Result<ContainerState> {
        let inspected = self.docker.inspect_container(container, None::<InspectContainerOptions>).await?;
        let state = inspected.state.context("the engine gave a container without a state")?;
        Ok(ContainerState {
            running: state.running.unwrap_or(false) && state.status != Some(ContainerStateStatusEnum::EXITED),
            paused: state.paused.unwrap_or(false),
            pid: state.pid.unwrap_or(0),
            exit_code: state.exit_code.unwrap_or(0),
            started_at: state.started_at.unwrap_or_default(),
        })
    }

    /// Waits until a container's process has ended.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn ended(&self, container: &str, limit: Duration) -> Result<ContainerState> {
        let poll = async {
            loop {
                let state = self.state(container).await?;
                if !state.running {
                    return Ok(state);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, poll)
            .await
            .with_context(|| format!("container {container} still runs after {limit:?}"))?
    }

    /// Sends a signal to a container's process. False when there was no process to send it to.
    ///
    /// # Errors
    /// When the engine refuses for another reason.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<bool> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        granted(self.docker.kill_container(container, Some(options)).await)
    }

    /// Freezes a container's processes. False when there was none to freeze.
    ///
    /// # Errors
    /// When the engine refuses for another reason.
    pub async fn pause(&self, container: &str) -> Result<bool> {
        granted(self.docker.pause_container(container).await)
    }

    /// Thaws a container's processes. False when they were not frozen.
    ///
    /// # Errors
    /// When the engine refuses for another reason.
    pub async fn unpause(&self, container: &str) -> Result<bool> {
        granted(self.docker.unpause_container(container).await)
    }

    /// Stops a container by SIGTERM, and by SIGKILL after `grace`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self, container: &str, grace: Duration) -> Result<()> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        Ok(self.docker.stop_container(container, Some(options)).await?)
    }

    /// Starts a stopped container; one that runs is left alone.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn start(&self, container: &str) -> Result<()> {
        Ok(self.docker.start_container(container, None::<StartContainerOptions>).await?)
    }

    /// Runs a command in a running container to its end.
    ///
    /// # Errors
    /// When the container does not run, or the engine does not answer.
    pub async fn exec(&self, container: &str, user: Option<&str>, command: &[&str]) -> Result<ExecOutput> {
        let exec = self
            .docker
            .create_exec(
                container,
                ExecConfig {
                    attach_stdout: Some(true),
                    attach_stderr: Some(true),
                    user: user.map(str::to_owned),
                    cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
                    ..ExecConfig::default()
                },
            )
            .await?;
        let mut result = ExecOutput { code: 0, stdout: String::new(), stderr: String::new() };
        let started = self.docker.start_exec(&exec.id, None::<StartExecOptions>).await?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(chunk) = output.next().await {
                match chunk? {
                    LogOutput::StdErr { message } => result.stderr.push_str(&String::from_utf8_lossy(&message)),
                    other => result.stdout.push_str(&String::from_utf8_lossy(&other.into_bytes())),
                }
            }
        }
        let inspected = self.docker.inspect_exec(&exec.id).await?;
        result.code = inspected.exit_code.context("the engine gave no exit code of an ended exec")?;
        Ok(result)
    }

    /// Free bytes of the file system of a folder in a running container.
    ///
    /// # Errors
    /// When the container does not run, or has no such folder.
    pub async fn free_bytes(&self, container: &str, folder: &str) -> Result<u64> {
        // POSIX output, in units of 1024 bytes: busybox and coreutils agree on it.
        let table = self.exec(container, None, &["df", "-Pk", folder]).await?.success()?;
        let free = table.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
        let kib: u64 = free.with_context(|| format!("df said {table}"))?.parse()?;
        Ok(kib * 1024)
    }

    /// The last lines that a container wrote; a sentence about the trouble when they can't be had.
    pub async fn log_tail(&self, container: &str, lines: usize) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        self.log(container, options)
            .await
            .unwrap_or_else(|error| format!("(the log of {container} can't be read: {error})"))
    }

    /// All that a container wrote.
    ///
    /// # Errors
    /// When the engine does not give it.
    pub async fn full_log(&self, container: &str) -> Result<String> {
        self.log(container, LogsOptionsBuilder::new().stdout(true).stderr(true).build()).await
    }

    /// What a container wrote since a moment, in seconds of Unix time.
    ///
    /// # Errors
    /// When the engine does not give it.
    pub async fn log_since(&self, container: &str, unix_s: i64) -> Result<String> {
        let since = i32::try_from(unix_s).context("a time beyond 2038")?;
        self.log(container, LogsOptionsBuilder::new().stdout(true).stderr(true).since(since).build()).await
    }

    async fn log(&self, container: &str, options: bollard::query_parameters::LogsOptions) -> Result<String> {
        let mut stream = self.docker.logs(container, Some(options));
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk?.into_bytes()));
        }
        Ok(text)
    }
}

/// Whether what was asked for fitted the container's state. Engines answer 409 when it did not, and older ones
/// 500 to what is about pausing.
fn granted(answer: Result<(), bollard::errors::Error>) -> Result<bool> {
    use bollard::errors::Error::DockerResponseServerError;
    match answer {
        Ok(()) => Ok(true),
        Err(DockerResponseServerError { status_code: 409, .. }) => Ok(false),
        Err(DockerResponseServerError { status_code: 500, message })
            if message.contains("is not running") || message.contains("not paused") =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The label map of a session.
#[must_use]
pub fn labels(session: &str) -> HashMap<String, String> {
    HashMap::from([(LABEL.to_owned(), session.to_owned())])
}
