//! A producer process: one thread, librdkafka client and journal for each partition.

mod book;
mod business;
mod classify;
mod messages;
mod recourse;
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
use lossproof_ledger::record::Identity;
use rdkafka::ClientConfig;

use self::book::{Book, Counts, Mode};
use self::business::Business;
use self::messages::Messages;
use self::recourse::Recourse;
use self::recourse::dead_letters::{Address, DeadLetters};
use self::recourse::outbox::{Committed, Outbox};
use self::recourse::retry::Retry;
use self::recourse::spool::Spool;
use self::stream::StreamThread;
use self::transaction::Transacting;
use self::witness::Witness;
use super::child::{Board, ChildError, Control, notices};
use super::config;
use super::parking::database::Database;
use super::parking::{self, Parking};
use super::spec::{ClientSpec, Producing};
use super::status::ClientStatus;
use crate::experiment::OnError;

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

    let mut threads = Vec::new();
    let now_ns = boottime_ns();
    for partition in 0..producing.partitions {
        let database = database(spec, producing, partition)?;
        let first = producing.first_of(partition).max(database.as_ref().map_or(Ok(0), Database::next_sequence)?);
        let stream = pace(producing, partition, first, now_ns);
        let journal = JournalWriter::create(
            &spec.journal_dir,
            &Header {
                run: spec.run,
                profile: spec.id.profile.clone(),
                source: Source::Producer { member: spec.id.member, incarnation: spec.id.incarnation, stream },
            },
        )?;
        let book = Arc::new(Book::new(journal, stream, mode, witness.clone(), Arc::clone(&counts)));
        let (config, transacting) = client_of(spec, producing, partition)?;
        let messages = || {
            let first = Identity {
                run: spec.run,
                producer: producing.producer,
                incarnation: spec.id.incarnation,
                partition,
                sequence: 0,
                attempt: 0,
            };
            Messages::new(first, producing.payload_bytes, producing.sending.large)
        };
        let is_outbox = producing.sending.on_error == OnError::Outbox;
        let (outbox, dual_write) = if is_outbox { (database, None) } else { (None, database) };
        let committed = Arc::new(Committed::default());
        let stream_thread = StreamThread {
            topic: spec.topic.clone(),
            stream,
            messages: messages(),
            keys: producing.keys,
            transacting,
            on_queue_full: producing.on_queue_full,
            on_fatal: producing.on_fatal,
            delivery: producing.sending.delivery,
            close: producing.sending.close,
            recourse: recourse(spec, producing, partition, &committed)?,
            dual_write,
            business: outbox.map(|database| Business {
                stream,
                database,
                messages: messages(),
                committed,
                control: Arc::clone(control),
            }),
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

/// Where a producer that puts messages aside does so.
fn parking(producing: &Producing) -> Result<&Parking, ChildError> {
    producing.parking.as_ref().ok_or_else(|| ChildError::Spec("no place to put messages aside".to_owned()))
}

/// The database of a partition, if its application has one.
fn database(spec: &ClientSpec, producing: &Producing, partition: i32) -> Result<Option<Database>, ChildError> {
    if !producing.sending.dual_write && producing.sending.on_error != OnError::Outbox {
        return Ok(None);
    }
    let dir = &parking(producing)?.dir;
    let path = parking::database_path(dir, &spec.id.profile, spec.id.member, partition);
    Ok(Some(Database::open(&path)?))
}

/// What is done about the messages of a partition that failed; none if nothing is.
fn recourse(
    spec: &ClientSpec,
    producing: &Producing,
    partition: i32,
    committed: &Arc<Committed>,
) -> Result<Option<Box<dyn Recourse>>, ChildError> {
    let spool = || {
        let dir = &parking(producing)?.dir;
        Spool::open(&parking::spool_path(dir, &spec.id.profile, spec.id.member, partition), spec.run)
    };
    Ok(Some(match producing.sending.on_error {
        OnError::Drop => return Ok(None),
        OnError::Retry { attempts } => Box::new(Retry::new(attempts)),
        OnError::Spool => Box::new(spool()?),
        OnError::Dlq => {
            let address = Address {
                bootstrap: spec.bootstrap.clone(),
                client_id: format!("{}-dlq", spec.name()),
                topic: spec.topic.clone(),
                partition,
                dead_letters: parking(producing)?.dead_letters.clone(),
                keys: producing.keys,
            };
            Box::new(DeadLetters::new(address, spool()?)?)
        }
        OnError::Outbox => match database(spec, producing, partition)? {
            Some(database) => Box::new(Outbox::new(database, Arc::clone(committed))),
            None => return Ok(None),
        },
    }))
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

/// A stream of a producer whose sequences from `first` are due from `now_ns` on: one that was started again
/// goes on with what is due now, and does not make up for the time that it was away. Partitions take turns,
/// so that the whole producer is as even as each of its streams.
fn pace(producing: &Producing, partition: i32, first: u64, now_ns: u64) -> Stream {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of nanoseconds, at least 1"
    )]
    let turn_ns = (1e9 / producing.rate_per_s).max(1.0) as u64;
    let first_ns = now_ns + turn_ns * u64::from(partition.unsigned_abs());
    let period_ns = turn_ns * u64::from(producing.partitions.unsigned_abs());
    // As many periods have passed since this clock began: no sequence was offered before its time.
    let start_ns = first_ns.saturating_sub(first.saturating_mul(period_ns));
    Stream { producer: producing.producer, partition, first, start_ns, period_ns }
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
            parking: None,
            witness: None,
        }
    }

    fn paces(producing: &Producing, now_ns: u64) -> Vec<Stream> {
        (0..3).map(|partition| pace(producing, partition, producing.first_of(partition), now_ns)).collect()
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
