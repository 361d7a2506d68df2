//! A consumer process: polls as a member of a group, processes, and commits by its behaviour.
//!
//! Processing is the journal's entry: that record is the side effect whose loss or repetition is
//! counted, and it is made before any commit of a behaviour that commits after processing. A message that
//! takes no time is done right after the poll, so that nothing is ever in hand between two polls
//! (`poll_until_end`, the path that is to be fast); otherwise see `batches`. Under automatic commits
//! librdkafka stores an offset when it hands the record out, and commits what is stored in the background and
//! at close.
//!
//! Only the polling thread journals and commits: workers give messages back to it, and a message is
//! processed when that thread has written so. Where a sink holds the side effect, it is the sink's row instead,
//! which is read when the run is over ([`effects`]).
//!
//! Fence records are no messages: they are seen, not processed, and their offset is committed as any.

mod batches;
mod commit;
mod context;
mod dead_letters;
mod gaps;
mod hand;
mod queue;
mod results;
mod service;
mod sink;
mod workers;

pub use sink::{SINKS, effects, sink_path};

use std::sync::Arc;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use rdkafka::consumer::Consumer;

use self::context::{Context, Member, Shown};
use self::dead_letters::DeadLetters;
use self::gaps::GapWatch;
use self::queue::Queue;
use self::results::Results;
use self::service::{Plan, Service};
use self::workers::Pool;
use super::child::{Board, ChildError, Control, notices};
use super::config;
use super::spec::{ClientSpec, Consuming};
use crate::experiment::{Handling, Sink};

/// How long a poll waits: commits and the parent's commands are looked at in between.
const POLL_MAX: Duration = Duration::from_millis(50);

/// Records that may share a reading of the clock while they come without a wait: a few microseconds.
const SHARED_READING: u32 = 16;

/// CLOCK_BOOTTIME, which takes a good part of the time that a record takes.
#[derive(Default)]
struct Clock {
    read_ns: u64,
    uses_left: u32,
}

impl Clock {
    fn now_ns(&mut self) -> u64 {
        *self = Self { read_ns: boottime_ns(), uses_left: SHARED_READING };
        self.read_ns
    }

    /// Of a moment ago, if nothing was waited for since.
    fn recent_ns(&mut self) -> u64 {
        match self.uses_left {
            0 => self.now_ns(),
            _ => {
                self.uses_left -= 1;
                self.read_ns
            }
        }
    }

    /// Something took time.
    fn forget(&mut self) {
        self.uses_left = 0;
    }
}

/// Runs until `control` asks for the end, then leaves the group and seals the journal.
pub(super) fn run(spec: &ClientSpec, consuming: &Consuming, control: &Arc<Control>) -> Result<(), ChildError> {
    let journal = JournalWriter::create(
        &spec.journal_dir,
        &Header {
            run: spec.run,
            profile: spec.id.profile.clone(),
            source: Source::Consumer { member: spec.id.member, incarnation: spec.id.incarnation },
        },
    )?;
    let shown = Arc::new(Shown::default());
    let (notices, queue) = notices();
    let board = Board::start(notices.clone(), queue, {
        let shown = Arc::clone(&shown);
        move || shown.status()
    });
    let handling = &consuming.handling;
    let plan = Plan {
        work: handling.work.clone(),
        failure: handling.failure.clone(),
        started_ns: consuming.started_ns,
        sink: consuming.sink.clone(),
        control: Arc::clone(control),
    };
    let pool = handling.workers.as_ref().map(|workers| Pool::start(workers.threads, &plan)).transpose()?;
    let dead_letters = handling.has_dead_letters().then(|| DeadLetters::start(spec)).transpose()?;
    let results = consuming.results.as_ref().map(|to| Results::open(spec, to, control)).transpose()?;
    let passes_on = results.is_some();
    let has_sink = plan.sink.is_some() || passes_on;
    let gaps = handling.detect_gaps.then(|| GapWatch::open(spec)).transpose()?;
    let context =
        Context::new(spec, handling.commit, (has_sink, passes_on), (pool, dead_letters, gaps), journal, shown, notices);
    let member: Member = config::consumer(spec, consuming).client().create_with_context(context)?;
    member.subscribe(&[member.context().topic()])?;
    let result = if is_plain(handling) {
        poll_until_end(&member, handling, control).and_then(|()| leave(&member))
    } else {
        Service::open(&plan)
            .and_then(|service| batches::poll_until_end(&member, handling, (service, results), control))
            .and_then(|()| batches::leave(&member))
    };
    let context = Arc::clone(member.context());
    drop(member);
    let result = result.and_then(|()| seal(context));
    board.finish();
    result
}

/// Whether a message is done as soon as it is polled, so that nothing is ever in hand, and nothing else is done
/// about it.
fn is_plain(handling: &Handling) -> bool {
    let Handling { commit, batch, workers, work, failure, sink, detect_gaps, .. } = handling;
    let by_batches = *batch > 1 || commit.is_of_batches();
    let takes_time = !work.longest().is_zero() || failure.is_some() || *sink != Sink::None;
    !by_batches && workers.is_none() && !takes_time && !detect_gaps
}

fn poll_until_end(member: &Member, handling: &Handling, control: &Control) -> Result<(), ChildError> {
    let context = member.context();
    let queue = Queue::of(member);
    let mut clock = Clock::default();
    while !control.is_ending() {
        // What waits is taken without looking at the clock, as a wait would.
        let (polled, at_ns) = match queue.poll(Duration::ZERO) {
            Some(polled) => (Some(polled), clock.recent_ns()),
            None => (queue.poll(POLL_MAX), clock.now_ns()),
        };
        match polled {
            Some(polled) => context.take(polled, at_ns)?,
            None => context.check()?,
        }
        if context.commit_if_due(member, at_ns, handling.commit_interval) {
            clock.forget();
        }
    }
    context.check()
}

/// Commits by the behaviour, and leaves the group. What librdkafka still hands out while it closes is
/// processed like anything else: rdkafka's own drop would throw it away.
fn leave(member: &Member) -> Result<(), ChildError> {
    let context = member.context();
    context.commit_finally(member, None);
    let queue = Queue::of(member);
    member.close_queue()?;
    while !member.closed() {
        if let Some(polled) = queue.poll(POLL_MAX) {
            context.take(polled, boottime_ns())?;
        }
        context.check()?;
    }
    context.check()
}

fn seal(context: Arc<Context>) -> Result<(), ChildError> {
    let context = Arc::into_inner(context).ok_or(ChildError::BookHeld)?;
    Ok(context.into_journal().seal()?)
}
