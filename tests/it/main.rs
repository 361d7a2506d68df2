//! Tests of the built binary and of whole parts, in one test binary.
#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

mod client_processes;
mod experiment_files;
mod metrics;
mod report;
mod stored_run;
