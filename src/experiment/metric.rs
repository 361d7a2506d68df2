//! The metrics that an expectation may name: the counts of a profile, and two times.

/// How a metric's bound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Messages or events.
    Count,
    /// A duration, kept in milliseconds.
    Time,
}

/// A metric and what it counts.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in files and in `report.json`.
    pub name: &'static str,
    /// How its bound is written.
    pub unit: Unit,
    /// What it is, in words.
    pub meaning: &'static str,
}

const fn count(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Count, meaning }
}

const fn time(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Time, meaning }
}

/// Every metric; the counts are the truth model's.
pub const METRICS: &[Metric] = &[
    count("offered", "messages the workload wanted to send"),
    count("acked", "messages acknowledged to the producer"),
    count("unconfirmed", "messages sent with acks=0, which proves nothing"),
    count("failed", "messages that certainly never reached the log"),
    count("indeterminate", "messages whose fate the producer was not told"),
    count("unsent", "messages the client never took"),
    count("delivered", "messages in the log and processed"),
    count("vanished", "messages processed, then gone from the log"),
    count("lost_in_cluster", "messages acknowledged, yet not in the log"),
    count("recovered", "messages parked outside the cluster"),
    count("unreadable", "messages whose partition could not be audited"),
    count("expired", "messages removed by retention before they were processed"),
    count("compacted", "messages replaced by a later one of their key"),
    count("lost_by_consumer", "messages in the log that the group went past without processing"),
    count("lagging", "messages in the log that the group has not reached"),
    count("behind_open_txn", "messages hidden by an open transaction"),
    count("undelivered", "messages neither acknowledged nor in the log, which nobody handled"),
    count("lost", "messages lost in any way"),
    count("duplicates", "copies in the log beyond the first"),
    count("redelivered", "processings of a record beyond its first"),
    count("reordered", "messages out of order in the log"),
    count("phantom", "records that nobody sent"),
    count("corrupt", "records with a wrong checksum"),
    count("processed_foreign", "processed records that nobody sent or that were damaged"),
    count("offset_conflicts", "acknowledgements that name another record's offset"),
    count("failed_but_landed", "messages reported as failed, yet in the log"),
    count("aborted_reads", "messages of an aborted transaction that were processed"),
    count("torn_txn", "transactions only partly visible"),
    count("skips", "jumps of a member over visible records"),
    count("commits_lost", "acknowledged commits that are gone"),
    count("recovered_and_landed", "messages parked and also in the log"),
    count("dead_lettered", "messages the consumer wrote to its dead letter queue"),
    count("in_log", "distinct messages in the log"),
    count("records_in_log", "records in the log"),
    count("duplicate_records", "records that repeat another"),
    count("aborted_records", "records of aborted transactions"),
    time("unavailable", "the longest time that a stream went without an acknowledgement"),
    time("resumed_within", "the time from healing until acknowledgements and processing go on"),
];

/// The metric of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}
