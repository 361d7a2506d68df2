//! The authors of a partition's records, by number: all that an identity says besides the sequence.

use std::collections::HashMap;

use super::image::{AuthorNumber, FIRST_AUTHOR};
use crate::record::Identity;

/// Index of a stream in the state.
pub(super) type StreamIndex = u32;

/// An identity without its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub run: u64,
    pub producer: u16,
    pub incarnation: u16,
    pub partition: i32,
    pub attempt: u16,
}

impl Who {
    #[inline]
    pub const fn of(identity: &Identity) -> Self {
        let Identity { run, producer, incarnation, partition, sequence: _, attempt } = *identity;
        Self { run, producer, incarnation, partition, attempt }
    }

    /// Equality without a branch for each word: nearly all that are compared are equal.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        let different = (self.run ^ other.run)
            | u64::from(self.producer ^ other.producer)
            | u64::from(self.incarnation ^ other.incarnation)
            | u64::from((self.partition ^ other.partition).cast_unsigned())
            | u64::from(self.attempt ^ other.attempt);
        different == 0
    }

    /// Mixes what mostly differs.
    #[inline]
    const fn recent_place(&self) -> usize {
        (self.producer ^ self.incarnation << 2 ^ self.attempt << 4) as usize % RECENT
    }
}

/// One that wrote to the partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Author {
    pub who: Who,
    /// The streams that its sequences may belong to, the likelier first.
    pub streams: [Option<Claim>; 2],
}

/// A stream that an author's sequences may belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub stream: StreamIndex,
    /// Index into [`Authors::highest`].
    pub highest: u32,
}

const RECENT: usize = 64;

/// All authors of a partition.
#[derive(Debug)]
pub(super) struct Authors {
    known: Vec<Author>,
    numbers: HashMap<Who, AuthorNumber>,
    /// Authors seen lately, by a mix of their words.
    recent: [AuthorNumber; RECENT],
    /// The highest sequence in the log so far, by stream and incarnation of its producer.
    pub highest: Vec<Option<u64>>,
    highest_of: HashMap<(StreamIndex, u16), u32>,
}

impl Default for Authors {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            numbers: HashMap::new(),
            recent: [AuthorNumber::MAX; RECENT],
            highest: Vec::new(),
            highest_of: HashMap::new(),
        }
    }
}

impl Authors {
    /// The author's number. For a new one, `streams` tells what its sequences may belong to.
    #[inline]
    pub fn number(
        &mut self,
        identity: &Identity,
        streams: impl FnOnce(&Who) -> [Option<StreamIndex>; 2],
    ) -> AuthorNumber {
        let who = Who::of(identity);
        let recent = self.recent[who.recent_place()];
        if self.get(recent).is_some_and(|author| author.who == who) {
            return recent;
        }
        self.look_up(who, streams)
    }

    #[cold]
    fn look_up(&mut self, who: Who, streams: impl FnOnce(&Who) -> [Option<StreamIndex>; 2]) -> AuthorNumber {
        let number = match self.numbers.get(&who) {
            Some(number) => *number,
            None => self.add(who, streams(&who)),
        };
        self.recent[who.recent_place()] = number;
        number
    }

    fn add(&mut self, who: Who, streams: [Option<StreamIndex>; 2]) -> AuthorNumber {
        let streams = streams.map(|stream| {
            let stream = stream?;
            let highest = *self.highest_of.entry((stream, who.incarnation)).or_insert_with(|| {
                self.highest.push(None);
                self.highest.len() as u32 - 1
            });
            Some(Claim { stream, highest })
        });
        let number = FIRST_AUTHOR + self.known.len() as AuthorNumber;
        self.known.push(Author { who, streams });
        self.numbers.insert(who, number);
        number
    }

    /// The author of that number; none for a fence or a damaged record.
    #[inline]
    pub fn get(&self, number: AuthorNumber) -> Option<&Author> {
        self.known.get(number.checked_sub(FIRST_AUTHOR)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_the_same_only_if_all_their_words_are() {
        let who = Who { run: 7, producer: 3, incarnation: 5, partition: 6, attempt: 9 };
        assert!(who.is(&who));
        // Each word by the same difference, alone and with each other.
        let words: [fn(&mut Who); 5] = [
            |who| who.run ^= 16,
            |who| who.producer ^= 16,
            |who| who.incarnation ^= 16,
            |who| who.partition ^= 16,
            |who| who.attempt ^= 16,
        ];
        for (at, change) in words.iter().enumerate() {
            let mut one = who;
            change(&mut one);
            assert!(!who.is(&one) && !one.is(&who), "{one:?}");
            for other in &words[at + 1..] {
                let mut two = one;
                other(&mut two);
                assert!(!who.is(&two), "{two:?}");
            }
        }
    }
}
