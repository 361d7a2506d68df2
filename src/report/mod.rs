//! What a run says for itself: events as they happen, and a report computed from what was stored.

mod ablation;
pub mod account;
mod anomalies;
mod causes;
pub mod check;
pub mod explain;
pub mod figures;
pub mod judge;
pub mod matrix;
mod model;
#[cfg(test)]
mod sample;
pub mod terminal;

pub use ablation::Ablation;
pub use anomalies::{Anomalies, LeftOut, Loss};
pub use model::{Effect, Environment, Fault, OTHERWISE, Profile, ProfileCounts, Proofs, Report, Target};
