//! Latencies in histograms of constant relative precision.

use hdrhistogram::Histogram;

use super::{Latency, Window};

/// Of latencies above a day, only the longest is known as it is.
const LIMIT_US: u64 = 24 * 3_600 * 1_000_000;

/// The latencies of one kind, in about 230 KB however many they are.
#[derive(Debug)]
pub(super) struct Latencies {
    us: Histogram<u64>,
    max_us: u64,
}

impl Latencies {
    /// # Panics
    /// Never: the histogram's bounds and precision are valid constants.
    pub(super) fn new() -> Self {
        // Fixed bounds: `saturating_record` clamps to them, and never resizes.
        let us =
            Histogram::new_with_bounds(1, LIMIT_US, 3).expect("these bounds and 3 significant digits are supported");
        Self { us, max_us: 0 }
    }

    pub(super) fn record(&mut self, ns: u64) {
        let us = ns / 1_000;
        self.us.saturating_record(us);
        self.max_us = self.max_us.max(us);
    }

    /// None if there are none.
    pub(super) fn summary(&self) -> Option<Latency> {
        let ms = |us: u64| us as f64 / 1_000.0;
        // The upper end of what the histogram cannot tell apart, but never above the longest.
        let at = |quantile| ms(self.us.value_at_quantile(quantile).min(self.max_us));
        (!self.us.is_empty()).then(|| Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: ms(self.max_us) })
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
