//! Four questions about each sequence, and the one category that the answers give.

use serde::{Deserialize, Serialize};

/// What the producer was told of a sequence; the best of its attempts, so ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Told {
    /// Offered, but never taken by the client.
    Unsent,
    /// Certainly not in the log.
    Failed,
    /// Neither a success nor a proof of failure.
    Indeterminate,
    /// Delivery report OK with acks=0, which proves nothing.
    Unconfirmed,
    /// Delivery report OK with acks=1 or all; in a transaction, also its commit.
    Acked,
}

/// Is the sequence in the log?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InLog {
    /// Visible under read_committed.
    Present,
    /// Not there, and the audit read everything that is.
    Absent,
    /// A tail reader saw it, and retention passed its offset.
    Expired,
    /// A later record of its key was seen on a compacted topic.
    Compacted,
    /// The audit of its partition is not complete.
    Unreadable,
}

/// What did the consumer group do with the sequence?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Its processing was journalled (or it was written to a consumer-side DLQ that was audited).
    Processed,
    /// Not processed, and the group's position lies behind it: the group will not come back.
    Past,
    /// Not processed, and the group has not come to it yet.
    Behind,
    /// As `Behind`, because an open transaction hides it.
    BehindOpenTxn,
}

/// Was the message parked for later outside its own topic (DLQ, spool, outbox)?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parked {
    /// Held by an audited DLQ, or by a durable spool or outbox.
    Held,
    /// Not parked.
    No,
}

/// The one category of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Processed, and in the log as far as can be known.
    Delivered,
    /// Read and processed, then truncated out of the log.
    Vanished,
    /// Acknowledged, and not in the log.
    LostInCluster,
    /// Not acknowledged, but parked.
    Recovered,
    /// Nothing can be said: its partition could not be read to the end.
    Unreadable,
    /// Removed by retention before the group processed it.
    Expired,
    /// Superseded by compaction.
    Compacted,
    /// In the log, and the group went past it without processing it.
    LostByConsumer,
    /// In the log, and the group has not come to it.
    Lagging,
    /// As `Lagging`, because an open transaction hides it.
    BehindOpenTxn,
    /// Not acknowledged, and not in the log.
    Undelivered,
}

/// What a category means for the question whether messages were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The message is lost.
    Loss,
    /// The message is safe, or nobody missed it.
    None,
    /// Nothing can be said.
    Inconclusive,
}

impl Category {
    /// Every category, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Delivered,
        Self::Vanished,
        Self::LostInCluster,
        Self::Recovered,
        Self::Unreadable,
        Self::Expired,
        Self::Compacted,
        Self::LostByConsumer,
        Self::Lagging,
        Self::BehindOpenTxn,
        Self::Undelivered,
    ];

    /// What the category means for a sequence of which the producer was told `told`.
    #[must_use]
    pub const fn effect(self, told: Told) -> Effect {
        match self {
            Self::Delivered | Self::Recovered | Self::Compacted => Effect::None,
            // The group has it, but who asks the log again does not: a broken promise only where
            // one was given.
            Self::Vanished => match told {
                Told::Acked => Effect::Loss,
                _ => Effect::None,
            },
            Self::LostInCluster | Self::Expired | Self::LostByConsumer | Self::Undelivered => Effect::Loss,
            Self::Unreadable | Self::Lagging | Self::BehindOpenTxn => Effect::Inconclusive,
        }
    }

    /// Whether a sequence of this category, of which the producer was told `told`, is lost.
    #[must_use]
    pub fn is_loss(self, told: Told) -> bool {
        self.effect(told) == Effect::Loss
    }
}

