//! Latencies in histograms of constant relative precision.

use hdrhistogram::Histogram;

use super::{Latency, Window};

/// Latencies above a day are counted as a day.
const LATENCY_LIMIT_US: u64 = 24 * 3_600 * 1_000_000;

/// The latencies of one kind, in about 230 KB however many they are.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    /// # Panics
    /// Never: the histogram's bounds and precision are valid constants.
    pub(super) fn new() -> Self {
        // Fixed bounds: `saturating_record` clamps to them, and never resizes.
        Self(
            Histogram::new_with_bounds(1, LATENCY_LIMIT_US, 3)
                .expect("these bounds and 3 significant digits are supported"),
        )
    }

    pub(super) fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns / 1_000);
    }

    /// None if there are none.
    pub(super) fn summary(&self) -> Option<Latency> {
        let ms = |us: u64| us as f64 / 1_000.0;
        (!self.0.is_empty()).then(|| Latency {
            p50: ms(self.0.value_at_quantile(0.5)),
            p99: ms(self.0.value_at_quantile(0.99)),
            p999: ms(self.0.value_at_quantile(0.999)),
            max: ms(self.0.max()),
        })
    }
}

/// Latencies of first acks: of all, of those outside every window, and of those in each.
#[derive(Debug)]
pub(super) struct AckLatencies {
    pub(super) all: Latencies,
    pub(super) quiet: Latencies,
    pub(super) during: Vec<Latencies>,
}

impl AckLatencies {
    pub(super) fn new(windows: usize) -> Self {
        Self {
            all: Latencies::new(),
            quiet: Latencies::new(),
            during: std::iter::repeat_with(Latencies::new).take(windows).collect(),
        }
    }

    /// Takes a message's first ack.
    pub(super) fn record(&mut self, intended_ns: u64, at_ns: u64, windows: &[Window]) {
        let ns = at_ns.saturating_sub(intended_ns);
        self.all.record(ns);
        let mut quiet = true;
        for (during, window) in self.during.iter_mut().zip(windows) {
            if window.overlaps(intended_ns, at_ns) {
                during.record(ns);
                quiet = false;
            }
        }
        if quiet {
            self.quiet.record(ns);
        }
    }
}
