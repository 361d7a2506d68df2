//! The figures as a page of Markdown.

use std::collections::{BTreeMap, BTreeSet};

use super::{Figures, Image, Ran, Why, table};
use crate::report::terminal::words::{count, thousands};

/// How the runs are made.
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    /// The image that `lossproof run` takes by itself.
    pub default_image: &'a str,
    /// Whether experiments are run by their names, as built-in ones are; otherwise by their files.
    pub by_name: bool,
}

impl Commands<'_> {
    const fn what(self) -> &'static str {
        if self.by_name { "NAME" } else { "FILE" }
    }
}

/// What a reader has to know.
const LEGEND: &str = "\
- **runs**: how they ended, in order of time. `pass`: the hazard showed, and every promise held; `fail`: a promise was \
broken; `inconclusive`: the run proves nothing; `stopped`: it was ended before its end, and is in no figure. Then how \
long one took on average, and how many messages each profile was offered.
- The columns of profiles: what became of their messages, from the run with the least to the run with the most. \
`lost`, and of these `never acknowledged` those that are not in the log and of which the producer was not told that \
they are safe; `doubled`: processed again; `reordered`: in the log behind a later one; `lagging`: in the log, and the \
group had not come to them; `unreadable`: nothing can be said of them. What else an experiment is about is called as in \
its file. `no ack for`: the longest time in any run that a partition's messages were due and none was acknowledged.
- **Bold**: something was lost or reordered, or processed again where the resilient profile does without.
";

impl Figures<'_> {
    /// The page: what makes the runs, a table for each group, and what was left out.
    #[must_use]
    pub fn page(&self, commands: Commands<'_>) -> String {
        let mut text = format!("# The catalogue in figures\n\n{}\n", self.origin());
        text.push_str(&self.commands(commands));
        text.push_str(&format!("\n{LEGEND}"));
        for of_group in self.experiments.chunk_by(|one, other| one.experiment.group == other.experiment.group) {
            text.push_str(&table::of_group(of_group, commands));
        }
        text.push_str(&self.left_out());
        text
    }

    /// From what the page is made.
    fn origin(&self) -> String {
        let mut text = "What the runs of each experiment showed. Every number is from the report of a stored run; \
                        `lossproof list --figures` has written this page"
            .to_owned();
        let days: BTreeSet<String> = self.runs().map(|run| run.started_at.strftime("%Y-%m-%d").to_string()).collect();
        let versions: BTreeSet<&str> = self.runs().map(|run| run.environment.lossproof.as_str()).collect();
        let (Some(first), Some(last)) = (days.first(), days.last()) else {
            return text + ", and found no run that counts.";
        };
        let days = if first == last { format!("of {first}") } else { format!("of {first} to {last}") };
        let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
        let runs = count(self.runs().count() as u64, "run", "runs");
        let ran = self.experiments.iter().filter(|own| !own.runs.is_empty()).count();
        let all = count(self.experiments.len() as u64, "experiment", "experiments");
        text.push_str(&format!(" from {runs} ({ran} of {all}) {days} by lossproof {versions}."));
        text
    }

    /// What makes the runs on each image, and which of those that ran elsewhere are missing there.
    fn commands(&self, commands: Commands<'_>) -> String {
        let what = commands.what();
        let mut text = "\n| Kafka | a row is made by |\n|---|---|\n".to_owned();
        let default = Image { name: Some(commands.default_image) };
        let known = self.images.iter().copied().filter(|image| image.name.is_some());
        let images: BTreeSet<Image<'_>> = known.chain([default]).collect();
        for image in images {
            let option = match image.name {
                Some(name) if image != default => format!("--kafka-image {name} "),
                _ => String::new(),
            };
            text.push_str(&format!("| {} | `lossproof run {option}{what}` |\n", image.label(commands)));
        }
        text.push_str(&format!("\n`lossproof plan {what}` tells what an experiment does, and when.\n"));
        for image in &self.images {
            let lacks =
                |own: &&Ran<'_>| !own.runs.is_empty() && image.serves(own.experiment) && !own.runs.contains_key(image);
            let missing: Vec<String> =
                self.experiments.iter().filter(lacks).map(|own| format!("`{}`", own.experiment.name)).collect();
            if !missing.is_empty() {
                text.push_str(&format!("\nNot run on {}: {}.\n", image.label(commands), missing.join(", ")));
            }
        }
        text
    }

    fn left_out(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let mut text = "\n## Left out\n\nThese runs were found, and are in no row:\n\n".to_owned();
        for (why, what) in &self.left_out {
            let sum = count(what.values().sum::<usize>() as u64, "run", "runs");
            text.push_str(&format!("- {sum} {}: {}\n", why.told(), named(what)));
        }
        text
    }
}

impl Why {
    const fn told(self) -> &'static str {
        match self {
            Self::Changed => "of an experiment that has changed since, or with a seed of its own",
            Self::Yours => "with a configuration of one's own beside the profiles",
            Self::Otherwise => "judged by other expectations than the experiment's",
            Self::Unknown => "of an experiment that is not in this catalogue",
            Self::Unjudged => "without a report: running still, or killed (`lossproof analyze` judges what is there)",
            Self::Unreadable => "of which something can't be read",
        }
    }
}

fn named(what: &BTreeMap<String, usize>) -> String {
    let times = |number: usize| if number == 1 { String::new() } else { format!(" ({})", thousands(number as u64)) };
    what.iter().map(|(name, number)| format!("`{name}`{}", times(*number))).collect::<Vec<_>>().join(", ")
}

impl Image<'_> {
    /// Its version, if it is the usual image of another version; otherwise its whole name.
    pub(super) fn label(self, commands: Commands<'_>) -> String {
        let usual = Image { name: Some(commands.default_image) };
        let repository = |image: Image<'_>| Some(image.name?.strip_suffix(image.tag()?)?.to_owned());
        match (self.name, self.tag()) {
            (None, _) => "not known".to_owned(),
            (Some(_), Some(tag)) if repository(self) == repository(usual) => tag.to_owned(),
            (Some(name), _) => format!("`{name}`"),
        }
    }
}
