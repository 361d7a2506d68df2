//! One file a subcommand; besides `report`, the only place that prints.

pub mod list;
pub mod plan;
pub mod problems;
