//! Losses that a client made, or did not prevent: by consumers that went past, by producers that gave up.

use super::attribute::Attribution;
use super::gather::Piece;
use super::passed::{Commit, Consumed};
use super::{Cause, DestroyedBy, ExposedBy, FaultSeen, Sighting, Witness, member};
use crate::category::Told;
use crate::event::{ClientId, PositionSource, Role};
use crate::journal::Stream;
use crate::reconcile::StreamId;

/// `RD_KAFKA_RESP_ERR__QUEUE_FULL`.
const QUEUE_FULL: i32 = -184;

impl Attribution<'_> {
    pub(super) fn by_consumer(&self, partition: i32, piece: &Piece, consumed: &Consumed) -> Cause {
        let key = (self.profile.to_owned(), partition);
        let audit = self.history.audits.get(&key);
        let mut cause = Cause {
            // The log still holds them; it is the group that lacks them.
            held: audit.map(|seen| Sighting { at_ns: seen.at_ns, by: Witness::Audit }),
            ..Cause::default()
        };
        if let Some((member, incarnation)) = consumed.polled_by.map(member) {
            let all = piece.last - piece.first + 1;
            let others = consumed.others.min(consumed.polled);
            let messages = (consumed.polled - others).min(all);
            cause.exposed_by.push(if messages > 0 {
                ExposedBy::HandedOut { member, incarnation, messages }
            } else {
                ExposedBy::OffsetsRead { member, incarnation, messages: others.min(all) }
            });
        }
        if let Some((at_ns, process, to)) = consumed.skip {
            let (member, incarnation) = member(process);
            cause.destroyed_by.push(DestroyedBy::Skip { member, incarnation, to, at_ns });
        }
        if let Some(Commit { at_ns, process, offset, leaving: closing }) = consumed.commit {
            let (member, incarnation) = member(process);
            cause.destroyed_by.push(DestroyedBy::Commit { member, incarnation, offset, at_ns, closing });
        } else if let Some((position, PositionSource::Reset)) = self.history.positions.get(&key) {
            cause.destroyed_by.push(DestroyedBy::Reset { position: *position });
        }
        cause
    }

    pub(super) fn undelivered(&self, stream: StreamId, piece: &Piece) -> Cause {
        let destroyed = match piece.told {
            Some(Told::Failed) => DestroyedBy::Refused { error: piece.error },
            Some(Told::Unsent) if piece.error == QUEUE_FULL => DestroyedBy::QueueFull,
            Some(Told::Unsent) => DestroyedBy::NotTaken { error: piece.error },
            Some(Told::Indeterminate) if piece.error != 0 => DestroyedBy::GivenUp { error: piece.error },
            Some(Told::Unconfirmed) => DestroyedBy::Unconfirmed,
            // The reconciliation takes such a report for a promise, unless its transaction came to nothing.
            Some(Told::Acked) => DestroyedBy::NotCommitted,
            // The rest is what a client had in hand, without a word on it, when it ended.
            Some(Told::Indeterminate) | None => self.end_of_producer(stream, piece.first),
        };
        let exposed_by = match destroyed {
            // It would have been refused at any time.
            DestroyedBy::Refused { .. } | DestroyedBy::NotCommitted => None,
            _ => self.leader_away(stream, piece),
        };
        Cause { exposed_by: exposed_by.into_iter().collect(), destroyed_by: vec![destroyed], ..Cause::default() }
    }

    /// The pace by which a sequence was offered, and in which incarnation: the last that begins at or before it.
    fn pace(&self, stream: StreamId, sequence: u64) -> Option<&(u16, Stream)> {
        let own = |pace: &Stream| (pace.producer, pace.partition) == (stream.producer, stream.partition);
        self.paces.iter().rfind(|(_, pace)| own(pace) && pace.first <= sequence)
    }

    /// How the producer process ended that had offered a sequence, and by which fault.
    fn end_of_producer(&self, stream: StreamId, sequence: u64) -> DestroyedBy {
        let Some((incarnation, _)) = self.pace(stream, sequence) else {
            return DestroyedBy::ClientEnded { how: None, fault: None };
        };
        let is_it = |id: &ClientId| {
            (id.profile.as_str(), id.role, id.incarnation) == (self.profile, Role::Producer, *incarnation)
        };
        let ended = self.history.ended.iter().rfind(|ended| is_it(&ended.client));
        let fault = ended.and_then(|ended| {
            let name = ClientId { incarnation: 0, ..ended.client.clone() }.to_string();
            let by = |fault: &FaultSeen| {
                let called_for =
                    fault.injected.is_some_and(|(called, proven)| (called..=proven).contains(&ended.at_ns));
                fault.proven && called_for && fault.clients.contains(&name)
            };
            self.history.faults.iter().find(|(_, fault)| by(fault)).map(|(index, _)| *index)
        });
        DestroyedBy::ClientEnded { how: ended.map(|ended| ended.how.clone()), fault }
    }

    /// Whether the partition had no leader, or one that did not answer or was hit by a fault, from when the first of
    /// the piece was due to when the last was given up.
    fn leader_away(&self, stream: StreamId, piece: &Piece) -> Option<ExposedBy> {
        let topic = self.history.topic(self.profile)?;
        let (_, pace) = self.pace(stream, piece.first)?;
        let due_ns = |sequence| self.history.since_start(pace.intended_ns(sequence));
        let from_ns = due_ns(piece.first);
        let to_ns = piece.told_ns.map_or(due_ns(piece.last), |(_, last)| last);
        let leaders: Vec<_> = self.history.leaders_of(topic, stream.partition).collect();
        // Who led in which part of that time, as long as no other leader was heard of.
        let reigns = leaders.iter().enumerate().filter_map(|(index, seen)| {
            let from_ns = from_ns.max(seen.at_ns);
            let to_ns = leaders.get(index + 1).map_or(to_ns, |next| to_ns.min(next.at_ns));
            (from_ns <= to_ns).then_some((*seen, from_ns, to_ns))
        });
        let reigns: Vec<_> = reigns.collect();
        let fault = |fits: &dyn Fn(&FaultSeen) -> bool| {
            let found = self.history.faults.iter().find(|(_, fault)| fault.proven && fits(fault));
            found.map(|(index, _)| *index)
        };
        let away = reigns.iter().find_map(|(seen, from_ns, to_ns)| {
            if seen.leader < 0 {
                let fault = fault(&|fault| fault.covers(seen.at_ns));
                return Some(ExposedBy::LeaderAway { broker: None, from_ns: seen.at_ns, fault });
            }
            let away_ns = self.history.silent(seen.leader, *from_ns, *to_ns)?.from_ns;
            let fault = fault(&|fault| fault.hit(seen.leader) && fault.covers(away_ns));
            Some(ExposedBy::LeaderAway { broker: Some(seen.leader), from_ns: away_ns, fault })
        });
        away.or_else(|| {
            reigns.iter().find_map(|(seen, from_ns, to_ns)| {
                let broker = seen.leader;
                let fault = fault(&|fault| fault.hit(broker) && fault.overlaps(*from_ns, *to_ns))?;
                Some(ExposedBy::LeaderHit { broker, fault })
            })
        })
    }
}
