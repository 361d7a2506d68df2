//! One stream: its sequences' bits, and the marks of the few that are special.

use std::collections::HashSet;

use super::marks::{MARKS, Mark, Marks};
use super::planes::{MARKED, PRESENT, Place, Planes};
use super::{Offered, Stream, StreamId};

#[derive(Debug)]
pub(super) struct StreamState {
    pub id: StreamId,
    /// How many sequences were offered.
    pub offered: u64,
    pub planes: Planes,
    pub marks: [Marks; MARKS],
    /// Application attempts after the first that lie in the log.
    later_attempts: HashSet<(u64, u16)>,
}

/// What a copy has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// The sequence was in the log already.
    pub again: bool,
    /// So was this attempt.
    pub duplicate: bool,
}

impl StreamState {
    pub fn new(stream: &Stream) -> Self {
        Self {
            id: stream.id,
            offered: offered(&stream.offered),
            planes: Planes::new(&stream.offered),
            marks: std::array::from_fn(|_| Marks::default()),
            later_attempts: HashSet::new(),
        }
    }

    pub fn mark(&mut self, mark: Mark, sequence: u64, place: Place) {
        self.planes.set(place, MARKED);
        self.marks[mark as usize].insert(sequence);
    }

    #[inline]
    pub fn is_marked(&self, mark: Mark, sequence: u64, place: Place) -> bool {
        self.planes.has(place, MARKED) && self.marks[mark as usize].contains(sequence)
    }

    /// Takes in that a copy lies in the log.
    #[inline]
    pub fn copy(&mut self, sequence: u64, place: Place, attempt: u16) -> Copy {
        let again = self.planes.set(place, PRESENT);
        if !again && attempt == 0 {
            return Copy { again, duplicate: false };
        }
        self.special_copy(sequence, place, attempt, again)
    }

    #[cold]
    fn special_copy(&mut self, sequence: u64, place: Place, attempt: u16, again: bool) -> Copy {
        if again {
            self.mark(Mark::Several, sequence, place);
        }
        let duplicate = if attempt == 0 {
            // Its first copy was another attempt's, or of this one.
            !self.marks[Mark::LateOnly as usize].remove(sequence)
        } else {
            if !again {
                self.mark(Mark::LateOnly, sequence, place);
            }
            !self.later_attempts.insert((sequence, attempt))
        };
        if duplicate {
            self.mark(Mark::Duplicate, sequence, place);
        }
        Copy { again, duplicate }
    }

    /// Whether that attempt lies in the log.
    pub fn has_attempt(&self, sequence: u64, place: Place, attempt: u16) -> bool {
        match attempt {
            0 => self.planes.has(place, PRESENT) && !self.is_marked(Mark::LateOnly, sequence, place),
            _ => self.later_attempts.contains(&(sequence, attempt)),
        }
    }
}

/// How many.
pub(super) fn offered(offered: &Offered) -> u64 {
    match offered {
        Offered::Below(next) => *next,
        Offered::These(sequences) => sequences.len(),
    }
}
