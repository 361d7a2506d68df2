//! Reconciliation once more, as the truth model words it: whole histories in maps, no passes, no
//! bits. Slow, and what the real one is compared with.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::category::{Category, Group, InLog, Parked, Told, categorise};
use crate::counts::Counts;
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

/// An entry of a client's journal, or the end of one.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Producer(u16, Record),
    Consumer(Process, Record),
    Ended(JournalEnd),
}

type Sequence = (StreamId, u64);

#[derive(Default)]
struct Log {
    /// What was first read at each offset.
    all: BTreeMap<i64, Content>,
    /// And in the second pass.
    second: BTreeMap<i64, Content>,
    contradicted: bool,
}

#[derive(Clone, Copy)]
struct Copy {
    partition: i32,
    offset: i64,
    identity: Identity,
    hidden: bool,
}

struct Reference<'a> {
    facts: &'a Facts,
    offered: BTreeMap<StreamId, BTreeSet<u64>>,
    touched: BTreeSet<i32>,
    logs: BTreeMap<i32, Log>,
    strays: Vec<Stray>,
    /// In the order of reading.
    copies: Vec<(Sequence, Copy)>,
    by_sequence: BTreeMap<Sequence, Vec<Copy>>,
    doubtful: BTreeSet<Sequence>,
    counts: BTreeMap<i32, Counts>,
    flags: BTreeMap<(StreamId, Finding), BTreeSet<u64>>,
}

pub(super) fn reconcile(facts: &Facts, log: &[Record], steps: &[Step]) -> Reconciliation {
    let offered = |stream: &Stream| match &stream.offered {
        Offered::Below(next) => (0..*next).collect(),
        Offered::These(these) => these.iter().collect(),
    };
    let mut reference = Reference {
        facts,
        offered: facts.streams.iter().map(|stream| (stream.id, offered(stream))).collect(),
        touched: facts
            .partitions
            .iter()
            .map(|p| p.partition)
            .chain(facts.streams.iter().map(|s| s.id.partition))
            .collect(),
        logs: BTreeMap::new(),
        strays: Vec::new(),
        copies: Vec::new(),
        by_sequence: BTreeMap::new(),
        doubtful: BTreeSet::new(),
        counts: BTreeMap::new(),
        flags: BTreeMap::new(),
    };
    reference.read(log);
    reference.look_behind();
    reference.judge(log, steps)
}

