//! How a client connects, from a file of options: Java's names of security become librdkafka's.

use std::fmt;

use super::Dialect;
use super::properties::Property;
use super::secrets::is_secret;
use crate::experiment::Problem;
use crate::experiment::value::Wrong;

/// Options that librdkafka connects with. Values are not shown by `Debug`, as some are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Connection {
    options: Vec<(String, String)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.options.iter().map(|(name, _)| name)).finish()
    }
}

/// How users prove who they are that librdkafka can do here.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Whether an option is one of connecting.
pub fn is_of_connection(name: &str) -> bool {
    const FAMILIES: &[&str] = &["security.", "sasl.", "ssl."];
    FAMILIES.iter().any(|family| name.starts_with(family)) || name == "enable.ssl.certificate.verification"
}

/// Whether only Java's clients have an option of that name.
pub fn is_only_javas(name: &str) -> bool {
    const NAMES: &[&str] =
        &["sasl.jaas.config", "ssl.keystore.type", "ssl.keystore.key", "ssl.keystore.certificate.chain"];
    const FAMILIES: &[&str] = &["ssl.truststore.", "sasl.login.", "sasl.client.", "ssl.protocol", "ssl.enabled."];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Whether only librdkafka has an option of that name.
pub fn is_only_rdkafkas(name: &str) -> bool {
    const NAMES: &[&str] =
        &["sasl.username", "sasl.password", "sasl.mechanisms", "ssl.ca.location", "ssl.ca.pem", "ssl.key.pem"];
    const FAMILIES: &[&str] = &["ssl.certificate.", "ssl.key.location", "enable.ssl.", "ssl.ca."];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

impl Connection {
    /// From the properties of connecting.
    ///
    /// # Errors
    /// What librdkafka can't connect with, with its place.
    pub fn of(dialect: Dialect, properties: &[&Property]) -> Result<Self, Vec<Problem>> {
        let mut connection = Self::default();
        let mut problems = Vec::new();
        for property in properties {
            let taken = match dialect {
                Dialect::Librdkafka => connection.take(property),
                Dialect::Java => connection.take_javas(property),
            };
            problems.extend(taken.err().map(|wrong| wrong.at(&property.value_at)));
        }
        if problems.is_empty() { Ok(connection) } else { Err(problems) }
    }

    /// Names and values, for librdkafka.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of an option.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.get("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"))
    }

    /// A text without any of the secrets, should one have come into it.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        let secrets = self.options().filter(|(name, value)| is_secret(name) && !value.is_empty());
        secrets.fold(text.to_owned(), |text, (_, secret)| text.replace(secret, "***"))
    }

    fn set(&mut self, name: &str, value: &str) {
        self.options.retain(|(own, _)| own != name);
        self.options.push((name.to_owned(), value.to_owned()));
    }

    fn take(&mut self, property: &Property) -> Result<(), Wrong> {
        let name = match property.key.as_str() {
            "sasl.mechanisms" => "sasl.mechanism",
            name => name,
        };
        if name == "sasl.mechanism" {
            known_mechanism(&property.value)?;
        }
        if name.ends_with(".location") {
            readable(&property.value)?;
        }
        self.set(name, &property.value);
        Ok(())
    }

    fn take_javas(&mut self, property: &Property) -> Result<(), Wrong> {
        let value = property.value.as_str();
        match property.key.as_str() {
            "sasl.mechanism" => {
                known_mechanism(value)?;
                self.set("sasl.mechanism", value);
            }
            "security.protocol" | "ssl.key.password" | "ssl.keystore.password" => self.set(&property.key, value),
            "sasl.jaas.config" => {
                let (username, password) = login(value)?;
                self.set("sasl.username", &username);
                self.set("sasl.password", &password);
            }
            "ssl.truststore.location" => match kind(value)? {
                Store::Pem => self.set("ssl.ca.location", value),
                Store::Pkcs12 => return Err(not_pem("openssl pkcs12 -in STORE -nokeys -out ca.pem")),
                Store::Other => return Err(not_pem("keytool -exportcert -rfc -keystore STORE -alias CA -file ca.pem")),
            },
            "ssl.truststore.certificates" => self.set("ssl.ca.pem", value),
            "ssl.keystore.location" => match kind(value)? {
                Store::Pem => {
                    self.set("ssl.certificate.location", value);
                    self.set("ssl.key.location", value);
                }
                Store::Pkcs12 => self.set("ssl.keystore.location", value),
                Store::Other => {
                    let convert =
                        "keytool -importkeystore -srckeystore STORE -destkeystore store.p12 -deststoretype PKCS12";
                    return Err(not_pem(convert));
                }
            },
            "ssl.keystore.certificate.chain" => self.set("ssl.certificate.pem", value),
            "ssl.keystore.key" => self.set("ssl.key.pem", value),
            // Nothing at all means none here.
            "ssl.endpoint.identification.algorithm" => {
                self.set("ssl.endpoint.identification.algorithm", if value.is_empty() { "none" } else { value });
            }
            // Classes, ciphers by Java's names and the kinds of stores, which their content tells.
            _ => {}
        }
        Ok(())
    }
}

fn known_mechanism(mechanism: &str) -> Result<(), Wrong> {
    if MECHANISMS.contains(&mechanism) {
        return Ok(());
    }
    Err(Wrong::new(format!("lossproof can't log in by {mechanism}"), "expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
        .hint("give it a user of one of these, or a listener with client certificates (security.protocol=SSL)"))
}

/// What a store holds, by its first bytes: Java's option for it is often left out.
enum Store {
    Pem,
    Pkcs12,
    Other,
}

fn kind(path: &str) -> Result<Store, Wrong> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let begins = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    Ok(match bytes.first() {
        _ if begins => Store::Pem,
        Some(0x30) => Store::Pkcs12,
        _ => Store::Other,
    })
}

