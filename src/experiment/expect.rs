//! Expectations: `must_show`, `must_hold` and `min_exposure`.

use super::check::Check;
use super::hint::did_you_mean;
use super::metric::{self, METRICS};
use super::raw::{Map, Text};
use super::value::{bound, integer};
use super::yaml::quote_hint;
use super::{Expectation, Problem};

/// Validates `must_show` or `must_hold`; `profiles` are the names that exist.
pub fn resolve(check: &mut Check, raw: Option<&Map<Map<Text>>>, profiles: &[&str]) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for (profile, metrics) in raw.into_iter().flat_map(|raw| &raw.0) {
        known_profile(check, profile, profiles);
        for (name, text) in &metrics.0 {
            let Some(metric) = metric::find(&name.value) else {
                let problem = Problem::new(format!("unknown metric `{}`", name.value))
                    .at(&check.span(name), "expected a count or a time of the report, such as `lost` or `unavailable`")
                    .hint(
                        did_you_mean(&name.value, METRICS.iter().map(|metric| metric.name))
                            .unwrap_or_else(|| "README.md lists the metrics".to_owned()),
                    );
                check.report(problem);
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
        let problem = Problem::new(format!("there is no profile `{}` in this experiment", profile.value))
            .at(&check.span(profile), format!("its profiles are {}", profiles.join(", ")))
            .hint_if(did_you_mean(&profile.value, profiles.iter().copied()));
        check.report(problem);
    }
}
