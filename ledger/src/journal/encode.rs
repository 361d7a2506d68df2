//! From a record to its entry.

use super::deltas::{Deltas, Expected, Pass, Sources};
use super::entry::{
    ASSIGNED, AUDITED, COMMIT_OK, COMMITTED, DETAIL_AT, FENCE_SEEN, FORM_FENCE, FORM_KNOWN_SOURCE, FORM_NEW_SOURCE,
    FORM_NONE, FORM_SAME_SOURCE, HELD, HELD_FORM_AT, IN_LINE, MAX_ENTRY_BYTES, NONE, OTHER, PASS_TAG, POLLED,
    PROCESSED, REVOKED, SAME_PARTITION, TAILED, TOLD, TOLD_IN_FULL, TOLD_IN_LINE, TOLD_OFFSET, TXN_ENDED,
};
use super::varint::{HEAD_BYTES, Out};
use crate::category::Told;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

/// An entry being written.
pub(super) type Entry = Out<{ MAX_ENTRY_BYTES - HEAD_BYTES }>;

/// Writes the entry of `record` to `out`.
#[inline]
pub(super) fn encode(record: &Record, deltas: &mut Deltas, out: &mut Entry) {
    match *record {
        Record::Told { partition, sequence, attempt, told, offset, error, broker, in_txn, at_ns } => {
            let broker = broker.unwrap_or(NONE);
            let turned = deltas.turn_to(partition);
            let plain = !turned && attempt == 0 && error == 0 && broker == deltas.broker && in_txn == deltas.in_txn;
            let expected = deltas.here();
            let in_line = sequence == expected.told_sequence && offset.is_none_or(|o| o == expected.told_offset);
            let flags = flag(TOLD_OFFSET, offset.is_some()) | flag(TOLD_IN_LINE, in_line);
            out.byte(if plain { TOLD } else { TOLD_IN_FULL } | told_bits(told) << DETAIL_AT | flags);
            if !plain {
                out.signed(partition.into());
                out.unsigned(attempt.into());
                out.signed(error.into());
                out.signed(broker.into());
                out.byte(in_txn.into());
                (deltas.broker, deltas.in_txn) = (broker, in_txn);
            }
            put_sequence(out, in_line, &mut deltas.here().told_sequence, sequence);
            if let Some(offset) = offset {
                put_offset(out, in_line, &mut deltas.here().told_offset, offset);
            }
            put_time(out, deltas, at_ns);
        }
        Record::Polled { partition, offset, at_ns } => {
            let same = same_partition(deltas, partition);
            let in_line = offset == deltas.here().read_offset;
            put_tag(out, POLLED | flag(IN_LINE, in_line) | same, partition);
            put_offset(out, in_line, &mut deltas.here().read_offset, offset);
            put_time(out, deltas, at_ns);
        }
        Record::Processed { partition, offset, ref identity, at_ns } => {
            let same = same_partition(deltas, partition);
            let run = deltas.run();
            let Expected { processed_offset, sources, .. } = deltas.here();
            let identity = identity.as_ref();
            let form = form_of(identity, sources);
            put_message(out, PROCESSED | same, partition, run, form, (processed_offset, offset), (sources, identity));
            put_time(out, deltas, at_ns);
        }
        Record::Committed { partition, offset, ok, at_ns } => {
            let same = same_partition(deltas, partition);
            let expected = deltas.here().processed_offset;
            let in_line = offset == expected;
            put_tag(out, COMMITTED | flag(COMMIT_OK, ok) | flag(IN_LINE, in_line) | same, partition);
            if !in_line {
                out.signed(offset.wrapping_sub(expected));
            }
            put_time(out, deltas, at_ns);
        }
        Record::Audited { partition, offset, audit, isolation, leader_epoch, ref content } => {
            put_pass(out, deltas, Pass { audit, isolation, leader_epoch });
            let same = same_partition(deltas, partition);
            let run = deltas.run();
            let Expected { read_offset, sources, .. } = deltas.here();
            let (form, identity) = match content {
                Content::Message(identity) => (form_of(Some(identity), sources), Some(identity)),
                Content::Fence => (Form::bare(FORM_FENCE), None),
                Content::Corrupt => (Form::bare(FORM_NONE), None),
            };
            put_message(out, AUDITED | same, partition, run, form, (read_offset, offset), (sources, identity));
        }
        Record::Tailed { partition, offset, ref identity, at_ns } => {
            let same = same_partition(deltas, partition);
            let run = deltas.run();
            let Expected { read_offset, sources, .. } = deltas.here();
            let identity = identity.as_ref();
            let form = form_of(identity, sources);
            put_message(out, TAILED | same, partition, run, form, (read_offset, offset), (sources, identity));
            put_time(out, deltas, at_ns);
        }
        Record::Assigned { partition, at_ns } => {
            let same = same_partition(deltas, partition);
            put_tag(out, other(ASSIGNED) | same, partition);
            put_time(out, deltas, at_ns);
        }
        Record::Revoked { partition, at_ns } => {
            let same = same_partition(deltas, partition);
            put_tag(out, other(REVOKED) | same, partition);
            put_time(out, deltas, at_ns);
        }
        Record::FenceSeen { partition, offset, at_ns } => {
            let same = same_partition(deltas, partition);
            put_tag(out, other(FENCE_SEEN) | same, partition);
            out.signed(offset.wrapping_sub(deltas.here().read_offset));
            put_time(out, deltas, at_ns);
        }
        Record::TxnEnded { partition, outcome, at_ns } => {
            let same = same_partition(deltas, partition);
            put_tag(out, other(TXN_ENDED) | same, partition);
            out.byte(outcome_bits(outcome));
            put_time(out, deltas, at_ns);
        }
        Record::Held { place, ref identity, at_ns } => {
            let same = same_partition(deltas, identity.partition);
            let run = deltas.run();
            let sources = &mut deltas.here().sources;
            let form = form_of(Some(identity), sources);
            put_tag(out, other(HELD) | same, identity.partition);
            out.byte(place_bits(place) | form.bits << HELD_FORM_AT);
            put_source(out, form, run, sources, identity);
            put_sequence(out, false, &mut sources.here().next_sequence, identity.sequence);
            put_time(out, deltas, at_ns);
        }
    }
}

