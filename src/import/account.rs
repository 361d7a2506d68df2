//! The accounts of an import: the same two passes over journals as for a run, and what may be said of
//! the result.

use std::collections::BTreeMap;
use std::path::Path;

use lossproof_ledger::availability::Times;
use lossproof_ledger::event::PositionSource;
use lossproof_ledger::metric::{Comparison, Metric};
use lossproof_ledger::reconcile::{
    ANY_PARTITION, Audit, Facts, JournalEnd, LogPass, Offered, Partition, Position, Process, Reconciliation, Stream,
    StreamId,
};
use lossproof_ledger::record::Record;
use lossproof_ledger::verdict::{
    self, Case, Judgement, ProfileOutcome, Promise, Promises, Reason, ReasonKind, Verdict,
};
use roaring::RoaringTreemap;

use super::committed::Commit;
use super::consumed::Consumed;
use super::lag::{self, Reading};
use super::produced::Produced;
use super::source::Period;
use super::spool::{self, Read, Runs};
use super::{Error, Options, Refusal};

/// What the messages of an import are called where a run has the name of a profile.
pub const NAME: &str = "messages";

/// Contradictions that are told one by one.
const CONTRADICTIONS_TOLD: usize = 5;

/// How far the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What was consumed is all there is.
    Whole,
    /// At least one partition was read only up to the group's committed offset, or nobody knows how far.
    UpToCommits,
    /// Nobody knows how much more there is.
    Unknown,
}

/// Lines of one side, and their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Lines that tell of a message.
    pub lines: u64,
    /// From the first to the last moment that they name.
    pub period: Period,
}

/// What became of every message.
#[derive(Debug)]
pub struct Account {
    /// By the numbers of `producers`.
    pub reconciliation: Reconciliation,
    /// Names by number. A record may be of a producer that produced nothing.
    pub producers: Vec<String>,
    /// How far the log was read.
    pub reach: Reach,
    /// What producers told.
    pub produced: Side,
    /// What consumers told.
    pub consumed: Side,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
    /// Reports may be missing, so that a record which nobody seems to have offered may have been.
    pub reports_missing: bool,
}

pub(super) fn of(
    options: &Options,
    commits: Option<BTreeMap<i32, Commit>>,
    mut produced: Produced,
    reports: &Path,
    consumed: Consumed<'_>,
) -> Result<Account, Error> {
    if produced.book.offered() == 0 {
        return Err(Refusal::new("nothing was produced: the files behind --produced tell of no message").into());
    }
    if !consumed.any {
        return Err(Refusal::new("nothing was consumed: the files behind --consumed tell of no record")
            .hint("if that is so, everything is missing, and there is nothing to reconcile")
            .into());
    }
    if consumed.lines > 0 && !consumed.of_known_producer {
        return Err(Refusal::new("no record that was consumed is of a producer that produced anything")
            .hint("`producer` must be the same name on both sides")
            .into());
    }
    let partial = options.partial || !consumed.cut_off.is_empty();
    let mut notes = notes(options, &produced, &consumed);
    let streams = produced.book.take_streams();
    let positions = Positions { partial, commits: commits.as_ref() };
    let mut partitions: Vec<i32> = produced.book.partitions().chain(consumed.partitions.iter().copied()).collect();
    partitions.extend(commits.iter().flat_map(|commits| commits.keys().copied()));
    partitions.sort_unstable();
    partitions.dedup();
    let facts = Facts {
        run: spool::RUN,
        streams,
        partitions: partitions.iter().map(|partition| positions.partition(*partition)).collect(),
        // The producers' and the consumers'.
        journals: 2,
    };
    let records = consumed.records.finish()?;
    let mut ahead = produced.book.take_ahead();
    let (mut reconciliation, contradictions) = reconcile(&facts, reports, &records, &mut ahead)?;
    notes.extend(contradictions.told(produced.names.names()));

    let whole = partitions.iter().all(|partition| positions.reading(*partition) == Reading::Whole);
    let reading = |partition| match partition {
        ANY_PARTITION if whole => Reading::Whole,
        ANY_PARTITION => Reading::Unknown,
        partition => positions.reading(partition),
    };
    if !whole {
        lag::mark(&mut reconciliation, reading, &ahead);
        reconciliation.counts.check().map_err(lossproof_ledger::reconcile::Error::from)?;
    }
    Ok(Account {
        reconciliation,
        producers: produced.names.into_names(),
        reach: match (partial, whole) {
            (true, _) => Reach::Unknown,
            (false, true) => Reach::Whole,
            (false, false) => Reach::UpToCommits,
        },
        produced: Side { lines: produced.lines, period: produced.period },
        consumed: Side { lines: consumed.lines, period: consumed.period },
        notes,
        reports_missing: !produced.cut_off.is_empty(),
    })
}

