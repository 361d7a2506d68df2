//! The figures of one profile, or of one experiment, over several runs.

use lossproof_ledger::availability::Span;
use lossproof_ledger::counts::Counts;
use lossproof_ledger::metric::Metric;
use lossproof_ledger::verdict::Verdict;

use super::was_stopped;
use crate::report::matrix::{State, cell};
use crate::report::model::{Profile, Report};
use crate::report::terminal::words::thousands;

/// From the run with the least to the run with the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Range {
    /// None over no runs.
    fn over(values: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        Some(Self { least: values.clone().min()?, most: values.max()? })
    }

    /// `14,966–15,203`, or the one number.
    pub(super) fn told(self) -> String {
        let Self { least, most } = self;
        if least == most { thousands(most) } else { format!("{}–{}", thousands(least), thousands(most)) }
    }
}

/// What became of a profile's messages over several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProfileOver {
    pub(super) lost: Range,
    /// Of the lost ones, those that were never acknowledged.
    pub(super) unacknowledged: Range,
    /// Of no run any other was lost.
    pub(super) all_unacknowledged: bool,
    pub(super) doubled: Range,
    pub(super) reordered: Range,
    /// In the log, and the group had not come to them.
    pub(super) lagging: Range,
    /// Messages of which nothing can be said.
    pub(super) unreadable: Range,
    /// What else was asked for by its metric's name; without what no run has measured.
    pub(super) named: Vec<(&'static str, Range)>,
    /// The longest of all runs; none with acks=0.
    pub(super) unavailable: Option<Span>,
    /// The worst of all runs.
    pub(super) state: State,
}

impl ProfileOver {
    /// Of one profile in the runs that came to their end, with other metrics; none if there are none with it.
    pub(super) fn of(runs: &[&Report], name: &str, metrics: &[&'static str]) -> Option<Self> {
        let with: Vec<(State, &Profile)> = ended(runs)
            .filter_map(|report| {
                let profile = report.profiles.get(name)?;
                Some((cell(report, name, profile).state, profile))
            })
            .collect();
        let over =
            |count: fn(&Counts) -> u64| Range::over(with.iter().map(|(_, profile)| count(&profile.counts.messages)));
        let named = |name: &str| Range::over(with.iter().filter_map(|(_, profile)| value(profile, name)));
        let spans = with.iter().filter_map(|(_, Profile { counts, .. })| {
            Some(Span { ms: counts.unavailable_ms_max?, at_least: counts.unavailable_at_least })
        });
        let is_all = |counts: &Counts| counts.lost == counts.undelivered.total();
        Some(Self {
            lost: over(|counts| counts.lost)?,
            unacknowledged: over(|counts| counts.undelivered.total())?,
            all_unacknowledged: with.iter().all(|(_, profile)| is_all(&profile.counts.messages)),
            doubled: over(|counts| counts.doubled)?,
            reordered: over(|counts| counts.reordered)?,
            lagging: over(|counts| counts.lagging + counts.behind_open_txn)?,
            unreadable: over(|counts| counts.unreadable)?,
            named: metrics.iter().filter_map(|name| Some((*name, named(name)?))).collect(),
            unavailable: spans.max_by_key(|span| (span.ms, span.at_least)),
            state: with.iter().map(|(state, _)| *state).max_by_key(|state| weight(*state))?,
        })
    }
}

/// A metric that is a number of messages, by its name in experiments; none where it was not measured, or is none.
fn value(profile: &Profile, name: &str) -> Option<u64> {
    match Metric::named(name)? {
        Metric::Count(name) => profile.counts.messages.get(name),
        Metric::LagMax => profile.counts.lag_max,
        Metric::Gaps(which) => profile.gaps.as_ref().map(|score| which.of(score)),
        _ => None,
    }
}

/// Harm in one run is not undone by another; what one run proves, another that proves nothing does not take away.
const fn weight(state: State) -> u8 {
    match state {
        State::Hurt => 3,
        State::Broken => 2,
        State::Held => 1,
        State::Inconclusive => 0,
    }
}

/// Those that were not stopped before their end.
fn ended<'a>(runs: &[&'a Report]) -> impl Iterator<Item = &'a Report> + Clone {
    runs.iter().copied().filter(|report| !was_stopped(report))
}

/// Messages that each profile was offered in the runs that came to their end.
pub(super) fn offered(runs: &[&Report]) -> Option<Range> {
    let profiles = ended(runs).flat_map(|report| report.profiles.values());
    Range::over(profiles.map(|profile| profile.counts.messages.offered))
}

/// How long those runs took on average that came to their end, in milliseconds.
pub(super) fn mean_ms(runs: &[&Report]) -> Option<u64> {
    let (count, sum) = ended(runs).fold((0, 0), |(count, sum), report| (count + 1, sum + report.duration_ms));
    sum.checked_div(count)
}

/// How the runs ended, in their order: `3 × pass`, or `2 × pass, inconclusive, pass`.
pub(super) fn verdicts(runs: &[&Report]) -> String {
    let words: Vec<&str> = runs.iter().map(|report| word(report)).collect();
    let told = words.chunk_by(|one, other| one == other).map(|same| match same {
        [one] => (*one).to_owned(),
        [one, ..] => format!("{} × {one}", same.len()),
        [] => String::new(),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn word(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Fail => "**fail**",
        _ if was_stopped(report) => "stopped",
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
    }
}
