//! From findings about single sequences to ranges.

use super::result::LISTED_MAX;
use super::{Anomaly, Finding, Flag, StreamId};
use crate::category::Category;

const CATEGORIES: usize = Category::ALL.len();
const FINDINGS: usize = CATEGORIES + Flag::ALL.len();

/// Ranges of a whole profile.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub listed: Vec<Anomaly>,
    pub omitted: u64,
    by_finding: [usize; FINDINGS],
}

impl Findings {
    fn add(&mut self, stream: StreamId, finding: usize, (first, last): (u64, u64)) {
        if self.by_finding[finding] < LISTED_MAX {
            self.by_finding[finding] += 1;
            let finding = match finding.checked_sub(CATEGORIES) {
                Some(flag) => Finding::Flag(Flag::ALL[flag]),
                None => Finding::Category(Category::ALL[finding]),
            };
            self.listed.push(Anomaly { stream, first, last, finding });
        } else {
            self.omitted += 1;
        }
    }
}

/// Joins consecutive sequences of one stream with the same finding.
pub(super) struct Ranges<'a> {
    stream: StreamId,
    findings: &'a mut Findings,
    /// First and last sequence.
    open: [Option<(u64, u64)>; FINDINGS],
}

/// Findings about 64 sequences, one bit each.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: [u64; FINDINGS],
}

impl Words {
    /// Notes a category that is remarkable.
    pub const fn category(&mut self, category: Category, bits: u64) {
        if !matches!(category, Category::Delivered) {
            self.words[category as usize] |= bits;
        }
    }

    pub const fn flag(&mut self, flag: Flag, bits: u64) {
        self.words[CATEGORIES + flag as usize] |= bits;
    }
}

impl<'a> Ranges<'a> {
    pub const fn new(stream: StreamId, findings: &'a mut Findings) -> Self {
        Self { stream, findings, open: [None; FINDINGS] }
    }

    /// Takes the findings about the 64 sequences from `base` on. Bases must ascend.
    pub fn add(&mut self, base: u64, words: &Words) {
        for (finding, word) in words.words.iter().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let start = rest.trailing_zeros();
                let length = (rest >> start).trailing_ones();
                self.stretch(finding, base + u64::from(start), base + u64::from(start + length - 1));
                let end = start + length;
                rest = if end < 64 { rest >> end << end } else { 0 };
            }
        }
    }

    fn stretch(&mut self, finding: usize, first: u64, last: u64) {
        match &mut self.open[finding] {
            Some(range) if range.1 + 1 == first => range.1 = last,
            Some(range) => {
                let ended = std::mem::replace(range, (first, last));
                self.findings.add(self.stream, finding, ended);
            }
            open => *open = Some((first, last)),
        }
    }

    pub fn finish(self) {
        for (finding, range) in self.open.into_iter().enumerate() {
            if let Some(range) = range {
                self.findings.add(self.stream, finding, range);
            }
        }
    }
}
