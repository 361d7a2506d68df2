//! Opening an input: a file, a pipe or standard input, plain or compressed.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::refusal::Refusal;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Other things that a file may begin with, what they are, and what makes text of them.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "`xz -dc FILE | lossproof reconcile …` with `-` for the file"),
    (b"BZh", "bzip2", "`bzip2 -dc FILE | lossproof reconcile …` with `-` for the file"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"PAR1", "a Parquet file", "write it as one JSON object a line first"),
    (&[0xff, 0xfe], "UTF-16 text", "save it as UTF-8"),
    (&[0xfe, 0xff], "UTF-16 text", "save it as UTF-8"),
];

/// The name for standard input.
pub const STDIN: &str = "-";

/// An input, uncompressed as it is read.
pub(super) struct Input {
    /// As the user named it.
    pub name: String,
    pub reader: Box<dyn Read>,
    /// How it is compressed, in a word.
    pub compressed: Option<&'static str>,
}

/// Refuses what would be read twice: each input tells of its own messages.
pub(super) fn refuse_twice(paths: &[&PathBuf]) -> Result<(), Refusal> {
    let mut seen: Vec<((u64, u64), &Path)> = Vec::new();
    for path in paths {
        let identity = if is_stdin(path) {
            // No file has this.
            (u64::MAX, u64::MAX)
        } else {
            match path.metadata() {
                Ok(metadata) if metadata.is_file() => (metadata.dev(), metadata.ino()),
                // A pipe may well be opened by one name after another; what is not there is told when opened.
                _ => continue,
            }
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == identity) {
            let message = if is_stdin(path) {
                "standard input (`-`) is given twice".to_owned()
            } else if *first == path.as_path() {
                format!("{} is given twice", path.display())
            } else {
                format!("{} and {} are the same file", first.display(), path.display())
            };
            return Err(Refusal::new(message).hint("give each input once: what is read twice would count twice"));
        }
        seen.push((identity, path));
    }
    Ok(())
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

impl Input {
    /// Opens an input and looks at its first bytes.
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        let name = path.display().to_string();
        let unreadable = |error: io::Error| Refusal::new(format!("{name} can't be read: {error}"));
        let mut raw: Box<dyn Read> = if is_stdin(path) {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(|error| {
                let glob = name.contains(['*', '?', '[']);
                let hint = "no file fits this pattern, or it is in quotes: the shell puts the files in its place";
                unreadable(error).hint_if(glob.then(|| hint.to_owned()))
            })?;
            if file.metadata().map_err(unreadable)?.is_dir() {
                return Err(Refusal::new(format!("{name} is a folder, and files are needed here"))
                    .hint(format!("give its files, such as {}/*.jsonl", name.trim_end_matches('/'))));
            }
            Box::new(file)
        };
        let mut head = Vec::with_capacity(6);
        raw.by_ref().take(6).read_to_end(&mut head).map_err(unreadable)?;
        if let Some((_, what, hint)) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic)) {
            return Err(Refusal::new(format!("{name} is {what}, which is not read")).hint(*hint));
        }
        let (gzip, zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
        let whole = Cursor::new(head).chain(raw);
        let (reader, compressed): (Box<dyn Read>, _) = if gzip {
            (Box::new(MultiGzDecoder::new(whole)), Some("gzip"))
        } else if zstd {
            (Box::new(zstd::Decoder::new(whole).map_err(unreadable)?), Some("zstd"))
        } else {
            (Box::new(whole), None)
        };
        Ok(Self { name, reader, compressed })
    }
}
