//! One record as bytes: a tag and the differences to what the block held before it.
//!
//! The tag's low three bits name the kind, the others are flags. What follows, by kind, as varints:
//!
//! | kind | flags | fields |
//! |---|---|---|
//! | 0 told | 3-5 told, 6 offset there, 7 plain | unless plain: partition, attempt, error, broker, in_txn; sequence, offset, time |
//! | 1 polled | 7 same partition | partition, offset, time |
//! | 2 processed | 3-4 identity's form, 7 same partition | partition, offset, identity, time |
//! | 3 committed | 3 ok, 7 same partition | partition, offset, time |
//! | 4 audited | 3-4 content's form, 5 same pass, 7 same partition | partition, pass, offset, identity |
//! | 5 tailed | 3-4 identity's form, 7 same partition | partition, offset, identity, time |
//! | 6 other | 3-5 which, 7 same partition | partition, the fields of which, time |
//!
//! Sequences and offsets are differences to the next one expected in their partition, times to the
//! entry before. An identity's form is 0 none (audited: corrupt), 1 (audited only) fence, 2 sequence
//! alone, 3 all words. A plain "told" has the partition, broker and `in_txn` of the one before, attempt
//! 0 and no error. A pass is attempt, isolation and leader epoch. The others are 0 assigned, 1 revoked,
//! 2 fence seen (offset), 3 transaction ended (outcome), 4 held (place, all words of the identity).

use std::collections::BTreeMap;

use crate::category::Told;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

use super::varint::{In, MAX_BYTES, Out};

/// No entry is longer, in bytes: a tag and the eleven numbers of `audited` with a whole pass and identity.
pub(super) const MAX_ENTRY_BYTES: usize = 1 + 11 * MAX_BYTES;

const TOLD: u8 = 0;
const POLLED: u8 = 1;
const PROCESSED: u8 = 2;
const COMMITTED: u8 = 3;
const AUDITED: u8 = 4;
const TAILED: u8 = 5;
const OTHER: u8 = 6;

const ASSIGNED: u8 = 0;
const REVOKED: u8 = 1;
const FENCE_SEEN: u8 = 2;
const TXN_ENDED: u8 = 3;
const HELD: u8 = 4;

/// Stands for no broker and no epoch.
const NONE: i32 = -1;

const SAME_PARTITION: u8 = 1 << 7;
const TOLD_PLAIN: u8 = 1 << 7;
const TOLD_OFFSET: u8 = 1 << 6;
const COMMIT_OK: u8 = 1 << 3;
const SAME_PASS: u8 = 1 << 5;

const FORM_NONE: u8 = 0;
const FORM_FENCE: u8 = 1;
const FORM_SEQUENCE: u8 = 2;
const FORM_WHOLE: u8 = 3;

/// What differences are taken to. Starts anew with each block, so that a block is read alone.
pub(super) struct Deltas {
    run: u64,
    time_us: u64,
    partition: i32,
    broker: i32,
    in_txn: bool,
    pass: Pass,
    partitions: BTreeMap<i32, Expected>,
}

/// What the records of one pass of an audit over one leader's records share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pass {
    audit: u16,
    isolation: Isolation,
    leader_epoch: Option<i32>,
}

const FIRST_PASS: Pass = Pass { audit: 0, isolation: Isolation::ReadUncommitted, leader_epoch: None };

/// The next values of a partition if nothing jumps.
struct Expected {
    told_sequence: u64,
    told_offset: i64,
    read_offset: i64,
    identity: Identity,
}

