//! A producer process: one thread, librdkafka client and journal for each partition.

mod book;
mod classify;
mod payloads;
mod session;
mod stream;
mod transaction;
mod witness;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::{Header, JournalWriter, Source, Stream};
use lossproof_ledger::payload::MIN_PAYLOAD_BYTES;
use rdkafka::ClientConfig;

use self::book::{Book, Counts, Mode};
use self::payloads::Payloads;
use self::stream::StreamThread;
use self::transaction::Transacting;
use self::witness::Witness;
use super::child::{Board, ChildError, Control, notices};
use super::config;
use super::spec::{ClientSpec, Producing};
use super::status::ClientStatus;

pub use self::witness::WITNESS_BYTES;

/// Runs until the drain that `control` asks for has ended.
pub(super) fn run(spec: &ClientSpec, producing: &Producing, control: &Arc<Control>) -> Result<(), ChildError> {
    let large = producing.sending.large;
    if producing.payload_bytes < MIN_PAYLOAD_BYTES
        || large.is_some_and(|large| large.every < 1 || large.payload_bytes < MIN_PAYLOAD_BYTES)
        || producing.partitions < 1
        || !producing.rate_per_s.is_normal()
        || producing.rate_per_s.is_sign_negative()
    {
        return Err(ChildError::Spec(format!("not a workload: {producing:?}")));
    }
    let mode = match &producing.transactions {
        Some(_) => Mode::Transactional,
        None if config::producer(spec).value("acks")? == "0" => Mode::Unacknowledged,
        None => Mode::Acknowledged,
    };
    let witness = producing.witness.as_deref().map(Witness::open).transpose()?.map(Arc::new);
    let counts = Arc::new(Counts::default());
    let partitions = producing.partitions;
    let (notices, queue) = notices();
    let board = Board::start(notices.clone(), queue, {
        let counts = Arc::clone(&counts);
        move || ClientStatus {
            progress: counts.progress(),
            ready: counts.streams_ready.load(Ordering::Acquire) == u64::from(partitions.unsigned_abs()),
            fences_seen: std::collections::BTreeSet::new(),
        }
    });

    let paces = paces(producing, boottime_ns());
    let mut threads = Vec::new();
    for stream in paces {
        let journal = JournalWriter::create(
            &spec.journal_dir,
            &Header {
                run: spec.run,
                profile: spec.id.profile.clone(),
                source: Source::Producer { member: spec.id.member, incarnation: spec.id.incarnation, stream },
            },
        )?;
        let book = Arc::new(Book::new(journal, stream, mode, witness.clone(), Arc::clone(&counts)));
        let (config, transacting) = client_of(spec, producing, stream.partition)?;
        let stream_thread = StreamThread {
            run: spec.run,
            incarnation: spec.id.incarnation,
            topic: spec.topic.clone(),
            stream,
            payloads: Payloads::new(producing.payload_bytes, producing.sending.large),
            keys: producing.keys,
            transacting,
            on_queue_full: producing.on_queue_full,
            on_fatal: producing.on_fatal,
            delivery: producing.sending.delivery,
            close: producing.sending.close,
            config,
            control: Arc::clone(control),
            notices: notices.clone(),
        };
        let name = format!("partition-{}", stream.partition);
        threads.push(
            thread::Builder::new()
                .name(name)
                .spawn({
                    let end = EndAll(Arc::clone(control));
                    move || {
                        let _end = end;
                        stream_thread.run(book)
                    }
                })
                .map_err(ChildError::Thread)?,
        );
    }
    let mut result = Ok(());
    for thread in threads {
        let ended = thread.join().unwrap_or(Err(ChildError::Panicked));
        // All are awaited, so that one that fails does not leave the others' journals open.
        result = result.and(ended);
    }
    board.finish();
    result
}

/// The configuration of a partition's client, and what it does about transactions.
fn client_of(
    spec: &ClientSpec,
    producing: &Producing,
    partition: i32,
) -> Result<(ClientConfig, Option<Transacting>), ChildError> {
    let mut config = config::producer(spec);
    let Some(transactions) = &producing.transactions else {
        return Ok((config.client().clone(), None));
    };
    let id = usize::try_from(partition).ok().and_then(|at| transactions.ids.get(at));
    let id = id.ok_or_else(|| ChildError::Spec(format!("no transactional id for partition {partition}")))?;
    config.set("transactional.id", id);
    let limit = Duration::from_millis(config.number("transaction.timeout.ms")?);
    Ok((config.client().clone(), Some(Transacting::new(transactions.messages, limit))))
}

/// A stream that ends before it is asked to, by an error or a panic, ends the process: the others are
/// drained, briefly.
struct EndAll(Arc<Control>);

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.end_within(Duration::from_secs(5));
    }
}

/// The streams of a producer whose first sequences are due from `now_ns` on: one that was started again goes
/// on with what is due now, and does not make up for the time that it was away. Partitions take turns, so
/// that the whole producer is as even as each of its streams.
fn paces(producing: &Producing, now_ns: u64) -> Vec<Stream> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of nanoseconds, at least 1"
    )]
    let turn_ns = (1e9 / producing.rate_per_s).max(1.0) as u64;
    let partitions = producing.partitions;
    (0..partitions)
        .map(|partition| {
            let first = producing.first_of(partition);
            let first_ns = now_ns + turn_ns * u64::from(partition.unsigned_abs());
            let period_ns = turn_ns * u64::from(partitions.unsigned_abs());
            // As many periods have passed since this clock began: no sequence was offered before its time.
            let start_ns = first_ns.saturating_sub(first.saturating_mul(period_ns));
            Stream { producer: producing.producer, partition, first, start_ns, period_ns }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{OnFatal, OnQueueFull, Sending};

    fn producing(first: Vec<u64>) -> Producing {
        Producing {
            producer: 4,
            partitions: 3,
            first,
            rate_per_s: 2000.0,
            payload_bytes: 100,
            on_queue_full: OnQueueFull::Drop,
            on_fatal: OnFatal::Stop,
            keys: None,
            transactions: None,
            sending: Sending::default(),
            witness: None,
        }
    }

    #[test]
    fn partitions_take_turns_at_the_whole_rate() {
        let due: Vec<u64> = paces(&producing(Vec::new()), 10_000)
            .iter()
            .flat_map(|stream| [stream.intended_ns(0), stream.intended_ns(1)])
            .collect();
        assert_eq!(due, [10_000, 1_510_000, 510_000, 2_010_000, 1_010_000, 2_510_000]);
    }

    #[test]
    fn a_producer_that_was_started_again_goes_on_with_what_is_due_now() {
        let now_ns = 60_000_000_000;
        let streams = paces(&producing(vec![1000, 0, 1200]), now_ns);
        let due: Vec<u64> = streams.iter().map(|stream| stream.intended_ns(stream.first) - now_ns).collect();
        assert_eq!(due, [0, 500_000, 1_000_000]);
        assert_eq!(streams[0].intended_ns(1001) - streams[0].intended_ns(1000), 1_500_000);
    }
}
