//! From the raw shape to an `Experiment`: every value read, every rule checked, all problems collected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use semver::VersionReq;

use super::amount::{format_size, size};
use super::check::Check;
use super::fault::ALL;
use super::hint::did_you_mean;
use super::producer::{PAYLOAD_LEAST, PAYLOAD_MOST};
use super::source::{Source, Span};
use super::value::{duration, integer, name, phrase, rate, versions, word};
use super::{ClusterSpec, Experiment, Isolation, Leave, Problem, Problems, Profile, Workload};
use super::{expect, fault, metric, option_name, overlap, profile, raw, resolved, schedule, selector, yaml};

/// The one cluster definition there is.
const DEFINITION: &str = "three-brokers";
const DISK_DEFAULT: u64 = 1 << 30;
const DISK_LEAST: u64 = 256 << 20;
const DISK_MOST: u64 = 64 << 30;
/// Less is no mark: brokers write more than that between two looks.
const LEAVE_LEAST: u64 = 1 << 20;
const WARM_UP_DEFAULT: Duration = Duration::from_secs(5);
const AFTER_RECOVERY_DEFAULT: Duration = Duration::from_secs(10);
const MAX_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Reads and validates one experiment.
///
/// # Errors
/// All problems that could be found.
pub fn experiment(source: &Arc<Source>) -> Result<Experiment, Problems> {
    let raw: raw::Experiment =
        yaml::parse(source, "an experiment: a map with `name:`, `workload:`, `profiles:` and `faults:`")?;
    let mut check = Check::new(Arc::clone(source));
    let found = build(&mut check, &raw);
    match found {
        Some(mut experiment) if check.problems.is_empty() => {
            experiment.resolved = resolved::to_yaml(&experiment)?;
            Ok(experiment)
        }
        _ => Err(Problems::distinct(check.problems)),
    }
}

fn build(check: &mut Check, raw: &raw::Experiment) -> Option<Experiment> {
    let experiment_name = check.read(&raw.name, |text| name(text, "an experiment"));
    let hazard = raw.hazard.as_ref().map_or(Some(String::new()), |text| check.read(text, phrase));
    let protects = raw.protects.as_ref().map_or(Some(String::new()), |text| check.read(text, phrase));
    let kafka = requires(check, raw.requires.as_ref());
    let isolation = check.read_or(raw.isolation.as_ref(), Isolation::Shared, |text| word(text, "kind of isolation"));
    // One that can't be read is a problem noted.
    let cross_check = raw.cross_check.as_ref().and_then(|text| check.read(text, |text| word(text, "cross-check")));
    let cluster = cluster(check, raw.cluster.as_ref());
    let workload = workload(check, &raw.workload);
    // One that can't be read is a problem noted.
    let seed = raw.seed.as_ref().and_then(|text| check.read(text, |text| integer(text, "seed", 0, u64::MAX)));
    let profiles = profiles(check, raw);
    let names: Vec<&str> = raw.profiles.value.0.iter().map(|(key, _)| key.value.as_str()).collect();
    let faults = faults(check, raw, profiles.as_deref(), &names);

    let must_show = expect::resolve(check, raw.must_show.as_ref(), &names);
    let must_hold = expect::resolve(check, raw.must_hold.as_ref(), &names);
    let min_exposure = expect::exposure(check, raw.min_exposure.as_ref(), &names);

    if let (Some((profile, _)), None) = (raw.min_exposure.iter().flat_map(|least| &least.0).next(), first_fault(raw)) {
        let problem = Problem::new("`min_exposure` without a fault can never be reached")
            .at(&check.span(profile), "it counts messages while faults last")
            .hint("remove it, or add a fault");
        check.report(problem);
    }

    measurable(check, raw);
    if isolation == Some(Isolation::Apart) {
        apart_needs_all(check, raw);
    }

    let file = check.source.path.clone().unwrap_or_else(|| PathBuf::from(&check.source.name));
    let experiment = Experiment {
        name: experiment_name?,
        summary: raw.summary.as_ref().map(|text| text.value.trim().to_owned()).unwrap_or_default(),
        hazard: hazard?,
        protects: protects?,
        seed,
        file,
        group: String::new(),
        kafka: kafka?,
        isolation: isolation?,
        cross_check,
        cluster: cluster?,
        workload: workload?,
        profiles: profiles?,
        faults: faults?,
        must_show,
        must_hold,
        min_exposure,
        resolved: String::new(),
    };
    fits_time(check, raw, &experiment);
    fits_disk(check, raw, &experiment);
    marks_fit(check, raw, experiment.cluster.disk_bytes);
    rules_are_kept(check, raw, &experiment.cluster);
    Some(experiment)
}

