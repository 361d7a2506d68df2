use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use test_case::test_case;

use super::*;

const fn cell(author: AuthorNumber, sequence: u64) -> Cell {
    Cell { author, sequence }
}

fn image(records: impl IntoIterator<Item = (i64, Cell)>) -> LogImage {
    let mut image = LogImage::default();
    for (offset, cell) in records {
        assert_eq!(image.put(offset, cell), Put::New, "{offset}");
    }
    image
}

/// Bytes that the image takes for its runs.
fn size(image: &LogImage) -> usize {
    image.bytes.len() + image.blocks.iter().map(|block| block.bytes.len()).sum::<usize>()
}

#[test]
fn a_record_put_again_is_the_same_or_another() {
    let mut image = image([(10, cell(2, 0)), (11, cell(2, 1)), (20, cell(3, 0))]);
    assert_eq!(image.put(11, cell(2, 1)), Put::Same);
    assert_eq!(image.put(11, cell(2, 2)), Put::Other);
    assert_eq!(image.put(20, cell(2, 0)), Put::Other);
    assert_eq!(image.put(15, cell(3, 9)), Put::New);
    assert_eq!(image.put(16, cell(3, 10)), Put::New);
    assert_eq!(image.put(16, cell(3, 11)), Put::Other);
    assert_eq!(image.put(12, cell(2, 2)), Put::New);
    let at = |offset| image.at(&mut Cursor::default(), offset);
    assert_eq!(at(11), Some(cell(2, 1)));
    assert_eq!(at(12), Some(cell(2, 2)));
    assert_eq!(at(13), None);
    assert_eq!(at(16), Some(cell(3, 10)));
    assert_eq!(at(20), Some(cell(3, 0)));
    assert_eq!(at(21), None);
    let runs: Vec<_> = image.runs().map(|run| (run.first, run.last)).collect();
    assert_eq!(runs, [(10, 11), (12, 12), (15, 16), (20, 20)]);
    assert_eq!(image.late.len(), 2, "those that follow each other are one run");
}

#[test]
fn only_data_records_strictly_between_are_counted() {
    let image = image([
        (10, cell(2, 0)),
        (11, cell(2, 1)),
        (12, cell(2, 2)),
        (13, cell(FENCE, 13)),
        (14, cell(FENCE, 14)),
        (15, cell(CORRUPT, 15)),
        (2000, cell(2, 3)),
        (5000, cell(FENCE, 5000)),
    ]);
    let between = |low, high| image.data_between(&mut Cursor::default(), low, high);
    assert_eq!(between(10, 12), 1);
    assert_eq!(between(10, 16), 3);
    assert_eq!(between(0, 14), 3);
    assert_eq!(between(10, 5001), 4);
    assert_eq!(between(0, i64::MAX), 5);
    assert_eq!(between(i64::MIN, 11), 1);
    assert_eq!(between(12, 12), 0);
    assert_eq!(between(12, 3), 0);
    assert_eq!(between(i64::MAX, i64::MIN), 0);
}

#[test_case(1, 1, 1, 0; "one producer, one run")]
#[test_case(4, 1, 1, 100_000; "four, a record each")]
#[test_case(12, 1, 1, 100_000; "twelve, a record each")]
#[test_case(3, 7, 1, 14_286; "three, short batches")]
#[test_case(3, 50, 1, 2 * 2_000; "three, long batches")]
#[test_case(1, 50, 2, 2 * 2_000 + 2_000; "one, a transaction's marker after each batch")]
fn what_producers_interleaved_cost(producers: u32, batch: u64, step: i64, bytes_max: usize) {
    let mut next = vec![0; producers as usize];
    let mut offset = 0;
    let mut image = LogImage::default();
    for n in 0..100_000 / batch {
        let producer = (n % u64::from(producers)) as usize;
        for _ in 0..batch {
            image.put(offset, cell(2 + producer as u32, next[producer]));
            next[producer] += 1;
            offset += 1;
        }
        offset += step - 1;
    }
    // A few bytes more in each block, where authors are named.
    let blocks = image.blocks();
    assert!(blocks <= size(&image) / BLOCK_BYTES + 1);
    assert!(size(&image) <= bytes_max + blocks * 12 * 8, "{} bytes in {blocks} blocks", size(&image));
    assert_eq!(image.data_between(&mut Cursor::default(), -1, i64::MAX), 100_000 / batch * batch);
}

