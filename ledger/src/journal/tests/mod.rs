use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;

mod compact;
mod damage;

use super::*;
use crate::category::Told;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

const RUN: u64 = 0xfeed_0123_4567_89ab;
const STREAM: Stream = Stream { producer: 7, partition: 2, first: 0, start_ns: 1_000_000_000, period_ns: 500_000 };

fn producer() -> Header {
    Header {
        run: RUN,
        profile: "baseline".into(),
        source: Source::Producer { member: 1, incarnation: 0, stream: STREAM },
    }
}

fn consumer() -> Header {
    Header { run: RUN, profile: "resilient".into(), source: Source::Consumer { member: 0, incarnation: 3 } }
}

fn acked(sequence: u64) -> Record {
    Record::Told {
        partition: 2,
        sequence,
        attempt: 0,
        told: Told::Acked,
        offset: Some(sequence.cast_signed() + 10),
        error: 0,
        broker: Some(2),
        in_txn: false,
        at_ns: 5_000_000_000 + sequence * 500_000,
    }
}

/// Writes the records and seals, in a folder of its own.
fn sealed(header: &Header, records: &[Record]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(dir.path(), header).unwrap();
    for record in records {
        writer.append(record).unwrap();
    }
    let path = writer.path().to_owned();
    writer.seal().unwrap();
    (dir, path)
}

/// Offers and writes the records, and ends as a killed writer does.
fn unsealed(records: &[Record]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(dir.path(), &producer()).unwrap();
    for record in records {
        writer.append(record).unwrap();
    }
    writer.raise_next(records.len() as u64);
    (dir, writer.path().to_owned())
}

fn read(path: &Path) -> (Vec<Record>, Tail) {
    let mut reader = JournalReader::open(path).unwrap();
    let records = reader.by_ref().map(Result::unwrap).collect();
    (records, reader.finish().unwrap())
}

#[test]
fn an_empty_journal_is_sealed_and_says_whose_it_is() {
    for header in [producer(), consumer(), Header { source: Source::Audit, ..producer() }] {
        let (_dir, path) = sealed(&header, &[]);
        let reader = JournalReader::open(&path).unwrap();
        assert_eq!(*reader.header(), header);
        let tail = reader.finish().unwrap();
        assert!(tail.sealed && tail.is_undamaged());
        assert_eq!(tail.records, 0);
    }
}

#[test]
fn files_are_named_by_their_header() {
    let names =
        [producer(), consumer(), Header { source: Source::Audit, ..producer() }].map(|header| header.file_name());
    assert_eq!(names, ["baseline-producer-1-0-p2.ljr", "resilient-consumer-0-3.ljr", "baseline-audit.ljr"]);
}

#[test]
fn next_is_kept_and_starts_at_the_first_sequence() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = producer();
    header.source = Source::Producer { member: 1, incarnation: 4, stream: Stream { first: 90, ..STREAM } };
    let writer = JournalWriter::create(dir.path(), &header).unwrap();
    let next = |writer: &JournalWriter| JournalReader::open(writer.path()).unwrap().next_sequence();
    assert_eq!(next(&writer), 90);
    writer.raise_next(93);
    assert_eq!(next(&writer), 93);
    let path = writer.path().to_owned();
    writer.seal().unwrap();
    assert_eq!(JournalReader::open(&path).unwrap().next_sequence(), 93);
}

#[test]
fn a_journal_is_never_overwritten() {
    let (dir, _path) = sealed(&producer(), &[acked(0)]);
    assert!(matches!(JournalWriter::create(dir.path(), &producer()), Err(JournalError::Exists { .. })));
}

#[test]
fn a_long_profile_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let header = Header { profile: "x".repeat(65), ..producer() };
    assert!(matches!(JournalWriter::create(dir.path(), &header), Err(JournalError::ProfileName { .. })));
}

#[test]
fn a_journal_is_readable_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(dir.path(), &producer()).unwrap();
    for sequence in 0..5 {
        writer.append(&acked(sequence)).unwrap();
        let (records, tail) = read(writer.path());
        assert_eq!(records.last(), Some(&acked(sequence)));
        assert_eq!(tail, Tail { records: sequence + 1, ..Tail::default() });
    }
}

