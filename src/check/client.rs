//! Rules on the configuration of a client.

use super::cluster::Cluster;
use super::finding::Finding;
use super::rule::Rule;
use crate::experiment::Options;
use crate::experiment::yours::Dialect;
use crate::experiment::yours::client_file::ClientFile;

/// Beside the session of the dead broker, the time that a message may take in a failover, in ms. A new leader is there 9 s
/// after a broker died, or 12 to 14 s if it was the active controller; clients have to find it, and what was due
/// meanwhile is sent before what comes now: the catalogue's resilient profiles are given up to 45 s. With the session of
/// 9 s that a broker has by default the sum is 60 s, which is the least that AWS advises for `delivery.timeout.ms`.
const BEYOND_THE_SESSION_MS: u64 = 51_000;
const DEFAULT_SESSION_MS: u64 = 9_000;

/// AWS advises no less for the time that an answer may take.
const REQUEST_TIMEOUT_MS: u64 = 10_000;

/// How long a message must be able to wait so that it outlasts a failover of this cluster, in ms.
pub fn failover_ms(cluster: &Cluster) -> u64 {
    let sessions =
        cluster.brokers.iter().filter_map(|broker| broker.setting("broker.session.timeout.ms")?.parse().ok());
    BEYOND_THE_SESSION_MS + sessions.max().unwrap_or(DEFAULT_SESSION_MS)
}

/// Findings of what a file says of a producer and of a consumer.
pub fn examine(file: &ClientFile, cluster: &Cluster) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(options) = &file.producer {
        let producer = Settings { file, options, side: "producer" };
        findings.extend(producer_rules(&producer, cluster));
    }
    if let Some(options) = &file.consumer {
        findings.extend(consumer_rules(&Settings { file, options, side: "consumer" }));
    }
    findings
}

/// Options of one side, by librdkafka's names.
struct Settings<'a> {
    file: &'a ClientFile,
    options: &'a Options,
    side: &'static str,
}

impl<'a> Settings<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(own, _)| own.value == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    fn is(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| ["true", "t", "1"].contains(&value.to_ascii_lowercase().as_str()))
    }

    /// The name that its owner knows an option by.
    fn named(&self, rdkafka: &'static str) -> &'static str {
        const JAVAS: &[(&str, &str)] = &[
            ("message.timeout.ms", "delivery.timeout.ms"),
            ("socket.timeout.ms", "request.timeout.ms"),
            ("message.max.bytes", "max.request.size"),
        ];
        let javas = JAVAS.iter().find(|(name, _)| *name == rdkafka && self.file.dialect == Dialect::Java);
        javas.map_or(rdkafka, |(_, javas)| javas)
    }

    /// A value as it is told. Java's defaults stand among the options, librdkafka's do not.
    fn told(&self, rdkafka: &'static str, default: &str) -> String {
        let is_written = match self.file.dialect {
            Dialect::Java => self.file.written.iter().any(|name| name == self.named(rdkafka)),
            Dialect::Librdkafka => self.get(rdkafka).is_some(),
        };
        let value = self.get(rdkafka).unwrap_or(default);
        if is_written { value.to_owned() } else { format!("{value} (the default)") }
    }

    /// A finding with the setting to change.
    fn finding(&self, rule: Rule, what: String, name: &'static str, default: &str, to: impl Into<String>) -> Finding {
        let setting = format!("{} {}", self.side, self.named(name));
        Finding::new(rule, what).change(setting, Some(self.told(name, default)), to)
    }
}

