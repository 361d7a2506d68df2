use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use test_case::test_case;

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

/// A small generator of irregular numbers, below `end`.
fn jitter(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % end
}

/// What a producer at some 2000/s is told: batches served at once, a slow or failed one now and then.
fn irregular_reports() -> Vec<Record> {
    let mut state = 1;
    let (mut at_ns, mut left, mut offset) = (9_000_000_000_000_000, 0, 0);
    (0..200_000)
        .map(|sequence| {
            if left == 0 {
                left = 1 + jitter(&mut state, 30);
                at_ns += left * 500_000 + jitter(&mut state, 3_000_000);
                at_ns += if jitter(&mut state, 500) == 0 { 4_000_000_000 } else { 0 };
                // Another producer's batch lies between.
                offset += jitter(&mut state, 30).cast_signed();
            }
            left -= 1;
            offset += 1;
            let failed = jitter(&mut state, 1000) == 0;
            Record::Told {
                partition: 2,
                sequence,
                attempt: 0,
                told: if failed { Told::Indeterminate } else { Told::Acked },
                offset: (!failed).then_some(offset),
                error: if failed { -185 } else { 0 },
                broker: Some(i32::try_from(sequence / 50_000).unwrap()),
                in_txn: false,
                at_ns: at_ns / 1000 * 1000,
            }
        })
        .collect()
}

/// Polls batch by batch from twelve partitions that three producers share, one of which restarts.
fn irregular_reads(mut each: impl FnMut(i64, Identity, &mut u64)) {
    let mut state = 2;
    let mut offsets = [0_i64; 12];
    let mut sequences = [[0_u64; 3]; 12];
    let mut read = 0;
    while read < 100_000 {
        let p = jitter(&mut state, 12) as usize;
        let producer = jitter(&mut state, 3) as usize;
        for _ in 0..=jitter(&mut state, 8) {
            let identity = Identity {
                run: RUN,
                producer: producer as u16,
                incarnation: u16::from(producer == 1 && read > 60_000),
                partition: p as i32,
                sequence: sequences[p][producer],
                attempt: 0,
            };
            each(offsets[p], identity, &mut state);
            sequences[p][producer] += 1;
            offsets[p] += 1;
            read += 1;
        }
        // The end of a transaction takes an offset.
        offsets[p] += i64::from(jitter(&mut state, 10) == 0);
    }
}

fn irregular_consumer(commit_each: bool) -> Vec<Record> {
    let mut records = Vec::new();
    let mut at_ns = 9_000_000_000_000_000;
    let mut committed = at_ns;
    irregular_reads(|offset, identity, state| {
        let partition = identity.partition;
        let mut now = |most| {
            at_ns += jitter(state, most);
            at_ns / 1000 * 1000
        };
        records.push(Record::Polled { partition, offset, at_ns: now(2_000_000) });
        records.push(Record::Processed { partition, offset, identity: Some(identity), at_ns: now(50_000) });
        if commit_each {
            records.push(Record::Committed { partition, offset: offset + 1, ok: true, at_ns: now(5_000_000) });
        } else if at_ns > committed + 5_000_000_000 {
            committed = at_ns;
            let commits = (0..12).map(|partition| Record::Committed { partition, offset: offset + 1, ok: true, at_ns });
            records.extend(commits.map(|commit| whole_microseconds(&commit)));
        }
    });
    records
}

fn whole_microseconds(record: &Record) -> Record {
    match *record {
        Record::Committed { partition, offset, ok, at_ns } => {
            Record::Committed { partition, offset, ok, at_ns: at_ns / 1000 * 1000 }
        }
        other => other,
    }
}

fn irregular_audit() -> Vec<Record> {
    let mut records = Vec::new();
    irregular_reads(|offset, identity, state| {
        records.push(Record::Audited {
            partition: identity.partition,
            offset,
            audit: u16::from(records.len() > 50_000),
            isolation: Isolation::ReadUncommitted,
            leader_epoch: Some(3 + i32::from(jitter(state, 500) == 0)),
            content: Content::Message(identity),
        });
    });
    records
}