#[test]
fn one_that_is_far_away_is_found_without_reading_all() {
    // 16,384 runs of two bytes in many blocks.
    let image = image((0..16_384).map(|n| (n * 3, cell(2 + n as u32 % 2, n as u64))));
    assert!(image.blocks.len() > 10);
    let mut cursor = Cursor::default();
    for offset in [49_149, 0, 30_000, 29_997, 3, 49_149] {
        assert_eq!(image.at(&mut cursor, offset), Some(cell(2 + (offset / 3) as u32 % 2, (offset / 3) as u64)));
        assert_eq!(image.at(&mut cursor, offset + 1), None);
    }
}

#[derive(Debug, Clone)]
struct Stretch {
    gap: i64,
    author: AuthorNumber,
    sequence: Option<u64>,
    length: u64,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let gap = prop_oneof![8 => Just(0), 4 => 1_i64..3, 1 => 100_i64..1_000_000_000];
    let sequence = prop_oneof![
        8 => Just(None),
        1 => prop_oneof![0..50_u64, select(vec![u64::MAX, u64::MAX - 3, 1 << 40])].prop_map(Some)
    ];
    let author = prop_oneof![8 => 2..6_u32, 2 => 2..40_u32, 1 => select(vec![FENCE, CORRUPT, u32::MAX - 1])];
    let length = prop_oneof![6 => 1..4_u64, 2 => 4..20_u64, 1 => 20..60_u64];
    (gap, author, sequence, length).prop_map(|(gap, author, sequence, length)| Stretch {
        gap,
        author,
        sequence,
        length,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn an_image_is_a_map(
        start in select(vec![i64::MIN, -7, 0, 0, 0, i64::MAX - 10]),
        stretches in vec(stretch(), 0..2_000),
        late in vec((any::<prop::sample::Index>(), -2_i64..3, 2..5_u32, 0..9_u64), 0..40),
        order in vec(any::<prop::sample::Index>(), 30),
    ) {
        let mut map: BTreeMap<i64, Cell> = BTreeMap::new();
        let mut image = LogImage::default();
        let mut next: BTreeMap<AuthorNumber, u64> = BTreeMap::new();
        let mut at = Some(start);
        let mut later = Cursor::default();
        for (n, stretch) in stretches.iter().enumerate() {
            at = at.and_then(|at| at.checked_add(stretch.gap));
            let mut sequence = stretch.sequence.unwrap_or_else(|| next.get(&stretch.author).copied().unwrap_or(0));
            for _ in 0..stretch.length {
                let Some(offset) = at else { break };
                let cell = cell(stretch.author, sequence);
                prop_assert_eq!(image.put(offset, cell), Put::New);
                map.insert(offset, cell);
                sequence = sequence.wrapping_add(1);
                at = offset.checked_add(1);
            }
            next.insert(stretch.author, sequence);
            // A cursor stays good while records are added behind it.
            if n % 7 == 0 && let Some((offset, cell)) = map.iter().nth_back(5) {
                prop_assert_eq!(image.at(&mut later, *offset), Some(*cell));
            }
        }
        let offsets: Vec<i64> = map.keys().copied().collect();
        for (index, beside, author, sequence) in late.iter().filter(|_| !offsets.is_empty()) {
            let offset = offsets[index.index(offsets.len())].saturating_add(*beside);
            let cell = cell(*author, *sequence);
            let expected = match map.get(&offset) {
                None => Put::New,
                Some(there) if *there == cell => Put::Same,
                Some(_) => Put::Other,
            };
            prop_assert_eq!(image.put(offset, cell), expected);
            map.entry(offset).or_insert(cell);
        }

        let records = image.runs().flat_map(|run| {
            (run.first..=run.last).map(move |offset| (offset, cell(run.author, run.sequence_at(offset))))
        });
        prop_assert!(records.eq(map.iter().map(|(offset, cell)| (*offset, *cell))));

        let mut cursor = Cursor::default();
        for (offset, cell) in &map {
            prop_assert_eq!(image.at(&mut cursor, *offset), Some(*cell));
        }
        let (mut cursor, mut counting) = (Cursor::default(), Cursor::default());
        let mut low = start;
        for index in order.iter().filter(|_| !offsets.is_empty()) {
            let offset = offsets[index.index(offsets.len())];
            for offset in [offset, offset.saturating_add(1), offset.saturating_sub(1)] {
                prop_assert_eq!(image.at(&mut cursor, offset), map.get(&offset).copied());
                let from = low.saturating_add(1);
                let data = map.range(from..offset.max(from)).filter(|(_, cell)| cell.author != FENCE);
                prop_assert_eq!(image.data_between(&mut counting, low, offset), data.count() as u64);
            }
            low = offset;
        }
    }
}
