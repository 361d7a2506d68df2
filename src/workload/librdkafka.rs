//! The border to librdkafka, for what rdkafka's safe interface lacks.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::thread::Thread;

use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_conf_dump, rd_kafka_conf_dump_free, rd_kafka_message_broker_id, rd_kafka_message_leader_epoch,
    rd_kafka_message_status, rd_kafka_msg_status_t, rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy,
    rd_kafka_queue_get_main, rd_kafka_queue_length, rd_kafka_queue_t, rd_kafka_t, rd_kafka_topic_conf_destroy,
    rd_kafka_topic_conf_dump, rd_kafka_topic_conf_new,
};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;

/// librdkafka's own view of whether a message is in the log (`rd_kafka_msg_status_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Never transmitted, or answered with an error that proves it was not written, librdkafka thinks.
    Not,
    /// Transmitted, without an answer that proves anything.
    Possibly,
    /// Written and acknowledged.
    Persisted,
}

/// The status of a message that a delivery report hands over.
pub(super) fn persistence(message: &BorrowedMessage<'_>) -> Persistence {
    // SAFETY: the message is borrowed from its delivery event, which lives as long; the call reads it.
    match unsafe { rd_kafka_message_status(message.ptr()) } {
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persistence::Not,
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => Persistence::Possibly,
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_PERSISTED => Persistence::Persisted,
    }
}

/// The broker whose answer a delivery report conveys, or that a message came from; none if there was no
/// answer.
pub(super) fn broker_id(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is borrowed from the event that owns it; the call reads it.
    let id = unsafe { rd_kafka_message_broker_id(message.ptr()) };
    (id >= 0).then_some(id)
}

/// The leader epoch under which a record that was read had been appended; none if its batch does not
/// say.
pub fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is borrowed from the event that owns it; the call reads it.
    let epoch = unsafe { rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Names of all options that librdkafka lists: global and topic ones, without aliases.
pub(super) fn option_names() -> KafkaResult<Vec<String>> {
    let config = ClientConfig::new().create_native_config()?;
    let mut names = Vec::new();
    let mut count = 0;
    // SAFETY: the configuration is alive; a dump is an array of `count` strings, names and values in
    // turn, read before it is freed.
    unsafe {
        let dump = rd_kafka_conf_dump(config.ptr(), &raw mut count);
        push_names(&mut names, dump, count);
        rd_kafka_conf_dump_free(dump, count);
        let topic = rd_kafka_topic_conf_new();
        let dump = rd_kafka_topic_conf_dump(topic, &raw mut count);
        push_names(&mut names, dump, count);
        rd_kafka_conf_dump_free(dump, count);
        rd_kafka_topic_conf_destroy(topic);
    }
    Ok(names)
}

/// # Safety
/// `dump` must be an array of `count` pointers to strings, each null or terminated.
unsafe fn push_names(names: &mut Vec<String>, dump: *mut *const std::ffi::c_char, count: usize) {
    for at in (0..count).step_by(2) {
        // SAFETY: within the array, by the contract.
        let name = unsafe { *dump.add(at) };
        if !name.is_null() {
            // SAFETY: a terminated string, by the contract.
            names.push(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        }
    }
}

/// Wakes the thread that made it whenever the client's main queue gets something to serve, so that
/// delivery reports are taken at once by a thread that sleeps between two messages. (Waiting in
/// `BaseProducer::poll` spins during the last millisecond of its timeout.)
pub(super) struct Bell<'c> {
    queue: *mut rd_kafka_queue_t,
    thread: *mut Thread,
    client: PhantomData<&'c ()>,
}

impl<'c> Bell<'c> {
    /// For the calling thread.
    pub(super) fn new<C: ClientContext>(client: &'c Client<C>) -> Self {
        let thread = Box::into_raw(Box::new(std::thread::current()));
        // SAFETY: the client is alive, and outlives the bell by its lifetime; `thread` is freed only
        // after the callback was taken away.
        let queue = unsafe {
            let queue = rd_kafka_queue_get_main(client.native_ptr());
            rd_kafka_queue_cb_event_enable(queue, Some(ring), thread.cast());
            queue
        };
        Self { queue, thread, client: PhantomData }
    }

    /// Whether the queue holds something to serve.
    pub(super) fn rang(&self) -> bool {
        // SAFETY: the queue is held until drop.
        unsafe { rd_kafka_queue_length(self.queue) > 0 }
    }
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        // SAFETY: librdkafka changes and calls the callback under the queue's lock, so that none runs
        // after this; then nothing refers to the thread's handle.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.queue, None, std::ptr::null_mut());
            rd_kafka_queue_destroy(self.queue);
            drop(Box::from_raw(self.thread));
        }
    }
}

/// Called by librdkafka's threads.
unsafe extern "C" fn ring(_client: *mut rd_kafka_t, thread: *mut c_void) {
    // SAFETY: the handle that `Bell` holds while this callback is set.
    let thread = unsafe { &*thread.cast::<Thread>() };
    thread.unpark();
}
