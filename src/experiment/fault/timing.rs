//! When a fault begins: at a time, after another fault, or several times.

use std::fmt;
use std::time::Duration;

use serde_yaml::Spanned;

use super::{FaultSpec, Held, resolve, some_time};
use crate::experiment::check::Check;
use crate::experiment::resolved::{text, time};
use crate::experiment::source::Span;
use crate::experiment::value::{duration, integer, word};
use crate::experiment::{Problem, Word, raw, schedule};

/// How often a fault may be repeated.
const TIMES_MAX: u32 = 100;
/// Faults of one experiment, each counted as often as it is repeated. It is far more than a run can show.
const FAULTS_MAX: usize = 500;

/// What of another fault a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is proven to bite; one that ends by itself has ended by then.
    Injected,
    /// It is proven to be gone.
    Healed,
    /// The cluster is as before, after all faults that overlapped with it.
    Recovered,
}

impl Word for Moment {
    const WORDS: &'static [(&'static str, Self)] =
        &[("injected", Self::Injected), ("healed", Self::Healed), ("recovered", Self::Recovered)];
}

/// Another fault, and what of it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Index in the experiment's list of faults.
    pub fault: usize,
    /// Its moment.
    pub moment: Moment,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.moment {
            Moment::Injected => "is injected",
            Moment::Healed => "is healed",
            Moment::Recovered => "has recovered",
        };
        write!(f, "fault {} {state}", self.fault + 1)
    }
}

/// Which time of several it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// From 1.
    pub round: u32,
    /// How many there are.
    pub times: u32,
    /// From one beginning to the next.
    pub every: Duration,
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.round, self.times)
    }
}

/// A fault with the place that tells when it begins.
pub(in crate::experiment) type Timed = (FaultSpec, Span);

/// Validates the faults of a file. Gives those that can be planned, each as often as it is repeated, in the order in
/// which they are planned; and whether these are all.
pub(in crate::experiment) fn faults(check: &mut Check, entries: &[Spanned<raw::Fault>]) -> (Vec<Timed>, bool) {
    let mut faults: Vec<Timed> = Vec::new();
    let mut complete = true;
    // The last time of the entry before; none where that can't be planned.
    let mut before: Option<usize> = None;
    for (entry, raw) in entries.iter().enumerate() {
        let spec = resolve(check, raw, entry);
        let timing = Timing::read(check, entry, raw, before.map(|index| &faults[index].0));
        let planned = spec.zip(timing).and_then(|(spec, timing)| timing.applied(check, raw, spec, before));
        let Some(rounds) = planned else {
            (complete, before) = (false, None);
            continue;
        };
        faults.extend(rounds);
        if faults.len() > FAULTS_MAX {
            let problem = Problem::new(format!("more than {FAULTS_MAX} faults"))
                .at(&check.span(raw), format!("up to here there are {}", faults.len()))
                .hint("lower `times`, or make it several experiments");
            check.report(problem);
            return (Vec::new(), false);
        }
        before = Some(faults.len() - 1);
    }
    (in_order(faults), complete)
}

/// Plans the faults, and puts them in the order of that.
fn in_order(faults: Vec<Timed>) -> Vec<Timed> {
    let (mut specs, spans): (Vec<FaultSpec>, Vec<Span>) = faults.into_iter().unzip();
    for (index, begin) in schedule::begins(&specs).into_iter().enumerate() {
        specs[index].planned = begin;
    }
    let mut order: Vec<usize> = (0..specs.len()).collect();
    // Stable, so that none comes before the one that it waits for.
    order.sort_by_key(|&index| specs[index].planned);
    let mut place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = new;
    }
    for after in specs.iter_mut().filter_map(|spec| spec.after.as_mut()) {
        after.fault = place[after.fault];
    }
    let mut faults: Vec<(usize, Timed)> = place.into_iter().zip(specs.into_iter().zip(spans)).collect();
    faults.sort_by_key(|(place, _)| *place);
    faults.into_iter().map(|(_, fault)| fault).collect()
}

/// What a fault says of its time.
struct Timing {
    at: Duration,
    moment: Option<Moment>,
    repeat: Option<(Duration, u32)>,
}

