//! When the messages of one stream were reported last: what was on its way in a window, and until
//! when anyone tried.

use super::sequences::Sequences;
use super::{PacedStream, Window};

#[derive(Debug)]
pub(super) struct Reports {
    /// Sequences with a report, or never taken by the client.
    seen: Sequences,
    /// For each window that affects the stream and was called by now: sequences that were never
    /// taken or of which the last report so far came before the call.
    before: Vec<Option<Sequences>>,
    /// The earliest call of a window that affects the stream and is yet to come.
    next_call_ns: u64,
    /// The latest call that has passed.
    last_call_ns: u64,
    /// Sequences that wait, downwards, and their last reports, upwards: each is the latest among
    /// those of itself and of all above it.
    latest: Vec<(u64, u64)>,
}

impl Reports {
    pub(super) fn new(partition: i32, windows: &[Window]) -> Self {
        let mut reports = Self {
            seen: Sequences::default(),
            before: vec![None; windows.len()],
            next_call_ns: 0,
            last_call_ns: 0,
            latest: Vec::new(),
        };
        reports.next_call_ns = reports.next_call(partition, windows);
        reports
    }

    /// A sequence was reported. `covered`: all below wait no more.
    pub(super) fn reported(
        &mut self,
        sequence: u64,
        at_ns: u64,
        covered: u64,
        stream: &PacedStream,
        windows: &[Window],
    ) {
        if at_ns >= self.next_call_ns {
            self.pass_calls(at_ns, stream.id.partition, windows);
        }
        let new = self.seen.insert(sequence);
        if !new || at_ns < self.last_call_ns {
            for (before, window) in self.before.iter_mut().zip(windows) {
                match before {
                    // Sent again, and so on its way again.
                    Some(before) if !new && at_ns >= window.called_ns => before.remove(sequence),
                    // A clock that went back.
                    Some(before) if new && at_ns < window.called_ns => drop(before.insert(sequence)),
                    _ => {}
                }
            }
        }
        if sequence >= covered {
            self.note_latest(sequence, at_ns);
        }
    }

    /// The client did not take a sequence: it was on its way at no time, unless it was or will be sent
    /// again.
    pub(super) fn never_taken(&mut self, sequence: u64) {
        if self.seen.insert(sequence) {
            for before in self.before.iter_mut().flatten() {
                before.insert(sequence);
            }
        }
    }

    /// All sequences below wait no more.
    pub(super) fn cover(&mut self, covered: u64) {
        while self.latest.last().is_some_and(|(sequence, _)| *sequence < covered) {
            self.latest.pop();
        }
    }

    /// Until when anyone tried to send the sequences from `covered` on: the end of the observation if a
    /// report of one is outstanding, else the last report.
    pub(super) fn last_try_ns(&self, covered: u64, stream: &PacedStream, end_ns: u64) -> u64 {
        let intended_ns = stream.intended_ns(stream.offered.saturating_sub(1));
        let reported_ns = self.latest.last().map_or(0, |(_, at_ns)| *at_ns);
        let outstanding = self.seen.count(covered..stream.offered) < stream.offered.saturating_sub(covered);
        intended_ns.max(reported_ns).max(if outstanding { end_ns } else { 0 })
    }

    /// Messages exposed to each window, and to any.
    pub(super) fn exposure(&self, stream: &PacedStream, windows: &[Window]) -> (Vec<u64>, u64) {
        // Of the sequences due before a window's end, those that were reported before its call.
        let mut scopes = Vec::new();
        let mut each = Vec::with_capacity(windows.len());
        for (before, window) in self.before.iter().zip(windows) {
            let due = if window.affects(stream.id.partition) { stream.due_by(window.end_ns()) } else { 0 };
            let before = before.as_ref().unwrap_or(&self.seen);
            each.push(due - before.count(0..due));
            scopes.push((due, window.called_ns, before));
        }
        // What was reported before a call was so before all later ones: in each range of sequences,
        // the window called first decides.
        scopes.sort_unstable_by_key(|(due, called_ns, _)| (*due, *called_ns));
        let (mut any, mut from) = (0, 0);
        for index in 0..scopes.len() {
            let until = scopes[index].0;
            if let Some((_, _, before)) = scopes[index..].iter().min_by_key(|(_, called_ns, _)| *called_ns) {
                any += (until - from) - before.count(from..until);
            }
            from = until;
        }
        (each, any)
    }

    fn next_call(&self, partition: i32, windows: &[Window]) -> u64 {
        let to_come = self.before.iter().zip(windows).filter(|(before, w)| before.is_none() && w.affects(partition));
        to_come.map(|(_, window)| window.called_ns).min().unwrap_or(u64::MAX)
    }

    fn pass_calls(&mut self, at_ns: u64, partition: i32, windows: &[Window]) {
        for (before, window) in self.before.iter_mut().zip(windows) {
            if before.is_none() && window.affects(partition) && at_ns >= window.called_ns {
                *before = Some(self.seen.clone());
                self.last_call_ns = self.last_call_ns.max(window.called_ns);
            }
        }
        self.next_call_ns = self.next_call(partition, windows);
    }

    fn note_latest(&mut self, sequence: u64, at_ns: u64) {
        // Those of later sequences come first. In order of time, all others are outdone.
        let later = self.latest.iter().rposition(|(other, _)| *other > sequence).map_or(0, |index| index + 1);
        let outdone = self.latest[later..].iter().take_while(|(_, earlier_ns)| *earlier_ns <= at_ns).count();
        let outdoes = |(other, other_ns): &(u64, u64)| *other >= sequence && *other_ns >= at_ns;
        let next = later + outdone;
        if !self.latest[..later].last().is_some_and(outdoes) && !self.latest[next..].first().is_some_and(outdoes) {
            self.latest.splice(later..next, [(sequence, at_ns)]);
        }
    }
}
