//! A second witness of acknowledgements, for tests: what it heard must be in the journal, whenever the
//! process was killed.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::workload::child::ChildError;

/// Bytes of one acknowledgement: the partition (`i32`), then the sequence (`u64`), little-endian.
pub const WITNESS_BYTES: usize = 12;

/// A pipe that hears of each acknowledgement once its entry is in the journal.
pub(super) struct Witness(File);

impl Witness {
    /// Opens a FIFO, and waits for its reader.
    pub(super) fn open(path: &Path) -> Result<Self, ChildError> {
        let file = File::options().write(true).open(path);
        file.map(Self).map_err(|source| ChildError::Witness { path: path.to_owned(), source })
    }

    pub(super) fn tell(&self, partition: i32, sequence: u64) {
        let mut bytes = [0; WITNESS_BYTES];
        bytes[..4].copy_from_slice(&partition.to_le_bytes());
        bytes[4..].copy_from_slice(&sequence.to_le_bytes());
        // So short a write is atomic, whichever stream's thread makes it. A reader that is gone wants to hear no more.
        let _ = (&self.0).write_all(&bytes);
    }
}
