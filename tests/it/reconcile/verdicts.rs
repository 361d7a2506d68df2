//! What is expected, how far the log was read, and the exit codes.

use serde_json::Value;
use test_case::test_case;

use super::{Folder, acked, json, read, stderr, stdout};

/// Ten messages of one producer: 3 lost in the cluster, 5 passed over, 7 twice in the log, 8 read twice.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("p", (0..10).map(|seq| acked("a", 0, seq)).collect::<String>());
    let mut consumed = String::new();
    for seq in (0..10).filter(|seq| *seq != 3) {
        let line = read("a", 0, seq, seq);
        consumed.push_str(&if seq == 5 { line.replace('}', ",\"processed\":false}") } else { line });
    }
    consumed.push_str(&read("a", 0, 7, 10));
    consumed.push_str(&read("a", 0, 8, 8));
    folder.write("c", consumed);
    folder
}

fn run(folder: &Folder, more: &[&str]) -> (Option<i32>, Value) {
    let mut args = vec!["--produced", "p", "--consumed", "c", "--format", "json"];
    args.extend(more);
    let output = folder.reconcile(&args);
    assert!(stderr(&output).contains("balanced"), "{}", stderr(&output));
    (output.status.code(), json(&output))
}

#[test]
fn the_account_as_people_and_as_machines_see_it() {
    let folder = folder();
    let output = folder.reconcile(&["--produced", "p", "--consumed", "c", "--ranges", "3"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("account", stdout(&output));
    let output = folder.reconcile(&["--produced", "p", "--consumed", "c", "--format", "json"]);
    insta::assert_snapshot!("account.json", stdout(&output));
}

#[test_case(&[], 1; "by itself nothing may be lost")]
#[test_case(&["--expect", "lost: 2"], 0; "as many as expected")]
#[test_case(&["--expect", "lost: <=1"], 1; "more than expected")]
#[test_case(&["--expect", "duplicates: 0"], 1; "nothing may be lost beside what is expected")]
#[test_case(&["--expect", "lost: \">=1\"", "--expect", "duplicates: 1"], 0; "a bound in quotes")]
#[test_case(&["--expect", "lost: 2", "--expect", "duplicates: 0"], 1; "a duplicate")]
#[test_case(&["--expect", "lost: 2", "--expect", "redelivered: 0"], 1; "a redelivery")]
#[test_case(&["--expect", "lost: 2", "--expect", "lost_in_cluster: 1", "--expect", "lost_by_consumer: 1"], 0; "each by itself")]
#[test_case(&["--expect", "lost: 1", "--acks", "0"], 1; "acks 0 changes what was told")]
fn expectations(args: &[&str], code: i32) {
    let (found, account) = run(&folder(), args);
    assert_eq!(found, Some(code), "{}", account["reasons"]);
}

#[test]
fn with_acks_0_nothing_was_confirmed() {
    let (_, account) = run(&folder(), &["--acks", "0"]);
    let counts = &account["counts"];
    assert_eq!((&counts["acked"], &counts["unconfirmed"]), (&0.into(), &10.into()));
    assert_eq!((&counts["lost_in_cluster"], &counts["undelivered"]["unconfirmed"]), (&0.into(), &1.into()));
}

#[test]
fn a_partial_read_proves_no_loss() {
    let (code, account) = run(&folder(), &["--partial"]);
    assert_eq!(code, Some(2), "{}", account["reasons"]);
    let counts = &account["counts"];
    // What was polled and not processed may be processed yet.
    assert_eq!((&counts["lost"], &counts["lagging"], &counts["delivered"]), (&0.into(), &2.into(), &8.into()));
    assert_eq!(account["read"], "partial");
    // Who expects lag has nothing left to wonder about.
    let (code, _) = run(&folder(), &["--partial", "--expect", "lagging: <5"]);
    assert_eq!(code, Some(0));
}

#[test_case("{\"partition\":0,\"offset\":2}", 0, 2; "the group is before all of it")]
#[test_case("{\"partition\":0,\"offset\":4}", 1, 1; "past what is gone, before what was passed over")]
#[test_case("{\"partition\":0,\"offset\":11}", 2, 0; "past both")]
#[test_case("{\"partition\":0,\"offset\":11,\"end\":11}", 2, 0; "at the end")]
#[test_case("{\"partition\":1,\"offset\":11}", 0, 2; "nothing known of the partition")]
fn committed_offsets_tell_how_far_the_log_was_read(commits: &str, lost: u64, lagging: u64) {
    let folder = folder();
    folder.write("o", commits);
    let (code, account) = run(&folder, &["--committed", "o"]);
    let counts = &account["counts"];
    assert_eq!((&counts["lost"], &counts["lagging"]), (&lost.into(), &lagging.into()), "{account}");
    assert_eq!(code, Some(if lost > 0 { 1 } else { 2 }));
}

#[test]
fn what_was_acknowledged_without_an_offset_may_lie_beyond_a_commit() {
    let folder = folder();
    folder.write(
        "p",
        (0..10).map(|seq| acked("a", 0, seq).replace(&format!(",\"offset\":{seq}"), "")).collect::<String>(),
    );
    folder.write("o", "{\"partition\":0,\"offset\":11}");
    let (_, account) = run(&folder, &["--committed", "o"]);
    let counts = &account["counts"];
    assert_eq!((&counts["lost_in_cluster"], &counts["lagging"]), (&0.into(), &1.into()));
    folder.write("o", "{\"partition\":0,\"offset\":11,\"end\":11}");
    let (_, account) = run(&folder, &["--committed", "o"]);
    assert_eq!(account["counts"]["lost_in_cluster"], 1);
}

#[test]
fn several_groups_are_told_apart() {
    let folder = folder();
    folder.write(
        "o",
        "{\"group\":\"g\",\"partition\":0,\"offset\":11,\"end\":11}\n{\"group\":\"h\",\"partition\":0,\"offset\":2}\n",
    );
    let refusal = folder.refusal(&["--produced", "p", "--consumed", "c", "--committed", "o"]);
    assert!(refusal.contains("o holds several groups: g, h") && refusal.contains("--group"), "{refusal}");
    let (_, account) = run(&folder, &["--committed", "o", "--group", "g"]);
    assert_eq!(account["read"], "whole");
    let (_, account) = run(&folder, &["--committed", "o", "--group", "h"]);
    assert_eq!(account["read"], "up_to_commits");
    let refusal = folder.refusal(&["--produced", "p", "--consumed", "c", "--committed", "o", "--group", "i"]);
    assert!(refusal.contains("o gives no committed offset"), "{refusal}");
}

#[test]
fn an_offset_with_two_messages_proves_nothing_lost() {
    let folder = folder();
    let mut consumed = std::fs::read_to_string(folder.path().join("c")).unwrap();
    consumed.push_str(&read("a", 0, 9, 2));
    folder.write("c", consumed);
    let (code, account) = run(&folder, &[]);
    // What the group passed over is lost all the same; of what is missing, nobody knows.
    assert_eq!(code, Some(2), "{}", account["reasons"]);
    assert_eq!((&account["counts"]["lost_in_cluster"], &account["counts"]["unreadable"]), (&0.into(), &1.into()));
    let note = account["notes"][0].as_str().unwrap();
    assert!(note.starts_with("offset 2 of partition 0 was read as 2 of a and as 9 of a"), "{note}");
}

#[test]
fn a_message_of_unknown_partition_may_lie_in_any() {
    let folder = folder();
    let unknown = |seq: u64| format!("{{\"producer\":\"a\",\"seq\":{seq},\"status\":\"indeterminate\"}}\n");
    let mut produced = std::fs::read_to_string(folder.path().join("p")).unwrap();
    // 4 is a second attempt of a message that was acknowledged; 20 landed; 21 did not.
    produced.push_str(&[4, 20, 21].map(unknown).concat());
    folder.write("p", produced);
    let mut consumed = std::fs::read_to_string(folder.path().join("c")).unwrap();
    consumed.push_str(&read("a", 1, 20, 0));
    consumed.push_str(&read("a", 1, 4, 1));
    folder.write("c", consumed);
    let (_, account) = run(&folder, &[]);
    let counts = &account["counts"];
    assert_eq!((&counts["offered"], &counts["acked"], &counts["indeterminate"]), (&12.into(), &10.into(), &2.into()));
    assert_eq!(counts["undelivered"]["indeterminate"], 1);
    assert_eq!((&counts["phantom"], &counts["duplicates"]), (&0.into(), &2.into()));
}

#[test_case("lost", "`lost` is no expectation"; "no bound")]
#[test_case("losst: 0", "unknown metric `losst`"; "unknown")]
#[test_case("lost: -1", "`-1` is no bound for `lost`"; "negative")]
#[test_case("lost: >=0", "is never below 0"; "always so")]
#[test_case("unavailable: <30s", "`unavailable` can't be told from logs of messages"; "a time")]
fn expectations_that_make_no_sense_are_refused(expectation: &str, expected: &str) {
    let refusal = folder().refusal(&["--produced", "p", "--consumed", "c", "--expect", expectation]);
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn the_place_of_a_mistake_in_an_expectation_is_shown() {
    let refusal = folder().refusal(&["--produced", "p", "--consumed", "c", "--expect", "duplicats: 0"]);
    insta::assert_snapshot!("expectation", refusal);
}
