//! What a journal costs: nanoseconds of CPU time to append and to read an entry, and its size, for the
//! journals that a run is made of, under times as irregular as real ones.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;

use lossproof_ledger::category::Told;
use lossproof_ledger::journal::{Header, JournalError, JournalReader, JournalWriter, Source, Stream};
use lossproof_ledger::record::{Content, Identity, Isolation, Record};
use support::{Random, cpu_ns};

/// Few enough to stay in the processor's cache, so that only the journal is measured.
const MESSAGES: u64 = 400_000;
const ROUNDS: usize = 20;
const PARTITIONS: u64 = 12;

fn main() {
    let stream = Stream { producer: 0, partition: 0, first: 0, start_ns: 0, period_ns: 500_000 };
    let producer = Source::Producer { member: 0, incarnation: 0, stream };
    let consumer = Source::Consumer { member: 0, incarnation: 0 };
    measure("producer", producer, &told());
    measure("consumer, auto-commit", consumer, &consumed(false));
    measure("consumer, commit after processing", consumer, &consumed(true));
    measure("audit", Source::Audit, &audited());
}

fn measure(name: &str, source: Source, records: &[Record]) {
    let header = Header { run: 1, profile: "p".into(), source };
    let (mut bytes, mut appending, mut reading) = (0, u64::MAX, u64::MAX);
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = JournalWriter::create(dir.path(), &header).unwrap();
        let path = writer.path().to_owned();
        let start = cpu_ns();
        for record in records {
            writer.append(record).unwrap();
        }
        appending = appending.min(cpu_ns() - start);
        writer.seal().unwrap();
        bytes = std::fs::metadata(&path).unwrap().len();

        let start = cpu_ns();
        let take = |record: &Record| {
            black_box(record);
            Ok::<(), JournalError>(())
        };
        JournalReader::open(&path).unwrap().for_each(take).unwrap();
        reading = reading.min(cpu_ns() - start);
    }
    let per_record = |total: u64| total as f64 / records.len() as f64;
    println!(
        "{name:34} {:5.2} B, append {:5.1} ns, read {:5.2} ns a record",
        per_record(bytes),
        per_record(appending),
        per_record(reading)
    );
}

/// Reports of one partition at some 2000/s: batches of a few milliseconds, all of one served at once.
fn told() -> Vec<Record> {
    let mut random = Random::new(1);
    let (mut at_ns, mut left) = (1_000_000_000, 0);
    (0..MESSAGES)
        .map(|sequence| {
            if left == 0 {
                left = random.between(1, 20);
                at_ns += left * 500_000 + random.below(700_000);
            }
            left -= 1;
            Record::Told {
                partition: 0,
                sequence,
                attempt: 0,
                told: Told::Acked,
                offset: Some(sequence.cast_signed()),
                error: 0,
                broker: Some(1),
                in_txn: false,
                at_ns,
            }
        })
        .collect()
}

/// A log of several partitions in which two producers' batches alternate, as a reader comes by it.
fn log(mut each: impl FnMut(i64, Identity, &mut Random)) {
    let mut random = Random::new(2);
    let mut offsets = [0_i64; PARTITIONS as usize];
    let mut sequences = [[0_u64; 2]; PARTITIONS as usize];
    let mut read = 0;
    while read < MESSAGES {
        let p = random.below(PARTITIONS) as usize;
        let producer = random.below(2) as u16;
        for _ in 0..random.between(1, 50) {
            let sequence = sequences[p][usize::from(producer)];
            let identity = Identity { run: 1, producer, incarnation: 0, partition: p as i32, sequence, attempt: 0 };
            each(offsets[p], identity, &mut random);
            sequences[p][usize::from(producer)] += 1;
            offsets[p] += 1;
            read += 1;
        }
    }
}

fn consumed(commit_each: bool) -> Vec<Record> {
    let mut records = Vec::new();
    let mut at_ns = 1_000_000_000;
    log(|offset, identity, random| {
        let partition = identity.partition;
        at_ns += if random.below(20) == 0 { random.below(8_000_000) } else { 500 + random.below(80_000) };
        records.push(Record::Polled { partition, offset, at_ns: at_ns / 1000 * 1000 });
        at_ns += 300 + random.below(3_000);
        records.push(Record::Processed { partition, offset, identity: Some(identity), at_ns: at_ns / 1000 * 1000 });
        if commit_each || random.below(10_000) == 0 {
            at_ns += 200_000 + random.below(900_000);
            records.push(Record::Committed { partition, offset: offset + 1, ok: true, at_ns: at_ns / 1000 * 1000 });
        }
    });
    records
}

fn audited() -> Vec<Record> {
    let mut records = Vec::new();
    log(|offset, identity, _| {
        records.push(Record::Audited {
            partition: identity.partition,
            offset,
            audit: 0,
            isolation: Isolation::ReadUncommitted,
            leader_epoch: Some(3),
            content: Content::Message(identity),
        });
    });
    records
}
