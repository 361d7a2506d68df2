//! What the stored runs of each experiment of a catalogue showed, as a page with a row for each experiment and version of
//! Kafka: how it ended each time, and from how many to how many messages each profile lost.
//!
//! Only runs of the experiments as they are now count. What is left out is told, with the reason.

mod over;
mod page;
mod stored;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use lossproof_ledger::verdict::ReasonKind;
use semver::Version;

use super::model::Report;
use crate::experiment::Experiment;
use crate::experiment::yours::YOURS;
pub use page::Commands;
pub use stored::{Stored, Unreadable};

/// The figures of a catalogue.
#[derive(Debug)]
pub struct Figures<'a> {
    /// One for each experiment, in the catalogue's order.
    experiments: Vec<Ran<'a>>,
    /// What the runs that count ran on, the oldest Kafka first; images that tell no version last.
    images: Vec<Image<'a>>,
    /// What does not count, by reason: how many runs of each experiment, or that one run directory.
    left_out: BTreeMap<Why, BTreeMap<String, usize>>,
}

/// An experiment and its runs.
#[derive(Debug)]
struct Ran<'a> {
    experiment: &'a Experiment,
    /// By image, in the order of all images; in order of time.
    runs: BTreeMap<Image<'a>, Vec<&'a Report>>,
}

/// Why a run does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Its experiment is another by now.
    Changed,
    /// A user's own configuration ran beside the profiles.
    Yours,
    /// Its verdict is by other expectations than the experiment's.
    Otherwise,
    /// Its experiment is not in the catalogue.
    Unknown,
    /// There is no report of it.
    Unjudged,
    /// Its report, or its experiment, can't be read.
    Unreadable,
}

/// The image that brokers were started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Image<'a> {
    /// None where the run ended before that was noted.
    name: Option<&'a str>,
}

impl<'a> Figures<'a> {
    /// Of the runs that were found, those of this catalogue.
    #[must_use]
    pub fn of(catalogue: &'a [Experiment], stored: &'a Stored) -> Self {
        let mut experiments: Vec<Ran<'a>> =
            catalogue.iter().map(|experiment| Ran { experiment, runs: BTreeMap::new() }).collect();
        let mut left_out: BTreeMap<Why, BTreeMap<String, usize>> = BTreeMap::new();
        let mut leave_out = |why: Why, what: String| *left_out.entry(why).or_default().entry(what).or_default() += 1;
        for run in &stored.runs {
            let name = &run.report.experiment;
            let own = experiments.iter_mut().find(|own| own.experiment.name == *name);
            match own.ok_or(Why::Unknown).and_then(|own| counts(run, own.experiment).map(|()| own)) {
                Ok(own) => own.runs.entry(Image::of(&run.report)).or_default().push(&run.report),
                Err(why) => leave_out(why, name.clone()),
            }
        }
        stored.unjudged.iter().for_each(|run_dir| leave_out(Why::Unjudged, stored::name(run_dir)));
        stored
            .unreadable
            .iter()
            .for_each(|Unreadable { run_dir, .. }| leave_out(Why::Unreadable, stored::name(run_dir)));
        for runs in experiments.iter_mut().flat_map(|own| own.runs.values_mut()) {
            runs.sort_by_key(|report| report.started_at);
        }
        let mut images: Vec<Image<'a>> = experiments.iter().flat_map(|own| own.runs.keys().copied()).collect();
        images.sort_unstable();
        images.dedup();
        Self { experiments, images, left_out }
    }

    /// All runs that count.
    fn runs(&self) -> impl Iterator<Item = &'a Report> + '_ {
        self.experiments.iter().flat_map(|own| own.runs.values()).flatten().copied()
    }
}

/// Whether a run is one of the experiment as it is now, and judged by what that expects.
fn counts(run: &stored::Run, experiment: &Experiment) -> Result<(), Why> {
    if run.report.profiles.contains_key(YOURS) && experiment.profiles.iter().all(|profile| profile.name != YOURS) {
        Err(Why::Yours)
    } else if run.experiment != experiment.resolved {
        Err(Why::Changed)
    } else if run.report.is_by_other_expectations() {
        Err(Why::Otherwise)
    } else {
        Ok(())
    }
}

/// Whether a run was ended before its end: what it counted says nothing.
fn was_stopped(report: &Report) -> bool {
    report.reasons.iter().any(|reason| reason.kind == ReasonKind::Stopped)
}

impl<'a> Image<'a> {
    fn of(report: &'a Report) -> Self {
        Self { name: report.environment.image.as_deref() }
    }

    /// Its tag; none where it has none.
    fn tag(self) -> Option<&'a str> {
        self.name?.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
    }

    /// What its tag says of the version of Kafka.
    fn version(self) -> Option<Version> {
        Version::parse(self.tag()?).ok()
    }

    /// Whether an experiment is for it, as far as its tag tells.
    fn serves(self, experiment: &Experiment) -> bool {
        let fits = |version: &Version| experiment.kafka.as_ref().is_none_or(|wanted| wanted.matches(version));
        self.version().is_none_or(|version| fits(&version))
    }
}

impl Ord for Image<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |image: &Self| (image.name.is_none(), image.version().is_none(), image.version());
        key(self).cmp(&key(other)).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Image<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
