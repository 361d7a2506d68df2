//! A client process as the runner holds it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use lossproof_ledger::event::{ClientId, Event, EventKind, Progress, Role};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::spawner;
use super::spec::ClientSpec;
use super::status::{ClientStatus, Line};

/// Why a client process can't be started or told to end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Its files can't be made.
    #[error("cannot write {} for the client {client}", path.display())]
    File {
        /// The client's name.
        client: String,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be started.
    #[error("cannot start the client {client}")]
    Start {
        /// The client's name.
        client: String,
        /// Why.
        source: io::Error,
    },
    /// It takes no command, as it is gone.
    #[error("the client {client} takes no command; see clients/{client}.log")]
    Gone {
        /// The client's name.
        client: String,
        /// Why.
        source: io::Error,
    },
}

/// How a client process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// It was asked to end and did with exit code 0, or was killed by [`ClientProcess::kill`].
    pub expected: bool,
    /// Such as `exit 0` or `signal 9`.
    pub how: String,
}

/// A running client process. Dropped, it is killed.
#[derive(Debug)]
pub struct ClientProcess {
    id: ClientId,
    name: String,
    pid: u32,
    stdin: Mutex<ChildStdin>,
    status: watch::Receiver<ClientStatus>,
    ended: watch::Receiver<Option<Ended>>,
    lines: Arc<AtomicU64>,
    asked: Arc<Asked>,
    signals: UnboundedSender<Signal>,
}

/// What was asked of a client: the end that is expected of it.
#[derive(Debug)]
struct Asked(AtomicU8);

impl Asked {
    const NOTHING: u8 = 0;
    const END: u8 = 1;
    const DEATH: u8 = 2;
    const OVERDUE: u8 = 3;

    fn set(&self, asked: u8) {
        self.0.store(asked, Ordering::Release);
    }

    fn judge(&self, status: io::Result<ExitStatus>) -> Ended {
        let how = match &status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => status.to_string(),
            },
            Err(error) => format!("unknown: {error}"),
        };
        let success = status.as_ref().is_ok_and(ExitStatus::success);
        let killed = status.is_ok_and(|status| status.signal() == Some(9));
        match self.0.load(Ordering::Acquire) {
            Self::END => Ended { expected: success, how },
            // It may have ended by itself in the moment before.
            Self::DEATH => Ended { expected: killed || success, how },
            Self::OVERDUE => Ended { expected: false, how: format!("{how}, as it did not end in time") },
            _ => Ended { expected: false, how },
        }
    }
}

