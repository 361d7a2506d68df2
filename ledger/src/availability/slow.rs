//! The definitions, looked up sequence by sequence: 16 bytes a sequence and more, and all entries at
//! once. What the streaming code must agree with.

use std::collections::{BTreeMap, BTreeSet};

use super::latency::Latencies;
use super::{Latency, PacedStream, Resumption, Span, Times, Window, WindowTimes};
use crate::category::Told;
use crate::reconcile::StreamId;

/// A report outside of transactions: stream, sequence, what, when.
pub(super) type Report = (StreamId, u64, Told, u64);
/// A processing: of which message, if it is one of ours, from which partition, when.
pub(super) type Processing = (Option<(StreamId, u64)>, i32, u64);

/// Report time of a sequence without a report.
const NO_REPORT: u64 = u64::MAX;
/// Report time of a sequence that the client never took: before every window.
const NEVER_TAKEN: u64 = 0;
const NO_ACK: u64 = u64::MAX;

struct Track {
    stream: PacedStream,
    /// For each sequence, its first ack.
    acked_ns: Vec<u64>,
    /// For each sequence, its last report.
    reported_ns: Vec<u64>,
    /// For each sequence, its first processing.
    processed_ns: Vec<u64>,
    unconfirmed: bool,
    acks_ns: Vec<u64>,
}

/// A message's wait for an ack of itself or a later one: from, until, and whether that was an ack.
type Wait = (u64, u64, bool);

impl Track {
    /// By the pace of the last incarnation that begins at or before it.
    fn intended_ns(&self, sequence: u64) -> u64 {
        let paces = &self.stream.paces;
        let pace = paces.iter().rev().find(|pace| pace.first <= sequence).unwrap_or(&paces[0]);
        pace.start_ns.saturating_add(sequence.saturating_mul(pace.period_ns))
    }

    fn confirms(&self) -> bool {
        !self.unconfirmed && self.stream.offered > 0
    }

    fn waits(&self, end_ns: u64) -> Vec<Wait> {
        let sequences = || 0..self.stream.offered as usize;
        let first_ack = |n: usize| self.acked_ns[n..].iter().copied().min().filter(|at| *at != NO_ACK);
        let reported = |n: usize| if self.reported_ns[n] == NO_REPORT { end_ns } else { self.reported_ns[n] };
        let last_intended = self.intended_ns(self.stream.offered - 1);
        let last_try = sequences().filter(|n| first_ack(*n).is_none()).map(reported).fold(last_intended, u64::max);
        sequences()
            .map(|n| {
                let until = first_ack(n);
                (self.intended_ns(n as u64), until.unwrap_or(last_try), until.is_some())
            })
            .collect()
    }

    /// The longest of the waits that overlap the window (or of all), and the messages due in it.
    fn unavailable(&self, end_ns: u64, window: Option<&Window>) -> Option<(Span, u64)> {
        if !self.confirms() {
            return None;
        }
        let mut longest: Option<(u64, u64, u64)> = None;
        let mut span: Option<Span> = None;
        for (n, (from, until, acked)) in self.waits(end_ns).into_iter().enumerate() {
            if window.is_some_and(|w| from > w.end_ns() || until < w.called_ns) {
                continue;
            }
            let ns = until.saturating_sub(from);
            let one = if acked { Span::closed(ns) } else { Span::open(ns) };
            span = Some(span.map_or(one, |span| span.longest(one)));
            if longest.is_none_or(|(_, _, most)| ns > most) {
                longest = Some((n as u64, until, ns));
            }
        }
        let (first, until, _) = longest?;
        let waited = (first..self.stream.offered).filter(|n| self.intended_ns(*n) <= until).count();
        Some((span?, waited as u64))
    }

    fn exposed(&self, sequence: usize, window: &Window) -> bool {
        window.affects(self.stream.id.partition)
            && self.intended_ns(sequence as u64) <= window.end_ns()
            && self.reported_ns[sequence] >= window.called_ns
    }
}

