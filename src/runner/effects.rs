//! What members of a group did, where that lies elsewhere than in their journals: read when they have ended, and
//! journalled as they would have. So a member that was killed right after its deed has done it all the same.

use std::path::Path;

use anyhow::{Context, Result};
use lossproof_ledger::journal::{Header, JournalWriter, Source};

use crate::workload::effects;

/// Journals the rows of a sink. The journal is sealed only if that was all of them.
///
/// # Errors
/// When the sink can't be read, or the journal can't be written.
pub fn of_sink(sink: &Path, run: u64, profile: &str, journals: &Path) -> Result<()> {
    let header = Header { run, profile: profile.to_owned(), source: Source::Effects };
    let mut journal = JournalWriter::create(journals, &header)?;
    for record in effects(sink, run).with_context(|| format!("reading {}", sink.display()))? {
        journal.append(&record)?;
    }
    Ok(journal.seal()?)
}
