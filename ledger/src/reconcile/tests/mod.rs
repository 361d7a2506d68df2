//! Tiny histories written out: each category and each flag by hand.

mod categories;
mod left;
mod parked;
mod scattered;
mod txns;

use super::*;
use crate::category::Told::{self, Acked, Failed, Indeterminate, Unconfirmed, Unsent};
use crate::counts::{Counts, Undelivered};
use crate::event::PositionSource;
use crate::record::{Content, Identity, Isolation, Place, Record, TxnOutcome};

const RUN: u64 = 7;
const P: i32 = 0;
const PRODUCER: u16 = 3;
const STREAM: StreamId = StreamId { producer: PRODUCER, partition: P };
const MEMBER: Process = Process { member: 0, incarnation: 0 };
const OTHER_MEMBER: Process = Process { member: 1, incarnation: 0 };

fn id(sequence: u64) -> Identity {
    Identity { run: RUN, producer: PRODUCER, incarnation: 0, partition: P, sequence, attempt: 0 }
}

fn told(sequence: u64, told: Told, offset: impl Into<Option<i64>>) -> Record {
    Record::Told {
        partition: P,
        sequence,
        attempt: 0,
        told,
        offset: offset.into(),
        error: 0,
        broker: None,
        in_txn: false,
        at_ns: 0,
    }
}

fn audited(offset: i64, content: Content) -> Record {
    Record::Audited {
        partition: P,
        offset,
        audit: 0,
        isolation: Isolation::ReadUncommitted,
        leader_epoch: None,
        content,
    }
}

fn message(offset: i64, sequence: u64) -> Record {
    audited(offset, Content::Message(id(sequence)))
}

fn polled(offset: i64) -> Record {
    Record::Polled { partition: P, offset, at_ns: 0 }
}

fn processed(offset: i64, sequence: u64) -> Record {
    Record::Processed { partition: P, offset, identity: Some(id(sequence)), at_ns: 0 }
}

fn committed(offset: i64, ok: bool, at_ns: u64) -> Record {
    Record::Committed { partition: P, offset, ok, at_ns }
}

const ASSIGNED: Record = Record::Assigned { partition: P, at_ns: 0 };

/// One stream to one partition, read to its end, with a group that stands at offset 100.
struct History {
    facts: Facts,
    log: Vec<Record>,
    told: Vec<Record>,
    group: Vec<(Process, Record)>,
}

fn history(offered: u64) -> History {
    History {
        facts: Facts {
            run: RUN,
            streams: vec![Stream { id: STREAM, offered: Offered::Below(offered) }],
            partitions: vec![Partition {
                partition: P,
                audit: Some(Audit { attempt: 0, complete: true, log_start: 0, committed: None, tail: None }),
                position: Some(Position { offset: 100, source: PositionSource::Committed }),
            }],
            journals: 2,
        },
        log: Vec::new(),
        told: Vec::new(),
        group: Vec::new(),
    }
}

impl History {
    fn log<const N: usize>(mut self, records: [Record; N]) -> Self {
        self.log.extend(records);
        self
    }

    fn told<const N: usize>(mut self, records: [Record; N]) -> Self {
        self.told.extend(records);
        self
    }

    fn group<const N: usize>(mut self, records: [Record; N]) -> Self {
        self.group.extend(records.map(|record| (MEMBER, record)));
        self
    }

    fn position(mut self, position: Option<(i64, PositionSource)>) -> Self {
        self.facts.partitions[0].position = position.map(|(offset, source)| Position { offset, source });
        self
    }

    fn audit(mut self, change: fn(&mut Audit)) -> Self {
        change(self.facts.partitions[0].audit.as_mut().unwrap());
        self
    }

    fn try_reconcile(&self) -> Result<Reconciliation, Error> {
        let mut log = LogPass::new(&self.facts)?;
        for record in &self.log {
            log.record(record)?;
        }
        let mut clients = log.clients();
        for record in &self.told {
            clients.producer_record(PRODUCER, record)?;
        }
        for (process, record) in &self.group {
            clients.consumer_record(*process, record)?;
        }
        clients.journal_ended(JournalEnd::Sealed);
        clients.journal_ended(JournalEnd::Torn);
        clients.finish()
    }

    fn reconcile(&self) -> Reconciliation {
        self.try_reconcile().unwrap()
    }

    fn counts(&self) -> Counts {
        self.reconcile().counts
    }
}

/// The findings as `first-last finding`.
fn findings(reconciliation: &Reconciliation) -> Vec<String> {
    reconciliation
        .anomalies
        .iter()
        .map(|a| {
            let finding = serde_json::to_value(a.finding).unwrap();
            format!("{}-{} {}", a.first, a.last, finding.as_str().unwrap())
        })
        .collect()
}
