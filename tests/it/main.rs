//! Tests of the built binary, in one test binary.
#![allow(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

mod experiment_files;
