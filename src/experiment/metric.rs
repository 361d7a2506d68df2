//! The metrics that an expectation may name: the counts of a profile, and its times.

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
    /// Whether there is nothing to measure it by without a fault.
    pub of_faults: bool,
}

const fn count(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Count, meaning, of_faults: false }
}

const fn time(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit: Unit::Time, meaning, of_faults: false }
}

const fn of_faults(metric: Metric) -> Metric {
    Metric { of_faults: true, ..metric }
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
    count("doubled", "processings of a message beyond its first, whichever record carried it"),
    count("reordered", "messages out of order in the log"),
    count("phantom", "records that nobody sent"),
    count("corrupt", "records with a wrong checksum"),
    count("processed_foreign", "processed records that nobody sent or that were damaged"),
    count("offset_conflicts", "acknowledgements that name another record's offset"),
    count("failed_but_landed", "messages reported as failed, yet in the log"),
    count("aborted_records", "records in the log under an abort marker"),
    count("aborted_reads", "messages of an aborted transaction that were processed"),
    count("torn_txn", "transactions only partly visible"),
    count("skips", "jumps of a member over visible records"),
    count("commits_lost", "acknowledged commits that are gone"),
    count("recovered_and_landed", "messages parked and also in the log"),
    count("dead_lettered", "messages the consumer wrote to its dead letter queue"),
    count("in_log", "distinct messages in the log"),
    count("records_in_log", "records in the log"),
    count("duplicate_records", "records that repeat another"),
    count("gaps_found", "lost messages that a consumer's gap detection found"),
    count("gaps_missed", "lost messages that a consumer's gap detection missed"),
    count("gaps_missed_at_end", "lost messages after which nothing came that would have shown a gap"),
    count("gaps_false", "messages that a consumer's gap detection took for lost, and that were not"),
    count("gaps_late", "messages that a consumer's gap detection took for lost, and that came later"),
    of_faults(count("waited", "messages that came due in the longest times without an acknowledgement in a fault")),
    count("lag_max", "the most offsets that the group was seen behind the ends of its logs"),
    time("unavailable", "the longest time that a stream went without an acknowledgement"),
    of_faults(time(
        "unavailable_in_faults",
        "the longest time that a stream went without an acknowledgement in a fault",
    )),
    of_faults(time("resumed_within", "the time from healing until acknowledgements and processing go on")),
    of_faults(time("recovered_within", "the time from healing until the cluster is as before")),
    time("ack_latency_p50", "the time in which half of the messages were acknowledged"),
    time("ack_latency_p99", "the time in which 99 of 100 messages were acknowledged"),
    time("ack_latency_p999", "the time in which 999 of 1,000 messages were acknowledged"),
    time("ack_latency_max", "the longest time in which a message was acknowledged"),
    time("ack_latency_quiet_p50", "the time in which half of the messages were acknowledged outside all faults"),
    time("ack_latency_quiet_p99", "the time in which 99 of 100 messages were acknowledged outside all faults"),
    time("ack_latency_quiet_p999", "the time in which 999 of 1,000 messages were acknowledged outside all faults"),
    time("ack_latency_quiet_max", "the longest time in which a message was acknowledged outside all faults"),
    of_faults(time(
        "ack_latency_in_faults_p50",
        "the time in which half of the messages were acknowledged in the worst fault",
    )),
    of_faults(time(
        "ack_latency_in_faults_p99",
        "the time in which 99 of 100 messages were acknowledged in the worst fault",
    )),
    of_faults(time(
        "ack_latency_in_faults_p999",
        "the time in which 999 of 1,000 messages were acknowledged in the worst fault",
    )),
    of_faults(time("ack_latency_in_faults_max", "the longest time in which a message was acknowledged in any fault")),
    time("end_to_end_p50", "the time in which half of the messages were processed"),
    time("end_to_end_p99", "the time in which 99 of 100 messages were processed"),
    time("end_to_end_p999", "the time in which 999 of 1,000 messages were processed"),
    time("end_to_end_max", "the longest time in which a message was processed"),
];

/// The metric of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}
