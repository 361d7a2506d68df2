//! Sizes of journals under times and orders as irregular as real ones.

use test_case::test_case;

use super::*;

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

pub(super) fn irregular_consumer(commit_each: bool) -> Vec<Record> {
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
