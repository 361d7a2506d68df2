//! From an entry to its record.

use super::deltas::{Deltas, Expected, Pass, Sources};
use super::entry::{
    ASSIGNED, AUDITED, COMMIT_OK, COMMITTED, DETAIL_AT, FENCE_SEEN, FORM_FENCE, FORM_KNOWN_SOURCE, FORM_NEW_SOURCE,
    FORM_NONE, FORM_SAME_SOURCE, HELD, HELD_FORM_AT, IN_LINE, KIND, NONE, OTHER, PASS_TAG, POLLED, PROCESSED, REVOKED,
    SAME_PARTITION, TAILED, TOLD, TOLD_IN_FULL, TOLD_IN_LINE, TOLD_OFFSET, TXN_ENDED,
};
use super::varint::In;
use crate::category::Told;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

/// Reads the next entry; none if the bytes hold no whole, valid one.
#[inline]
pub(super) fn decode(input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let mut tag = input.byte()?;
    if tag == PASS_TAG {
        take_pass(input, deltas)?;
        tag = input.byte()?;
    }
    let kind = tag & KIND;
    if kind == TOLD {
        return take_told(tag, 0, 0, input, deltas);
    }
    if kind == TOLD_IN_FULL {
        return take_told_in_full(tag, input, deltas);
    }
    if tag & SAME_PARTITION == 0 {
        deltas.turn_to(input.i32()?);
    }
    let detail = tag >> DETAIL_AT & 7;
    let in_line = tag & IN_LINE != 0;
    let expected = deltas.here();
    let partition = expected.partition;
    Some(match kind {
        POLLED => {
            let offset = take_offset(input, in_line, &mut expected.read_offset)?;
            Record::Polled { partition, offset, at_ns: take_time(input, deltas)? }
        }
        PROCESSED => {
            let run = deltas.run();
            let Expected { processed_offset, sources, .. } = deltas.here();
            let (offset, identity) = take_message(input, detail, in_line, run, processed_offset, sources)?;
            Record::Processed { partition, offset, identity, at_ns: take_time(input, deltas)? }
        }
        COMMITTED => {
            let expected = expected.processed_offset;
            let offset = if in_line { expected } else { expected.wrapping_add(input.signed()?) };
            Record::Committed { partition, offset, ok: tag & COMMIT_OK != 0, at_ns: take_time(input, deltas)? }
        }
        AUDITED => {
            let (run, Pass { audit, isolation, leader_epoch }) = (deltas.run(), deltas.pass);
            let Expected { read_offset, sources, .. } = deltas.here();
            let (offset, identity) = take_message(input, detail, in_line, run, read_offset, sources)?;
            let content = match identity {
                Some(identity) => Content::Message(identity),
                None if detail == FORM_FENCE => Content::Fence,
                None => Content::Corrupt,
            };
            Record::Audited { partition, offset, audit, isolation, leader_epoch, content }
        }
        TAILED => {
            let run = deltas.run();
            let Expected { read_offset, sources, .. } = deltas.here();
            let (offset, identity) = take_message(input, detail, in_line, run, read_offset, sources)?;
            Record::Tailed { partition, offset, identity, at_ns: take_time(input, deltas)? }
        }
        OTHER => return take_other(detail, partition, input, deltas),
        _ => return None,
    })
}

fn take_other(which: u8, partition: i32, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    Some(match which {
        ASSIGNED => Record::Assigned { partition, at_ns: take_time(input, deltas)? },
        REVOKED => Record::Revoked { partition, at_ns: take_time(input, deltas)? },
        FENCE_SEEN => {
            let offset = deltas.here().read_offset.wrapping_add(input.signed()?);
            Record::FenceSeen { partition, offset, at_ns: take_time(input, deltas)? }
        }
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
            let byte = input.byte()?;
            let form = byte >> HELD_FORM_AT;
            let place = match byte & ((1 << HELD_FORM_AT) - 1) {
                0 => Place::ProducerDlq,
                1 => Place::Spool,
                2 => Place::Outbox,
                3 => Place::ConsumerDlq,
                _ => return None,
            };
            let run = deltas.run();
            let sources = &mut deltas.here().sources;
            if !take_source(input, form, run, sources)? {
                return None;
            }
            let identity = take_sequence_of_source(input, false, sources)?;
            Record::Held { place, identity, at_ns: take_time(input, deltas)? }
        }
        _ => return None,
    })
}

