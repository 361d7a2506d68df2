//! `lossproof plan`: what a run would do, told without starting one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{checked_experiments, columns, fail, write_out};
use crate::cluster::engine::Engine;
use crate::exit::{Exit, Interrupted};
use crate::experiment::{
    CrossCheck, Expectation, Experiment, FaultSpec, Isolation, Profile, Selector, Word, schedule, sending,
};
use crate::fault::needs::Requirement;
use crate::runner::capability::{Answer, Demand, Needy, demands, look};
use crate::runner::stop::Stop;

/// Check experiments and show what they would do; starts no run
///
/// Every file is validated as `run` would, then each experiment's time line, profiles and promises are printed.
/// A mistake is shown with its place and a hint, and the exit code is 3. What a fault needs and not every machine has
/// is tried in a container, where an engine answers; most faults need nothing of the kind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lossproof plan leader-partition\n  lossproof plan experiments/ my-own.yaml\n  \
                        lossproof plan --resolved leader-kill > my-own.yaml")]
pub struct PlanArgs {
    /// Experiment files, folders of them, or names of built-in experiments (see `lossproof list`)
    #[arg(required = true, value_name = "FILE|DIR|NAME")]
    pub files: Vec<PathBuf>,

    /// Print each experiment as YAML with every `extends` and default resolved, instead of the time line
    #[arg(long)]
    pub resolved: bool,
}

/// The parts of a profile, in the order in which they are shown.
const PARTS: [&str; 3] = ["topic", "producer", "consumer"];

/// Runs the subcommand.
pub async fn run(args: &PlanArgs) -> Exit {
    let experiments = match checked_experiments(&args.files) {
        Ok(experiments) => experiments,
        Err(exit) => return exit,
    };
    let (texts, between): (Vec<String>, _) = if args.resolved {
        (experiments.into_iter().map(|experiment| experiment.resolved).collect(), "---\n")
    } else {
        let found = match found(&experiments).await {
            Ok(found) => found,
            Err(error) => return fail(&error),
        };
        (experiments.iter().map(|experiment| plan(experiment, &found)).collect(), "\n")
    };
    write_out(&texts.join(between))
}

/// What this machine has of what is special in all experiments.
type Found = Vec<(Requirement, String)>;

/// Looks for what the faults need, where an engine answers. Most need nothing special, and nothing is started then.
async fn found(experiments: &[Experiment]) -> Result<Found> {
    let demands = demands(experiments);
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    let stop = Stop::on_signals()?;
    let looked = async { look(&Engine::connect().await?, &stop, &demands).await };
    let told: Vec<String> = match looked.await {
        Ok(answers) => answers.into_iter().zip(&demands).map(|(answer, demand)| word(answer, demand)).collect(),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        // The first line: what helps is for those who want to run it.
        Err(error) => {
            let why = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
            demands.iter().map(|_| format!("unknown here: {why}")).collect()
        }
    };
    Ok(demands.into_iter().map(|demand| demand.requirement).zip(told).collect())
}

fn word(answer: Answer, demand: &Demand) -> String {
    match answer {
        Answer::There => "there".to_owned(),
        Answer::Missing(said) if said.is_empty() => format!("MISSING here: {}", demand.requirement.how()),
        Answer::Missing(said) => format!("MISSING here ({said}): {}", demand.requirement.how()),
    }
}

/// The whole plan of one experiment.
fn plan(experiment: &Experiment, found: &Found) -> String {
    let mut text = format!("{}  ({})\n", experiment.name, experiment.file.display());
    if !experiment.summary.is_empty() {
        text.push_str(&columns(vec![vec![experiment.summary.clone()]]));
    }
    let told = [("hazard", &experiment.hazard), ("protects", &experiment.protects)];
    let told: Vec<_> = told.iter().filter(|(_, phrase)| !phrase.is_empty()).collect();
    if !told.is_empty() {
        text.push('\n');
        text.push_str(&columns(told.iter().map(|(key, phrase)| vec![(*key).to_owned(), (*phrase).clone()]).collect()));
    }
    text.push_str("\nCluster and workload\n");
    text.push_str(&columns(setting_rows(experiment)));
    text.push_str("\nTime line, from the first message (~: by the state of the cluster, so an estimate)\n");
    text.push_str(&columns(time_line(experiment)));
    let demands = demands([experiment]);
    if !demands.is_empty() {
        text.push_str("\nWhat the faults need of the machine, and not every one has\n");
        let rows = demands.into_iter().map(|Demand { requirement, faults }| {
            let found = found.iter().find(|(looked_for, _)| *looked_for == requirement);
            let found = found.map(|(_, told)| told.clone()).unwrap_or_default();
            let faults = faults.into_iter().map(|Needy { place, kind }| format!("line {} ({kind})", place.line));
            vec![requirement.to_string(), faults.collect::<Vec<_>>().join(", "), found]
        });
        text.push_str(&columns(rows.collect()));
    }
    profiles(&mut text, &experiment.profiles);
    for (title, expectations) in [
        ("Must show, or the run proves nothing and ends inconclusive", &experiment.must_show),
        ("Must hold, or the run fails", &experiment.must_hold),
    ] {
        if !expectations.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.push_str(&columns(expectations.iter().map(expectation_row).collect()));
        }
    }
    if !experiment.min_exposure.is_empty() {
        let rows = experiment.min_exposure.iter().map(|(name, count)| {
            vec![name.clone(), format!("at least {count} messages in flight or acknowledged while the faults last")]
        });
        text.push_str("\nExposure, or the run ends inconclusive\n");
        text.push_str(&columns(rows.collect()));
    }
    text
}

