//! Live counts, added up over the clients of each profile. They are for watching only; what is
//! reported at the end comes from the journals.

use indexmap::IndexMap;
use lossproof_ledger::event::{ClientId, Progress};

use super::words::thousands;

/// Last counts of every client process.
#[derive(Default)]
pub(super) struct Tally {
    clients: IndexMap<ClientId, Progress>,
}

/// Sums of one profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    offered: u64,
    acked: u64,
    errors: u64,
    in_flight: u64,
    processed: u64,
}

impl Tally {
    pub(super) fn update(&mut self, client: &ClientId, progress: &Progress) {
        self.clients.insert(client.clone(), progress.clone());
    }

    /// A process that has ended has nothing in flight any more.
    pub(super) fn ended(&mut self, client: &ClientId) {
        if let Some(Progress::Producer { in_flight, .. }) = self.clients.get_mut(client) {
            *in_flight = 0;
        }
    }

    /// Profiles in the order in which they were first heard of.
    pub(super) fn profiles(&self) -> IndexMap<&str, Sums> {
        let mut profiles: IndexMap<&str, Sums> = IndexMap::new();
        for (client, progress) in &self.clients {
            let sums = profiles.entry(client.profile.as_str()).or_default();
            match *progress {
                Progress::Producer { offered, acked, errors, in_flight } => {
                    sums.offered += offered;
                    sums.acked += acked;
                    sums.errors += errors;
                    sums.in_flight += in_flight;
                }
                Progress::Consumer { processed, .. } => sums.processed += processed,
            }
        }
        profiles
    }
}

impl Sums {
    pub(super) fn sentence(&self) -> String {
        format!(
            "offered {}, acked {}, errors {}, in flight {}, processed {}",
            thousands(self.offered),
            thousands(self.acked),
            thousands(self.errors),
            thousands(self.in_flight),
            thousands(self.processed),
        )
    }
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::event::Role;

    use super::*;

    fn client(role: Role, member: u16, incarnation: u16) -> ClientId {
        ClientId { profile: "baseline".to_owned(), role, member, incarnation }
    }

    #[test]
    fn later_counts_replace_earlier_ones_of_the_same_process_and_add_to_the_others() {
        let mut tally = Tally::default();
        let producer = client(Role::Producer, 0, 0);
        for acked in [5, 8] {
            tally.update(&producer, &Progress::Producer { offered: 10, acked, errors: 1, in_flight: 1 });
        }
        for (member, processed) in [(0, 3), (1, 4)] {
            tally.update(&client(Role::Consumer, member, 0), &Progress::Consumer { polled: 9, processed });
        }
        tally.ended(&producer);
        assert_eq!(tally.profiles()["baseline"].sentence(), "offered 10, acked 8, errors 1, in flight 0, processed 7");
    }
}
