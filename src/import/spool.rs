//! What the inputs tell, as journals in a folder of its own: an input can be read only once, and
//! reconciliation needs to know all that was offered before it looks at the first record.
//!
//! Reports of producers lie in the order of the input. Records lie in runs, each sorted by partition
//! and offset, and are merged when they are read back, so that neither the order of lines nor the
//! number of files changes anything. Memory: one run, 40 bytes a record.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::{Path, PathBuf};

use lossproof_ledger::category::Told;
use lossproof_ledger::journal::{Header, JournalError, JournalReader, JournalWriter, Source, Stream};
use lossproof_ledger::record::{Content, Identity, Isolation, Record};
use rustc_hash::FxHashMap;

/// Number of the run in every identity: an import is one run.
pub(super) const RUN: u64 = 0;
/// The profile's name in the journals' headers.
const PROFILE: &str = "import";
/// Records sorted at a time.
const RUN_RECORDS: usize = 1_000_000;
/// Runs that are open at a time; with more, they are merged into one first.
const RUNS_OPEN: usize = 256;

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Read {
    pub partition: i32,
    pub offset: i64,
    /// Producer's number and sequence; none for a record that is no message of anyone's.
    pub message: Option<(u16, u64)>,
    pub processed: bool,
}

impl Read {
    fn identity(&self) -> Option<Identity> {
        let (producer, sequence) = self.message?;
        Some(Identity { run: RUN, producer, incarnation: 0, partition: self.partition, sequence, attempt: 0 })
    }

    /// As the audit of a log would have it.
    pub(super) fn audited(&self) -> Record {
        Record::Audited {
            partition: self.partition,
            offset: self.offset,
            audit: 0,
            isolation: Isolation::ReadUncommitted,
            leader_epoch: None,
            content: self.identity().map_or(Content::Corrupt, Content::Message),
        }
    }

    /// As a member of a group would have it.
    pub(super) fn processed(&self) -> Record {
        Record::Processed { partition: self.partition, offset: self.offset, identity: self.identity(), at_ns: 0 }
    }

    /// Records that were processed lie in a run as such, others as audited.
    fn of(record: &Record) -> Option<Self> {
        let message = |identity: &Identity| (identity.producer, identity.sequence);
        match record {
            Record::Processed { partition, offset, identity, .. } => Some(Self {
                partition: *partition,
                offset: *offset,
                processed: true,
                message: identity.as_ref().map(message),
            }),
            Record::Audited { partition, offset, content, .. } => Some(Self {
                partition: *partition,
                offset: *offset,
                processed: false,
                message: match content {
                    Content::Message(identity) => Some(message(identity)),
                    Content::Fence | Content::Corrupt => None,
                },
            }),
            _ => None,
        }
    }
}

/// Reports of producers, in the order of the input.
pub(super) struct Reports {
    journal: JournalWriter,
}

/// A report: number of the stream, sequence, what was told, and the offset that an ack named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub stream: u32,
    pub sequence: u64,
    pub told: Told,
    pub offset: Option<i64>,
}

impl Reports {
    pub(super) fn create(dir: &Path) -> Result<Self, JournalError> {
        let stream = Stream { producer: 0, partition: 0, first: 0, start_ns: 0, period_ns: 0 };
        let source = Source::Producer { member: 0, incarnation: 0, stream };
        Ok(Self { journal: create(dir, source)? })
    }

    /// The journal holds the streams of all producers: the number of the stream stands in the
    /// partition's place.
    pub(super) fn add(&mut self, report: &Report) -> Result<(), JournalError> {
        self.journal.append(&Record::Told {
            partition: report.stream.cast_signed(),
            sequence: report.sequence,
            attempt: 0,
            told: report.told,
            offset: report.offset,
            error: 0,
            broker: None,
            in_txn: false,
            at_ns: 0,
        })
    }

    /// Ends writing; gives the journal's path.
    pub(super) fn finish(self) -> Result<PathBuf, JournalError> {
        let path = self.journal.path().to_owned();
        self.journal.seal()?;
        Ok(path)
    }
}

/// Reads reports back; the stream's number stands in the partition's place.
pub(super) fn reports(path: &Path) -> Result<impl Iterator<Item = Result<Record, JournalError>>, JournalError> {
    JournalReader::open(path)
}

/// Records that were read, sorted as they come.
pub(super) struct Records {
    dir: PathBuf,
    run_records: usize,
    /// By partition, in the order of the input, which is nearly that of the offsets.
    waiting: FxHashMap<i32, Vec<Read>>,
    waits: usize,
    runs: Vec<PathBuf>,
    /// Runs made so far.
    made: u16,
}

impl Records {
    pub(super) fn new(dir: &Path) -> Self {
        Self::with_runs_of(dir, RUN_RECORDS)
    }

    fn with_runs_of(dir: &Path, run_records: usize) -> Self {
        Self { dir: dir.to_owned(), run_records, waiting: FxHashMap::default(), waits: 0, runs: Vec::new(), made: 0 }
    }

