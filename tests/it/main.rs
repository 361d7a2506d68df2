//! Tests of the built binary and of whole parts, in one test binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy's exceptions for tests do not reach their helpers"
)]

mod analyze;
mod brokers;
mod certificates;
mod check;
mod client_processes;
mod exec;
mod experiment_files;
mod explain;
mod help;
mod metrics;
mod network;
mod reconcile;
mod report;
mod stored_run;
