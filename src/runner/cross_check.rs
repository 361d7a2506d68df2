//! Kafka's own tools beside lossproof: `kafka-get-offsets.sh` for the ends of the logs, `kafka-consumer-groups.sh` for
//! what groups have committed and how far they are behind. Asked when clients have ended and nothing moves any more,
//! since a tool's Java machine takes seconds to start.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lossproof_ledger::event::{Behind, EventKind};

use super::lag::{self, Watched};
use super::recorder::Recorder;
use crate::cluster::Cluster;

const OFFSETS: &str = "kafka-get-offsets.sh";
const GROUPS: &str = "kafka-consumer-groups.sh";

/// Figures by name, such as `partition 2: log end`.
type Figures = BTreeMap<String, i64>;

/// Asks both tools about every profile, and records what they tell alike and otherwise.
///
/// # Errors
/// When a tool can't be run or says nothing that can be read.
pub async fn compare(cluster: &Cluster, all: &[Watched], recorder: &Recorder) -> Result<()> {
    let looked = lag::look(&cluster.harness(), all).await;
    for (watched, behind) in all.iter().zip(looked) {
        let offsets = run(cluster, OFFSETS, &["--topic", &watched.topic]).await?;
        let groups = run(cluster, GROUPS, &["--describe", "--group", &watched.group]).await?;
        let told = [(OFFSETS, ends(&behind), log_ends(&offsets)), (GROUPS, places(&behind), described(&groups))];
        for (tool, ours, theirs) in told {
            let (equal, differences) = differences(tool, &ours, &theirs);
            let (profile, tool) = (watched.profile.clone(), tool.to_owned());
            recorder.emit(EventKind::ToolCompared { profile, tool, equal, differences })?;
        }
    }
    Ok(())
}

async fn run(cluster: &Cluster, tool: &str, arguments: &[&str]) -> Result<String> {
    let broker = cluster.brokers.first().context("a cluster without brokers")?;
    let tool = format!("/opt/kafka/bin/{tool}");
    let bootstrap = cluster.harness_bootstrap();
    let command = [&[tool.as_str(), "--bootstrap-server", &bootstrap][..], arguments].concat();
    cluster.engine.exec(&broker.container, None, &command).await?.success().with_context(|| tool.clone())
}

fn ends(behind: &[Behind]) -> Figures {
    behind.iter().map(|one| (log_end(one.partition), one.log_end)).collect()
}

/// Without a commit there is nothing to be behind of, as the tool has it.
fn places(behind: &[Behind]) -> Figures {
    let places = behind.iter().flat_map(|one| {
        let committed = one.committed.map(|offset| (format!("partition {}: committed", one.partition), offset));
        let lag = one.committed.map(|offset| (format!("partition {}: lag", one.partition), one.log_end - offset));
        [Some((log_end(one.partition), one.log_end)), committed, lag].into_iter().flatten()
    });
    places.collect()
}

fn log_end(partition: i32) -> String {
    format!("partition {partition}: log end")
}

/// From lines such as `orders:0:4711`.
fn log_ends(said: &str) -> Figures {
    let figure = |line: &str| {
        let (rest, offset) = line.trim().rsplit_once(':')?;
        let (_, partition) = rest.rsplit_once(':')?;
        Some((log_end(partition.parse().ok()?), offset.parse().ok()?))
    };
    said.lines().filter_map(figure).collect()
}

/// From a table under a line of names; `-` stands for what there is not.
fn described(said: &str) -> Figures {
    const COLUMNS: [(&str, &str); 3] = [("CURRENT-OFFSET", "committed"), ("LOG-END-OFFSET", "log end"), ("LAG", "lag")];
    let mut lines = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(head) = lines.by_ref().find(|words| words.first() == Some(&"GROUP")) else {
        return Figures::new();
    };
    let column = |name: &str| head.iter().position(|word| *word == name);
    let figures = lines.flat_map(|words| {
        let value = |name: &str| column(name).and_then(|at| words.get(at)).and_then(|word| word.parse::<i64>().ok());
        let partition = value("PARTITION");
        COLUMNS.map(|(name, meaning)| Some((format!("partition {}: {meaning}", partition?), value(name)?)))
    });
    figures.flatten().collect()
}

/// How many figures are equal, and a sentence on each that is not.
fn differences(tool: &str, ours: &Figures, theirs: &Figures) -> (usize, Vec<String>) {
    let word = |figure: Option<&i64>| figure.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let (equal, different): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| ours.get(*name) == theirs.get(*name));
    let sentence = |name: &String| {
        format!("{name} is {} by {tool}, and {} by the brokers", word(theirs.get(name)), word(ours.get(name)))
    };
    (equal.len(), different.into_iter().map(sentence).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHIND: [Behind; 2] = [
        Behind { partition: 0, log_end: 90, committed: Some(70) },
        Behind { partition: 1, log_end: 5, committed: None },
    ];
    const TABLE: &str = "\nGROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID\n\
        g      a-b    0          70              90              20   -            -     -\n\
        g      a-b    1          -               5               -    -            -     -\n";

    #[test]
    fn tools_that_tell_the_same_differ_in_nothing() {
        assert_eq!(differences(OFFSETS, &ends(&BEHIND), &log_ends("a-b:0:90\na-b:1:5\n")), (2, vec![]));
        assert_eq!(differences(GROUPS, &places(&BEHIND), &described(TABLE)), (4, vec![]));
    }

    #[test]
    fn every_figure_that_differs_is_told() {
        let (equal, differences) = differences(OFFSETS, &ends(&BEHIND), &log_ends("a-b:0:91\nsomething else\n"));
        assert_eq!(equal, 0);
        assert_eq!(
            differences,
            [
                "partition 0: log end is 91 by kafka-get-offsets.sh, and 90 by the brokers",
                "partition 1: log end is nothing by kafka-get-offsets.sh, and 5 by the brokers",
            ]
        );
        let table = TABLE.replace(" 20 ", " 19 ");
        assert_eq!(super::differences(GROUPS, &places(&BEHIND), &described(&table)).1.len(), 1);
        assert_eq!(super::differences(GROUPS, &places(&BEHIND), &described("Error: no such group")).0, 0);
    }
}
