//! All integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "clippy.toml's leave covers test functions, not their helpers")]

mod report;
mod stored_run;
//! Tests of whole parts, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not tell apart"
)]

mod client_processes;
//! Tests of the built binary, in one test binary.
#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

mod experiment_files;