#[test]
fn a_writer_dropped_unsealed_leaves_all_its_records() {
    let expected: Vec<Record> = (0..100_000).map(acked).collect();
    let (_dir, path) = unsealed(&expected);
    let (records, tail) = read(&path);
    assert!(records == expected);
    assert!(!tail.sealed && tail.is_undamaged());
    assert_eq!(tail.torn_bytes, 0);
}

#[test]
fn pushed_and_pulled_are_the_same() {
    let (_dir, path) = sealed(&consumer(), &compact::irregular_consumer(true));
    let (pulled, tail) = read(&path);
    let mut pushed = Vec::new();
    let take = |record: &Record| {
        pushed.push(*record);
        Ok::<(), JournalError>(())
    };
    assert_eq!(JournalReader::open(&path).unwrap().for_each(take).unwrap(), tail);
    assert!(pushed == pulled);
    // Also from the middle on.
    let mut reader = JournalReader::open(&path).unwrap();
    reader.by_ref().take(100_000).for_each(drop);
    let mut rest = 0;
    let count = |_: &Record| {
        rest += 1;
        Ok::<(), JournalError>(())
    };
    assert_eq!(reader.for_each(count).unwrap(), tail);
    assert_eq!(rest, pulled.len() - 100_000);
}

#[test]
fn reading_ends_with_the_first_error_of_the_taker() {
    let (_dir, path) = sealed(&producer(), &[acked(0), acked(1), acked(2)]);
    let mut taken = 0;
    let refuse = |_: &Record| {
        taken += 1;
        if taken == 2 { Err(JournalError::NotAJournal { path: PathBuf::new() }) } else { Ok(()) }
    };
    assert!(JournalReader::open(&path).unwrap().for_each(refuse).is_err());
    assert_eq!(taken, 2);
}