/// None is a problem noted.
fn requires(check: &mut Check, raw: Option<&raw::Requires>) -> Option<Option<VersionReq>> {
    match raw.and_then(|requires| requires.kafka.as_ref()) {
        Some(text) => check.read(text, versions).map(Some),
        None => Some(None),
    }
}

/// A profile that is alone would not meet a fault of another one's clients.
fn apart_needs_all(check: &mut Check, raw: &raw::Experiment) {
    let faults = raw.faults.iter().flatten().map(|fault| &fault.value);
    let clients = faults.flat_map(|fault| [&fault.client_kill, &fault.client_pause, &fault.client_stop]).flatten();
    for clients in clients.filter(|clients| clients.value.profile.value != ALL) {
        let name = &clients.value.profile;
        let problem =
            Problem::new(format!("`{}` is alone with `isolation: apart`, and so is every other profile", name.value))
                .at(&check.span(name), "the others would meet no fault here")
                .hint("`profile: all` hits the clients of each profile in its turn");
        check.report(problem);
    }
}

/// What is measured of faults needs one.
fn measurable(check: &mut Check, raw: &raw::Experiment) {
    if first_fault(raw).is_some() {
        return;
    }
    let expectations = raw.must_show.iter().chain(&raw.must_hold).flat_map(|of_profiles| &of_profiles.0);
    for (name, _) in expectations.flat_map(|(_, metrics)| &metrics.0) {
        if metric::find(&name.value).is_some_and(|metric| metric.of_faults) {
            let problem = Problem::new(format!("`{}` without a fault can never be measured", name.value))
                .at(&check.span(name), "it is measured where a fault was")
                .hint("remove it, or add a fault");
            check.report(problem);
        }
    }
}

fn first_fault(raw: &raw::Experiment) -> Option<&raw::Fault> {
    raw.faults.iter().flatten().map(|fault| &fault.value).next()
}

fn cluster(check: &mut Check, raw: Option<&raw::Cluster>) -> Option<ClusterSpec> {
    let nothing = raw::Cluster::default();
    let raw = raw.unwrap_or(&nothing);
    if let Some(text) = raw.definition.as_ref().filter(|text| text.value != DEFINITION) {
        let problem = Problem::new(format!("there is no cluster `{}`", text.value))
            .at(&check.span(text), format!("expected `{DEFINITION}`"))
            .hint_if(did_you_mean(&text.value, [DEFINITION]));
        check.report(problem);
    }
    let disk_bytes = check.read_or(raw.disk.as_ref(), DISK_DEFAULT, size);
    if let (Some(text), Some(bytes)) = (&raw.disk, disk_bytes) {
        within(check, &check.span(text), "a broker's disk", bytes, DISK_LEAST, DISK_MOST);
    }
    let mut broker_config = Vec::new();
    for (key, value) in raw.broker_config.iter().flat_map(|config| &config.0) {
        let at = check.span(key);
        option_name::check_name(check, &key.value, &at, option_name::OWNED_BROKER_CONFIG);
        if option_name::OWNED_BROKER_CONFIG.contains(&key.value.as_str()) {
            check.report(
                Problem::new(format!("`{}` is set by lossproof", key.value))
                    .at(&at, "the faults depend on it")
                    .hint("remove it"),
            );
        }
        if let Some(value) = value {
            broker_config.push((key.value.clone(), value.value.clone()));
        }
    }
    Some(ClusterSpec { definition: DEFINITION.to_owned(), broker_config, disk_bytes: disk_bytes? })
}

fn workload(check: &mut Check, raw: &raw::Workload) -> Option<Workload> {
    let rate_per_s = check.read(&raw.rate, rate);
    let payload = check.read(&raw.payload, size);
    if let Some(bytes) = payload {
        within(check, &check.span(&raw.payload), "a payload", bytes, PAYLOAD_LEAST, PAYLOAD_MOST);
    }
    let warm_up = check.read_or(raw.warm_up.as_ref(), WARM_UP_DEFAULT, duration);
    let after_recovery = check.read_or(raw.after_recovery.as_ref(), AFTER_RECOVERY_DEFAULT, duration);
    let max = check.read_or(raw.max.as_ref(), MAX_DEFAULT, duration);
    Some(Workload {
        rate_per_s: rate_per_s?,
        payload_bytes: usize::try_from(payload?).ok()?,
        warm_up: warm_up?,
        after_recovery: after_recovery?,
        max: max?,
    })
}

fn within(check: &mut Check, span: &Span, what: &str, bytes: u64, least: u64, most: u64) {
    if !(least..=most).contains(&bytes) {
        check.report(
            Problem::new(format!("{} is not possible for {what}", format_size(bytes)))
                .at(span, format!("expected {} to {}", format_size(least), format_size(most))),
        );
    }
}

