//! Gap detection, as a consumer does it that knows nothing but the sequence numbers of its messages; and
//! how good it was, by the whole truth.
//!
//! What comes after a gap gives it away. So nothing tells of what is missing at a stream's end, nor of what
//! is missing before the first message that a detector sees; and what is only late is taken for lost.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::reconcile::StreamId;
use crate::record::Identity;

/// Folder of alarms in a run directory: for each detector `CLIENT.jsonl`, an alarm a line.
pub const FOLDER: &str = "gaps";

/// What a detector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alarm", rename_all = "snake_case")]
pub enum Alarm {
    /// A later message came before these.
    Gap {
        /// Their stream.
        #[serde(flatten)]
        stream: StreamId,
        /// The first that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// One that was missing came after all.
    Late {
        /// Its stream.
        #[serde(flatten)]
        stream: StreamId,
        /// Which.
        sequence: u64,
    },
}

/// Keeps the next sequence that it expects of each stream, and what is missing before.
#[derive(Debug, Default)]
pub struct Detector {
    streams: BTreeMap<StreamId, Expected>,
}

#[derive(Debug, Default)]
struct Expected {
    next: u64,
    /// First and last of each gap that is open.
    gaps: BTreeMap<u64, u64>,
}

impl Detector {
    /// Takes in a message. A stream's first one tells nothing of what was before it.
    pub fn see(&mut self, message: &Identity) -> Option<Alarm> {
        let stream = StreamId { producer: message.producer, partition: message.partition };
        let sequence = message.sequence;
        let expected = self.streams.entry(stream).or_insert_with(|| Expected { next: sequence, gaps: BTreeMap::new() });
        if sequence < expected.next {
            return expected.fill(sequence).then_some(Alarm::Late { stream, sequence });
        }
        let first = expected.next;
        expected.next = sequence + 1;
        if first == sequence {
            return None;
        }
        expected.gaps.insert(first, sequence - 1);
        Some(Alarm::Gap { stream, first, last: sequence - 1 })
    }
}

impl Expected {
    /// Whether a sequence was missing, which it is no more.
    fn fill(&mut self, sequence: u64) -> bool {
        let gap = self.gaps.range(..=sequence).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = gap.filter(|(_, last)| sequence <= *last) else {
            return false;
        };
        self.gaps.remove(&first);
        if first < sequence {
            self.gaps.insert(first, sequence - 1);
        }
        if sequence < last {
            self.gaps.insert(sequence + 1, last);
        }
        true
    }
}

/// How good the alarms of a profile were, in sequences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Lost, and said to be missing to the end.
    pub found: u64,
    /// Lost, and not said to be missing.
    pub missed: u64,
    /// Of these, those after which nothing of their stream was offered that was not lost too.
    pub missed_at_end: u64,
    /// Said to be missing to the end, and not lost: put aside by the producer, or with the group in another way.
    pub false_alarms: u64,
    /// Said to be missing, and late.
    pub withdrawn: u64,
}

