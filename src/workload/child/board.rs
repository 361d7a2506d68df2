//! What the child tells its parent, from a thread of its own, so that a client that blocks in
//! librdkafka still reports.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::workload::status::{ClientStatus, Line};

const INTERVAL: Duration = Duration::from_millis(500);

pub(in crate::workload) enum Signal {
    Notice(String),
    Changed,
    End,
}

/// The reporting thread.
pub struct Board {
    sender: Sender<Signal>,
    thread: JoinHandle<()>,
}

/// Where threads leave notices.
#[derive(Clone)]
pub struct Notices(Sender<Signal>);

/// The queue between those who leave notices and the board.
pub(in crate::workload) fn notices() -> (Notices, Receiver<Signal>) {
    let (sender, receiver) = mpsc::channel();
    (Notices(sender), receiver)
}

impl Board {
    /// Reports what `status` returns from now on, and the notices.
    pub(in crate::workload) fn start(
        notices: Notices,
        receiver: Receiver<Signal>,
        status: impl Fn() -> ClientStatus + Send + 'static,
    ) -> Self {
        let thread = std::thread::spawn(move || {
            loop {
                let line = match receiver.recv_timeout(INTERVAL) {
                    Ok(Signal::Notice(text)) => Line::Notice(text),
                    Ok(Signal::Changed) | Err(RecvTimeoutError::Timeout) => Line::Status(status()),
                    Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => break,
                };
                write(&line);
            }
            write(&Line::Status(status()));
        });
        Self { sender: notices.0, thread }
    }

    /// Writes a last status.
    pub(in crate::workload) fn finish(self) {
        let _ = self.sender.send(Signal::End);
        let _ = self.thread.join();
    }
}

impl Notices {
    /// Tells the parent something that a person should read.
    pub(in crate::workload) fn send(&self, text: String) {
        tracing::warn!("{text}");
        let _ = self.0.send(Signal::Notice(text));
    }

    /// The status changed in a way that the parent waits for.
    pub(in crate::workload) fn changed(&self) {
        let _ = self.0.send(Signal::Changed);
    }
}

/// Writes a line to the parent.
pub(super) fn write(line: &Line) {
    // Without a parent nobody reads; the control thread ends the process then.
    if let Ok(mut json) = serde_json::to_vec(line) {
        json.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&json).and_then(|()| stdout.flush());
    }
}
