//! One profile's journals, read twice: for what became of its messages, and for the times.
//!
//! A journal that cannot be opened, or lacks bytes, proves nothing by what it does not hold. A
//! client's then makes all promises about absence open; the audit's makes its partitions unreadable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lossproof_ledger::availability::{Pace, PacedStream, Timekeeper, Times, Window};
use lossproof_ledger::event::{ClientId, Role};
use lossproof_ledger::journal::{self, EXTENSION, Header, JournalError, JournalReader, Source, Tail};
use lossproof_ledger::reconcile::{
    Audit, Facts, JournalEnd, LogPass, Offered, Partition, Process, Reconciliation, Stream, StreamId,
};
use lossproof_ledger::record::Record;

use super::JudgeError;
use super::history::{History, Topic};
use super::members::Members;

/// Who is said to have processed what was read from where side effects are: any of the members may have.
pub(super) const EFFECTS: Process = Process { member: u16::MAX, incarnation: 0 };

/// Folder of journals in a run directory.
pub const JOURNALS: &str = "journal";

/// The journals of a run, by what their headers say.
pub(in crate::report) struct Journals {
    /// Number of the run, as most of the journals have it.
    run: u64,
    found: Vec<Found>,
    /// Why the others can't be used: no journal, a damaged header, another run.
    unusable: Vec<String>,
}

struct Found {
    path: PathBuf,
    header: Header,
    next: u64,
}

/// What the journals of one profile show.
pub(super) struct Evidence {
    pub(super) reconciliation: Reconciliation,
    pub(super) times: Times,
    /// Messages that the producers' pace asked for until they were told to end.
    pub(super) planned: u64,
}

impl Journals {
    /// Opens all journals of a run directory. None, if the run ended before there were any.
    pub(super) fn open(run_dir: &Path) -> Result<Self, JudgeError> {
        let dir = run_dir.join(JOURNALS);
        let mut paths = Vec::new();
        match dir.read_dir() {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|source| JudgeError::unreadable(&dir, source))?;
                    paths.push(entry.path());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(JudgeError::unreadable(&dir, error)),
        }
        paths.retain(|path| path.extension().is_some_and(|e| e == EXTENSION));
        // The order of a folder is not the same everywhere, and the report must be.
        paths.sort_unstable();

