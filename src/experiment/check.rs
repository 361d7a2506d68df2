//! Collecting problems while values of one source are read, so that all of them are reported at once.

use std::sync::Arc;

use serde_yaml::Spanned;

use super::raw::Text;
use super::source::{Source, Span};
use super::value::Wrong;
use super::{ChosenClients, Problem};

/// A source being validated, and what was wrong with it so far.
pub struct Check {
    /// The text that places refer to.
    pub source: Arc<Source>,
    /// In the order found.
    pub problems: Vec<Problem>,
    /// Partitions of the profiles' topics that were named, and where.
    pub partitions: Vec<(i32, Span)>,
    /// Clients that faults were to hit, with the places of their profile and of their member.
    pub clients: Vec<(ChosenClients, Span, Span)>,
    /// Where somebody was named who is there only if a profile has transactions.
    pub transactional: Vec<Span>,
}

impl Check {
    /// Nothing wrong yet.
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, problems: Vec::new(), partitions: Vec::new(), clients: Vec::new(), transactional: Vec::new() }
    }

    /// Where a value stands.
    pub fn span<T>(&self, value: &Spanned<T>) -> Span {
        self.source.at(&value.referenced)
    }

    /// Notes a problem.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reads a value; what is wrong with it is noted at its place.
    pub fn read<T>(&mut self, text: &Text, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let span = self.span(text);
        self.read_at(&text.value, &span, parse)
    }

    /// As `read`, for text that may come from another source.
    pub fn read_at<T>(&mut self, text: &str, at: &Span, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        parse(text).map_err(|wrong| self.report(wrong.at(at))).ok()
    }

    /// As `read`, with a default for what is not given.
    pub fn read_or<T>(
        &mut self,
        text: Option<&Text>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match text {
            Some(text) => self.read(text, parse),
            None => Some(default),
        }
    }
}

impl Wrong {
    /// The problem at its place.
    pub fn at(self, span: &Span) -> Problem {
        Problem::new(self.message).at(span, self.expected).hint_if(self.hint)
    }
}
