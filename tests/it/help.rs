//! What the program says of itself, and how it refuses.

use std::process::Command;

use super::brokers::engine::Engine;

/// Exit code, stdout and stderr, without what the caller's environment would change in them.
fn said(args: &[&str], engine: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lossproof"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    for name in ["KAFKA_IMAGE", "COLUMNS", "LOSSPROOF_LOG", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    if let Some(address) = engine {
        command.env("DOCKER_HOST", address);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!(
        "exit code {:?}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr)
    )
}

#[test]
fn help_tells_the_commands_and_exit_codes() {
    insta::assert_snapshot!(said(&["--help"], None));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(said(&["run", "--help"], None));
}

#[test]
fn help_of_list() {
    insta::assert_snapshot!(said(&["list", "--help"], None));
}

#[test]
fn help_of_explain() {
    insta::assert_snapshot!(said(&["explain", "--help"], None));
}

#[test]
fn help_of_reconcile() {
    insta::assert_snapshot!(said(&["reconcile", "--help"], None));
}

#[test]
fn help_of_check() {
    insta::assert_snapshot!(said(&["check", "--help"], None));
}

#[test]
fn help_of_analyze() {
    insta::assert_snapshot!(said(&["analyze", "--help"], None));
}

#[test]
fn without_a_command_help_is_an_error() {
    let said = said(&[], None);
    assert!(said.starts_with("exit code 3\n--- stdout\n--- stderr\n"), "{said}");
    assert!(said.contains("Usage: lossproof <COMMAND>"), "{said}");
}

#[test]
fn an_unknown_flag_is_bad_usage() {
    insta::assert_snapshot!(said(&["run", "leader-kill", "--kepp"], None));
}

#[test]
fn without_an_engine_nothing_runs() {
    let runs = tempfile::tempdir().unwrap();
    let args = ["run", "leader-kill", "--runs", runs.path().to_str().unwrap()];
    insta::assert_snapshot!(said(&args, Some("unix:///nonexistent/docker.sock")));
    assert_eq!(runs.path().read_dir().unwrap().count(), 0, "no folder of a run that never was");
}

#[test]
fn without_an_engine_nothing_is_cleaned() {
    insta::assert_snapshot!(said(&["clean"], Some("unix:///nonexistent/docker.sock")));
}

#[test]
fn nothing_to_clean_is_fine() {
    let _engine = Engine::exclusive();
    insta::assert_snapshot!(said(&["clean", "--run", "no-such-run"], None));
}
