//! A sink that knows each message: a row of an SQLite file with the message's id as its primary key. The row is
//! the side effect. It is committed before anything else is done about the message, so that a kill leaves either no
//! row or one that counts, and a repeat, by whichever member, changes nothing.
//!
//! What is committed survives the process, not the host: the file is not synced.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lossproof_ledger::clock::boottime_ns;
use lossproof_ledger::record::{Identity, Record};
use rusqlite::{Connection, params};

use super::hand::Job;
use crate::workload::sqlite;

/// How long one member waits for another's transaction.
const BUSY_MAX: Duration = Duration::from_secs(2);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS effect (
        id TEXT PRIMARY KEY, partition INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        producer INTEGER, incarnation INTEGER, of_partition INTEGER, sequence INTEGER, attempt INTEGER
    ) WITHOUT ROWID;";

/// One connection.
pub(super) struct Sink(Connection);

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    New,
    Repeat,
}

/// Folder of sinks in a run directory.
pub const SINKS: &str = "sinks";

/// Where the sink of a profile's members is.
#[must_use]
pub fn sink_path(run_dir: &Path, profile: &str) -> PathBuf {
    run_dir.join(SINKS).join(format!("{profile}.sqlite"))
}

impl Sink {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        sqlite::open(path, SCHEMA, "off", BUSY_MAX).map(Self)
    }

    /// Commits the message's row, unless there is one.
    pub fn put(&mut self, job: &Job) -> rusqlite::Result<Put> {
        let &Job { partition, offset, identity, .. } = job;
        // What is no message of this run has no id but its place.
        let id = match identity {
            Some(Identity { producer, partition, sequence, .. }) => format!("{producer}/{partition}/{sequence}"),
            None => format!("at {partition}/{offset}"),
        };
        let mut insert = self.0.prepare_cached("INSERT OR IGNORE INTO effect VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)")?;
        let new = insert.execute(params![
            id,
            partition,
            offset,
            boottime_ns().cast_signed(),
            identity.map(|who| who.producer),
            identity.map(|who| who.incarnation),
            identity.map(|who| who.partition),
            identity.map(|who| who.sequence.cast_signed()),
            identity.map(|who| who.attempt),
        ])?;
        Ok(if new > 0 { Put::New } else { Put::Repeat })
    }
}

/// All that a sink holds, in the order of time, as what members would have journalled; nothing if the file was never
/// made.
///
/// # Errors
/// What SQLite says against reading it.
pub fn effects(path: &Path, run: u64) -> rusqlite::Result<Vec<Record>> {
    let Some(connection) = sqlite::open_left(path, BUSY_MAX)? else { return Ok(Vec::new()) };
    let mut select = connection.prepare(
        "SELECT partition, offset, at_ns, producer, incarnation, of_partition, sequence, attempt
         FROM effect ORDER BY at_ns",
    )?;
    let rows = select.query_map([], |row| {
        let identity = match row.get::<_, Option<u16>>(3)? {
            Some(producer) => Some(Identity {
                run,
                producer,
                incarnation: row.get(4)?,
                partition: row.get(5)?,
                sequence: row.get::<_, i64>(6)?.cast_unsigned(),
                attempt: row.get(7)?,
            }),
            None => None,
        };
        let at_ns = row.get::<_, i64>(2)?.cast_unsigned();
        Ok(Record::Processed { partition: row.get(0)?, offset: row.get(1)?, identity, at_ns })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::super::service::tests::job;
    use super::*;

    #[test]
    fn a_message_is_held_once_whoever_brings_it_and_however_its_writer_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = sink_path(dir.path(), "p");
        assert_eq!(effects(&path, 1).unwrap(), []);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let mut one = Sink::open(&path).unwrap();
        assert_eq!(one.put(&job(3)).unwrap(), Put::New);
        // Killed, it never gets to close the file.
        std::mem::forget(one);
        let mut two = Sink::open(&path).unwrap();
        assert_eq!(two.put(&job(3)).unwrap(), Put::Repeat);
        let again = Job { offset: 99, ..job(3) };
        assert_eq!(two.put(&again).unwrap(), Put::Repeat, "a duplicate at another offset is the same message");
        assert_eq!(two.put(&job(4)).unwrap(), Put::New);
        let foreign = Job { identity: None, ..job(4) };
        assert_eq!([two.put(&foreign).unwrap(), two.put(&foreign).unwrap()], [Put::New, Put::Repeat]);
        let held: Vec<_> = effects(&path, 1)
            .unwrap()
            .into_iter()
            .map(|record| match record {
                Record::Processed { partition: 0, offset, identity, at_ns: 1.. } => (offset, identity),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(held, [(13, job(3).identity), (14, job(4).identity), (14, None)]);
    }
}
