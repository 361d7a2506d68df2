//! What a report says of single ranges of messages, and why they were lost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use lossproof_ledger::category::Told;
use lossproof_ledger::cause::Explained;
use lossproof_ledger::reconcile::Finding;
use serde::{Deserialize, Serialize};

use super::causes;

/// Ranges that a report names one by one; of the others their number is told.
const SHOWN_MAX: usize = 100;

/// What was remarkable about a profile's messages, in ranges. Times are nanoseconds since the run's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomalies {
    /// Why messages were lost, the most frequent cause first. Counts every lost message.
    pub losses: Vec<Loss>,
    /// The ranges: lost ones first, the largest first.
    pub anomalies: Vec<Explained>,
    /// What is not among them.
    pub anomalies_left_out: LeftOut,
}

/// Messages that were lost alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// How many.
    pub messages: u64,
    /// What became of them.
    pub category: Finding,
    /// Why, one clause.
    pub cause: String,
}

/// Ranges that were left out of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many.
    pub ranges: u64,
    /// How many messages they hold.
    pub messages: u64,
}

impl Anomalies {
    /// Of all that was explained.
    #[must_use]
    pub fn of(explained: &[Explained]) -> Self {
        let mut ranges: Vec<&Explained> = explained.iter().collect();
        ranges.sort_by_key(|range| {
            (range.cause.is_none(), Reverse(range.messages()), range.stream, range.first, range.finding)
        });
        let (shown, left_out) = ranges.split_at(ranges.len().min(SHOWN_MAX));
        Self {
            losses: losses(explained),
            anomalies: shown.iter().map(|range| (*range).clone()).collect(),
            anomalies_left_out: LeftOut {
                ranges: left_out.len() as u64,
                messages: left_out.iter().map(|range| range.messages()).sum(),
            },
        }
    }
}

/// Lost messages by their cause, in words: what reads the same was lost alike.
fn losses(explained: &[Explained]) -> Vec<Loss> {
    let mut counts: BTreeMap<(Finding, String), u64> = BTreeMap::new();
    for range in explained {
        if let (Some(cause), Finding::Category(category)) = (&range.cause, range.finding)
            && category.is_loss(range.told.unwrap_or(Told::Indeterminate))
        {
            *counts.entry((range.finding, causes::clause(range, cause))).or_default() += range.messages();
        }
    }
    let mut losses: Vec<Loss> =
        counts.into_iter().map(|((category, cause), messages)| Loss { messages, category, cause }).collect();
    losses.sort_by_key(|loss| Reverse(loss.messages));
    losses
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::category::Category;
    use lossproof_ledger::cause::{Cause, DestroyedBy};
    use lossproof_ledger::reconcile::{Flag, StreamId};

    use super::*;

    fn range(first: u64, last: u64, finding: Finding, told: Told, destroyed: DestroyedBy) -> Explained {
        let lost = matches!(finding, Finding::Category(_));
        Explained {
            stream: StreamId { producer: 0, partition: 0 },
            first,
            last,
            finding,
            told: Some(told),
            broker: None,
            error: 0,
            told_ns: None,
            offsets: None,
            cause: lost.then(|| Cause { destroyed_by: vec![destroyed], ..Cause::default() }),
        }
    }

    #[test]
    fn losses_are_all_counted_and_ranges_shown_up_to_a_bound() {
        let undelivered = Finding::Category(Category::Undelivered);
        let mut ranges: Vec<Explained> = (0..150)
            .map(|n| range(n * 10, n * 10 + n % 3, undelivered, Told::Unsent, DestroyedBy::QueueFull))
            .collect();
        let vanished = Finding::Category(Category::Vanished);
        ranges.push(range(9_000, 9_099, Finding::Flag(Flag::Duplicate), Told::Acked, DestroyedBy::QueueFull));
        // Vanished without a promise: no loss.
        ranges.push(range(9_500, 9_599, vanished, Told::Indeterminate, DestroyedBy::QueueFull));
        ranges.push(range(9_700, 9_709, undelivered, Told::Failed, DestroyedBy::Refused { error: 10 }));
        let anomalies = Anomalies::of(&ranges);
        let losses: Vec<(u64, &str)> =
            anomalies.losses.iter().map(|loss| (loss.messages, loss.cause.as_str())).collect();
        assert_eq!(
            losses,
            [
                (300, "not sent, dropped, as the client's queue was full"),
                (10, "refused, MessageSizeTooLarge (Broker: Message size too large)"),
            ]
        );
        assert_eq!(anomalies.anomalies.len(), SHOWN_MAX);
        assert_eq!(anomalies.anomalies[0].first, 9_500, "the largest first");
        assert_eq!(anomalies.anomalies[1].first, 9_700);
        let LeftOut { ranges: left, messages } = anomalies.anomalies_left_out;
        let shown: u64 = anomalies.anomalies.iter().map(Explained::messages).sum();
        assert_eq!((left, shown + messages), (53, 300 + 100 + 100 + 10));
        assert!(anomalies.anomalies.iter().all(|range| range.cause.is_some()), "flags come last");
    }
}
