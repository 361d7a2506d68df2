//! lossproof: chaos testing for Apache Kafka that accounts for every message.

pub mod cli;
pub mod experiment;
pub mod workload;
