//! Takes what the clients of one profile journalled, and gives its times.

use std::collections::BTreeMap;

use super::latency::{AckLatencies, Latencies};
use super::track::{Firsts, Track};
use super::{PacedStream, Resumption, Span, Times, Window, WindowTimes};
use crate::reconcile::StreamId;
use crate::record::Record;

/// Takes the entries of a profile's client journals and gives its times.
///
/// The journals of each stream are taken in the order of its incarnations. The entries of all group
/// members are taken in the order of time; otherwise what two of them processed may be timed by the
/// later one. Producers and consumers may be taken in any order.
#[derive(Debug)]
pub struct Timekeeper {
    run: u64,
    tracks: BTreeMap<StreamId, Track>,
    /// By partition to which something was offered.
    processed: BTreeMap<i32, Vec<Firsts>>,
    windows: Vec<Window>,
    acks: AckLatencies,
    end_to_end: Latencies,
}

impl Timekeeper {
    /// Begins with the number of the run, all streams of a profile and all faults.
    #[must_use]
    pub fn new(run: u64, streams: &[PacedStream], windows: Vec<Window>) -> Self {
        let none = vec![Firsts::NONE; windows.len()];
        Self {
            run,
            tracks: streams.iter().map(|stream| (stream.id, Track::new(stream, &windows))).collect(),
            processed: streams.iter().filter(|s| s.offered > 0).map(|s| (s.id.partition, none.clone())).collect(),
            acks: AckLatencies::new(windows.len()),
            end_to_end: Latencies::new(),
            windows,
        }
    }

    /// Takes an entry of a producer's journal. What is not of a known stream is passed over:
    /// reconciliation refuses it.
    pub fn producer_record(&mut self, producer: u16, record: &Record) {
        match *record {
            Record::Told { partition, sequence, told, in_txn, at_ns, .. } => {
                if let Some(track) = self.tracks.get_mut(&StreamId { producer, partition })
                    && sequence < track.stream.offered
                {
                    track.told(sequence, told, in_txn, at_ns, &self.windows, &mut self.acks);
                }
            }
            Record::TxnEnded { partition, outcome, at_ns } => {
                if let Some(track) = self.tracks.get_mut(&StreamId { producer, partition }) {
                    track.txn_ended(outcome, at_ns, &self.windows, &mut self.acks);
                }
            }
            _ => {}
        }
    }

    /// The journal of one incarnation of a stream has no more entries: a transaction open in it is
    /// not heard of any more.
    pub fn producer_journal_ended(&mut self, stream: StreamId) {
        if let Some(track) = self.tracks.get_mut(&stream) {
            track.journal_ended();
        }
    }

    /// Takes an entry of a group member's journal.
    pub fn consumer_record(&mut self, record: &Record) {
        let Record::Processed { partition, identity, at_ns, .. } = *record else {
            return;
        };
        if let Some(firsts) = self.processed.get_mut(&partition) {
            for (firsts, window) in firsts.iter_mut().zip(&self.windows) {
                firsts.note(at_ns, window);
            }
        }
        if let Some(message) = identity.filter(|message| message.run == self.run && message.partition == partition)
            && let Some(track) = self.tracks.get_mut(&StreamId { producer: message.producer, partition })
            && message.sequence < track.stream.offered
        {
            track.processed(message.sequence, at_ns, &mut self.end_to_end);
        }
    }

    /// The times, given when the observation ended: when the producers were closed, or last seen.
    #[must_use]
    pub fn finish(self, end_ns: u64) -> Times {
        let mut windows: Vec<WindowTimes> = (0..)
            .zip(&self.windows)
            .map(|(index, window)| WindowTimes {
                ack_latency_ms: self.acks.during[index].summary(),
                recovery: window.recovery(),
                resumption: self.resumption(index, window, end_ns),
                ..WindowTimes::default()
            })
            .collect();
        let mut exposed = 0_u64;
        let mut unavailable: Option<Span> = None;
        for track in self.tracks.values() {
            let (each, any) = track.exposure(&self.windows);
            exposed = exposed.saturating_add(any);
            for (times, exposure) in windows.iter_mut().zip(each) {
                times.exposure = times.exposure.saturating_add(exposure);
            }
            if let Some((whole, during)) = track.unavailability(&self.windows, end_ns) {
                unavailable = unavailable.into_iter().chain([whole]).reduce(Span::longest);
                for (times, during) in windows.iter_mut().zip(during) {
                    if let Some((span, waited)) = during {
                        times.unavailable = times.unavailable.into_iter().chain([span]).reduce(Span::longest);
                        times.waited = times.waited.saturating_add(waited);
                    }
                }
            }
        }
        Times {
            ack_latency_ms: self.acks.all.summary(),
            ack_latency_quiet_ms: self.acks.quiet.summary(),
            end_to_end_ms: self.end_to_end.summary(),
            unavailable,
            exposed,
            lag_seen_max: None,
            windows,
        }
    }

    fn resumption(&self, index: usize, window: &Window, end_ns: u64) -> Resumption {
        let since_heal = |first: u64| {
            let healed = window.healed_ns?;
            Some(match first {
                u64::MAX => Span::open(end_ns.saturating_sub(healed)),
                at => Span::closed(at - healed),
            })
        };
        let confirming = || self.tracks.values().filter(|track| track.confirms());
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
