//! What was found.

use super::rule::Rule;
use crate::experiment;

/// Something that loses or doubles messages, sooner or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule by which it was found.
    pub rule: Rule,
    /// What it is, with its count.
    pub what: String,
    /// Topics that it is about, in their order; empty if it is about none in particular.
    pub topics: Vec<String>,
    /// Settings to change; empty where that helps nothing.
    pub changes: Vec<Change>,
    /// What else to do, in a sentence.
    pub advice: Option<String>,
}

/// A setting to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose, and its name: `topic min.insync.replicas`.
    pub setting: String,
    /// Values that it has, with a word where that is the default; none if it differs or is not known.
    pub from: Option<String>,
    /// The value that it should have.
    pub to: String,
}

impl Change {
    pub(super) fn new(setting: impl Into<String>, from: Option<String>, to: impl Into<String>) -> Self {
        Self { setting: setting.into(), from, to: to.into() }
    }
}

impl Finding {
    pub(super) fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into(), topics: Vec::new(), changes: Vec::new(), advice: None }
    }

    pub(super) fn of_topics(mut self, topics: Vec<String>) -> Self {
        self.topics = topics;
        self
    }

    pub(super) fn change(mut self, setting: impl Into<String>, from: Option<String>, to: impl Into<String>) -> Self {
        self.changes.push(Change::new(setting, from, to));
        self
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Files of the experiments that show it, such as `experiments/broker/power-loss.yaml`.
    pub fn experiments(&self) -> impl Iterator<Item = String> {
        self.rule.experiments().iter().filter_map(|name| experiment::catalogued(name))
    }
}

/// `1 topic`, `3 topics`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// `1 and 3`, `1, 2 and 3`.
pub(super) fn listed(ids: &[i32]) -> String {
    let words: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
