//! What is known of every sequence of a stream, as bits: 64 sequences a group, the words of a group
//! side by side in memory. What is rare is kept elsewhere and announced by one bit.

use super::Offered;
use crate::category::Told;

/// Words of a group. The first three are the digits of the best that was told, plus one; 0 for
/// nothing.
pub(super) const PLANES: usize = 6;
/// A copy lies in the log.
pub(super) const PRESENT: usize = 3;
/// The sequence has one visible copy, and a member processed that.
pub(super) const PROCESSED: usize = 4;
/// One of the [`super::marks::Mark`]s is set.
pub(super) const MARKED: usize = 5;

/// 64 sequences, one word a plane.
pub(super) type Group = [u64; PLANES];

/// Where the bits of a sequence lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    group: usize,
    bit: u64,
}

/// The bits of one stream.
#[derive(Debug)]
pub(super) struct Planes {
    groups: Vec<Group>,
    members: Members,
}

#[derive(Debug)]
enum Members {
    /// All sequences below.
    Below(u64),
    /// For each group, in ascending order, its number (sequence / 64) and which of it was offered.
    These {
        groups: Vec<(u64, u64)>,
        /// The group found last: the next sequence mostly lies there.
        last: usize,
    },
}

impl Planes {
    pub fn new(offered: &Offered) -> Self {
        match offered {
            // Zeroed by the kernel, and so not there before it is used.
            Offered::Below(next) => {
                Self { groups: vec![[0; PLANES]; next.div_ceil(64) as usize], members: Members::Below(*next) }
            }
            Offered::These(sequences) => {
                let mut groups: Vec<(u64, u64)> = Vec::new();
                for sequence in sequences {
                    match groups.last_mut() {
                        Some((number, mask)) if *number == sequence / 64 => *mask |= 1 << (sequence % 64),
                        _ => groups.push((sequence / 64, 1 << (sequence % 64))),
                    }
                }
                Self { groups: vec![[0; PLANES]; groups.len()], members: Members::These { groups, last: 0 } }
            }
        }
    }

    /// Where a sequence's bits lie; none if it was not offered.
    #[inline]
    pub fn place(&mut self, sequence: u64) -> Option<Place> {
        let bit = 1 << (sequence % 64);
        match &mut self.members {
            Members::Below(next) => (sequence < *next).then_some(Place { group: (sequence / 64) as usize, bit }),
            Members::These { groups, last } => {
                let number = sequence / 64;
                if groups.get(*last).is_none_or(|known| known.0 != number) {
                    *last = groups.binary_search_by_key(&number, |known| known.0).ok()?;
                }
                (groups[*last].1 & bit != 0).then_some(Place { group: *last, bit })
            }
        }
    }

    /// All sequences below this were offered.
    pub const fn dense_below(&self) -> u64 {
        match self.members {
            Members::Below(next) => next,
            Members::These { .. } => 0,
        }
    }

    /// Tells consecutive sequences below `dense_below` as acknowledged, which is the best there is.
    pub fn acknowledge(&mut self, first: u64, len: u64) {
        for (index, mask) in words(first, len) {
            set_digits(&mut self.groups[index], mask, Told::Acked);
        }
    }

    /// How many of consecutive sequences below `dense_below`, from the first on, have none of some bits.
    pub fn without(&self, first: u64, len: u64, planes: &[usize]) -> u64 {
        let mut plain = 0;
        for (index, mask) in words(first, len) {
            let set = planes.iter().fold(0, |set, plane| set | self.groups[index][*plane]) & mask;
            if set != 0 {
                return plain + u64::from((mask & ((set & set.wrapping_neg()) - 1)).count_ones());
            }
            plain += u64::from(mask.count_ones());
        }
        plain
    }

    /// Sets a bit of consecutive sequences below `dense_below`.
    pub fn set_all(&mut self, first: u64, len: u64, plane: usize) {
        for (index, mask) in words(first, len) {
            self.groups[index][plane] |= mask;
        }
    }

    #[inline]
    pub fn has(&self, place: Place, plane: usize) -> bool {
        self.groups[place.group][plane] & place.bit != 0
    }

    /// Sets a bit; whether it was set before.
    #[inline]
    pub fn set(&mut self, place: Place, plane: usize) -> bool {
        let word = &mut self.groups[place.group][plane];
        let before = *word & place.bit != 0;
        *word |= place.bit;
        before
    }

    /// Keeps the best that was told.
    #[inline]
    pub fn tell(&mut self, place: Place, told: Told) {
        let group = &mut self.groups[place.group];
        if told as usize + 1 > digits(group, place.bit) {
            set_digits(group, place.bit, told);
        }
    }

    /// All groups in ascending order: the first sequence of each, which of its 64 were offered, and
    /// its words.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u64, &Group)> {
        self.groups.iter().enumerate().map(|(index, group)| {
            let (number, offered) = match &self.members {
                Members::Below(next) => {
                    let rest = next - index as u64 * 64;
                    (index as u64, if rest < 64 { (1 << rest) - 1 } else { u64::MAX })
                }
                Members::These { groups, .. } => groups[index],
            };
            (number * 64, offered, group)
        })
    }
}

/// The groups of consecutive sequences, each with the bits that they have in it.
fn words(first: u64, len: u64) -> impl Iterator<Item = (usize, u64)> {
    let end = first + len;
    let groups = if len == 0 { 0..0 } else { first / 64..end.div_ceil(64) };
    groups.map(move |number| {
        let from = first.saturating_sub(number * 64);
        let beyond = (number * 64 + 64).saturating_sub(end);
        (number as usize, u64::MAX << from & u64::MAX >> beyond)
    })
}

#[inline]
fn set_digits(group: &mut Group, mask: u64, told: Told) {
    for (digit, word) in group[..PRESENT].iter_mut().enumerate() {
        if (told as usize + 1) >> digit & 1 == 1 {
            *word |= mask;
        } else {
            *word &= !mask;
        }
    }
}

#[inline]
fn digits(group: &Group, bit: u64) -> usize {
    let digit = |word: u64| usize::from(word & bit != 0);
    digit(group[0]) + 2 * digit(group[1]) + 4 * digit(group[2])
}

/// The best that was told of the sequence of one bit.
pub(super) fn told(group: &Group, bit: u64) -> Option<Told> {
    Some(match digits(group, bit) {
        1 => Told::Unsent,
        2 => Told::Failed,
        3 => Told::Indeterminate,
        4 => Told::Unconfirmed,
        5 => Told::Acked,
        _ => return None,
    })
}