/// What is known of how far each partition was read, and where the group stands.
struct Positions<'a> {
    partial: bool,
    commits: Option<&'a BTreeMap<i32, Commit>>,
}

impl Positions<'_> {
    fn reading(&self, partition: i32) -> Reading {
        match self.commits {
            _ if self.partial => Reading::Unknown,
            None => Reading::Whole,
            Some(commits) => match commits.get(&partition) {
                Some(commit) if commit.is_whole() => Reading::Whole,
                Some(_) => Reading::UpToCommit,
                None => Reading::Unknown,
            },
        }
    }

    fn partition(&self, partition: i32) -> Partition {
        let position = match self.commits {
            Some(commits) => commits
                .get(&partition)
                .map(|commit| Position { offset: commit.offset, source: PositionSource::Committed }),
            None if self.partial => None,
            // A complete read has come past everything.
            None => Some(Position { offset: i64::MAX, source: PositionSource::Owner }),
        };
        let audit = Audit { attempt: 0, complete: true, log_start: 0, committed: None, tail: None };
        Partition { partition, audit: Some(audit), position }
    }
}

/// Both passes. What was read is taken out of `ahead`.
fn reconcile(
    facts: &Facts,
    reports: &Path,
    records: &Runs,
    ahead: &mut Ahead,
) -> Result<(Reconciliation, Contradictions), Error> {
    let mut log = LogPass::new(facts)?;
    let mut contradictions = Contradictions::default();
    let mut before: Option<Read> = None;
    for read in records.merged()? {
        let read = read?;
        let same_place = before.filter(|before| (before.partition, before.offset) == (read.partition, read.offset));
        match same_place {
            // Handed out again.
            Some(before) if before.message == read.message => continue,
            Some(before) => contradictions.add(before, read),
            None => {}
        }
        log.record(&read.audited())?;
        if let Some((producer, sequence)) = read.message
            && let Some(ahead) = ahead.get_mut(&StreamId { producer, partition: read.partition })
        {
            ahead.remove(sequence);
        }
        before = Some(read);
    }

    let mut clients = log.clients();
    let anywhere = Anywhere::new(&facts.streams);
    for report in spool::reports(reports)? {
        let mut report = report?;
        if let Record::Told { partition, sequence, offset, .. } = &mut report {
            let id = anywhere.stream(&facts.streams, *partition, *sequence);
            if id.partition == ANY_PARTITION {
                *offset = None;
            }
            *partition = id.partition;
            clients.producer_record(id.producer, &report)?;
        }
    }
    clients.journal_ended(JournalEnd::Sealed);
    let process = Process { member: 0, incarnation: 0 };
    for read in records.merged()? {
        let read = read?;
        if read.processed {
            clients.consumer_record(process, &read.processed())?;
        }
    }
    clients.journal_ended(JournalEnd::Sealed);
    Ok((clients.finish()?, contradictions))
}

/// For each stream, the sequences that may lie beyond what was read.
type Ahead = BTreeMap<StreamId, RoaringTreemap>;

/// Streams of producers that report sequences without a partition, too.
struct Anywhere {
    producers: Vec<u16>,
}

impl Anywhere {
    fn new(streams: &[Stream]) -> Self {
        let anywhere = streams.iter().filter(|stream| stream.id.partition == ANY_PARTITION);
        Self { producers: anywhere.map(|stream| stream.id.producer).collect() }
    }

