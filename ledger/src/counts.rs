//! What a profile's messages came to, in numbers, and the two sums that must balance.

use serde::{Deserialize, Serialize};

use crate::category::{Category, Told};

/// Sequences that nobody has and of which the producer was never told that they are safe, by what
/// it was told. (Acknowledged ones are `lost_in_cluster`.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Told that they are certainly not in the log.
    pub failed: u64,
    /// Told neither.
    pub indeterminate: u64,
    /// Sent with acks=0.
    pub unconfirmed: u64,
    /// Never taken by the client.
    pub unsent: u64,
}

impl Undelivered {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.failed + self.indeterminate + self.unconfirmed + self.unsent
    }
}

/// Declares [`Counts`] and the sum over its plain fields together, so that no field is forgotten.
macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// The counts of one profile, or of one of its partitions: `profiles.<name>.counts` in
        /// `report.json`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counts {
            $($(#[$doc])* pub $field: u64,)*
            /// Category: not acknowledged, and not in the log.
            pub undelivered: Undelivered,
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
                self.undelivered.failed += other.undelivered.failed;
                self.undelivered.indeterminate += other.undelivered.indeterminate;
                self.undelivered.unconfirmed += other.undelivered.unconfirmed;
                self.undelivered.unsent += other.undelivered.unsent;
            }
        }

        impl Counts {
            /// The names of all counts, as in `report.json`.
            pub const NAMES: &[&str] = &[$(stringify!($field),)* "undelivered"];

            /// The count of that name; `undelivered` is the sum of its four.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($field) => Some(self.$field),)*
                    "undelivered" => Some(self.undelivered.total()),
                    _ => None,
                }
            }
        }
    };
}

counts! {
    /// Sequences that the workload offered.
    offered,
    /// Producer state: delivery report OK with acks=1 or all.
    acked,
    /// Producer state: delivery report OK with acks=0.
    unconfirmed,
    /// Producer state: certainly not in the log.
    failed,
    /// Producer state: neither a success nor a proof of failure.
    indeterminate,
    /// Producer state: never taken by the client.
    unsent,
    /// Category: processed, and in the log as far as can be known.
    delivered,
    /// Category: processed, then truncated out of the log.
    vanished,
    /// Category: acknowledged, and not in the log.
    lost_in_cluster,
    /// Category: not acknowledged, but parked.
    recovered,
    /// Category: nothing can be said.
    unreadable,
    /// Category: removed by retention before it was processed.
    expired,
    /// Category: superseded by compaction.
    compacted,
    /// Category: in the log, and the group went past it.
    lost_by_consumer,
    /// Category: in the log, and the group has not come to it.
    lagging,
    /// Category: as lagging, because an open transaction hides it.
    behind_open_txn,
    /// Sum of the rows that are losses. A vanished sequence is one only if it was acknowledged.
    lost,
    /// Copies in the log beyond the first of one identity and application attempt.
    duplicates,
    /// Processings of a record beyond its first.
    redelivered,
    /// Processings of a message beyond its first, whichever record carried it: the same one again, Kafka's
    /// duplicate of it, or a copy that the application sent again.
    doubled,
    /// Sequences that entered the log after a later one of the same producer process.
    reordered,
    /// Records in the log that were never offered there.
    phantom,
    /// Records in the log whose payload is damaged, or not one of ours.
    corrupt,
    /// Processed records that were never offered there, or were damaged (the consumer's side of
    /// `phantom` and `corrupt`; such a record may since have been truncated).
    processed_foreign,
    /// Acknowledgements (not of acks=0) that name an offset which holds another record.
    offset_conflicts,
    /// Sequences reported as certainly not in the log that are in the log.
    failed_but_landed,
    /// Records processed although their transaction was aborted.
    aborted_reads,
    /// Transactions of which a part is visible and a part is absent.
    torn_txn,
    /// Records in the log that a group member jumped over without a reassignment.
    skips,
    /// Partitions whose last acknowledged commit is gone.
    commits_lost,
    /// Parked sequences that are in the log as well.
    recovered_and_landed,
    /// Sequences that the consumer put aside into a dead-letter topic.
    dead_lettered,
    /// Distinct sequences present in the log, those included that an open transaction hides.
    in_log,
    /// Data records read by the audit; fences, control records and `aborted_records` apart.
    records_in_log,
    /// Copies in the log beyond the first of each sequence, the application's own resends included.
    duplicate_records,
    /// Copies in the log that are of aborted transactions. They are in no other count.
    aborted_records,
}

/// A sum that does not balance: a defect of lossproof or of its evidence, which outranks every
/// verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "internal error: {what} does not balance: {left} against {right}; no verdict can be given. \
     Please report this with the run directory"
)]
pub struct Imbalance {
    /// Which identity.
    pub what: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

impl Counts {
    /// Adds sequences to their producer state.
    pub(crate) const fn add_told(&mut self, told: Told, sequences: u64) {
        *(match told {
            Told::Acked => &mut self.acked,
            Told::Unconfirmed => &mut self.unconfirmed,
            Told::Failed => &mut self.failed,
            Told::Indeterminate => &mut self.indeterminate,
            Told::Unsent => &mut self.unsent,
        }) += sequences;
    }

