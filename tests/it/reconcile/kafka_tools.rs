//! Output of Kafka's own tools, 3.9.2, as they printed it on a cluster of three brokers: the folder
//! `tests/kafka-tools`. The killed producer's is cut to its first lines, as if it had died earlier.

use super::{Folder, json, stderr, stdout};

fn tool(name: &str) -> String {
    format!("{}/tests/kafka-tools/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn everything_that_the_tools_tell_of_is_accounted_for() {
    let folder = Folder::new();
    let (prefix, plain, refused) =
        (tool("producer-prefix.jsonl"), tool("producer-plain.jsonl"), tool("producer-refused.jsonl"));
    let consumed = tool("consumer-verbose.jsonl");
    let args = ["--produced", &prefix, &plain, "--consumed", &consumed];
    let output = folder.reconcile(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    insta::assert_snapshot!("kafka-tools", stdout(&output));

    // Three sends were refused, in no partition.
    let args = ["--produced", &prefix, &plain, &refused, "--consumed", &consumed, "--format", "json"];
    let output = folder.reconcile(&args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let account = json(&output);
    assert_eq!(account["counts"]["offered"], 73);
    assert_eq!(account["counts"]["failed"], 3);
    assert_eq!(account["counts"]["undelivered"]["failed"], 3);
    assert_eq!(
        account["anomalies"],
        serde_json::json!([
            {"producer": "8", "partition": null, "first": 0, "last": 2, "finding": "undelivered"}
        ])
    );
}

#[test]
fn the_table_of_committed_offsets_tells_that_everything_was_read() {
    let folder = Folder::new();
    let (produced, consumed) = (tool("producer-prefix.jsonl"), tool("consumer-verbose.jsonl"));
    let plain = tool("producer-plain.jsonl");
    let commits = tool("consumer-groups.txt");
    let args = ["--produced", &produced, &plain, "--consumed", &consumed, "--committed", &commits, "--format", "json"];
    let output = folder.reconcile(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(json(&output)["read"], "whole");
}

#[test]
fn a_killed_producer_may_have_sent_more_than_it_told() {
    let folder = Folder::new();
    let killed = tool("producer-killed.jsonl");
    let mut records = String::new();
    for (offset, value) in (30..).zip(0..61) {
        records.push_str(&format!(
            "{{\"timestamp\":1,\"name\":\"record_data\",\"key\":null,\"value\":\"9.{value}\",\"topic\":\"vt\",\"partition\":2,\"offset\":{offset}}}\n"
        ));
    }
    folder.write("c", records);
    let output = folder.reconcile(&["--produced", &killed, "--consumed", "c", "--format", "json"]);
    let account = json(&output);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(account["counts"]["phantom"], 2, "9.59 and 9.60 were not reported");
    assert_eq!(account["counts"]["lost"], 0);
    assert!(account["notes"][0].as_str().unwrap().contains("before its producer had shut down"), "{account}");
}

#[test]
fn a_value_below_the_highest_was_sent_even_if_nobody_reports_it() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(tool("producer-prefix.jsonl")).unwrap();
    let without: String =
        text.lines().filter(|line| !line.contains("\"7.5\"")).map(|line| format!("{line}\n")).collect();
    folder.write("p", without.replace("\"sent\":40", "\"sent\":39"));
    let consumed = tool("consumer-verbose.jsonl");
    let plain = tool("producer-plain.jsonl");
    let output = folder.reconcile(&["--produced", "p", &plain, "--consumed", &consumed, "--format", "json"]);
    let account = json(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!((&account["counts"]["offered"], &account["counts"]["delivered"]), (&70.into(), &70.into()));
    assert_eq!(account["counts"]["indeterminate"], 1);
}

#[test]
fn without_verbose_nothing_can_be_told() {
    let folder = Folder::new();
    let refusal =
        folder.refusal(&["--produced", &tool("producer-plain.jsonl"), "--consumed", &tool("consumer-quiet.jsonl")]);
    assert!(refusal.contains("consumer-quiet.jsonl:3:1: ") && refusal.contains("--verbose"), "{refusal}");
}

#[test]
fn the_tools_files_the_wrong_way_round_are_told() {
    let folder = Folder::new();
    let (produced, consumed) = (tool("producer-plain.jsonl"), tool("consumer-verbose.jsonl"));
    let refusal = folder.refusal(&["--produced", &consumed, "--consumed", &produced]);
    assert!(refusal.contains("does the file belong behind --consumed?"), "{refusal}");
}

#[test]
fn two_runs_of_a_producer_without_a_prefix_are_not_mixed_up() {
    let folder = Folder::new();
    let plain = tool("producer-plain.jsonl");
    folder.write("again", std::fs::read(&plain).unwrap());
    let refusal = folder.refusal(&["--produced", &plain, "again", "--consumed", &tool("consumer-verbose.jsonl")]);
    assert!(refusal.contains("again:2:1: ") && refusal.contains("--value-prefix"), "{refusal}");
}

#[test]
fn lines_that_the_consumer_counted_and_did_not_list_leave_the_read_incomplete() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(tool("consumer-verbose.jsonl")).unwrap();
    let without: String =
        text.lines().filter(|line| !line.contains("\"7.5\"")).map(|line| format!("{line}\n")).collect();
    folder.write("c", without);
    let (prefix, plain) = (tool("producer-prefix.jsonl"), tool("producer-plain.jsonl"));
    let output = folder.reconcile(&["--produced", &prefix, &plain, "--consumed", "c", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!((&json(&output)["counts"]["lost"], &json(&output)["counts"]["lagging"]), (&0.into(), &1.into()));
}
