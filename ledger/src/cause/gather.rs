//! One more pass over a profile's journals, for what they say of the lost ranges only.
//!
//! Memory: one piece for each stretch of which the same was told, so a few where a fault took
//! thousands of messages. At most [`RANGES_MAX`] ranges are looked at, the largest first.

use std::collections::BTreeMap;

use super::attribute::Attribution;
use super::history::History;
use super::passed::Passed;
use super::{Acks, Cause, DestroyedBy, Explained};
use crate::category::{Category, Told};
use crate::journal::Stream;
use crate::reconcile::{Anomaly, Finding, Process, StreamId};
use crate::record::{Content, Record};

/// Ranges whose causes are looked for.
const RANGES_MAX: usize = 10_000;

/// Collects what the journals say of lost ranges.
pub struct Gather<'a> {
    history: &'a History,
    profile: &'a str,
    acks: Acks,
    turning_points: Vec<u64>,
    streams: BTreeMap<StreamId, Lost>,
    /// Ranges beyond `RANGES_MAX`, and those where nothing was lost.
    others: Vec<Anomaly>,
    /// With the number of the incarnation.
    paces: Vec<(u16, Stream)>,
    /// By partition, the first offset of each leader epoch among the audited records.
    epochs: BTreeMap<i32, BTreeMap<i32, i64>>,
    passed: Passed<'a>,
}

/// The lost ranges of one stream, sorted.
#[derive(Default)]
struct Lost {
    ranges: Vec<Range>,
    /// The range that was found last: the next entry is mostly of the same.
    last: usize,
}

struct Range {
    anomaly: Anomaly,
    /// By first sequence.
    pieces: BTreeMap<u64, Piece>,
}

/// Consecutive sequences of which the same was told, in one stretch between two turning points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub first: u64,
    pub last: u64,
    pub told: Option<Told>,
    pub broker: Option<i32>,
    pub error: i32,
    /// Number of turning points before.
    stretch: usize,
    pub told_ns: Option<(u64, u64)>,
    pub offsets: Option<(i64, i64)>,
}

impl<'a> Gather<'a> {
    /// Begins with the ranges that the reconciliation found.
    #[must_use]
    pub fn new(history: &'a History, profile: &'a str, acks: Acks, anomalies: &[Anomaly]) -> Self {
        let (mut lost, mut others): (Vec<Anomaly>, Vec<Anomaly>) =
            anomalies.iter().copied().partition(|anomaly| is_loss(anomaly.finding));
        lost.sort_unstable_by_key(|range| (std::cmp::Reverse(range.last - range.first), *range));
        others.extend(lost.drain(lost.len().min(RANGES_MAX)..));
        lost.sort_unstable();
        let mut streams: BTreeMap<StreamId, Lost> = BTreeMap::new();
        for anomaly in lost {
            let range = Range { anomaly, pieces: BTreeMap::new() };
            streams.entry(anomaly.stream).or_default().ranges.push(range);
        }
        Self {
            history,
            profile,
            acks,
            turning_points: history.turning_points(),
            streams,
            others,
            paces: Vec::new(),
            epochs: BTreeMap::new(),
            passed: Passed::new(history),
        }
    }

    /// Whether there is nothing to be explained, so that no journal need be read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// Takes the pace of a stream in one incarnation of its producer, from the header of its journal. Those of one
    /// stream come in the order of incarnations.
    pub fn stream(&mut self, incarnation: u16, stream: Stream) {
        self.paces.push((incarnation, stream));
    }

