//! Times of one profile, measured against when each message was *meant* to be sent, so that a
//! producer held up by the cluster cannot hide it (no coordinated omission).
//!
//! **Latency** of a message: its first ack minus its intended time. Messages without an ack have
//! none.
//!
//! **Unavailability** of a stream: for each message, the time from its intended moment until it *or
//! any later message of the stream* is acknowledged; the longest of these. So a healthy stream reads
//! about its latency, an outage of 8 s reads 8 s, and a message that failed for itself while its
//! successors went through does not count as an outage. Where nothing was acknowledged any more, the
//! time is open ("at least"): up to the end of the observation if a report was still outstanding,
//! else up to the last report, since after it nobody tried.
//!
//! **Exposure** to a window: messages that were on their way (from intended moment to report) at any
//! time in it, on the partitions that the fault affects. Messages that the client never took are
//! not among them.
//!
//! acks=0 has none of these but exposure: its reports say only that a message was written to a
//! socket. (With acks=0 and not even such a report, the stream is unavailable like any other.)
//!
//! **Resumption** asks every stream and every partition: a cluster that serves two partitions of
//! three has not resumed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::category::Told;
use crate::reconcile::StreamId;
use crate::record::Record;

const NS_PER_MS: u64 = 1_000_000;
/// Latencies above a day are counted as a day.
const LATENCY_LIMIT_US: u64 = 24 * 3_600 * 1_000_000;

/// A stream with its pace: message n is meant to be sent at `start_ns + n * period_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacedStream {
    /// The stream.
    pub id: StreamId,
    /// Sequences offered.
    pub offered: u64,
    /// Intended time of sequence 0, CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// Time between two sequences.
    pub period_ns: u64,
}

impl PacedStream {
    const fn intended_ns(&self, sequence: u64) -> u64 {
        self.start_ns.saturating_add(sequence.saturating_mul(self.period_ns))
    }
}

/// The time of a fault, CLOCK_BOOTTIME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// When the call was made that injected it.
    pub called_ns: u64,
    /// When its heal was proven.
    pub healed_ns: Option<u64>,
    /// When the cluster was as before.
    pub recovered_ns: Option<u64>,
    /// Partitions of this profile's topic that it affects; none for all.
    pub partitions: Option<Vec<i32>>,
}

impl Window {
    /// Its end: recovery, else the heal, else never.
    fn end_ns(&self) -> u64 {
        self.recovered_ns.or(self.healed_ns).unwrap_or(u64::MAX)
    }

    fn affects(&self, partition: i32) -> bool {
        self.partitions.as_ref().is_none_or(|affected| affected.contains(&partition))
    }
}

/// A measured time, or a bound from below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Milliseconds: rounded up, but down where `at_least`.
    pub ms: u64,
    /// It had not ended when the observation did.
    pub at_least: bool,
}

impl Span {
    const fn closed(ns: u64) -> Self {
        Self { ms: ns.div_ceil(NS_PER_MS), at_least: false }
    }

    const fn open(ns: u64) -> Self {
        Self { ms: ns / NS_PER_MS, at_least: true }
    }

    /// The longer of two; with an open one among them, the answer is open.
    fn longest(self, other: Self) -> Self {
        Self { ms: self.ms.max(other.ms), at_least: self.at_least || other.at_least }
    }
}

/// Latency from the intended moment to the ack, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are at or below.
    pub p99: f64,
    /// 999 of 1,000 are at or below.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// How clients went on after a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// From the heal's proof to the first ack after it, the longest over the streams; none for
    /// acks=0 or if the fault was not healed.
    pub acks: Option<Span>,
    /// From the heal's proof to the first processing after it, the longest over the partitions;
    /// none if the fault was not healed.
    pub processing: Option<Span>,
    /// Partitions with a stream that had no ack after recovery.
    pub unacked_partitions: Vec<i32>,
    /// Partitions of which nothing was processed after recovery.
    pub unprocessed_partitions: Vec<i32>,
}

/// The times of one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// None if nothing was acknowledged.
    pub ack_latency_ms: Option<Latency>,
    /// The longest over the streams; none for acks=0 or if nothing was offered.
    pub unavailable: Option<Span>,
    /// Messages exposed to each window, in the order given.
    pub exposure: Vec<u64>,
    /// Messages exposed to any window, each counted once.
    pub exposed: u64,
    /// After each window, in the order given.
    pub resumption: Vec<Resumption>,
}