/// The largest files of a run: an event takes at most 8 bytes, times included, however irregular
/// they are.
#[test_case(&producer(), &irregular_reports(); "producer")]
#[test_case(&consumer(), &irregular_consumer(false); "consumer with auto-commit")]
#[test_case(&consumer(), &irregular_consumer(true); "consumer that commits after processing")]
#[test_case(&Header { source: Source::Audit, ..consumer() }, &irregular_audit(); "audit")]
fn steady_state_is_compact(header: &Header, records: &[Record]) {
    let (_dir, path) = sealed(header, records);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let per_record = bytes as f64 / records.len() as f64;
    assert!(per_record <= 8.0, "{per_record} bytes a record");
    let (back, tail) = read(&path);
    assert!(back == records);
    assert!(tail.sealed && tail.is_undamaged());
}

#[test]
fn pushed_and_pulled_are_the_same() {
    let (_dir, path) = sealed(&consumer(), &irregular_consumer(true));
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
fn every_truncation_is_seen_and_leaves_a_prefix() {
    let expected: Vec<Record> = (0..40).map(acked).collect();
    let (dir, path) = sealed(&producer(), &expected);
    let whole = std::fs::read(&path).unwrap();
    let cut = dir.path().join("cut.ljr");
    let mut lengths: Vec<usize> = (0..FIXED_BYTES * 2).collect();
    lengths.extend(BLOCK_BYTES - 2..BLOCK_BYTES + 500);
    for len in lengths {
        std::fs::write(&cut, &whole[..len]).unwrap();
        if len < SEALED_AT + 4 {
            assert!(JournalReader::open(&cut).is_err(), "{len} bytes");
            continue;
        }
        let (records, tail) = read(&cut);
        assert_eq!(records, expected[..records.len()], "{len} bytes");
        assert_eq!(tail.records, records.len() as u64);
        if records.len() < expected.len() {
            assert!(!tail.sealed && !tail.is_undamaged(), "{len} bytes: {tail:?}");
        }
    }
    let (records, tail) = read(&path);
    assert_eq!(records, expected);
    assert!(tail.sealed);
}

#[test]
fn an_unsealed_journal_cut_short_is_damaged_not_torn() {
    let records: Vec<Record> = (0..60_000).map(acked).collect();
    let (_dir, path) = unsealed(&records);
    let whole = std::fs::read(&path).unwrap();
    for blocks in 1..3 {
        std::fs::write(&path, &whole[..BLOCK_BYTES * blocks]).unwrap();
        let (_, tail) = read(&path);
        assert!(!tail.is_undamaged(), "{blocks} blocks: {tail:?}");
    }
}

#[test]
fn an_entry_in_hand_is_a_torn_tail() {
    let records: Vec<Record> = (0..10).map(acked).collect();
    let (_dir, path) = unsealed(&records);
    let mut bytes = std::fs::read(&path).unwrap();
    let committed = u32::from_le_bytes(
        bytes[BLOCK_BYTES + (BLOCK_STATE_AT + 4)..BLOCK_BYTES + (BLOCK_STATE_AT + 4) + 4].try_into().unwrap(),
    );
    let end = BLOCK_BYTES + BLOCK_HEADER_BYTES + committed as usize;
    bytes[end..end + 3].copy_from_slice(&[0xe0, 0, 2]);
    std::fs::write(&path, &bytes).unwrap();
    let (records, tail) = read(&path);
    assert_eq!(records.len(), 10);
    assert_eq!(tail, Tail { records: 10, torn_bytes: 3, ..Tail::default() });
    assert!(tail.is_undamaged());
}

#[test]
fn a_flipped_bit_in_a_sealed_journal_is_seen() {
    let expected: Vec<Record> = (0..30).map(acked).collect();
    let (_dir, path) = sealed(&producer(), &expected);
    let good = std::fs::read(&path).unwrap();
    let used = BLOCK_BYTES + BLOCK_HEADER_BYTES + 30 * 3;
    let positions = (0..CRC_AT + 4).chain(NEXT_AT..SEALED_AT + 4).chain(BLOCK_BYTES..used);
    for at in positions {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        if bad[at] == good[at] {
            continue;
        }
        std::fs::write(&path, &bad).unwrap();
        let Ok(reader) = JournalReader::open(&path) else {
            assert!(at < CRC_AT + 4, "byte {at}");
            continue;
        };
        let tail = reader.finish().unwrap();
        let seen = !tail.sealed || !tail.is_undamaged() || tail.torn_bytes > 0;
        assert!(seen, "byte {at}: {tail:?}");
    }
}

/// Without a seal, what is read as whole is whole all the same.
#[test]
fn a_flipped_bit_in_an_unsealed_journal_is_seen_or_harmless() {
    let expected: Vec<Record> = (0..30).map(acked).collect();
    let (_dir, path) = unsealed(&expected);
    let good = std::fs::read(&path).unwrap();
    for at in (0..SEALED_AT + 4).chain(BLOCK_BYTES..BLOCK_BYTES + 200) {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            std::fs::write(&path, &bad).unwrap();
            let Ok(mut reader) = JournalReader::open(&path) else {
                assert!(at < CRC_AT + 4, "byte {at}");
                continue;
            };
            let records: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
            let next = reader.next_sequence();
            let tail = reader.finish().unwrap();
            assert!(!tail.sealed, "byte {at}");
            if tail.is_undamaged() {
                assert_eq!((records, next), (expected.clone(), 30), "byte {at}");
            }
        }
    }
}

