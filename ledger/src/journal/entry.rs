//! One record as bytes: a tag and the differences to what the block held before it.
//!
//! The tag's low three bits name the kind, the others are flags. What follows, by kind, as varints:
//!
//! | kind | flags | fields |
//! |---|---|---|
//! | 0 told | 3-5 told, 6 offset there, 7 plain | unless plain: partition, attempt, error; sequence, offset, time |
//! | 1 assigned, 2 revoked | 7 same partition | partition, time |
//! | 3 polled | 7 same partition | partition, offset, time |
//! | 4 processed | 3-4 identity's form, 7 same partition | partition, offset, identity, time |
//! | 5 committed | 3 ok, 7 same partition | partition, offset, time |
//! | 6 fence seen | 7 same partition | partition, offset, time |
//! | 7 audited | 3-4 content's form, 5 same audit, 7 same partition | partition, audit, offset, identity |
//!
//! Sequences and offsets are differences to the next one expected in their partition, times to the
//! entry before. An identity's form is 0 none (audited: corrupt), 1 (audited only) fence, 2 sequence
//! alone, 3 all words. A plain "told" has the partition of the entry before, attempt 0 and no error.

use std::collections::BTreeMap;

use crate::category::Told;
use crate::record::{Content, Identity, Record};

use super::varint::{In, MAX_BYTES, Out};

/// No entry is longer, in bytes: a tag and the nine numbers of `processed` with a whole identity.
pub(super) const MAX_ENTRY_BYTES: usize = 1 + 9 * MAX_BYTES;

const SAME_PARTITION: u8 = 1 << 7;
const TOLD_PLAIN: u8 = 1 << 7;
const TOLD_OFFSET: u8 = 1 << 6;
const COMMIT_OK: u8 = 1 << 3;
const SAME_AUDIT: u8 = 1 << 5;

const FORM_NONE: u8 = 0;
const FORM_FENCE: u8 = 1;
const FORM_SEQUENCE: u8 = 2;
const FORM_WHOLE: u8 = 3;

/// What differences are taken to. Starts anew with each block, so that a block is read alone.
pub(super) struct Deltas {
    run: u64,
    time_us: u64,
    partition: i32,
    audit: u16,
    partitions: BTreeMap<i32, Expected>,
}

/// The next values of a partition if nothing jumps.
struct Expected {
    told_sequence: u64,
    told_offset: i64,
    read_offset: i64,
    identity: Identity,
}

impl Deltas {
    pub(super) const fn new(run: u64) -> Self {
        Self { run, time_us: 0, partition: 0, audit: 0, partitions: BTreeMap::new() }
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.run);
    }

    fn expected(&mut self, partition: i32) -> &mut Expected {
        let run = self.run;
        self.partitions.entry(partition).or_insert(Expected {
            told_sequence: 0,
            told_offset: 0,
            read_offset: 0,
            identity: Identity { run, producer: 0, incarnation: 0, partition, sequence: 0, attempt: 0 },
        })
    }
}

