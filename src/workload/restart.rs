//! A client that is started again: the next incarnation of the same process.

use std::path::Path;

use lossproof_ledger::event::ClientId;
use lossproof_ledger::journal::{Header, JournalError, JournalReader, Source, Stream};

use super::spec::{Behaviour, ClientSpec, Producing};

impl ClientSpec {
    /// What the next incarnation is to do, once this one has ended. Each stream of a producer goes on at the
    /// first sequence that was never offered, by the journals on disk.
    ///
    /// # Errors
    /// If a journal can't be read: sequences that are offered twice would be no account.
    pub fn next_incarnation(&self) -> Result<Self, JournalError> {
        let mut next = self.clone();
        next.id.incarnation += 1;
        if let Behaviour::Producer(producing) = &mut next.behaviour {
            producing.first = (0..producing.partitions)
                .map(|partition| first(&self.journal_dir, self.run, &self.id, producing, partition))
                .collect::<Result<_, _>>()?;
        }
        Ok(next)
    }
}

/// The first sequence of a partition that this incarnation, or one before, did not offer.
fn first(dir: &Path, run: u64, id: &ClientId, own: &Producing, partition: i32) -> Result<u64, JournalError> {
    let stream = Stream { producer: own.producer, partition, first: 0, start_ns: 0, period_ns: 0 };
    let source = Source::Producer { member: id.member, incarnation: id.incarnation, stream };
    let path = dir.join(Header { run, profile: id.profile.clone(), source }.file_name());
    let begun = own.first_of(partition);
    // It may have ended before it had a journal.
    if !path.exists() {
        return Ok(begun);
    }
    Ok(JournalReader::open(&path)?.next_sequence().max(begun))
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::event::Role;
    use lossproof_ledger::journal::JournalWriter;

    use super::*;
    use crate::experiment::{Handling, OnFatal, OnQueueFull, Sending};
    use crate::workload::Consuming;

    fn spec(dir: &Path, role: Role, behaviour: Behaviour) -> ClientSpec {
        ClientSpec {
            id: ClientId { profile: "p".to_owned(), role, member: 0, incarnation: 0 },
            run: 7,
            bootstrap: "127.0.0.1:1".to_owned(),
            topic: "t".to_owned(),
            options: Vec::new(),
            journal_dir: dir.to_owned(),
            behaviour,
        }
    }

    fn producer(dir: &Path) -> ClientSpec {
        let producing = Producing {
            producer: 3,
            partitions: 3,
            first: Vec::new(),
            rate_per_s: 100.0,
            payload_bytes: 100,
            on_queue_full: OnQueueFull::Block,
            on_fatal: OnFatal::Stop,
            keys: None,
            transactions: None,
            sending: Sending::default(),
            parking: None,
            witness: None,
        };
        spec(dir, Role::Producer, Behaviour::Producer(producing))
    }

    /// A journal as a process that was killed leaves it.
    fn journal(spec: &ClientSpec, partition: i32, first: u64, next: u64) {
        let ClientId { member, incarnation, .. } = spec.id;
        let stream = Stream { producer: 3, partition, first, start_ns: 0, period_ns: 1 };
        let source = Source::Producer { member, incarnation, stream };
        let header = Header { run: spec.run, profile: spec.id.profile.clone(), source };
        let journal = JournalWriter::create(&spec.journal_dir, &header).unwrap();
        journal.raise_next(next);
    }

    fn firsts(spec: &ClientSpec) -> Vec<u64> {
        let Behaviour::Producer(producing) = &spec.behaviour else { panic!("a producer") };
        (0..3).map(|partition| producing.first_of(partition)).collect()
    }

    #[test]
    fn a_producer_goes_on_at_what_was_never_offered() {
        let dir = tempfile::tempdir().unwrap();
        let one = producer(dir.path());
        assert_eq!(firsts(&one), [0, 0, 0]);
        journal(&one, 0, 0, 41);
        journal(&one, 2, 0, 40);
        let two = one.next_incarnation().unwrap();
        assert_eq!((two.id.incarnation, firsts(&two)), (1, vec![41, 0, 40]));
        // Killed before it offered anything, or had all of its journals.
        journal(&two, 0, 41, 0);
        assert_eq!(firsts(&two.next_incarnation().unwrap()), [41, 0, 40]);
    }

    #[test]
    fn a_journal_that_says_nothing_is_no_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let one = producer(dir.path());
        std::fs::write(dir.path().join("p-producer-0-0-p1.ljr"), "nonsense").unwrap();
        assert!(one.next_incarnation().is_err());
    }

    #[test]
    fn a_consumer_is_the_same_member_of_the_same_group() {
        let dir = tempfile::tempdir().unwrap();
        let consuming = Consuming {
            group: "g".to_owned(),
            handling: Handling::default(),
            started_ns: 0,
            sink: None,
            results: None,
        };
        let one = spec(dir.path(), Role::Consumer, Behaviour::Consumer(consuming));
        let two = one.next_incarnation().unwrap();
        assert_eq!(two.name(), "p-consumer-0-1");
        assert_eq!(ClientSpec { id: one.id.clone(), ..two }, one);
    }
}
