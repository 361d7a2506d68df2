//! What chance chooses: the same for the same seed and fault, in every version of lossproof.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::Target;

/// What a random choice depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Of the experiment, or of the run.
    pub seed: u64,
    /// The fault's number, from 0.
    pub fault: usize,
}

impl Draw {
    /// One of these brokers.
    pub(super) fn broker(self, ids: &[i32]) -> Target {
        // ChaCha is the same everywhere and always; how a crate makes a range of it may change.
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.fault as u64);
        let chosen = random.next_u64().checked_rem(ids.len() as u64);
        let brokers: Vec<i32> =
            chosen.and_then(|index| ids.get(usize::try_from(index).ok()?)).copied().into_iter().collect();
        let basis = format!("random, seed {}: {}", self.seed, super::brokers_of(&brokers));
        Target { brokers, basis, same_for_all: true, ..Target::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    fn drawn(seed: u64) -> Vec<i32> {
        (0..12).flat_map(|fault| Draw { seed, fault }.broker(&[1, 2, 3]).brokers).collect()
    }

    /// Runs that were made by a seed must stay repeatable.
    #[test]
    fn a_seed_names_the_same_brokers_for_ever() {
        assert_eq!(drawn(17), [1, 2, 2, 2, 2, 1, 1, 2, 2, 2, 3, 1]);
        assert_eq!(drawn(u64::MAX), [3, 3, 2, 2, 1, 2, 1, 1, 1, 3, 1, 3]);
    }

    #[test]
    fn each_broker_gets_its_share() {
        let mut hits = [0; 3];
        for seed in 0..250 {
            drawn(seed).into_iter().for_each(|broker| hits[usize::try_from(broker).unwrap() - 1] += 1);
        }
        assert!(hits.iter().all(|hits| (900..1100).contains(hits)), "{hits:?}");
    }

    #[test]
    fn the_choice_tells_its_seed() {
        let target = Draw { seed: 17, fault: 0 }.broker(&[2]);
        assert_eq!((target.brokers.as_slice(), target.basis.as_str()), ([2].as_slice(), "random, seed 17: broker 2"));
    }
}
