//! Ablation: `vary: [acks, …]` on a profile runs it, beside the whole, once for each of these settings with that one put
//! back to the baseline's, to see which of them protects.

use super::check::Check;
use super::hint::did_you_mean;
use super::profile::{Merged, Setting};
use super::value::{NAME_MAX, name};
use super::{Problem, Varied};

/// The profile that settings are put back to.
pub const BASELINE: &str = "baseline";

/// What librdkafka or a behaviour does not take without the other: put back together.
const COMMIT: [&str; 2] = ["enable.auto.commit", "commit"];
const IDEMPOTENCE: &str = "enable.idempotence";

/// The profiles with one setting put back, by name, with all that is merged in them.
pub fn variants(
    check: &mut Check,
    profile: &str,
    merged: &Merged,
    baseline: Option<&Merged>,
    names: &[&str],
) -> Vec<(String, Varied, Merged)> {
    let Some((_, first)) = merged.vary.first() else { return Vec::new() };
    let Some(baseline) = baseline else {
        let problem = Problem::new(format!("`vary` needs a profile `{BASELINE}` in the same experiment"))
            .at(first, "to what is this to be put back?")
            .hint(format!("add `{BASELINE}: {{ extends: {BASELINE} }}`"));
        check.report(problem);
        return Vec::new();
    };
    let mut all: Vec<(String, Varied, Merged)> = Vec::new();
    for (setting, at) in &merged.vary {
        let found = variant(setting, merged, baseline);
        let (with, varied) = match found {
            Ok(found) => found,
            Err((message, hint)) => {
                check.report(Problem::new(message).at(at, "can't be put back to the baseline's").hint_if(hint));
                continue;
            }
        };
        let own = variant_name(profile, setting);
        let Some(own) = check.read_at(&own, at, |text| name(text, "a profile")) else { continue };
        if names.contains(&own.as_str()) || all.iter().any(|(other, ..)| *other == own) {
            check.report(
                Problem::new(format!("there would be two profiles `{own}`"))
                    .at(at, "named a second time")
                    .hint("leave one of them out"),
            );
            continue;
        }
        all.push((own, Varied { of: profile.to_owned(), setting: setting.clone(), with }, varied));
    }
    all
}

/// As long as a name may be.
fn variant_name(profile: &str, setting: &str) -> String {
    let setting: String =
        setting.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name: String = format!("{profile}-without-{setting}").chars().take(NAME_MAX).collect();
    name.trim_end_matches('-').to_owned()
}

/// What had to be put back with a setting, and what comes of it; or why it can't be, and what may have been meant.
fn variant(
    setting: &str,
    merged: &Merged,
    baseline: &Merged,
) -> Result<(Vec<String>, Merged), (String, Option<String>)> {
    let parts = |of: &Merged| [of.config.clone(), of.producer.clone(), of.consumer.clone()];
    let value = |of: &Merged| parts(of).map(|settings| find(&settings, setting).map(|own| own.value.0.clone()));
    let (own, other) = (value(merged), value(baseline));
    if own.iter().chain(&other).all(Option::is_none) {
        let known: Vec<String> = parts(merged).into_iter().flatten().map(|own| own.key).collect();
        let hint = did_you_mean(setting, known.iter().map(String::as_str));
        return Err((format!("neither this profile nor the baseline says anything of `{setting}`"), hint));
    }
    if own == other {
        let told = own.into_iter().flatten().next().unwrap_or_default();
        return Err((format!("`{setting}` is {told} in the baseline, too: nothing would change"), None));
    }
    let mut varied = merged.clone();
    varied.vary = Vec::new();
    put_back(&mut varied, baseline, setting);
    let mut with = Vec::new();
    for companion in companions(setting, &varied) {
        let before = parts(&varied).map(|settings| find(&settings, companion).map(|own| own.value.0.clone()));
        put_back(&mut varied, baseline, companion);
        let after = parts(&varied).map(|settings| find(&settings, companion).map(|own| own.value.0.clone()));
        if before != after {
            with.push(companion.to_owned());
        }
    }
    let together = if with.is_empty() { String::new() } else { format!(" and {}", with.join(", ")) };
    varied.describe(format!("the same with {setting}{together} as in the baseline"));
    Ok((with, varied))
}

fn find<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    settings.iter().find(|setting| setting.key == key)
}

/// Gives a setting the baseline's value, or takes it away where that has none.
fn put_back(varied: &mut Merged, baseline: &Merged, key: &str) {
    let sides = [
        (&mut varied.config, &baseline.config),
        (&mut varied.producer, &baseline.producer),
        (&mut varied.consumer, &baseline.consumer),
    ];
    for (own, other) in sides {
        match (own.iter().position(|setting| setting.key == key), find(other, key)) {
            (Some(place), Some(other)) => own[place] = other.clone(),
            (Some(place), None) => drop(own.remove(place)),
            (None, Some(other)) => own.push(other.clone()),
            (None, None) => {}
        }
    }
}

/// Settings that can't stay as they are when this one has been put back.
fn companions(setting: &str, varied: &Merged) -> Vec<&'static str> {
    if COMMIT.contains(&setting) {
        return COMMIT.into_iter().filter(|other| *other != setting).collect();
    }
    let value = |key: &str| find(&varied.producer, key).map(|own: &Setting| own.value.0.as_str());
    let is_idempotent = value(IDEMPOTENCE).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let refused = match setting {
        "acks" | "request.required.acks" => value(setting).is_some_and(|acks| !matches!(acks, "all" | "-1")),
        "retries" | "message.send.max.retries" => value(setting) == Some("0"),
        "max.in.flight" | "max.in.flight.requests.per.connection" => {
            value(setting).and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number > 5)
        }
        _ => false,
    };
    if is_idempotent && refused { vec![IDEMPOTENCE] } else { Vec::new() }
}