#[inline]
fn take_told(tag: u8, attempt: u16, error: i32, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    let told = told_from_bits(tag >> DETAIL_AT & 7)?;
    let (broker, in_txn) = (some_id(deltas.broker), deltas.in_txn);
    let in_line = tag & TOLD_IN_LINE != 0;
    let expected = deltas.here();
    let partition = expected.partition;
    let sequence = take_sequence(input, in_line, &mut expected.told_sequence)?;
    let offset =
        if tag & TOLD_OFFSET == 0 { None } else { Some(take_offset(input, in_line, &mut expected.told_offset)?) };
    let at_ns = take_time(input, deltas)?;
    Some(Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns })
}

fn take_told_in_full(tag: u8, input: &mut In<'_>, deltas: &mut Deltas) -> Option<Record> {
    deltas.turn_to(input.i32()?);
    let attempt = input.u16()?;
    let error = input.i32()?;
    deltas.broker = input.i32()?;
    deltas.in_txn = match input.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    take_told(tag, attempt, error, input, deltas)
}

fn take_pass(input: &mut In<'_>, deltas: &mut Deltas) -> Option<()> {
    let audit = input.u16()?;
    let isolation = match input.byte()? {
        0 => Isolation::ReadUncommitted,
        1 => Isolation::ReadCommitted,
        _ => return None,
    };
    deltas.pass = Pass { audit, isolation, leader_epoch: some_id(input.i32()?) };
    Some(())
}

/// What was read at an offset, up to its time.
#[inline]
fn take_message(
    input: &mut In<'_>,
    form: u8,
    in_line: bool,
    run: u64,
    expected: &mut i64,
    sources: &mut Sources,
) -> Option<(i64, Option<Identity>)> {
    let is_message = form == FORM_SAME_SOURCE || take_source(input, form, run, sources)?;
    let offset = take_offset(input, in_line, expected)?;
    let identity = if is_message { Some(take_sequence_of_source(input, in_line, sources)?) } else { None };
    Some((offset, identity))
}

/// Turns to the source that the form tells of. Says whether there is one.
fn take_source(input: &mut In<'_>, form: u8, run: u64, sources: &mut Sources) -> Option<bool> {
    match form {
        FORM_NONE | FORM_FENCE => return Some(false),
        FORM_SAME_SOURCE => {}
        FORM_KNOWN_SOURCE => sources.turn_to(usize::try_from(input.unsigned()?).ok()?)?,
        FORM_NEW_SOURCE => sources.add(Identity {
            run: input.unsigned()? ^ run,
            producer: input.u16()?,
            incarnation: input.u16()?,
            partition: input.i32()?,
            attempt: input.u16()?,
            sequence: 0,
        }),
        _ => return None,
    }
    Some(true)
}

#[inline]
fn take_sequence_of_source(input: &mut In<'_>, in_line: bool, sources: &mut Sources) -> Option<Identity> {
    let source = sources.here();
    let sequence = take_sequence(input, in_line, &mut source.sequence)?;
    Some(Identity { sequence, ..*source })
}

#[inline]
fn take_time(input: &mut In<'_>, deltas: &mut Deltas) -> Option<u64> {
    let time_us = deltas.time_us.wrapping_add(input.signed()?.cast_unsigned());
    deltas.time_us = time_us;
    time_us.checked_mul(1000)
}

#[inline]
fn take_sequence(input: &mut In<'_>, in_line: bool, expected: &mut u64) -> Option<u64> {
    let sequence = if in_line { *expected } else { expected.wrapping_add(input.signed()?.cast_unsigned()) };
    *expected = sequence.wrapping_add(1);
    Some(sequence)
}

#[inline]
fn take_offset(input: &mut In<'_>, in_line: bool, expected: &mut i64) -> Option<i64> {
    let offset = if in_line { *expected } else { expected.wrapping_add(input.signed()?) };
    *expected = offset.wrapping_add(1);
    Some(offset)
}

/// Brokers and epochs are numbered from 0.
#[inline]
fn some_id(id: i32) -> Option<i32> {
    (id != NONE).then_some(id)
}

#[inline]
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
