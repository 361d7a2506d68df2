//! Between the passes: what the log holds and does not show, and what has left it.

use super::image::{CORRUPT, Cell, Cursor, FENCE};
use super::marks::Mark;
use super::partition::Hidden;
use super::planes::PRESENT;
use super::state::State;

pub(super) fn resolve(state: &mut State) {
    for partition in 0..state.partitions.len() {
        if state.partitions[partition].has_second_pass {
            resolve_hidden(state, partition);
        }
        resolve_compacted(state, partition);
    }
}

/// Records of the log that the second pass did not show.
fn resolve_hidden(state: &mut State, partition: usize) {
    let log = std::mem::take(&mut state.partitions[partition].log);
    let mut visible = Cursor::default();
    for run in log.runs().filter(|run| !matches!(run.author, FENCE | CORRUPT)) {
        for offset in run.first..=run.last {
            let cell = Cell { author: run.author, sequence: run.sequence_at(offset) };
            let p = &mut state.partitions[partition];
            if p.visible.at(&mut visible, offset).is_some() {
                continue;
            }
            let Some(hidden) = p.hides(offset) else {
                continue;
            };
            let Some(found) = state.sequence_of(partition, cell) else {
                continue;
            };
            let p = &mut state.partitions[partition];
            match hidden {
                Hidden::Aborted => p.counts.aborted_records += 1,
                Hidden::Open => state.copy(partition, offset, cell, found, true),
                Hidden::Unknown => {
                    state.streams[found.stream].mark(Mark::Doubtful, cell.sequence, found.place);
                }
            }
        }
    }
    state.partitions[partition].log = log;
}

/// On a compacted topic: what the tail reader saw and the log has no more. Compaction leaves the
/// offset of what it removes empty, and a later record of the key behind.
fn resolve_compacted(state: &mut State, partition: usize) {
    let p = &mut state.partitions[partition];
    if !p.is_compacted() {
        return;
    }
    let log = std::mem::take(&mut p.log);
    let visible = std::mem::take(&mut p.visible);
    let image = if p.has_second_pass { &visible } else { &log };
    for run in image.runs() {
        for offset in run.first..=run.last {
            let cell = Cell { author: run.author, sequence: run.sequence_at(offset) };
            if state.sequence_of(partition, cell).is_some() {
                let p = &mut state.partitions[partition];
                if let Some(key) = p.key(cell.sequence) {
                    let latest = p.latest.entry(key).or_insert(offset);
                    *latest = offset.max(*latest);
                }
            }
        }
    }

    let p = &mut state.partitions[partition];
    let tailed = std::mem::take(&mut p.tailed);
    let again = std::mem::take(&mut p.tailed_again);
    let records = tailed.runs().flat_map(|run| {
        (run.first..=run.last)
            .map(move |offset| (offset, Cell { author: run.author, sequence: run.sequence_at(offset) }))
    });
    let mut at = Cursor::default();
    for (offset, cell) in records.chain(again) {
        let Some(found) = state.sequence_of(partition, cell) else {
            continue;
        };
        // Most of it is still there.
        if state.streams[found.stream].planes.has(found.place, PRESENT) {
            continue;
        }
        let p = &state.partitions[partition];
        let superseded = p.may_have_compacted_at(cell.sequence, offset) && log.at(&mut at, offset).is_none();
        let mark = if superseded { Mark::Compacted } else { Mark::NotCompacted };
        state.streams[found.stream].mark(mark, cell.sequence, found.place);
    }
    let p = &mut state.partitions[partition];
    (p.log, p.visible) = (log, visible);
}
