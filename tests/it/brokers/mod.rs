//! Whole runs of the built program, on real brokers.
//!
//! They need a Docker engine with the compose plugin and the images, as `make setup` provides them, and
//! fail where these are missing. One test at a time uses the engine (`Engine::exclusive`). Other sessions on
//! the same engine are left alone while they run; a cluster that somebody kept is removed, since some of
//! these tests run a plain `lossproof clean`.

mod capability;
mod catalogue;
mod client_faults;
mod ending;
pub mod engine;
mod experiments;
mod faults;
mod foreign;
mod harmless;
mod helpers;
mod kafka_faults;
mod keep;
mod kill9;
mod parallel;
pub mod processes;
pub mod program;
mod secured;
mod soak;
mod suite;
mod undo;
mod visibility;