    /// Adds sequences to their category, and to `lost` where that is a loss.
    pub(crate) fn add_category(&mut self, category: Category, told: Told, sequences: u64) {
        let count = match category {
            Category::Delivered => &mut self.delivered,
            Category::Vanished => &mut self.vanished,
            Category::LostInCluster => &mut self.lost_in_cluster,
            Category::Recovered => &mut self.recovered,
            Category::Unreadable => &mut self.unreadable,
            Category::Expired => &mut self.expired,
            Category::Compacted => &mut self.compacted,
            Category::LostByConsumer => &mut self.lost_by_consumer,
            Category::Lagging => &mut self.lagging,
            Category::BehindOpenTxn => &mut self.behind_open_txn,
            Category::Undelivered => match told {
                // An acknowledged sequence cannot be undelivered; were it ever counted as such,
                // it would be missing from the sum of the categories, and the check below fail.
                Told::Acked => return,
                Told::Unconfirmed => &mut self.undelivered.unconfirmed,
                Told::Failed => &mut self.undelivered.failed,
                Told::Indeterminate => &mut self.undelivered.indeterminate,
                Told::Unsent => &mut self.undelivered.unsent,
            },
        };
        *count += sequences;
        if category.is_loss(told) {
            self.lost += sequences;
        }
    }

    /// Sum of the producer states.
    #[must_use]
    pub const fn told_total(&self) -> u64 {
        self.acked + self.unconfirmed + self.failed + self.indeterminate + self.unsent
    }

    /// Sum of the categories.
    #[must_use]
    pub const fn category_total(&self) -> u64 {
        self.delivered
            + self.vanished
            + self.lost_in_cluster
            + self.recovered
            + self.unreadable
            + self.expired
            + self.compacted
            + self.lost_by_consumer
            + self.lagging
            + self.behind_open_txn
            + self.undelivered.total()
    }

    /// Checks both identities, and that `lost` lies within its rows.
    ///
    /// # Errors
    /// The first one that does not balance.
    pub const fn check(&self) -> Result<(), Imbalance> {
        const fn equal(what: &'static str, left: u64, right: u64) -> Result<(), Imbalance> {
            if left == right { Ok(()) } else { Err(Imbalance { what, left, right }) }
        }
        let rows = self.lost_in_cluster + self.expired + self.lost_by_consumer + self.undelivered.total();
        if self.lost < rows || self.lost > rows + self.vanished {
            return Err(Imbalance {
                what: "lost = lost_in_cluster + expired + lost_by_consumer + undelivered + the acked of vanished",
                left: self.lost,
                right: rows,
            });
        }
        if let Err(e) = equal("offered = the sum of the producer states", self.offered, self.told_total()) {
            return Err(e);
        }
        if let Err(e) = equal("offered = the sum of the categories", self.offered, self.category_total()) {
            return Err(e);
        }
        equal(
            "records_in_log = in_log + duplicate_records + phantom + corrupt",
            self.records_in_log,
            self.in_log + self.duplicate_records + self.phantom + self.corrupt,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn sound() -> Counts {
        Counts {
            offered: 10,
            acked: 8,
            failed: 2,
            delivered: 5,
            vanished: 1,
            lost_in_cluster: 2,
            undelivered: Undelivered { failed: 2, ..Undelivered::default() },
            lost: 5,
            in_log: 5,
            duplicate_records: 1,
            phantom: 1,
            corrupt: 1,
            records_in_log: 8,
            ..Counts::default()
        }
    }

    #[test]
    fn sound_counts_balance() {
        assert_eq!(sound().check(), Ok(()));
    }

    #[test_case(|c| c.acked += 1, "producer states"; "a told too many")]
    #[test_case(|c| c.lagging += 1, "categories"; "a category too many")]
    #[test_case(|c| c.offered += 1, "producer states"; "an offered too many")]
    #[test_case(|c| c.records_in_log += 1, "records_in_log"; "a record too many")]
    #[test_case(|c| c.phantom -= 1, "records_in_log"; "a phantom too few")]
    #[test_case(|c| c.lost = 6, "lost ="; "more lost than rows")]
    #[test_case(|c| c.lost = 3, "lost ="; "fewer lost than rows")]
    fn a_sum_that_does_not_balance_is_an_error(break_it: fn(&mut Counts), names: &str) {
        let mut counts = sound();
        break_it(&mut counts);
        let error = counts.check().unwrap_err();
        assert!(error.what.contains(names), "{error}");
    }

    #[test]
    fn names_are_those_of_the_report() {
        let json = serde_json::to_value(sound()).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut names = Counts::NAMES.to_vec();
        keys.sort_unstable();
        names.sort_unstable();
        assert_eq!(keys, names);
        assert_eq!(sound().get("undelivered"), Some(2));
        assert_eq!(sound().get("records_in_log"), Some(8));
        assert_eq!(sound().get("nonsense"), None);
    }
}
