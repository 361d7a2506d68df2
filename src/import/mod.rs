//! Anyone's client, reconciled: what producers were told and what consumers read, from logs of any
//! origin, becomes the same journals that lossproof's own clients write, and the same accounts.
//!
//! `lines` and `input` (bytes to lines), `row` and `verifiable` (lines to facts), `produced`,
//! `consumed` and `committed` (all lines of one side), `spool` (what was read, as journals),
//! `account` (the accounts). Whatever is wrong with an input is a `Refusal` with its place. Nothing
//! here prints.
//!
//! # What an import can say
//! The records that were consumed are the only sight of the log. Where they count as a complete read,
//! what is missing from them is absent from the log, so that a record that a consumer passed over
//! without logging it counts as lost in the cluster. With `processed: false` it is lost by the
//! consumer. Where the read is not complete, what is missing is lagging, which proves nothing.
//! Transactions, parking and the times of acknowledgements are not told of.

mod account;
mod book;
mod committed;
mod consumed;
mod diagnosis;
mod input;
mod lag;
mod lines;
mod produced;
mod refusal;
mod row;
pub mod schema;
mod source;
mod spool;
mod verifiable;

use std::path::{Path, PathBuf};

use lossproof_ledger::journal::JournalError;
use lossproof_ledger::reconcile;

pub use account::{Account, NAME, Reach, Side};
pub use refusal::Refusal;
pub use row::Kind;
pub use source::{Format, Period};

/// What is read, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What producers were told. `-` is standard input.
    pub produced: Vec<PathBuf>,
    /// What consumers read.
    pub consumed: Vec<PathBuf>,
    /// Where the group stands.
    pub committed: Option<PathBuf>,
    /// What was consumed is not a complete read of the log.
    pub partial: bool,
    /// Producers ran with acks=0, so that an acknowledgement proves nothing.
    pub acks_0: bool,
    /// The group in the file of committed offsets.
    pub group: Option<String>,
    /// The topic, where inputs tell of several.
    pub topic: Option<String>,
    /// Format of the inputs; none: as their first lines tell.
    pub format: Option<Format>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input can't be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was read can't be kept.
    #[error("what was read can't be kept for a second look")]
    Spool(#[from] JournalError),
    /// The accounts contradict themselves.
    #[error(transparent)]
    Reconcile(#[from] reconcile::Error),
}

/// Reads all inputs and accounts for every message. Journals go to `dir`, an empty folder.
///
/// # Errors
/// If an input can't be used, `dir` has no room, or the accounts do not balance.
pub fn reconcile(options: &Options, dir: &Path) -> Result<Account, Error> {
    let inputs: Vec<&PathBuf> = options.produced.iter().chain(&options.consumed).chain(&options.committed).collect();
    input::refuse_twice(&inputs)?;
    let commits = match &options.committed {
        Some(path) => {
            let choice = committed::Choice { group: options.group.as_deref(), topic: options.topic.as_deref() };
            Some(committed::read(path, &choice)?)
        }
        None => None,
    };
    let nothing = std::collections::BTreeMap::new();
    let mut producers = produced::Producers::new(options, commits.as_ref().unwrap_or(&nothing), dir)?;
    for path in &options.produced {
        producers.read(path)?;
    }
    let (mut produced, reports) = producers.finish()?;
    let mut consumed = consumed::Consumed::new(options, produced.topics.clone(), produced.names.names().len(), dir);
    for path in &options.consumed {
        consumed.read(path, &mut produced.names)?;
    }
    account::of(options, commits, produced, &reports, consumed)
}

/// A line as text. JSON is UTF-8.
fn text_of<'a>(name: &str, line: &lines::Line<'a>) -> Result<&'a str, Refusal> {
    std::str::from_utf8(line.bytes).map_err(|error| {
        Refusal::at(name, line.number, line.bytes, error.valid_up_to(), "this is not UTF-8 text")
            .expected("this byte begins no character")
            .hint("JSON is written in UTF-8; is this the right file?")
    })
}