fn setting_rows(experiment: &Experiment) -> Vec<Vec<String>> {
    let (cluster, workload) = (&experiment.cluster, &experiment.workload);
    let mut rows = vec![vec![
        "cluster".to_owned(),
        format!("{}, {} of disk for each broker", cluster.definition, mib(cluster.disk_bytes)),
    ]];
    rows.extend(
        cluster.broker_config.iter().map(|(key, value)| vec!["broker option".to_owned(), format!("{key}={value}")]),
    );
    if let Some(versions) = &experiment.kafka {
        rows.push(vec!["Kafka".to_owned(), format!("{versions}, and skipped on others")]);
    }
    if experiment.isolation == Isolation::Apart {
        rows.push(vec![
            "isolation".to_owned(),
            "apart: one profile after another, each on a fresh cluster; what follows is for each of them".to_owned(),
        ]);
    }
    if experiment.cross_check == Some(CrossCheck::KafkaTools) {
        let text = "the ends of the logs, commits and lag must be the same by Kafka's own tools";
        rows.push(vec!["cross-check".to_owned(), text.to_owned()]);
    }
    let offering = schedule::offering(experiment);
    let messages = (workload.rate_per_s * offering.as_secs_f64()).round();
    rows.push(vec![
        "offered".to_owned(),
        format!("{} messages/s of {} bytes for each profile", workload.rate_per_s, workload.payload_bytes),
    ]);
    rows.push(vec![
        "in all".to_owned(),
        format!(
            "about {messages} messages for each profile, {} on each broker",
            mib(schedule::bytes_per_broker(experiment))
        ),
    ]);
    rows.push(vec![
        "length".to_owned(),
        format!(
            "about {} of messages, then drain and audit; at most {} with these",
            format(offering),
            format(workload.max)
        ),
    ]);
    rows.push(vec!["run time".to_owned(), format!("about {} in all", format(schedule::length(experiment)))]);
    if experiment.faults.iter().any(|fault| fault.kind.target() == Some(&Selector::Random)) {
        let seed = experiment.seed.map_or_else(
            || "each run has a seed of its own, and tells it".to_owned(),
            |seed| format!("the same in each run, by seed {seed}"),
        );
        rows.push(vec!["by chance".to_owned(), seed]);
    }
    rows
}

fn time_line(experiment: &Experiment) -> Vec<Vec<String>> {
    let workload = &experiment.workload;
    let row = |sign: &str, at: Duration, what: String| vec![format!("{sign}{}", clock(at)), what];
    let mut rows = vec![row(" ", Duration::ZERO, format!("warm-up, for {}", format(workload.warm_up)))];
    if experiment.faults.is_empty() {
        rows.push(row(" ", workload.warm_up, "no fault: a control".to_owned()));
    } else {
        rows.push(row(" ", workload.warm_up, "the faults' clock starts: `at` counts from here".to_owned()));
    }
    let mut events = Vec::new();
    let several = experiment.faults.len() > 1;
    for (index, fault) in experiment.faults.iter().enumerate() {
        let name = if several { format!("fault {}: ", index + 1) } else { String::new() };
        let begin = workload.warm_up + fault.planned;
        let sign = if fault.after.is_some() { "~" } else { " " };
        events.push((begin, row(sign, begin, format!("{name}{}{fault}", condition(fault)))));
        if let Some(end) = schedule::end(fault) {
            // What ends by itself takes as long as the cluster lets it.
            let sign = if schedule::ends_by_state(fault) { "~" } else { " " };
            let end = workload.warm_up + end;
            events.push((end, row(sign, end, format!("{name}{}", fault.kind.end()))));
        }
    }
    // Faults may overlap.
    events.sort_by_key(|(at, _)| *at);
    rows.extend(events.into_iter().map(|(_, row)| row));
    let end = schedule::offering(experiment);
    let quiet = end.saturating_sub(workload.after_recovery);
    if !experiment.faults.is_empty() {
        let begin = workload.warm_up + schedule::faults_end(&experiment.faults);
        rows.push(row("~", begin, "recovery: all replicas in sync, a leader everywhere".to_owned()));
    }
    rows.push(row("~", quiet, format!("undisturbed, for {}", format(workload.after_recovery))));
    rows.push(row("~", end, "drain, audit of the whole log, verdict".to_owned()));
    rows
}

