//! All integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "clippy.toml's leave covers test functions, not their helpers")]

mod report;
mod stored_run;
