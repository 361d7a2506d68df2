//! `lossproof run`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use lossproof_ledger::event::{Event, EventKind, Phase};
use lossproof_ledger::verdict::Verdict;
use tokio::sync::mpsc;

use super::suite::{Ending, Outcome, Outcomes};
use super::{checked_experiments, fail, hint, option_problems, printable, refuse};
use crate::exit::{EnvironmentProblem, Exit, Interrupted};
use crate::experiment::yours::{Dialect, Without, YOURS, Yours};
use crate::experiment::{Experiment, Problem, Problems};
use crate::report::Report;
use crate::report::judge::{complete, judge};
use crate::report::terminal::{Output, Terminal};
use crate::runner::order::by_cluster;
use crate::runner::stop::Stop;
use crate::runner::suite::{Plan, Suite};
use crate::runner::{Defect, Kept, Left, Options, Runner};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Experiment files, folders of them, or names of built-in experiments (see `lossproof list`).
    ///
    /// All are validated before the first starts. Those that need the same cluster follow one another, and one
    /// cluster serves them as long as it is as good as new after each. A failure does not keep the others from
    /// running; at the end, a table tells of all, and a matrix what each hazard did to each profile.
    #[arg(required = true, value_name = "FILE|FOLDER|NAME")]
    experiments: Vec<PathBuf>,
    /// Where run directories go.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    runs: PathBuf,
    /// Image of the brokers.
    #[arg(long, value_name = "IMAGE", env = "KAFKA_IMAGE", default_value = DEFAULT_IMAGE)]
    kafka_image: String,
    /// Go on with the latest run of these same experiments that was stopped in the middle.
    ///
    /// Experiments with a complete run on the same image, by the same lossproof and not changed since are taken
    /// over from there, and judged again; the others run. If nothing was stopped, all run.
    #[arg(long)]
    resume: bool,
    /// The configuration of your own producer (.properties), which runs as the profile `yours` beside the others.
    ///
    /// Options of Java's clients are translated to librdkafka's, and Java's defaults put in where librdkafka has its
    /// own; what has no counterpart is told. The profile is an approximation by librdkafka; it has a topic as
    /// `baseline` has it, and is counted, but not judged.
    #[arg(long, value_name = "FILE")]
    producer_config: Option<PathBuf>,
    /// The same of your own consumer.
    #[arg(long, value_name = "FILE")]
    consumer_config: Option<PathBuf>,
    /// Whose options these files have, where their names do not tell.
    #[arg(long, value_enum, value_name = "DIALECT")]
    config_dialect: Option<ConfigDialect>,
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

/// Whose options a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ConfigDialect {
    /// Java's clients
    Java,
    /// librdkafka, and what is built on it
    Librdkafka,
}

impl From<ConfigDialect> for Dialect {
    fn from(dialect: ConfigDialect) -> Self {
        match dialect {
            ConfigDialect::Java => Self::Java,
            ConfigDialect::Librdkafka => Self::Librdkafka,
        }
    }
}

pub(super) const DEFAULT_IMAGE: &str = "apache/kafka:3.9.2";

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
    if args.producer_config.is_some() || args.consumer_config.is_some() {
        experiments = match with_yours(&args, experiments, &mut terminal) {
            Ok(experiments) => experiments,
            Err(problems) => return refuse(&problems),
        };
    }
    let (watchers, queue) = mpsc::unbounded_channel();
    let options = Options { runs: args.runs.clone(), image: args.kafka_image.clone(), keep: args.keep };
    let given: Vec<String> = experiments.iter().map(|experiment| experiment.name.clone()).collect();
    let ready = async {
        let mut runner = Runner::new(options, Stop::on_signals()?, watchers).await?;
        let turns = turns(&mut runner, by_cluster(experiments), &args.kafka_image).await?;
        let suite = suite(&args, &given, &mut terminal)?;
        anyhow::Ok((runner, turns, suite))
    };
    let (runner, turns, suite) = match ready.await {
        Ok(ready) => ready,
        Err(error) => return fail(&error),
    };
    let mut play = Play { runner, terminal, queue, suite };
    let mut outcomes = Outcomes::of(given);
    for turn in turns {
        let outcome = play.turn(turn).await;
        let goes_on = match outcome.exit {
            Exit::Interrupted => false,
            // What one experiment lacks, another may not; but without the engine there is nothing.
            Exit::Environment => play.runner.engine_answers().await,
            _ => true,
        };
        outcomes.add(outcome);
        if !goes_on {
            break;
        }
    }
    let Play { runner, mut terminal, suite, .. } = play;
    outcomes.show(&mut terminal, suite.as_ref().map(|suite| suite.folder.as_path()));
    if outcomes.nothing_ran() {
        eprintln!("nothing was run: no experiment is for the Kafka of {}, so that nothing is proven", args.kafka_image);
    }
    outcomes.exit().worse(end(runner, &mut terminal).await)
}

