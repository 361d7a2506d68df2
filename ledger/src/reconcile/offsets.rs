//! What lies at each offset of a partition, and who processed what there. Paged, so that a log may
//! start anywhere and an absurd offset costs one page.

use std::collections::BTreeMap;

/// Number of a sequence among all of a profile.
pub(super) type Slot = u32;

/// Slots below this are sequences, the others the marks below.
pub(super) const SLOTS: Slot = Slot::MAX - 7;
/// Nothing known here.
pub(super) const NOTHING: Slot = Slot::MAX;
/// The audit's fence.
pub(super) const FENCE: Slot = Slot::MAX - 1;
/// A damaged record.
pub(super) const CORRUPT: Slot = Slot::MAX - 2;
/// A record that was never offered.
pub(super) const PHANTOM: Slot = Slot::MAX - 3;

const PAGE: u64 = 1024;

/// One offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// What the audit read here.
    pub audited: Slot,
    /// What a member last processed here; foreign records as `PHANTOM`.
    pub processed: Slot,
    /// Application attempt of `audited`.
    pub attempt: u16,
}

const EMPTY: Cell = Cell { audited: NOTHING, processed: NOTHING, attempt: 0 };

/// All offsets of a partition. Negative ones, which no broker gives to a record, come after all
/// others.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    pages: BTreeMap<u64, Box<[Cell]>>,
}

impl Offsets {
    pub fn get(&self, offset: i64) -> Cell {
        let (page, index) = place(offset);
        self.pages.get(&page).map_or(EMPTY, |cells| cells[index])
    }

    pub fn get_mut(&mut self, offset: i64) -> &mut Cell {
        let (page, index) = place(offset);
        let cells = self.pages.entry(page).or_insert_with(|| vec![EMPTY; PAGE as usize].into_boxed_slice());
        &mut cells[index]
    }

    /// Data records that the audit read strictly between two offsets, fences apart.
    pub fn records_between(&self, low: i64, high: i64) -> u64 {
        let low = low.max(-1);
        // Nearly every record is polled right after the one before it.
        if high <= low.saturating_add(1) {
            return 0;
        }
        let (first_page, first) = place(low + 1);
        let (last_page, end) = place(high);
        self.pages
            .range(first_page..=last_page)
            .map(|(page, cells)| {
                let from = if *page == first_page { first } else { 0 };
                let to = if *page == last_page { end } else { cells.len() };
                cells[from..to].iter().filter(|cell| !matches!(cell.audited, NOTHING | FENCE)).count() as u64
            })
            .sum()
    }
}

const fn place(offset: i64) -> (u64, usize) {
    let offset = offset.cast_unsigned();
    (offset / PAGE, (offset % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_records_strictly_between_are_counted() {
        let mut offsets = Offsets::default();
        for offset in [10, 11, 12, 2000, 5000] {
            offsets.get_mut(offset).audited = 1;
        }
        offsets.get_mut(13).audited = FENCE;
        offsets.get_mut(14).processed = 1;
        offsets.get_mut(15).audited = CORRUPT;
        assert_eq!(offsets.records_between(10, 12), 1);
        assert_eq!(offsets.records_between(10, 16), 3);
        assert_eq!(offsets.records_between(10, 5000), 4);
        assert_eq!(offsets.records_between(0, 5001), 6);
        assert_eq!(offsets.records_between(12, 12), 0);
        assert_eq!(offsets.records_between(12, 3), 0);
        assert_eq!(offsets.records_between(-7, 11), 1);
        assert_eq!(offsets.records_between(-7, -2), 0);
    }

    #[test]
    fn an_absurd_offset_costs_one_page() {
        let mut offsets = Offsets::default();
        offsets.get_mut(i64::MAX).audited = 3;
        assert_eq!(offsets.pages.len(), 1);
        assert_eq!(offsets.get(i64::MAX).audited, 3);
        assert_eq!(offsets.get(0), EMPTY);
    }
}
