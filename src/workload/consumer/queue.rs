//! The border to librdkafka for polling: the consumer's queue itself.
//!
//! What rdkafka's own poll does besides for each record, a reading of the clock, an allocation and its
//! release, takes more time than all accounting. What comes by the queue and is no record is handled as
//! rdkafka would, by the context's methods.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::time::Duration;

use rdkafka::bindings::{
    RD_KAFKA_EVENT_ERROR, RD_KAFKA_EVENT_FETCH, RD_KAFKA_EVENT_LOG, RD_KAFKA_EVENT_OFFSET_COMMIT,
    RD_KAFKA_EVENT_REBALANCE, rd_kafka_commit_queue, rd_kafka_event_destroy, rd_kafka_event_error,
    rd_kafka_event_error_is_fatal, rd_kafka_event_error_string, rd_kafka_event_log, rd_kafka_event_message_next,
    rd_kafka_event_t, rd_kafka_event_topic_partition_list, rd_kafka_event_type, rd_kafka_header_get_all,
    rd_kafka_headers_t, rd_kafka_message_headers, rd_kafka_message_t, rd_kafka_queue_destroy,
    rd_kafka_queue_get_consumer, rd_kafka_queue_poll, rd_kafka_queue_t, rd_kafka_resp_err_t,
};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

/// A context that is told of answers to commits in its own form.
pub(super) trait Served: ConsumerContext {
    /// The broker answered a commit that librdkafka made by itself, or an asynchronous one.
    fn committed(&self, answers: &[Answer]);
}

/// What a commit came to in one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    pub ok: bool,
}

impl Answer {
    /// Of a commit that was made by rdkafka. Partitions without a stored offset are listed too, and left
    /// out here.
    pub fn of(result: &KafkaResult<()>, offsets: &TopicPartitionList) -> Vec<Self> {
        let elements = offsets.elements();
        let answers = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => {
                let ok = result.is_ok() && element.error().is_ok();
                Some(Self { partition: element.partition(), offset, ok })
            }
            _ => None,
        });
        answers.collect()
    }
}

/// What a poll found.
pub(super) enum Polled<'a> {
    Record(Fetched<'a>),
    Error(KafkaError),
}

/// The queue of a group's member.
pub(super) struct Queue<'a, C: Served> {
    member: &'a BaseConsumer<C>,
    raw: *mut rd_kafka_queue_t,
}

impl<'a, C: Served> Queue<'a, C> {
    /// Of a member of a group, which is polled here alone from now on.
    pub fn of(member: &'a BaseConsumer<C>) -> Self {
        // SAFETY: the client is alive. A client with a group has the queue; without one it is null, which
        // nothing below accepts.
        let raw = unsafe { rd_kafka_queue_get_consumer(member.client().native_ptr()) };
        assert!(!raw.is_null(), "a member of a group has a queue");
        Self { member, raw }
    }

    /// The next record or error; none if there was none in time, or another event was handled.
    #[inline]
    pub fn poll(&self, wait: Duration) -> Option<Polled<'_>> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, being counted by `self`.
        let event = Event::new(unsafe { rd_kafka_queue_poll(self.raw, millis) })?;
        // SAFETY: the event is alive, and a message of it lives as long.
        unsafe {
            if rd_kafka_event_type(event.raw) == RD_KAFKA_EVENT_FETCH {
                let message = rd_kafka_event_message_next(event.raw).as_ref()?;
                return Some(Polled::Record(Fetched { message, _event: event, _queue: PhantomData }));
            }
        }
        self.serve_event(&event).map(Polled::Error)
    }

    /// Commits without waiting; the answer comes by the queue. (rdkafka's own asynchronous commit is never answered.)
    pub fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        let client = self.member.client().native_ptr();
        // SAFETY: client, list and queue are alive; the list is copied.
        let code = unsafe { rd_kafka_commit_queue(client, offsets.ptr(), self.raw, None, std::ptr::null_mut()) };
        if is_ok(code) { Ok(()) } else { Err(KafkaError::ConsumerCommit(code.into())) }
    }

    /// Handles an event, and gives an error. Records are dropped as if they had never been fetched: their offsets
    /// are not stored.
    pub fn serve(&self, wait: Duration) -> Option<KafkaError> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, being counted by `self`.
        let event = Event::new(unsafe { rd_kafka_queue_poll(self.raw, millis) })?;
        // SAFETY: the event is alive; the call reads it.
        let is_record = unsafe { rd_kafka_event_type(event.raw) } == RD_KAFKA_EVENT_FETCH;
        if is_record { None } else { self.serve_event(&event) }
    }

    #[cold]
    fn serve_event(&self, event: &Event) -> Option<KafkaError> {
        // SAFETY: the event is alive; the call reads it.
        match unsafe { rd_kafka_event_type(event.raw) } {
            RD_KAFKA_EVENT_ERROR => return event.error(),
            RD_KAFKA_EVENT_LOG => {
                if let Some((level, facility, text)) = event.log() {
                    self.member.context().log(level, &facility, &text);
                }
            }
            RD_KAFKA_EVENT_REBALANCE => {
                let mut partitions = TopicPartitionList::new();
                for element in event.partitions() {
                    partitions.add_partition(&element.topic, element.partition);
                }
                self.member.context().rebalance(self.member, event.code(), &mut partitions);
            }
            RD_KAFKA_EVENT_OFFSET_COMMIT => {
                let all_ok = is_ok(event.code());
                let stored = event.partitions().into_iter().filter(|element| element.offset >= 0);
                let answers: Vec<_> = stored
                    .map(|element| Answer {
                        partition: element.partition,
                        offset: element.offset,
                        ok: all_ok && element.ok,
                    })
                    .collect();
                self.member.context().committed(&answers);
            }
            // Nothing that clients of an experiment switch on.
            other => tracing::debug!("event {other} ignored"),
        }
        None
    }
}

