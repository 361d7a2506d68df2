//! A consumer process: polls as a member of a group, processes at once, and commits by its behaviour.
//!
//! Processing is the journal's entry: that record is the side effect whose loss or repetition is
//! counted. It is made right after the poll and before any commit of its own, so nothing is ever in
//! hand between two polls. Under automatic commits librdkafka stores an offset when it hands the record
//! out, and commits what is stored in the background and at close.
//!
//! Fence records are no messages: they are seen, not processed, and their offset is committed as any.

mod context;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use rdkafka::consumer::Consumer;

use self::context::{Context, Member, Shown};
use self::queue::Queue;
use super::child::{Board, ChildError, Control, notices};
use super::config;
use super::spec::{ClientSpec, Consuming};

/// Offsets are committed at least this often while there is something new.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
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
    let context = Context::new(spec, consuming.commit, journal, shown, notices);
    let member: Member = config::consumer(spec, consuming).client().create_with_context(context)?;
    let result = poll_until_end(&member, control).and_then(|()| leave(&member));
    let context = Arc::clone(member.context());
    drop(member);
    let result = result.and_then(|()| seal(context));
    board.finish();
    result
}

fn poll_until_end(member: &Member, control: &Control) -> Result<(), ChildError> {
    let context = member.context();
    member.subscribe(&[context.topic()])?;
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
        if context.commit_if_due(member, at_ns, COMMIT_INTERVAL) {
            clock.forget();
        }
    }
    context.check()
}

/// Commits by the behaviour, and leaves the group. What librdkafka still hands out while it closes is
/// processed like anything else: rdkafka's own drop would throw it away.
fn leave(member: &Member) -> Result<(), ChildError> {
    let context = member.context();
    context.commit_if_due(member, boottime_ns(), Duration::ZERO);
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