/// Puts the user's own configuration beside the profiles of each experiment, and tells what was made of it.
fn with_yours(
    args: &RunArgs,
    experiments: Vec<Experiment>,
    terminal: &mut Terminal,
) -> Result<Vec<Experiment>, Problems> {
    let dialect = args.config_dialect.map(Dialect::from);
    let yours = Yours::read(args.producer_config.as_deref(), args.consumer_config.as_deref(), dialect)?;
    terminal.say("your configuration runs as the profile `yours`, an approximation by librdkafka");
    yours.notes.iter().for_each(|note| terminal.say(&format!("  {note}")));
    let mut all = Vec::new();
    for experiment in experiments {
        match experiment.with_yours(&yours)? {
            Ok(with) => all.push(with),
            Err(Without(why)) => {
                terminal.say(&format!("{} is run without it: {why}", experiment.name));
                all.push(experiment);
            }
        }
    }
    // The same in all of them.
    let profile = all.iter().flat_map(|experiment| &experiment.profiles).find(|profile| profile.name == YOURS);
    let problems: Vec<Problem> = profile.into_iter().flat_map(option_problems).collect();
    if problems.is_empty() { Ok(all) } else { Err(Problems(problems)) }
}

/// An experiment, and what is to be done with it.
struct Turn {
    experiment: Experiment,
    meant: Meant,
}

enum Meant {
    Run,
    /// It is not for this Kafka; a clause says why.
    Skip(String),
    /// This machine lacks what it needs.
    Refuse(anyhow::Error),
}

/// Which experiments are to be run here. One by itself, or all, that can't be is an error.
async fn turns(runner: &mut Runner, experiments: Vec<Experiment>, image: &str) -> Result<Vec<Turn>> {
    let asks = experiments.iter().any(|experiment| experiment.kafka.is_some());
    let version = if asks { Some(runner.kafka_version().await?) } else { None };
    let mut turns: Vec<Turn> = experiments
        .into_iter()
        .map(|experiment| {
            let meant = match (&experiment.kafka, &version) {
                (Some(wanted), Some(version)) if !wanted.matches(version) => {
                    Meant::Skip(format!("it is for Kafka {wanted}, and {image} is {version}"))
                }
                _ => Meant::Run,
            };
            Turn { experiment, meant }
        })
        .collect();
    let to_run = turns.iter().filter(|turn| matches!(turn.meant, Meant::Run)).map(|turn| &turn.experiment);
    // Tried together, as that takes one container; one by one only to find out whose the trouble is.
    match runner.check(to_run).await {
        Err(error) if turns.len() > 1 && error.is::<EnvironmentProblem>() => {}
        checked => return checked.map(|()| turns),
    }
    for turn in turns.iter_mut().filter(|turn| matches!(turn.meant, Meant::Run)) {
        if let Err(error) = runner.check(std::iter::once(&turn.experiment)).await {
            turn.meant = Meant::Refuse(error);
        }
    }
    Ok(turns)
}

