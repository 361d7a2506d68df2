//! `lossproof check`

use std::path::PathBuf;

use clap::Args;

use super::run::ConfigDialect;
use super::{fail, option_problem, printable, refuse};
use crate::check::ask::{AskError, Asked, addresses, ask};
use crate::check::{Finding, examine};
use crate::exit::Exit;
use crate::experiment::yours::Dialect;
use crate::experiment::yours::client_file::ClientFile;
use crate::experiment::yours::connection::Connection;
use crate::experiment::{Options, Problem, Problems};
use crate::report::check::{CheckReport, FoundEntry, SettingChange, Unseen};
use crate::report::terminal::{Output, Terminal};
use crate::workload::options::refused_options;

/// Find what will lose or double messages in a cluster and a client, without any fault
///
/// Asks any cluster how its topics and brokers are set and how its partitions stand, and reads the configuration of a
/// client. It takes seconds and changes nothing. Each finding says why it loses or doubles messages, which setting to
/// change, and which experiment of the catalogue shows it (`lossproof run NAME`).
///
/// Looked at are: topics with one replica, or with min.insync.replicas at 1 or at the replication factor; unclean leader
/// election, of topics and by default; the brokers' own topics; partitions that are not in full order now; a single
/// bootstrap broker; and of a client its acks, idempotence, patience (delivery time and retries against the time a
/// failover takes), commits and where it begins to read.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Brokers to ask first, as clients have them in bootstrap.servers
    #[arg(long, required = true, value_name = "HOST:PORT", value_delimiter = ',', value_parser = address)]
    bootstrap: Vec<String>,

    /// The configuration of a producer, a consumer or both (.properties), of Java's clients or of librdkafka
    ///
    /// It is looked at, and its security.*, sasl.* and ssl.* are what lossproof connects with: TLS with certificates in
    /// the PEM format, SASL by PLAIN or SCRAM. Its secrets are never shown. If it has bootstrap.servers, that list is
    /// looked at instead of --bootstrap, and not connected to.
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,

    /// Whose options the file has, where their names do not tell
    #[arg(long, value_enum, value_name = "DIALECT", requires = "client")]
    config_dialect: Option<ConfigDialect>,

    /// How findings are shown
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Formats of what was found.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For machines, with every topic by its name; and the text on standard error
    Json,
}

const EXAMPLES: &str = "\
Examples:
  lossproof check --bootstrap b-1.example:9092,b-2.example:9092,b-3.example:9092
  lossproof check --bootstrap b-1.example:9096,b-2.example:9096 --client producer.properties
  lossproof check --bootstrap localhost:9092 --output json 2>/dev/null | jq '.findings[].rule'

The user needs Describe and DescribeConfigs on topics, and DescribeConfigs on the cluster. What
it may not see is told, and not taken for good.

Exit codes:
  0    nothing was found
  1    something was found
  3    bad usage, or a mistake in the client's file
  4    the cluster can't be reached or refuses the user, or not all could be seen";

/// An address with a port; librdkafka would silently take 9092.
fn address(text: &str) -> Result<String, String> {
    let (host, port) = text.trim().rsplit_once(':').ok_or("expected HOST:PORT, such as localhost:9092")?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']) && (!host.contains(':') || host.ends_with(']'));
    if is_port && is_host {
        Ok(text.trim().to_owned())
    } else {
        Err("expected HOST:PORT, such as localhost:9092".into())
    }
}

