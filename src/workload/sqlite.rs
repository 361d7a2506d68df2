//! SQLite files that clients write and the run reads when they have ended, killed or not.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Opens a file, or makes it with its tables. `synchronous` is SQLite's word for when it syncs; another connection's
/// transaction is waited for as long as `busy`.
pub(super) fn open(path: &Path, schema: &str, synchronous: &str, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(schema)?;
    Ok(connection)
}

/// Opens a file to read what clients left in it; none if it was never made.
pub(super) fn open_left(path: &Path, busy: Duration) -> rusqlite::Result<Option<Connection>> {
    if !path.exists() {
        return Ok(None);
    }
    // Not read-only: what its writer, if it was killed, left in the write-ahead log is part of it.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(busy)?;
    Ok(Some(connection))
}
