//! `lossproof check` on a cluster as somebody else runs it, with TLS, SASL and an authorizer: it finds nothing where nothing
//! is wrong, and every one of the planted faults; and each way of not getting in is told in one sentence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine::Engine;
use crate::certificates::{Authority, Valid};
use crate::check::{SECRET, check};

const SUBNET: &str = "10.214.7";
const COMPOSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compose/secured.yaml");
const LIMIT: Duration = Duration::from_secs(90);

type Admin = AdminClient<DefaultClientContext>;

/// The running cluster; removed when this is dropped.
struct Secured {
    folder: TempDir,
    project: String,
}

impl Secured {
    fn start(engine: &Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secured = Self { folder, project: format!("secured-{}", std::process::id()) };
        let authority = Authority::new();
        std::fs::write(secured.path("ca.pem"), authority.pem()).unwrap();
        for id in 1..=3 {
            let ip = address(id, 0).split(':').next().unwrap().to_owned();
            authority.issue(&secured.path(&format!("broker-{id}.pem")), "broker", Some(&ip), Valid::Now);
            authority.issue(&secured.path(&format!("expired-{id}.pem")), "broker", Some(&ip), Valid::UntilYesterday);
        }
        authority.issue(&secured.path("ann.pem"), "ann", None, Valid::Now);
        authority.issue(&secured.path("ann-expired.pem"), "ann", None, Valid::UntilYesterday);
        // The containers' user is another.
        let readable = Command::new("chmod").args(["-R", "a+rX"]).arg(secured.folder.path()).status().unwrap();
        assert!(readable.success());
        secured.compose(&["up", "--detach"]);
        secured.until("three brokers", |admin| {
            admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(2))
                .is_ok_and(|metadata| metadata.brokers().len() == 3)
        });
        for user in ["ann", "bob"] {
            let password = format!("SCRAM-SHA-512=[password={SECRET}]");
            let container = secured.container(1);
            let tool = ["exec", &container, "/opt/kafka/bin/kafka-configs.sh", "--bootstrap-server"];
            let change = ["--alter", "--add-config", &password, "--entity-type", "users", "--entity-name", user];
            engine.docker(&[&tool[..], &[&address(1, 9094)], &change[..]].concat());
        }
        secured
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn container(&self, id: i32) -> String {
        format!("{}-secured-{id}-1", self.project)
    }

