//! lossproof as a library, for its own binary, tests and benchmarks.

pub mod check;
pub mod cli;
pub mod cluster;
pub mod exit;
pub mod experiment;
pub mod fault;
pub mod import;
pub mod report;
pub mod runner;
pub mod workload;
