//! A set of sequences: a bit each where some of a page are in it, and next to nothing where all or
//! none are.

use std::collections::BTreeMap;
use std::ops::Range;

const WORDS: usize = 64;
const PAGE: u64 = WORDS as u64 * 64;

/// Sequences of one stream. Grows by pages of what is put in, wherever that lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequences {
    pages: BTreeMap<u64, Page>,
    /// The page changed last, taken out of `pages`: most changes lie close together.
    hot: Option<(u64, Box<Bits>)>,
}

#[derive(Debug, Clone)]
enum Page {
    Full,
    Partial(Box<Bits>),
}

#[derive(Debug, Clone)]
struct Bits {
    words: [u64; WORDS],
    count: u64,
}

impl Bits {
    const NONE: Self = Self { words: [0; WORDS], count: 0 };
    const ALL: Self = Self { words: [u64::MAX; WORDS], count: PAGE };

    fn insert(&mut self, at: u64) -> bool {
        let (word, bit) = (&mut self.words[(at / 64) as usize], 1 << (at % 64));
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    fn remove(&mut self, at: u64) {
        let (word, bit) = (&mut self.words[(at / 64) as usize], 1 << (at % 64));
        self.count -= u64::from(*word & bit != 0);
        *word &= !bit;
    }

    /// How many lie in a part of the page.
    fn count(&self, part: &Range<u64>) -> u64 {
        if *part == (0..PAGE) {
            return self.count;
        }
        (0..)
            .zip(&self.words)
            .map(|(index, word)| {
                // Bits of this word that lie in the part.
                let from = part.start.saturating_sub(index * 64).min(64);
                let until = part.end.saturating_sub(index * 64).min(64);
                let below = |bits: u64| if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                u64::from((word & below(until) & !below(from)).count_ones())
            })
            .sum()
    }
}

impl Sequences {
    /// Puts a sequence in; whether it was not there yet.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        let number = sequence / PAGE;
        if self.hot.as_ref().is_none_or(|(hot, _)| *hot != number) {
            let page = match self.pages.get(&number) {
                Some(Page::Full) => return false,
                _ => self.take(number),
            };
            self.put_back();
            self.hot = Some((number, page));
        }
        self.hot.as_mut().is_some_and(|(_, page)| page.insert(sequence % PAGE))
    }

    /// Takes a sequence out, if it is in.
    pub(super) fn remove(&mut self, sequence: u64) {
        let number = sequence / PAGE;
        self.put_back();
        let mut page = self.take(number);
        page.remove(sequence % PAGE);
        self.hot = Some((number, page));
    }

    /// How many there are in a range.
    pub(super) fn count(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let part = |number: u64| {
            let first = number * PAGE;
            range.start.saturating_sub(first).min(PAGE)..(range.end - first).min(PAGE)
        };
        let numbers = range.start / PAGE..=(range.end - 1) / PAGE;
        let hot = self.hot.iter().filter(|(number, _)| numbers.contains(number));
        let hot: u64 = hot.map(|(number, page)| page.count(&part(*number))).sum();
        let others = self.pages.range(numbers.clone()).map(|(number, page)| {
            let part = part(*number);
            match page {
                Page::Full => part.end - part.start,
                Page::Partial(bits) => bits.count(&part),
            }
        });
        hot + others.sum::<u64>()
    }

    /// A page, to be changed.
    fn take(&mut self, number: u64) -> Box<Bits> {
        match self.pages.remove(&number) {
            None => Box::new(Bits::NONE),
            Some(Page::Full) => Box::new(Bits::ALL),
            Some(Page::Partial(bits)) => bits,
        }
    }

    fn put_back(&mut self) {
        match self.hot.take() {
            Some((number, page)) if page.count == PAGE => drop(self.pages.insert(number, Page::Full)),
            Some((number, page)) if page.count > 0 => drop(self.pages.insert(number, Page::Partial(page))),
            _ => {}
        }
    }

    /// Pages that cost a bit for each of their sequences.
    #[cfg(test)]
    fn partial_pages(&self) -> usize {
        let partial = self.pages.values().filter(|page| matches!(page, Page::Partial(_))).count();
        partial + usize::from(self.hot.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_full_costs_no_bits() {
        let mut set = Sequences::default();
        for sequence in 0..100 * PAGE {
            assert!(set.insert(sequence));
            assert!(!set.insert(sequence));
        }
        assert_eq!(set.partial_pages(), 1);
        assert!(!set.insert(5), "a page that is full");
        assert_eq!(set.count(0..u64::MAX), 100 * PAGE);
        assert_eq!(set.count(10..PAGE + 10), PAGE);
    }

    #[test]
    fn what_lies_far_apart_costs_a_page_each() {
        let mut set = Sequences::default();
        for sequence in [u64::MAX - 1, 0, 1 << 40] {
            assert!(set.insert(sequence));
        }
        assert_eq!(set.partial_pages(), 3);
        assert_eq!(set.count(0..u64::MAX), 3);
        assert_eq!(set.count(1..1 << 40), 0);
    }

    #[derive(Debug, Clone)]
    enum Change {
        Insert(u64),
        InsertAll(Range<u64>),
        Remove(u64),
    }

    fn change() -> impl Strategy<Value = Change> {
        let sequence = 0..4 * PAGE;
        prop_oneof![
            4 => sequence.clone().prop_map(Change::Insert),
            2 => (sequence.clone(), 0..2 * PAGE).prop_map(|(from, len)| Change::InsertAll(from..from + len)),
            3 => sequence.prop_map(Change::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set(
            changes in proptest::collection::vec(change(), 0..40),
            ranges in proptest::collection::vec((0..7 * PAGE, 0..7 * PAGE), 8),
        ) {
            let (mut set, mut plain) = (Sequences::default(), BTreeSet::new());
            for change in changes {
                match change {
                    Change::Insert(n) => prop_assert_eq!(set.insert(n), plain.insert(n)),
                    Change::InsertAll(range) => for n in range {
                        prop_assert_eq!(set.insert(n), plain.insert(n));
                    }
                    Change::Remove(n) => {
                        set.remove(n);
                        plain.remove(&n);
                    }
                }
            }
            for (from, until) in ranges {
                let wanted = if from < until { plain.range(from..until).count() } else { 0 };
                prop_assert_eq!(set.count(from..until), wanted as u64);
                prop_assert_eq!(set.clone().count(from..until), wanted as u64);
            }
        }
    }
}
