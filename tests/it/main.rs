//! Tests of whole parts, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not tell apart"
)]

mod client_processes;
