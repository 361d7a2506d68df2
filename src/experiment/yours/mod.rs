//! A user's own configuration, from `.properties` files of Java's clients or of librdkafka, as the profile `yours` of any
//! experiment. It is an approximation by librdkafka: what is not taken as it stands is told.

pub mod client_file;
pub mod connection;
mod java;
mod properties;
pub(super) mod secrets;
#[cfg(test)]
mod tests;
mod translate;

use std::path::Path;
use std::sync::Arc;

use super::source::Source;
use super::{Commit, Experiment, FaultKind, Options, Problem, Problems, Profile, resolved, schedule, validate};
use translate::Translated;

/// Name of the profile.
pub const YOURS: &str = "yours";
/// The profile whose topic it gets, and the behaviour that no file of options tells.
const MODEL: &str = "baseline";

/// Whose options a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Java's clients.
    Java,
    /// librdkafka, and what is built on it.
    Librdkafka,
}

/// The client that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It offers messages.
    Producer,
    /// It reads them.
    Consumer,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A configuration of one's own.
#[derive(Debug, Default)]
pub struct Yours {
    producer: Option<Translated>,
    consumer: Option<Translated>,
    /// What a reader should know of it, a sentence each.
    pub notes: Vec<String>,
}

impl Yours {
    /// Reads one or two files; a dialect that is not given is recognized by their names of options.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(producer: Option<&Path>, consumer: Option<&Path>, dialect: Option<Dialect>) -> Result<Self, Problems> {
        let mut yours = Self::default();
        let mut problems = Vec::new();
        for (side, path) in [(Side::Producer, producer), (Side::Consumer, consumer)] {
            let Some(path) = path else { continue };
            match read(&Source::read(path)?, side, dialect) {
                Ok((translated, notes)) => {
                    yours.notes.extend(notes);
                    *match side {
                        Side::Producer => &mut yours.producer,
                        Side::Consumer => &mut yours.consumer,
                    } = Some(translated);
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
        for (side, translated) in [(Side::Producer, &yours.producer), (Side::Consumer, &yours.consumer)] {
            if translated.is_none() {
                yours.notes.push(format!("no configuration of a {}: it is as {MODEL} has it", side.word()));
            }
        }
        if problems.is_empty() { Ok(yours) } else { Err(Problems(problems)) }
    }
}

/// What a file comes to, and what is to be told of it.
fn read(source: &Arc<Source>, side: Side, dialect: Option<Dialect>) -> Result<(Translated, Vec<String>), Problems> {
    let properties = properties::parse(source);
    if properties.is_empty() {
        let problem = Problem::new(format!("{} holds no option", source.name));
        return Err(problem.hint("a line for each is expected, such as `acks=all`").into());
    }
    let found = match dialect {
        Some(dialect) => dialect,
        None => translate::recognized(side, &properties)?,
    };
    let mut translated = translate::translate(side, found, &properties);
    if !translated.problems.is_empty() {
        return Err(Problems(translated.problems));
    }
    let whose = match found {
        Dialect::Java => format!("the options of Java's {}", side.word()),
        Dialect::Librdkafka => "the options of librdkafka".to_owned(),
    };
    let mut notes = vec![format!("{} is read as {whose}", source.name)];
    notes.append(&mut translated.notes);
    if (side, found) == (Side::Consumer, Dialect::Java) && commits_by_itself(&translated.options) {
        let text =
            "auto-commit: librdkafka commits what it has handed out, Java's consumer what the poll before returned";
        notes.push(text.to_owned());
    }
    Ok((translated, notes))
}

/// Why an experiment goes without the profile `yours`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Without(pub String);

impl Experiment {
    /// The same with the profile `yours` beside the others, on a topic as that of `baseline` (or of the first profile).
    /// What the application does and no file of options tells is as there, too. The profile is counted and not judged.
    ///
    /// # Errors
    /// In the inner result, why it can't stand beside the others here; in the outer, as `resolved::to_yaml`.
    pub fn with_yours(&self, yours: &Yours) -> Result<Result<Self, Without>, Problem> {
        let without = |why: &str| Ok(Err(Without(why.to_owned())));
        if self.profiles.iter().any(|profile| profile.name == YOURS) {
            return without("it has a profile of that name");
        }
        let misses = |kind: &FaultKind| kind.clients().is_some_and(|chosen| !chosen.has_profile(YOURS));
        if self.faults.iter().any(|fault| misses(&fault.kind)) {
            return without("its faults hit the clients of profiles by their names, and would miss it");
        }
        let Some(model) = self.profiles.iter().find(|own| own.name == MODEL).or(self.profiles.first()) else {
            return without("it has no profile");
        };
        let mut experiment = self.clone();
        experiment.profiles.push(profile(yours, model));
        let disk = experiment.cluster.disk_bytes;
        if schedule::bytes_per_broker(&experiment) >= disk / 2 {
            return without("one more profile would fill more than half of each broker's disk");
        }
        experiment.resolved = resolved::to_yaml(&experiment)?;
        // What the application does in this experiment may not go with these options; the judge reads it so again.
        let stored = Source::from_bytes(self.name.clone(), None, experiment.resolved.clone().into_bytes())?;
        Ok(match validate::experiment(&stored) {
            Ok(_) => Ok(experiment),
            Err(Problems(problems)) => {
                Err(Without(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
            }
        })
    }
}

fn profile(yours: &Yours, model: &Profile) -> Profile {
    let mut profile = model.clone();
    profile.name = YOURS.to_owned();
    profile.summary = "a configuration of one's own, an approximation by librdkafka".to_owned();
    profile.is_judged = false;
    profile.vary = Vec::new();
    profile.notes = yours.notes.clone();
    profile.notes.insert(0, format!("an approximation by librdkafka; its topic is as that of {}", model.name));
    if let Some(translated) = &yours.producer {
        profile.producer.options = translated.options.clone();
        profile.producer.on_queue_full = translated.on_queue_full.unwrap_or(super::OnQueueFull::Drop);
        profile.producer.transaction_messages = None;
    }
    if let Some(translated) = &yours.consumer {
        profile.consumer.options = translated.options.clone();
        profile.consumer.handling.commit =
            match (commits_by_itself(&translated.options), profile.consumer.handling.commit) {
                (true, _) => Commit::Auto,
                (false, Commit::Auto) => Commit::AfterSync,
                (false, own) => own,
            };
    }
    profile
}

/// librdkafka does, unless it is told otherwise; as Java's consumer.
fn commits_by_itself(options: &Options) -> bool {
    let set = options.iter().rfind(|(name, _)| name.value == "enable.auto.commit");
    set.is_none_or(|(_, value)| value.eq_ignore_ascii_case("true"))
}
