//! `lossproof reconcile`: accounts for the messages of anyone's client, from its logs.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use lossproof_ledger::metric::Metric;
use lossproof_ledger::reconcile::Error as Contradiction;
use lossproof_ledger::verdict::Promise;

use super::run::of_verdict;
use super::{fail, refuse, write_out};
use crate::exit::Exit;
use crate::experiment::{Expectation, Problem, Problems, expectation_argument};
use crate::import::{self, Account, Error, Kind, NAME, Options, Refusal, schema};
use crate::report::account::JudgedAccount;
use crate::report::judge::promise;
use crate::report::terminal::{Output, Terminal};
use crate::runner::stop::Stop;

/// Account for every message of anyone's client, from its logs
///
/// Takes what producers were told and what consumers read, one JSON object a line, and says of each message
/// whether it was delivered, lost or duplicated, or that it can't be known: with the same categories, sums and
/// exit codes as for a run. Files may be plain, gzip or zstd; `-` is standard input; the order of lines and files
/// does not matter.
///
/// What was consumed counts as a complete read of the log, unless --partial or --committed says otherwise. Then
/// what is missing is lagging, which is inconclusive. The output of Kafka's own kafka-verifiable-producer and
/// kafka-verifiable-consumer --verbose is recognised by itself.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub struct ReconcileArgs {
    /// What producers were told of each message (see --schema produced)
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "schema")]
    produced: Vec<PathBuf>,

    /// The records that consumers read (see --schema consumed)
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "schema")]
    consumed: Vec<PathBuf>,

    /// Where the consumer group stands: JSON lines (see --schema committed), or what `kafka-consumer-groups
    /// --describe` prints. A partition counts as read up to there, and as whole if the log ends there
    #[arg(long, value_name = "FILE")]
    committed: Option<PathBuf>,

    /// What was consumed is not a complete read of the log: what is missing is lagging, not lost
    #[arg(long)]
    partial: bool,

    /// The producers' acks: with 0, an acknowledgement proves nothing and counts as unconfirmed
    #[arg(long, value_name = "ACKS", value_parser = ["0", "1", "all", "-1"], default_value = "all", hide_default_value = true, allow_hyphen_values = true)]
    acks: String,

    /// What must hold, else the exit code is 1: a count and a bound, as under `must_hold` in an experiment.
    /// May be given several times; `lost: 0` holds as long as no other bound is given for `lost`
    #[arg(long, value_name = "METRIC: BOUND")]
    expect: Vec<String>,

    /// The group, where --committed tells of several
    #[arg(long, value_name = "GROUP", requires = "committed")]
    group: Option<String>,

    /// The topic, where inputs tell of several
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// Format of the inputs, where their first lines don't tell
    #[arg(long, value_enum, default_value_t)]
    from: From,

    /// How the account is shown. json: on standard output, and as text on standard error
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// How many ranges of lost, duplicated or otherwise remarkable messages are shown as text, the largest first
    #[arg(long, value_name = "N", default_value_t = 10)]
    ranges: usize,

    /// Print the JSON Schema of an input's lines, and do nothing else
    #[arg(long, value_enum, value_name = "INPUT", exclusive = true)]
    schema: Option<Input>,
}

const USAGE: &str = "lossproof reconcile [OPTIONS] --produced <FILE>... --consumed <FILE>...";

const EXAMPLES: &str = r#"Examples:
  lossproof reconcile --produced produced.jsonl --consumed consumed.jsonl
  lossproof reconcile --produced p-*.jsonl.gz --consumed c-*.jsonl.zst --expect 'duplicates: 0'
  kubectl logs consumer | lossproof reconcile --produced produced.jsonl --consumed -
  kafka-consumer-groups.sh --describe --group billing … > group.txt
  lossproof reconcile --produced p.jsonl --consumed c.jsonl --committed group.txt

A line of --produced:  {"producer":"orders-1","partition":0,"seq":17,"status":"acked","offset":4711}
A line of --consumed:  {"producer":"orders-1","partition":0,"seq":17,"offset":4711}

`status` is acked, failed (certainly not appended), indeterminate, unsent or unconfirmed (acks=0).
`seq` numbers a producer's messages within a partition or over all, with or without gaps.
`processed: false` marks a record that was polled and never processed.

Exit codes:
  0    nothing is lost, and everything expected holds
  1    a message is lost, or an expectation is broken
  2    inconclusive: it can't be known, and why
  3    bad input, told with its place"#;

/// Formats of inputs.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum From {
    /// As the first line of each tells
    #[default]
    Auto,
    /// One JSON object a line, as the schemas say
    Jsonl,
    /// What Kafka's verifiable producer and consumer print
    KafkaVerifiable,
}

