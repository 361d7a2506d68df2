//! How long the messages of one stream waited until they or a later one were acknowledged.

use super::{PacedStream, Span, Window};

/// A time without an ack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) ns: u64,
    /// Messages that came due in it.
    pub(super) waited: u64,
}

#[derive(Debug)]
pub(super) struct Waits {
    /// All sequences below wait no more: they or a later one were acknowledged.
    covered: u64,
    longest_ns: u64,
    /// The longest that overlaps each window.
    during: Vec<Option<Stretch>>,
}

impl Waits {
    pub(super) fn new(windows: usize) -> Self {
        Self { covered: 0, longest_ns: 0, during: vec![None; windows] }
    }

    pub(super) const fn covered(&self) -> u64 {
        self.covered
    }

    /// An ack ends the wait of a sequence and of all below it. Of those that still waited, the first
    /// was due first.
    pub(super) fn acked(&mut self, sequence: u64, at_ns: u64, stream: &PacedStream, windows: &[Window]) {
        if sequence < self.covered {
            return;
        }
        let first = std::mem::replace(&mut self.covered, sequence + 1);
        let since_ns = stream.intended_ns(first);
        let ns = at_ns.saturating_sub(since_ns);
        self.longest_ns = self.longest_ns.max(ns);
        for (during, window) in self.during.iter_mut().zip(windows) {
            if during.is_none_or(|longest| ns > longest.ns) && window.overlaps(since_ns, at_ns) {
                *during = Some(Stretch { ns, waited: stream.due_by(at_ns).saturating_sub(first) });
            }
        }
    }

    /// The unavailability of a stream of which something was offered, and that in each window. Until
    /// `last_try_ns`, anyone tried to send what still waits.
    pub(super) fn finish(
        &self,
        stream: &PacedStream,
        windows: &[Window],
        last_try_ns: u64,
    ) -> (Span, Vec<Option<(Span, u64)>>) {
        let since_ns = stream.intended_ns(self.covered);
        let open = (self.covered < stream.offered).then(|| Stretch {
            ns: last_try_ns.saturating_sub(since_ns),
            waited: stream.due_by(last_try_ns).saturating_sub(self.covered),
        });
        // Of two equally long ones, the first counts.
        let longest = |closed: Option<Stretch>, open: Option<Stretch>| {
            let spans = closed.map(|s| Span::closed(s.ns)).into_iter().chain(open.map(|s| Span::open(s.ns)));
            let longer = closed.into_iter().chain(open).reduce(|one, two| if two.ns > one.ns { two } else { one });
            Some((spans.reduce(Span::longest)?, longer?.waited))
        };
        let during = self
            .during
            .iter()
            .zip(windows)
            .map(|(closed, window)| longest(*closed, open.filter(|_| window.overlaps(since_ns, last_try_ns))));
        let whole = Span::closed(self.longest_ns);
        (open.map_or(whole, |open| whole.longest(Span::open(open.ns))), during.collect())
    }
}