impl Timing {
    /// Reads it; `before` is the fault that `after` refers to, as far as that is known.
    fn read(check: &mut Check, entry: usize, raw: &Spanned<raw::Fault>, before: Option<&FaultSpec>) -> Option<Self> {
        let fault = &raw.value;
        let at = match (&fault.at, &fault.after) {
            (Some(text), _) => check.read(text, duration),
            (None, Some(_)) => Some(Duration::ZERO),
            (None, None) => {
                let problem = Problem::new("`at` is missing")
                    .at(&check.span(raw), "this fault has no time")
                    .hint("for example `at: 5s`, from the end of warm-up; or `after: recovered`, of the fault before");
                check.report(problem);
                None
            }
        };
        let moment = match &fault.after {
            Some(text) => moment(check, text, entry, before).map(Some),
            None => Some(None),
        };
        let repeat = repeat(check, fault);
        Some(Self { at: at?, moment: moment?, repeat: repeat? })
    }

    /// The fault at its time, or at each of them. None where it refers to a fault that can't be planned.
    fn applied(
        self,
        check: &Check,
        raw: &Spanned<raw::Fault>,
        spec: FaultSpec,
        before: Option<usize>,
    ) -> Option<Vec<Timed>> {
        let after = match self.moment {
            Some(moment) => Some(After { fault: before?, moment }),
            None => None,
        };
        let first = FaultSpec { at: self.at, after, ..spec };
        let fault = &raw.value;
        let here = |text: Option<&raw::Text>| text.map_or_else(|| check.span(raw), |text| check.span(text));
        let begins = here(fault.at.as_ref().or(fault.after.as_ref()));
        let Some((every, times)) = self.repeat else { return Some(vec![(first, begins)]) };
        let again = here(fault.every.as_ref());
        let round = |round: u32| {
            let repeat = Some(Repeat { round, times, every });
            let spec = FaultSpec { at: self.at + every * (round - 1), repeat, ..first.clone() };
            (spec, if round == 1 { begins.clone() } else { again.clone() })
        };
        Some((1..=times).map(round).collect())
    }
}

fn moment(check: &mut Check, text: &raw::Text, entry: usize, before: Option<&FaultSpec>) -> Option<Moment> {
    let moment = check.read(text, |text| word(text, "state of a fault"))?;
    let span = check.span(text);
    if entry == 0 {
        let problem = Problem::new("there is no fault for this one to come after")
            .at(&span, "it refers to the fault before it in the file, and this is the first")
            .hint("write `at: 5s` instead, from the end of warm-up");
        check.report(problem);
        return None;
    }
    let endless = before.filter(|before| before.held == Some(Held::Forever) && moment != Moment::Injected);
    if let Some(before) = endless {
        let problem = Problem::new(format!("the `{}` of line {} never ends", before.kind.name(), before.place.line))
            .at(&span, "it is held `forever`, so this would never come")
            .hint("write `after: injected`, with `at` for the time since then");
        check.report(problem);
        return None;
    }
    Some(moment)
}

/// `every` and `times`, which go together.
#[expect(clippy::option_option, reason = "nothing wrong, and nothing said")]
fn repeat(check: &mut Check, fault: &raw::Fault) -> Option<Option<(Duration, u32)>> {
    let (every, times) = match (&fault.every, &fault.times) {
        (None, None) => return Some(None),
        (Some(every), Some(times)) => (every, times),
        (Some(every), None) => {
            let problem = Problem::new("`every` without `times`")
                .at(&check.span(every), "it is not said how often")
                .hint("for example `times: 3`");
            check.report(problem);
            return None;
        }
        (None, Some(times)) => {
            let problem = Problem::new("`times` without `every`")
                .at(&check.span(times), "it is not said how far apart")
                .hint("for example `every: 10s`");
            check.report(problem);
            return None;
        }
    };
    let span = check.span(every);
    let every = some_time(check, every, "a fault can't be repeated at the same moment");
    let times = check.read(times, |text| integer(text, "number of times", 2, TIMES_MAX));
    if let Some(held) = fault.held.as_ref().filter(|held| held.value == super::FOREVER) {
        let problem = Problem::new("a fault that is held for ever can't be repeated")
            .at(&span, "it would begin again")
            .at(&check.span(held), "and it never ends")
            .hint("name each broker that is to go in a fault of its own");
        check.report(problem);
        return None;
    }
    Some(Some((every?, times?)))
}

/// Writes it as it is written in a file, for the first time of a fault that is repeated.
pub(in crate::experiment) fn write(spec: &FaultSpec, raw: &mut raw::Fault) {
    raw.at = Some(time(spec.at));
    raw.after = spec.after.map(|after| text(after.moment.word()));
    raw.every = spec.repeat.map(|repeat| time(repeat.every));
    raw.times = spec.repeat.map(|repeat| text(repeat.times));
}
