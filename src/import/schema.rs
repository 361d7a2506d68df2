//! The formats of inputs as JSON Schema.

use super::Kind;

/// The schema of one line of a kind of input.
#[must_use]
pub const fn of(kind: Kind) -> &'static str {
    match kind {
        Kind::Produced => include_str!("../../schemas/produced.schema.json"),
        Kind::Consumed => include_str!("../../schemas/consumed.schema.json"),
        Kind::Committed => include_str!("../../schemas/committed.schema.json"),
    }
}
