//! Why a run directory can't be judged.

use std::io;
use std::path::{Path, PathBuf};

use lossproof_ledger::journal::JournalError;
use lossproof_ledger::reconcile;

use crate::experiment::Problems;

/// Why a run directory can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// Something that every run directory holds is not there.
    #[error("{} does not belong to a stored run: {why}; name a folder that `lossproof run` wrote", path.display())]
    NotARun {
        /// What was looked at.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system said no.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line of events that is damaged, or of another version of lossproof.
    #[error("{}, line {line}, is not an event that this lossproof knows; judge the run with the lossproof that stored it", path.display())]
    Event {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The stored experiment does not read back.
    #[error("the experiment stored in {} cannot be read: {problems}", path.display())]
    Experiment {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Problems,
    },
    /// The stored experiment promises something that nobody measures.
    #[error(
        "the stored experiment speaks of `{metric}`, which this lossproof does not measure; judge the run with the lossproof that stored it"
    )]
    Metric {
        /// Its name.
        metric: String,
    },
    /// A journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The evidence contradicts itself, or lossproof does. Outranks every verdict.
    #[error("profile {profile} cannot be accounted for")]
    Reconcile {
        /// The profile.
        profile: String,
        /// How.
        source: reconcile::Error,
    },
}

impl JudgeError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::NotARun { path: path.to_owned(), why: "it is not there".to_owned() }
        } else {
            Self::Unreadable { path: path.to_owned(), source }
        }
    }

    /// Whether this is a defect rather than a wrong path or a damaged file.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        matches!(self, Self::Reconcile { .. })
    }
}