fn producer_rules(own: &Settings<'_>, cluster: &Cluster) -> Vec<Finding> {
    let failover = failover_ms(cluster);
    let mut findings = Vec::new();
    let acks = own.get("acks").unwrap_or("all");
    match acks {
        "0" => findings.push(own.finding(Rule::AcksZero, "acks=0".to_owned(), "acks", "all", "all")),
        "all" | "-1" => {}
        _ => findings.push(own.finding(Rule::AcksOne, format!("acks={acks}"), "acks", "all", "all")),
    }
    findings.extend(patience(own, failover));
    let idempotent = own.is("enable.idempotence", false);
    let resends = own.number("retries", u64::MAX) > 0;
    if !idempotent && resends && acks != "0" {
        let what = "enable.idempotence is off, and retries are on".to_owned();
        findings.push(own.finding(Rule::IdempotenceOff, what, "enable.idempotence", "false", "true"));
        let in_flight = own.number("max.in.flight.requests.per.connection", 1_000_000);
        if in_flight > 1 {
            let what = format!("{in_flight} requests may be in flight without idempotence");
            let finding = own.finding(Rule::Reordering, what, "enable.idempotence", "false", "true");
            findings.push(finding.advice("max.in.flight.requests.per.connection=1 alone is no promise"));
        }
    }
    let answer = own.number("socket.timeout.ms", 60_000);
    if !idempotent && answer < REQUEST_TIMEOUT_MS {
        let what = format!("an answer is given up after {}, without idempotence", seconds(answer));
        findings.push(own.finding(Rule::RequestTimeout, what, "socket.timeout.ms", "60000", "30000"));
    }
    if let Some(block) = own.file.max_block_ms.filter(|block| *block < failover) {
        let what =
            format!("send() waits {} for room, and a failover takes up to {}", seconds(block), seconds(failover));
        let finding = Finding::new(Rule::MaxBlock, what);
        findings.push(finding.change("producer max.block.ms", Some(block.to_string()), failover.to_string()));
    }
    findings.extend(too_large(own, cluster));
    findings
}

/// How long a message may take, and how many retries it has for that.
fn patience(own: &Settings<'_>, failover: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let outlasts = format!("a failover takes up to {}", seconds(failover));
    let delivery = own.number("message.timeout.ms", 300_000);
    // Zero is for ever.
    if delivery > 0 && delivery < failover {
        let what = format!("a message is given up after {}, and {outlasts}", seconds(delivery));
        let to = failover.max(120_000).to_string();
        findings.push(own.finding(Rule::DeliveryTimeout, what, "message.timeout.ms", "300000", to));
    }
    let retries = own.number("retries", u64::MAX);
    let (first, most) = (own.number("retry.backoff.ms", 100), own.number("retry.backoff.max.ms", 1_000));
    let spent = spent_after(retries, first, most, failover);
    if spent < failover {
        let what = format!("{retries} retries are spent {} after the first error, and {outlasts}", seconds(spent));
        let to = "2147483647";
        findings.push(own.finding(Rule::Retries, what, "retries", to, to).advice(format!(
            "leave `retries` out; {} decides how long a message is tried",
            own.named("message.timeout.ms")
        )));
    }
    findings
}

/// Pauses between so many retries in all, in ms, each twice as long as the one before up to the longest; not counted
/// further than `enough`.
fn spent_after(retries: u64, first: u64, most: u64, enough: u64) -> u64 {
    let (mut spent, mut pause) = (0_u64, first.min(most));
    for _ in 0..retries {
        // Retries without a pause would go on for ever here.
        if spent >= enough || pause == 0 {
            break;
        }
        spent = spent.saturating_add(pause);
        pause = pause.saturating_mul(2).min(most);
    }
    spent
}

/// Only where no topic would take what the client lets through: which one it writes to is not known. Compression may make
/// small what is large here.
fn too_large(own: &Settings<'_>, cluster: &Cluster) -> Option<Finding> {
    if own.get("compression.type").is_some_and(|codec| codec != "none") {
        return None;
    }
    let limits = cluster.topics.iter().filter(|topic| !topic.is_internal()).map(|topic| {
        let setting = topic.settings.iter().find(|setting| setting.name == "max.message.bytes")?;
        setting.value.parse::<u64>().ok()
    });
    let limit = limits.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    let client = own.number("message.max.bytes", 1_000_000);
    (client > limit).then(|| {
        let what = format!("messages of {client} bytes are let through, and no topic takes more than {limit}");
        own.finding(Rule::MessageTooLarge, what, "message.max.bytes", "1000000", (limit - limit / 100).to_string())
    })
}

