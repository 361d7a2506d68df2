//! The parts of a run: profiles that shared a cluster, with what happened on it. With `isolation: apart` each profile has
//! one by itself, so that windows, proofs and leaders are those of its own cluster; otherwise there is one.

use std::path::Path;

use lossproof_ledger::event::{Event, EventKind, Phase};

use super::history::{EVENTS, History, parse};
use super::{JudgeError, broker_logs};
use crate::experiment::{Experiment, Isolation};

/// One part of a run.
#[derive(Debug)]
pub(in crate::report) struct Part {
    /// The experiment, with the profiles of this part.
    pub(super) experiment: Experiment,
    /// Of a part that was never begun, the run's start alone.
    pub(super) history: History,
}

impl Part {
    /// The one profile, where each is alone.
    pub(super) fn alone(&self) -> Option<&str> {
        let apart = self.experiment.isolation == Isolation::Apart;
        self.experiment.profiles.first().filter(|_| apart).map(|profile| profile.name.as_str())
    }
}

/// All parts of a run, in the order of the experiment.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    /// The last line of the events was cut off.
    pub(super) torn: bool,
}

impl Parts {
    /// Reads a run directory.
    ///
    /// # Errors
    /// If it holds no events, or a line before the last is damaged.
    pub(super) fn read(run_dir: &Path, experiment: &Experiment) -> Result<Self, JudgeError> {
        let path = run_dir.join(EVENTS);
        let text = std::fs::read(&path).map_err(|source| JudgeError::unreadable(&path, source))?;
        let (events, torn) =
            parse(&text).map_err(|(line, source)| JudgeError::Event { path: path.clone(), line, source })?;
        let all = of(events, experiment)
            .ok_or(JudgeError::NotARun { path, why: "its first line is not the start of a run".to_owned() })?;
        let mut parts = Self { all, torn };
        for part in &mut parts.all {
            let alone = part.alone().map(str::to_owned);
            for truncation in broker_logs::truncations(run_dir, alone.as_deref(), part.history.started.utc) {
                part.history.causes.truncated(truncation);
            }
        }
        Ok(parts)
    }

    /// The first, which every run has.
    pub(super) fn first(&self) -> &History {
        &self.all[0].history
    }

    /// Until when the run is judged.
    pub(super) fn end_ns(&self) -> u64 {
        self.all.iter().map(|part| part.history.end_ns()).max().unwrap_or_default()
    }

    /// The last phase that was begun.
    pub(super) fn phase(&self) -> Option<Phase> {
        self.all.iter().rev().find_map(|part| part.history.phase)
    }

    /// Whether the run came to its end, by itself or not.
    pub(super) fn ended(&self) -> bool {
        self.all.iter().any(|part| part.history.ended)
    }
}

/// Deals the events out to the parts; none if the first is not the start of a run.
fn of(events: Vec<Event>, experiment: &Experiment) -> Option<Vec<Part>> {
    let start = events.first()?.clone();
    let mut all = Vec::new();
    for experiment in experiment.parts() {
        let mut own = vec![start.clone()];
        match experiment.isolation {
            Isolation::Shared => own.extend(events.iter().skip(1).cloned()),
            Isolation::Apart => {
                let begins = |event: &&Event| matches!(&event.kind, EventKind::PartStarted { profile, .. } if experiment.profiles.iter().any(|own| own.name == *profile));
                let rest = events.iter().skip_while(|event| !begins(event));
                let (first, others) = (rest.clone().next(), rest.skip(1));
                own.extend(first.cloned());
                own.extend(others.take_while(|event| !matches!(event.kind, EventKind::PartStarted { .. })).cloned());
            }
        }
        all.push(Part { history: History::of(own)?, experiment });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use lossproof_ledger::clock::Stamp;

    use super::*;
    use crate::experiment;

    fn of_profiles(isolation: &str) -> Experiment {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let text = format!(
            "name: parts\nisolation: {isolation}\nworkload: {{ rate: 1/s, payload: 1KiB }}\n\
             profiles: {{ one: {{}}, two: {{}}, three: {{}} }}\n"
        );
        std::fs::write(file.path(), text).unwrap();
        experiment::load(&[file.path().to_owned()]).unwrap().remove(0)
    }

    /// Events at these milliseconds; a phase where no part begins.
    fn events(parts: &[(u64, Option<&str>)]) -> Vec<Event> {
        let at = |ms: u64| Stamp { boottime_ns: ms * 1_000_000, utc: jiff::Timestamp::UNIX_EPOCH };
        let start =
            EventKind::RunStarted { run: "r".to_owned(), experiment: "parts".to_owned(), version: "0.1.0".to_owned() };
        let kind = |ms: u64, part: Option<&str>| match part {
            Some(profile) => EventKind::PartStarted { profile: profile.to_owned(), part: 0, parts: 3 },
            None => EventKind::Warning { text: format!("at {ms}") },
        };
        let rest = parts.iter().map(|(ms, part)| Event { at: at(*ms), kind: kind(*ms, *part) });
        [Event { at: at(0), kind: start }].into_iter().chain(rest).collect()
    }

    #[test]
    fn what_happened_belongs_to_the_profile_that_was_there() {
        let events = events(&[(10, Some("one")), (11, None), (12, None), (20, Some("two")), (21, None)]);
        let parts = Parts { all: of(events.clone(), &of_profiles("apart")).unwrap(), torn: false };
        let seen: Vec<_> = parts
            .all
            .iter()
            .map(|part| (part.alone(), part.history.warnings.join(", "), part.history.last_ns))
            .collect();
        assert_eq!(
            seen,
            [
                (Some("one"), "at 11, at 12".to_owned(), 12_000_000),
                (Some("two"), "at 21".to_owned(), 21_000_000),
                (Some("three"), String::new(), 0),
            ]
        );
        assert_eq!(parts.end_ns(), 21_000_000);

        let together = of(events, &of_profiles("shared")).unwrap();
        assert_eq!(together.len(), 1);
        assert_eq!((together[0].alone(), together[0].history.warnings.len()), (None, 3));
    }

    #[test]
    fn without_a_start_there_is_no_run() {
        assert!(of(events(&[(1, None)]).split_off(1), &of_profiles("shared")).is_none());
        assert!(of(Vec::new(), &of_profiles("apart")).is_none());
    }
}