pub(super) fn times(
    streams: &[PacedStream],
    windows: &[Window],
    reports: &[Report],
    processings: &[Processing],
    end_ns: u64,
) -> Times {
    let mut tracks: BTreeMap<StreamId, Track> = streams.iter().map(|stream| (stream.id, track(stream))).collect();
    for &(id, sequence, told, at_ns) in reports {
        let Some(track) = tracks.get_mut(&id).filter(|track| sequence < track.stream.offered) else {
            continue;
        };
        let n = sequence as usize;
        let reported = &mut track.reported_ns[n];
        let at = if told == Told::Unsent { NEVER_TAKEN } else { at_ns };
        *reported = if *reported == NO_REPORT { at } else { at.max(*reported) };
        track.unconfirmed |= told == Told::Unconfirmed;
        if told == Told::Acked {
            track.acked_ns[n] = track.acked_ns[n].min(at_ns);
            track.acks_ns.push(at_ns);
        }
    }
    let mut processed: BTreeMap<i32, Vec<u64>> =
        streams.iter().filter(|s| s.offered > 0).map(|s| (s.id.partition, Vec::new())).collect();
    for &(message, partition, at_ns) in processings {
        if let Some(moments) = processed.get_mut(&partition) {
            moments.push(at_ns);
        }
        if let Some((id, sequence)) = message.filter(|(id, _)| id.partition == partition)
            && let Some(track) = tracks.get_mut(&id).filter(|track| sequence < track.stream.offered)
        {
            let first = &mut track.processed_ns[sequence as usize];
            *first = (*first).min(at_ns);
        }
    }

    let tracks: Vec<Track> = tracks.into_values().collect();
    let messages = || tracks.iter().flat_map(|track| (0..track.stream.offered as usize).map(move |n| (track, n)));
    let acked = || {
        let acked = messages().filter(|(track, n)| track.acked_ns[*n] != NO_ACK);
        acked.map(|(track, n)| (track.intended_ns(n as u64), track.acked_ns[n]))
    };
    let during = |w: &Window, (from, until): (u64, u64)| from <= w.end_ns() && until >= w.called_ns;
    let processed_ns = messages().filter(|(track, n)| track.processed_ns[*n] != u64::MAX);
    Times {
        ack_latency_ms: summary(acked()),
        ack_latency_quiet_ms: summary(acked().filter(|wait| !windows.iter().any(|w| during(w, *wait)))),
        end_to_end_ms: summary(processed_ns.map(|(t, n)| (t.intended_ns(n as u64), t.processed_ns[n]))),
        unavailable: tracks.iter().filter_map(|t| t.unavailable(end_ns, None)).map(|(s, _)| s).reduce(Span::longest),
        lag_seen_max: None,
        exposed: messages().filter(|(track, n)| windows.iter().any(|w| track.exposed(*n, w))).count() as u64,
        windows: windows
            .iter()
            .map(|window| {
                let stretches = || tracks.iter().filter_map(|track| track.unavailable(end_ns, Some(window)));
                WindowTimes {
                    exposure: messages().filter(|(track, n)| track.exposed(*n, window)).count() as u64,
                    unavailable: stretches().map(|(span, _)| span).reduce(Span::longest),
                    waited: stretches().map(|(_, waited)| waited).sum(),
                    ack_latency_ms: summary(acked().filter(|wait| during(window, *wait))),
                    recovery: window.recovery(),
                    resumption: resumption(&tracks, &processed, window, end_ns),
                }
            })
            .collect(),
    }
}

fn track(stream: &PacedStream) -> Track {
    let all = |value: u64| vec![value; stream.offered as usize];
    Track {
        stream: stream.clone(),
        acked_ns: all(NO_ACK),
        reported_ns: all(NO_REPORT),
        processed_ns: all(u64::MAX),
        unconfirmed: false,
        acks_ns: Vec::new(),
    }
}

fn summary(waits: impl Iterator<Item = (u64, u64)>) -> Option<Latency> {
    let mut latencies = Latencies::new();
    waits.for_each(|(from, until)| latencies.record(until.saturating_sub(from)));
    latencies.summary()
}

fn resumption(tracks: &[Track], processed: &BTreeMap<i32, Vec<u64>>, window: &Window, end_ns: u64) -> Resumption {
    let since_heal = |moments: &[u64]| {
        let healed = window.healed_ns?;
        let first = moments.iter().filter(|at| **at >= healed).min();
        Some(first.map_or(Span::open(end_ns.saturating_sub(healed)), |at| Span::closed(at - healed)))
    };
    let silent = |moments: &[u64]| window.recovered_ns.is_some_and(|ns| moments.iter().all(|at| *at < ns));
    let confirming = || tracks.iter().filter(|track| track.confirms());
    let unacked: BTreeSet<i32> =
        confirming().filter(|t| silent(&t.acks_ns)).map(|track| track.stream.id.partition).collect();
    let unprocessed = processed.iter().filter(|(_, moments)| silent(moments)).map(|(partition, _)| *partition);
    Resumption {
        acks: confirming().filter_map(|track| since_heal(&track.acks_ns)).reduce(Span::longest),
        processing: processed.values().filter_map(|moments| since_heal(moments)).reduce(Span::longest),
        unacked_partitions: unacked.into_iter().collect(),
        unprocessed_partitions: unprocessed.collect(),
    }
}
