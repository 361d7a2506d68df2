//! Times of one profile, measured against when each message was *meant* to be sent, so that a
//! producer held up by the cluster cannot hide it (no coordinated omission).
//!
//! **Latency** of a message: its first ack minus its intended moment. Messages without an ack have
//! none. Within a transaction the ack is the commit's. A message belongs to a fault if it waited for
//! that ack at any time in the fault's window, whatever its partition, and to the quiet time if it
//! belongs to no fault.
//!
//! **End-to-end latency** of a message: its first processing minus its intended moment (all clients
//! share one clock). Messages that nobody processed have none.
//!
//! **Unavailability** of a stream: for each message, the time from its intended moment until it *or
//! any later message of the stream* is acknowledged; the longest of these. So a healthy stream reads
//! about its latency, an outage of 8 s reads 8 s, and a message that failed for itself while its
//! successors went through does not count as an outage. Where nothing was acknowledged any more, the
//! time is open ("at least"): up to the end of the observation if a report was still outstanding,
//! else up to the last report, since after it nobody tried. The unavailability *in a fault* is the
//! longest of those times that overlap its window, in their full length; the messages that **waited**
//! are those that came due in it, summed over the streams, each with its own longest time.
//!
//! **Exposure** to a window: messages that were on their way (from intended moment to report) at any
//! time in it, on the partitions that the fault affects. Messages that the client never took are
//! not among them. A message that the application sent several times is on its way until the last
//! report; one within a transaction until that has ended.
//!
//! acks=0 has none of these but exposure and end-to-end latency: its reports say only that a message
//! was written to a socket. (With acks=0 and not even such a report, the stream is unavailable like
//! any other.)
//!
//! **Recovery** of the cluster counts from the proof of the heal until recovery was seen;
//! **resumption** until clients went on, and asks every stream and every partition: a cluster that
//! serves two partitions of three has not resumed.
//!
//! # Limits
//! Entries of a stream's journals come in the order of time, incarnations in their order, and so do
//! the processings of all members together. Where a clock went back all the same, unavailability may
//! come out longer, never shorter. Memory goes with what was told, whatever a journal's header claims:
//! at most three bits a sequence, and next to nothing for ranges that were told in full.

mod keeper;
mod latency;
mod pending;
mod reports;
mod sequences;
mod track;
mod waits;

#[cfg(test)]
mod random;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::reconcile::StreamId;

pub use keeper::Timekeeper;

const NS_PER_MS: u64 = 1_000_000;

/// When the messages of one incarnation of a producer are meant to be sent: message n at
/// `start_ns + n * period_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Its first sequence.
    pub first: u64,
    /// Intended time of sequence 0, had it been this incarnation's; CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// Time between two sequences.
    pub period_ns: u64,
}

impl Pace {
    const fn intended_ns(&self, sequence: u64) -> u64 {
        self.start_ns.saturating_add(sequence.saturating_mul(self.period_ns))
    }

    /// The number of the sequence after the last that is meant to be sent by a moment, itself included;
    /// none if its first is not.
    fn due_by(&self, ns: u64) -> Option<u64> {
        let since = ns.checked_sub(self.intended_ns(self.first))?;
        let last = since.checked_div(self.period_ns).map_or(u64::MAX, |more| self.first.saturating_add(more));
        Some(last.saturating_add(1))
    }
}

/// A stream with the paces of its incarnations. Of the time in between nothing was due: a producer that is
/// started again goes on with what is due then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacedStream {
    /// The stream.
    pub id: StreamId,
    /// Sequences offered.
    pub offered: u64,
    /// Of each incarnation, in their order, which is that of their first sequences; at least one.
    pub paces: Vec<Pace>,
}

impl PacedStream {
    fn intended_ns(&self, sequence: u64) -> u64 {
        let own = match self.paces.as_slice() {
            [only] => Some(only),
            paces => {
                let later = paces.partition_point(|pace| pace.first <= sequence);
                // What stands before the first incarnation that is known goes by its pace.
                paces.get(later.saturating_sub(1))
            }
        };
        own.map_or(u64::MAX, |pace| pace.intended_ns(sequence))
    }