/// How an identity's source is said.
#[derive(Clone, Copy)]
struct Form {
    bits: u8,
    /// Of a known source.
    number: usize,
}

impl Form {
    const fn bare(bits: u8) -> Self {
        Self { bits, number: 0 }
    }
}

#[inline]
fn form_of(identity: Option<&Identity>, sources: &mut Sources) -> Form {
    let Some(identity) = identity else { return Form::bare(FORM_NONE) };
    if sources.here().is_of(identity) {
        return Form::bare(FORM_SAME_SOURCE);
    }
    match sources.number_of(identity) {
        Some(number) => Form { bits: FORM_KNOWN_SOURCE, number },
        None => Form::bare(FORM_NEW_SOURCE),
    }
}

/// An entry of something read at an offset, up to its time.
#[inline]
fn put_message(
    out: &mut Entry,
    kind: u8,
    partition: i32,
    run: u64,
    form: Form,
    (expected, offset): (&mut i64, i64),
    (sources, identity): (&mut Sources, Option<&Identity>),
) {
    // The flag stands in the tag, before the source that it depends on.
    let sequence_in_line = match (form.bits, identity) {
        (FORM_SAME_SOURCE, Some(identity)) => identity.sequence == sources.here().next_sequence,
        (FORM_KNOWN_SOURCE, Some(identity)) => sources.expected_of(form.number) == Some(identity.sequence),
        (FORM_NEW_SOURCE, Some(identity)) => identity.sequence == 0,
        _ => true,
    };
    let in_line = sequence_in_line && offset == *expected;
    put_tag(out, kind | form.bits << DETAIL_AT | flag(IN_LINE, in_line), partition);
    if let Some(identity) = identity {
        put_source(out, form, run, sources, identity);
    }
    put_offset(out, in_line, expected, offset);
    if let Some(identity) = identity {
        put_sequence(out, in_line, &mut sources.here().next_sequence, identity.sequence);
    }
}

/// Turns to the identity's source.
#[inline]
fn put_source(out: &mut Entry, form: Form, run: u64, sources: &mut Sources, identity: &Identity) {
    match form.bits {
        FORM_KNOWN_SOURCE => {
            out.unsigned(form.number as u64);
            sources.turn_to(form.number);
        }
        FORM_NEW_SOURCE => {
            out.unsigned(identity.run ^ run);
            out.unsigned(identity.producer.into());
            out.unsigned(identity.incarnation.into());
            out.signed(identity.partition.into());
            out.unsigned(identity.attempt.into());
            sources.add(*identity);
        }
        _ => {}
    }
}

fn put_pass(out: &mut Entry, deltas: &mut Deltas, pass: Pass) {
    if pass == deltas.pass {
        return;
    }
    out.byte(PASS_TAG);
    out.unsigned(pass.audit.into());
    out.byte((pass.isolation == Isolation::ReadCommitted).into());
    out.signed(pass.leader_epoch.unwrap_or(NONE).into());
    deltas.pass = pass;
}

/// The flag of an entry, having turned to its partition.
#[inline]
fn same_partition(deltas: &mut Deltas, partition: i32) -> u8 {
    flag(SAME_PARTITION, !deltas.turn_to(partition))
}

#[inline]
fn put_tag(out: &mut Entry, tag: u8, partition: i32) {
    out.byte(tag);
    if tag & SAME_PARTITION == 0 {
        out.signed(partition.into());
    }
}

#[inline]
fn put_time(out: &mut Entry, deltas: &mut Deltas, at_ns: u64) {
    let time_us = at_ns / 1000;
    out.signed(time_us.wrapping_sub(deltas.time_us).cast_signed());
    deltas.time_us = time_us;
}

#[inline]
fn put_sequence(out: &mut Entry, in_line: bool, expected: &mut u64, sequence: u64) {
    if !in_line {
        out.signed(sequence.wrapping_sub(*expected).cast_signed());
    }
    *expected = sequence.wrapping_add(1);
}

#[inline]
fn put_offset(out: &mut Entry, in_line: bool, expected: &mut i64, offset: i64) {
    if !in_line {
        out.signed(offset.wrapping_sub(*expected));
    }
    *expected = offset.wrapping_add(1);
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

const fn other(which: u8) -> u8 {
    OTHER | which << DETAIL_AT
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

const fn outcome_bits(outcome: TxnOutcome) -> u8 {
    match outcome {
        TxnOutcome::Committed => 0,
        TxnOutcome::Aborted => 1,
        TxnOutcome::Unknown => 2,
    }
}

const fn place_bits(place: Place) -> u8 {
    match place {
        Place::ProducerDlq => 0,
        Place::Spool => 1,
        Place::Outbox => 2,
        Place::ConsumerDlq => 3,
    }
}
