//! `lossproof check` as a program: what it refuses, what it can't reach, and what it finds on librdkafka's mock brokers. These
//! know no DescribeConfigs: findings on settings are for real brokers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, SaslAuthenticateResponse, SaslHandshakeResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use rdkafka::mocking::MockCluster;
use tempfile::TempDir;

use super::certificates::{Authority, Valid};

/// What must never be seen.
pub const SECRET: &str = "correct-horse-battery";

pub fn check(log: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lossproof"));
    for name in ["COLUMNS", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    let output = command.env("LOSSPROOF_LOG", log).arg("check").args(args).output().unwrap();
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(SECRET), "{text}");
    }
    output
}

fn told(folder: &Path, args: &[&str]) -> String {
    let output = check("off", args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(folder.to_str().unwrap(), "FOLDER");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    format!("exit code {:?}\n--- stdout\n{out}--- stderr\n{error}", output.status.code().unwrap())
}

fn file(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("own.properties");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn login() -> String {
    format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"ann\" password=\"{SECRET}\";\n"
    )
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place_and_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("bad-number", format!("acks=1\n{}buffer.memory=lots\n", login())),
        ("refused-by-librdkafka", format!("acks=many\nsasl.password={SECRET}\n")),
        ("unknown-mechanism", format!("sasl.mechanism=GSSAPI\nsasl.password={SECRET}\n")),
        ("broken-login", format!("acks=all\nsasl.jaas.config=a.ScramLoginModule required name=ann {SECRET};\n")),
        ("no-truststore", format!("ssl.truststore.location=/nonexistent/ca.pem\nssl.key.password={SECRET}\n")),
        ("empty", String::new()),
    ];
    for (name, text) in cases {
        let path = file(&folder, &text);
        let args = ["--bootstrap", "127.0.0.1:1", "--client", &path];
        insta::assert_snapshot!(name, told(folder.path(), &args));
    }
}

#[test]
fn what_is_no_address_is_bad_usage() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!("no-address", told(folder.path(), &["--bootstrap", "localhost"]));
    assert_eq!(check("off", &[]).status.code(), Some(3));
}

#[test]
fn where_nobody_answers_it_says_so_in_a_few_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &login());
    let begin = Instant::now();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let plain = told(folder.path(), &["--bootstrap", &address]).replace(&port.to_string(), "PORT");
    insta::assert_snapshot!("unreachable", plain);
    // Not even a log of everything has the secrets.
    let with_login = check("trace", &["--bootstrap", &address, "--client", &path]);
    assert_eq!(with_login.status.code(), Some(4));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn an_expired_certificate_of_a_broker_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    authority.issue(&path("broker.pem"), "broker", Some("127.0.0.1"), Valid::UntilYesterday);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key_file(path("broker.pem"), SslFiletype::PEM).unwrap();
    acceptor.set_certificate_chain_file(path("broker.pem")).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the process.
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(acceptor.accept(stream))));
    let text = format!("security.protocol=SSL\nssl.truststore.location={}\n", path("ca.pem").display());
    let client = file(&folder, &text);
    let begin = Instant::now();
    let output = check("off", &["--bootstrap", &address, "--client", &client]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.starts_with(&format!("error: {address}: the certificate of the broker expired at ")), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_wrong_password_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || refuse_login(stream).ok());
        }
    });
    let text =
        format!("security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username=ann\nsasl.password={SECRET}\n");
    let client = file(&folder, &text);
    let begin = Instant::now();
    let output = check("off", &["--bootstrap", &address, "--client", &client]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(4), 2), "{told}");
    assert!(told.starts_with(&format!("error: {address}: the cluster refuses the login by PLAIN: ")), "{told}");
    assert!(told.contains("Invalid username or password"), "{told}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// A broker that offers PLAIN, and to which every password is wrong; it says that with the password it was given, as no
/// broker should.
fn refuse_login(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut response = BytesMut::new();
        response.extend_from_slice(&request[4..8]);
        match ApiKey::try_from(number(0)) {
            Ok(ApiKey::ApiVersions) => {
                let api = |key: ApiKey, version| {
                    ApiVersion::default().with_api_key(key as i16).with_min_version(0).with_max_version(version)
                };
                let keys = vec![
                    api(ApiKey::ApiVersions, 3),
                    api(ApiKey::Metadata, 4),
                    api(ApiKey::SaslHandshake, 1),
                    api(ApiKey::SaslAuthenticate, 1),
                ];
                ApiVersionsResponse::default().with_api_keys(keys).encode(&mut response, number(2)).unwrap();
            }
            Ok(ApiKey::SaslHandshake) => {
                let offered =
                    SaslHandshakeResponse::default().with_mechanisms(vec![StrBytes::from_static_str("PLAIN")]);
                offered.encode(&mut response, number(2)).unwrap();
            }
            _ => {
                let text = format!("Authentication failed: Invalid username or password ({SECRET})");
                let refusal = SaslAuthenticateResponse::default().with_error_code(58);
                let refusal = refusal.with_error_message(Some(StrBytes::from_string(text)));
                refusal.encode(&mut response, number(2)).unwrap();
            }
        }
        stream.write_all(&(response.len() as u32).to_be_bytes())?;
        stream.write_all(&response)?;
    }
}

#[test]
fn what_metadata_and_the_clients_file_tell_is_found_and_what_is_not_told_is_said() {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic("payments", 2, 1).unwrap();
    brokers.create_topic("orders", 2, 3).unwrap();
    let bootstrap = brokers.bootstrap_servers();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "key.serializer=x\nacks=1\nretries=5\ngroup.id=g\nenable.auto.commit=false\n");
    let one = bootstrap.split(',').next().unwrap();
    let output = check("off", &["--bootstrap", one, "--client", &path, "--output", "json"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["brokers"], serde_json::json!([1, 2, 3]));
    assert_eq!((report["topics"].as_u64(), report["partitions"].as_u64()), (Some(2), Some(4)));
    let found: Vec<(&str, Vec<&str>)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let topics = finding["topics"].as_array().unwrap().iter().filter_map(|topic| topic.as_str());
            (finding["rule"].as_str().unwrap(), topics.collect())
        })
        .collect();
    let expected = [
        ("replication-factor-one", vec!["payments"]),
        ("single-bootstrap-broker", vec![]),
        ("acks-one", vec![]),
        ("retries-exhausted", vec![]),
        ("idempotence-off", vec![]),
        ("reordering", vec![]),
        ("offset-reset-latest", vec![]),
    ];
    assert_eq!(found, expected, "{text}");
    let unseen = report["unseen"].as_array().unwrap();
    assert!(
        unseen[0]["what"].as_str().unwrap().starts_with("the settings of topics could not be asked for: "),
        "{unseen:?}"
    );
    assert!(unseen[1]["what"].as_str().unwrap().starts_with("the settings of brokers 1, 2 and 3 "), "{unseen:?}");
    assert!(text.contains("7 findings.") && text.contains("not seen: the settings"), "{text}");

    // The list of the client itself is what counts, and not what was typed to look at it.
    let path = file(&folder, &format!("key.serializer=x\nbootstrap.servers={bootstrap}\n"));
    let output = check("off", &["--bootstrap", one, "--client", &path]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("bootstrap broker"), "{output:?}");
}
