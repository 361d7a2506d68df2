//! The JSON Schemas and the readers agree on what is a line.

use serde_json::Value;
use test_case::test_case;

use super::{Folder, json, stderr, stdout};

const GOOD: &[(&str, &str)] = &[
    ("produced", r#"{"producer":"orders-1","partition":0,"seq":17,"status":"acked","offset":4711}"#),
    (
        "produced",
        r#"{"producer":"","partition":2147483647,"seq":18446744073709551615,"status":"unconfirmed","offset":-1}"#,
    ),
    ("produced", r#"{"producer":"a","seq":0,"status":"failed","error":"RecordTooLarge"}"#),
    ("produced", r#"{"producer":"a","partition":null,"seq":0,"status":"indeterminate","at":1795255200000}"#),
    (
        "produced",
        r#"{"producer":"a","partition":-1,"seq":0,"status":"unsent","at":"2026-11-21T10:00:00.5Z","topic":"t"}"#,
    ),
    ("consumed", r#"{"producer":"orders-1","partition":0,"seq":17,"offset":4711}"#),
    (
        "consumed",
        r#"{"producer":"a","partition":0,"seq":0,"offset":0,"processed":false,"at":"2026-11-21T10:00:00+01:00"}"#,
    ),
    ("consumed", r#"{"producer":"a","partition":0,"seq":0,"offset":0,"processed":null,"topic":"t","key":{"k":[]}}"#),
    ("committed", r#"{"group":"billing","partition":0,"offset":4712}"#),
    ("committed", r#"{"partition":0,"offset":0,"end":12,"topic":"t"}"#),
];

const BAD: &[(&str, &str)] = &[
    ("produced", r#"{"partition":0,"seq":17,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":0,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":0,"seq":1}"#),
    ("produced", r#"{"producer":"a","seq":1,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":-1,"seq":1,"status":"unconfirmed"}"#),
    ("produced", r#"{"producer":"a","partition":-2,"seq":1,"status":"failed"}"#),
    ("produced", r#"{"producer":1,"partition":0,"seq":1,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":0,"seq":-1,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":0,"seq":1.5,"status":"acked"}"#),
    ("produced", r#"{"producer":"a","partition":0,"seq":1,"status":"ok"}"#),
    ("produced", r#"{"producer":"a","partition":2147483648,"seq":1,"status":"acked"}"#),
    ("produced", r#"["producer"]"#),
    ("consumed", r#"{"producer":"a","partition":0,"seq":1}"#),
    ("consumed", r#"{"producer":"a","partition":0,"seq":1,"offset":-1}"#),
    ("consumed", r#"{"producer":"a","partition":null,"seq":1,"offset":1}"#),
    ("consumed", r#"{"producer":"a","partition":0,"seq":1,"offset":1,"processed":"yes"}"#),
    ("consumed", r#"{"producer":"a","partition":0,"seq":1,"offset":1,"at":true}"#),
    ("committed", r#"{"partition":0}"#),
    ("committed", r#"{"partition":0,"offset":"12"}"#),
    ("committed", r#"{"partition":0,"offset":1,"end":-1}"#),
];

fn schema(name: &str) -> jsonschema::Validator {
    let output = Folder::new().reconcile(&["--schema", name]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let schema = json(&output);
    assert!(jsonschema::meta::is_valid(&schema), "{name}");
    jsonschema::validator_for(&schema).unwrap()
}

/// Whether lossproof reads a line of that kind, beside good ones of the others.
fn is_read(name: &str, line: &str) -> bool {
    let folder = Folder::new();
    let produced = r#"{"producer":"a","partition":0,"seq":0,"status":"acked","offset":0}"#;
    let consumed = r#"{"producer":"a","partition":0,"seq":0,"offset":0}"#;
    let whole = |own: &str, good: &str| {
        // Topics and groups of the lines must not differ.
        if own == name { format!("{line}\n") } else { format!("{good}\n") }
    };
    folder.write("p", if name == "produced" { format!("{line}\n{produced}\n") } else { whole("produced", produced) });
    folder.write("c", if name == "consumed" { format!("{line}\n{consumed}\n") } else { whole("consumed", consumed) });
    folder.write("o", whole("committed", r#"{"partition":0,"offset":1}"#));
    let output = folder.reconcile(&["--produced", "p", "--consumed", "c", "--committed", "o"]);
    match output.status.code() {
        Some(0..=2) => true,
        Some(3) => {
            assert!(
                stderr(&output).contains(
                    &format!("{}:1:", &name[..1]).replace("c:1:", if name == "committed" { "o:1:" } else { "c:1:" })
                ),
                "{}",
                stderr(&output)
            );
            false
        }
        other => panic!("{other:?}: {}{}", stdout(&output), stderr(&output)),
    }
}

#[test_case("produced")]
#[test_case("consumed")]
#[test_case("committed")]
fn what_the_schema_allows_is_read_and_nothing_else(name: &str) {
    let schema = schema(name);
    for (expected, lines) in [(true, GOOD), (false, BAD)] {
        for (_, line) in lines.iter().filter(|(kind, _)| *kind == name) {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(schema.is_valid(&value), expected, "by the schema: {line}");
            assert_eq!(is_read(name, line), expected, "by lossproof: {line}");
        }
    }
}