impl Reference<'_> {
    fn audit(&self, partition: i32) -> Option<Audit> {
        self.facts.partitions.iter().find(|p| p.partition == partition)?.audit
    }

    fn position(&self, partition: i32) -> Option<Position> {
        self.facts.partitions.iter().find(|p| p.partition == partition)?.position
    }

    fn counts(&mut self, partition: i32) -> &mut Counts {
        self.counts.entry(partition).or_default()
    }

    fn flag(&mut self, (stream, sequence): Sequence, flag: Flag) {
        self.flags.entry((stream, Finding::Flag(flag))).or_default().insert(sequence);
    }

    fn stream(&self, producer: u16, partition: Option<i32>, sequence: u64) -> Option<StreamId> {
        partition
            .into_iter()
            .chain([ANY_PARTITION])
            .map(|partition| StreamId { producer, partition })
            .find(|stream| self.offered.get(stream).is_some_and(|offered| offered.contains(&sequence)))
    }

    /// The sequence that an identity means where it was found.
    fn sequence(&self, identity: &Identity, found: i32) -> Option<Sequence> {
        let here = (identity.partition == found).then_some(found);
        let stream = self.stream(identity.producer, here, identity.sequence)?;
        (identity.run == self.facts.run).then_some((stream, identity.sequence))
    }

    fn read(&mut self, records: &[Record]) {
        for record in records {
            let Record::Audited { partition, offset, audit, isolation, content, .. } = *record else {
                if let Record::Tailed { partition, .. } = record {
                    self.touched.insert(*partition);
                }
                continue;
            };
            self.touched.insert(partition);
            let Some(facts) = self.audit(partition).filter(|facts| facts.attempt == audit) else {
                continue;
            };
            let two_passes = facts.committed.is_some();
            let second = two_passes && isolation == Isolation::ReadCommitted;
            let log = self.logs.entry(partition).or_default();
            let before = log.all.get(&offset).copied();
            log.contradicted |= before.map_or(second, |before| before != content);
            if before.is_some_and(|before| before != content) {
                continue;
            }
            log.all.insert(offset, content);
            let visible_now = match (second, content) {
                (_, Content::Fence) => false,
                (true, _) => log.second.insert(offset, content).is_none(),
                (false, _) => !two_passes && before.is_none(),
            };
            let sequence = match content {
                Content::Message(identity) => self.sequence(&identity, partition).map(|s| (s, identity)),
                Content::Fence => continue,
                Content::Corrupt => None,
            };
            match sequence {
                Some((sequence, identity)) if visible_now => {
                    self.copies.push((sequence, Copy { partition, offset, identity, hidden: false }));
                }
                None if before.is_none() => {
                    let corrupt = content == Content::Corrupt;
                    let kind = if corrupt { StrayKind::Corrupt } else { StrayKind::Phantom };
                    self.strays.push(Stray { partition, offset, kind });
                    let counts = self.counts(partition);
                    counts.records_in_log += 1;
                    counts.corrupt += u64::from(corrupt);
                    counts.phantom += u64::from(!corrupt);
                }
                _ => {}
            }
        }
    }

    /// Why the second pass did not show a record.
    fn is_open(&self, partition: i32, offset: i64) -> bool {
        let pass = self.audit(partition).and_then(|audit| audit.committed);
        pass.is_some_and(|pass| pass.open_from.is_some_and(|open| offset >= open))
    }

    fn is_aborted(&self, partition: i32, offset: i64) -> bool {
        let pass = self.audit(partition).and_then(|audit| audit.committed);
        pass.is_some_and(|pass| pass.complete) && !self.is_open(partition, offset)
    }

    fn look_behind(&mut self) {
        for p in &self.facts.partitions {
            let partition = p.partition;
            if p.audit.is_none_or(|audit| audit.committed.is_none()) {
                continue;
            }
            let log = self.logs.remove(&partition).unwrap_or_default();
            for (&offset, content) in log.all.iter().filter(|(offset, _)| !log.second.contains_key(offset)) {
                let Content::Message(identity) = *content else { continue };
                let Some(sequence) = self.sequence(&identity, partition) else { continue };
                if self.is_open(partition, offset) {
                    self.copies.push((sequence, Copy { partition, offset, identity, hidden: true }));
                } else if self.is_aborted(partition, offset) {
                    self.counts(partition).aborted_records += 1;
                } else {
                    self.doubtful.insert(sequence);
                }
            }
            self.logs.insert(partition, log);
        }
    }

    fn copies_of(&self, sequence: Sequence) -> impl Iterator<Item = &Copy> {
        self.by_sequence.get(&sequence).into_iter().flatten()
    }

    fn is_read(&self, partition: i32) -> bool {
        let contradicted = self.logs.get(&partition).is_some_and(|log| log.contradicted);
        self.audit(partition).is_some_and(|audit| audit.complete) && !contradicted
    }

    fn is_covered(&self, partition: i32) -> bool {
        self.audit(partition).is_some_and(|audit| {
            let tail_read_it = audit.tail.is_some_and(|tail| tail.from <= 0 && audit.log_start <= tail.position);
            audit.log_start <= 0 || tail_read_it
        })
    }

    fn is_complete(&self, partition: i32) -> bool {
        let second = |audit: Audit| audit.committed.is_none_or(|pass| pass.complete);
        self.is_read(partition) && self.is_covered(partition) && self.audit(partition).is_some_and(second)
    }

    fn named(&self, partition: i32) -> bool {
        self.facts.partitions.iter().any(|p| p.partition == partition)
    }

    /// The partitions in which a stream's messages may lie.
    fn may_lie_in(&self, stream: StreamId) -> Vec<i32> {
        if stream.partition == ANY_PARTITION {
            self.touched.iter().copied().filter(|p| *p != ANY_PARTITION || self.named(*p)).collect()
        } else {
            vec![stream.partition]
        }
    }

    fn key(&self, partition: i32, sequence: u64) -> Option<u64> {
        let keys = self.audit(partition)?.tail?.keys?;
        Some(if keys == 0 { 0 } else { sequence % keys })
    }

    /// The highest offset in a compacted log of a record of that sequence's key.
    fn latest(&self, partition: i32, sequence: u64) -> Option<i64> {
        let key = self.key(partition, sequence)?;
        let log = self.logs.get(&partition)?;
        let two_passes = self.audit(partition)?.committed.is_some();
        let visible = if two_passes { &log.second } else { &log.all };
        let of_key = |content: &Content| match content {
            Content::Message(identity) => {
                self.sequence(identity, partition).is_some() && self.key(partition, identity.sequence) == Some(key)
            }
            _ => false,
        };
        visible.iter().rev().find(|(_, content)| of_key(content)).map(|(offset, _)| *offset)
    }

    fn tailed(&self, records: &[Record], sequence: Sequence) -> Vec<(i32, i64)> {
        records
            .iter()
            .filter_map(|record| match record {
                Record::Tailed { partition, offset, identity: Some(identity), .. } => {
                    self.audit(*partition)?.tail?;
                    (self.sequence(identity, *partition)? == sequence).then_some((*partition, *offset))
                }
                _ => None,
            })
            .collect()
    }

    fn content(&self, partition: i32, offset: i64) -> Option<Content> {
        self.logs.get(&partition)?.all.get(&offset).copied()
    }

    fn in_log(&self, records: &[Record], steps: &[Step], sequence: Sequence) -> InLog {
        if self.copies_of(sequence).next().is_some() {
            return InLog::Present;
        }
        self.not_in_log(records, steps, sequence)
    }

    fn not_in_log(&self, records: &[Record], steps: &[Step], sequence: Sequence) -> InLog {
        let partitions = self.may_lie_in(sequence.0);
        if partitions.is_empty() || partitions.iter().any(|p| !self.is_read(*p)) || self.doubtful.contains(&sequence) {
            return InLog::Unreadable;
        }
        let tailed = self.tailed(records, sequence);
        let below_start = |(p, offset): &(i32, i64)| self.audit(*p).is_some_and(|audit| *offset < audit.log_start);
        if tailed.iter().any(below_start) {
            return InLog::Expired;
        }
        let superseded = |p: i32, offset: i64| self.latest(p, sequence.1).is_some_and(|latest| latest > offset);
        let on_compacted = tailed.iter().filter(|(p, _)| self.key(*p, 0).is_some());
        if on_compacted.clone().any(|(p, offset)| superseded(*p, *offset) && self.content(*p, *offset).is_none()) {
            return InLog::Compacted;
        }
        let acked_elsewhere = self.acks(steps).into_iter().any(|(of, attempt, partition, offset)| {
            of == sequence && self.key(partition, 0).is_some() && {
                let there = self.content(partition, offset);
                let is_it = there.is_some_and(|there| self.is(there, sequence, attempt, partition));
                !is_it && (there.is_some() || !superseded(partition, offset))
            }
        });
        let seen = on_compacted.count() > 0 || acked_elsewhere;
        let maybe_compacted = partitions.iter().any(|p| self.latest(*p, sequence.1).is_some());
        if partitions.iter().all(|p| self.is_covered(*p)) && (seen || !maybe_compacted) {
            InLog::Absent
        } else {
            InLog::Unreadable
        }
    }

    fn is(&self, content: Content, sequence: Sequence, attempt: u16, partition: i32) -> bool {
        let Content::Message(identity) = content else { return false };
        self.sequence(&identity, partition) == Some(sequence) && identity.attempt == attempt
    }

    /// All acks that name an offset.
    fn acks(&self, steps: &[Step]) -> Vec<(Sequence, u16, i32, i64)> {
        steps
            .iter()
            .filter_map(|step| match step {
                Step::Producer(
                    producer,
                    Record::Told { partition, sequence, attempt, told: Told::Acked, offset: Some(offset), .. },
                ) => {
                    let stream = self.stream(*producer, Some(*partition), *sequence)?;
                    Some(((stream, *sequence), *attempt, *partition, *offset))
                }
                _ => None,
            })
            .collect()
    }
}