    /// Takes an entry of the audit's journal.
    pub fn audit_record(&mut self, record: &Record) {
        let Record::Audited { partition, offset, audit, leader_epoch, content, .. } = *record else { return };
        let counts = self.history.audits.get(&(self.profile.to_owned(), partition));
        if counts.is_none_or(|seen| seen.attempt != audit) {
            return;
        }
        if let Some(epoch) = leader_epoch {
            let first = self.epochs.entry(partition).or_default().entry(epoch).or_insert(offset);
            *first = offset.min(*first);
        }
        if let Content::Message(message) = content {
            let stream = StreamId { producer: message.producer, partition };
            let found = self.range(stream, message.sequence).map(|range| range.anomaly);
            if let Some(range) = found
                && range.finding == Finding::Category(Category::LostByConsumer)
            {
                self.passed.found((stream, range.first), offset);
            }
        }
    }

    /// Takes an entry of a producer's journal.
    pub fn producer_record(&mut self, producer: u16, record: &Record) {
        let Record::Told { partition, sequence, told, offset, error, broker, at_ns, .. } = *record else { return };
        let at_ns = self.history.since_start(at_ns);
        let stretch = self.turning_points.partition_point(|point| *point <= at_ns);
        let piece = Piece {
            first: sequence,
            last: sequence,
            told: Some(told),
            broker,
            error,
            stretch,
            told_ns: Some((at_ns, at_ns)),
            offsets: offset.map(|offset| (offset, offset)),
        };
        if let Some(range) = self.range(StreamId { producer, partition }, sequence) {
            range.tell(piece);
        }
    }

    /// Takes an entry of a member's journal, in that journal's order. All of the audit's come before.
    pub fn consumer_record(&mut self, process: Process, record: &Record) {
        self.passed.record(process, record);
    }

    /// Attributes what was gathered. Sorted by stream, then first sequence.
    #[must_use]
    pub fn finish(mut self) -> Vec<Explained> {
        let attribution = Attribution::new(self.history, self.profile, self.acks, &self.epochs, &self.paces);
        let mut explained = Vec::new();
        let passed = self.passed.finish();
        for range in self.streams.values_mut().flat_map(|lost| &mut lost.ranges) {
            range.fill();
            let StreamId { producer, partition } = range.anomaly.stream;
            let own = self.paces.iter().filter(|(_, pace)| (pace.producer, pace.partition) == (producer, partition));
            own.for_each(|(_, pace)| range.part_at(pace.first));
            let consumed = passed.get(&(range.anomaly.stream, range.anomaly.first)).copied().unwrap_or_default();
            for piece in range.pieces.values() {
                let cause = attribution.cause(&range.anomaly, piece, &consumed);
                explained.push(explain(&range.anomaly, piece, Some(cause)));
            }
        }
        for anomaly in &self.others {
            // Of a loss that nobody looked into nothing is known.
            let cause = is_loss(anomaly.finding).then(Cause::default);
            explained.push(explain(anomaly, &Piece::untold(anomaly.first, anomaly.last), cause));
        }
        share_truncations(&mut explained);
        explained.sort_by_key(|part| (part.stream, part.first, part.last, part.finding));
        explained
    }

    fn range(&mut self, stream: StreamId, sequence: u64) -> Option<&mut Range> {
        let lost = self.streams.get_mut(&stream)?;
        let holds = |range: &Range| (range.anomaly.first..=range.anomaly.last).contains(&sequence);
        if !lost.ranges.get(lost.last).is_some_and(holds) {
            lost.last = lost.ranges.partition_point(|range| range.anomaly.last < sequence);
        }
        lost.ranges.get_mut(lost.last).filter(|range| holds(range))
    }
}

/// Whether a finding means that messages were lost, or may have been.
pub(super) const fn is_loss(finding: Finding) -> bool {
    matches!(
        finding,
        Finding::Category(
            Category::LostInCluster
                | Category::Vanished
                | Category::Expired
                | Category::LostByConsumer
                | Category::Undelivered
        )
    )
}

