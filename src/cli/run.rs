//! `lossproof run`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lossproof_ledger::event::{Event, EventKind, Phase};
use lossproof_ledger::verdict::Verdict;
use tokio::sync::mpsc;

use super::{checked_experiments, fail, hint, printable, refuse};
use crate::exit::{Exit, Interrupted};
use crate::experiment::{Experiment, Problems};
use crate::report::Report;
use crate::report::judge::judge;
use crate::report::terminal::{Ending, Output, Summary, Terminal};
use crate::runner::stop::Stop;
use crate::runner::{Defect, Kept, Left, Options, Runner};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Experiment files, folders of them, or names of built-in experiments (see `lossproof list`).
    ///
    /// All are validated before the first starts. One cluster serves them all as long as it is as good as
    /// new after each.
    #[arg(required = true, value_name = "FILE|FOLDER|NAME")]
    experiments: Vec<PathBuf>,
    /// Where run directories go.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    runs: PathBuf,
    /// Image of the brokers.
    #[arg(long, value_name = "IMAGE", env = "KAFKA_IMAGE", default_value = DEFAULT_IMAGE)]
    kafka_image: String,
    /// Leave the last cluster up for inspection, and tell how to reach and remove it.
    #[arg(long)]
    keep: bool,
    /// What `random` targets are chosen by, instead of what the experiments say (`seed:`).
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How the run is shown.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) const DEFAULT_IMAGE: &str = "apache/kafka:3.9.2";

/// How one experiment ended.
struct Outcome {
    name: String,
    exit: Exit,
    report: Result<Report, Unjudged>,
    run_dir: Option<PathBuf>,
}

/// Why there is no report.
enum Unjudged {
    /// It is not for this Kafka.
    Skipped,
    /// Something went wrong, in a few words.
    Failed(&'static str),
}

/// Runs experiments and shows what they showed.
pub async fn run(args: RunArgs) -> Exit {
    let mut experiments = match checked_experiments(&args.experiments) {
        Ok(experiments) => experiments,
        Err(exit) => return exit,
    };
    if let Some(seed) = args.seed {
        let seeded = experiments.into_iter().map(|experiment| experiment.with_seed(seed)).collect();
        experiments = match seeded {
            Ok(experiments) => experiments,
            Err(problem) => return refuse(&Problems::from(problem)),
        };
    }
    let mut terminal = Terminal::new(args.output);
    let (watchers, mut queue) = mpsc::unbounded_channel();
    let image = args.kafka_image;
    let options = Options { runs: args.runs, image: image.clone(), keep: args.keep };
    let runner = async {
        let runner = Runner::new(options, Stop::on_signals()?, watchers).await?;
        let skips = skips(&runner, &experiments, &image).await?;
        let meant = experiments.iter().zip(&skips).filter(|(_, skip)| skip.is_none());
        runner.check(meant.map(|(experiment, _)| experiment)).await?;
        anyhow::Ok((runner, skips))
    };
    let (mut runner, skips) = match runner.await {
        Ok(ready) => ready,
        Err(error) => return fail(&error),
    };
    let mut outcomes = Vec::new();
    let mut exit = Exit::Pass;
    for (experiment, skip) in experiments.iter().zip(skips) {
        let outcome = match skip {
            Some(why) => {
                terminal.skipped(&experiment.name, &why);
                Outcome::without(experiment, Exit::Pass, Unjudged::Skipped)
            }
            None => one(&mut runner, experiment, &mut terminal, &mut queue).await,
        };
        exit = exit.worse(outcome.exit);
        let goes_on = !matches!(outcome.exit, Exit::Interrupted | Exit::Environment);
        outcomes.push(outcome);
        if !goes_on {
            break;
        }
    }
    if experiments.len() > 1 {
        let summaries: Vec<Summary<'_>> = outcomes.iter().map(Outcome::summary).collect();
        terminal.summary(&summaries);
    }
    if outcomes.iter().all(|outcome| matches!(outcome.report, Err(Unjudged::Skipped))) {
        eprintln!("nothing was run: no experiment is for the Kafka of {image}, so that nothing is proven");
        exit = exit.worse(Exit::Inconclusive);
    }
    exit.worse(end(runner, &mut terminal).await)
}

/// Of each experiment, why it is not for the image's version of Kafka; none if it is. The image is asked only where that
/// matters.
async fn skips(runner: &Runner, experiments: &[Experiment], image: &str) -> Result<Vec<Option<String>>> {
    if experiments.iter().all(|experiment| experiment.kafka.is_none()) {
        return Ok(experiments.iter().map(|_| None).collect());
    }
    let version = runner.kafka_version().await?;
    let why = |experiment: &Experiment| {
        let wanted = experiment.kafka.as_ref().filter(|wanted| !wanted.matches(&version))?;
        Some(format!("it is for Kafka {wanted}, and {image} is {version}"))
    };
    Ok(experiments.iter().map(why).collect())
}

impl Outcome {
    fn without(experiment: &Experiment, exit: Exit, report: Unjudged) -> Self {
        Self { name: experiment.name.clone(), exit, report: Err(report), run_dir: None }
    }