impl<C: Served> Drop for Queue<'_, C> {
    fn drop(&mut self) {
        // SAFETY: gives back the count that `of` got.
        unsafe { rd_kafka_queue_destroy(self.raw) }
    }
}

/// A record that was fetched, for as long as it is looked at.
pub(super) struct Fetched<'a> {
    message: &'a rd_kafka_message_t,
    _event: Event,
    _queue: PhantomData<&'a ()>,
}

impl Fetched<'_> {
    #[inline]
    pub const fn partition(&self) -> i32 {
        self.message.partition
    }

    #[inline]
    pub const fn offset(&self) -> i64 {
        self.message.offset
    }

    /// Empty for a tombstone.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let payload = self.message.payload.cast::<u8>();
        if payload.is_null() {
            return &[];
        }
        // SAFETY: librdkafka gives as many bytes, which live as long as the event that `self` owns.
        unsafe { std::slice::from_raw_parts(payload, self.message.len) }
    }

    /// None without one.
    pub fn key(&self) -> Option<&[u8]> {
        let key = self.message.key.cast::<u8>();
        // SAFETY: as of the payload.
        (!key.is_null()).then(|| unsafe { std::slice::from_raw_parts(key, self.message.key_len) })
    }

    pub fn has_header(&self, wanted: &str) -> bool {
        let mut headers: *mut rd_kafka_headers_t = std::ptr::null_mut();
        // SAFETY: the message is alive; its headers belong to it.
        if !is_ok(unsafe { rd_kafka_message_headers(self.message, &raw mut headers) }) {
            return false;
        }
        for place in 0.. {
            let (mut name, mut value, mut len): (*const c_char, *const c_void, usize) =
                (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: as above; beyond the last header the call gives an error, and changes nothing.
            let found = unsafe { rd_kafka_header_get_all(headers, place, &raw mut name, &raw mut value, &raw mut len) };
            if !is_ok(found) {
                break;
            }
            // SAFETY: a header's name is a string that belongs to the message.
            if unsafe { CStr::from_ptr(name) }.to_bytes() == wanted.as_bytes() {
                return true;
            }
        }
        false
    }
}

/// One of librdkafka's events.
struct Event {
    raw: *mut rd_kafka_event_t,
}

/// An element of an event's list of partitions.
struct Element {
    topic: String,
    partition: i32,
    /// Below 0 without a stored offset.
    offset: i64,
    ok: bool,
}

impl Event {
    #[inline]
    fn new(raw: *mut rd_kafka_event_t) -> Option<Self> {
        (!raw.is_null()).then_some(Self { raw })
    }

    fn code(&self) -> rd_kafka_resp_err_t {
        // SAFETY: the event is alive; the call reads it.
        unsafe { rd_kafka_event_error(self.raw) }
    }

    fn error(&self) -> Option<KafkaError> {
        let code = self.code();
        if is_ok(code) {
            return None;
        }
        // SAFETY: the event is alive, and its text with it.
        let (fatal, text) = unsafe {
            let text = rd_kafka_event_error_string(self.raw);
            (rd_kafka_event_error_is_fatal(self.raw) != 0, string(text))
        };
        tracing::warn!("{text}");
        let code = RDKafkaErrorCode::from(code);
        Some(if fatal { KafkaError::MessageConsumptionFatal(code) } else { KafkaError::MessageConsumption(code) })
    }

    fn log(&self) -> Option<(RDKafkaLogLevel, String, String)> {
        let (mut facility, mut text, mut level): (*const c_char, *const c_char, i32) =
            (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the event is alive, and with it the strings that the call points to if it gives 0.
        unsafe {
            if rd_kafka_event_log(self.raw, &raw mut facility, &raw mut text, &raw mut level) != 0 {
                return None;
            }
            let level = match level {
                0..=3 => RDKafkaLogLevel::Error,
                4 => RDKafkaLogLevel::Warning,
                5..=6 => RDKafkaLogLevel::Info,
                _ => RDKafkaLogLevel::Debug,
            };
            Some((level, string(facility), string(text)))
        }
    }

    fn partitions(&self) -> Vec<Element> {
        // SAFETY: the event owns its list, of `cnt` elements, each with the name of its topic.
        unsafe {
            let Some(list) = rd_kafka_event_topic_partition_list(self.raw).as_ref() else { return Vec::new() };
            let count = usize::try_from(list.cnt).unwrap_or_default();
            (0..count)
                .map(|at| {
                    let element = &*list.elems.add(at);
                    Element {
                        topic: string(element.topic),
                        partition: element.partition,
                        offset: element.offset,
                        ok: is_ok(element.err),
                    }
                })
                .collect()
        }
    }
}

impl Drop for Event {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the event came from the queue's poll, and is given back once.
        unsafe { rd_kafka_event_destroy(self.raw) }
    }
}

fn is_ok(code: rd_kafka_resp_err_t) -> bool {
    code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
/// `text` is null or a C string that is alive.
unsafe fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}
