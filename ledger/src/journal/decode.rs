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

/// Reads the next entry and hands its record to `take`, whose answer it returns; none if the bytes
/// hold no whole, valid one.
///
/// `take` is called where the kind of record is known, so that the compiler can do without its match.
#[inline(always)]
pub(super) fn decode<T>(input: &mut In<'_>, deltas: &mut Deltas, take: &mut impl FnMut(&Record) -> T) -> Option<T> {
    let mut tag = input.byte()?;
    if tag == PASS_TAG {
        take_pass(input, deltas)?;
        tag = input.byte()?;
    }
    let kind = tag & KIND;
    if kind == TOLD {
        return take_told(tag, 0, 0, input, deltas, take);
    }
    if kind == TOLD_IN_FULL {
        return take_told_in_full(tag, input, deltas, take);
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
            take(&Record::Polled { partition, offset, at_ns: take_time(input, deltas)? })
        }
        PROCESSED => {
            let run = deltas.run();
            let Expected { processed_offset, sources, .. } = deltas.here();
            let (offset, sequence) = take_message(input, detail, in_line, run, processed_offset, sources)?;
            let at_ns = take_time(input, deltas)?;
            let identity = sequence.map(|sequence| deltas.here().sources.here().message(sequence));
            take(&Record::Processed { partition, offset, identity, at_ns })
        }
        COMMITTED => {
            let expected = expected.processed_offset;
            let offset = if in_line { expected } else { expected.wrapping_add(input.signed()?) };
            take(&Record::Committed { partition, offset, ok: tag & COMMIT_OK != 0, at_ns: take_time(input, deltas)? })
        }
        AUDITED => {
            let (run, Pass { audit, isolation, leader_epoch }) = (deltas.run(), deltas.pass);
            let Expected { read_offset, sources, .. } = deltas.here();
            let (offset, sequence) = take_message(input, detail, in_line, run, read_offset, sources)?;
            let content = match sequence {
                Some(sequence) => Content::Message(sources.here().message(sequence)),
                None if detail == FORM_FENCE => Content::Fence,
                None => Content::Corrupt,
            };
            take(&Record::Audited { partition, offset, audit, isolation, leader_epoch, content })
        }
        TAILED => {
            let run = deltas.run();
            let Expected { read_offset, sources, .. } = deltas.here();
            let (offset, sequence) = take_message(input, detail, in_line, run, read_offset, sources)?;
            let at_ns = take_time(input, deltas)?;
            let identity = sequence.map(|sequence| deltas.here().sources.here().message(sequence));
            take(&Record::Tailed { partition, offset, identity, at_ns })
        }
        OTHER => return take_other(detail, partition, input, deltas).map(|record| take(&record)),
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
            let sequence = take_sequence(input, false, &mut sources.here().next_sequence)?;
            let identity = sources.here().message(sequence);
            Record::Held { place, identity, at_ns: take_time(input, deltas)? }
        }
        _ => return None,
    })
}

#[inline(always)]
fn take_told<T>(
    tag: u8,
    attempt: u16,
    error: i32,
    input: &mut In<'_>,
    deltas: &mut Deltas,
    take: &mut impl FnMut(&Record) -> T,
) -> Option<T> {
    let told = told_from_bits(tag >> DETAIL_AT & 7)?;
    let (broker, in_txn) = (some_id(deltas.broker), deltas.in_txn);
    let in_line = tag & TOLD_IN_LINE != 0;
    let expected = deltas.here();
    let partition = expected.partition;
    let sequence = take_sequence(input, in_line, &mut expected.told_sequence)?;
    let offset =
        if tag & TOLD_OFFSET == 0 { None } else { Some(take_offset(input, in_line, &mut expected.told_offset)?) };
    let at_ns = take_time(input, deltas)?;
    Some(take(&Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns }))
}

fn take_told_in_full<T>(
    tag: u8,
    input: &mut In<'_>,
    deltas: &mut Deltas,
    take: &mut impl FnMut(&Record) -> T,
) -> Option<T> {
    deltas.turn_to(input.i32()?);
    let attempt = input.u16()?;
    let error = input.i32()?;
    deltas.broker = input.i32()?;
    deltas.in_txn = match input.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    take_told(tag, attempt, error, input, deltas, take)
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

/// Offset of what was read, and sequence of the source turned to if it is a message.
#[inline(always)]
fn take_message(
    input: &mut In<'_>,
    form: u8,
    in_line: bool,
    run: u64,
    expected: &mut i64,
    sources: &mut Sources,
) -> Option<(i64, Option<u64>)> {
    let is_message = form == FORM_SAME_SOURCE || take_source(input, form, run, sources)?;
    let offset = take_offset(input, in_line, expected)?;
    let sequence =
        if is_message { Some(take_sequence(input, in_line, &mut sources.here().next_sequence)?) } else { None };
    Some((offset, sequence))
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

#[inline(always)]
fn take_time(input: &mut In<'_>, deltas: &mut Deltas) -> Option<u64> {
    let time_us = deltas.time_us.wrapping_add(input.signed()?.cast_unsigned());
    deltas.time_us = time_us;
    time_us.checked_mul(1000)
}

#[inline(always)]
fn take_sequence(input: &mut In<'_>, in_line: bool, expected: &mut u64) -> Option<u64> {
    let sequence = if in_line { *expected } else { expected.wrapping_add(input.signed()?.cast_unsigned()) };
    *expected = sequence.wrapping_add(1);
    Some(sequence)
}

#[inline(always)]
fn take_offset(input: &mut In<'_>, in_line: bool, expected: &mut i64) -> Option<i64> {
    let offset = if in_line { *expected } else { expected.wrapping_add(input.signed()?) };
    *expected = offset.wrapping_add(1);
    Some(offset)
}

/// Brokers and epochs are numbered from 0.
#[inline(always)]
fn some_id(id: i32) -> Option<i32> {
    (id != NONE).then_some(id)
}

#[inline(always)]
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