#[test]
fn another_format_version_is_named() {
    let (_dir, path) = sealed(&producer(), &[]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    std::fs::write(&path, &bytes).unwrap();
    let error = JournalReader::open(&path).err().unwrap();
    assert!(matches!(error, JournalError::Version { found: 9, .. }));
}

/// Not a test of its own: the process that the next test kills.
#[test]
fn writer_to_be_killed() {
    let Some(dir) = std::env::var_os("LOSSPROOF_TEST_KILLED_WRITER") else {
        return;
    };
    let mut writer = JournalWriter::create(Path::new(&dir), &producer()).unwrap();
    for sequence in 0.. {
        writer.raise_next(sequence + 1);
        writer.append(&acked(sequence)).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_all_but_the_entry_in_hand() {
    for round in 0..12_u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::writer_to_be_killed"])
            .env("LOSSPROOF_TEST_KILLED_WRITER", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let path = dir.path().join(producer().file_name());
        let enough = 1 + round * round * 2_000;
        let deadline = Instant::now() + Duration::from_secs(30);
        while JournalReader::open(&path).map_or(0, |reader| reader.next_sequence()) < enough {
            assert!(Instant::now() < deadline, "the writer does not write");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let mut reader = JournalReader::open(&path).unwrap();
        let mut expected = 0;
        for record in reader.by_ref() {
            assert_eq!(record.unwrap(), acked(expected));
            expected += 1;
        }
        let next = reader.next_sequence();
        let tail = reader.finish().unwrap();
        assert!(!tail.sealed && tail.is_undamaged(), "{tail:?}");
        assert!(next == expected || next == expected + 1, "offered below {next}, told of {expected}");
        assert!(expected + 1 >= enough);
    }
}

fn tolds() -> impl Strategy<Value = Told> {
    prop_oneof![
        Just(Told::Unsent),
        Just(Told::Failed),
        Just(Told::Indeterminate),
        Just(Told::Unconfirmed),
        Just(Told::Acked),
    ]
}

prop_compose! {
    fn identities()(
        run in prop_oneof![Just(RUN), any::<u64>()],
        producer in prop_oneof![0_u16..2, any::<u16>()],
        incarnation in prop_oneof![Just(0_u16), any::<u16>()],
        partition in prop_oneof![0_i32..3, any::<i32>()],
        sequence in prop_oneof![0_u64..9, any::<u64>()],
        attempt in prop_oneof![Just(0_u16), any::<u16>()],
    ) -> Identity {
        Identity { run, producer, incarnation, partition, sequence, attempt }
    }
}

fn outcomes() -> impl Strategy<Value = TxnOutcome> {
    prop_oneof![Just(TxnOutcome::Committed), Just(TxnOutcome::Aborted), Just(TxnOutcome::Unknown)]
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::ProducerDlq), Just(Place::Spool), Just(Place::Outbox), Just(Place::ConsumerDlq)]
}

fn isolations() -> impl Strategy<Value = Isolation> {
    prop_oneof![Just(Isolation::ReadUncommitted), Just(Isolation::ReadCommitted)]
}

/// A broker or an epoch; they are numbered from 0.
fn id() -> impl Strategy<Value = Option<i32>> {
    proptest::option::of(prop_oneof![0_i32..3, 0..=i32::MAX])
}

/// Small values, as in life, and any values.
fn records() -> impl Strategy<Value = Record> {
    let partition = || prop_oneof![0_i32..3, any::<i32>()];
    let offset = || prop_oneof![0_i64..50, any::<i64>()];
    // Times are kept to the microsecond.
    let at_ns = || prop_oneof![0_u64..9_000_000, any::<u64>()].prop_map(|at_ns| at_ns / 1000 * 1000);
    let content = prop_oneof![identities().prop_map(Content::Message), Just(Content::Fence), Just(Content::Corrupt),];
    prop_oneof![
        (
            partition(),
            prop_oneof![0_u64..9, any::<u64>()],
            prop_oneof![Just(0_u16), any::<u16>()],
            tolds(),
            proptest::option::of(offset()),
            prop_oneof![Just(0_i32), any::<i32>()],
            id(),
            any::<bool>(),
            at_ns(),
        )
            .prop_map(|(partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns)| {
                Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns }
            }),
        (partition(), outcomes(), at_ns()).prop_map(|(partition, outcome, at_ns)| Record::TxnEnded {
            partition,
            outcome,
            at_ns
        }),
        (partition(), offset(), proptest::option::of(identities()), at_ns())
            .prop_map(|(partition, offset, identity, at_ns)| Record::Tailed { partition, offset, identity, at_ns }),
        (places(), identities(), at_ns()).prop_map(|(place, identity, at_ns)| Record::Held { place, identity, at_ns }),
        (partition(), at_ns()).prop_map(|(partition, at_ns)| Record::Assigned { partition, at_ns }),
        (partition(), at_ns()).prop_map(|(partition, at_ns)| Record::Revoked { partition, at_ns }),
        (partition(), offset(), at_ns()).prop_map(|(partition, offset, at_ns)| Record::Polled {
            partition,
            offset,
            at_ns,
        }),
        (partition(), offset(), proptest::option::of(identities()), at_ns())
            .prop_map(|(partition, offset, identity, at_ns)| Record::Processed { partition, offset, identity, at_ns }),
        (partition(), offset(), any::<bool>(), at_ns()).prop_map(|(partition, offset, ok, at_ns)| Record::Committed {
            partition,
            offset,
            ok,
            at_ns,
        }),
        (partition(), offset(), at_ns())
            .prop_map(|(partition, offset, at_ns)| { Record::FenceSeen { partition, offset, at_ns } }),
        (partition(), offset(), prop_oneof![0_u16..2, any::<u16>()], isolations(), id(), content).prop_map(
            |(partition, offset, audit, isolation, leader_epoch, content)| Record::Audited {
                partition,
                offset,
                audit,
                isolation,
                leader_epoch,
                content,
            },
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(records in proptest::collection::vec(records(), 0..3000)) {
        let (_dir, path) = sealed(&consumer(), &records);
        let (back, tail) = read(&path);
        prop_assert_eq!(back, records);
        prop_assert!(tail.sealed && tail.is_undamaged());
    }

    #[test]
    fn hostile_blocks_are_survived(bytes in proptest::collection::vec(any::<u8>(), 1..4000)) {
        let (_dir, path) = unsealed(&[]);
        let mut file = std::fs::read(&path).unwrap();
        let at = BLOCK_BYTES + BLOCK_HEADER_BYTES;
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[BLOCK_BYTES..BLOCK_BYTES + BLOCK_FIXED_BYTES]);
        crc.update(&bytes);
        let state = u64::from(crc.finalize()) | (bytes.len() as u64) << 32;
        file[BLOCK_BYTES + BLOCK_STATE_AT..at].copy_from_slice(&state.to_le_bytes());
        std::fs::write(&path, &file).unwrap();
        let (records, tail) = read(&path);
        prop_assert_eq!(tail.records, records.len() as u64);
        prop_assert_eq!(tail.damaged_blocks, 0);
        prop_assert!(!tail.sealed);
    }
}