fn consumer_rules(own: &Settings<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stores = own.is("enable.auto.offset.store", true);
    if own.is("enable.auto.commit", true) && stores {
        let what = "offsets are committed automatically".to_owned();
        let finding = own.finding(Rule::AutoCommit, what, "enable.auto.commit", "true", "false");
        findings.push(finding.advice(match own.file.dialect {
            Dialect::Java => {
                "commit after processing; Java's consumer is safe only where all that poll() gave is done before the next poll()"
            }
            Dialect::Librdkafka => "commit after processing, or set enable.auto.offset.store=false and store offsets then",
        }));
    }
    let reset = own.get("auto.offset.reset").unwrap_or("latest");
    if ["latest", "largest", "end"].contains(&reset) {
        let error = if own.file.dialect == Dialect::Java { "none" } else { "error" };
        let what = format!("auto.offset.reset={reset}");
        let finding = own.finding(Rule::ResetLatest, what, "auto.offset.reset", "latest", "earliest");
        findings.push(
            finding.advice(format!("auto.offset.reset={error} tells of a gap, which `earliest` passes in silence")),
        );
    }
    findings
}

/// `4.5 s`.
fn seconds(ms: u64) -> String {
    let tenths = ms / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::cluster::samples::{cluster, setting, topic, with};
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        rules_on(text, &cluster(&[]))
    }

    fn rules_on(text: &str, cluster: &Cluster) -> Vec<Rule> {
        let file = ClientFile::parse("own.properties", text, None).unwrap();
        examine(&file, cluster).into_iter().map(|finding| finding.rule).collect()
    }

    const JAVA: &str = "key.serializer=x\n";
    const RDKAFKA: &str = "batch.num.messages=1000\nenable.idempotence=true\n";

    #[test]
    fn what_speaks_of_no_client_is_not_judged() {
        assert_eq!(rules("bootstrap.servers=a:9092\nsecurity.protocol=PLAINTEXT\n"), []);
    }

    #[test_case("" => Vec::<Rule>::new(); "the defaults of Java's producer hold")]
    #[test_case("acks=0\n" => vec![Rule::AcksZero])]
    #[test_case("acks=1\n" => vec![Rule::AcksOne, Rule::IdempotenceOff, Rule::Reordering])]
    #[test_case("acks=1\nretries=0\n" => vec![Rule::AcksOne, Rule::Retries]; "what is not sent again is not doubled")]
    #[test_case("delivery.timeout.ms=5000\nrequest.timeout.ms=4000\n" => vec![Rule::DeliveryTimeout])]
    #[test_case("delivery.timeout.ms=60000\n" => Vec::<Rule>::new())]
    #[test_case("retries=5\n" => vec![Rule::Retries])]
    #[test_case("retries=64\n" => Vec::<Rule>::new(); "as many as outlast it")]
    #[test_case("retries=61\n" => vec![Rule::Retries]; "a little less")]
    #[test_case("retries=5\nretry.backoff.ms=20000\nretry.backoff.max.ms=20000\n" => Vec::<Rule>::new())]
    #[test_case("enable.idempotence=false\n" => vec![Rule::IdempotenceOff, Rule::Reordering])]
    #[test_case("enable.idempotence=false\nmax.in.flight.requests.per.connection=1\n" => vec![Rule::IdempotenceOff])]
    #[test_case("enable.idempotence=false\nrequest.timeout.ms=1000\nmax.in.flight.requests.per.connection=1\n"
        => vec![Rule::IdempotenceOff, Rule::RequestTimeout])]
    #[test_case("request.timeout.ms=1000\n" => Vec::<Rule>::new(); "idempotence makes up for it")]
    #[test_case("max.block.ms=1000\n" => vec![Rule::MaxBlock])]
    #[test_case("max.block.ms=60000\n" => Vec::<Rule>::new())]
    fn of_javas_producer(text: &str) -> Vec<Rule> {
        rules(&format!("{JAVA}{text}"))
    }

    #[test_case("" => Vec::<Rule>::new())]
    #[test_case("enable.idempotence=false\n" => vec![Rule::IdempotenceOff, Rule::Reordering])]
    #[test_case("message.timeout.ms=5000\n" => vec![Rule::DeliveryTimeout])]
    #[test_case("message.timeout.ms=0\n" => Vec::<Rule>::new(); "for ever")]
    #[test_case("request.required.acks=1\nenable.idempotence=false\nmax.in.flight=1\n"
        => vec![Rule::AcksOne, Rule::IdempotenceOff]; "by other names")]
    #[test_case("message.send.max.retries=3\n" => vec![Rule::Retries])]
    fn of_librdkafkas_producer(text: &str) -> Vec<Rule> {
        rules(&format!("{RDKAFKA}{text}"))
    }

    #[test_case("group.id=g\n" => vec![Rule::AutoCommit, Rule::ResetLatest]; "defaults")]
    #[test_case("group.id=g\nenable.auto.commit=false\n" => vec![Rule::ResetLatest])]
    #[test_case("group.id=g\nauto.offset.reset=earliest\n" => vec![Rule::AutoCommit])]
    #[test_case("group.id=g\nenable.auto.commit=false\nauto.offset.reset=none\n" => Vec::<Rule>::new())]
    #[test_case("enable.auto.offset.store=false\nauto.offset.reset=error\n" => Vec::<Rule>::new(); "stored after processing")]
    #[test_case("enable.auto.offset.store=true\nauto.offset.reset=largest\n" => vec![Rule::AutoCommit, Rule::ResetLatest])]
    fn of_a_consumer(text: &str) -> Vec<Rule> {
        rules(text)
    }

    #[test]
    fn a_longer_session_takes_a_longer_delivery() {
        let slow = with(cluster(&[]), "broker.session.timeout.ms", "30000");
        assert_eq!((failover_ms(&cluster(&[])), failover_ms(&slow)), (60_000, 81_000));
        let text = format!("{JAVA}delivery.timeout.ms=70000\n");
        assert_eq!((rules(&text), rules_on(&text, &slow)), (vec![], vec![Rule::DeliveryTimeout]));
    }

    #[test]
    fn a_message_is_too_large_only_where_every_topic_says_so() {
        let limited = |name: &str, limit: &str| {
            let mut topic = topic(name, &[1, 2, 3], "2");
            topic.settings.push(setting("max.message.bytes", limit, true));
            topic
        };
        let small = cluster(&[limited("a", "100000"), limited("b", "200000")]);
        let mixed = cluster(&[limited("a", "100000"), limited("b", "1048588")]);
        assert_eq!(rules_on(JAVA, &small), [Rule::MessageTooLarge]);
        assert_eq!(rules_on(JAVA, &mixed), []);
        assert_eq!(rules_on(&format!("{JAVA}max.request.size=150000\n"), &small), []);
        assert_eq!(rules_on(&format!("{JAVA}compression.type=zstd\n"), &small), []);
        assert_eq!(rules_on(JAVA, &cluster(&[topic("a", &[1, 2, 3], "2")])), [], "not told");
    }

    #[test]
    fn settings_go_by_the_names_and_values_of_their_owner() {
        let told = |text: &str| -> Vec<String> {
            let file = ClientFile::parse("own.properties", text, None).unwrap();
            let changes = examine(&file, &cluster(&[])).into_iter().flat_map(|finding| finding.changes);
            changes.map(|change| format!("{} {} {}", change.setting, change.from.unwrap(), change.to)).collect()
        };
        assert_eq!(
            told(&format!("{JAVA}delivery.timeout.ms=5000\ngroup.id=g\n")),
            [
                "producer delivery.timeout.ms 5000 120000",
                "consumer enable.auto.commit true (the default) false",
                "consumer auto.offset.reset latest (the default) earliest",
            ]
        );
        assert_eq!(told(&format!("{RDKAFKA}message.timeout.ms=5000\n")), ["producer message.timeout.ms 5000 120000"]);
        assert_eq!(told("message.send.max.retries=3\nenable.idempotence=true\n"), ["producer retries 3 2147483647"]);
    }
}
