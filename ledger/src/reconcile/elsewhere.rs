//! Which records were processed that are not the one visible copy of a sequence: truncated since,
//! of an aborted transaction, one of several copies, foreign, or in a log that was not read.

use std::collections::BTreeMap;

use super::image::{AuthorNumber, Cell};

/// A set of (offset, author, sequence).
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Stretches in which offset and sequence of one author ascend together: by author, difference
    /// between the two, and first offset; with the last offset.
    stretches: BTreeMap<(AuthorNumber, u64, i64), i64>,
}

impl Elsewhere {
    /// Whether it is new.
    pub fn insert(&mut self, offset: i64, cell: Cell) -> bool {
        let difference = cell.sequence.wrapping_sub(offset.cast_unsigned());
        let key = |first| (cell.author, difference, first);
        if let Some((_, last)) = self.stretches.range_mut(key(i64::MIN)..=key(offset)).next_back() {
            if offset <= *last {
                return false;
            }
            if last.checked_add(1) == Some(offset) {
                *last = offset;
                return true;
            }
        }
        self.stretches.insert(key(offset), offset);
        true
    }
}
