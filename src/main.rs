//! lossproof: chaos testing for Apache Kafka that accounts for every message.

mod cluster;
mod exit;
mod experiment;
mod fault;

fn main() {}
