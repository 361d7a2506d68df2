//! One file a subcommand; besides `report`, the only place that prints.

pub mod analyze;
pub mod exit;
pub mod plan;