impl Reference<'_> {
    fn judge(mut self, records: &[Record], steps: &[Step]) -> Reconciliation {
        self.touch(steps);
        self.count_copies();
        let told = self.told(records, steps);
        let processed = self.group(steps);
        for (sequence, attempt, partition, offset) in self.acks(steps) {
            let there = self.content(partition, offset);
            if there.is_some_and(|there| !self.is(there, sequence, attempt, partition)) {
                self.counts(partition).offset_conflicts += 1;
                self.flag(sequence, Flag::OffsetConflict);
            }
        }

        let mut parked = BTreeSet::new();
        let mut dead_lettered = BTreeSet::new();
        for record in records {
            if let Record::Held { place, identity, .. } = record
                && identity.run == self.facts.run
                && let Some(stream) = self.stream(identity.producer, Some(identity.partition), identity.sequence)
            {
                let dlq = *place == Place::ConsumerDlq;
                if dlq { &mut dead_lettered } else { &mut parked }.insert((stream, identity.sequence));
            }
        }

        let all: Vec<Sequence> =
            self.offered.iter().flat_map(|(stream, of)| of.iter().map(|sequence| (*stream, *sequence))).collect();
        for sequence in all {
            let told = told.get(&sequence).copied().unwrap_or(Told::Indeterminate);
            let in_log = self.in_log(records, steps, sequence);
            let ahead =
                |copy: &&Copy| self.position(copy.partition).is_none_or(|position| copy.offset >= position.offset);
            let group = if processed.contains(&sequence) || dead_lettered.contains(&sequence) {
                Group::Processed
            } else if self.copies_of(sequence).filter(ahead).any(|copy| !copy.hidden) {
                Group::Behind
            } else if self.copies_of(sequence).filter(ahead).any(|copy| copy.hidden) {
                Group::BehindOpenTxn
            } else {
                Group::Past
            };
            let held = if parked.contains(&sequence) { Parked::Held } else { Parked::No };
            let category = categorise(told, in_log, group, held);
            let present = in_log == InLog::Present;

            let counts = self.counts(sequence.0.partition);
            counts.offered += 1;
            counts.add_told(told, 1);
            counts.add_category(category, told, 1);
            counts.in_log += u64::from(present);
            let flags = [
                (Flag::FailedButLanded, present && told == Told::Failed, &mut counts.failed_but_landed),
                (Flag::RecoveredAndLanded, present && held == Parked::Held, &mut counts.recovered_and_landed),
                (Flag::DeadLettered, dead_lettered.contains(&sequence), &mut counts.dead_lettered),
            ];
            let mut set = Vec::new();
            for (flag, is_set, count) in flags {
                *count += u64::from(is_set);
                set.extend(is_set.then_some(flag));
            }
            for flag in set {
                self.flag(sequence, flag);
            }
            if category != Category::Delivered {
                self.flags.entry((sequence.0, Finding::Category(category))).or_default().insert(sequence.1);
            }
        }
        self.result(steps)
    }

    /// Partitions that any client mentions exist.
    fn touch(&mut self, steps: &[Step]) {
        for step in steps {
            let (Step::Producer(_, record) | Step::Consumer(_, record)) = step else { continue };
            match *record {
                Record::Told { partition, told: Told::Acked, offset: Some(_), .. }
                | Record::Told { partition, in_txn: true, .. }
                | Record::TxnEnded { partition, .. }
                | Record::Assigned { partition, .. }
                | Record::Revoked { partition, .. }
                | Record::Polled { partition, .. }
                | Record::Processed { partition, .. }
                | Record::Committed { partition, ok: true, .. } => {
                    self.touched.insert(partition);
                }
                _ => {}
            }
        }
    }

    fn count_copies(&mut self) {
        // The highest first attempt that lies before, of those that have an order.
        let mut highest: BTreeMap<(StreamId, i32, u16), u64> = BTreeMap::new();
        for (sequence, copy) in std::mem::take(&mut self.copies) {
            let attempt = copy.identity.attempt;
            let earlier = self.by_sequence.entry(sequence).or_default();
            let again = !earlier.is_empty();
            let duplicate = earlier.iter().any(|other| other.identity.attempt == attempt);
            earlier.push(copy);
            let mut reordered = false;
            if attempt == 0 && !duplicate {
                let order = (sequence.0, copy.partition, copy.identity.incarnation);
                let before = highest.entry(order).or_insert(sequence.1);
                reordered = *before > sequence.1;
                *before = sequence.1.max(*before);
            }
            let counts = self.counts(sequence.0.partition);
            counts.records_in_log += 1;
            counts.duplicate_records += u64::from(again);
            counts.duplicates += u64::from(duplicate);
            counts.reordered += u64::from(reordered);
            for (flag, is_set) in [(Flag::Duplicate, duplicate), (Flag::Reordered, reordered)] {
                if is_set {
                    self.flag(sequence, flag);
                }
            }
        }
    }
}

