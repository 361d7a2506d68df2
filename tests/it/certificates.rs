//! Certificates made while a test runs, by an authority of its own.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// Signs certificates.
pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// Up to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Now,
    UntilYesterday,
}

impl Authority {
    pub fn new() -> Self {
        let key = key();
        let name = name("lossproof tests");
        let mut builder = begun(&name, &name, &key, Valid::Now);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { key, certificate: builder.build() }
    }

    /// Its certificate, by which others trust it.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// Writes a key and its certificate into one file, readable for all as Kafka's containers have users of their own.
    pub fn issue(&self, path: &Path, subject: &str, ip: Option<&str>, valid: Valid) {
        let own = key();
        let mut builder = begun(&name(subject), self.certificate.subject_name(), &own, valid);
        if let Some(ip) = ip {
            let context = builder.x509v3_context(Some(&self.certificate), None);
            let of = SubjectAlternativeName::new().ip(ip).build(&context).unwrap();
            builder.append_extension(of).unwrap();
        }
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let mut pem = own.private_key_to_pem_pkcs8().unwrap();
        pem.extend(builder.build().to_pem().unwrap());
        std::fs::write(path, pem).unwrap();
    }
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn name(text: &str) -> X509Name {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", text).unwrap();
    name.build()
}

fn begun(subject: &X509Name, issuer: &openssl::x509::X509NameRef, key: &PKey<Private>, valid: Valid) -> X509Builder {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let time = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&time(-2)).unwrap();
    builder.set_not_after(&time(if valid == Valid::Now { 1 } else { -1 })).unwrap();
    builder
}
