//! The look for messages that clients have put aside: in dead-letter topics, which are audited like any
//! topic, in spools and in outboxes. What is found there is not lost, and waits for somebody.
//!
//! The journal of it is sealed only if all places were read to their ends; otherwise nothing is concluded
//! from what it lacks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use lossproof_ledger::record::{Content, Identity, Isolation, Place, Record};

use super::audit::Log;
use crate::experiment::{OnError, Profile};
use crate::workload::parking::{self, database, spool};

/// A place where messages may lie.
#[derive(Debug, Clone)]
pub enum Store {
    /// A dead-letter topic, with the fences that could be written.
    DeadLetters {
        /// Its log.
        log: Log,
        /// Number of its partitions.
        partitions: i32,
        /// Whose it is.
        place: Place,
    },
    /// A spool.
    Spool(PathBuf),
    /// The database of an outbox.
    Outbox(PathBuf),
}

/// The files of a profile's producer.
#[must_use]
pub fn files(run_dir: &Path, profile: &Profile) -> Vec<Store> {
    let dir = run_dir.join(parking::FOLDER);
    let spool = |partition| Store::Spool(parking::spool_path(&dir, &profile.name, 0, partition));
    let outbox = |partition| Store::Outbox(parking::database_path(&dir, &profile.name, 0, partition));
    let partitions = 0..profile.topic.partitions;
    match profile.producer.sending.on_error {
        OnError::Drop | OnError::Retry { .. } => Vec::new(),
        OnError::Dlq | OnError::Spool => partitions.map(spool).collect(),
        OnError::Outbox => partitions.map(outbox).collect(),
    }
}

/// Journals all messages of the run that are held somewhere. Gives a sentence for each place that could not be
/// read to its end.
///
/// # Errors
/// When the journal can't be written.
pub fn look(run: u64, profile: &str, stores: &[Store], journals: &Path) -> Result<Vec<String>> {
    let header = Header { run, profile: profile.to_owned(), source: Source::Parking };
    let mut journal = JournalWriter::create(journals, &header)?;
    let mut troubles = Vec::new();
    for store in stores {
        let (place, held) = match store {
            Store::DeadLetters { log, partitions, place } => {
                let (held, trouble) = dead_letters(log, *partitions);
                troubles.extend(trouble);
                (*place, held)
            }
            Store::Spool(path) => (Place::Spool, read(path, spool::held(path, run), &mut troubles)),
            Store::Outbox(path) => (Place::Outbox, read(path, database::held(path, run), &mut troubles)),
        };
        for identity in held {
            journal.append(&Record::Held { place, identity, at_ns: boottime_ns() })?;
        }
    }
    if troubles.is_empty() {
        journal.seal()?;
    }
    Ok(troubles)
}

fn read<E: std::fmt::Display>(
    path: &Path,
    held: std::result::Result<Vec<Identity>, E>,
    troubles: &mut Vec<String>,
) -> Vec<Identity> {
    held.unwrap_or_else(|error| {
        troubles.push(format!("what {} holds can't be read: {error}", path.display()));
        Vec::new()
    })
}

/// What lies in a dead-letter topic, and why that may not be all.
fn dead_letters(log: &Log, partitions: i32) -> (Vec<Identity>, Option<String>) {
    let mut held = Vec::new();
    let read = log.read_whole(partitions, Isolation::ReadUncommitted, |_, content| {
        if let Content::Message(identity) = content {
            held.push(identity);
        }
        Ok(())
    });
    let trouble = read.unwrap_or_else(|error| Some(format!("{error:#}")));
    (held, trouble.map(|why| format!("what {} holds is not all known: {why}", log.topic)))
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::journal::JournalReader;
    use lossproof_ledger::payload;

    use super::*;

    const RUN: u64 = 7;

    fn message(sequence: u64) -> (Identity, Vec<u8>) {
        let identity = Identity { run: RUN, producer: 1, incarnation: 0, partition: 0, sequence, attempt: 0 };
        let mut payload = vec![0; 100];
        payload::encode_into(&mut payload, &identity);
        (identity, payload)
    }

    fn journalled(dir: &Path) -> (Vec<(Place, u64)>, bool) {
        let mut reader = JournalReader::open(&dir.join("p-parking.ljr")).unwrap();
        let held = reader.by_ref().map(|record| match record.unwrap() {
            Record::Held { place, identity, .. } => (place, identity.sequence),
            other => panic!("{other:?}"),
        });
        (held.collect(), reader.finish().unwrap().sealed)
    }

    #[test]
    fn spools_and_outboxes_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, outbox) = (dir.path().join("a.spool"), dir.path().join("a.sqlite"));
        let (mut file, _) = spool::Spool::open(&spool, RUN).unwrap();
        file.put(&message(4).1);
        file.sync().unwrap();
        let mut database = database::Database::open(&outbox).unwrap();
        database.business_and_message(5, &message(5).1).unwrap();
        let stores = [Store::Spool(spool), Store::Outbox(outbox), Store::Spool(dir.path().join("never-made.spool"))];
        assert_eq!(look(RUN, "p", &stores, dir.path()).unwrap(), [""; 0]);
        assert_eq!(journalled(dir.path()), (vec![(Place::Spool, 4), (Place::Outbox, 5)], true));
    }

    #[test]
    fn what_can_not_be_read_leaves_the_journal_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        std::fs::write(&path, "this is no database, and long enough to be told from an empty one ".repeat(20)).unwrap();
        let troubles = look(RUN, "p", &[Store::Outbox(path)], dir.path()).unwrap();
        assert!(troubles.len() == 1 && troubles[0].contains("a.sqlite"), "{troubles:?}");
        assert_eq!(journalled(dir.path()), (vec![], false));
    }
}
