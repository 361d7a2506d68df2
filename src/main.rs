//! lossproof: chaos testing for Apache Kafka that accounts for every message.

fn main() {}