    fn compose(&self, args: &[&str]) {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.project, "--file", COMPOSE]).args(args);
        command.env("SECURED_SUBNET", SUBNET).env("SECURED_CERTIFICATES", self.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn admin(&self) -> Admin {
        ClientConfig::new().set("bootstrap.servers", bootstrap(9094)).create().unwrap()
    }

    fn until(&self, what: &str, holds: impl Fn(&Admin) -> bool) {
        let (admin, deadline) = (self.admin(), Instant::now() + LIMIT);
        while !holds(&admin) {
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Checks by a file of Java's names; the text after its security is given.
    fn check(&self, bootstrap: &str, security: &str, rest: &str) -> (Option<i32>, Value, String) {
        let trust = format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", self.path("ca.pem").display());
        let file = self.path("client.properties");
        std::fs::write(&file, format!("{security}{trust}{rest}")).unwrap();
        let output = check("trace", &["--bootstrap", bootstrap, "--client", text(&file), "--output", "json"]);
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// As `check`, where it does not get in: the one sentence.
    fn refused(&self, bootstrap: &str, security: &str) -> String {
        let file = self.path("client.properties");
        let trust = format!("ssl.truststore.location={}\n", self.path("ca.pem").display());
        std::fs::write(&file, format!("{security}{trust}")).unwrap();
        let output = check("off", &["--bootstrap", bootstrap, "--client", text(&file)]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.lines().count()), (Some(4), 2), "{told}");
        told
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--timeout", "1"]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn address(id: i32, port: u16) -> String {
    format!("{SUBNET}.{}:{port}", 10 + id)
}

fn bootstrap(port: u16) -> String {
    [1, 2, 3].map(|id| address(id, port)).join(",")
}

fn login(user: &str, password: &str) -> String {
    format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=org.apache.kafka.common.security.\
         scram.ScramLoginModule required username=\"{user}\" password=\"{password}\";\n"
    )
}

/// Rules of what was found, with their topics.
fn found(report: &Value) -> Vec<(String, Vec<String>)> {
    let texts =
        |value: &Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    findings.iter().map(|finding| (finding["rule"].as_str().unwrap().to_owned(), texts(&finding["topics"]))).collect()
}

/// A client against which nothing is to be said.
const SOUND: &str = "key.serializer=x\n";

#[tokio::test]
async fn ten_planted_faults_are_found_on_a_cluster_of_somebody_else_and_none_on_a_clean_one() {
    let engine = Engine::exclusive();
    let secured = Secured::start(&engine);
    let all = bootstrap(9092);
    let ann = login("ann", SECRET);

    // Clean, by a password and by a certificate.
    let (code, report, told) = secured.check(&all, &ann, SOUND);
    assert_eq!((code, found(&report)), (Some(0), vec![]), "{told}");
    let certified = format!("security.protocol=SSL\nssl.keystore.location={}\n", text(&secured.path("ann.pem")));
    let (code, report, told) = secured.check(&bootstrap(9096), &certified, SOUND);
    assert_eq!((code, found(&report)), (Some(0), vec![]), "{told}");

    // Not let in, or not let see.
    let wrong = secured.refused(&all, &login("ann", "wrong"));
    assert!(wrong.contains("refuses the login by SCRAM-SHA-512"), "{wrong}");
    let expired = secured.refused(&bootstrap(9097), "security.protocol=SSL\n");
    assert!(expired.contains("the certificate of the broker expired at "), "{expired}");
    let own = format!("security.protocol=SSL\nssl.keystore.location={}\n", text(&secured.path("ann-expired.pem")));
    let expired = secured.refused(&bootstrap(9096), &own);
    assert!(expired.contains("the client's own certificate expired at "), "{expired}");
    let plain = secured.refused(&all, "security.protocol=PLAINTEXT\n");
    assert!(plain.contains("no broker answers"), "{plain}");
    let (code, report, told) = secured.check(&all, &login("bob", SECRET), SOUND);
    assert_eq!(code, Some(4), "{told}");
    assert_eq!(report["unseen"][0]["what"], "not authorised to see the settings of the brokers", "{report:#}");

    plant(&engine, &secured).await;
    let client = "acks=1\nretries=5\ndelivery.timeout.ms=5000\nrequest.timeout.ms=4000\ngroup.id=g\n";
    let (code, report, told) = secured.check(&address(1, 9092), &ann, client);
    assert_eq!(code, Some(1), "{told}");
    let everywhere = ["__consumer_offsets", "all-in-sync", "one-in-sync", "unclean"];
    let expected = [
        ("no-leader", vec!["one-replica"]),
        ("under-min-isr", vec!["all-in-sync"]),
        ("under-replicated", everywhere.into_iter().filter(|name| *name != "all-in-sync").collect()),
        ("replication-factor-one", vec!["one-replica"]),
        ("min-insync-all", vec!["all-in-sync"]),
        ("min-insync-one", vec!["one-in-sync"]),
        ("unclean-election", vec!["unclean"]),
        ("internal-topic-min-insync-one", vec!["__consumer_offsets"]),
        ("single-bootstrap-broker", vec![]),
        ("acks-one", vec![]),
        ("delivery-timeout-too-short", vec![]),
        ("retries-exhausted", vec![]),
        ("idempotence-off", vec![]),
        ("reordering", vec![]),
        ("request-timeout-too-short", vec![]),
        ("auto-commit", vec![]),
        ("offset-reset-latest", vec![]),
    ];
    let found = found(&report);
    let found: Vec<(&str, Vec<&str>)> =
        found.iter().map(|(rule, topics)| (rule.as_str(), topics.iter().map(String::as_str).collect())).collect();
    assert_eq!(found, expected, "{report:#}");
    assert_eq!(report["unseen"], json!([]), "{report:#}");
}

/// Plants faults of topics and of the brokers' own topic, and stops the third broker.
async fn plant(engine: &Engine, secured: &Secured) {
    let admin = secured.admin();
    let group: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap(9094)).set("group.id", "g").create().unwrap();
    group.subscribe(&["unclean"]).unwrap();
    let topic = |name: &'static str, replicas: &'static [&'static [i32]]| {
        NewTopic::new(name, 1, TopicReplication::Variable(replicas))
    };
    let topics = [
        topic("one-replica", &[&[3]]),
        topic("all-in-sync", &[&[1, 2, 3]]).set("min.insync.replicas", "3"),
        topic("one-in-sync", &[&[1, 2, 3]]).set("min.insync.replicas", "1"),
        topic("unclean", &[&[1, 2, 3]]).set("unclean.leader.election.enable", "true"),
    ];
    for made in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
    // The group's first question makes the brokers' own topic.
    let has = |admin: &Admin, name: &str| {
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(2));
        metadata.is_ok_and(|metadata| metadata.topics().iter().any(|topic| topic.name() == name))
    };
    secured.until("the offsets' topic", |admin| {
        group.poll(Duration::from_millis(100));
        has(admin, "__consumer_offsets")
    });
    drop(group);
    let kept = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
    let change =
        kept.iter().fold(AlterConfig::new(ResourceSpecifier::Topic("__consumer_offsets")), |all, (name, value)| {
            all.set(name, value)
        });
    let changed = admin.alter_configs([&change.set("min.insync.replicas", "1")], &AdminOptions::new()).await.unwrap();
    changed.into_iter().for_each(|one| drop(one.unwrap()));

    engine.docker(&["stop", "--time", "60", &secured.container(3)]);
    secured.until("the third broker to be missed", |admin| {
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(2));
        metadata.is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            metadata.brokers().len() == 2
                && partitions.all(|partition| !partition.isr().contains(&3) || partition.leader() < 0)
        })
    });
}
