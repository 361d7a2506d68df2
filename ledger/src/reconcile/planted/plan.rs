//! Fates of messages, and strategies for them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::category::Told;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Acknowledged, in the log, processed.
    Clean,
    /// As clean, with that many copies more.
    Duplicated(u8),
    /// As clean, and sent once more by the application.
    Resent,
    /// As clean, and processed twice.
    Redelivered,
    /// In the log and processed, but not acknowledged; none: no report.
    Landed(Option<Told>),
    /// Acknowledged, not in the log.
    LostInCluster,
    /// Seen by the tail reader and acknowledged, then truncated.
    Truncated,
    /// Processed, then truncated.
    Vanished(Told),
    /// Neither in the log nor acknowledged.
    Undelivered(Option<Told>),
    /// In the log, passed over by its consumer.
    Skipped,
    /// In the log, at its end, where the group has not come.
    Lagging,
    /// Acknowledged, but its transaction was aborted; and whether it was processed.
    Aborted(bool),
    /// At the end of the log, in a transaction that never ended.
    Hidden,
    /// Acknowledged, and removed by retention; and whether it was processed before.
    Expired(bool),
    /// Parked by the producer; and whether it is in the log (and processed) as well.
    Parked(Told, bool),
    /// In the log, and in the consumer's dead-letter topic.
    DeadLettered,
}

pub(super) fn not_acked() -> impl Strategy<Value = Told> {
    prop_oneof![Just(Told::Unconfirmed), Just(Told::Failed), Just(Told::Indeterminate),]
}

pub(super) fn fate() -> impl Strategy<Value = Fate> {
    let any_told = || prop_oneof![Just(Told::Acked), not_acked()];
    prop_oneof![
        12 => Just(Fate::Clean),
        2 => (1_u8..3).prop_map(Fate::Duplicated),
        2 => Just(Fate::Resent),
        2 => Just(Fate::Redelivered),
        2 => proptest::option::of(not_acked()).prop_map(Fate::Landed),
        3 => Just(Fate::LostInCluster),
        1 => Just(Fate::Truncated),
        2 => any_told().prop_map(Fate::Vanished),
        2 => proptest::option::of(prop_oneof![not_acked(), Just(Told::Unsent)])
            .prop_map(Fate::Undelivered),
        2 => Just(Fate::Skipped),
        1 => Just(Fate::Lagging),
        2 => any::<bool>().prop_map(Fate::Aborted),
        1 => Just(Fate::Hidden),
        1 => any::<bool>().prop_map(Fate::Expired),
        2 => (any_told(), any::<bool>()).prop_map(|(told, landed)| Fate::Parked(told, landed)),
        1 => Just(Fate::DeadLettered),
    ]
}

/// Records that belong to nobody, and where in the log they lie (as a message of that sequence).
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreign {
    pub(super) at: u32,
    pub(super) corrupt: bool,
}

#[derive(Debug, Clone)]
pub(super) struct PartitionPlan {
    /// For each producer, the fate and the lateness of each message.
    pub(super) streams: Vec<Vec<(Fate, u32)>>,
    /// Difference between neighbouring sequences.
    pub(super) stride: u64,
    /// The producers were killed at this message and started again.
    pub(super) death: usize,
    /// The producers' journals are cut off after this many messages.
    pub(super) journalled: usize,
    pub(super) foreign: Vec<Foreign>,
    /// How many records the audit read, if it did not come to the end.
    pub(super) unread_after: Option<usize>,
    /// Messages are sent in transactions; what aborts or stays open without any is failed or lags.
    pub(super) transactional: bool,
    /// The topic is compacted, with that many keys.
    pub(super) keys: Option<u64>,
    /// The tail reader missed the first offset.
    pub(super) tail_missed: bool,
}

prop_compose! {
    pub(super) fn partition_plan(producers: usize)(
        // A message is late by up to two places: neighbours change places now and then.
        streams in vec(vec((fate(), prop_oneof![8 => Just(0_u32), 1 => 1_u32..25]), 0..24), producers),
        stride in prop_oneof![4 => Just(1), 1 => select(vec![2_u64, 63, 1 << 33])],
        death in 0_usize..30,
        journalled in prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..24],
        foreign in vec((0_u32..30, any::<bool>()).prop_map(|(at, corrupt)| Foreign { at, corrupt }), 0..3),
        unread_after in prop_oneof![3 => Just(None), 1 => (0_usize..40).prop_map(Some)],
        transactional in any::<bool>(),
        keys in prop_oneof![3 => Just(None), 1 => (1_u64..6).prop_map(Some)],
        tail_missed in prop_oneof![6 => Just(false), 1 => Just(true)],
    ) -> PartitionPlan {
        PartitionPlan {
            streams, stride, death, journalled, foreign, unread_after, transactional, keys, tail_missed,
        }
    }
}

pub(super) fn plan() -> impl Strategy<Value = Vec<PartitionPlan>> {
    (1_usize..4).prop_flat_map(|producers| vec(partition_plan(producers), 1..4))
}
