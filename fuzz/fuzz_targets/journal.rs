//! Journals written by the real writer, then damaged as disks and killed processes damage them, or
//! filled with hostile entries under good checksums. The reader may lose records, but only if it says
//! so; it may never invent one, claim a whole journal that isn't, or panic.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lossproof_ledger::category::Told;
use lossproof_ledger::journal::{Header, JournalError, JournalReader, JournalWriter, Source, Stream, Tail};
use lossproof_ledger::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

/// The format's measures, as documented in the journal module: the target forges checksums.
const BLOCK_BYTES: usize = 64 * 1024;
const HEADER_WORDS: std::ops::Range<usize> = 192..224;
const BLOCK_HEADER_BYTES: usize = 16;
const SECTOR_BYTES: usize = 512;

const RUN: u64 = 0xfeed_0123_4567_89ab;
const RECORDS_MAX: usize = 60_000;

#[derive(Debug, Arbitrary)]
struct Input {
    source: Kind,
    records: Vec<Shape>,
    /// The records are written again and again, each time further on.
    rounds: u8,
    unanswered: u8,
    sealed: bool,
    harm: Harm,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Producer { first: u16 },
    Consumer,
    Audit,
    Tail,
    Parking,
}

#[derive(Debug, Arbitrary)]
enum Harm {
    None,
    Damage(Damage),
    Damages([Damage; 3]),
    Hostile(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Damage {
    /// Neighbouring bits are altered.
    Burst { at: u32, bits: u16 },
    /// Sectors never reached the disk.
    Unwritten { from: u16, sectors: u8 },
    /// The file's end is missing.
    Cut { at: u32 },
    /// A block lies in another one's place.
    Misplaced { from: u8, to: u8 },
}

#[derive(Debug, Arbitrary)]
enum Shape {
    Told {
        p: u8,
        gap: Gap,
        attempt: u8,
        told: u8,
        offset: Option<Gap>,
        error: i8,
        broker: Option<u8>,
        in_txn: bool,
        wait: Gap,
    },
    TxnEnded {
        p: u8,
        outcome: u8,
        wait: Gap,
    },
    Assigned {
        p: u8,
        wait: Gap,
    },
    Revoked {
        p: u8,
        wait: Gap,
    },
    Polled {
        p: u8,
        gap: Gap,
        wait: Gap,
    },
    Processed {
        p: u8,
        gap: Gap,
        who: Option<Who>,
        wait: Gap,
    },
    Committed {
        p: u8,
        gap: Gap,
        ok: bool,
        wait: Gap,
    },
    FenceSeen {
        p: u8,
        gap: Gap,
        wait: Gap,
    },
    Audited {
        p: u8,
        gap: Gap,
        audit: u8,
        committed: bool,
        epoch: Option<u8>,
        content: Found,
    },
    Tailed {
        p: u8,
        gap: Gap,
        who: Option<Who>,
        wait: Gap,
    },
    Held {
        place: u8,
        who: Who,
        wait: Gap,
    },
}

#[derive(Debug, Arbitrary)]
enum Gap {
    None,
    Small(i8),
    Any(i64),
}

#[derive(Debug, Arbitrary)]
enum Found {
    Message(Who),
    Fence,
    Corrupt,
}

#[derive(Debug, Arbitrary)]
struct Who {
    ours: bool,
    producer: u8,
    incarnation: u8,
    p: u8,
    attempt: u8,
    gap: Gap,
}

fuzz_target!(|input: Input| {
    let dir = folder();
    let written = write(dir.path(), &input);
    let path = dir.path().join(written.header.file_name());
    let mut bytes = begun(&path);
    match &input.harm {
        Harm::None => {}
        Harm::Damage(damage) => harm(&mut bytes, damage, true),
        Harm::Damages(damages) => {
            for (n, damage) in damages.iter().enumerate() {
                harm(&mut bytes, damage, n == 0);
            }
        }
        Harm::Hostile(entries) => forge(&mut bytes, entries),
    }
    std::fs::write(&path, &bytes).unwrap();

    let Some((records, next, tail)) = read(&path) else {
        assert!(!matches!(input.harm, Harm::None | Harm::Hostile(_)), "an intact header was refused");
        return;
    };
    assert_eq!(tail.records, records.len() as u64);
    if matches!(input.harm, Harm::Hostile(_)) {
        return;
    }
    assert!(is_part_of(&records, &written.records), "a record was invented or misplaced: {tail:?}");
    assert!(!tail.sealed || (input.sealed && tail.is_undamaged()), "{tail:?}");
    if tail.is_undamaged() {
        assert!(records == written.records, "records are missing, and nothing tells: {tail:?}");
        assert_eq!(next, written.next, "{tail:?}");
    }
    if matches!(input.harm, Harm::None) {
        assert!(tail.is_undamaged() && tail.torn_bytes == 0 && tail.sealed == input.sealed, "{tail:?}");
    }
});

/// In memory where there is such a file system: a run makes millions of journals.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The file with one reserved block at most: the writer reserves a megabyte.
fn begun(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap();
    let mut header = [0; HEADER_WORDS.end];
    file.read_exact_at(&mut header, 0).unwrap();
    let blocks = u16::from_le_bytes([header[200], header[201]]);
    let len = (usize::from(blocks) + 2) * BLOCK_BYTES;
    let mut bytes = vec![0; len.min(file.metadata().unwrap().len() as usize)];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

struct Written {
    header: Header,
    records: Vec<Record>,
    next: u64,
}

fn write(dir: &Path, input: &Input) -> Written {
    let (source, first) = match input.source {
        Kind::Producer { first } => {
            let first = first.into();
            let stream = Stream { producer: 1, partition: 0, first, start_ns: 5, period_ns: 7 };
            (Source::Producer { member: 0, incarnation: 0, stream }, first)
        }
        Kind::Consumer => (Source::Consumer { member: 0, incarnation: 1 }, 0),
        Kind::Audit => (Source::Audit, 0),
        Kind::Tail => (Source::Tail, 0),
        Kind::Parking => (Source::Parking, 0),
    };
    let header = Header { run: RUN, profile: "fuzzed".into(), source };
    let mut journal = JournalWriter::create(dir, &header).unwrap();
    let mut records = Vec::new();
    let mut at = Story { told: first, ..Story::default() };
    for _ in 0..=input.rounds {
        for shape in &input.records {
            if records.len() < RECORDS_MAX {
                records.push(at.record(shape));
            }
        }
    }
    let mut next = first;
    for record in &records {
        if let (Record::Told { sequence, .. }, true) = (record, matches!(source, Source::Producer { .. })) {
            next = next.max(sequence.saturating_add(1)).min((1 << 48) - 1);
            journal.raise_next(next);
        }
        journal.append(record).unwrap();
    }
    if matches!(source, Source::Producer { .. }) {
        next = (next + u64::from(input.unanswered)).min((1 << 48) - 1);
        journal.raise_next(next);
    }
    if input.sealed {
        journal.seal().unwrap();
    }
    Written { header, records, next }
}

/// Where a history stands.
#[derive(Default)]
struct Story {
    told: u64,
    offset: i64,
    sequence: u64,
    at_us: u64,
}

impl Story {
    fn record(&mut self, shape: &Shape) -> Record {
        match shape {
            Shape::Told { p, gap, attempt, told, offset, error, broker, in_txn, wait } => {
                self.told = self.told.wrapping_add(1).wrapping_add(gap.size().cast_unsigned());
                Record::Told {
                    partition: partition(*p),
                    sequence: self.told,
                    attempt: small(*attempt),
                    told: match told % 5 {
                        0 => Told::Unsent,
                        1 => Told::Failed,
                        2 => Told::Indeterminate,
                        3 => Told::Unconfirmed,
                        _ => Told::Acked,
                    },
                    offset: offset.as_ref().map(|gap| self.offset(gap)),
                    error: (*error).into(),
                    broker: broker.map(i32::from),
                    in_txn: *in_txn,
                    at_ns: self.at_ns(wait),
                }
            }
            Shape::TxnEnded { p, outcome, wait } => Record::TxnEnded {
                partition: partition(*p),
                outcome: match outcome % 3 {
                    0 => TxnOutcome::Committed,
                    1 => TxnOutcome::Aborted,
                    _ => TxnOutcome::Unknown,
                },
                at_ns: self.at_ns(wait),
            },
            Shape::Assigned { p, wait } => Record::Assigned { partition: partition(*p), at_ns: self.at_ns(wait) },
            Shape::Revoked { p, wait } => Record::Revoked { partition: partition(*p), at_ns: self.at_ns(wait) },
            Shape::Polled { p, gap, wait } => {
                Record::Polled { partition: partition(*p), offset: self.offset(gap), at_ns: self.at_ns(wait) }
            }
            Shape::Processed { p, gap, who, wait } => Record::Processed {
                partition: partition(*p),
                offset: self.offset(gap),
                identity: who.as_ref().map(|who| self.identity(who)),
                at_ns: self.at_ns(wait),
            },
            Shape::Committed { p, gap, ok, wait } => Record::Committed {
                partition: partition(*p),
                offset: self.offset(gap),
                ok: *ok,
                at_ns: self.at_ns(wait),
            },
            Shape::FenceSeen { p, gap, wait } => {
                Record::FenceSeen { partition: partition(*p), offset: self.offset(gap), at_ns: self.at_ns(wait) }
            }
            Shape::Audited { p, gap, audit, committed, epoch, content } => Record::Audited {
                partition: partition(*p),
                offset: self.offset(gap),
                audit: small(*audit),
                isolation: if *committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
                leader_epoch: epoch.map(i32::from),
                content: match content {
                    Found::Message(who) => Content::Message(self.identity(who)),
                    Found::Fence => Content::Fence,
                    Found::Corrupt => Content::Corrupt,
                },
            },
            Shape::Tailed { p, gap, who, wait } => Record::Tailed {
                partition: partition(*p),
                offset: self.offset(gap),
                identity: who.as_ref().map(|who| self.identity(who)),
                at_ns: self.at_ns(wait),
            },
            Shape::Held { place, who, wait } => Record::Held {
                place: match place % 4 {
                    0 => Place::ProducerDlq,
                    1 => Place::Spool,
                    2 => Place::Outbox,
                    _ => Place::ConsumerDlq,
                },
                identity: self.identity(who),
                at_ns: self.at_ns(wait),
            },
        }
    }

    fn offset(&mut self, gap: &Gap) -> i64 {
        self.offset = self.offset.wrapping_add(1).wrapping_add(gap.size());
        self.offset
    }

    /// Times are kept to the microsecond.
    fn at_ns(&mut self, wait: &Gap) -> u64 {
        self.at_us = self.at_us.wrapping_add(wait.size().cast_unsigned()) % (u64::MAX / 1000);
        self.at_us * 1000
    }

    fn identity(&mut self, who: &Who) -> Identity {
        self.sequence = self.sequence.wrapping_add(1).wrapping_add(who.gap.size().cast_unsigned());
        Identity {
            run: if who.ours { RUN } else { !RUN },
            producer: small(who.producer),
            incarnation: small(who.incarnation),
            partition: partition(who.p),
            sequence: self.sequence,
            attempt: small(who.attempt),
        }
    }
}

impl Gap {
    fn size(&self) -> i64 {
        match *self {
            Self::None => 0,
            Self::Small(size) => size.into(),
            Self::Any(size) => size,
        }
    }
}

/// Mostly few, rarely far off.
fn partition(p: u8) -> i32 {
    if p < 0xf0 { i32::from(p % 4) } else { i32::MIN + i32::from(p) }
}

/// Mostly few, rarely far off.
fn small(value: u8) -> u16 {
    if value < 0xf0 { u16::from(value % 3) } else { u16::MAX - u16::from(value) }
}

fn harm(bytes: &mut Vec<u8>, damage: &Damage, header_too: bool) {
    let len = bytes.len().max(1);
    match *damage {
        Damage::Burst { at, bits } => {
            let at = at as usize % len;
            // Sixteen bits of check see one burst for certain, and only most pairs of them.
            if header_too || !HEADER_WORDS.contains(&at) && !HEADER_WORDS.contains(&(at + 1)) {
                for (byte, bits) in bytes[at..].iter_mut().zip(bits.to_le_bytes()) {
                    *byte ^= bits;
                }
            }
        }
        Damage::Unwritten { from, sectors } => {
            let from = (usize::from(from) * SECTOR_BYTES) % len;
            let to = (from + usize::from(sectors) * SECTOR_BYTES).min(bytes.len());
            bytes[from / SECTOR_BYTES * SECTOR_BYTES..to].fill(0);
        }
        Damage::Cut { at } => bytes.truncate(at as usize % len),
        Damage::Misplaced { from, to } => {
            let blocks = bytes.len() / BLOCK_BYTES;
            if blocks > 1 {
                // The header is no entry block; with the checks of its words it can't be taken for one.
                let from = 1 + usize::from(from) % (blocks - 1);
                let to = 1 + usize::from(to) % (blocks - 1);
                bytes.copy_within(from * BLOCK_BYTES..(from + 1) * BLOCK_BYTES, to * BLOCK_BYTES);
            }
        }
    }
}

/// Puts any entries into the first block, under a good checksum.
fn forge(bytes: &mut [u8], entries: &[u8]) {
    let block = &mut bytes[BLOCK_BYTES..];
    let entries = &entries[..entries.len().min(BLOCK_BYTES - BLOCK_HEADER_BYTES)];
    block[BLOCK_HEADER_BYTES..][..entries.len()].copy_from_slice(entries);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&block[..8]);
    crc.update(entries);
    let sealed = block[15] & 0x80;
    block[8..12].copy_from_slice(&crc.finalize().to_le_bytes());
    block[12..16].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    block[15] |= sealed;
}

/// Both ways of reading agree.
fn read(path: &Path) -> Option<(Vec<Record>, u64, Tail)> {
    let mut pushed = Vec::new();
    let reader = JournalReader::open(path).ok()?;
    let next = reader.next_sequence();
    let take = |record: &Record| {
        pushed.push(*record);
        Ok::<(), JournalError>(())
    };
    let tail = reader.for_each(take).unwrap();
    let mut reader = JournalReader::open(path).unwrap();
    let pulled: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
    assert!(pulled == pushed);
    assert_eq!(reader.finish().unwrap(), tail);
    Some((pulled, next, tail))
}

/// Whether all of `part` is in `whole`, in its order.
fn is_part_of(part: &[Record], whole: &[Record]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|record| rest.any(|other| other == record))
}