/// One truncation took all that it took: how far the log had reached is known from the last of it.
fn share_truncations(explained: &mut [Explained]) {
    let mut reached: BTreeMap<(i32, i32, i64), i64> = BTreeMap::new();
    for share in [false, true] {
        for part in &mut *explained {
            for destroyed in part.cause.iter_mut().flat_map(|cause| &mut cause.destroyed_by) {
                if let DestroyedBy::Truncation { broker, from, to, .. } = destroyed {
                    let known = reached.entry((part.stream.partition, *broker, *to)).or_insert(*from);
                    *known = (*known).max(*from);
                    if share {
                        *from = *known;
                    }
                }
            }
        }
    }
}

fn explain(anomaly: &Anomaly, piece: &Piece, cause: Option<Cause>) -> Explained {
    Explained {
        stream: anomaly.stream,
        first: piece.first,
        last: piece.last,
        finding: anomaly.finding,
        told: piece.told,
        broker: piece.broker,
        error: piece.error,
        told_ns: piece.told_ns,
        offsets: piece.offsets,
        cause,
    }
}

impl Range {
    /// Takes what was told of one sequence. Of several attempts the best counts.
    fn tell(&mut self, new: Piece) {
        let before = self.pieces.range_mut(..=new.first).next_back().map(|(_, piece)| piece);
        match before {
            Some(piece) if piece.last >= new.first => {
                if new.told <= piece.told {
                    return;
                }
                let old = *piece;
                self.cut_out(&old, new.first);
                self.pieces.insert(new.first, new);
            }
            Some(piece) if piece.last + 1 == new.first && piece.goes_on_with(&new) => piece.join(&new),
            _ => {
                self.pieces.insert(new.first, new);
            }
        }
    }

    /// Takes one sequence out of a piece. What is left keeps its bounds of times and offsets.
    fn cut_out(&mut self, piece: &Piece, sequence: u64) {
        self.pieces.remove(&piece.first);
        if piece.first < sequence {
            self.pieces.insert(piece.first, Piece { last: sequence - 1, ..*piece });
        }
        if sequence < piece.last {
            self.pieces.insert(sequence + 1, Piece { first: sequence + 1, ..*piece });
        }
    }

    /// Joins what came out of order, and adds the sequences of which nothing was told.
    fn fill(&mut self) {
        let mut whole: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        let mut next = self.anomaly.first;
        for piece in std::mem::take(&mut self.pieces).into_values() {
            if next < piece.first {
                whole.push(Piece::untold(next, piece.first - 1));
            }
            next = piece.last + 1;
            match whole.last_mut() {
                Some(before) if before.last + 1 == piece.first && before.goes_on_with(&piece) => before.join(&piece),
                _ => whole.push(piece),
            }
        }
        if next <= self.anomaly.last {
            whole.push(Piece::untold(next, self.anomaly.last));
        }
        self.pieces = whole.into_iter().map(|piece| (piece.first, piece)).collect();
    }
}

impl Range {
    /// Keeps apart what two incarnations had in hand.
    fn part_at(&mut self, first: u64) {
        let before = self.pieces.range_mut(..first).next_back().map(|(_, piece)| piece);
        if let Some(piece) = before.filter(|piece| piece.told.is_none() && piece.last >= first) {
            let rest = Piece::untold(first, piece.last);
            piece.last = first - 1;
            self.pieces.insert(first, rest);
        }
    }
}

impl Piece {
    pub(super) const fn untold(first: u64, last: u64) -> Self {
        Self { first, last, told: None, broker: None, error: 0, stretch: 0, told_ns: None, offsets: None }
    }

    /// Whether the next piece was told the same, and its offsets come after. (An offset that falls back is
    /// another log's.)
    fn goes_on_with(&self, next: &Self) -> bool {
        let rises = match (self.offsets, next.offsets) {
            (Some((_, before)), Some((after, _))) => before < after,
            (None, None) => true,
            _ => false,
        };
        let key = |piece: &Self| (piece.told, piece.broker, piece.error, piece.stretch);
        key(self) == key(next) && rises
    }

    fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.told_ns = self.told_ns.zip(next.told_ns).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
        self.offsets = self.offsets.zip(next.offsets).map(|((low, _), (_, high))| (low, high));
    }
}
