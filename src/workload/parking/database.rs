//! A producer's local database, as a service has one: the rows of its business, and for an outbox the
//! messages that belong to them, written in one transaction and kept until they are delivered.
//!
//! SQLite with a write-ahead log that is synced at each commit, so that what is committed survives the
//! process and a power loss of its host.

use std::path::Path;
use std::time::Duration;

use lossproof_ledger::payload::{self, Decoded};
use lossproof_ledger::record::Identity;
use rusqlite::{Connection, params};

use crate::workload::sqlite;

/// How long one connection waits for another's transaction.
const BUSY_MAX: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS business (sequence INTEGER PRIMARY KEY, made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE IF NOT EXISTS message (
        sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0
    );";

/// One connection.
#[derive(Debug)]
pub struct Database(Connection);

/// Sequences are SQLite's integers, which have a sign.
fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

impl Database {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        sqlite::open(path, SCHEMA, "full", BUSY_MAX).map(Self)
    }

    /// The first sequence without a row.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn next_sequence(&self) -> rusqlite::Result<u64> {
        let last = self.0.query_row("SELECT max(sequence) FROM business", [], |row| row.get::<_, Option<i64>>(0))?;
        Ok(last.map_or(0, |last| last.cast_unsigned() + 1))
    }

    /// Commits a row of the business alone.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn business(&mut self, sequence: u64) -> rusqlite::Result<()> {
        self.0.prepare_cached("INSERT INTO business (sequence) VALUES (?1)")?.execute([number(sequence)])?;
        Ok(())
    }

    /// Commits a row of the business with its message.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn business_and_message(&mut self, sequence: u64, payload: &[u8]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        transaction.prepare_cached("INSERT INTO business (sequence) VALUES (?1)")?.execute([number(sequence)])?;
        transaction
            .prepare_cached("INSERT INTO message (sequence, payload) VALUES (?1, ?2)")?
            .execute(params![number(sequence), payload])?;
        transaction.commit()
    }

    /// Takes messages that are not delivered, of those `from` a sequence on and below another, `most` at
    /// most: each gets another attempt, committed before it can be made, so that no two are the same.
    /// Gives sequences in order, with their attempts counted from 0.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn claim(&mut self, from: u64, below: u64, most: usize) -> rusqlite::Result<Vec<(u64, u16)>> {
        let mut claim = self.0.prepare_cached(
            "UPDATE message SET attempts = attempts + 1 WHERE sequence IN (
                SELECT sequence FROM message WHERE sequence >= ?1 AND sequence < ?2 AND sent = 0
                ORDER BY sequence LIMIT ?3)
             RETURNING sequence, attempts - 1",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = claim.query_map(params![number(from), number(below), most], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, u16>(1)?))
        })?;
        let mut claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        claimed.sort_unstable();
        Ok(claimed)
    }

    /// Messages are delivered.
    ///
    /// # Errors
    /// What SQLite says against it.
    pub fn sent(&mut self, sequences: &[u64]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        for sequence in sequences {
            let mut update = transaction.prepare_cached("UPDATE message SET sent = 1 WHERE sequence = ?1")?;
            update.execute([number(*sequence)])?;
        }
        transaction.commit()
    }
}

/// The messages of a run that are not delivered; none if the database was never made.
///
/// # Errors
/// What SQLite says against reading it.
pub fn held(path: &Path, run: u64) -> rusqlite::Result<Vec<Identity>> {
    let Some(connection) = sqlite::open_left(path, BUSY_MAX)? else { return Ok(Vec::new()) };
    let mut select = connection.prepare("SELECT payload FROM message WHERE sent = 0 ORDER BY sequence")?;
    let payloads = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let mut held = Vec::new();
    for payload in payloads {
        if let Decoded::Ours(identity) = payload::decode(&payload?, run) {
            held.push(identity);
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 5;

    fn message(sequence: u64) -> (Identity, Vec<u8>) {
        let identity = Identity { run: RUN, producer: 1, incarnation: 0, partition: 0, sequence, attempt: 0 };
        let mut payload = vec![0; 100];
        payload::encode_into(&mut payload, &identity);
        (identity, payload)
    }

    #[test]
    fn messages_stay_until_they_are_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        assert_eq!(held(&path, RUN).unwrap(), []);
        let mut database = Database::open(&path).unwrap();
        assert_eq!(database.next_sequence().unwrap(), 0);
        for sequence in 0..4 {
            database.business_and_message(sequence, &message(sequence).1).unwrap();
        }
        let mut relay = Database::open(&path).unwrap();
        assert_eq!(relay.claim(0, 3, 2).unwrap(), [(0, 0), (1, 0)]);
        assert_eq!(relay.claim(2, 3, 2).unwrap(), [(2, 0)], "what is not published yet is not seen");
        relay.sent(&[0, 2]).unwrap();
        assert_eq!(relay.claim(0, 4, 9).unwrap(), [(1, 1), (3, 0)]);
        drop(relay);
        // Its writer is killed, and starts again.
        std::mem::forget(database);
        assert_eq!(held(&path, RUN).unwrap(), [message(1).0, message(3).0]);
        let mut again = Database::open(&path).unwrap();
        assert_eq!(again.next_sequence().unwrap(), 4);
        assert_eq!(again.claim(0, 4, 9).unwrap(), [(1, 2), (3, 1)]);
        again.sent(&[1, 3]).unwrap();
        assert_eq!(held(&path, RUN).unwrap(), []);
    }

    #[test]
    fn a_row_of_the_business_has_no_message_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        let mut database = Database::open(&path).unwrap();
        database.business(0).unwrap();
        database.business(1).unwrap();
        assert!(database.business(1).is_err(), "each once");
        assert_eq!(database.next_sequence().unwrap(), 2);
        assert_eq!(held(&path, RUN).unwrap(), []);
    }

    #[test]
    fn what_fails_leaves_neither_row() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = Database::open(&dir.path().join("a.sqlite")).unwrap();
        database.0.execute("INSERT INTO message (sequence, payload) VALUES (0, x'00')", []).unwrap();
        assert!(database.business_and_message(0, b"").is_err());
        assert_eq!(database.next_sequence().unwrap(), 0);
    }
}
