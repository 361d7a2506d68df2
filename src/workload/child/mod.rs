//! The child's frame: reads its specification, obeys its parent, reports to it, and dies with it.

mod board;
mod control;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lossproof_ledger::journal::JournalError;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rustix::process::{Signal, set_parent_process_death_signal};

pub(super) use board::{Board, Notices, notices};
pub(super) use control::Control;

use super::spec::{Behaviour, ClientSpec};
use super::status::Line;
use super::{consumer, producer};

/// Why a client process failed.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The specification can't be read.
    #[error("cannot read the client's specification {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The second witness of acknowledgements can't be heard.
    #[error("cannot open the pipe {} for acknowledgements", path.display())]
    Witness {
        /// The pipe.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The specification makes no sense.
    #[error("bad client specification: {0}")]
    Spec(String),
    /// A thread or signal handler can't be had.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The journal can't be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The alarms of gap detection can't be written.
    #[error("cannot write the alarms of gap detection")]
    Alarms(#[source] std::io::Error),
    /// The spool can't be written.
    #[error("cannot write the spool of messages that failed")]
    Spool(#[source] std::io::Error),
    /// The local database can't be written.
    #[error("cannot write the local database")]
    Database(#[from] rusqlite::Error),
    /// librdkafka refuses to work.
    #[error("librdkafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The consumer met an error that it can't go on from.
    #[error("fatal consumer error: {0}")]
    ConsumerFatal(String),
    /// A thread panicked; its message is in the log.
    #[error("a thread panicked")]
    Panicked,
    /// librdkafka still holds the journal after its client was closed, so that it can't be sealed.
    #[error("the producer did not let go of its journal")]
    BookHeld,
}

/// Runs the client that the file specifies, until the parent ends it by a command on stdin. Kills the
/// process when stdin ends.
///
/// # Errors
/// If the client fails. A notice has told the parent why.
pub fn run(spec: &Path) -> Result<(), ChildError> {
    // The kernel sends it when the thread that spawned us dies; that one lives as long as its process
    // (spawner.rs). Should the parent have died before this line, stdin has ended already.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| ChildError::Thread(error.into()))?;
    stand_back();
    let control = Arc::new(Control::default());
    control::obey(Arc::clone(&control))?;
    let result = read(spec).and_then(|spec| match &spec.behaviour {
        Behaviour::Producer(producing) => producer::run(&spec, producing, &control),
        Behaviour::Consumer(consuming) => consumer::run(&spec, consuming, &control),
    });
    if let Err(error) = &result {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let text: Vec<String> = causes.map(ToString::to_string).collect();
        board::write(&Line::Notice(text.join(": ")));
    }
    result
}

/// A session of its own, so that Ctrl-C at the terminal is for lossproof alone, which then ends its
/// clients; and a small weight for the processor, so that the brokers of this host go first.
///
/// librdkafka's broker threads poll without a pause while an idempotent partition has requests in
/// flight and more to send (its issue 2565). On two cores some of them leave the brokers no time to
/// answer, and so go on for ever. Linux weighs sessions (`sched(7)`, autogroup) or processes (nice).
pub fn stand_back() {
    // What is refused costs speed, not truth: the host is only busier.
    rustix::process::setsid().ok();
    rustix::process::nice(NICENESS).ok();
    std::fs::write("/proc/self/autogroup", NICENESS.to_string()).ok();
}

/// A tenth of a broker's weight.
const NICENESS: i32 = 10;

fn read(path: &Path) -> Result<ClientSpec, ChildError> {
    let file = File::open(path).map_err(|source| ChildError::Read { path: path.to_owned(), source })?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| ChildError::Spec(error.to_string()))
}

/// librdkafka's log, into the process's own.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", "{facility} {message}")
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", "{facility} {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", "{facility} {message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", "{facility} {message}"),
    }
}
