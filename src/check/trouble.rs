//! Why a cluster could not be asked, from what librdkafka told meanwhile: one sentence, and what to do.

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::exit::EnvironmentProblem;
use crate::experiment::yours::connection::Connection;

/// An error that librdkafka told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its kind.
    pub code: Code,
    /// The text, without secrets.
    pub reason: String,
}

/// Whether trying on can't help.
#[must_use]
pub fn is_final(heard: &[Heard]) -> bool {
    heard.iter().any(|one| matches!(one.code, Code::Authentication | Code::SSL) || is_rejection(&one.reason))
}

/// What kept the cluster from answering. `certificate` is what is wrong with a certificate, where that was looked at.
#[must_use]
pub fn told(
    bootstrap: &str,
    connection: &Connection,
    heard: &[Heard],
    certificate: Option<String>,
) -> EnvironmentProblem {
    let last = |wanted: &[Code]| heard.iter().rev().find(|one| wanted.contains(&one.code));
    if let Some(one) = last(&[Code::Authentication]) {
        let mechanism = connection.get("sasl.mechanism").unwrap_or("SASL");
        return EnvironmentProblem::new(
            format!("{bootstrap}: the cluster refuses the login by {mechanism}: {}", brief(&one.reason)),
            "check user, password and mechanism in the file of --client, and that the cluster has this user",
        );
    }
    if let Some(text) = certificate {
        return EnvironmentProblem::new(
            format!("{bootstrap}: {text}"),
            "renew the certificate, or name the authority that signed it (Java: ssl.truststore.location; librdkafka: ssl.ca.location)",
        );
    }
    if let Some(one) = heard.iter().rev().find(|one| is_rejection(&one.reason)) {
        return EnvironmentProblem::new(
            format!("{bootstrap}: the cluster does not take the client's certificate: {}", brief(&one.reason)),
            "give a valid one (Java: ssl.keystore.location; librdkafka: ssl.certificate.location and ssl.key.location)",
        );
    }
    if let Some(one) = last(&[Code::SSL]) {
        return EnvironmentProblem::new(
            format!("{bootstrap}: no TLS connection: {}", brief(&one.reason)),
            "is this the TLS listener? Check security.protocol and the certificates in the file of --client",
        );
    }
    let what = match last(&[Code::Resolve, Code::BrokerTransportFailure]) {
        Some(one) => format!("{bootstrap}: no broker answers: {}", brief(&one.reason)),
        None => format!("{bootstrap}: no broker answers"),
    };
    let hint = if connection.options().next().is_none() {
        "check the address, and that this listener takes plain connections from here; TLS and SASL come by --client"
    } else {
        "check the address, that it can be reached from here, and security.protocol in the file of --client"
    };
    EnvironmentProblem::new(what, hint)
}

/// Whether the other side refuses our certificate, which TLS 1.3 tells after the handshake only.
fn is_rejection(reason: &str) -> bool {
    reason.contains("alert") && (reason.contains("certificate") || reason.contains("unknown ca"))
}

/// librdkafka's text without the address that it begins with, and the times at its end.
fn brief(reason: &str) -> &str {
    let is_address = |text: &str| text.contains("://") || text.ends_with("/bootstrap");
    let reason = reason.split_once(": ").filter(|(address, _)| is_address(address)).map_or(reason, |(_, rest)| rest);
    reason.split(" (after ").next().unwrap_or(reason).trim_end_matches([':', ' '])
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn heard(code: Code, reason: &str) -> Heard {
        Heard { code, reason: reason.to_owned() }
    }

    fn what(heard: &[Heard], certificate: Option<&str>) -> String {
        told("b:9093", &Connection::default(), heard, certificate.map(str::to_owned)).what
    }

    const REFUSED: &str = "ssl://b:9093/bootstrap: Connect to ipv4#127.0.0.1:9093 failed: Connection refused (after 0ms in state CONNECT)";

    #[test_case(&[], None => "b:9093: no broker answers")]
    #[test_case(&[(Code::BrokerTransportFailure, REFUSED)], None
        => "b:9093: no broker answers: Connect to ipv4#127.0.0.1:9093 failed: Connection refused")]
    #[test_case(&[(Code::Resolve, "x.invalid:9092/bootstrap: Failed to resolve 'x.invalid:9092'")], None
        => "b:9093: no broker answers: Failed to resolve 'x.invalid:9092'")]
    #[test_case(&[(Code::BrokerTransportFailure, REFUSED), (Code::AllBrokersDown, "1/1 brokers are down")], None
        => "b:9093: no broker answers: Connect to ipv4#127.0.0.1:9093 failed: Connection refused")]
    #[test_case(&[(Code::Authentication, "sasl_ssl://b:9093/bootstrap: SASL authentication error: no (after 3ms in state AUTH_REQ)")], None
        => "b:9093: the cluster refuses the login by SASL: SASL authentication error: no")]
    #[test_case(&[(Code::SSL, "ssl://b:9093/bootstrap: SSL handshake failed: x")], Some("the certificate of the broker expired")
        => "b:9093: the certificate of the broker expired")]
    #[test_case(&[(Code::SSL, "ssl://b:9093/bootstrap: SSL handshake failed: x")], None
        => "b:9093: no TLS connection: SSL handshake failed: x")]
    #[test_case(&[(Code::BrokerTransportFailure, "ssl://b:9093/bootstrap: SSL: ssl/tls alert certificate expired")], None
        => "b:9093: the cluster does not take the client's certificate: SSL: ssl/tls alert certificate expired")]
    fn the_most_telling_is_told(all: &[(Code, &str)], certificate: Option<&str>) -> String {
        what(&all.iter().map(|(code, reason)| heard(*code, reason)).collect::<Vec<_>>(), certificate)
    }

    #[test_case(Code::Authentication => true)]
    #[test_case(Code::SSL => true)]
    #[test_case(Code::BrokerTransportFailure => false; "a broker may come back")]
    fn what_can_not_get_better(code: Code) -> bool {
        is_final(&[heard(code, "x")])
    }
}