    /// The stream of a report, by the number that the journal has in the partition's place. A sequence
    /// that is not offered there was moved to the stream of any partition.
    fn stream(&self, streams: &[Stream], number: i32, sequence: u64) -> StreamId {
        let stream = &streams[number.cast_unsigned() as usize];
        let there = || match &stream.offered {
            Offered::Below(end) => sequence < *end,
            Offered::These(these) => these.contains(sequence),
        };
        if self.producers.contains(&stream.id.producer) && !there() {
            return StreamId { partition: ANY_PARTITION, ..stream.id };
        }
        stream.id
    }
}

/// Offsets that were read with different messages.
#[derive(Default)]
struct Contradictions {
    count: u64,
    first: Vec<(Read, Read)>,
}

impl Contradictions {
    fn add(&mut self, one: Read, other: Read) {
        self.count += 1;
        if self.first.len() < CONTRADICTIONS_TOLD {
            self.first.push((one, other));
        }
    }

    fn told(&self, names: &[Box<str>]) -> Vec<String> {
        let message = |read: &Read| match read.message {
            Some((producer, sequence)) => {
                format!("{sequence} of {}", names.get(usize::from(producer)).map_or("?", |name| name))
            }
            None => "a record that is no message".to_owned(),
        };
        let mut told: Vec<String> = self
            .first
            .iter()
            .map(|(one, other)| {
                format!(
                    "offset {} of partition {} was read as {} and as {}: the log changed between two reads, so that \
                     nothing can be said of what is missing in this partition",
                    one.offset,
                    one.partition,
                    message(one),
                    message(other)
                )
            })
            .collect();
        let more = self.count - self.first.len() as u64;
        if more > 0 {
            told.push(format!("{more} more offsets were read with different messages"));
        }
        told
    }
}

fn notes(options: &Options, produced: &Produced, consumed: &Consumed<'_>) -> Vec<String> {
    let mut notes: Vec<String> = produced.cut_off.iter().chain(&consumed.cut_off).cloned().collect();
    if !consumed.cut_off.is_empty() && !options.partial {
        notes.push("so what was consumed is not a complete read of the log: what is missing counts as lagging".into());
    }
    if produced.repeated > 0 {
        notes.push(format!(
            "{} reports are of a sequence that was reported before; the best counts, and a further copy in the log \
             may be the application's own",
            produced.repeated
        ));
    }
    let passed_over = consumed.topics.passed_over;
    if passed_over > 0 {
        notes.push(format!("{passed_over} lines are of other topics and are left out"));
    }
    notes
}

impl Account {
    /// Judges the accounts by what is expected of them.
    #[must_use]
    pub fn judge(&self, must_hold: Vec<Promise>) -> Judgement {
        let counts = &self.reconciliation.counts;
        let mut must_hold = must_hold;
        let mut unproven = Vec::new();
        if self.reports_missing {
            for (name, count) in [("phantom", counts.phantom), ("processed_foreign", counts.processed_foreign)] {
                let metric = Metric::Count(name);
                if count > 0 && !must_hold.iter().any(|promise| promise.metric == metric) {
                    // Takes the place of the 0 that everybody promises; it can't be broken.
                    let comparison = Comparison::AtLeast;
                    must_hold.push(Promise { profile: NAME.to_owned(), metric, comparison, bound: 0 });
                    unproven.push(format!(
                        "{NAME}: {name} is {count}, but reports of producers are missing, so that these may have \
                         been offered."
                    ));
                }
            }
        }
        let outcome = ProfileOutcome {
            profile: NAME.to_owned(),
            reconciliation: self.reconciliation.clone(),
            times: Times::default(),
            gaps: None,
            is_judged: true,
            read_committed: false,
            host_too_busy: false,
            deserted: Vec::new(),
            contradicted: Vec::new(),
        };
        let promises = Promises { must_hold, ..Promises::default() };
        let case = Case { promises, profiles: vec![outcome], ..Case::default() };
        let mut judgement = verdict::judge(&case);
        if !unproven.is_empty() {
            if judgement.verdict == Verdict::Pass {
                judgement.verdict = Verdict::Inconclusive;
                judgement.reasons.clear();
            }
            let profile = Some(NAME.to_owned());
            judgement.reasons.extend(unproven.into_iter().map(|text| Reason {
                kind: ReasonKind::Undecided,
                profile: profile.clone(),
                text,
            }));
            judgement.reasons.sort_by_key(|reason| reason.kind);
        }
        judgement
    }
}
