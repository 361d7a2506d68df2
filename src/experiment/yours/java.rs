//! What Java's clients call their options, and what librdkafka has in their place.

use super::Side;

/// What becomes of an option of Java's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// librdkafka has it by the same name, and means the same.
    Same,
    /// It has another name.
    Named(&'static str),
    /// It has another name, and counts KiB.
    Kib(&'static str),
    /// Two options of librdkafka are one of Java's.
    Both(&'static str, &'static str),
    /// Names of classes become words.
    Assignors,
    /// Words for where to begin differ.
    Reset,
    /// It decides what happens when the queue is full.
    QueueFull,
    /// The run sets its own.
    Ours,
    /// librdkafka has nothing of the kind; a clause says what it does.
    Nothing(&'static str),
}

use Becomes::{Assignors, Both, Kib, Named, Nothing, Ours, QueueFull, Reset, Same};

/// Options of both sides.
const COMMON: &[(&str, Becomes)] = &[
    ("bootstrap.servers", Ours),
    ("client.id", Ours),
    ("client.dns.lookup", Ours),
    ("client.rack", Same),
    ("metadata.max.age.ms", Named("topic.metadata.refresh.interval.ms")),
    ("metadata.recovery.strategy", Nothing("librdkafka goes on asking the brokers that it knows")),
    ("metadata.recovery.rebootstrap.trigger.ms", Nothing("librdkafka goes on asking the brokers that it knows")),
    ("send.buffer.bytes", Named("socket.send.buffer.bytes")),
    ("receive.buffer.bytes", Named("socket.receive.buffer.bytes")),
    ("reconnect.backoff.ms", Same),
    ("reconnect.backoff.max.ms", Same),
    ("retry.backoff.ms", Same),
    ("retry.backoff.max.ms", Same),
    ("connections.max.idle.ms", Same),
    ("socket.connection.setup.timeout.ms", Same),
    ("socket.connection.setup.timeout.max.ms", Nothing("a connection has one time to be made in")),
    ("interceptor.classes", Nothing("classes of the application are not run")),
    ("metric.reporters", Nothing("the run does its own counting")),
    ("auto.include.jmx.reporter", Nothing("the run does its own counting")),
    ("metrics.num.samples", Nothing("the run does its own counting")),
    ("metrics.sample.window.ms", Nothing("the run does its own counting")),
    ("metrics.recording.level", Nothing("the run does its own counting")),
    ("enable.metrics.push", Nothing("the run does its own counting")),
    ("config.providers", Nothing("give the values themselves")),
];

const PRODUCER: &[(&str, Becomes)] = &[
    ("acks", Same),
    ("retries", Same),
    ("linger.ms", Same),
    ("batch.size", Same),
    ("enable.idempotence", Same),
    ("max.in.flight.requests.per.connection", Same),
    ("compression.type", Same),
    ("compression.gzip.level", Named("compression.level")),
    ("compression.lz4.level", Named("compression.level")),
    ("compression.zstd.level", Named("compression.level")),
    ("delivery.timeout.ms", Named("message.timeout.ms")),
    // In librdkafka the broker's time to answer and the client's to wait are two.
    ("request.timeout.ms", Both("request.timeout.ms", "socket.timeout.ms")),
    ("max.request.size", Named("message.max.bytes")),
    ("buffer.memory", Kib("queue.buffering.max.kbytes")),
    ("max.block.ms", QueueFull),
    ("transactional.id", Ours),
    ("transaction.timeout.ms", Ours),
    ("transaction.two.phase.commit.enable", Ours),
    ("key.serializer", Ours),
    ("value.serializer", Ours),
    ("partitioner.class", Nothing("each message of an experiment is for a partition of its own")),
    ("partitioner.ignore.keys", Nothing("each message of an experiment is for a partition of its own")),
    (
        "partitioner.adaptive.partitioning.enable",
        Nothing("each message of an experiment is for a partition of its own"),
    ),
    ("partitioner.availability.timeout.ms", Nothing("each message of an experiment is for a partition of its own")),
    ("metadata.max.idle.ms", Nothing("librdkafka forgets no topic that it was asked for")),
];

const CONSUMER: &[(&str, Becomes)] = &[
    ("group.id", Ours),
    ("group.instance.id", Ours),
    ("group.protocol", Same),
    ("group.remote.assignor", Same),
    ("key.deserializer", Ours),
    ("value.deserializer", Ours),
    ("enable.auto.commit", Same),
    ("auto.commit.interval.ms", Same),
    ("auto.offset.reset", Reset),
    ("isolation.level", Same),
    ("session.timeout.ms", Same),
    ("heartbeat.interval.ms", Same),
    ("max.poll.interval.ms", Same),
    ("max.poll.records", Nothing("librdkafka hands out one record after another")),
    ("fetch.min.bytes", Same),
    ("fetch.max.bytes", Same),
    ("fetch.max.wait.ms", Named("fetch.wait.max.ms")),
    ("max.partition.fetch.bytes", Same),
    ("partition.assignment.strategy", Assignors),
    ("check.crcs", Same),
    ("allow.auto.create.topics", Same),
    ("request.timeout.ms", Named("socket.timeout.ms")),
    ("default.api.timeout.ms", Nothing("the run has its own limits for single calls")),
    ("exclude.internal.topics", Nothing("the run reads one topic, by its name")),
    ("share.acknowledgement.mode", Nothing("the run has no share groups")),
];

/// Defaults of Java's clients where librdkafka's are others, by librdkafka's names.
const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    ("message.timeout.ms", "120000"),
    ("socket.timeout.ms", "30000"),
    ("max.in.flight.requests.per.connection", "5"),
    // Of clients before 4.0; since then 5, as librdkafka has it.
    ("linger.ms", "0"),
    ("batch.size", "16384"),
    ("message.max.bytes", "1048576"),
    ("queue.buffering.max.kbytes", "32768"),
    // Java counts bytes alone.
    ("queue.buffering.max.messages", "0"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.connection.setup.timeout.ms", "10000"),
];

const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    ("isolation.level", "read_uncommitted"),
    ("auto.offset.reset", "latest"),
    ("socket.timeout.ms", "30000"),
    ("check.crcs", "true"),
    // Java offers the cooperative one, too, for a rolling change: until then groups agree on this.
    ("partition.assignment.strategy", "range"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.connection.setup.timeout.ms", "10000"),
];

/// Whole families that the run has its own of.
const OURS: &[&str] = &["security.", "sasl.", "ssl."];

/// Of names that no client of Java has, those that librdkafka has for sure.
const RDKAFKA: &[&str] = &[
    "message.timeout.ms",
    "message.max.bytes",
    "socket.timeout.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "batch.num.messages",
    "metadata.broker.list",
    "request.required.acks",
    "message.send.max.retries",
    "max.in.flight",
    "topic.metadata.refresh.interval.ms",
    "statistics.interval.ms",
    "enable.auto.offset.store",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.message.max.bytes",
    "enable.partition.eof",
    "compression.codec",
    "broker.address.family",
];

/// Of librdkafka's own names, those that a producer alone has.
const RDKAFKA_PRODUCER: &[&str] = &[
    "message.timeout.ms",
    "message.send.max.retries",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "batch.num.messages",
    "request.required.acks",
    "compression.codec",
    "delivery.report.only.error",
    "sticky.partitioning.linger.ms",
];

/// Those that a consumer alone has.
const RDKAFKA_CONSUMER: &[&str] = &[
    "enable.auto.offset.store",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.message.max.bytes",
    "fetch.error.backoff.ms",
    "enable.partition.eof",
];

/// What becomes of an option; none if Java's client has none of that name.
pub fn becomes(side: Side, name: &str) -> Option<Becomes> {
    if OURS.iter().any(|family| name.starts_with(family)) {
        return Some(Ours);
    }
    let own = if side == Side::Producer { PRODUCER } else { CONSUMER };
    own.iter().chain(COMMON).find(|(known, _)| *known == name).map(|(_, becomes)| *becomes)
}

/// Names of the options of a side.
pub fn names(side: Side) -> impl Iterator<Item = &'static str> {
    let own = if side == Side::Producer { PRODUCER } else { CONSUMER };
    own.iter().chain(COMMON).map(|(name, _)| *name)
}

/// Whether an option is of one side alone, by the names of Java's clients or of librdkafka.
pub fn is_only_of(side: Side, name: &str) -> bool {
    let (own, others, rdkafkas) = match side {
        Side::Producer => (PRODUCER, CONSUMER, RDKAFKA_PRODUCER),
        Side::Consumer => (CONSUMER, PRODUCER, RDKAFKA_CONSUMER),
    };
    let has = |options: &[(&str, Becomes)]| options.iter().any(|(known, _)| *known == name);
    (has(own) && !has(others)) || rdkafkas.contains(&name)
}

/// Defaults that librdkafka is given, by its names.
pub const fn defaults(side: Side) -> &'static [(&'static str, &'static str)] {
    match side {
        Side::Producer => PRODUCER_DEFAULTS,
        Side::Consumer => CONSUMER_DEFAULTS,
    }
}

/// Whether only Java's clients have an option of that name.
pub fn is_only_javas(side: Side, name: &str) -> bool {
    match becomes(side, name) {
        Some(Named(_) | Kib(_) | QueueFull | Nothing(_)) => true,
        Some(Ours) => name.ends_with("serializer"),
        Some(Same | Both(..) | Assignors | Reset) | None => false,
    }
}

/// Whether only librdkafka has an option of that name.
pub fn is_only_rdkafkas(name: &str) -> bool {
    RDKAFKA.contains(&name)
}
