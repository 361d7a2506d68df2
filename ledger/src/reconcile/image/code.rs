//! Runs as bytes.
//!
//! A run that begins where the one before ended, and continues the sequences of an author that is
//! among the last sixteen, is one byte: author's place and length. Otherwise a byte says what
//! differs, and variable-length numbers follow. Each block can be read alone: it begins with no
//! known author.
//!
//! ```text
//! 0ssss lll             author at place s, length l; 0: a length - 1 follows
//! 1gqn ssss             then [gap], [author, sequence] or [difference of sequence], length - 1
//!  g: offsets were left out   q: the sequence is another   n: the author is new, now at place s
//! ```

use super::{AuthorNumber, Run};

const PLACES: usize = 16;
const NEW_AUTHOR: u8 = 1 << 4;
const OTHER_SEQUENCE: u8 = 1 << 5;
const GAP: u8 = 1 << 6;
const LONG_FORM: u8 = 1 << 7;
const SHORT_LENGTH_MAX: u64 = 7;

/// What the coded runs of a block have led up to, for the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Coder {
    /// The offset after the last run.
    offset: i64,
    /// Authors, and the sequence that each would continue with.
    places: [(AuthorNumber, u64); PLACES],
    /// Places in use.
    used: usize,
    /// The place that a new author takes once all are in use.
    oldest: usize,
}

impl Coder {
    /// At the start of a block whose first run begins at an offset.
    pub fn new(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }

    pub fn encode(&mut self, bytes: &mut Vec<u8>, run: &Run) {
        let gap = run.first.wrapping_sub(self.offset).cast_unsigned();
        let known = self.places[..self.used].iter().position(|(author, _)| *author == run.author);
        let place = known.unwrap_or_else(|| self.free_place());
        let change = run.sequence.wrapping_sub(self.places[place].1);
        if gap == 0 && change == 0 && known.is_some() {
            let length = run.more().saturating_add(1);
            if length <= SHORT_LENGTH_MAX {
                bytes.push((place as u8) << 3 | length as u8);
            } else {
                bytes.push((place as u8) << 3);
                put_number(bytes, run.more());
            }
        } else {
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            bytes.push(
                LONG_FORM
                    | flag(gap != 0, GAP)
                    | flag(known.is_none(), NEW_AUTHOR)
                    | flag(known.is_some() && change != 0, OTHER_SEQUENCE)
                    | place as u8,
            );
            if gap != 0 {
                put_number(bytes, gap);
            }
            if known.is_none() {
                put_number(bytes, u64::from(run.author));
                put_number(bytes, run.sequence);
            } else if change != 0 {
                put_number(bytes, zigzag(change));
            }
            put_number(bytes, run.more());
        }
        self.advance(place, run);
    }

    pub fn decode(&mut self, bytes: &[u8], at: &mut usize) -> Run {
        let head = bytes[*at];
        *at += 1;
        let mut first = self.offset;
        let place;
        let (author, sequence, more);
        if head & LONG_FORM == 0 {
            place = usize::from(head >> 3);
            (author, sequence) = self.places[place];
            more = match u64::from(head) & SHORT_LENGTH_MAX {
                0 => number(bytes, at),
                length => length - 1,
            };
        } else {
            place = usize::from(head) % PLACES;
            if head & GAP != 0 {
                first = first.wrapping_add(number(bytes, at).cast_signed());
            }
            if head & NEW_AUTHOR != 0 {
                author = number(bytes, at) as AuthorNumber;
                sequence = number(bytes, at);
            } else {
                let known = self.places[place];
                author = known.0;
                let change = if head & OTHER_SEQUENCE != 0 { unzigzag(number(bytes, at)) } else { 0 };
                sequence = known.1.wrapping_add(change);
            }
            more = number(bytes, at);
        }
        let run = Run { first, last: first.wrapping_add(more.cast_signed()), author, sequence };
        self.advance(place, &run);
        run
    }

    fn free_place(&mut self) -> usize {
        if self.used < PLACES {
            self.used += 1;
            self.used - 1
        } else {
            self.oldest = (self.oldest + 1) % PLACES;
            self.oldest
        }
    }

    const fn advance(&mut self, place: usize, run: &Run) {
        self.places[place] = (run.author, run.next_sequence());
        self.offset = run.last.wrapping_add(1);
    }
}

/// Small differences in either direction as small numbers.
const fn zigzag(change: u64) -> u64 {
    let change = change.cast_signed();
    (change << 1 ^ change >> 63).cast_unsigned()
}

const fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(bytes: &[u8], at: &mut usize) -> u64 {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}
