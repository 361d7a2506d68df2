//! Losses that a client made, or did not prevent: by consumers that went past, by producers that gave up.

use super::attribute::Attribution;
use super::gather::Piece;
use super::passed::{Commit, Consumed};
use super::{Cause, DestroyedBy, ExposedBy, FaultSeen, Sighting, Witness, member};
use crate::category::Told;
use crate::event::{PositionSource, Role};
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
            Some(Told::Indeterminate) | None => DestroyedBy::ClientEnded { how: self.end_of_producer() },
        };
        let exposed_by = match destroyed {
            // It would have been refused at any time.
            DestroyedBy::Refused { .. } | DestroyedBy::NotCommitted => None,
            _ => self.leader_away(stream, piece),
        };
        Cause { exposed_by: exposed_by.into_iter().collect(), destroyed_by: vec![destroyed], ..Cause::default() }
    }

    /// How the last producer process of the profile ended.
    fn end_of_producer(&self) -> Option<String> {
        let producer = |id: &crate::event::ClientId| id.profile == self.profile && id.role == Role::Producer;
        self.history.ended.iter().rev().find(|(id, _)| producer(id)).map(|(_, how)| how.clone())
    }

    /// Whether the partition had no leader, or one that did not answer or was hit by a fault, from when the first of
    /// the piece was due to when the last was given up.
    fn leader_away(&self, stream: StreamId, piece: &Piece) -> Option<ExposedBy> {
        let topic = self.history.topic(self.profile)?;
        let pace =
            self.paces.iter().find(|pace| (pace.producer, pace.partition) == (stream.producer, stream.partition))?;
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
