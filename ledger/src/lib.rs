//! What may be said of each message, and on what evidence.
//!
//! Pure: no runtime, no engine, no Kafka client. A run leaves a directory of journals and events;
//! everything that lossproof says about messages is computed here from those, so that a stored run
//! can be judged again and the same evidence always gives the same answer.

pub mod availability;
pub mod category;
pub mod cause;
pub mod clock;
pub mod counts;
pub mod event;
pub mod gaps;
pub mod journal;
pub mod metric;
pub mod payload;
pub mod reconcile;
pub mod record;
pub mod verdict;