impl ClientProcess {
    /// Writes the specification to `clients/NAME.json` in the run directory and starts `exe client` on
    /// it, with its log in `clients/NAME.log`. Makes the folders it needs. From then on the client's
    /// start, progress, notices and end are sent as events.
    ///
    /// # Errors
    /// If the files can't be written or the program can't be started.
    pub async fn spawn(
        spec: &ClientSpec,
        exe: &Path,
        run_dir: &Path,
        events: UnboundedSender<Event>,
    ) -> Result<Self, ProcessError> {
        let name = spec.name();
        let file = |path: &Path| {
            let (client, path) = (name.clone(), path.to_owned());
            move |source| ProcessError::File { client, path, source }
        };
        let start = |source| ProcessError::Start { client: name.clone(), source };
        let clients = run_dir.join("clients");
        for dir in [&clients, &spec.journal_dir] {
            std::fs::create_dir_all(dir).map_err(file(dir))?;
        }
        let spec_path = clients.join(format!("{name}.json"));
        let json = serde_json::to_vec_pretty(spec).map_err(|error| start(error.into()))?;
        std::fs::write(&spec_path, json).map_err(file(&spec_path))?;
        let log_path = clients.join(format!("{name}.log"));
        let log = std::fs::File::create(&log_path).map_err(file(&log_path))?;

        let mut command = Command::new(exe);
        command
            .arg("client")
            .arg(&spec_path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = spawner::spawn(command).await.map_err(start)?;
        let no_pipe = || start(io::Error::other("no pipe to the process"));
        let stdin = child.stdin.take().ok_or_else(no_pipe)?;
        let stdout = child.stdout.take().ok_or_else(no_pipe)?;
        let pid = child.id().ok_or_else(|| start(io::Error::other("the process has no id")))?;
        send(&events, EventKind::ClientStarted { client: spec.id.clone(), pid, journal: spec.journal_pattern() });

        let (status_sender, status) = watch::channel(initial(spec.id.role));
        let (ended_sender, ended) = watch::channel(None);
        let (signals, ordered) = mpsc::unbounded_channel();
        let lines = Arc::new(AtomicU64::new(0));
        let asked = Arc::new(Asked(AtomicU8::new(Asked::NOTHING)));
        let watched = Watched {
            id: spec.id.clone(),
            child,
            stdout,
            status: status_sender,
            ended: ended_sender,
            lines: Arc::clone(&lines),
            asked: Arc::clone(&asked),
            ordered,
            events,
        };
        tokio::spawn(watched.watch());
        Ok(Self { id: spec.id.clone(), name, pid, stdin: Mutex::new(stdin), status, ended, lines, asked, signals })
    }

    /// Which client.
    #[must_use]
    pub const fn id(&self) -> &ClientId {
        &self.id
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its status, as it last said. The sender goes away when the process has ended.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ClientStatus> {
        self.status.clone()
    }

    /// Number of lines that it has said so far: two a second, while it runs.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Acquire)
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn how_it_ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Stops all its threads (SIGSTOP) until [`resume`](Self::resume); it may be killed meanwhile.
    pub fn pause(&self) {
        self.order(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.order(Signal::CONT);
    }

    /// Asks it to end well: a producer stops offering and delivers or gives up what it holds within
    /// `limit`; a consumer commits by its behaviour and leaves the group. Journals are sealed then. See
    /// [`ClientSpec::end_limit`] for how long the client's own timeouts may take.
    ///
    /// # Errors
    /// If the process is gone.
    pub async fn drain(&self, limit: Duration) -> Result<(), ProcessError> {
        self.asked.set(Asked::END);
        let line = format!("end {}\n", limit.as_millis());
        let mut stdin = self.stdin.lock().await;
        let written = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        written.await.map_err(|source| ProcessError::Gone { client: self.name.clone(), source })
    }

    /// Waits for its end; when the deadline has passed, it is killed.
    pub async fn ended(&self, deadline: Instant) -> Ended {
        if let Ok(end) = tokio::time::timeout_at(deadline, self.end()).await {
            return end;
        }
        self.asked.set(Asked::OVERDUE);
        self.order(Signal::KILL);
        self.end().await
    }

    /// Kills it with SIGKILL, as an experiment does, and waits for its end.
    pub async fn kill(&self) -> Ended {
        self.asked.set(Asked::DEATH);
        self.order(Signal::KILL);
        self.end().await
    }

    fn order(&self, signal: Signal) {
        // Refused when it has ended.
        let _ = self.signals.send(signal);
    }

    async fn end(&self) -> Ended {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await;
        end.ok()
            .and_then(|end| end.clone())
            .unwrap_or_else(|| Ended { expected: false, how: "unknown: nobody watched it any more".into() })
    }
}

/// The task that watches a process.
struct Watched {
    id: ClientId,
    child: Child,
    stdout: ChildStdout,
    status: watch::Sender<ClientStatus>,
    ended: watch::Sender<Option<Ended>>,
    lines: Arc<AtomicU64>,
    asked: Arc<Asked>,
    ordered: UnboundedReceiver<Signal>,
    events: UnboundedSender<Event>,
}

impl Watched {
    async fn watch(self) {
        let Self { id, mut child, stdout, status, ended, lines, asked, mut ordered, events } = self;
        let said = listen(&id, stdout, &status, &lines, &events);
        let gone = async {
            loop {
                let signal = tokio::select! {
                    exit = child.wait() => return exit,
                    signal = ordered.recv() => signal,
                };
                match signal {
                    Some(signal) => send_signal(&child, signal),
                    // Nobody holds the process any more.
                    None => {
                        child.start_kill()?;
                        return child.wait().await;
                    }
                }
            }
        };
        // Its last words are read before its end is told.
        let ((), exit) = tokio::join!(said, gone);
        let end = asked.judge(exit);
        send(&events, EventKind::ClientEnded { client: id, expected: end.expected, how: end.how.clone() });
        ended.send_replace(Some(end));
    }
}

/// To a process that was not waited for yet, so that its id can't be another's.
fn send_signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!("{signal:?} to {pid:?}: {error}");
    }
}

/// Reads what the process says until it closes its stdout.
async fn listen(
    id: &ClientId,
    stdout: ChildStdout,
    status: &watch::Sender<ClientStatus>,
    count: &AtomicU64,
    events: &UnboundedSender<Event>,
) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        count.fetch_add(1, Ordering::Release);
        let client = id.clone();
        send(
            events,
            match serde_json::from_str(&line) {
                Ok(Line::Status(now)) => {
                    let progress = now.progress.clone();
                    status.send_replace(now);
                    EventKind::ClientProgress { client, progress }
                }
                Ok(Line::Notice(text)) => EventKind::ClientNotice { client, text },
                Err(_) => EventKind::ClientNotice { client, text: format!("said something unexpected: {line}") },
            },
        );
    }
}

fn send(events: &UnboundedSender<Event>, kind: EventKind) {
    // Without a receiver the run is over, and nobody is interested.
    let _ = events.send(Event::now(kind));
}

const fn initial(role: Role) -> ClientStatus {
    ClientStatus {
        progress: match role {
            Role::Producer => Progress::Producer { offered: 0, acked: 0, errors: 0, in_flight: 0 },
            Role::Consumer => Progress::Consumer { polled: 0, processed: 0 },
        },
        ready: false,
        fences_seen: std::collections::BTreeSet::new(),
    }
}
