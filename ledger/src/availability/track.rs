//! What is followed of one stream, and the first moments after each window.

use super::latency::{AckLatencies, Latencies};
use super::pending::Pending;
use super::reports::Reports;
use super::sequences::Sequences;
use super::waits::Waits;
use super::{PacedStream, Span, Window};
use crate::category::Told;
use crate::record::TxnOutcome;

/// First moments after a window's heal and recovery; `u64::MAX` for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Firsts {
    pub(super) healed: u64,
    pub(super) recovered: u64,
}

impl Firsts {
    pub(super) const NONE: Self = Self { healed: u64::MAX, recovered: u64::MAX };

    pub(super) fn note(&mut self, at_ns: u64, window: &Window) {
        if window.healed_ns.is_some_and(|healed| at_ns >= healed) {
            self.healed = self.healed.min(at_ns);
        }
        if window.recovered_ns.is_some_and(|recovered| at_ns >= recovered) {
            self.recovered = self.recovered.min(at_ns);
        }
    }
}

#[derive(Debug)]
pub(super) struct Track {
    pub(super) stream: PacedStream,
    /// A report OK with acks=0 was among them.
    unconfirmed: bool,
    acked: Sequences,
    processed: Sequences,
    reports: Reports,
    waits: Waits,
    txn: Pending,
    pub(super) after: Vec<Firsts>,
}

/// How long a stream was unavailable; and in each window, with the messages that waited.
pub(super) type Unavailability = (Span, Vec<Option<(Span, u64)>>);

impl Track {
    pub(super) fn new(stream: &PacedStream, windows: &[Window]) -> Self {
        Self {
            stream: stream.clone(),
            unconfirmed: false,
            acked: Sequences::default(),
            processed: Sequences::default(),
            reports: Reports::new(stream.id.partition, windows),
            waits: Waits::new(windows.len()),
            txn: Pending::default(),
            after: vec![Firsts::NONE; windows.len()],
        }
    }

    /// Whether its acks say anything.
    pub(super) const fn confirms(&self) -> bool {
        !self.unconfirmed && self.stream.offered > 0
    }

    /// A report of a sequence that was offered.
    pub(super) fn told(
        &mut self,
        sequence: u64,
        told: Told,
        in_txn: bool,
        at_ns: u64,
        windows: &[Window],
        latencies: &mut AckLatencies,
    ) {
        self.unconfirmed |= told == Told::Unconfirmed;
        match (told, in_txn) {
            (Told::Unsent, _) => self.reports.never_taken(sequence),
            (Told::Acked, true) => self.txn.acked.push(sequence),
            (_, true) => self.txn.others.push(sequence),
            (Told::Acked, false) => self.acked(sequence, at_ns, windows, latencies),
            (_, false) => self.reported(sequence, at_ns, windows),
        }
    }

    /// The end of the transaction that the reports since the last one belong to.
    pub(super) fn txn_ended(
        &mut self,
        outcome: TxnOutcome,
        at_ns: u64,
        windows: &[Window],
        latencies: &mut AckLatencies,
    ) {
        let Pending { acked, others } = std::mem::take(&mut self.txn);
        for sequence in others {
            self.reported(sequence, at_ns, windows);
        }
        for sequence in acked {
            match outcome {
                TxnOutcome::Committed => self.acked(sequence, at_ns, windows, latencies),
                TxnOutcome::Aborted | TxnOutcome::Unknown => self.reported(sequence, at_ns, windows),
            }
        }
    }

    /// A transaction left open by a producer process is not heard of any more.
    pub(super) fn journal_ended(&mut self) {
        self.txn = Pending::default();
    }

    /// A member processed a sequence that was offered.
    pub(super) fn processed(&mut self, sequence: u64, at_ns: u64, latencies: &mut Latencies) {
        if self.processed.insert(sequence) {
            latencies.record(at_ns.saturating_sub(self.stream.intended_ns(sequence)));
        }
    }

    /// Messages exposed to each window, and to any.
    pub(super) fn exposure(&self, windows: &[Window]) -> (Vec<u64>, u64) {
        self.reports.exposure(&self.stream, windows)
    }

    /// None for acks=0 or if nothing was offered.
    pub(super) fn unavailability(&self, windows: &[Window], end_ns: u64) -> Option<Unavailability> {
        self.confirms().then(|| {
            let last_try_ns = self.reports.last_try_ns(self.waits.covered(), &self.stream, end_ns);
            self.waits.finish(&self.stream, windows, last_try_ns)
        })
    }

    fn reported(&mut self, sequence: u64, at_ns: u64, windows: &[Window]) {
        self.reports.reported(sequence, at_ns, self.waits.covered(), &self.stream, windows);
    }

    fn acked(&mut self, sequence: u64, at_ns: u64, windows: &[Window], latencies: &mut AckLatencies) {
        self.waits.acked(sequence, at_ns, &self.stream, windows);
        self.reports.cover(self.waits.covered());
        self.reported(sequence, at_ns, windows);
        if self.acked.insert(sequence) {
            latencies.record(self.stream.intended_ns(sequence), at_ns, windows);
        }
        for (firsts, window) in self.after.iter_mut().zip(windows) {
            firsts.note(at_ns, window);
        }
    }
}
