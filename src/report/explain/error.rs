//! Why there is nothing to tell.

use crate::report::judge::JudgeError;

/// Why a run or a message can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The run can't be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// The run has no such message.
    #[error("{what}")]
    NoSuchMessage {
        /// What there is instead.
        what: String,
    },
}
