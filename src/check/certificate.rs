//! What is wrong with a certificate: librdkafka says only that it could not be verified.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;

use crate::experiment::yours::connection::Connection;

const LIMIT: Duration = Duration::from_secs(3);

/// What is wrong with the client's own certificate or with that of the first of these brokers that shows one; none where
/// nothing is, or nothing can be said. Blocks for some seconds at most.
pub fn trouble(bootstrap: &[String], connection: &Connection) -> Option<String> {
    expired(connection).or_else(|| bootstrap.iter().find_map(|address| of_broker(address, connection)))
}

/// The client's own, if it has passed its date.
fn expired(connection: &Connection) -> Option<String> {
    let pem = match (connection.get("ssl.certificate.location"), connection.get("ssl.certificate.pem")) {
        (Some(path), _) => std::fs::read(path).ok()?,
        (None, pem) => pem?.as_bytes().to_vec(),
    };
    let certificate = X509::from_pem(&pem).ok()?;
    let now = Asn1Time::days_from_now(0).ok()?;
    (certificate.not_after() < now)
        .then(|| format!("the client's own certificate expired at {}", certificate.not_after()))
}

/// What the verification of a broker's certificate ends with.
fn of_broker(address: &str, connection: &Connection) -> Option<String> {
    let stream = address.to_socket_addrs().ok()?.find_map(|to| TcpStream::connect_timeout(&to, LIMIT).ok())?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let mut builder = SslConnector::builder(SslMethod::tls()).ok()?;
    if let Some(path) = connection.get("ssl.ca.location") {
        builder.set_ca_file(path).ok()?;
    } else if let Some(pem) = connection.get("ssl.ca.pem") {
        for authority in X509::stack_from_pem(pem.as_bytes()).ok()? {
            builder.cert_store_mut().add_cert(authority).ok()?;
        }
    }
    let seen = Arc::new(Mutex::new(None));
    let first = Arc::clone(&seen);
    builder.set_verify_callback(SslVerifyMode::PEER, move |is_good, context| {
        if !is_good {
            let until = context.current_cert().map(|certificate| certificate.not_after().to_string());
            let why = context.error().error_string();
            let text = match until {
                Some(until) if why.contains("expired") => format!("the certificate of the broker expired at {until}"),
                _ => format!("the certificate of the broker can't be trusted: {why}"),
            };
            first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        }
        is_good
    });
    let mut configuration = builder.build().configure().ok()?;
    let is_checked = connection.get("ssl.endpoint.identification.algorithm") != Some("none");
    configuration.set_verify_hostname(is_checked);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    // How the handshake ends does not matter: the verification comes in the midst of it.
    configuration.connect(host, stream).ok();
    seen.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::time::{SystemTime, UNIX_EPOCH};

    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::ssl::{SslAcceptor, SslFiletype};
    use openssl::x509::X509NameBuilder;
    use openssl::x509::extension::SubjectAlternativeName;

    use super::*;
    use crate::experiment::yours::client_file::ClientFile;

    /// A certificate for 127.0.0.1 that signs itself, up to a day from now or a day ago; its key is beside it.
    fn certificate(folder: &Path, is_valid: bool) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "test").unwrap();
        let name = name.build();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let time = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&time(-2)).unwrap();
        builder.set_not_after(&time(if is_valid { 1 } else { -1 })).unwrap();
        let of = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(of).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        std::fs::write(folder.join("cert.pem"), builder.build().to_pem().unwrap()).unwrap();
        std::fs::write(folder.join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    }

    /// What is wrong with a broker that has the folder's certificate.
    fn told(folder: &Path, trust: &str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_private_key_file(folder.join("key.pem"), SslFiletype::PEM).unwrap();
        acceptor.set_certificate_chain_file(folder.join("cert.pem")).unwrap();
        let acceptor = acceptor.build();
        let broker = std::thread::spawn(move || acceptor.accept(listener.accept().unwrap().0).is_ok());
        let file = ClientFile::parse("own.properties", &format!("security.protocol=SSL\n{trust}"), None).unwrap();
        let told = trouble(&[address], &file.connection);
        broker.join().unwrap();
        told
    }

    #[test]
    fn why_a_broker_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let trusted = format!("ssl.ca.location={}\n", folder.path().join("cert.pem").display());
        certificate(folder.path(), true);
        assert_eq!(told(folder.path(), &trusted), None);
        let unknown = told(folder.path(), "").unwrap();
        assert!(unknown.contains("can't be trusted: self") && unknown.contains("certificate"), "{unknown}");
        certificate(folder.path(), false);
        let expired = told(folder.path(), &trusted).unwrap();
        assert!(expired.starts_with("the certificate of the broker expired at "), "{expired}");
    }

    #[test]
    fn the_clients_own_is_looked_at_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), false);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!("ssl.certificate.location={}\nssl.key.location={}\n", at("cert.pem"), at("key.pem"));
        let file = ClientFile::parse("own.properties", &text, None).unwrap();
        assert!(trouble(&[], &file.connection).unwrap().starts_with("the client's own certificate expired at "));
    }
}
