//! What members of a group did, where that lies elsewhere than in their journals: read when they have ended, and
//! journalled as they would have. So a member that was killed right after its deed has done it all the same.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lossproof_ledger::journal::{Header, JournalWriter, Source};
use lossproof_ledger::record::{Content, Isolation, Record};
use rdkafka::message::Message;

use super::audit::Log;
use crate::workload::effects;
use crate::workload::results::ResultOf;

/// Where members' deeds lie.
#[derive(Debug, Clone)]
pub enum Deeds {
    /// In the file of a sink.
    Sink(PathBuf),
    /// In a topic of results, with all its partitions.
    Results {
        /// Its log, with the fences that could be written.
        log: Log,
        /// Number of its partitions.
        partitions: i32,
        /// How somebody downstream reads it.
        isolation: Isolation,
    },
}

/// Journals all deeds of a profile's members. The journal is sealed only if that was all of them.
///
/// # Errors
/// When they can't all be read, or the journal can't be written.
pub fn look(deeds: &Deeds, run: u64, profile: &str, journals: &Path) -> Result<()> {
    let header = Header { run, profile: profile.to_owned(), source: Source::Effects };
    let mut journal = JournalWriter::create(journals, &header)?;
    let (records, trouble) = match deeds {
        Deeds::Sink(path) => (effects(path, run).with_context(|| format!("reading {}", path.display()))?, None),
        Deeds::Results { log, partitions, isolation } => results(log, *partitions, *isolation)?,
    };
    for record in records {
        journal.append(&record)?;
    }
    match trouble {
        None => Ok(journal.seal()?),
        Some(why) => bail!(why),
    }
}

/// Results in the order of time, and why they may not be all.
fn results(log: &Log, partitions: i32, isolation: Isolation) -> Result<(Vec<Record>, Option<String>)> {
    let mut records = Vec::new();
    let mut strange = 0;
    let trouble = log.read_whole(partitions, isolation, |message, content| {
        let partition = message.partition();
        match (content, ResultOf::of(message)) {
            (Content::Fence, _) => {}
            (Content::Message(identity), Some(ResultOf { offset, at_ns })) => {
                records.push((at_ns, Record::Processed { partition, offset, identity: Some(identity), at_ns }));
            }
            // What was no message of this run has a result all the same.
            (Content::Corrupt, Some(ResultOf { offset, at_ns })) => {
                records.push((at_ns, Record::Processed { partition, offset, identity: None, at_ns }));
            }
            (_, None) => strange += 1,
        }
        Ok(())
    })?;
    records.sort_by_key(|(at_ns, _)| *at_ns);
    let strange = (strange > 0).then(|| format!("it holds {strange} records that are nobody's results"));
    let trouble = trouble.or(strange).map(|why| format!("{}: {why}", log.topic));
    Ok((records.into_iter().map(|(_, record)| record).collect(), trouble))
}