    pub(super) fn add(&mut self, read: Read) -> Result<(), JournalError> {
        self.waiting.entry(read.partition).or_default().push(read);
        self.waits += 1;
        if self.waits == self.run_records {
            self.end_run()?;
        }
        Ok(())
    }

    /// Ends writing.
    pub(super) fn finish(mut self) -> Result<Runs, JournalError> {
        self.end_run()?;
        Ok(Runs(self.runs))
    }

    fn end_run(&mut self) -> Result<(), JournalError> {
        if self.waits == 0 {
            return Ok(());
        }
        let mut partitions: Vec<i32> =
            self.waiting.iter().filter(|(_, reads)| !reads.is_empty()).map(|(partition, _)| *partition).collect();
        partitions.sort_unstable();
        let mut journal = self.new_run()?;
        for partition in partitions {
            if let Some(reads) = self.waiting.get_mut(&partition) {
                // Takes next to no time where the input is in order, as nearly all inputs are.
                reads.sort();
                for read in reads.iter() {
                    append(&mut journal, read)?;
                }
                reads.clear();
            }
        }
        self.waits = 0;
        self.close_run(journal)?;
        if self.runs.len() == RUNS_OPEN {
            let mut journal = self.new_run()?;
            let merged = std::mem::take(&mut self.runs);
            for read in (Runs(merged.clone())).merged()? {
                append(&mut journal, &read?)?;
            }
            for run in merged {
                // What can't be removed goes with the folder.
                std::fs::remove_file(run).ok();
            }
            self.close_run(journal)?;
        }
        Ok(())
    }

    fn new_run(&mut self) -> Result<JournalWriter, JournalError> {
        let journal = create(&self.dir, Source::Consumer { member: self.made, incarnation: 0 })?;
        self.made += 1;
        Ok(journal)
    }

    fn close_run(&mut self, journal: JournalWriter) -> Result<(), JournalError> {
        self.runs.push(journal.path().to_owned());
        journal.seal()
    }
}

fn append(journal: &mut JournalWriter, read: &Read) -> Result<(), JournalError> {
    journal.append(&if read.processed { read.processed() } else { read.audited() })
}

fn create(dir: &Path, source: Source) -> Result<JournalWriter, JournalError> {
    JournalWriter::create(dir, &Header { run: RUN, profile: PROFILE.to_owned(), source })
}

/// Sorted runs of records.
pub(super) struct Runs(Vec<PathBuf>);

impl Runs {
    /// All records by partition, then offset; equal ones next to each other.
    pub(super) fn merged(&self) -> Result<Merged, JournalError> {
        let mut merged = Merged { readers: Vec::with_capacity(self.0.len()), heads: BinaryHeap::new() };
        for (index, path) in self.0.iter().enumerate() {
            let mut reader = JournalReader::open(path)?;
            if let Some(head) = next_read(&mut reader)? {
                merged.heads.push(Reverse((head, index)));
            }
            merged.readers.push(reader);
        }
        Ok(merged)
    }
}

/// Several runs as one.
pub(super) struct Merged {
    readers: Vec<JournalReader>,
    heads: BinaryHeap<Reverse<(Read, usize)>>,
}

impl Iterator for Merged {
    type Item = Result<Read, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((read, index)) = *head;
        match next_read(&mut self.readers[index]) {
            Ok(Some(next)) => head.0.0 = next,
            Ok(None) => {
                PeekMut::pop(head);
            }
            Err(error) => {
                PeekMut::pop(head);
                return Some(Err(error));
            }
        }
        Some(Ok(read))
    }
}

fn next_read(reader: &mut JournalReader) -> Result<Option<Read>, JournalError> {
    for record in reader {
        if let Some(read) = Read::of(&record?) {
            return Ok(Some(read));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads() -> impl Strategy<Value = Vec<Read>> {
        let message = proptest::option::of((0_u16..3, prop_oneof![0_u64..50, Just(u64::MAX)]));
        let read = (0_i32..4, 0_i64..60, any::<bool>(), message)
            .prop_map(|(partition, offset, processed, message)| Read { partition, offset, processed, message });
        proptest::collection::vec(read, 0..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
        #[test]
        fn runs_of_any_length_give_all_records_back_in_order(reads in reads(), run_records in prop_oneof![Just(1_usize), 5_usize..60]) {
            let dir = tempfile::tempdir().unwrap();
            let mut records = Records::with_runs_of(dir.path(), run_records);
            for read in &reads {
                records.add(*read).unwrap();
            }
            let runs = records.finish().unwrap();
            for _ in 0..2 {
                let merged: Result<Vec<Read>, _> = runs.merged().unwrap().collect();
                let mut expected = reads.clone();
                expected.sort();
                prop_assert_eq!(merged.unwrap(), expected);
            }
        }
    }
}