/// Formats of the account.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A table, the largest ranges, and the verdict
    #[default]
    Text,
    /// Counts, partitions, ranges (at most 100,000 of a kind) and the verdict, for machines
    Json,
}

/// Inputs that have a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Input {
    /// What producers were told
    Produced,
    /// What consumers read
    Consumed,
    /// Where the group stands
    Committed,
}

/// Runs the subcommand.
pub async fn run(args: ReconcileArgs) -> Exit {
    if let Some(input) = args.schema {
        return write_out(schema::of(match input {
            Input::Produced => Kind::Produced,
            Input::Consumed => Kind::Consumed,
            Input::Committed => Kind::Committed,
        }));
    }
    let must_hold = match promises(&args.expect) {
        Ok(must_hold) => must_hold,
        Err(problems) => return refuse(&problems),
    };
    let output = match args.format {
        Format::Text => Output::Plain,
        Format::Json => Output::Json,
    };
    let ranges = args.ranges;
    let account = match account(args).await {
        Ok(account) => account,
        Err(exit) => return exit,
    };
    let judgement = account.judge(must_hold);
    Terminal::new(output).account(&JudgedAccount { account: &account, judgement: &judgement }, ranges);
    of_verdict(judgement.verdict)
}

/// Reads and reconciles on a thread of its own, so that a signal ends the program at once, and what was kept
/// for the second look goes with it.
async fn account(args: ReconcileArgs) -> Result<Account, Exit> {
    let options = Options {
        produced: args.produced,
        consumed: args.consumed,
        committed: args.committed,
        partial: args.partial,
        acks_0: args.acks == "0",
        group: args.group,
        topic: args.topic,
        format: match args.from {
            From::Auto => None,
            From::Jsonl => Some(import::Format::Jsonl),
            From::KafkaVerifiable => Some(import::Format::KafkaVerifiable),
        },
    };
    let prepared =
        Stop::on_signals().and_then(|stop| Ok((stop, tempfile::Builder::new().prefix("lossproof-").tempdir()?)));
    let (stop, folder) = prepared.context("can't make a temporary folder").map_err(|error| {
        fail(&error);
        Exit::Environment
    })?;
    let path = folder.path().to_owned();
    let reading = tokio::task::spawn_blocking(move || import::reconcile(&options, &path));
    let done = tokio::select! {
        done = reading => done,
        signal = stop.asked() => {
            eprintln!("stopped by {signal}");
            return Err(Exit::Interrupted);
        }
    };
    match done {
        Ok(Ok(account)) => Ok(account),
        Ok(Err(error)) => Err(refused(error)),
        Err(error) => Err(fail(&anyhow::Error::new(error).context("the reconciliation ended unfinished"))),
    }
}

fn refused(error: Error) -> Exit {
    match error {
        Error::Refused(refusal) => tell(&refusal),
        Error::Reconcile(error @ Contradiction::TooMany { .. }) => tell(&Refusal::new(error.to_string())),
        Error::Reconcile(error) => {
            fail(&error.into());
            Exit::Internal
        }
        Error::Spool(error) => {
            fail(&anyhow::Error::new(error).context("what was read can't be kept for a second look"));
            super::hint("TMPDIR chooses another folder; some 10 bytes a line are needed");
            Exit::Environment
        }
    }
}

fn tell(refusal: &Refusal) -> Exit {
    eprintln!("error: {refusal}");
    Exit::BadInput
}

/// What must hold. Nothing may be lost as long as nobody says otherwise.
fn promises(arguments: &[String]) -> Result<Vec<Promise>, Problems> {
    let mut promises = Vec::new();
    let mut problems = Vec::new();
    for argument in arguments {
        match expectation_argument(argument, None) {
            Ok(expectation) => match countable(&expectation) {
                Some(promise) => promises.push(promise),
                None => problems.push(
                    Problem::new(format!("`{}` can't be told from logs of messages", expectation.metric))
                        .hint("it takes a run: `lossproof run`"),
                ),
            },
            Err(Problems(found)) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let lost = Metric::named("lost");
    if let Some(metric) = lost.filter(|lost| !promises.iter().any(|promise| promise.metric == *lost)) {
        let comparison = lossproof_ledger::metric::Comparison::Equal;
        promises.insert(0, Promise { profile: NAME.to_owned(), metric, comparison, bound: 0 });
    }
    Ok(promises)
}

/// The promise, if it is one of a count of messages.
fn countable(expectation: &Expectation) -> Option<Promise> {
    let promise = promise(expectation).ok()?;
    matches!(promise.metric, Metric::Count(_)).then(|| Promise { profile: NAME.to_owned(), ..promise })
}