impl Times {
    /// Until acks and processing had resumed after every heal; none without a healed fault.
    #[must_use]
    pub fn resumed_within(&self) -> Option<Span> {
        self.resumption.iter().flat_map(|r| [r.acks, r.processing]).flatten().reduce(Span::longest)
    }
}

/// Report time of a sequence without a report.
const NO_REPORT: u64 = u64::MAX;
/// Report time of a sequence that the client never took: before every window.
const NEVER_TAKEN: u64 = 0;

#[derive(Debug)]
struct Track {
    stream: PacedStream,
    /// For each sequence, its first ack; `u64::MAX` for none.
    acked_ns: Vec<u64>,
    /// For each sequence, its last report.
    reported_ns: Vec<u64>,
    /// A report OK with acks=0 was among them.
    unconfirmed: bool,
    after: Vec<Firsts>,
}

/// First moments after a window's heal and recovery; `u64::MAX` for none.
#[derive(Debug, Clone, Copy)]
struct Firsts {
    healed: u64,
    recovered: u64,
}

impl Firsts {
    const NONE: Self = Self { healed: u64::MAX, recovered: u64::MAX };

    fn note(&mut self, at_ns: u64, window: &Window) {
        if window.healed_ns.is_some_and(|healed| at_ns >= healed) {
            self.healed = self.healed.min(at_ns);
        }
        if window.recovered_ns.is_some_and(|recovered| at_ns >= recovered) {
            self.recovered = self.recovered.min(at_ns);
        }
    }
}

/// Takes the entries of a profile's client journals, in any order, and gives its times.
/// 16 bytes a sequence.
#[derive(Debug)]
pub struct Timekeeper {
    tracks: BTreeMap<StreamId, Track>,
    /// By partition to which something was offered.
    processed: BTreeMap<i32, Vec<Firsts>>,
    windows: Vec<Window>,
    latency_us: Histogram<u64>,
}

impl Timekeeper {
    /// Begins with all streams of a profile and all faults.
    ///
    /// # Panics
    /// Never: the histogram's bounds and precision are valid constants.
    #[must_use]
    pub fn new(streams: &[PacedStream], windows: Vec<Window>) -> Self {
        let none = vec![Firsts::NONE; windows.len()];
        let track = |stream: &PacedStream| Track {
            stream: *stream,
            acked_ns: vec![u64::MAX; stream.offered as usize],
            reported_ns: vec![NO_REPORT; stream.offered as usize],
            unconfirmed: false,
            after: none.clone(),
        };
        Self {
            tracks: streams.iter().map(|s| (s.id, track(s))).collect(),
            processed: streams.iter().filter(|s| s.offered > 0).map(|s| (s.id.partition, none.clone())).collect(),
            windows,
            // Fixed bounds: `saturating_record` clamps to them, and never resizes.
            latency_us: Histogram::new_with_bounds(1, LATENCY_LIMIT_US, 3)
                .expect("these bounds and 3 significant digits are supported"),
        }
    }

    /// Takes an entry of a producer's journal. What is not of a known stream is passed over:
    /// reconciliation refuses it.
    pub fn producer_record(&mut self, producer: u16, record: &Record) {
        let Record::Told { partition, sequence, told, at_ns, .. } = *record else {
            return;
        };
        let id = StreamId { producer, partition };
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let n = sequence as usize;
        let Some(reported) = track.reported_ns.get_mut(n) else {
            return;
        };
        let at = if told == Told::Unsent { NEVER_TAKEN } else { at_ns };
        *reported = if *reported == NO_REPORT { at } else { at.max(*reported) };
        track.unconfirmed |= told == Told::Unconfirmed;
        if told == Told::Acked {
            if track.acked_ns[n] == u64::MAX {
                let latency = at_ns.saturating_sub(track.stream.intended_ns(sequence));
                self.latency_us.saturating_record(latency / 1_000);
            }
            track.acked_ns[n] = track.acked_ns[n].min(at_ns);
            for (firsts, window) in track.after.iter_mut().zip(&self.windows) {
                firsts.note(at_ns, window);
            }
        }
    }

