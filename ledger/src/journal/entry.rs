//! One record as bytes: a tag, and what the entries before it in the block do not tell.
//!
//! The tag's low three bits name the kind, the others are flags. What follows, by kind and in this
//! order; in brackets what the flags leave out:
//!
//! | kind | flags (bits) | fields |
//! |---|---|---|
//! | 0 told | 3-5 told, 6 offset there, 7 in line | \[sequence, offset\], time |
//! | 1 polled | 6 in line, 7 same partition | \[partition\], \[offset\], time |
//! | 2 processed | 3-5 form, 6 in line, 7 same partition | \[partition\], identity, \[offset, sequence\], time |
//! | 3 committed | 3 ok, 6 in line, 7 same partition | \[partition\], \[offset\], time |
//! | 4 audited | 3-5 form, 6 in line, 7 same partition | \[partition\], identity, \[offset, sequence\] |
//! | 5 tailed | 3-5 form, 6 in line, 7 same partition | \[partition\], identity, \[offset, sequence\], time |
//! | 6 other | 3-5 which, 7 same partition | \[partition\], the fields of which |
//! | 7 told in full | 3-5 told, 6 offset there, 7 in line | partition, attempt, error, broker, in_txn, \[sequence, offset\], time |
//!
//! Numbers are varints (`varint.rs`), but in_txn, places, outcomes and isolation levels are bytes.
//! Sequences and offsets are differences to the next one expected, zigzag; *in line* means that both
//! are as expected. Times are differences to the entry before, in microseconds, zigzag. A partition
//! without *same partition* is zigzag, like errors, brokers and epochs, where -1 stands for none.
//!
//! *Told*: what it does not say is as in the one before, with attempt 0 and no error. *Form*: 0 no
//! message (of the audit: corrupt), 1 the audit's fence, 2 the partition's source of the one before, 3
//! another source known, by its number, 4 a new source: run (XOR the journal's own), producer,
//! incarnation, partition, attempt. A source is an identity without its sequence, numbered as it came
//! up in the partition; the 65th takes the number of the first, and so on.
//!
//! *Other*: 0 assigned (time), 1 revoked (time), 2 fence seen (offset, time), 3 transaction ended
//! (outcome, time), 4 held (place in the low bits and form above them, identity, sequence, time), 5
//! pass: no record, but for the audited entries after it the attempt, isolation level and leader epoch.
//! Its tag has bit 7 set.
//!
//! Expected next are: for told, the sequence and offset after the one told before; for polled, audited
//! and tailed, the offset after the one read before; for processed, after the one processed before;
//! committed is what is expected to be processed next, fence seen to be read; an identity's sequence
//! that after its source's before. All of it is by partition, and starts anew with each block: with
//! partition 0, no broker, no transaction, zeros, the first pass under read_uncommitted without an
//! epoch, and one source in each partition: the journal's run and zeros in that partition.

use super::varint::MAX_BYTES;

/// No entry is longer, in bytes: an `audited` of a new pass and source.
pub(super) const MAX_ENTRY_BYTES: usize = 64;
/// Entries that are committed at once, at most.
pub(super) const MAX_TOGETHER: usize = 2;
/// The most that a writer killed at work leaves behind the last entry that counts, in bytes.
pub(super) const MAX_TORN_BYTES: usize = MAX_TOGETHER * MAX_ENTRY_BYTES;

/// Tag, attempt, isolation, epoch.
const PASS_BYTES: usize = 1 + 3 + 1 + 5;
/// Run, producer, incarnation, partition, attempt.
const SOURCE_BYTES: usize = MAX_BYTES + 3 + 3 + 5 + 3;
const _: () = assert!(PASS_BYTES + 1 + 5 + SOURCE_BYTES + 2 * MAX_BYTES <= MAX_ENTRY_BYTES, "audited");
const _: () = assert!(1 + 5 + SOURCE_BYTES + 3 * MAX_BYTES <= MAX_ENTRY_BYTES, "processed, tailed, held");
const _: () = assert!(1 + 5 + 3 + 5 + 5 + 1 + 3 * MAX_BYTES <= MAX_ENTRY_BYTES, "told in full");

pub(super) const KIND: u8 = 0b111;
pub(super) const TOLD: u8 = 0;
pub(super) const POLLED: u8 = 1;
pub(super) const PROCESSED: u8 = 2;
pub(super) const COMMITTED: u8 = 3;
pub(super) const AUDITED: u8 = 4;
pub(super) const TAILED: u8 = 5;
pub(super) const OTHER: u8 = 6;
pub(super) const TOLD_IN_FULL: u8 = 7;

pub(super) const ASSIGNED: u8 = 0;
pub(super) const REVOKED: u8 = 1;
pub(super) const FENCE_SEEN: u8 = 2;
pub(super) const TXN_ENDED: u8 = 3;
pub(super) const HELD: u8 = 4;
const PASS: u8 = 5;
/// The whole tag of the entry that is no record.
pub(super) const PASS_TAG: u8 = OTHER | PASS << DETAIL_AT | SAME_PARTITION;

/// Where told, form and which stand in a tag: three bits.
pub(super) const DETAIL_AT: u32 = 3;
pub(super) const TOLD_OFFSET: u8 = 1 << 6;
pub(super) const TOLD_IN_LINE: u8 = 1 << 7;
pub(super) const COMMIT_OK: u8 = 1 << 3;
pub(super) const IN_LINE: u8 = 1 << 6;
pub(super) const SAME_PARTITION: u8 = 1 << 7;

pub(super) const FORM_NONE: u8 = 0;
pub(super) const FORM_FENCE: u8 = 1;
pub(super) const FORM_SAME_SOURCE: u8 = 2;
pub(super) const FORM_KNOWN_SOURCE: u8 = 3;
pub(super) const FORM_NEW_SOURCE: u8 = 4;

/// In a held entry's byte, the place is below and the form above.
pub(super) const HELD_FORM_AT: u32 = 4;

/// Stands for no broker and no epoch; both are numbered from 0.
pub(super) const NONE: i32 = -1;
