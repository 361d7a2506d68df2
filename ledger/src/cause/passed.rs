//! What the members of a group did about ranges that lie in the log and that nobody processed.

use std::collections::BTreeMap;

use super::history::History;
use crate::reconcile::{Process, StreamId};
use crate::record::Record;

/// A range by its stream and first sequence.
type Key = (StreamId, u64);

/// What the members did about one range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Consumed {
    /// Records of it that were handed out, and to whom first.
    pub polled: u64,
    pub polled_by: Option<Process>,
    /// Records that were processed at its offsets: others than its own, which nobody processed.
    pub others: u64,
    /// The first accepted commit beyond it.
    pub commit: Option<Commit>,
    /// The first jump over it: when, by whom, and to which offset.
    pub skip: Option<(u64, Process, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    pub at_ns: u64,
    pub process: Process,
    pub offset: i64,
    /// The member had given the partition up before.
    pub leaving: bool,
}

/// All such ranges of a profile.
pub(super) struct Passed<'a> {
    history: &'a History,
    /// Lowest and highest offset of each range, as the audit finds them.
    places: BTreeMap<Key, (i64, i64)>,
    /// The same by partition, sorted by their lowest offset, once the audit is through.
    ranges: BTreeMap<i32, Vec<Range>>,
    members: BTreeMap<(Process, i32), Member>,
}

struct Range {
    key: Key,
    low: i64,
    high: i64,
    /// Highest offset of this range and all before it: those before can be left out of a search beyond it.
    reach: i64,
    consumed: Consumed,
}

/// Where a member is in a partition.
#[derive(Default)]
struct Member {
    last: Option<i64>,
    left: bool,
}

impl<'a> Passed<'a> {
    pub const fn new(history: &'a History) -> Self {
        Self { history, places: BTreeMap::new(), ranges: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// The audit found a record of a range.
    pub fn found(&mut self, key: Key, offset: i64) {
        let place = self.places.entry(key).or_insert((offset, offset));
        *place = (place.0.min(offset), place.1.max(offset));
    }

    /// Takes an entry of a member's journal. The audit's all come before.
    pub fn record(&mut self, process: Process, record: &Record) {
        if !self.places.is_empty() {
            self.sort();
        }
        if self.ranges.is_empty() {
            return;
        }
        match *record {
            Record::Assigned { partition, .. } => {
                self.members.insert((process, partition), Member::default());
            }
            Record::Revoked { partition, .. } => {
                self.members.insert((process, partition), Member { last: None, left: true });
            }
            Record::Polled { partition, offset, at_ns } => {
                let at_ns = self.history.since_start(at_ns);
                let last = self.members.entry((process, partition)).or_default().last.replace(offset);
                for range in self.ranges_at(partition, offset) {
                    range.consumed.polled += 1;
                    range.consumed.polled_by.get_or_insert(process);
                }
                let ranges = self.ranges.get_mut(&partition).map(Vec::as_mut_slice).unwrap_or_default();
                if let Some(last) = last.filter(|last| *last + 1 < offset) {
                    let from = ranges.partition_point(|range| range.low <= last);
                    for range in ranges[from..].iter_mut().take_while(|range| range.low < offset) {
                        let earlier = range.consumed.skip.is_some_and(|(first, ..)| first <= at_ns);
                        if range.high < offset && !earlier {
                            range.consumed.skip = Some((at_ns, process, offset));
                        }
                    }
                }
            }
            Record::Processed { partition, offset, .. } => {
                for range in self.ranges_at(partition, offset) {
                    range.consumed.others += 1;
                }
            }
            Record::Committed { partition, offset, ok: true, at_ns } => {
                let at_ns = self.history.since_start(at_ns);
                let leaving = self.members.get(&(process, partition)).is_some_and(|member| member.left);
                for range in self.ranges.get_mut(&partition).into_iter().flatten() {
                    let earlier = range.consumed.commit.is_some_and(|first| first.at_ns <= at_ns);
                    if range.high < offset && !earlier {
                        range.consumed.commit = Some(Commit { at_ns, process, offset, leaving });
                    }
                }
            }
            _ => {}
        }
    }

    fn ranges_at(&mut self, partition: i32, offset: i64) -> impl Iterator<Item = &mut Range> {
        let ranges = self.ranges.get_mut(&partition).map(Vec::as_mut_slice).unwrap_or_default();
        let until = ranges.partition_point(|range| range.low <= offset);
        let before = ranges[..until].iter_mut().rev().take_while(move |range| range.reach >= offset);
        before.filter(move |range| range.high >= offset)
    }

    fn sort(&mut self) {
        for (key, (low, high)) in std::mem::take(&mut self.places) {
            let range = Range { key, low, high, reach: high, consumed: Consumed::default() };
            self.ranges.entry(key.0.partition).or_default().push(range);
        }
        for ranges in self.ranges.values_mut() {
            ranges.sort_unstable_by_key(|range| (range.low, range.high));
            let mut reach = i64::MIN;
            for range in ranges {
                reach = reach.max(range.high);
                range.reach = reach;
            }
        }
    }

    /// What was done about each range that the audit found.
    pub fn finish(self) -> BTreeMap<Key, Consumed> {
        self.ranges.into_values().flatten().map(|range| (range.key, range.consumed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId { producer: 0, partition: 3 };
    const PROCESS: Process = Process { member: 1, incarnation: 0 };

    fn after(records: &[Record]) -> Consumed {
        let history = History::default();
        let mut passed = Passed::new(&history);
        for offset in 10..20 {
            passed.found((STREAM, 100), offset);
        }
        for record in records {
            passed.record(PROCESS, record);
        }
        passed.finish().get(&(STREAM, 100)).copied().unwrap_or_default()
    }

    const fn polled(offset: i64) -> Record {
        Record::Polled { partition: 3, offset, at_ns: 1_000 + offset.cast_unsigned() }
    }

    #[test]
    fn what_was_handed_out_is_counted_and_what_was_jumped_over_is_not() {
        let consumed = after(&[polled(9), polled(10), polled(11), polled(25)]);
        assert_eq!((consumed.polled, consumed.polled_by, consumed.skip), (2, Some(PROCESS), None));
        let consumed = after(&[polled(9), polled(25), polled(26)]);
        assert_eq!((consumed.polled, consumed.skip), (0, Some((1025, PROCESS, 25))));
        let given_anew = Record::Assigned { partition: 3, at_ns: 7 };
        assert_eq!(after(&[polled(9), given_anew, polled(25)]).skip, None);
        let processed = |offset| Record::Processed { partition: 3, offset, identity: None, at_ns: 2_000 };
        let consumed =
            after(&[polled(9), processed(9), polled(10), processed(10), polled(11), polled(20), processed(20)]);
        assert_eq!((consumed.polled, consumed.others), (2, 1));
        let other = Record::Polled { partition: 2, offset: 15, at_ns: 1 };
        assert_eq!(after(&[other]), Consumed::default());
    }

    #[test]
    fn the_first_accepted_commit_beyond_it_counts() {
        let commit = |offset, ok, at_ns| Record::Committed { partition: 3, offset, ok, at_ns };
        let consumed = after(&[commit(19, true, 1), commit(20, false, 2), commit(20, true, 3), commit(30, true, 4)]);
        assert_eq!(consumed.commit, Some(Commit { at_ns: 3, process: PROCESS, offset: 20, leaving: false }));
        let left = Record::Revoked { partition: 3, at_ns: 2 };
        assert!(after(&[left, commit(20, true, 3)]).commit.unwrap().leaving);
    }
}