    /// Takes an entry of a group member's journal.
    pub fn consumer_record(&mut self, record: &Record) {
        if let Record::Processed { partition, at_ns, .. } = *record
            && let Some(firsts) = self.processed.get_mut(&partition)
        {
            for (firsts, window) in firsts.iter_mut().zip(&self.windows) {
                firsts.note(at_ns, window);
            }
        }
    }

    /// The times, given when the observation ended: when the producers were closed, or last seen.
    #[must_use]
    pub fn finish(self, end_ns: u64) -> Times {
        let (exposure, exposed) = self.exposure();
        Times {
            ack_latency_ms: latency(&self.latency_us),
            unavailable: self.tracks.values().filter_map(|track| unavailable(track, end_ns)).reduce(Span::longest),
            exposure,
            exposed,
            resumption: self
                .windows
                .iter()
                .enumerate()
                .map(|(index, window)| self.resumption(index, window, end_ns))
                .collect(),
        }
    }

    fn exposure(&self) -> (Vec<u64>, u64) {
        let mut each = vec![0; self.windows.len()];
        let mut any = 0;
        for track in self.tracks.values() {
            for (sequence, reported) in (0..).zip(&track.reported_ns) {
                let intended = track.stream.intended_ns(sequence);
                let mut exposed = false;
                for (count, window) in each.iter_mut().zip(&self.windows) {
                    let hit = window.affects(track.stream.id.partition)
                        && intended <= window.end_ns()
                        && *reported >= window.called_ns;
                    *count += u64::from(hit);
                    exposed |= hit;
                }
                any += u64::from(exposed);
            }
        }
        (each, any)
    }

    fn resumption(&self, index: usize, window: &Window, end_ns: u64) -> Resumption {
        let since_heal = |first: u64| {
            let healed = window.healed_ns?;
            Some(match first {
                u64::MAX => Span::open(end_ns.saturating_sub(healed)),
                at => Span::closed(at - healed),
            })
        };
        let confirming = || self.tracks.values().filter(|track| !track.unconfirmed && track.stream.offered > 0);
        let silent = |firsts: &Firsts| window.recovered_ns.is_some() && firsts.recovered == u64::MAX;
        let mut unacked_partitions: Vec<i32> =
            confirming().filter(|track| silent(&track.after[index])).map(|track| track.stream.id.partition).collect();
        unacked_partitions.sort_unstable();
        unacked_partitions.dedup();
        Resumption {
            acks: confirming().filter_map(|track| since_heal(track.after[index].healed)).reduce(Span::longest),
            processing: self
                .processed
                .values()
                .filter_map(|firsts| since_heal(firsts[index].healed))
                .reduce(Span::longest),
            unacked_partitions,
            unprocessed_partitions: self
                .processed
                .iter()
                .filter(|(_, firsts)| silent(&firsts[index]))
                .map(|(partition, _)| *partition)
                .collect(),
        }
    }
}

fn latency(us: &Histogram<u64>) -> Option<Latency> {
    let ms = |us: u64| us as f64 / 1_000.0;
    (!us.is_empty()).then(|| Latency {
        p50: ms(us.value_at_quantile(0.5)),
        p99: ms(us.value_at_quantile(0.99)),
        p999: ms(us.value_at_quantile(0.999)),
        max: ms(us.max()),
    })
}

/// The stream's unavailability; none for acks=0 or if nothing was offered.
fn unavailable(track: &Track, end_ns: u64) -> Option<Span> {
    let stream = &track.stream;
    if track.unconfirmed || stream.offered == 0 {
        return None;
    }
    // Backwards: the first ack of this or any later message, and the last report of those after
    // the last ack.
    let mut first_ack = u64::MAX;
    let mut last_report = stream.intended_ns(stream.offered - 1);
    let mut longest = 0;
    let mut open = None;
    for sequence in (0..stream.offered).rev() {
        let n = sequence as usize;
        first_ack = first_ack.min(track.acked_ns[n]);
        let intended = stream.intended_ns(sequence);
        if first_ack == u64::MAX {
            last_report = last_report.max(match track.reported_ns[n] {
                NO_REPORT => end_ns,
                reported => reported,
            });
            open = Some(last_report.saturating_sub(intended));
        } else {
            longest = longest.max(first_ack.saturating_sub(intended));
        }
    }
    let closed = Span::closed(longest);
    Some(open.map_or(closed, |open| closed.longest(Span::open(open))))
}

#[cfg(test)]
mod tests;