/// Looks, and shows what it found.
pub async fn run(args: CheckArgs) -> Exit {
    let file = match args.client.as_deref().map(|path| read(path, args.config_dialect)).transpose() {
        Ok(file) => file,
        Err(problems) => return refuse(&problems),
    };
    let connection = file.as_ref().map_or_else(Connection::default, |file| file.connection.clone());
    let asked = match ask(&args.bootstrap, &connection).await {
        Ok(asked) => asked,
        Err(AskError::Cluster(problem)) => return fail(&problem.into()),
        Err(AskError::Client(text)) => {
            let name = file.as_ref().map_or("these options", |file| file.name.as_str());
            return refuse(&Problem::new(format!("librdkafka can't connect with {name}: {text}")).into());
        }
    };
    let own = file.as_ref().and_then(|file| file.bootstrap.as_deref());
    let list =
        own.map_or_else(|| args.bootstrap.clone(), |list| list.split(',').map(|name| name.trim().to_owned()).collect());
    let findings = examine(&asked.cluster, &addresses(&list).await, file.as_ref());
    let exit = match (findings.is_empty(), asked.unseen.is_empty()) {
        (_, false) => Exit::Environment,
        (false, true) => Exit::Fail,
        (true, true) => Exit::Pass,
    };
    let output = match args.output {
        Format::Text => Output::Plain,
        Format::Json => Output::Json,
    };
    Terminal::new(output).check(&report(&args.bootstrap, asked, findings, file.as_ref()));
    exit
}

/// Reads the client's file, and lets librdkafka check its options.
fn read(path: &std::path::Path, dialect: Option<ConfigDialect>) -> Result<ClientFile, Problems> {
    let file = ClientFile::read(path, dialect.map(Dialect::from))?;
    let sides = [(&file.producer, true), (&file.consumer, false)];
    let problems: Vec<Problem> = sides
        .into_iter()
        .filter_map(|(options, is_producer): (&Option<Options>, bool)| {
            Some(refused_options(options.as_ref()?, is_producer))
        })
        .flatten()
        .map(option_problem)
        .collect();
    if problems.is_empty() { Ok(file) } else { Err(Problems(problems)) }
}

fn report(bootstrap: &[String], asked: Asked, findings: Vec<Finding>, file: Option<&ClientFile>) -> CheckReport {
    let mut notes = file.map(|file| file.notes.clone()).unwrap_or_default();
    if asked.cluster.topics.is_empty() {
        notes.push("no topic was seen: there is none, or this user may see none".to_owned());
    }
    let notes = notes.iter().map(|note| printable(note)).collect();
    CheckReport {
        bootstrap: bootstrap.to_vec(),
        brokers: asked.cluster.brokers.iter().map(|broker| broker.id).collect(),
        topics: asked.cluster.topics.len(),
        partitions: asked.cluster.topics.iter().map(|topic| topic.partitions.len()).sum(),
        client: file.map(read_as),
        findings: findings.into_iter().map(entry).collect(),
        unseen: asked.unseen.into_iter().map(|(what, remedy)| Unseen { what: printable(&what), remedy }).collect(),
        notes,
    }
}

fn read_as(file: &ClientFile) -> String {
    let whose = match file.dialect {
        Dialect::Java => "Java's clients",
        Dialect::Librdkafka => "librdkafka",
    };
    let of = match (&file.producer, &file.consumer) {
        (Some(_), Some(_)) => "a producer and a consumer",
        (Some(_), None) => "a producer",
        (None, Some(_)) => "a consumer",
        (None, None) => {
            return format!("{} has no option of a producer or a consumer: it is used to connect", file.name);
        }
    };
    format!("{} is read as the options of {of}, by the names of {whose}", file.name)
}

fn entry(finding: Finding) -> FoundEntry {
    FoundEntry {
        rule: finding.rule.name(),
        why: finding.rule.why(),
        experiments: finding.experiments().collect(),
        what: printable(&finding.what),
        topics: finding.topics.iter().map(|topic| printable(topic)).collect(),
        advice: finding.advice,
        changes: finding
            .changes
            .into_iter()
            .map(|change| SettingChange { setting: change.setting, from: change.from, to: change.to })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::address;

    #[test_case("localhost:9092" => true)]
    #[test_case(" 10.0.0.1:9092 " => true)]
    #[test_case("[::1]:9092" => true)]
    #[test_case("localhost" => false; "no port")]
    #[test_case("localhost:0" => false)]
    #[test_case(":9092" => false)]
    #[test_case("http://localhost:9092" => false)]
    #[test_case("::1:9092" => false; "no brackets")]
    fn addresses_have_a_port(text: &str) -> bool {
        address(text).is_ok()
    }
}
