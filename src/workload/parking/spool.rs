//! A file of messages that wait for better times: append-only, synced, and readable however its writer died.
//!
//! An entry is `length u32, crc32 u32, kind u8, body`, words little-endian; the length counts kind and body,
//! the checksum is over both. A message's body is its payload; that it is sent again is noted with the
//! number of that attempt before, and that it is delivered after. When nothing waits, the file is cut to
//! nothing. What follows a torn entry was never promised to anybody, and is cut off.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use lossproof_ledger::payload::{self, Decoded};
use lossproof_ledger::record::Identity;

const PUT: u8 = 1;
const SENT: u8 = 2;
const DONE: u8 = 3;
const HEAD_BYTES: usize = 8;

/// A spool in use.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Entries that are not written yet.
    unwritten: Vec<u8>,
}

impl Spool {
    /// Opens the spool, or makes it, and gives the messages of this run that wait in it, by sequence, with
    /// the number of the last attempt of each.
    ///
    /// # Errors
    /// What the file system says against it.
    pub fn open(path: &Path, run: u64) -> io::Result<(Self, BTreeMap<u64, Identity>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (waiting, good) = scan(&bytes, run);
        file.set_len(good as u64)?;
        file.seek(SeekFrom::Start(good as u64))?;
        Ok((Self { file, unwritten: Vec::new() }, waiting))
    }

    /// Puts a message in, with the next [`sync`](Self::sync).
    pub fn put(&mut self, payload: &[u8]) {
        self.entry(PUT, payload);
    }

    /// Notes that a message is about to be sent again.
    pub fn sent(&mut self, sequence: u64, attempt: u16) {
        let mut body = sequence.to_le_bytes().to_vec();
        body.extend(attempt.to_le_bytes());
        self.entry(SENT, &body);
    }

    /// Notes that a message is delivered.
    pub fn done(&mut self, sequence: u64) {
        self.entry(DONE, &sequence.to_le_bytes());
    }

    /// Writes what was noted since, so that it survives this process.
    ///
    /// # Errors
    /// What the file system says against it.
    pub fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }

    /// As [`write`](Self::write), and it survives a power loss of its host too.
    ///
    /// # Errors
    /// What the file system says against it.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.write()?;
        self.file.sync_data()
    }

    /// Forgets all, as nothing waits.
    ///
    /// # Errors
    /// What the file system says against it.
    pub fn clear(&mut self) -> io::Result<()> {
        self.unwritten.clear();
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.sync_data()
    }

    fn entry(&mut self, kind: u8, body: &[u8]) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[kind]);
        crc.update(body);
        // A payload is at most some megabytes long.
        let length = u32::try_from(body.len() + 1).unwrap_or(u32::MAX);
        self.unwritten.extend(length.to_le_bytes());
        self.unwritten.extend(crc.finalize().to_le_bytes());
        self.unwritten.push(kind);
        self.unwritten.extend(body);
    }
}

/// The messages of a run that wait in a spool; none if it was never made.
///
/// # Errors
/// What the file system says against reading it.
pub fn held(path: &Path, run: u64) -> io::Result<Vec<Identity>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(scan(&bytes, run).0.into_values().collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What waits, and how many bytes are good.
fn scan(bytes: &[u8], run: u64) -> (BTreeMap<u64, Identity>, usize) {
    let mut waiting = BTreeMap::new();
    let mut good = 0;
    while let Some((kind, body, rest)) = first(&bytes[good..]) {
        match kind {
            PUT => {
                if let Decoded::Ours(identity) = payload::decode(body, run) {
                    waiting.insert(identity.sequence, identity);
                }
            }
            SENT => {
                if let (Some(sequence), Some(attempt)) = (word(body), body.get(8..10)) {
                    let attempt = u16::from_le_bytes([attempt[0], attempt[1]]);
                    waiting.entry(sequence).and_modify(|identity: &mut Identity| identity.attempt = attempt);
                }
            }
            DONE => {
                if let Some(sequence) = word(body) {
                    waiting.remove(&sequence);
                }
            }
            _ => {}
        }
        good = bytes.len() - rest.len();
    }
    (waiting, good)
}

/// The first entry, and what comes after it.
fn first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (entry, rest) = rest.split_at_checked(usize::try_from(number(0)).ok()?)?;
    let (kind, body) = entry.split_first()?;
    (crc32fast::hash(entry) == number(4)).then_some((*kind, body, rest))
}

fn word(body: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(body.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 5;

    fn message(sequence: u64, attempt: u16) -> (Identity, Vec<u8>) {
        let identity = Identity { run: RUN, producer: 1, incarnation: 0, partition: 0, sequence, attempt };
        let mut payload = vec![0; 100];
        payload::encode_into(&mut payload, &identity);
        (identity, payload)
    }

    /// A spool with three messages, of which one is sent again and one delivered.
    fn spool(path: &Path) {
        let (mut spool, waiting) = Spool::open(path, RUN).unwrap();
        assert!(waiting.is_empty());
        for sequence in [7, 8, 9] {
            spool.put(&message(sequence, 0).1);
        }
        spool.sent(7, 1);
        spool.sent(8, 1);
        spool.done(8);
        spool.sync().unwrap();
    }

    #[test]
    fn what_waits_is_read_back_with_its_last_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        assert_eq!(held(&path, RUN).unwrap(), []);
        spool(&path);
        assert_eq!(held(&path, RUN).unwrap(), [message(7, 1).0, message(9, 0).0]);
        assert_eq!(held(&path, RUN + 1).unwrap(), [], "of another run");
        let (mut spool, waiting) = Spool::open(&path, RUN).unwrap();
        assert_eq!(waiting.into_values().collect::<Vec<_>>(), [message(7, 1).0, message(9, 0).0]);
        spool.done(7);
        spool.sync().unwrap();
        assert_eq!(held(&path, RUN).unwrap(), [message(9, 0).0]);
        spool.clear().unwrap();
        assert_eq!(held(&path, RUN).unwrap(), []);
        spool.put(&message(11, 2).1);
        spool.sync().unwrap();
        assert_eq!(held(&path, RUN).unwrap(), [message(11, 2).0]);
    }

    #[test]
    fn every_torn_end_leaves_the_whole_entries_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        spool(&path);
        let whole = std::fs::read(&path).unwrap();
        let mut before = 0;
        for bytes in 0..whole.len() {
            std::fs::write(&path, &whole[..bytes]).unwrap();
            let held = held(&path, RUN).unwrap().len();
            let (mut spool, waiting) = Spool::open(&path, RUN).unwrap();
            assert_eq!(waiting.len(), held);
            assert!(held >= before && held <= 3, "{held} of {bytes} bytes");
            before = held;
            // What is written next can be read.
            spool.put(&message(99, 0).1);
            spool.sync().unwrap();
            assert_eq!(super::held(&path, RUN).unwrap().len(), held + 1);
        }
        assert_eq!(before, 3);
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.spool");
        spool(&path);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(held(&path, RUN).unwrap().iter().all(|identity| (7..10).contains(&identity.sequence)), "byte {at}");
        }
    }
}
