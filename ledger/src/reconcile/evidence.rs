//! What is known of all sequences of a stream alike, by how well the logs were read that may hold
//! them.

use super::marks::Mark;
use super::partition::PartitionState;
use super::{ANY_PARTITION, StreamId};
use crate::category::InLog;

#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// All logs that may hold a sequence were read from their starts to their fences.
    read: bool,
    /// What lay below their starts was read, too.
    covered: bool,
    /// Nobody knows where the group is, so that all copies may yet be read.
    pub all_ahead: bool,
    /// Those that are compacted.
    pub compacted: Vec<&'a PartitionState>,
}

/// Whether there is such a partition, and not only streams whose messages may lie in any.
pub(super) const fn is_real(p: &PartitionState) -> bool {
    p.named || p.partition != ANY_PARTITION
}

impl<'a> Evidence<'a> {
    pub fn of(stream: StreamId, partitions: &'a [PartitionState]) -> Self {
        let any = stream.partition == ANY_PARTITION;
        let mut evidence = Self { read: true, covered: true, all_ahead: false, compacted: Vec::new() };
        let mut logs = 0;
        for p in partitions.iter().filter(|p| if any { is_real(p) } else { p.partition == stream.partition }) {
            logs += 1;
            evidence.read &= p.is_read();
            evidence.covered &= p.start_is_covered();
            // Elsewhere each copy was marked.
            evidence.all_ahead = !any && p.position.is_none() && !p.has_second_pass;
            if p.is_compacted() {
                evidence.compacted.push(p);
            }
        }
        evidence.read &= logs > 0;
        evidence
    }

    /// Is a sequence in the log?
    pub fn in_log(&self, sequence: u64, present: bool, is: impl Fn(Mark) -> bool) -> InLog {
        if present {
            InLog::Present
        } else if !self.read || is(Mark::Doubtful) {
            InLog::Unreadable
        } else if is(Mark::Expired) {
            InLog::Expired
        } else if is(Mark::Compacted) {
            InLog::Compacted
        } else if self.covered && (is(Mark::NotCompacted) || !self.may_have_compacted(sequence)) {
            InLog::Absent
        } else {
            InLog::Unreadable
        }
    }

    /// Whether compaction may have removed a sequence before anyone saw it.
    fn may_have_compacted(&self, sequence: u64) -> bool {
        self.compacted.iter().any(|p| p.may_have_compacted(sequence))
    }
}
