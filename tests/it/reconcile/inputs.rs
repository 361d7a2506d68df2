//! Bad and hostile inputs: each is refused with its place or a clear message, in bounded time.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lossproof::import::{Error, Options, reconcile};
use proptest::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use test_case::test_case;

use super::{Folder, acked, gzip, json, read, stderr, stdout, zstd};

/// A folder with a good file of each side.
fn good() -> Folder {
    let folder = Folder::new();
    let (mut produced, mut consumed) = (String::new(), String::new());
    for seq in 0..100 {
        produced.push_str(&acked("a", 0, seq));
        consumed.push_str(&read("a", 0, seq, seq));
    }
    folder.write("p", produced);
    folder.write("c", consumed);
    folder
}

fn refused(bytes: impl AsRef<[u8]>) -> String {
    let folder = good();
    folder.write("bad", bytes);
    folder.refusal(&["--produced", "p", "--consumed", "bad"])
}

#[test]
fn a_good_pair_is_accepted_from_files_and_from_standard_input() {
    let folder = good();
    let output = folder.reconcile(&["--produced", "p", "--consumed", "c"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    folder.is_clean();
    for text in [fs::read(folder.path().join("c")).unwrap(), gzip(&fs::read(folder.path().join("c")).unwrap())] {
        let piped = folder.reconcile_with(&["--produced", "p", "--consumed", "-"], &text);
        assert_eq!(stdout(&piped), stdout(&output));
    }
}

#[test_case(b"hello\n", "bad:1:1: not a JSON object"; "text")]
#[test_case(b"\n\n{\"producer\":\"a\",\"partition\":0,\"seq\":1}\n", "bad:3:1: `offset` is missing"; "a field missing")]
#[test_case(b"{\"producer\":\"a\"\0}\n", "bad:1:16: a NUL byte"; "a NUL byte")]
#[test_case(&[0; 4096], "bad:1:1: a NUL byte"; "zeros")]
#[test_case(b"{\"producer\":\"a\xff\"}\n", "bad:1:15: this is not UTF-8 text"; "not UTF-8")]
#[test_case(b"{\"producer\":\"a\",\"x\":\"\xc3\"}\n", "bad:1:22: this is not UTF-8 text"; "not UTF-8 in a field that is not read")]
#[test_case(b"[[[[1]]]]\n", "bad:1:1: not a JSON object"; "a list")]
#[test_case(b"{\"producer\":\"a\",\"partition\":0,\"seq\":1e3,\"offset\":0}\n", "bad:1:37: `seq` can't be 1e3"; "a float")]
#[test_case(b"{\"producer\":\"a\",\"partition\":0,\"seq\":1,\"offset\":9223372036854775808}\n", "bad:1:48: `offset` can't be 9223372036854775808"; "out of range")]
#[test_case(b"{\"producer\":\"a\",\"partition\":99999999999,\"seq\":1,\"offset\":0}\n", "bad:1:29: `partition` can't be 99999999999"; "no partition")]
#[test_case(b"{\"producer\":\"a\",\"partition\":0,\"seq\":1,\"offset\":0,\"at\":99999999999999999}\n", "bad:1:55: `at` can't be"; "no time")]
#[test_case(b"{\"producer\":\"a\",\"partition\":0,\"seq\":1,\"offset\":0,\"procesed\":false}\n", "bad:1:51: `procesed` is not read"; "a slip")]
#[test_case(b"{\"producer\":\"a\",\"partition\":0,\"seq\":1,\"offs{\"producer\":\"a\"}\n{}\n", "bad:1:"; "torn in the middle")]
#[test_case(b"\xff\xfe{\0}\0", "bad is UTF-16 text"; "UTF-16")]
#[test_case(b"\xfd7zXZ\0\0", "bad is xz"; "xz")]
#[test_case(b"PK\x03\x04xxxx", "bad is a zip archive"; "zip")]
#[test_case(b"", "nothing was consumed"; "nothing")]
#[test_case(b"\n \n", "nothing was consumed"; "blank lines")]
#[test_case(b"\x1f\x8b", "bad:1:1: the gzip data ends before its end"; "the magic bytes of gzip alone")]
fn bad_bytes_are_refused_with_their_place(bytes: &[u8], expected: &str) {
    let refusal = refused(bytes);
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn nested_values_are_no_burden_however_deep() {
    let depth = 1_000_000;
    let line = |open: &str, close: &str| {
        format!(
            "{{\"producer\":\"a\",\"partition\":0,\"seq\":1,\"offset\":0,\"x\":{}1{}}}\n",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    // As a field that is not read, it may be anything; as one that is, it is refused.
    let folder = good();
    folder.write("deep", line("[", "]"));
    let output = folder.reconcile(&["--produced", "p", "--consumed", "deep"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let refusal = refused(line("[", "]").replace("\"x\"", "\"processed\""));
    assert!(refusal.contains("bad:1:62: `processed` can't be"), "{refusal}");
    let refusal = refused(line("{\"a\":", ""));
    assert!(refusal.contains("bad:1:") && refusal.contains("not JSON"), "{refusal}");
}

#[test]
fn a_line_without_end_is_refused_in_bounded_memory() {
    let refusal = refused(vec![b'x'; 20 << 20]);
    assert!(refusal.contains("bad:1:1: this line is longer than 8 MiB"), "{refusal}");
    // A bomb: 1 GiB of zeros in a few hundred kilobytes.
    let zeros = vec![b' '; 1 << 20];
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..1024 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let refusal = refused(encoder.finish().unwrap());
    assert!(refusal.contains("bad:1:1: this line is longer than 8 MiB"), "{refusal}");
}

#[test_case(gzip, "gzip"; "gzip")]
#[test_case(zstd, "zstd"; "zstd")]
fn compressed_files_that_are_cut_or_damaged_are_refused(compress: fn(&[u8]) -> Vec<u8>, name: &str) {
    let folder = good();
    let whole = compress(&fs::read(folder.path().join("c")).unwrap());
    folder.write("whole", &whole);
    assert_eq!(folder.reconcile(&["--produced", "p", "--consumed", "whole"]).status.code(), Some(0));
    for cut in [whole.len() - 1, whole.len() / 2, 12] {
        folder.write("bad", &whole[..cut]);
        let refusal = folder.refusal(&["--produced", "p", "--consumed", "bad"]);
        assert!(refusal.contains(&format!("the {name} data ")), "cut to {cut}: {refusal}");
        assert!(refusal.starts_with("error: bad:"), "cut to {cut}: {refusal}");
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0x55);
    folder.write("bad", damaged);
    let refusal = folder.refusal(&["--produced", "p", "--consumed", "bad"]);
    assert!(refusal.starts_with("error: bad:"), "{refusal}");
    // Several compressed files, one after the other, are one.
    folder.write("twice", [compress(b"\n"), whole].concat());
    assert_eq!(folder.reconcile(&["--produced", "p", "--consumed", "twice"]).status.code(), Some(0));
}

#[test]
fn what_is_no_file_or_given_twice_is_refused() {
    let folder = good();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("c", folder.path().join("link")).unwrap();
    for (consumed, expected) in [
        (&["dir"][..], "dir is a folder"),
        (&["none.jsonl"], "none.jsonl can't be read: No such file"),
        (&["*.nothing"], "no file fits this pattern"),
        (&["c", "c"], "c is given twice"),
        (&["c", "./c"], "c and ./c are the same file"),
        (&["c", "link"], "c and link are the same file"),
        (&["p"], "p is given twice"),
        (&["-", "-"], "standard input (`-`) is given twice"),
    ] {
        let mut args = vec!["--produced", "p", "--consumed"];
        args.extend(consumed);
        let refusal = folder.refusal(&args);
        assert!(refusal.contains(expected), "{consumed:?}: {refusal}");
    }
}

#[test]
fn files_that_belong_to_the_other_side_or_to_others_are_told() {
    let folder = good();
    let refusal = folder.refusal(&["--produced", "c", "--consumed", "p"]);
    assert!(refusal.contains("does the file belong behind --consumed?"), "{refusal}");
    folder.write("others", read("b", 0, 1, 1));
    let refusal = folder.refusal(&["--produced", "p", "--consumed", "others"]);
    assert!(refusal.contains("no record that was consumed is of a producer that produced anything"), "{refusal}");
    folder.write(
        "topics",
        acked("a", 0, 1).replace("{", "{\"topic\":\"t\",") + &acked("a", 0, 2).replace("{", "{\"topic\":\"u\","),
    );
    let refusal = folder.refusal(&["--produced", "topics", "--consumed", "c"]);
    assert!(refusal.contains("topics:2:1: ") && refusal.contains("--topic"), "{refusal}");
}

#[test]
fn more_producers_than_can_be_told_apart_are_refused() {
    let folder = good();
    let many: String = (0..=65_536).map(|n| acked(&format!("p{n}"), 0, 0)).collect();
    folder.write("many", many);
    let refusal = folder.refusal(&["--produced", "many", "--consumed", "c"]);
    assert!(refusal.contains("many:65537:1: more than 65536 names of producers"), "{refusal}");
}

#[test]
fn a_last_line_that_was_cut_off_is_told_and_proves_nothing() {
    let folder = good();
    let whole = fs::read(folder.path().join("c")).unwrap();
    // One record is missing, and may be the one of which half a line is there.
    folder.write("torn", &whole[..whole.len() - 12]);
    let output = folder.reconcile(&["--produced", "p", "--consumed", "torn", "--format", "json"]);
    let account = json(&output);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!((&account["counts"]["lost"], &account["counts"]["lagging"]), (&0.into(), &1.into()));
    assert_eq!(account["notes"][0], "the last line of torn was cut off and is left out");

    // A whole last line needs no end.
    folder.write("whole", &whole[..whole.len() - 1]);
    assert_eq!(folder.reconcile(&["--produced", "p", "--consumed", "whole"]).status.code(), Some(0));

    // What a killed producer had no time to report is no phantom; what is lost is lost all the same.
    let produced = fs::read(folder.path().join("p")).unwrap();
    folder.write("torn", &produced[..produced.len() - 12]);
    let output = folder.reconcile(&["--produced", "torn", "--consumed", "c", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(json(&output)["counts"]["phantom"], 1);
    folder.write("less", &whole[whole.iter().position(|byte| *byte == b'\n').unwrap() + 1..]);
    let output = folder.reconcile(&["--produced", "torn", "--consumed", "less", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(json(&output)["counts"]["lost_in_cluster"], 1);
}

#[test]
fn a_signal_ends_the_wait_for_input_and_leaves_nothing_behind() {
    let folder = good();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lossproof"))
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .args(["reconcile", "--produced", "p", "--consumed", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Waiting for the child would close it.
    let _stdin = child.stdin.take();
    // It is at work once its folder is there.
    let begun = Instant::now();
    let works = || {
        fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("lossproof-"))
    };
    while !works() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no folder");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    folder.is_clean();
}

/// What is done to a good file at a place of it.
#[derive(Debug, Clone)]
enum Damage {
    Replace(u8),
    Insert(u8),
    Remove(usize),
    Cut,
    Repeat(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:0123456789-.e\\\n\0tfn"[..])];
    prop_oneof![
        byte().prop_map(Damage::Replace),
        byte().prop_map(Damage::Insert),
        (1_usize..90).prop_map(Damage::Remove),
        Just(Damage::Cut),
        (1_usize..200).prop_map(Damage::Repeat),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    for (at, damage) in damages {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match damage {
            Damage::Replace(byte) => bytes[at] = *byte,
            Damage::Insert(byte) => bytes.insert(at, *byte),
            Damage::Remove(count) => drop(bytes.drain(at..(at + count).min(bytes.len()))),
            Damage::Cut => bytes.truncate(at),
            Damage::Repeat(count) => {
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn damaged_inputs_are_refused_or_balance(
        produced in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..4),
        consumed in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..4),
        tools in any::<bool>(),
    ) {
        let folder = good();
        let tool = |name| fs::read(format!("{}/tests/kafka-tools/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (p, c) = if tools {
            (tool("producer-plain.jsonl"), tool("consumer-verbose.jsonl"))
        } else {
            (fs::read(folder.path().join("p")).unwrap(), fs::read(folder.path().join("c")).unwrap())
        };
        let options = Options {
            produced: vec![folder.write("p", damaged(p, &produced))],
            consumed: vec![folder.write("c", damaged(c, &consumed))],
            ..Options::default()
        };
        let spool = folder.path().join("spool");
        fs::create_dir(&spool).unwrap();
        match reconcile(&options, &spool) {
            Ok(account) => prop_assert_eq!(account.reconciliation.counts.check(), Ok(())),
            Err(Error::Refused(refusal)) => prop_assert!(!refusal.to_string().is_empty()),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