/// Compares the alarms of all detectors of a profile with what was lost: ranges of sequences, first and last.
/// `offered` is the number of sequences of each stream. What one detector says is missing is not missing if
/// another has seen it come late.
#[must_use]
pub fn score<'a>(
    alarms: impl IntoIterator<Item = &'a Alarm>,
    lost: impl IntoIterator<Item = (StreamId, u64, u64)>,
    offered: &BTreeMap<StreamId, u64>,
) -> Score {
    let mut missing: BTreeSet<(StreamId, u64)> = BTreeSet::new();
    let mut late = BTreeSet::new();
    for alarm in alarms {
        match *alarm {
            Alarm::Gap { stream, first, last } => missing.extend((first..=last).map(|sequence| (stream, sequence))),
            Alarm::Late { stream, sequence } => drop(late.insert((stream, sequence))),
        }
    }
    let withdrawn = late.intersection(&missing).count() as u64;
    missing.retain(|one| !late.contains(one));
    let lost: BTreeSet<(StreamId, u64)> =
        lost.into_iter().flat_map(|(stream, first, last)| (first..=last).map(move |one| (stream, one))).collect();
    let found = lost.intersection(&missing).count() as u64;
    let at_end = |stream: StreamId, offered: u64| {
        let lost_at_end = (0..offered).rev().take_while(|sequence| lost.contains(&(stream, *sequence)));
        lost_at_end.filter(|sequence| !missing.contains(&(stream, *sequence))).count() as u64
    };
    Score {
        found,
        missed: lost.len() as u64 - found,
        missed_at_end: offered.iter().map(|(stream, offered)| at_end(*stream, *offered)).sum(),
        false_alarms: missing.len() as u64 - found,
        withdrawn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: StreamId = StreamId { producer: 1, partition: 2 };

    fn see(detector: &mut Detector, sequences: impl IntoIterator<Item = u64>) -> Vec<Alarm> {
        let message = |sequence| Identity { run: 0, producer: 1, incarnation: 0, partition: 2, sequence, attempt: 0 };
        sequences.into_iter().filter_map(|sequence| detector.see(&message(sequence))).collect()
    }

    fn gap(first: u64, last: u64) -> Alarm {
        Alarm::Gap { stream: STREAM, first, last }
    }

    fn late(sequence: u64) -> Alarm {
        Alarm::Late { stream: STREAM, sequence }
    }

    #[test]
    fn what_comes_after_a_gap_gives_it_away() {
        let mut detector = Detector::default();
        assert_eq!(see(&mut detector, 0..5), []);
        assert_eq!(see(&mut detector, [9, 9, 3, 10]), [gap(5, 8)]);
        assert_eq!(see(&mut detector, [6, 6, 8, 5, 7, 4]), [late(6), late(8), late(5), late(7)]);
        assert_eq!(see(&mut detector, [11, 13]), [gap(12, 12)]);
    }

    #[test]
    fn a_detector_that_begins_later_knows_nothing_of_what_was_before() {
        assert_eq!(see(&mut Detector::default(), [100, 101, 99]), []);
    }

    #[test]
    fn streams_are_told_apart() {
        let mut detector = Detector::default();
        let message =
            |partition, sequence| Identity { run: 0, producer: 1, incarnation: 0, partition, sequence, attempt: 0 };
        for (partition, sequence) in [(0, 0), (1, 5), (0, 1), (1, 6)] {
            assert_eq!(detector.see(&message(partition, sequence)), None);
        }
    }

    #[test]
    fn alarms_are_scored_by_the_truth() {
        let alarms = [gap(5, 8), late(6), gap(20, 24)];
        let lost = [(STREAM, 3, 5), (STREAM, 20, 21), (STREAM, 97, 99)];
        let offered = BTreeMap::from([(STREAM, 100)]);
        let found = Score { found: 3, missed: 5, missed_at_end: 3, false_alarms: 5, withdrawn: 1 };
        assert_eq!(score(&alarms, lost, &offered), found);
        assert_eq!(score(&[], [], &offered), Score::default());
    }

    #[test]
    fn an_alarm_reads_back() {
        for alarm in [gap(5, 8), late(6)] {
            let json = serde_json::to_string(&alarm).unwrap();
            assert_eq!(serde_json::from_str::<Alarm>(&json).unwrap(), alarm, "{json}");
        }
    }

    proptest! {
        /// A detector that sees all that is left, in order, finds what lies between its first and its last.
        #[test]
        fn gaps_in_order_are_all_found(lost in proptest::collection::btree_set(0_u64..60, 0..50)) {
            let seen: Vec<u64> = (0..60).filter(|sequence| !lost.contains(sequence)).collect();
            let alarms = see(&mut Detector::default(), seen.iter().copied());
            let score = score(&alarms, lost.iter().map(|one| (STREAM, *one, *one)), &BTreeMap::from([(STREAM, 60)]));
            let between = lost.iter().filter(|one| seen[0] < **one && **one < seen[seen.len() - 1]).count() as u64;
            prop_assert_eq!((score.found, score.false_alarms, score.withdrawn), (between, 0, 0));
            prop_assert_eq!(score.missed_at_end, 59 - seen[seen.len() - 1]);
            prop_assert_eq!(score.missed, lost.len() as u64 - between);
        }

        /// What is only late or repeated is said to be missing by nobody at the end.
        #[test]
        fn what_is_late_is_withdrawn(mut order in Just((0_u64..40).collect::<Vec<_>>()).prop_shuffle()) {
            let first = order.iter().position(|sequence| *sequence == 0).unwrap();
            order.swap(0, first);
            order.push(17);
            let alarms = see(&mut Detector::default(), order);
            let score = score(&alarms, [], &BTreeMap::from([(STREAM, 40)]));
            prop_assert_eq!((score.found, score.missed, score.false_alarms), (0, 0, 0));
        }
    }
}
