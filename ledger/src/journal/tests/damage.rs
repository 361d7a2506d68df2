//! Journals cut short, altered and torn: all of it seen, none of it fatal.

use super::*;
use crate::journal::word::checked;

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
fn more_than_a_writer_has_in_hand_is_no_torn_tail() {
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
fn a_sealed_journal_without_records_may_be_damaged_too() {
    let (_dir, path) = sealed(&producer(), &[]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..BLOCK_BYTES]).unwrap();
    let (_, tail) = read(&path);
    assert_eq!(tail, Tail { damaged_blocks: 1, ..Tail::default() });
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

/// A writer killed in the middle of an append leaves the bytes of the entry, and nothing that vouches
/// for them.
#[test]
fn every_instant_of_an_append_is_readable() {
    let records: Vec<Record> = (0..12).map(acked).collect();
    let odd = Record::Told {
        partition: -7,
        sequence: u64::MAX / 3,
        attempt: 9,
        told: Told::Failed,
        offset: None,
        error: -1000,
        broker: None,
        in_txn: true,
        at_ns: 77_000,
    };
    let (dir, path) = unsealed(&records);
    let before = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut writer = JournalWriter::create(dir.path(), &producer()).unwrap();
    for record in records.iter().chain([&odd]) {
        writer.append(record).unwrap();
    }
    let after = std::fs::read(&path).unwrap();
    let entry: Vec<usize> =
        (BLOCK_BYTES + BLOCK_HEADER_BYTES..after.len()).filter(|at| before[*at] != after[*at]).collect();
    assert!(entry.len() > 8);
    for written in 0..=entry.len() {
        let mut killed = before.clone();
        for at in &entry[..written] {
            killed[*at] = after[*at];
        }
        std::fs::write(&path, &killed).unwrap();
        let (found, tail) = read(&path);
        assert_eq!(found, records);
        assert!(tail.is_undamaged() && !tail.sealed && (tail.torn_bytes > 0) == (written > 0), "{tail:?}");
    }
}

/// The same for the beginning of a block: sealed is the one before, and the header names it last.
#[test]
fn every_instant_between_two_blocks_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(dir.path(), &producer()).unwrap();
    let path = writer.path().to_owned();
    let blocks = |path: &Path| {
        let mut bytes = [0; 8];
        let file = std::fs::File::open(path).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, BLOCKS_AT as u64).unwrap();
        u64::from_le_bytes(bytes)
    };
    let mut records = Vec::new();
    while blocks(&path) != checked(2) {
        records.push(acked(records.len() as u64));
        writer.append(&records[records.len() - 1]).unwrap();
    }
    // The last one is in the new block, which was not begun yet.
    records.pop();
    let mut killed = std::fs::read(&path).unwrap();
    killed[BLOCKS_AT..BLOCKS_AT + 8].copy_from_slice(&checked(1).to_le_bytes());
    killed[2 * BLOCK_BYTES + BLOCK_HEADER_BYTES..].fill(0);
    for written in (0..=BLOCK_HEADER_BYTES).rev() {
        killed[2 * BLOCK_BYTES + written..2 * BLOCK_BYTES + BLOCK_HEADER_BYTES].fill(0);
        std::fs::write(&path, &killed).unwrap();
        let (found, tail) = read(&path);
        assert!(found == records);
        assert_eq!(tail, Tail { records: records.len() as u64, ..Tail::default() });
    }
}

/// What may happen to a file on a disk.
#[derive(Debug, Clone)]
enum Harm {
    Burst { at: usize, bits: u16 },
    Unwritten { sector: usize, sectors: usize },
    Cut { at: usize },
}

fn harms() -> impl Strategy<Value = Harm> {
    // Most of a file is its header's padding and its first block.
    let at = || prop_oneof![0..SEALED_AT + 4, BLOCK_BYTES..BLOCK_BYTES + 3000, any::<usize>()];
    prop_oneof![
        (at(), 1_u16..).prop_map(|(at, bits)| Harm::Burst { at, bits }),
        (any::<usize>(), 1_usize..300).prop_map(|(sector, sectors)| Harm::Unwritten { sector, sectors }),
        at().prop_map(|at| Harm::Cut { at }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_is_never_hidden(
        expected in proptest::collection::vec(records(), 0..2000),
        seal: bool,
        harm in harms(),
    ) {
        let (_dir, path) = if seal { sealed(&producer(), &expected) } else { unsealed(&expected) };
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        match harm {
            Harm::Burst { at, bits } => {
                for (byte, bits) in bytes[at % len..].iter_mut().zip(bits.to_le_bytes()) {
                    *byte ^= bits;
                }
            }
            Harm::Unwritten { sector, sectors } => {
                let from = sector % (len / 512) * 512;
                bytes[from..(from + sectors * 512).min(len)].fill(0);
            }
            Harm::Cut { at } => bytes.truncate(at % len),
        }
        std::fs::write(&path, &bytes).unwrap();
        let Ok(reader) = JournalReader::open(&path) else { return Ok(()) };
        let next = reader.next_sequence();
        let (found, tail) = read(&path);
        prop_assert_eq!(tail.records, found.len() as u64);
        let mut rest = expected.iter();
        prop_assert!(found.iter().all(|record| rest.any(|other| other == record)), "a record was invented");
        prop_assert!(!tail.sealed || tail.is_undamaged());
        if tail.is_undamaged() {
            prop_assert!(found == expected, "{:?}", tail);
            prop_assert!(seal || next == expected.len() as u64);
        }
    }
}

/// As long as entries get, two at once, and the writer is killed before they count.
#[test]
fn what_is_committed_together_is_there_together_or_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(dir.path(), &consumer()).unwrap();
    let far = |offset| Record::Processed {
        partition: i32::MIN,
        offset,
        identity: Some(Identity {
            run: RUN ^ (u64::MAX << 1),
            producer: u16::MAX,
            incarnation: u16::MAX,
            partition: i32::MAX,
            sequence: u64::MAX / 3,
            attempt: u16::MAX,
        }),
        at_ns: u64::MAX,
    };
    let near = Record::Assigned { partition: 0, at_ns: 0 };
    writer.append(&near).unwrap();
    let before = std::fs::read(writer.path()).unwrap();
    writer.append_all([&far(i64::MIN), &near]).unwrap();
    let path = writer.path().to_owned();
    let (records, tail) = read(&path);
    assert_eq!(records.len(), 3);
    assert!(tail.is_undamaged() && tail.torn_bytes == 0, "{tail:?}");

    // The state word of before, and the entries of after.
    let mut bytes = std::fs::read(&path).unwrap();
    let state = BLOCK_BYTES + BLOCK_STATE_AT..BLOCK_BYTES + BLOCK_STATE_AT + 8;
    bytes[state.clone()].copy_from_slice(&before[state]);
    std::fs::write(&path, &bytes).unwrap();
    let (records, tail) = read(&path);
    assert_eq!(records, [near]);
    assert!(tail.is_undamaged() && tail.torn_bytes > 40, "{tail:?}");
}