fn profiles(check: &mut Check, raw: &raw::Experiment) -> Option<Vec<Profile>> {
    let entries = &raw.profiles.value.0;
    if entries.is_empty() {
        let problem = Problem::new("an experiment needs at least one profile")
            .at(&check.span(&raw.profiles), "expected a profile here")
            .hint("for example `baseline: { extends: baseline }`");
        check.report(problem);
        return None;
    }
    profile::resolve(check, raw)
}

fn faults(
    check: &mut Check,
    raw: &raw::Experiment,
    profiles: Option<&[Profile]>,
    names: &[&str],
) -> Option<Vec<super::FaultSpec>> {
    let (faults, complete) = fault::faults(check, raw.faults.as_deref().unwrap_or_default());
    if let Some(profiles) = profiles {
        selector::are_there(check, profiles);
    }
    fault::clients_exist(check, profiles.unwrap_or_default(), names);
    overlap::refuse_conflicts(check, &faults);
    complete.then(|| faults.into_iter().map(|(fault, _)| fault).collect())
}

fn fits_time(check: &mut Check, raw: &raw::Experiment, experiment: &Experiment) {
    let Workload { max, .. } = experiment.workload;
    let planned = schedule::offering(experiment);
    if planned < max {
        return;
    }
    let span = match &raw.workload.max {
        Some(text) => check.span(text),
        None => check.span(&raw.workload.rate),
    };
    let format = |duration| humantime::format_duration(duration).to_string();
    check.report(
        Problem::new(format!("the schedule does not fit into `max: {}`", format(max)))
            .at(
                &span,
                format!(
                    "warm-up {}, faults until {}, about {} for recovery and {} after it take {}",
                    format(experiment.workload.warm_up),
                    format(schedule::faults_end(&experiment.faults)),
                    format(schedule::RECOVERY_ESTIMATE),
                    format(experiment.workload.after_recovery),
                    format(planned)
                ),
            )
            .hint(format!("raise `max` to {} or more: start, drain and audit take time too", format(planned * 2))),
    );
}

/// Without an authorizer nobody asks who may do what.
fn rules_are_kept(check: &mut Check, raw: &raw::Experiment, cluster: &ClusterSpec) {
    const AUTHORIZER: &str = "authorizer.class.name";
    if cluster.broker_config.iter().any(|(name, value)| name == AUTHORIZER && !value.is_empty()) {
        return;
    }
    if let Some(acl) = raw.faults.iter().flatten().find_map(|fault| fault.value.acl.as_ref()) {
        let problem = Problem::new("`acl` needs brokers with an authorizer")
            .at(&check.span(acl), "nobody would keep to this rule")
            .hint(format!("set `{AUTHORIZER}` under `cluster: {{ broker_config: … }}`; see `lossproof faults acl`"));
        check.report(problem);
    }
}

/// A disk is filled to a mark that lies on it.
fn marks_fit(check: &mut Check, raw: &raw::Experiment, disk: u64) {
    let fills = raw.faults.iter().flatten().filter_map(|fault| fault.value.disk_fill.as_ref());
    for text in fills.filter_map(|fill| fill.value.leave.as_ref()) {
        let Ok(Leave::Bytes(bytes)) = Leave::read(&text.value) else { continue };
        if !(LEAVE_LEAST..disk).contains(&bytes) {
            let problem = Problem::new(format!("{} can't be what stays free of a disk", format_size(bytes)))
                .at(
                    &check.span(text),
                    format!(
                        "expected {} or more, and less than the disk's {}",
                        format_size(LEAVE_LEAST),
                        format_size(disk)
                    ),
                )
                .hint("without `leave` not a block stays free; `5%` is a share of the disk");
            check.report(problem);
        }
    }
}

fn fits_disk(check: &mut Check, raw: &raw::Experiment, experiment: &Experiment) {
    let (bytes, disk) = (schedule::bytes_per_broker(experiment), experiment.cluster.disk_bytes);
    if bytes < disk / 2 {
        return;
    }
    let copies = schedule::copies(experiment);
    let problem = Problem::new("the workload would fill more than half of each broker's disk by itself")
        .at(
            &check.span(&raw.workload.rate),
            format!(
                "{}/s x {}{} x {} s x {copies} replicas over {} brokers is {} MiB of {} MiB",
                experiment.workload.rate_per_s,
                format_size(experiment.workload.payload_bytes as u64),
                if experiment.profiles.iter().any(|own| own.producer.sending.large.is_some()) {
                    " and larger"
                } else {
                    ""
                },
                schedule::offering(experiment).as_secs(),
                schedule::BROKERS,
                bytes >> 20,
                disk >> 20,
            ),
        )
        .hint("lower the rate or the payload, shorten the schedule, or raise `cluster: { disk: … }`");
    check.report(problem);
}
