//! No acknowledgement is missing from the journal of a producer that was killed: a second witness, a pipe
//! that the same delivery callback feeds after the entry was made, hears of nothing that the journal lacks.
//!
//! Were the order the other one, a kill between the two would leave the pipe with the one entry more.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::thread::JoinHandle;

use lossproof::workload::WITNESS_BYTES;
use lossproof_ledger::journal::JournalWriter;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const KILLS: u64 = 50;
/// Kills at a time.
const ABREAST: u64 = 5;
const PARTITIONS: i32 = 4;
const SEED: u64 = 0x10_55;

/// Acknowledged (partition, sequence).
type Acked = BTreeSet<(i32, u64)>;

/// What the pipe said until its writer was dead.
fn listen(pipe: PathBuf) -> JoinHandle<Acked> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        File::open(pipe).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() % WITNESS_BYTES, 0);
        let acked = bytes.chunks_exact(WITNESS_BYTES).map(|chunk| {
            let (partition, sequence) = chunk.split_at(4);
            (i32::from_le_bytes(partition.try_into().unwrap()), u64::from_le_bytes(sequence.try_into().unwrap()))
        });
        acked.collect()
    })
}

/// What journals hold as acknowledged.
fn journalled<'a>(journals: impl IntoIterator<Item = &'a Journal>) -> Acked {
    let records = journals.into_iter().flat_map(|journal| &journal.records);
    let acked = records.filter_map(|record| match record {
        Record::Told { partition, sequence, told: Told::Acked, .. } => Some((*partition, *sequence)),
        _ => None,
    });
    acked.collect()
}

/// What the witness heard and the journals lack.
fn missing(heard: &Acked, journals: &BTreeMap<String, Journal>) -> Vec<(i32, u64)> {
    heard.difference(&journalled(journals.values())).copied().collect()
}

/// A producer under load, killed `after` it has its first acknowledgements.
async fn kill_one(bootstrap: String, incarnation: u16, after: Duration) -> (Run, Acked) {
    let run = Run::new(bootstrap);
    let pipe = run.dir.path().join("witness");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut spec = run.producer(PARTITIONS, 60_000.0, &[("acks", "1"), ("linger.ms", "2")]);
    spec.id.incarnation = incarnation;
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.witness = Some(pipe.clone());
    let heard = listen(pipe);
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 0).await;
    tokio::time::sleep(after).await;
    assert_eq!(process.kill().await.how, "signal 9", "{}", run.log(&spec));
    let heard = tokio::task::spawn_blocking(|| heard.join().unwrap()).await.unwrap();
    (run, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_under_load_lose_no_acknowledgement() {
    let mock = mock(PARTITIONS);
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut heard_of, mut under_load) = (0, 0);
    for round in 0..KILLS / ABREAST {
        let killed = (0..ABREAST).map(|one| {
            let after = Duration::from_micros(random.random_range(0..300_000));
            let incarnation = u16::try_from(round * ABREAST + one).unwrap();
            tokio::spawn(kill_one(mock.bootstrap_servers(), incarnation, after))
        });
        for one in killed.collect::<Vec<_>>() {
            let (run, heard) = one.await.unwrap();
            let journals = run.journals();
            assert_eq!(journals.len(), usize::try_from(PARTITIONS).unwrap());
            for (name, journal) in &journals {
                assert!(!journal.tail.sealed && journal.tail.is_undamaged(), "{name}: {:?}", journal.tail);
            }
            assert_eq!(missing(&heard, &journals), [], "seed {SEED:#x}, round {round}");
            let offered: u64 = journals.values().map(|journal| journal.next).sum();
            let told: usize = journals.values().map(|journal| journal.records.len()).sum();
            // Messages were under way when it died.
            under_load += u64::from(offered > told as u64);
            heard_of += heard.len();
        }
    }
    assert!(under_load > KILLS / 2, "only {under_load} of {KILLS} producers had anything in flight");
    assert!(heard_of > 50_000, "the witness heard of {heard_of} acknowledgements only");
}

/// The proof could fail: a journal that lacks just the last entry that the witness heard of is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_its_last_entry_is_found_out() {
    let mock = mock(PARTITIONS);
    let (run, heard) = kill_one(mock.bootstrap_servers(), 0, Duration::from_millis(50)).await;
    let mut journals = run.journals();
    let (partition, last) = *heard.iter().rfind(|(partition, _)| *partition == 2).unwrap();

    let name = "baseline-producer-0-0-p2.ljr";
    let whole = journals.remove(name).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut doctored = JournalWriter::create(elsewhere.path(), &whole.header).unwrap();
    doctored.raise_next(whole.next);
    for record in &whole.records {
        if !matches!(record, Record::Told { sequence, .. } if *sequence == last) {
            doctored.append(record).unwrap();
        }
    }
    drop(doctored);
    assert_eq!(missing(&heard, &run.journals()), []);
    journals.insert(name.to_owned(), Journal::read(&elsewhere.path().join(name)));
    assert_eq!(missing(&heard, &journals), [(partition, last)]);
}
