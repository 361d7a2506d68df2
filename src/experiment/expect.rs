//! Expectations: `must_show`, `must_hold` and `min_exposure`, in an experiment, in a file of their own, or
//! given on the command line.

use std::path::Path;
use std::sync::Arc;

use super::check::Check;
use super::hint::did_you_mean;
use super::metric::{self, METRICS, Metric};
use super::raw::{self, Map, Text};
use super::source::{Source, Span};
use super::value::{bound, integer};
use super::yaml::{self, quote_hint};
use super::{Expectation, Expectations, Problem, Problems};

/// The name of the command line's option in messages.
const OPTION: &str = "--expect";

/// Validates `must_show` or `must_hold`; `profiles` are the names that exist.
pub fn resolve(check: &mut Check, raw: Option<&Map<Map<Text>>>, profiles: &[&str]) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for (profile, metrics) in raw.into_iter().flat_map(|raw| &raw.0) {
        known_profile(check, profile, profiles);
        for (name, text) in &metrics.0 {
            let span = check.span(name);
            let Some(metric) = known_metric(check, &name.value, &span) else {
                continue;
            };
            if folded(check, name) {
                continue;
            }
            let Some((comparison, bound)) = check.read(text, |text| bound(text, metric)) else {
                continue;
            };
            expectations.push(Expectation {
                profile: profile.value.clone(),
                metric: name.value.clone(),
                comparison,
                bound,
                at: check.span(name).place(),
            });
        }
    }
    expectations
}

fn known_metric(check: &mut Check, name: &str, at: &Span) -> Option<&'static Metric> {
    let metric = metric::find(name);
    if metric.is_none() {
        let problem = Problem::new(format!("unknown metric `{name}`"))
            .at(at, "expected a count or a time of the report, such as `lost` or `unavailable`")
            .hint(
                did_you_mean(name, METRICS.iter().map(|metric| metric.name))
                    .unwrap_or_else(|| "README.md lists the metrics".to_owned()),
            );
        check.report(problem);
    }
    metric
}

/// Reads an expectation of the command line: `METRIC: BOUND`, with `PROFILE.` before it where there are
/// profiles. The bound may be in quotes, as in a file.
///
/// # Errors
/// What is wrong with it, with its place in the text.
pub fn argument(text: &str, profiles: Option<&[&str]>) -> Result<Expectation, Problems> {
    let source = Arc::new(Source { name: OPTION.to_owned(), path: None, text: text.to_owned() });
    let mut check = Check::new(Arc::clone(&source));
    match read_argument(&mut check, profiles) {
        Some(expectation) if check.problems.is_empty() => Ok(expectation),
        _ => Err(Problems(check.problems)),
    }
}

fn read_argument(check: &mut Check, profiles: Option<&[&str]>) -> Option<Expectation> {
    let source = Arc::clone(&check.source);
    let text = source.text.as_str();
    let example = if profiles.is_some() { "`resilient.lost: 0`" } else { "`lost: 0`" };
    let Some(colon) = text.find(':') else {
        check.report(
            Problem::new(format!("`{text}` is no expectation"))
                .at(&source.span(0, text.len()), format!("expected a metric, a colon and a bound, such as {example}")),
        );
        return None;
    };
    let begin = text.len() - text.trim_start().len();
    let subject = text[begin..colon.max(begin)].trim_end();
    let (profile, name_at) = match profiles {
        None => (String::new(), begin),
        Some(profiles) => {
            let Some(dot) = subject.rfind('.') else {
                check.report(
                    Problem::new(format!("`{subject}` names no profile"))
                        .at(&source.span(begin, subject.len()), format!("expected such as {example}"))
                        .hint(format!("the profiles of this run are {}", profiles.join(", "))),
                );
                return None;
            };
            let profile = &subject[..dot];
            if !profiles.contains(&profile) {
                check.report(unknown_profile(profile, &source.span(begin, dot), "run", profiles));
                return None;
            }
            (profile.to_owned(), begin + dot + 1)
        }
    };
    let name = &text[name_at..begin + subject.len()];
    let span = source.span(name_at, name.len());
    let metric = known_metric(check, name, &span)?;
    let value = text[colon + 1..].trim();
    let value_at = source.span(colon + 1 + text[colon + 1..].find(value).unwrap_or(0), value.len());
    let quoted = |quote: char| value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote);
    let value = if quoted('"') || quoted('\'') { &value[1..value.len() - 1] } else { value };
    let (comparison, bound) = check.read_at(value, &value_at, |text| bound(text, metric))?;
    Some(Expectation { profile, metric: name.to_owned(), comparison, bound, at: span.place() })
}

/// Reads a file that holds `must_show`, `must_hold` and `min_exposure`, or some of them.
///
/// # Errors
/// All problems that could be found.
pub fn file(path: &Path, profiles: &[&str]) -> Result<Expectations, Problems> {
    let source = Source::read(path)?;
    let raw: raw::Expectations =
        yaml::parse(&source, "expectations: a map with `must_hold:`, `must_show:` or `min_exposure:`")?;
    let mut check = Check::new(source);
    let expectations = Expectations {
        must_show: resolve(&mut check, raw.must_show.as_ref(), profiles),
        must_hold: resolve(&mut check, raw.must_hold.as_ref(), profiles),
        min_exposure: exposure(&mut check, raw.min_exposure.as_ref(), profiles),
    };
    if check.problems.is_empty() { Ok(expectations) } else { Err(Problems(check.problems)) }
}

/// `lost: >5` is valid YAML, an empty folded text, so it has to be noticed here.
fn folded(check: &mut Check, name: &Text) -> bool {
    let key = check.span(name);
    let after = key.offset + key.len;
    let rest = &check.source.text[after..];
    let skipped = rest.len() - rest.trim_start_matches([':', ' ']).len();
    let value = check.source.span(after + skipped, 1);
    let Some(hint) = quote_hint(&value) else {
        return false;
    };
    check.report(
        Problem::new("a bound that begins with `>` must be quoted")
            .at(&value, "read as YAML, not as a bound")
            .hint(hint),
    );
    true
}

/// Validates `min_exposure`.
pub fn exposure(check: &mut Check, raw: Option<&Map<Text>>, profiles: &[&str]) -> Vec<(String, u64)> {
    let mut least = Vec::new();
    for (profile, text) in raw.into_iter().flat_map(|raw| &raw.0) {
        known_profile(check, profile, profiles);
        if let Some(count) = check.read(text, |text| integer(text, "number of messages", 1, u64::MAX)) {
            least.push((profile.value.clone(), count));
        }
    }
    least
}

fn known_profile(check: &mut Check, profile: &Text, profiles: &[&str]) {
    if !profiles.contains(&profile.value.as_str()) {
        let problem = unknown_profile(&profile.value, &check.span(profile), "experiment", profiles);
        check.report(problem);
    }
}

fn unknown_profile(name: &str, at: &Span, of: &str, profiles: &[&str]) -> Problem {
    Problem::new(format!("there is no profile `{name}` in this {of}"))
        .at(at, format!("its profiles are {}", profiles.join(", ")))
        .hint_if(did_you_mean(name, profiles.iter().copied()))
}