/// Reports, and how their transaction ended.
type Txn = (Vec<Report>, TxnOutcome);

/// One report of a journal.
struct Report {
    sequence: Sequence,
    attempt: u16,
    told: Told,
    in_txn: bool,
}

impl Reference<'_> {
    /// The best that was told of each sequence; torn transactions on the way.
    fn told(&mut self, records: &[Record], steps: &[Step]) -> BTreeMap<Sequence, Told> {
        let mut best: BTreeMap<Sequence, Told> = BTreeMap::new();
        let mut tell = |sequence, told| {
            let known = best.entry(sequence).or_insert(told);
            *known = told.max(*known);
        };
        for journals in steps.split_inclusive(|step| matches!(step, Step::Ended(_))) {
            let whole = matches!(journals.last(), Some(Step::Ended(JournalEnd::Sealed | JournalEnd::Torn)));
            // By producer and partition, transactions with their outcomes; the last has not ended.
            let mut txns: BTreeMap<(u16, i32), Vec<Txn>> = BTreeMap::new();
            for step in journals {
                let Step::Producer(producer, record) = step else { continue };
                match *record {
                    Record::Told { partition, sequence, attempt, told, in_txn, .. } => {
                        let stream = self.stream(*producer, Some(partition), sequence).unwrap();
                        let report = Report { sequence: (stream, sequence), attempt, told, in_txn };
                        if report.in_txn {
                            let txns = txns.entry((*producer, partition)).or_default();
                            if txns.is_empty() {
                                txns.push((Vec::new(), TxnOutcome::Unknown));
                            }
                            txns.last_mut().unwrap().0.push(report);
                        } else {
                            tell(report.sequence, told);
                        }
                    }
                    Record::TxnEnded { partition, outcome, .. } => {
                        let txns = txns.entry((*producer, partition)).or_default();
                        if let Some(open) = txns.last_mut() {
                            open.1 = outcome;
                        }
                        txns.push((Vec::new(), TxnOutcome::Unknown));
                    }
                    _ => unreachable!(),
                }
            }
            for ((_, partition), txns) in txns {
                for (reports, outcome) in txns {
                    for report in &reports {
                        let outcome = if whole { outcome } else { TxnOutcome::Unknown };
                        tell(
                            report.sequence,
                            match (report.told, outcome) {
                                (Told::Unsent, _) => Told::Unsent,
                                (Told::Failed, _) => Told::Failed,
                                (told, TxnOutcome::Committed) => told,
                                (_, TxnOutcome::Aborted) => Told::Failed,
                                (_, TxnOutcome::Unknown) => Told::Indeterminate,
                            },
                        );
                    }
                    let parts: Vec<_> = reports.iter().filter(|report| report.told == Told::Acked).collect();
                    let torn = parts.iter().any(|part| self.is_visible(part))
                        && parts.iter().any(|part| self.is_gone(records, steps, part));
                    if torn && whole {
                        self.counts(partition).torn_txn += 1;
                        for part in parts {
                            self.flag(part.sequence, Flag::TornTxn);
                        }
                    }
                }
            }
        }
        best
    }

    fn is_visible(&self, part: &Report) -> bool {
        self.copies_of(part.sequence).any(|copy| copy.identity.attempt == part.attempt)
            && self.copies_of(part.sequence).all(|copy| !copy.hidden)
    }

    fn is_gone(&self, records: &[Record], steps: &[Step], part: &Report) -> bool {
        let stream = part.sequence.0;
        self.copies_of(part.sequence).all(|copy| !copy.hidden && copy.identity.attempt != part.attempt)
            && stream.partition != ANY_PARTITION
            && self.key(stream.partition, 0).is_none()
            && self.not_in_log(records, steps, part.sequence) == InLog::Absent
    }

    /// What the group processed; its records' counts on the way.
    fn group(&mut self, steps: &[Step]) -> BTreeSet<Sequence> {
        let mut processed: BTreeMap<(i32, i64, Option<Identity>), u64> = BTreeMap::new();
        let mut polled: BTreeMap<(Process, i32), i64> = BTreeMap::new();
        let mut commits: BTreeMap<i32, (u64, i64)> = BTreeMap::new();
        for step in steps {
            let Step::Consumer(process, record) = step else { continue };
            match *record {
                Record::Assigned { partition, .. } | Record::Revoked { partition, .. } => {
                    polled.remove(&(*process, partition));
                }
                Record::Polled { partition, offset, .. } => {
                    if let Some(last) = polled.insert((*process, partition), offset) {
                        let skips = self.visible_between(partition, last, offset);
                        self.counts(partition).skips += skips;
                    }
                }
                Record::Processed { partition, offset, identity, .. } => {
                    *processed.entry((partition, offset, identity)).or_default() += 1;
                }
                Record::Committed { partition, offset, ok: true, at_ns } => {
                    let last = commits.entry(partition).or_insert((at_ns, offset));
                    *last = (*last).max((at_ns, offset));
                }
                _ => {}
            }
        }

        let mut sequences = BTreeSet::new();
        let mut times_of: BTreeMap<Sequence, u64> = BTreeMap::new();
        for ((partition, offset, identity), times) in processed {
            let sequence = identity.and_then(|identity| self.sequence(&identity, partition));
            let content = identity.map_or(Content::Corrupt, Content::Message);
            let shown = self.logs.get(&partition).is_some_and(|log| log.second.contains_key(&offset));
            let aborted =
                self.is_aborted(partition, offset) && !shown && self.content(partition, offset) == Some(content);
            let counts = self.counts(partition);
            counts.redelivered += times - 1;
            counts.aborted_reads += u64::from(aborted);
            counts.processed_foreign += u64::from(sequence.is_none());
            if let Some(sequence) = sequence {
                sequences.insert(sequence);
                *times_of.entry(sequence).or_default() += times;
                for (flag, is_set) in [(Flag::Redelivered, times > 1), (Flag::AbortedRead, aborted)] {
                    if is_set {
                        self.flag(sequence, flag);
                    }
                }
            }
        }
        for (sequence, times) in times_of {
            if times > 1 {
                self.counts(sequence.0.partition).doubled += times - 1;
                self.flag(sequence, Flag::Doubled);
            }
        }
        for (partition, (_, committed)) in commits {
            if let Some(position) = self.position(partition) {
                let lost = match position.source {
                    PositionSource::Owner => false,
                    PositionSource::Committed => position.offset < committed,
                    PositionSource::Reset => true,
                };
                self.counts(partition).commits_lost += u64::from(lost);
            }
        }
        sequences
    }

    fn visible_between(&self, partition: i32, low: i64, high: i64) -> u64 {
        let Some(log) = self.logs.get(&partition) else { return 0 };
        let two_passes = self.audit(partition).is_some_and(|audit| audit.committed.is_some());
        let visible = if two_passes { &log.second } else { &log.all };
        let between = |offset: i64| offset >= 0 && offset > low && offset < high;
        visible.iter().filter(|(offset, content)| between(**offset) && **content != Content::Fence).count() as u64
    }

    fn result(mut self, steps: &[Step]) -> Reconciliation {
        let ends = |end| matches!(end, &Step::Ended(JournalEnd::Sealed | JournalEnd::Torn));
        let real = || self.touched.iter().copied().filter(|p| *p != ANY_PARTITION || self.named(*p));
        let partitions: Vec<_> = self
            .touched
            .iter()
            .map(|&partition| {
                let any = partition == ANY_PARTITION && !self.named(partition);
                let some = real().next().is_some();
                PartitionResult {
                    partition,
                    counts: self.counts.get(&partition).copied().unwrap_or_default(),
                    audit_complete: if any {
                        some && real().all(|p| self.is_complete(p))
                    } else {
                        self.is_complete(partition)
                    },
                    position_known: if any {
                        some && real().all(|p| self.position(p).is_some())
                    } else {
                        self.position(partition).is_some()
                    },
                }
            })
            .collect();
        let mut counts = Counts::default();
        for p in &partitions {
            counts += p.counts;
        }
        let mut anomalies: Vec<Anomaly> = Vec::new();
        for ((stream, finding), sequences) in self.flags {
            let mut open: Option<Anomaly> = None;
            for sequence in sequences {
                match &mut open {
                    Some(range) if range.last.checked_add(1) == Some(sequence) => range.last = sequence,
                    _ => {
                        anomalies.extend(open.take());
                        open = Some(Anomaly { stream, first: sequence, last: sequence, finding });
                    }
                }
            }
            anomalies.extend(open);
        }
        anomalies.sort_unstable();
        self.strays.sort_unstable();
        Reconciliation {
            counts,
            partitions,
            journals_complete: steps.iter().filter(|step| ends(step)).count() == self.facts.journals,
            anomalies,
            anomalies_omitted: 0,
            strays: self.strays,
            strays_omitted: 0,
        }
    }
}