    /// How many of the sequences offered are meant to be sent by a moment, itself included: those
    /// below this number.
    fn due_by(&self, ns: u64) -> u64 {
        if ns == u64::MAX {
            return self.offered;
        }
        let mut until = self.offered;
        for pace in self.paces.iter().rev() {
            if let Some(due) = pace.due_by(ns) {
                return due.min(until);
            }
            until = until.min(pace.first);
        }
        self.paces.first().map_or(0, |pace| Pace { first: 0, ..*pace }.due_by(ns).unwrap_or(0).min(until))
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
    /// When the wait for that was given up.
    pub given_up_ns: Option<u64>,
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

    /// Whether what lasted between two moments lasted at any time in it.
    fn overlaps(&self, from_ns: u64, until_ns: u64) -> bool {
        from_ns <= self.end_ns() && until_ns >= self.called_ns
    }

    /// From the heal's proof until recovery; none if it was not healed.
    fn recovery(&self) -> Option<Span> {
        let since_heal = |ns: u64, healed: u64| ns.saturating_sub(healed);
        self.healed_ns.map(|healed| match (self.recovered_ns, self.given_up_ns) {
            (Some(recovered), _) => Span::closed(since_heal(recovered, healed)),
            (None, Some(given_up)) => Span::open(since_heal(given_up, healed)),
            (None, None) => Span::open(0),
        })
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

/// Times from the intended moment, in milliseconds. Quantiles are exact to three digits and rounded
/// up, so that they are not in the favour of a promise; the longest is as measured.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The times of one profile in one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowTimes {
    /// Messages exposed to it.
    pub exposure: u64,
    /// The longest time without an ack that overlaps it, over all streams; none for acks=0 or if no
    /// message was due until its end.
    pub unavailable: Option<Span>,
    /// Messages that came due in the longest times without an ack that overlap it.
    pub waited: u64,
    /// Of the messages that waited for their ack at any time in it; none if there are none.
    pub ack_latency_ms: Option<Latency>,
    /// From the heal's proof until the cluster was as before; none if it was not healed.
    pub recovery: Option<Span>,
    /// How clients went on.
    pub resumption: Resumption,
}

/// The times of one profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// None if nothing was acknowledged.
    pub ack_latency_ms: Option<Latency>,
    /// Of the messages that waited for their ack in no window; none if there are none.
    pub ack_latency_quiet_ms: Option<Latency>,
    /// None if nothing was processed.
    pub end_to_end_ms: Option<Latency>,
    /// The longest over the streams; none for acks=0 or if nothing was offered.
    pub unavailable: Option<Span>,
    /// Messages exposed to any window, each counted once.
    pub exposed: u64,
    /// The most offsets between the group's commits and the ends of its logs, of all looks during the run; none
    /// if nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seen_max: Option<u64>,
    /// In the order given.
    pub windows: Vec<WindowTimes>,
}

impl Times {
    /// Until acks and processing had resumed after every heal; none without a healed fault.
    #[must_use]
    pub fn resumed_within(&self) -> Option<Span> {
        let resumptions = self.windows.iter().map(|window| &window.resumption);
        resumptions.flat_map(|resumed| [resumed.acks, resumed.processing]).flatten().reduce(Span::longest)
    }

    /// Until the cluster had recovered after every heal; none without a healed fault.
    #[must_use]
    pub fn recovered_within(&self) -> Option<Span> {
        self.windows.iter().filter_map(|window| window.recovery).reduce(Span::longest)
    }

    /// The longest time without an ack that overlaps any window.
    #[must_use]
    pub fn unavailable_in_faults(&self) -> Option<Span> {
        self.windows.iter().filter_map(|window| window.unavailable).reduce(Span::longest)
    }
}
