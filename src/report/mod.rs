//! What a run says for itself: events as they happen, and a report computed from what was stored.

pub mod terminal;
