//! Exit codes, one for each kind of end.

use lossproof_ledger::verdict::Verdict;

/// The names of the program's exit codes.
pub mod code {
    /// Everything promised held.
    pub const PASS: u8 = 0;
    /// A promise is broken.
    pub const FAIL: u8 = 1;
    /// Nothing can be said.
    pub const INCONCLUSIVE: u8 = 2;
    /// What the user named cannot be used.
    pub const USAGE: u8 = 3;
    /// The machine lacks something.
    pub const ENVIRONMENT: u8 = 4;
    /// A defect of lossproof.
    pub const INTERNAL: u8 = 70;
}

/// The exit code that a verdict stands for.
#[must_use]
pub const fn of_verdict(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => code::PASS,
        Verdict::Fail => code::FAIL,
        Verdict::Inconclusive => code::INCONCLUSIVE,
    }
}
