//! Exit codes, and the errors that have one of their own.

use std::fmt;

/// How the program ends. Over several experiments the worst counts, in the order of `severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every experiment passed.
    Pass = 0,
    /// A promise was broken.
    Fail = 1,
    /// The run proves nothing.
    Inconclusive = 2,
    /// Bad input or usage.
    BadInput = 3,
    /// No engine, no image, no way to start.
    Environment = 4,
    /// Clean-up left something behind.
    LeftBehind = 5,
    /// A defect of lossproof, such as counts that do not add up.
    Internal = 70,
    /// Stopped by a signal, and healed.
    Interrupted = 130,
}

impl Exit {
    /// 130 > 70 > 4 > 3 > 1 > 5 > 2 > 0.
    const fn severity(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Inconclusive => 1,
            Self::LeftBehind => 2,
            Self::Fail => 3,
            Self::BadInput => 4,
            Self::Environment => 5,
            Self::Internal => 6,
            Self::Interrupted => 7,
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    /// What an error that reached the top means.
    #[must_use]
    pub fn of_error(error: &anyhow::Error) -> Self {
        if error.is::<Interrupted>() {
            Self::Interrupted
        } else if error.chain().any(|cause| cause.is::<EnvironmentProblem>()) {
            Self::Environment
        } else {
            Self::Internal
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Something that this machine lacks or refuses, and what to do about it.
#[derive(Debug)]
pub struct EnvironmentProblem {
    /// What is wrong.
    pub what: String,
    /// What helps.
    pub hint: String,
}

impl EnvironmentProblem {
    /// A problem with its remedy.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for EnvironmentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  help: {}", self.what, self.hint)
    }
}

impl std::error::Error for EnvironmentProblem {}

/// A signal asked for the end; everything is healed on the way out.
#[derive(Debug, thiserror::Error)]
#[error("stopped by {0}")]
pub struct Interrupted(pub String);

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_worst_exit_counts() {
        let order = [
            Exit::Interrupted,
            Exit::Internal,
            Exit::Environment,
            Exit::Fail,
            Exit::LeftBehind,
            Exit::Inconclusive,
            Exit::Pass,
        ];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[i..] {
                assert_eq!(better.worse(*worse), *worse);
                assert_eq!(worse.worse(*better), *worse);
            }
        }
    }
}
