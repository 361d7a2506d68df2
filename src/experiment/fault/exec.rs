//! Faults that an experiment brings itself, as commands.

use std::fmt;
use std::time::Duration;

use super::{HeldRule, some_time};
use crate::experiment::check::Check;
use crate::experiment::raw::{self, Text};
use crate::experiment::resolved::{spanned, text, time};
use crate::experiment::selector::{self, selector};
use crate::experiment::{Problem, Selector};

const LIMIT_DEFAULT: Duration = Duration::from_secs(10);

/// Commands for `sh -c` on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecFault {
    /// The brokers that it is about.
    pub target: Selector,
    /// What begins it.
    pub start: String,
    /// What succeeds while it is there, and fails while it is not.
    pub proof: String,
    /// What ends it; may be repeated.
    pub undo: String,
    /// How long each may take.
    pub limit: Duration,
}

impl ExecFault {
    pub(super) const NAMES: [&'static str; 1] = ["exec"];

    pub(super) const fn name(&self) -> &'static str {
        Self::NAMES[0]
    }

    pub(super) const fn target(&self) -> &Selector {
        &self.target
    }

    pub(super) const fn end(&self) -> &'static str {
        "undone by its own command"
    }

    pub(super) const fn held_rule(&self) -> HeldRule {
        HeldRule::Needed("how long it is from `start` to `undo`")
    }

    pub(super) fn read(check: &mut Check, raw: &raw::Fault) -> Option<Self> {
        let raw = &raw.exec.as_ref()?.value;
        let start = command(check, &raw.start, "a fault whose `start` does nothing");
        let proof = command(check, &raw.proof, "a fault without a proof can't be told from one that did not bite");
        let undo = command(check, &raw.undo, "a fault without a way back outlives its run");
        let limit = match &raw.limit {
            Some(limit) => some_time(check, limit, "commands need some time"),
            None => Some(LIMIT_DEFAULT),
        };
        let target = match &raw.target {
            Some(target) => selector(check, target),
            None => Some(Selector::All),
        };
        Some(Self { target: target?, start: start?, proof: proof?, undo: undo?, limit: limit? })
    }

    pub(super) fn write(&self, raw: &mut raw::Fault) {
        raw.exec = Some(spanned(raw::Exec {
            start: text(&self.start),
            proof: text(&self.proof),
            undo: text(&self.undo),
            target: Some(spanned(selector::write(&self.target))),
            limit: Some(time(self.limit)),
        }));
    }
}

/// A command that is not empty, and that can be handed to a process at all.
fn command(check: &mut Check, raw: &Text, empty: &str) -> Option<String> {
    let problem = if raw.value.trim().is_empty() {
        Problem::new(empty)
    } else if raw.value.contains('\0') {
        Problem::new("no command has a NUL in it")
    } else {
        return Some(raw.value.clone());
    };
    check.report(problem.at(&check.span(raw), "expected a command for `sh -c`"));
    None
}

impl fmt::Display for ExecFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "own command `{}`, about {}", one_line(&self.start), self.target)
    }
}

/// A command of several lines by its first.
fn one_line(command: &str) -> String {
    match command.trim().split_once('\n') {
        Some((first, _)) => format!("{} …", first.trim_end()),
        None => command.trim().to_owned(),
    }
}
