//! The words of the format for each enum, once: parsing, writing and listing all use these.

use super::{Close, CrossCheck, Delivery, Isolation, OnFatal, OnQueueFull};

/// An enum with one word in the experiment file for each of its values.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value and its word.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl Word for bool {
    const WORDS: &'static [(&'static str, Self)] = &[("true", true), ("false", false)];
}

impl Word for Isolation {
    const WORDS: &'static [(&'static str, Self)] = &[("shared", Self::Shared), ("apart", Self::Apart)];
}

impl Word for CrossCheck {
    const WORDS: &'static [(&'static str, Self)] = &[("kafka_tools", Self::KafkaTools)];
}

impl Word for OnQueueFull {
    const WORDS: &'static [(&'static str, Self)] = &[("drop", Self::Drop), ("block", Self::Block)];
}

impl Word for OnFatal {
    const WORDS: &'static [(&'static str, Self)] = &[("stop", Self::Stop), ("recreate", Self::Recreate)];
}

impl Word for Delivery {
    const WORDS: &'static [(&'static str, Self)] =
        &[("fire_and_forget", Self::FireAndForget), ("callback", Self::Callback), ("await", Self::Await)];
}

impl Word for Close {
    const WORDS: &'static [(&'static str, Self)] = &[("flush", Self::Flush), ("abandon", Self::Abandon)];
}
