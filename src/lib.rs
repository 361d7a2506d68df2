//! lossproof as a library, for its own binary, tests and benchmarks.

pub mod cli;
pub mod exit;
pub mod experiment;