fn readable(path: &str) -> Result<(), Wrong> {
    std::fs::metadata(path).map(drop).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &str, error: &std::io::Error) -> Wrong {
    Wrong::new(format!("{path} can't be read: {error}"), "expected the path of a file")
}

fn not_pem(convert: &str) -> Wrong {
    Wrong::new("librdkafka, by which lossproof connects, can't read this store", "expected a file in the PEM format")
        .hint(format!("convert it ({convert}) and name the new file in a copy of this one"))
}

/// User and password of `…LoginModule required username="…" password="…";`. Whatever is wrong, nothing of the value is
/// told.
fn login(value: &str) -> Result<(String, String), Wrong> {
    let module = value.split_whitespace().next().unwrap_or_default();
    let wrong = |what: &str| Wrong::new(what.to_owned(), "expected … required username=\"…\" password=\"…\";");
    if !module.ends_with(".PlainLoginModule") && !module.ends_with(".ScramLoginModule") {
        let hint = "PLAIN and SCRAM go; for anything else give it a user of one of these";
        return Err(wrong("lossproof logs in by PlainLoginModule and ScramLoginModule only").hint(hint));
    }
    let option = |name: &str| option_of(value, name).ok_or_else(|| wrong(&format!("no `{name}` for the login")));
    Ok((option("username")?, option("password")?))
}

/// The value of `name=value` or `name="value"` in a JAAS line.
fn option_of(line: &str, name: &str) -> Option<String> {
    let mut rest = line;
    loop {
        let at = rest.find(name)?;
        let is_word = rest[..at].ends_with(char::is_whitespace);
        let after = &rest[at + name.len()..];
        match after.trim_start().strip_prefix('=') {
            Some(value) if is_word => return Some(unquoted(value.trim_start())),
            _ => rest = after,
        }
    }
}

fn unquoted(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.chars().take_while(|c| !c.is_whitespace() && *c != ';').collect();
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::experiment::source::Source;
    use crate::experiment::yours::properties;

    fn read(dialect: Dialect, text: &str) -> Result<Connection, Vec<Problem>> {
        let source = Source::from_bytes("own.properties".to_owned(), None, text.as_bytes().to_vec()).unwrap();
        Connection::of(dialect, &properties::parse(&source).iter().collect::<Vec<_>>())
    }

    const JAAS: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required";

    #[test_case("username=\"ann\" password=\"s3;cr\\\"et\";", "s3;cr\"et"; "quoted, with what would end it")]
    #[test_case("password=s3cret username=ann;", "s3cret"; "bare, and in the other order")]
    #[test_case("xpassword=\"no\" username=\"ann\"  password = \"s3cret\" ;", "s3cret"; "another option that ends alike")]
    fn javas_login_becomes_a_user_and_a_password(options: &str, password: &str) {
        let jaas = format!("{JAAS} {options}").replace('\\', "\\\\");
        let text = format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config={jaas}\n");
        let connection = read(Dialect::Java, &text).unwrap();
        assert_eq!(connection.get("sasl.username"), Some("ann"));
        assert_eq!(connection.get("sasl.password"), Some(password));
        assert!(connection.is_tls());
        assert_eq!(connection.without_secrets(&format!("ann says {password}")), "ann says ***");
        assert!(!format!("{connection:?}").contains(password));
    }

    #[test]
    fn stores_are_known_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let pem = path("a.pem", b"Bag\n-----BEGIN CERTIFICATE-----\n");
        let p12 = path("a.p12", &[0x30, 0x82]);
        let jks = path("a.jks", &[0xfe, 0xed, 0xfe, 0xed]);
        let both =
            read(Dialect::Java, &format!("ssl.truststore.location={pem}\nssl.keystore.location={pem}\n")).unwrap();
        for name in ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"] {
            assert_eq!(both.get(name), Some(pem.as_str()), "{name}");
        }
        let own = read(Dialect::Java, &format!("ssl.keystore.location={p12}\nssl.keystore.password=x\n")).unwrap();
        assert_eq!(
            (own.get("ssl.keystore.location"), own.get("ssl.keystore.password")),
            (Some(p12.as_str()), Some("x"))
        );
        for text in [format!("ssl.truststore.location={p12}"), format!("ssl.keystore.location={jks}")] {
            assert!(read(Dialect::Java, &text).unwrap_err()[0].to_string().contains("can't read this store"), "{text}");
        }
        let gone = read(Dialect::Librdkafka, "ssl.ca.location=/nonexistent/ca.pem").unwrap_err();
        assert!(gone[0].to_string().contains("can't be read"), "{gone:?}");
    }

    #[test_case("sasl.mechanism=GSSAPI"; "kerberos")]
    #[test_case("sasl.mechanism=AWS_MSK_IAM"; "iam")]
    #[test_case("sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required;"; "another module")]
    #[test_case("sasl.jaas.config=a.PlainLoginModule required username=ann pasword=s3cret;"; "no password")]
    fn what_it_can_not_log_in_by_is_told_without_the_value(text: &str) {
        let problems = crate::experiment::Problems(read(Dialect::Java, text).unwrap_err());
        let told = problems.render(false, 100);
        assert!(told.contains("expected") && !told.contains("s3cret"), "{told}");
    }
}
