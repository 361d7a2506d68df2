//! Anomalies planted at random in several streams must be found exactly, and nothing else.
//!
//! A plan says the fate of each message. From it come both the journals, as clients and an audit
//! would have written them, and the counts that are expected, by looking at whole lists where
//! reconciliation keeps a few bits.

mod oracle;
mod plan;
mod played;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::category::Category;
use crate::counts::Counts;
use plan::plan;
use played::{Played, play};

/// Number of the run.
const RUN: u64 = 99;

fn facts(played: &[Played]) -> Facts {
    let mut facts = Facts { run: RUN, journals: 0, ..Facts::default() };
    for played in played {
        let partition = played.partition;
        for (producer, stream) in (0..).zip(&played.plan.streams) {
            let numbers = 0..stream.len() as u64;
            let offered = match played.plan.stride {
                1 => Offered::Below(numbers.end),
                stride => Offered::These(numbers.map(|number| number * stride).collect()),
            };
            facts.streams.push(Stream { id: StreamId { producer, partition }, offered });
        }
        facts.partitions.push(played.facts());
        facts.journals += played.producer_journals().len();
    }
    facts.journals += 1;
    facts
}

/// Takes one from each list in turn, so that partitions mix as they do in real journals.
fn mixed<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut keyed: Vec<_> = lists.into_iter().flat_map(|list| list.into_iter().enumerate()).collect();
    keyed.sort_by_key(|(n, _)| *n);
    keyed.into_iter().map(|(_, item)| item).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planted_anomalies_are_found_exactly(plans in plan()) {
        let played: Vec<_> = (0..).zip(&plans).map(|(p, plan)| play(p, plan)).collect();

        let mut log = LogPass::new(&facts(&played)).unwrap();
        for record in mixed(played.iter().map(Played::log_journals).collect()) {
            log.record(&record).unwrap();
        }
        let mut clients = log.clients();
        for (producer, journal) in played.iter().flat_map(Played::producer_journals) {
            for record in journal {
                clients.producer_record(producer, &record).unwrap();
            }
            clients.journal_ended(JournalEnd::Torn);
        }
        let member = Process { member: 0, incarnation: 0 };
        for record in mixed(played.iter().map(Played::consumer_journal).collect()) {
            clients.consumer_record(member, &record).unwrap();
        }
        clients.journal_ended(JournalEnd::Sealed);
        let found = clients.finish().unwrap();

        let mut sum = Counts::default();
        for (played, partition) in played.iter().zip(&found.partitions) {
            let expected = played.expected();
            prop_assert_eq!(partition.counts, expected, "partition {}", played.partition);
            let covered = played.log_start == 0 || !played.plan.tail_missed;
            prop_assert_eq!(partition.audit_complete, played.complete && covered);
            sum += expected;
        }
        prop_assert_eq!(found.counts, sum);
        prop_assert!(found.journals_complete);
        prop_assert_eq!(found.strays.len() as u64, sum.phantom + sum.corrupt);
        prop_assert_eq!(&ranges(&found), &ranges_of_counts(&sum));
    }
}

/// Sequences by finding, as the ranges tell; ranges may neither overlap nor touch.
fn ranges(found: &Reconciliation) -> BTreeMap<Finding, u64> {
    let mut sums = BTreeMap::new();
    let mut last_of = BTreeMap::new();
    for a in &found.anomalies {
        *sums.entry(a.finding).or_default() += a.last - a.first + 1;
        if let Some(last) = last_of.insert((a.stream, a.finding), a.last) {
            assert!(last + 1 < a.first, "{a:?} touches the one before");
        }
    }
    // These are counted in records and transactions, and their ranges in sequences.
    sums.retain(|finding, _| !matches!(finding, Finding::Flag(Flag::Duplicate | Flag::Doubled | Flag::TornTxn)));
    sums
}

fn ranges_of_counts(counts: &Counts) -> BTreeMap<Finding, u64> {
    let category = Finding::Category;
    [
        (category(Category::Vanished), counts.vanished),
        (category(Category::LostInCluster), counts.lost_in_cluster),
        (category(Category::Unreadable), counts.unreadable),
        (category(Category::LostByConsumer), counts.lost_by_consumer),
        (category(Category::Lagging), counts.lagging),
        (category(Category::Undelivered), counts.undelivered.total()),
        (category(Category::Recovered), counts.recovered),
        (category(Category::Expired), counts.expired),
        (category(Category::Compacted), counts.compacted),
        (category(Category::BehindOpenTxn), counts.behind_open_txn),
        (Finding::Flag(Flag::Redelivered), counts.redelivered),
        (Finding::Flag(Flag::Reordered), counts.reordered),
        (Finding::Flag(Flag::OffsetConflict), counts.offset_conflicts),
        (Finding::Flag(Flag::FailedButLanded), counts.failed_but_landed),
        (Finding::Flag(Flag::AbortedRead), counts.aborted_reads),
        (Finding::Flag(Flag::RecoveredAndLanded), counts.recovered_and_landed),
        (Finding::Flag(Flag::DeadLettered), counts.dead_lettered),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}