/// Appends the entry of `record` to `out`.
pub(super) fn encode(record: &Record, deltas: &mut Deltas, out: &mut Out<MAX_ENTRY_BYTES>) {
    match *record {
        Record::Told { partition, sequence, attempt, told, offset, error, at_ns } => {
            let plain = partition == deltas.partition && attempt == 0 && error == 0;
            out.byte(told_bits(told) << 3 | flag(TOLD_OFFSET, offset.is_some()) | flag(TOLD_PLAIN, plain));
            deltas.partition = partition;
            if !plain {
                out.signed(partition.into());
                out.unsigned(attempt.into());
                out.signed(error.into());
            }
            let expected = deltas.expected(partition);
            put_sequence(out, &mut expected.told_sequence, sequence);
            if let Some(offset) = offset {
                put_offset(out, &mut expected.told_offset, offset);
            }
            put_time(out, deltas, at_ns);
        }
        Record::Assigned { partition, at_ns } => {
            put_tag(out, deltas, 1, partition);
            put_time(out, deltas, at_ns);
        }
        Record::Revoked { partition, at_ns } => {
            put_tag(out, deltas, 2, partition);
            put_time(out, deltas, at_ns);
        }
        Record::Polled { partition, offset, at_ns } => {
            put_tag(out, deltas, 3, partition);
            put_offset(out, &mut deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::Processed { partition, offset, identity, at_ns } => {
            let expected = deltas.expected(partition);
            let form = identity.map_or(FORM_NONE, |identity| form(&identity, &expected.identity));
            put_tag(out, deltas, 4 | form << 3, partition);
            let expected = deltas.expected(partition);
            put_read(out, expected.read_offset, offset);
            if let Some(identity) = identity {
                put_identity(out, form, &mut expected.identity, identity);
            }
            put_time(out, deltas, at_ns);
        }
        Record::Committed { partition, offset, ok, at_ns } => {
            put_tag(out, deltas, 5 | flag(COMMIT_OK, ok), partition);
            put_read(out, deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::FenceSeen { partition, offset, at_ns } => {
            put_tag(out, deltas, 6, partition);
            put_read(out, deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::Audited { partition, offset, audit, content } => {
            let expected = deltas.expected(partition);
            let form = match &content {
                Content::Message(identity) => form(identity, &expected.identity),
                Content::Fence => FORM_FENCE,
                Content::Corrupt => FORM_NONE,
            };
            let same_audit = flag(SAME_AUDIT, audit == deltas.audit);
            put_tag(out, deltas, 7 | form << 3 | same_audit, partition);
            if same_audit == 0 {
                out.unsigned(audit.into());
                deltas.audit = audit;
            }
            let expected = deltas.expected(partition);
            put_offset(out, &mut expected.read_offset, offset);
            if let Content::Message(identity) = content {
                put_identity(out, form, &mut expected.identity, identity);
            }
        }
    }
}

/// Reads the next entry; none if the bytes hold no whole, valid one.
pub(super) fn decode(input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let tag = input.byte()?;
    if tag & 7 == 0 {
        return decode_told(tag, input, deltas);
    }
    let partition = if tag & SAME_PARTITION == 0 { input.i32()? } else { deltas.partition };
    deltas.partition = partition;
    Some(match tag & 7 {
        1 => Record::Assigned { partition, at_ns: take_time(input, deltas)? },
        2 => Record::Revoked { partition, at_ns: take_time(input, deltas)? },
        3 => Record::Polled {
            partition,
            offset: take_offset(input, &mut deltas.expected(partition).read_offset)?,
            at_ns: take_time(input, deltas)?,
        },
        4 => {
            let expected = deltas.expected(partition);
            let offset = take_read(input, expected.read_offset)?;
            let identity = match tag >> 3 & 3 {
                FORM_NONE => None,
                form => Some(take_identity(input, form, &mut expected.identity)?),
            };
            Record::Processed { partition, offset, identity, at_ns: take_time(input, deltas)? }
        }
        5 => Record::Committed {
            partition,
            offset: take_read(input, deltas.expected(partition).read_offset)?,
            ok: tag & COMMIT_OK != 0,
            at_ns: take_time(input, deltas)?,
        },
        6 => Record::FenceSeen {
            partition,
            offset: take_read(input, deltas.expected(partition).read_offset)?,
            at_ns: take_time(input, deltas)?,
        },
        _ => {
            if tag & SAME_AUDIT == 0 {
                deltas.audit = input.u16()?;
            }
            let audit = deltas.audit;
            let expected = deltas.expected(partition);
            let offset = take_offset(input, &mut expected.read_offset)?;
            let content = match tag >> 3 & 3 {
                FORM_NONE => Content::Corrupt,
                FORM_FENCE => Content::Fence,
                form => Content::Message(take_identity(input, form, &mut expected.identity)?),
            };
            Record::Audited { partition, offset, audit, content }
        }
    })
}

fn decode_told(tag: u8, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let told = told_from_bits(tag >> 3 & 7)?;
    let (mut attempt, mut error) = (0, 0);
    if tag & TOLD_PLAIN == 0 {
        deltas.partition = input.i32()?;
        attempt = input.u16()?;
        error = input.i32()?;
    }
    let partition = deltas.partition;
    let expected = deltas.expected(partition);
    let sequence = take_sequence(input, &mut expected.told_sequence)?;
    let offset = if tag & TOLD_OFFSET == 0 { None } else { Some(take_offset(input, &mut expected.told_offset)?) };
    Some(Record::Told { partition, sequence, attempt, told, offset, error, at_ns: take_time(input, deltas)? })
}

const fn told_bits(told: Told) -> u8 {
    match told {
        Told::Unsent => 0,
        Told::Failed => 1,
        Told::Indeterminate => 2,
        Told::Unconfirmed => 3,
        Told::Acked => 4,
    }
}

const fn told_from_bits(bits: u8) -> Option<Told> {
    match bits {
        0 => Some(Told::Unsent),
        1 => Some(Told::Failed),
        2 => Some(Told::Indeterminate),
        3 => Some(Told::Unconfirmed),
        4 => Some(Told::Acked),
        _ => None,
    }
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

/// The tag of every kind but told, and the partition where it changes.
fn put_tag(out: &mut Out<MAX_ENTRY_BYTES>, deltas: &mut Deltas, bits: u8, partition: i32) {
    let same = partition == deltas.partition;
    out.byte(bits | flag(SAME_PARTITION, same));
    if !same {
        out.signed(partition.into());
        deltas.partition = partition;
    }
}

/// Times are kept in microseconds.
fn put_time(out: &mut Out<MAX_ENTRY_BYTES>, deltas: &mut Deltas, at_ns: u64) {
    let time_us = at_ns / 1000;
    out.signed(time_us.wrapping_sub(deltas.time_us).cast_signed());
    deltas.time_us = time_us;
}

fn take_time(input: &mut In<'_>, deltas: &mut Deltas) -> Option<u64> {
    let time_us = deltas.time_us.wrapping_add(input.signed()?.cast_unsigned());
    deltas.time_us = time_us;
    time_us.checked_mul(1000)
}

fn put_sequence(out: &mut Out<MAX_ENTRY_BYTES>, expected: &mut u64, sequence: u64) {
    out.signed(sequence.wrapping_sub(*expected).cast_signed());
    *expected = sequence.wrapping_add(1);
}

fn take_sequence(input: &mut In<'_>, expected: &mut u64) -> Option<u64> {
    let sequence = expected.wrapping_add(input.signed()?.cast_unsigned());
    *expected = sequence.wrapping_add(1);
    Some(sequence)
}

fn put_offset(out: &mut Out<MAX_ENTRY_BYTES>, expected: &mut i64, offset: i64) {
    out.signed(offset.wrapping_sub(*expected));
    *expected = offset.wrapping_add(1);
}

fn take_offset(input: &mut In<'_>, expected: &mut i64) -> Option<i64> {
    let offset = expected.wrapping_add(input.signed()?);
    *expected = offset.wrapping_add(1);
    Some(offset)
}

/// An offset near the last one polled, which it leaves as it is.
fn put_read(out: &mut Out<MAX_ENTRY_BYTES>, expected: i64, offset: i64) {
    out.signed(offset.wrapping_sub(expected));
}

fn take_read(input: &mut In<'_>, expected: i64) -> Option<i64> {
    Some(expected.wrapping_add(input.signed()?))
}

fn form(identity: &Identity, expected: &Identity) -> u8 {
    let sequence_alone = Identity { sequence: identity.sequence, ..*expected };
    if *identity == sequence_alone { FORM_SEQUENCE } else { FORM_WHOLE }
}

fn put_identity(out: &mut Out<MAX_ENTRY_BYTES>, form: u8, expected: &mut Identity, identity: Identity) {
    if form == FORM_WHOLE {
        // The run is nearly always the journal's own: one byte then.
        out.unsigned(identity.run ^ expected.run);
        out.unsigned(identity.producer.into());
        out.unsigned(identity.incarnation.into());
        out.signed(identity.partition.into());
        out.unsigned(identity.attempt.into());
    }
    let mut sequence = expected.sequence;
    put_sequence(out, &mut sequence, identity.sequence);
    *expected = Identity { sequence, ..identity };
}

fn take_identity(input: &mut In<'_>, form: u8, expected: &mut Identity) -> Option<Identity> {
    let mut identity = *expected;
    match form {
        FORM_WHOLE => {
            identity.run = input.unsigned()? ^ expected.run;
            identity.producer = input.u16()?;
            identity.incarnation = input.u16()?;
            identity.partition = input.i32()?;
            identity.attempt = input.u16()?;
        }
        FORM_SEQUENCE => {}
        _ => return None,
    }
    let mut sequence = expected.sequence;
    identity.sequence = take_sequence(input, &mut sequence)?;
    *expected = Identity { sequence, ..identity };
    Some(identity)
}
