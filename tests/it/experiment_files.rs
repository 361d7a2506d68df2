//! What `plan` and `list` say about good, bad and hostile files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use assert_cmd::cargo::CommandCargoExt;
use test_case::test_case;

/// Runs lossproof at the root of the repository, so that messages name files as the repository does.
fn lossproof(args: &[&str]) -> Output {
    Command::cargo_bin("lossproof")
        .unwrap()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_BACKTRACE")
        // A plan must do without an engine, and then says the same everywhere.
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The `*.yaml` of a folder of this repository, and of those inside it but for profiles, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path().strip_prefix(root).unwrap().to_owned();
        if root.join(&path).is_dir() && !path.ends_with("profiles") {
            files.extend(self::files(path.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A refusal: exit code 3, nothing on stdout, no colour in a pipe.
fn refusal(args: &[&str]) -> String {
    let output = lossproof(args);
    let text = stderr(&output).to_owned();
    assert_eq!(output.status.code(), Some(3), "{args:?}: {text}");
    assert!(stdout(&output).is_empty() || args.contains(&"--producer-config"), "{args:?}");
    assert!(!text.is_empty() && !text.contains('\u{1b}') && !text.contains("panicked"), "{args:?}: {text}");
    text
}

#[test]
fn every_malformed_experiment_is_refused_with_its_own_message() {
    let files = files("tests/experiments/invalid");
    assert!(files.len() >= 16, "only {} files", files.len());
    for file in files {
        let message = refusal(&["plan", file.to_str().unwrap()]);
        assert!(message.contains(".yaml:"), "no place in the message for {}:\n{message}", file.display());
        insta::assert_snapshot!(file.file_stem().unwrap().to_str().unwrap(), message);
    }
}

#[test]
fn every_valid_experiment_has_a_plan() {
    for file in files("tests/experiments/valid") {
        let output = lossproof(&["plan", file.to_str().unwrap()]);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{}", file.display());
        insta::assert_snapshot!(format!("plan-{}", file.file_stem().unwrap().to_str().unwrap()), stdout(&output));
    }
}

#[test]
fn a_resolved_plan_resolves_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let all = files("tests/experiments/valid").into_iter().chain(files("experiments"));
    for file in all {
        let first = lossproof(&["plan", "--resolved", file.to_str().unwrap()]);
        assert_eq!((first.status.code(), stderr(&first)), (Some(0), ""), "{}", file.display());
        let copy = folder.path().join(file.file_name().unwrap());
        fs::write(&copy, &first.stdout).unwrap();
        let second = lossproof(&["plan", "--resolved", copy.to_str().unwrap()]);
        assert_eq!(stdout(&first), stdout(&second), "{}", file.display());
    }
}

/// A catalogue with groups, profiles that they share, and what is none of its own.
const CATALOGUE: &str = "tests/experiments/catalogue";

#[test]
fn a_folder_is_planned_file_by_file_and_folder_by_folder() {
    let output = lossproof(&["plan", CATALOGUE]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let titles: Vec<_> = stdout(&output).lines().filter_map(|line| line.split_once("  (tests/experiments/")).collect();
    assert_eq!(
        titles,
        [
            ("first", "catalogue/first.yaml)"),
            ("second", "catalogue/after/second.yaml)"),
            ("third", "catalogue/after/deep/third.yaml)"),
            ("fourth", "catalogue/before/fourth.yaml)"),
        ]
    );
    // Of the catalogue's own profile, which hides the built-in one of that name.
    assert!(stdout(&output).contains("acks=0, and nothing else"), "{}", stdout(&output));
}

#[test]
fn the_whole_catalogue_is_built_in_and_every_name_is_its_files() {
    let listed = lossproof(&["list"]);
    assert_eq!((listed.status.code(), stderr(&listed)), (Some(0), ""));
    for file in files("experiments") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(
            stdout(&listed).lines().any(|line| line.split_whitespace().next() == Some(name)),
            "{name} is not listed"
        );
        let planned = lossproof(&["plan", name]);
        assert_eq!((planned.status.code(), stderr(&planned)), (Some(0), ""));
        let group = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(stdout(&planned).starts_with(&format!("{name}  (builtin:{group}/{name})\n")), "{}", stdout(&planned));
    }
}

#[test]
fn one_name_in_two_folders_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for group in ["a", "b"] {
        fs::create_dir(folder.path().join(group)).unwrap();
        fs::write(folder.path().join(group).join("same.yaml"), GOOD).unwrap();
    }
    // What a run has left is nobody's experiment.
    let run = folder.path().join("runs/20261121-190907-leader-partition");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("experiment.yaml"), GOOD).unwrap();
    fs::write(run.join("events.ndjson"), "").unwrap();
    let path = folder.path().to_str().unwrap();
    let message = refusal(&["plan", path]).replace(path, "OWN");
    insta::assert_snapshot!("one-name-in-two-folders", message);
}

#[test]
fn all_files_are_checked_before_anything_is_said() {
    let message = refusal(&[
        "plan",
        "tests/experiments/invalid/bad-name.yaml",
        "leader-partition",
        "tests/experiments/invalid/unknown-key.yaml",
        "no-such-experiment",
    ]);
    assert!(message.contains("bad-name.yaml:1:7"), "{message}");
    assert!(message.contains("unknown-key.yaml:2:1"), "{message}");
    assert!(message.contains("there is no file or folder `no-such-experiment`"), "{message}");
    assert!(message.contains("3 problems; nothing was started"), "{message}");
}

#[test]
fn two_experiments_of_one_name_are_refused() {
    insta::assert_snapshot!(
        "two-of-one-name",
        refusal(&["plan", "experiments/broker/leader-kill.yaml", "leader-kill"])
    );
}

#[test]
fn a_mistyped_experiment_gets_a_hint() {
    insta::assert_snapshot!("mistyped-name", refusal(&["plan", "leader-partiton"]));
}

#[test]
fn a_folder_of_ones_own_is_listed_too() {
    let output = lossproof(&["list", CATALOGUE]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let own = stdout(&output).split("Built-in").next().unwrap();
    insta::assert_snapshot!("list-own-folder", own);
}

#[test]
fn a_page_of_figures_tells_what_of_the_stored_runs_can_not_be_read() {
    let runs = tempfile::tempdir().unwrap();
    let damaged = runs.path().join("20261122-120000-leader-kill");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("report.json"), "{").unwrap();
    let output = lossproof(&["list", "--figures", runs.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let warning = format!("warning: {} is left out: report.json is damaged", damaged.display());
    assert!(stderr(&output).starts_with(&warning) && stderr(&output).lines().count() == 1, "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.ends_with("- one run of which something can't be read: `20261122-120000-leader-kill`\n"), "{page}");
    for file in files("experiments") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}`<br>")));
        assert!(row.is_some_and(|row| row.contains("| – | not run |")), "{name}: {row:?}");
    }
    let message = refusal(&["list", "--figures", "no-such-folder"]);
    assert!(message.contains("the runs in no-such-folder can't be read"), "{message}");
}

#[test_case("mixed", &[]; "of both dialects")]
#[test_case("mistakes", &["--config-dialect", "java"]; "values that can't be")]
#[test_case("refused", &[]; "a conflict that no client takes")]
fn a_configuration_of_ones_own_is_refused_with_places(name: &str, flags: &[&str]) {
    let file = format!("tests/own-configuration/{name}.properties");
    let message = refusal(&[&["run", "leader-kill", "--producer-config", &file][..], flags].concat());
    insta::assert_snapshot!(format!("own-configuration-{name}"), message);
}

#[test]
fn a_plan_needs_a_file() {
    let message = refusal(&["plan"]);
    assert!(message.contains("<FILE|DIR|NAME>"), "{message}");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let binary = assert_cmd::cargo::cargo_bin("lossproof");
    let status = Command::new("sh")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-c", "{ \"$0\" plan experiments; echo $? >&2; } | head -c 1", binary.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(stderr(&status).trim(), "0");
}

/// A good experiment, to be made hostile.
const GOOD: &str = include_str!("../../experiments/broker/leader-partition.yaml");

fn deep(open: &str, close: &str) -> Vec<u8> {
    format!("name: a\nsummary: {}{}\n", open.repeat(20_000), close.repeat(20_000)).into_bytes()
}

fn deep_block() -> Vec<u8> {
    let mut text = String::new();
    for level in 0..600 {
        text.push_str(&format!("{}a:\n", " ".repeat(level)));
    }
    text.into_bytes()
}

fn laughs() -> Vec<u8> {
    let mut text = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    format!("{text}name: *a11\n").into_bytes()
}

fn laughs_in_a_place_that_takes_maps() -> Vec<u8> {
    let mut text =
        "name: a\ncluster:\n  broker_config: &a0 { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7 }\nprofiles:\n".to_owned();
    for profile in 0..5_000 {
        text.push_str(&format!("  p{profile}: {{ producer: *a0 }}\n"));
    }
    text.into_bytes()
}

fn many_profiles() -> Vec<u8> {
    let mut text = "name: a\nworkload: { rate: 1/s, payload: 1KiB }\nprofiles:\n".to_owned();
    for profile in 0..30_000 {
        text.push_str(&format!("  p{profile}: {{}}\n"));
    }
    text.into_bytes()
}

#[test_case("empty", Vec::new(), "holds no document"; "empty")]
#[test_case("comments", b"# nothing\n\n".to_vec(), "holds no document"; "comments only")]
#[test_case("nul", GOOD.replace("2000/s", "2000\0/s").into_bytes(), "a NUL byte in the text"; "nul byte")]
#[test_case("latin", b"name: caf\xe9\n".to_vec(), "line 1 is not UTF-8 text"; "latin 1")]
#[test_case("utf16", [0xff, 0xfe, b'n', 0, b'a', 0, 0xff].to_vec(), "looks like UTF-16"; "utf 16")]
#[test_case("huge", vec![b'#'; 3 << 20], "larger than 1 MiB"; "three mebibytes")]
#[test_case("flow-maps", deep("{a: ", "}"), "expected a single value"; "deep flow maps")]
#[test_case("flow-lists", deep("[", "]"), "expected a single value"; "deep flow lists")]
#[test_case("block-maps", deep_block(), "unknown key `a`"; "deep block maps")]
#[test_case("laughs", laughs(), "unknown key `a0`"; "billion laughs")]
#[test_case("alias-maps", laughs_in_a_place_that_takes_maps(), "expands too far"; "aliases by the thousand")]
#[test_case("profiles", many_profiles(), "expands too far"; "profiles by the thousand")]
#[test_case("binary", (0..=255).collect(), "is not UTF-8 text"; "binary")]
#[test_case("scalar", b"just some words\n".to_vec(), "expected a map"; "scalar")]
#[test_case("null", b"null\n".to_vec(), "is missing"; "null")]
#[test_case("escape", b"name: \"a\\e[31m\"\n\x1b[31m: 1\n".to_vec(), "not YAML"; "escape sequence in the text")]
#[test_case("escaped", GOOD.replace("2000/s", "\"\\e[31m\"").into_bytes(), "`\\u{1b}[31m` is not a rate"; "escape sequence in a value")]
#[test_case("long", GOOD.replace("2000/s", &"9".repeat(100_000)).into_bytes(), "expected messages a second"; "long value")]
#[test_case("tag", GOOD.replace("2000/s", "!!int 2000").into_bytes(), "2000"; "yaml tag")]
fn hostile_files_are_refused_quickly(name: &str, bytes: Vec<u8>, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{name}.yaml"));
    fs::write(&file, bytes).unwrap();
    let start = Instant::now();
    let message = refusal(&["plan", file.to_str().unwrap()]);
    assert!(message.contains(expected), "{message}");
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    assert!(message.len() < 64 << 10, "a message of {} bytes", message.len());
}

#[test_case("/dev/zero", "is not a regular file"; "device")]
#[test_case("/dev/null", "is not a regular file"; "null device")]
#[test_case("", "a value is required"; "empty name")]
#[test_case("../../etc/passwd.yaml", "there is no file or folder"; "missing")]
#[test_case("src", "holds no experiment"; "folder without experiments")]
fn paths_that_are_no_experiments(path: &str, expected: &str) {
    let message = refusal(&["plan", path]);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_profile_name_can_not_leave_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, GOOD.replace("extends: baseline", "extends: ../../../etc/hosts")).unwrap();
    let message = refusal(&["plan", file.to_str().unwrap()]);
    assert!(message.contains("`../../../etc/hosts` can't be the name of a profile"), "{message}");
}

#[test]
fn a_summary_can_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a\u{1b}[31m.yaml");
    fs::write(
        &file,
        GOOD.replace("summary: >-\n", "summary: \"\\e[31m\\x07red\"\n")
            .replace("  The leader of partition 0", "#")
            .replace("  acknowledges", "#"),
    )
    .unwrap();
    for flags in [&["plan"][..], &["plan", "--resolved"]] {
        let output = lossproof(&[flags, &[file.to_str().unwrap()]].concat());
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
        assert!(stdout(&output).contains("red"), "{}", stdout(&output));
        assert!(!stdout(&output).contains(['\u{1b}', '\u{7}']), "{}", stdout(&output));
    }
    fs::write(&file, "summary: [").unwrap();
    refusal(&["plan", file.to_str().unwrap()]);
}

#[test_case("\u{feff}", "\n"; "byte order mark")]
#[test_case("", "\r\n"; "windows line ends")]
fn harmless_variations_are_taken(before: &str, newline: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, format!("{before}{}", GOOD.replace('\n', newline))).unwrap();
    let output = lossproof(&["plan", file.to_str().unwrap()]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}
