//! lossproof: chaos testing for Apache Kafka that accounts for every message.

pub mod experiment;
pub mod report;