#[test]
fn zeroed_words_of_an_open_block_are_seen() {
    let (_dir, path) = unsealed(&[acked(0), acked(1)]);
    let good = std::fs::read(&path).unwrap();
    let end = BLOCK_BYTES + BLOCK_HEADER_BYTES + 100;
    for (from, to) in [(8, 16), (0, 16), (0, 100), (8, 100), (16, 100)] {
        let mut bad = good.clone();
        bad[BLOCK_BYTES + from..(BLOCK_BYTES + to).min(end)].fill(0);
        std::fs::write(&path, &bad).unwrap();
        let (records, tail) = read(&path);
        assert!(records.is_empty(), "{from}..{to}");
        assert!(!tail.is_undamaged(), "{from}..{to}: {tail:?}");
    }
}

#[test]
fn more_than_an_entry_behind_the_last_is_no_torn_tail() {
    let (_dir, path) = unsealed(&[acked(0)]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[BLOCK_BYTES + 1000] = 1;
    std::fs::write(&path, &bytes).unwrap();
    let (records, tail) = read(&path);
    assert_eq!(records, [acked(0)]);
    assert!(tail.lost_bytes > 0 && tail.torn_bytes == 0, "{tail:?}");
}

/// A `next` out of all proportion would have its reader reserve memory for sequences that never were.
#[test]
fn a_damaged_next_is_replaced_by_what_the_records_show() {
    let expected: Vec<Record> = (0..30_000).map(acked).collect();
    let (_dir, path) = unsealed(&expected);
    let mut bytes = std::fs::read(&path).unwrap();
    for word in [0, u64::MAX, 1 << 60, 1 << 20, 29_000] {
        bytes[NEXT_AT..NEXT_AT + 8].copy_from_slice(&word.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let reader = JournalReader::open(&path).unwrap();
        assert_eq!(reader.next_sequence(), 30_000, "{word:#x}");
        let (records, tail) = read(&path);
        assert!(records == expected);
        assert_eq!(tail.damaged_blocks, 1, "{word:#x}: the header");
    }
}

#[test]
fn a_damaged_count_of_blocks_hides_none() {
    let expected: Vec<Record> = (0..60_000).map(acked).collect();
    let (_dir, path) = unsealed(&expected);
    let mut bytes = std::fs::read(&path).unwrap();
    for word in [0, 1, u64::MAX, 1 << 60] {
        bytes[BLOCKS_AT..BLOCKS_AT + 8].copy_from_slice(&u64::to_le_bytes(word));
        std::fs::write(&path, &bytes).unwrap();
        let (records, tail) = read(&path);
        assert!(records == expected, "{word:#x}");
        assert_eq!(tail.damaged_blocks, 1, "{word:#x}: the header");
    }
}

#[test]
fn damage_in_one_block_leaves_the_others() {
    let expected: Vec<Record> = (0..60_000).map(acked).collect();
    let (_dir, path) = sealed(&producer(), &expected);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2 * BLOCK_BYTES + 5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (records, tail) = read(&path);
    assert_eq!(tail.damaged_blocks, 1);
    assert!(!tail.sealed);
    assert!(records.len() > 30_000 && records.len() < expected.len());
    let lost = expected.len() - records.len();
    let (before, after) = records.split_at((0..records.len()).find(|at| records[*at] != expected[*at]).unwrap());
    assert_eq!(*before, expected[..before.len()]);
    assert_eq!(*after, expected[before.len() + lost..]);
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