/// The record of several experiments: the one that is resumed, or a new one. None for one by itself.
fn suite(args: &RunArgs, given: &[String], terminal: &mut Terminal) -> Result<Option<Suite>> {
    if given.len() < 2 && !args.resume {
        return Ok(None);
    }
    let plan = Plan {
        lossproof: env!("CARGO_PKG_VERSION").to_owned(),
        image: args.kafka_image.clone(),
        seed: args.seed,
        experiments: given.to_vec(),
    };
    if args.resume {
        if let Some(suite) = Suite::resume(&args.runs, &plan)? {
            terminal.say(&format!("{} is resumed", suite.folder.display()));
            return Ok(Some(suite));
        }
        let runs = args.runs.display();
        terminal.say(&format!("no run of these experiments that was stopped is in {runs}: all are run"));
    }
    Suite::begin(&args.runs, &plan).map(Some)
}

/// What experiments are run with.
struct Play {
    runner: Runner,
    terminal: Terminal,
    queue: mpsc::UnboundedReceiver<Event>,
    suite: Option<Suite>,
}

impl Play {
    async fn turn(&mut self, Turn { experiment, meant }: Turn) -> Outcome {
        let mut outcome = match meant {
            Meant::Run => match self.taken_over(&experiment) {
                Some(outcome) => return outcome,
                None => self.one(experiment).await,
            },
            Meant::Skip(why) => {
                self.terminal.say(&format!("{} is skipped: {why}", experiment.name));
                Outcome::without(experiment, Exit::Pass, Ending::Skipped)
            }
            Meant::Refuse(error) => {
                self.terminal.rest();
                eprintln!("{}:", experiment.name);
                Outcome::without(experiment, fail(&error), Ending::Failed("not possible here"))
            }
        };
        // What did not come to an account is run again when the suite is resumed.
        let is_over = outcome.exit != Exit::Interrupted && !matches!(outcome.ending, Ending::Failed(_));
        if let Some(suite) = self.suite.as_mut().filter(|_| is_over)
            && let Err(error) = suite.ended(&outcome.experiment.name, outcome.run_dir.as_deref())
        {
            outcome.exit = outcome.exit.worse(fail(&error));
        }
        outcome
    }

    /// What an experiment showed before its suite was stopped, if that can be said still.
    fn taken_over(&mut self, experiment: &Experiment) -> Option<Outcome> {
        let run_dir = self.suite.as_ref()?.run_of(&experiment.name)?;
        let name = &experiment.name;
        match complete(&run_dir, experiment) {
            Ok(report) => {
                self.terminal.taken_over(&report, &run_dir);
                let exit = of_verdict(report.verdict);
                let ending = Ending::Judged(Box::new(report));
                Some(Outcome { experiment: experiment.clone(), exit, ending, run_dir: Some(run_dir) })
            }
            Err(why) => {
                self.terminal.say(&format!("{name} is run again: {why}"));
                None
            }
        }
    }

    /// One experiment: shows its events while it runs, then judges what it left.
    async fn one(&mut self, experiment: Experiment) -> Outcome {
        let finished = {
            let mut running = Box::pin(self.runner.run(&experiment));
            loop {
                tokio::select! {
                    biased;
                    Some(event) = self.queue.recv() => self.terminal.event(&event),
                    finished = &mut running => break finished,
                }
            }
        };
        while let Ok(event) = self.queue.try_recv() {
            self.terminal.event(&event);
        }
        self.terminal.rest();
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                let why = if error.is::<Interrupted>() { "interrupted" } else { "not started" };
                return Outcome::without(experiment, fail(&error), Ending::Failed(why));
            }
        };
        let mut outcome = Outcome::without(experiment, Exit::Internal, Ending::Failed("no account"));
        match judged(&finished.run_dir) {
            Ok(report) => {
                self.terminal.report(&report, &finished.run_dir);
                outcome.exit = of_verdict(report.verdict);
                outcome.ending = Ending::Judged(Box::new(report));
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
}

/// Judges a run directory and keeps the report in it.
fn judged(run_dir: &Path) -> Result<Report> {
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