/// `2 of 3, 5s after fault 1 has recovered, `.
fn condition(fault: &FaultSpec) -> String {
    let repeat = fault.repeat.map(|repeat| format!("{repeat}, ")).unwrap_or_default();
    let after = fault.after.map(|after| match fault.at {
        Duration::ZERO => format!("after {after}, "),
        at => format!("{} after {after}, ", format(at)),
    });
    format!("{repeat}{}", after.unwrap_or_default())
}

/// One row for each setting that is not the same in all profiles, then one for what is.
fn profiles(text: &mut String, profiles: &[Profile]) {
    let settings: Vec<Vec<(String, String)>> = profiles.iter().map(settings).collect();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in settings.iter().flatten() {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    // What is the topic's stands together, then the producer's, then the consumer's.
    keys.sort_by_key(|key| PARTS.iter().position(|part| key.starts_with(part)));

    let row = |head: &str, cells: Vec<String>| std::iter::once(head.to_owned()).chain(cells).collect::<Vec<_>>();
    let mut rows = vec![row("", profiles.iter().map(|own| own.name.clone()).collect())];
    if profiles.iter().any(|own| !own.summary.is_empty()) {
        rows.push(row("", profiles.iter().map(|own| own.summary.clone()).collect()));
    }
    let mut common = Vec::new();
    for key in keys {
        let values: Vec<_> = settings
            .iter()
            .map(|own| own.iter().find(|(other, _)| other == key).map_or("(default)", |(_, value)| value.as_str()))
            .collect();
        if profiles.len() > 1 && values.iter().all(|value| *value == values[0]) {
            common.push(format!("{key}={}", values[0]));
        } else {
            rows.push(row(key, values.into_iter().map(str::to_owned).collect()));
        }
    }
    text.push_str(if profiles.len() > 1 { "\nProfiles, where they differ\n" } else { "\nProfile\n" });
    text.push_str(&columns(rows));
    if !common.is_empty() {
        text.push_str("\nProfiles, what all have in common\n");
        text.push_str(&columns(vec![vec![common.join(", ")]]));
    }
}

/// Every setting of a profile after the side that it belongs to, such as `producer acks`.
pub(super) fn settings(profile: &Profile) -> Vec<(String, String)> {
    let mut all = vec![
        ("topic partitions".to_owned(), profile.topic.partitions.to_string()),
        ("topic replication_factor".to_owned(), profile.topic.replication_factor.to_string()),
    ];
    all.extend(profile.topic.config.iter().map(|(key, value)| (format!("topic {key}"), value.clone())));
    all.extend(profile.producer.options.iter().map(|(key, value)| (format!("producer {}", key.value), value.clone())));
    all.push(("producer on_queue_full".to_owned(), profile.producer.on_queue_full.word().to_owned()));
    all.push(("producer on_fatal".to_owned(), profile.producer.on_fatal.word().to_owned()));
    let messages = profile.producer.transaction_messages.map(|n| n.to_string());
    all.extend(messages.map(|n| ("producer transaction_messages".to_owned(), n)));
    all.extend(profile.producer.keys.map(|keys| ("producer keys".to_owned(), keys.to_string())));
    let sending = sending(&profile.producer.sending);
    all.extend(sending.into_iter().map(|(key, value)| (format!("producer {key}"), value)));
    all.extend(profile.consumer.options.iter().map(|(key, value)| (format!("consumer {}", key.value), value.clone())));
    all.extend(profile.consumer.behaviours().into_iter().map(|(key, value)| (format!("consumer {key}"), value)));
    all
}

fn expectation_row(expectation: &Expectation) -> Vec<String> {
    vec![expectation.profile.clone(), expectation.metric.clone(), expectation.to_string()]
}

fn mib(bytes: u64) -> String {
    match bytes >> 20 {
        0 => "under 1 MiB".to_owned(),
        mib => format!("{mib} MiB"),
    }
}

fn format(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Minutes and seconds, with milliseconds where they matter.
fn clock(at: Duration) -> String {
    let (minutes, seconds, millis) = (at.as_secs() / 60, at.as_secs() % 60, at.subsec_millis());
    if millis == 0 { format!("{minutes}:{seconds:02}") } else { format!("{minutes}:{seconds:02}.{millis:03}") }
}
