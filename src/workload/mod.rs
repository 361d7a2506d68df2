//! Client processes: what producers and consumers do, and how the runner starts and ends them.
//!
//! A client is a child process, `lossproof client SPEC`, so that killing it is real. It journals what
//! it observes (`lossproof_ledger::journal`), which is all that is ever judged; the status that it
//! sends to its parent is for people and for the lifecycle.
//!
//! Protocol: the specification is a JSON file ([`spec`]). The child writes one JSON object a line to
//! stdout ([`status`]), its log to stderr, and reads commands as lines from stdin: `end MS`. It dies with
//! its parent: by PDEATHSIG, and when stdin ends.
//!
//! The parent's side is [`process`]; all else runs in the child, but [`options`], which checks what
//! librdkafka thinks of a profile before anything starts.

pub mod child;
mod config;
mod consumer;
mod librdkafka;
pub mod options;
pub mod parking;
pub mod process;
mod producer;
mod restart;
pub mod results;
mod spawner;
pub mod spec;
mod sqlite;
pub mod status;
mod txn_error;

pub use consumer::{SINKS, effects, sink_path};
pub use librdkafka::leader_epoch;
pub use options::{OptionProblem, check_options};
pub use process::{ClientProcess, Ended};
pub use producer::WITNESS_BYTES;
pub use spec::{Behaviour, ClientSpec, Consuming, Producing, ResultsTo, Transactions};
pub use status::ClientStatus;