        let mut journals = Self { run: 0, found: Vec::new(), unusable: Vec::new() };
        for path in paths {
            match JournalReader::open(&path) {
                Ok(reader) => {
                    journals.found.push(Found { header: reader.header().clone(), next: reader.next_sequence(), path })
                }
                Err(error @ JournalError::Io { .. }) => return Err(error.into()),
                Err(error) => journals.unusable.push(error.to_string()),
            }
        }
        journals.keep_one_run();
        Ok(journals)
    }

    /// What was copied in from another run is no evidence of this one.
    fn keep_one_run(&mut self) {
        let mut runs: BTreeMap<u64, usize> = BTreeMap::new();
        for journal in &self.found {
            *runs.entry(journal.header.run).or_default() += 1;
        }
        let most = runs.into_iter().max_by_key(|(_, journals)| *journals);
        self.run = most.map_or(0, |(run, _)| run);
        let (ours, others) = self.found.drain(..).partition(|journal| journal.header.run == self.run);
        self.found = ours;
        // As numbers: the names of files would put restart 10 before restart 2.
        self.found.sort_by_key(|journal| match journal.header.source {
            Source::Producer { member, incarnation, stream } => (0, member, incarnation, stream.partition),
            Source::Consumer { member, incarnation } => (1, member, incarnation, 0),
            Source::Audit | Source::Tail | Source::Parking | Source::Effects => (2, 0, 0, 0),
        });
        let others: Vec<Found> = others;
        let strange = others.iter().map(|j| format!("the journal {} belongs to another run", j.path.display()));
        self.unusable.extend(strange);
    }

    /// Sentences on what could not be used.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.unusable.iter().map(|why| format!("{why}; nothing is concluded from what it lacks"))
    }

    fn of<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a Found> {
        self.found.iter().filter(move |journal| journal.header.profile == profile)
    }

    /// Reads the journals of one profile. `compacted` is its topic's `cleanup.policy`; `besides`: whose journals there
    /// must be besides its clients', as these do not tell all.
    ///
    /// # Errors
    /// If a journal can't be read, or the evidence contradicts itself.
    pub(super) fn read(
        &self,
        profile: &str,
        compacted: bool,
        besides: &[Source],
        history: &History,
        windows: Vec<Window>,
    ) -> Result<Evidence, JudgeError> {
        let contradiction = |source| JudgeError::Reconcile { profile: profile.to_owned(), source };
        let streams = self.streams(profile);
        let facts = Facts {
            run: self.run,
            streams: streams
                .iter()
                .map(|stream| Stream { id: stream.id, offered: Offered::Below(stream.offered) })
                .collect(),
            partitions: self.partitions(profile, compacted, history.topics.get(profile), &streams)?,
            journals: self.expected(profile, history).len() + besides.len(),
        };

        let mut log = LogPass::new(&facts).map_err(contradiction)?;
        for journal in
            self.of(profile).filter(|j| matches!(j.header.source, Source::Audit | Source::Tail | Source::Parking))
        {
            JournalReader::open(&journal.path)?.for_each(|record| log.record(record).map_err(contradiction))?;
        }

        let mut clients = log.clients();
        let mut times = Timekeeper::new(self.run, &streams, windows);
        let mut members = Members::default();
        for journal in self.of(profile) {
            match journal.header.source {
                Source::Audit | Source::Tail | Source::Parking => {}
                Source::Effects => members.add(EFFECTS, JournalReader::open(&journal.path)?)?,
                Source::Producer { stream, .. } => {
                    let tail = JournalReader::open(&journal.path)?.for_each(|record| {
                        clients.producer_record(stream.producer, record).map_err(contradiction)?;
                        times.producer_record(stream.producer, record);
                        Ok::<(), JudgeError>(())
                    })?;
                    times.producer_journal_ended(StreamId { producer: stream.producer, partition: stream.partition });
                    clients.journal_ended(end_of(tail));
                }
                Source::Consumer { member, incarnation } => {
                    members.add(Process { member, incarnation }, JournalReader::open(&journal.path)?)?;
                }
            }
        }
        while let Some((process, record)) = members.next_record()? {
            clients.consumer_record(process, &record).map_err(contradiction)?;
            times.consumer_record(&record);
        }
        for (_, tail) in members.finish()?.into_iter().filter(|(process, _)| *process != EFFECTS) {
            clients.journal_ended(end_of(tail));
        }
        // Were they not all read, a message might be called lost that is safe, or was processed.
        for source in besides {
            if self.is_whole(profile, *source)? {
                clients.journal_ended(JournalEnd::Sealed);
            }
        }
        Ok(Evidence {
            reconciliation: clients.finish().map_err(contradiction)?,
            times: times.finish(history.producers_ended_ns(profile)),
            planned: self.planned(profile, history),
        })
    }

    /// Whose the journals of a profile are.
    pub(in crate::report) fn sources(&self, profile: &str) -> Vec<Source> {
        self.of(profile).map(|journal| journal.header.source).collect()
    }

    /// Every entry of a profile's journals: first the audit's, then the producers', then the members', each
    /// journal in its order.
    ///
    /// # Errors
    /// If a journal can't be read.
    pub(in crate::report) fn each(
        &self,
        profile: &str,
        visit: &mut dyn FnMut(Source, &Record),
    ) -> Result<(), JudgeError> {
        let rank = |source| match source {
            Source::Audit | Source::Tail | Source::Parking => 0,
            Source::Producer { .. } => 1,
            Source::Consumer { .. } | Source::Effects => 2,
        };
        let mut journals: Vec<&Found> = self.of(profile).collect();
        journals.sort_by_key(|journal| rank(journal.header.source));
        for journal in journals {
            JournalReader::open(&journal.path)?.for_each(|record| {
                visit(journal.header.source, record);
                Ok::<(), JudgeError>(())
            })?;
        }
        Ok(())
    }

    /// Streams of a profile with the number of sequences that were offered in each.
    pub(in crate::report) fn offered(&self, profile: &str) -> BTreeMap<StreamId, u64> {
        self.streams(profile).into_iter().map(|stream| (stream.id, stream.offered)).collect()
    }

    /// The streams of a profile, each with the highest `next` of its incarnations and the paces of all.
    fn streams(&self, profile: &str) -> Vec<PacedStream> {
        let mut streams: BTreeMap<StreamId, PacedStream> = BTreeMap::new();
        // In the order of incarnations.
        for journal in self.of(profile) {
            let Source::Producer { stream, .. } = journal.header.source else {
                continue;
            };
            let id = StreamId { producer: stream.producer, partition: stream.partition };
            let known = streams.entry(id).or_insert_with(|| PacedStream { id, offered: 0, paces: Vec::new() });
            known.offered = known.offered.max(journal.next);
            let journal::Stream { first, start_ns, period_ns, .. } = stream;
            known.paces.push(Pace { first, start_ns, period_ns });
        }
        streams.into_values().collect()
    }

    /// Messages that the pace of a profile's producers asked for, of each incarnation until it ended or was
    /// told to end.
    fn planned(&self, profile: &str, history: &History) -> u64 {
        let planned = self.of(profile).map(|journal| {
            let Source::Producer { member, incarnation, stream } = journal.header.source else { return 0 };
            let id = ClientId { profile: profile.to_owned(), role: Role::Producer, member, incarnation };
            let ended_ns = history.clients.iter().find(|client| client.id == id).and_then(|client| client.ended_ns);
            let until_ns = history.offering_ended_ns().min(ended_ns.unwrap_or(u64::MAX));
            let time = until_ns.saturating_sub(stream.intended_ns(stream.first));
            time.checked_div(stream.period_ns).unwrap_or(0)
        });
        planned.sum()
    }

    fn partitions(
        &self,
        profile: &str,
        compacted: bool,
        topic: Option<&Topic>,
        streams: &[PacedStream],
    ) -> Result<Vec<Partition>, JudgeError> {
        let mut numbers: BTreeSet<i32> = streams.iter().map(|stream| stream.id.partition).collect();
        numbers.extend(0..topic.map_or(0, |topic| topic.partitions));
        let whole = self.is_whole(profile, Source::Audit)?;
        let followed = self.is_whole(profile, Source::Tail)?;
        let tail_of = |partition: i32| topic.filter(|_| followed)?.tails.get(&partition).copied();
        // Compaction leaves the log's start where it was, and takes from its midst: only who has followed it
        // can tell what is missing.
        let readable = |partition: i32| whole && (!compacted || tail_of(partition).is_some());
        Ok(numbers
            .into_iter()
            .map(|partition| Partition {
                partition,
                audit: topic.and_then(|topic| topic.audits.get(&partition)).map(|audit| Audit {
                    complete: audit.complete && readable(partition),
                    tail: tail_of(partition),
                    ..*audit
                }),
                position: topic.and_then(|topic| topic.positions.get(&partition)).copied(),
            })
            .collect())
    }

    /// Whether all that a reader of the whole log read is still there.
    fn is_whole(&self, profile: &str, source: Source) -> Result<bool, JudgeError> {
        let mut journals = self.of(profile).filter(|j| j.header.source == source);
        match (journals.next(), journals.next()) {
            (Some(journal), None) => {
                let tail = JournalReader::open(&journal.path)?.finish()?;
                let must_be_sealed = matches!(source, Source::Parking | Source::Effects);
                Ok(tail.is_undamaged() && (tail.sealed || !must_be_sealed))
            }
            _ => Ok(false),
        }
    }

    /// Names of all client journals that there should be, and of those that there are.
    fn expected(&self, profile: &str, history: &History) -> BTreeSet<String> {
        let partitions = history.topics.get(profile).map_or(0, |t| t.partitions);
        let announced = history
            .clients
            .iter()
            .filter(|client| client.id.profile == profile)
            .flat_map(|client| journals_of(&client.id, partitions));
        let found = self
            .of(profile)
            .filter(|journal| matches!(journal.header.source, Source::Producer { .. } | Source::Consumer { .. }))
            .map(|journal| journal.header.file_name());
        announced.chain(found).collect()
    }
}

/// Names of the journals that a client process writes: a producer one for each partition.
fn journals_of(client: &ClientId, partitions: i32) -> Vec<String> {
    let ClientId { profile, member, incarnation, .. } = client;
    let header = |source| Header { run: 0, profile: profile.clone(), source };
    match client.role {
        Role::Consumer => vec![header(Source::Consumer { member: *member, incarnation: *incarnation }).file_name()],
        Role::Producer => (0..partitions)
            .map(|partition| {
                let stream = journal::Stream { producer: 0, partition, first: 0, start_ns: 0, period_ns: 0 };
                header(Source::Producer { member: *member, incarnation: *incarnation, stream }).file_name()
            })
            .collect(),
    }
}

fn end_of(tail: Tail) -> JournalEnd {
    match (tail.is_undamaged(), tail.sealed) {
        (false, _) => JournalEnd::Broken,
        (true, true) => JournalEnd::Sealed,
        (true, false) => JournalEnd::Torn,
    }
}
