//! A place in a log image, from which later offsets are found quickly.

use super::code::Coder;
use super::{LogImage, Run};

/// A place among the coded runs of one image. It stays good while runs are added.
#[derive(Debug, Default)]
pub(in crate::reconcile) struct Cursor {
    block: usize,
    /// The next byte within the block.
    at: usize,
    coder: Coder,
    /// The run read last.
    run: Option<Run>,
    /// Data records before that run; without one, before the next.
    data_before: u64,
    /// Offsets up to this lie before the run.
    passed: Option<i64>,
}

impl Cursor {
    /// The run in which an offset lies, if the cursor stands there.
    #[inline]
    pub(super) fn here(&self, offset: i64) -> Option<Run> {
        self.run.filter(|run| run.holds(offset))
    }

    /// Goes to the first coded run that ends at or after an offset, if there is one.
    pub(super) fn seek(&mut self, image: &LogImage, offset: i64) -> bool {
        if self.passed.is_some_and(|passed| offset <= passed) {
            self.enter(image, block_of(image, offset));
        }
        self.jump(image, offset);
        loop {
            if self.run.is_some_and(|run| offset <= run.last) {
                return true;
            }
            if self.next(image).is_none() {
                return false;
            }
        }
    }

    /// Leaves out the blocks before the one that an offset ahead lies in.
    fn jump(&mut self, image: &LogImage, offset: i64) {
        let next = self.block + 1;
        let is_behind_run = self.run.is_none_or(|run| run.last < offset);
        if is_behind_run && next < image.blocks() && image.block(next).0 <= offset {
            self.enter(image, block_of(image, offset));
        }
    }

    /// Data records below an offset that the run found last ends at or after.
    pub(super) fn data_below(&self, offset: i64) -> u64 {
        self.data_before + self.run.map_or(0, |run| run.data_below(offset))
    }

    /// Goes on to the next coded run.
    pub(super) fn next(&mut self, image: &LogImage) -> Option<Run> {
        if let Some(run) = self.run.take() {
            self.data_before += run.data();
            self.passed = Some(run.last);
        }
        let (mut first, _, mut bytes) = image.block(self.block);
        if self.at == bytes.len() && self.at > 0 {
            if self.block + 1 >= image.blocks() {
                return None;
            }
            self.block += 1;
            self.at = 0;
            (first, _, bytes) = image.block(self.block);
        }
        if bytes.is_empty() {
            return None;
        }
        if self.at == 0 {
            self.coder = Coder::new(first);
        }
        self.run = Some(self.coder.decode(bytes, &mut self.at));
        self.run
    }

    /// Goes to the start of a block.
    fn enter(&mut self, image: &LogImage, block: usize) {
        let (first, data_before, _) = image.block(block);
        *self = Self { block, data_before, passed: first.checked_sub(1), ..Self::default() };
    }
}

/// The last block that begins at or before an offset; the first if none does.
fn block_of(image: &LogImage, offset: i64) -> usize {
    if image.blocks() > image.blocks.len() && image.first <= offset {
        return image.blocks.len();
    }
    image.blocks.partition_point(|block| block.first <= offset).saturating_sub(1)
}