impl Deltas {
    pub(super) const fn new(run: u64) -> Self {
        Self {
            run,
            time_us: 0,
            partition: 0,
            broker: NONE,
            in_txn: false,
            pass: FIRST_PASS,
            partitions: BTreeMap::new(),
        }
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
        Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns } => {
            let broker = broker.unwrap_or(NONE);
            let plain = partition == deltas.partition
                && attempt == 0
                && error == 0
                && broker == deltas.broker
                && in_txn == deltas.in_txn;
            out.byte(told_bits(told) << 3 | flag(TOLD_OFFSET, offset.is_some()) | flag(TOLD_PLAIN, plain));
            deltas.partition = partition;
            if !plain {
                out.signed(partition.into());
                out.unsigned(attempt.into());
                out.signed(error.into());
                out.signed(broker.into());
                out.byte(in_txn.into());
                (deltas.broker, deltas.in_txn) = (broker, in_txn);
            }
            let expected = deltas.expected(partition);
            put_sequence(out, &mut expected.told_sequence, sequence);
            if let Some(offset) = offset {
                put_offset(out, &mut expected.told_offset, offset);
            }
            put_time(out, deltas, at_ns);
        }
        Record::Polled { partition, offset, at_ns } => {
            put_tag(out, deltas, POLLED, partition);
            put_offset(out, &mut deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::Processed { partition, offset, identity, at_ns } => {
            let form = form_of(identity.as_ref(), deltas.expected(partition));
            put_tag(out, deltas, PROCESSED | form << 3, partition);
            let expected = deltas.expected(partition);
            put_read(out, expected.read_offset, offset);
            put_identity(out, form, &mut expected.identity, identity);
            put_time(out, deltas, at_ns);
        }
        Record::Committed { partition, offset, ok, at_ns } => {
            put_tag(out, deltas, COMMITTED | flag(COMMIT_OK, ok), partition);
            put_read(out, deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::Audited { partition, offset, audit, isolation, leader_epoch, content } => {
            let (form, identity) = match content {
                Content::Message(identity) => (form_of(Some(&identity), deltas.expected(partition)), Some(identity)),
                Content::Fence => (FORM_FENCE, None),
                Content::Corrupt => (FORM_NONE, None),
            };
            let pass = Pass { audit, isolation, leader_epoch };
            let same_pass = flag(SAME_PASS, pass == deltas.pass);
            put_tag(out, deltas, AUDITED | form << 3 | same_pass, partition);
            if same_pass == 0 {
                out.unsigned(audit.into());
                out.byte((isolation == Isolation::ReadCommitted).into());
                out.signed(leader_epoch.unwrap_or(NONE).into());
                deltas.pass = pass;
            }
            let expected = deltas.expected(partition);
            put_offset(out, &mut expected.read_offset, offset);
            put_identity(out, form, &mut expected.identity, identity);
        }
        Record::Tailed { partition, offset, identity, at_ns } => {
            let form = form_of(identity.as_ref(), deltas.expected(partition));
            put_tag(out, deltas, TAILED | form << 3, partition);
            let expected = deltas.expected(partition);
            put_offset(out, &mut expected.read_offset, offset);
            put_identity(out, form, &mut expected.identity, identity);
            put_time(out, deltas, at_ns);
        }
        Record::Assigned { partition, at_ns } => {
            put_tag(out, deltas, OTHER | ASSIGNED << 3, partition);
            put_time(out, deltas, at_ns);
        }
        Record::Revoked { partition, at_ns } => {
            put_tag(out, deltas, OTHER | REVOKED << 3, partition);
            put_time(out, deltas, at_ns);
        }
        Record::FenceSeen { partition, offset, at_ns } => {
            put_tag(out, deltas, OTHER | FENCE_SEEN << 3, partition);
            put_read(out, deltas.expected(partition).read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::TxnEnded { partition, outcome, at_ns } => {
            put_tag(out, deltas, OTHER | TXN_ENDED << 3, partition);
            out.byte(match outcome {
                TxnOutcome::Committed => 0,
                TxnOutcome::Aborted => 1,
                TxnOutcome::Unknown => 2,
            });
            put_time(out, deltas, at_ns);
        }
        Record::Held { place, identity, at_ns } => {
            let partition = identity.partition;
            put_tag(out, deltas, OTHER | HELD << 3, partition);
            out.byte(match place {
                Place::ProducerDlq => 0,
                Place::Spool => 1,
                Place::Outbox => 2,
                Place::ConsumerDlq => 3,
            });
            put_identity(out, FORM_WHOLE, &mut deltas.expected(partition).identity, Some(identity));
            put_time(out, deltas, at_ns);
        }
    }
}

/// Reads the next entry; none if the bytes hold no whole, valid one.
pub(super) fn decode(input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let tag = input.byte()?;
    if tag & 7 == TOLD {
        return decode_told(tag, input, deltas);
    }
    let partition = if tag & SAME_PARTITION == 0 { input.i32()? } else { deltas.partition };
    deltas.partition = partition;
    let form = tag >> 3 & 3;
    Some(match tag & 7 {
        POLLED => Record::Polled {
            partition,
            offset: take_offset(input, &mut deltas.expected(partition).read_offset)?,
            at_ns: take_time(input, deltas)?,
        },
        PROCESSED => {
            let expected = deltas.expected(partition);
            let offset = take_read(input, expected.read_offset)?;
            let identity = take_identity(input, form, &mut expected.identity)?;
            Record::Processed { partition, offset, identity, at_ns: take_time(input, deltas)? }
        }
        COMMITTED => Record::Committed {
            partition,
            offset: take_read(input, deltas.expected(partition).read_offset)?,
            ok: tag & COMMIT_OK != 0,
            at_ns: take_time(input, deltas)?,
        },
        AUDITED => {
            if tag & SAME_PASS == 0 {
                let audit = input.u16()?;
                let isolation = match input.byte()? {
                    0 => Isolation::ReadUncommitted,
                    1 => Isolation::ReadCommitted,
                    _ => return None,
                };
                deltas.pass = Pass { audit, isolation, leader_epoch: some_id(input.i32()?) };
            }
            let Pass { audit, isolation, leader_epoch } = deltas.pass;
            let expected = deltas.expected(partition);
            let offset = take_offset(input, &mut expected.read_offset)?;
            let content = if form == FORM_FENCE {
                Content::Fence
            } else {
                take_identity(input, form, &mut expected.identity)?.map_or(Content::Corrupt, Content::Message)
            };
            Record::Audited { partition, offset, audit, isolation, leader_epoch, content }
        }
        TAILED => {
            let expected = deltas.expected(partition);
            let offset = take_offset(input, &mut expected.read_offset)?;
            let identity = take_identity(input, form, &mut expected.identity)?;
            Record::Tailed { partition, offset, identity, at_ns: take_time(input, deltas)? }
        }
        OTHER => return decode_other(tag >> 3 & 7, partition, input, deltas),
        _ => return None,
    })
}

fn decode_other(which: u8, partition: i32, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    Some(match which {
        ASSIGNED => Record::Assigned { partition, at_ns: take_time(input, deltas)? },
        REVOKED => Record::Revoked { partition, at_ns: take_time(input, deltas)? },
        FENCE_SEEN => Record::FenceSeen {
            partition,
            offset: take_read(input, deltas.expected(partition).read_offset)?,
            at_ns: take_time(input, deltas)?,
        },
        TXN_ENDED => {
            let outcome = match input.byte()? {
                0 => TxnOutcome::Committed,
                1 => TxnOutcome::Aborted,
                2 => TxnOutcome::Unknown,
                _ => return None,
            };
            Record::TxnEnded { partition, outcome, at_ns: take_time(input, deltas)? }
        }
        HELD => {
            let place = match input.byte()? {
                0 => Place::ProducerDlq,
                1 => Place::Spool,
                2 => Place::Outbox,
                3 => Place::ConsumerDlq,
                _ => return None,
            };
            let identity = take_identity(input, FORM_WHOLE, &mut deltas.expected(partition).identity)??;
            Record::Held { place, identity, at_ns: take_time(input, deltas)? }
        }
        _ => return None,
    })
}

fn decode_told(tag: u8, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let told = told_from_bits(tag >> 3 & 7)?;
    let (mut attempt, mut error) = (0, 0);
    if tag & TOLD_PLAIN == 0 {
        deltas.partition = input.i32()?;
        attempt = input.u16()?;
        error = input.i32()?;
        deltas.broker = input.i32()?;
        deltas.in_txn = match input.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
    }
    let partition = deltas.partition;
    let (broker, in_txn) = (some_id(deltas.broker), deltas.in_txn);
    let expected = deltas.expected(partition);
    let sequence = take_sequence(input, &mut expected.told_sequence)?;
    let offset = if tag & TOLD_OFFSET == 0 { None } else { Some(take_offset(input, &mut expected.told_offset)?) };
    let at_ns = take_time(input, deltas)?;
    Some(Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns })
}

/// Brokers and epochs are numbered from 0.
fn some_id(id: i32) -> Option<i32> {
    (id != NONE).then_some(id)
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

fn form_of(identity: Option<&Identity>, expected: &Expected) -> u8 {
    let Some(identity) = identity else { return FORM_NONE };
    let sequence_alone = Identity { sequence: identity.sequence, ..expected.identity };
    if *identity == sequence_alone { FORM_SEQUENCE } else { FORM_WHOLE }
}

fn put_identity(out: &mut Out<MAX_ENTRY_BYTES>, form: u8, expected: &mut Identity, identity: Option<Identity>) {
    let Some(identity) = identity else { return };
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

/// None if the bytes hold no identity; `Some(None)` where there is none to be read.
fn take_identity(input: &mut In<'_>, form: u8, expected: &mut Identity) -> Option<Option<Identity>> {
    let mut identity = *expected;
    match form {
        FORM_NONE => return Some(None),
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
    Some(Some(identity))
}
