//! The words of the format for each enum, once: parsing, writing and listing all use these.

use super::{Commit, Listener, OnFatal, OnQueueFull, Peers, RestartWait};

/// An enum with one word in the experiment file for each of its values.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value and its word.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl Word for Commit {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("after_sync", Self::AfterSync)];
}

impl Word for OnQueueFull {
    const WORDS: &'static [(&'static str, Self)] = &[("drop", Self::Drop), ("block", Self::Block)];
}

impl Word for OnFatal {
    const WORDS: &'static [(&'static str, Self)] = &[("stop", Self::Stop), ("recreate", Self::Recreate)];
}

impl Word for RestartWait {
    const WORDS: &'static [(&'static str, Self)] = &[("in_sync", Self::InSync), ("none", Self::None)];
}

impl Word for Peers {
    const WORDS: &'static [(&'static str, Self)] = &[("brokers", Self::Brokers), ("clients", Self::Clients)];
}

impl Word for Listener {
    const WORDS: &'static [(&'static str, Self)] =
        &[("client", Self::Client), ("controller", Self::Controller), ("replication", Self::Replication)];
}
