//! The parts of an experiment: with `isolation: apart` each profile is one, otherwise all are together.

use super::{Experiment, Isolation};

impl Experiment {
    /// What runs on one cluster at a time: the experiment itself, or one with each of its profiles alone, in their order.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        match self.isolation {
            Isolation::Shared => vec![self.clone()],
            Isolation::Apart => {
                let profiles = self.profiles.iter();
                profiles.map(|profile| Self { profiles: vec![profile.clone()], ..self.clone() }).collect()
            }
        }
    }
}