/// The one category that the four answers give: the rows of the table in order, the first that
/// fits.
#[must_use]
pub const fn categorise(told: Told, in_log: InLog, group: Group, parked: Parked) -> Category {
    match (told, in_log, group, parked) {
        (_, InLog::Absent, Group::Processed, _) => Category::Vanished,
        (_, _, Group::Processed, _) => Category::Delivered,
        (Told::Acked, InLog::Absent, _, _) => Category::LostInCluster,
        (Told::Unsent | Told::Failed | Told::Indeterminate | Told::Unconfirmed, _, _, Parked::Held) => {
            Category::Recovered
        }
        (_, InLog::Unreadable, _, _) => Category::Unreadable,
        (_, InLog::Expired, _, _) => Category::Expired,
        (_, InLog::Compacted, _, _) => Category::Compacted,
        (_, InLog::Present, Group::Past, _) => Category::LostByConsumer,
        (_, InLog::Present, Group::Behind, _) => Category::Lagging,
        (_, InLog::Present, Group::BehindOpenTxn, _) => Category::BehindOpenTxn,
        (_, InLog::Absent, _, _) => Category::Undelivered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: [Told; 5] = [Told::Unsent, Told::Failed, Told::Indeterminate, Told::Unconfirmed, Told::Acked];
    const IN_LOG: [InLog; 5] = [InLog::Present, InLog::Absent, InLog::Expired, InLog::Compacted, InLog::Unreadable];
    const GROUP: [Group; 4] = [Group::Processed, Group::Past, Group::Behind, Group::BehindOpenTxn];
    const PARKED: [Parked; 2] = [Parked::Held, Parked::No];

    /// Each row with all that its predecessors exclude written out, so that order means nothing.
    fn rows(t: Told, l: InLog, g: Group, r: Parked) -> Vec<Category> {
        let processed = g == Group::Processed;
        let absent = l == InLog::Absent;
        let acked = t == Told::Acked;
        let saved = r == Parked::Held && !acked;
        let open = !processed && !saved;
        [
            (processed && !absent, Category::Delivered),
            (processed && absent, Category::Vanished),
            (!processed && absent && acked, Category::LostInCluster),
            (!processed && saved, Category::Recovered),
            (open && l == InLog::Unreadable, Category::Unreadable),
            (open && l == InLog::Expired, Category::Expired),
            (open && l == InLog::Compacted, Category::Compacted),
            (open && l == InLog::Present && g == Group::Past, Category::LostByConsumer),
            (open && l == InLog::Present && g == Group::Behind, Category::Lagging),
            (open && l == InLog::Present && g == Group::BehindOpenTxn, Category::BehindOpenTxn),
            (open && absent && !acked, Category::Undelivered),
        ]
        .into_iter()
        .filter_map(|(fits, category)| fits.then_some(category))
        .collect()
    }

    #[test]
    fn the_whole_product_falls_into_exactly_one_row_each() {
        let mut seen = std::collections::BTreeSet::new();
        let mut cases = 0;
        for t in TOLD {
            for l in IN_LOG {
                for g in GROUP {
                    for r in PARKED {
                        let category = categorise(t, l, g, r);
                        assert_eq!(rows(t, l, g, r), [category], "{t:?} {l:?} {g:?} {r:?}");
                        seen.insert(category);
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 5 * 5 * 4 * 2);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), Category::ALL);
    }

    /// What people are promised, said without the table.
    #[test]
    fn promises_over_the_whole_product() {
        for t in TOLD {
            for l in IN_LOG {
                for g in GROUP {
                    for r in PARKED {
                        let effect = categorise(t, l, g, r).effect(t);
                        let case = format!("{t:?} {l:?} {g:?} {r:?}");
                        if t == Told::Acked && l == InLog::Absent {
                            assert_eq!(effect, Effect::Loss, "an ack was broken: {case}");
                        }
                        if g == Group::Processed && l != InLog::Absent {
                            assert_eq!(effect, Effect::None, "the group has it: {case}");
                        }
                        if l == InLog::Unreadable {
                            assert_ne!(effect, Effect::Loss, "a loss from not looking: {case}");
                        }
                        if l == InLog::Present && matches!(g, Group::Behind | Group::BehindOpenTxn) {
                            assert_ne!(effect, Effect::Loss, "it may still be read: {case}");
                        }
                        if r == Parked::Held && t != Told::Acked {
                            assert_eq!(effect, Effect::None, "it is kept elsewhere: {case}");
                        }
                        if l == InLog::Absent && g != Group::Processed && r == Parked::No {
                            assert_eq!(effect, Effect::Loss, "nobody has it: {case}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_told_is_ordered_from_worst_to_best() {
        assert!(TOLD.is_sorted());
    }
}
