//! What `check` found, as text.

use super::out::{Style, Tone};
use super::words::{brokers, count, wrapped};
use crate::report::check::{CheckReport, FoundEntry};

/// Topics that are named before the rest is counted.
const NAMED: usize = 5;
/// Columns before the text of a labelled line.
const INDENT: usize = 13;

pub(super) fn lines(report: &CheckReport, style: Style, width: u16) -> Vec<String> {
    let mut lines = vec![format!(
        "looked at {}, {} with {} ({})",
        brokers(&report.brokers),
        count(report.topics as u64, "topic", "topics"),
        count(report.partitions as u64, "partition", "partitions"),
        report.bootstrap.join(",")
    )];
    lines.extend(report.client.iter().cloned());
    for (number, finding) in report.findings.iter().enumerate() {
        lines.push(String::new());
        lines.push(style.paint(Tone::Bad, &format!("{}. {}", number + 1, finding.what)));
        lines.extend(body(finding, style, usize::from(width)));
    }
    if !report.notes.is_empty() || !report.unseen.is_empty() {
        lines.push(String::new());
    }
    lines.extend(report.notes.iter().map(|note| style.paint(Tone::Notable, &format!("note: {note}"))));
    for unseen in &report.unseen {
        lines.push(style.paint(Tone::Notable, &format!("not seen: {}", unseen.what)));
        lines.push(format!("  help: {}", unseen.remedy));
    }
    lines.push(String::new());
    lines.push(match (report.findings.len(), report.unseen.is_empty()) {
        (0, true) => style.paint(Tone::Good, "Nothing found."),
        (0, false) => style.paint(Tone::Notable, "Nothing found in what could be seen."),
        (1, _) => style.paint(Tone::Bad, "1 finding."),
        (many, _) => style.paint(Tone::Bad, &format!("{many} findings.")),
    });
    lines
}

fn body(finding: &FoundEntry, style: Style, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut labelled = |label: &str, text: &str| {
        for (number, line) in wrapped(text, width.saturating_sub(INDENT).max(30)).into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let label = style.paint(Tone::Faint, &format!("   {label:<width$}", width = INDENT - 3));
            lines.push(format!("{label}{line}"));
        }
    };
    if !finding.topics.is_empty() {
        labelled("topics", &named(&finding.topics));
    }
    labelled("why", finding.why);
    for change in &finding.changes {
        let from = change.from.as_ref().map(|from| format!("{from} → ")).unwrap_or_default();
        labelled("change", &format!("{}: {from}{}", change.setting, change.to));
    }
    if let Some(advice) = &finding.advice {
        labelled("do", advice);
    }
    labelled("shown by", &finding.experiments.join(", "));
    lines
}

/// The first few, and how many more.
fn named(topics: &[String]) -> String {
    let (first, rest) = topics.split_at(topics.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Terminal;
    use super::super::tests::Page;
    use super::*;
    use crate::report::check::{SettingChange, Unseen};

    fn report() -> CheckReport {
        let change = |setting: &str, from: Option<&str>, to: &str| SettingChange {
            setting: setting.to_owned(),
            from: from.map(str::to_owned),
            to: to.to_owned(),
        };
        CheckReport {
            bootstrap: vec!["b1:9092".to_owned()],
            brokers: vec![1, 2, 3],
            topics: 501,
            partitions: 1503,
            client: Some("own.properties is read as the options of Java's producer".to_owned()),
            findings: vec![
                FoundEntry {
                    rule: "replication-factor-one",
                    what: "500 topics with one replica".to_owned(),
                    topics: (0..500).map(|n| format!("topic-{n:03}")).collect(),
                    why: "while its broker is away nothing can be written or read, and what is on its disk alone goes with the disk",
                    changes: vec![
                        change("topic replication factor", Some("1"), "3"),
                        change("topic min.insync.replicas", None, "2"),
                    ],
                    advice: Some("replicas are added to a topic by kafka-reassign-partitions".to_owned()),
                    experiments: vec!["experiments/broker/rf-one-restart.yaml".to_owned()],
                },
                FoundEntry {
                    rule: "acks-one",
                    what: "acks=1".to_owned(),
                    topics: Vec::new(),
                    why: "the leader answers alone",
                    changes: vec![change("producer acks", Some("1"), "all")],
                    advice: None,
                    experiments: vec!["experiments/producer/acks-one.yaml".to_owned()],
                },
            ],
            unseen: vec![Unseen { what: "not authorised to see x".to_owned(), remedy: "grant it".to_owned() }],
            notes: vec!["own.properties:2:1: Java's producer has no option `ack`".to_owned()],
        }
    }

    #[test]
    fn findings_are_shown_in_full_and_topics_counted() {
        let page = Page::default();
        Terminal::plain(Box::new(page.clone())).check(&report());
        insta::assert_snapshot!(page.text());
    }

    #[test]
    fn nothing_found_is_said_only_of_what_was_seen() {
        let last = |report: &CheckReport| lines(report, Style { colour: false }, 100).pop().unwrap();
        let none = CheckReport { findings: Vec::new(), ..report() };
        assert_eq!(last(&none), "Nothing found in what could be seen.");
        assert_eq!(last(&CheckReport { unseen: Vec::new(), ..none }), "Nothing found.");
    }

    #[test]
    fn json_names_every_topic() {
        let json: serde_json::Value = serde_json::from_slice(&report().to_json().unwrap()).unwrap();
        assert_eq!(json["findings"][0]["topics"].as_array().unwrap().len(), 500);
        assert_eq!(json["findings"][1]["changes"][0]["to"], "all");
        assert_eq!(json["unseen"][0]["remedy"], "grant it");
    }
}