    fn summary(&self) -> Summary<'_> {
        Summary {
            experiment: &self.name,
            outcome: match &self.report {
                Ok(report) => Ending::Judged(report),
                Err(Unjudged::Skipped) => Ending::Skipped,
                Err(Unjudged::Failed(why)) => Ending::Failed(why),
            },
            run_dir: self.run_dir.as_deref(),
        }
    }
}

/// One experiment: shows its events while it runs, then judges what it left.
async fn one(
    runner: &mut Runner,
    experiment: &Experiment,
    terminal: &mut Terminal,
    queue: &mut mpsc::UnboundedReceiver<Event>,
) -> Outcome {
    let finished = {
        let mut running = Box::pin(runner.run(experiment));
        loop {
            tokio::select! {
                biased;
                Some(event) = queue.recv() => terminal.event(&event),
                finished = &mut running => break finished,
            }
        }
    };
    while let Ok(event) = queue.try_recv() {
        terminal.event(&event);
    }
    terminal.rest();
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            let why = if error.is::<Interrupted>() { "interrupted" } else { "not started" };
            return Outcome::without(experiment, fail(&error), Unjudged::Failed(why));
        }
    };
    let mut outcome = Outcome::without(experiment, Exit::Internal, Unjudged::Failed("no account"));
    match judged(&finished.run_dir) {
        Ok(report) => {
            terminal.report(&report, &finished.run_dir);
            outcome.exit = of_verdict(report.verdict);
            outcome.report = Ok(report);
        }
        Err(error) => outcome.exit = fail(&error),
    }
    if finished.interrupted.is_some() {
        outcome.exit = Exit::Interrupted;
    } else if finished.error.as_ref().is_some_and(|error| error.is::<Defect>()) {
        outcome.exit = Exit::Internal;
    }
    outcome.run_dir = Some(finished.run_dir);
    outcome
}

/// Judges a run directory and keeps the report in it.
fn judged(run_dir: &std::path::Path) -> Result<Report> {
    let report = judge(run_dir)?;
    report.store(run_dir).context("can't write report.json")?;
    Ok(report)
}

/// The exit code of a verdict.
pub(super) const fn of_verdict(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Pass => Exit::Pass,
        Verdict::Fail => Exit::Fail,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}

/// Tears down, or tells what was kept.
async fn end(runner: Runner, terminal: &mut Terminal) -> Exit {
    terminal.event(&Event::now(EventKind::PhaseStarted { phase: Phase::TearDown, expected_ms: None }));
    let ended = runner.end().await;
    terminal.rest();
    match ended {
        Ok((kept, left)) => {
            if let Some(kept) = kept {
                tell_kept(&kept);
            }
            tell_left(&left)
        }
        Err(error) => {
            fail(&error.context("the cluster may be up still; try `lossproof clean`"));
            Exit::LeftBehind
        }
    }
}

fn tell_kept(kept: &Kept) {
    println!("\nThe cluster is still up.");
    println!("  reach it from this host   bootstrap.servers={}", kept.bootstrap);
    if let Some(container) = kept.containers.first() {
        println!("  Kafka's tools             docker exec {container} /opt/kafka/bin/kafka-topics.sh \\");
        println!("                              --bootstrap-server {} --describe", kept.bootstrap);
    }
    println!("  brokers 1 to {}            docker logs {}", kept.containers.len(), kept.containers.join(" | "));
    println!("  remove it                 lossproof clean --run {}", kept.session);
}

/// Exit code 5 where something could not be removed.
pub(super) fn tell_left(left: &Left) -> Exit {
    let Left { remains, faults } = left;
    if left.is_empty() {
        return Exit::Pass;
    }
    let kinds = [("container", &remains.containers), ("network", &remains.networks), ("volume", &remains.volumes)];
    for (kind, names) in kinds {
        for name in names {
            eprintln!("left behind: {kind} {name}");
        }
    }
    for fault in faults {
        eprintln!("left behind: {}", printable(fault));
    }
    if !remains.is_empty() {
        hint("something else may hold these; look with `docker inspect`, then run `lossproof clean` again");
    }
    Exit::LeftBehind
}
