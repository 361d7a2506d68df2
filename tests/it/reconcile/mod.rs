//! `lossproof reconcile`: the command from outside, and its accounts from inside.

mod inputs;
mod kafka_tools;
mod planted;
mod schemas;
mod verdicts;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of inputs, in which lossproof runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `lossproof reconcile` here, so that messages name files as given.
    fn reconcile(&self, args: &[&str]) -> Output {
        self.reconcile_with(args, b"")
    }

    fn reconcile_with(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lossproof"))
            .current_dir(self.path())
            .env_remove("RUST_BACKTRACE")
            .env_remove("COLUMNS")
            .env("TMPDIR", self.path())
            .arg("reconcile")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // Who refuses early reads nothing.
        pipe.write_all(stdin).ok();
        drop(pipe);
        child.wait_with_output().unwrap()
    }

    /// A refusal: exit code 3, nothing on stdout, nothing that steers a terminal, nothing left behind.
    fn refusal(&self, args: &[&str]) -> String {
        let output = self.reconcile(args);
        let text = stderr(&output).to_owned();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {text}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{args:?}: {text:?}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        self.is_clean();
        text
    }

    fn is_clean(&self) {
        let left: Vec<String> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("lossproof-"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "temporary folders are left");
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// A report of an acknowledged message, its offset its number.
fn acked(producer: &str, partition: i32, seq: u64) -> String {
    format!(
        "{{\"producer\":\"{producer}\",\"partition\":{partition},\"seq\":{seq},\"status\":\"acked\",\"offset\":{seq}}}\n"
    )
}

/// A record of that message.
fn read(producer: &str, partition: i32, seq: u64, offset: u64) -> String {
    format!("{{\"producer\":\"{producer}\",\"partition\":{partition},\"seq\":{seq},\"offset\":{offset}}}\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
