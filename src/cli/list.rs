//! `lossproof list`: the experiments and profiles there are.

use std::path::PathBuf;

use super::{columns, refuse, write_out};
use crate::exit::Exit;
use crate::experiment::{self, Experiment, Problems};

/// List the built-in experiments and profiles, and those of a folder
///
/// The names can be given to `run` and `plan`, and those of profiles to `extends:` in an experiment file.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Folder with experiments (*.yaml) and, in `profiles/` inside it, profiles
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &ListArgs) -> Exit {
    match text(args) {
        Ok(text) => write_out(&text),
        Err(problems) => refuse(&problems),
    }
}

fn text(args: &ListArgs) -> Result<String, Problems> {
    let mut text = String::new();
    if let Some(folder) = &args.folder {
        let found = experiment::load(std::slice::from_ref(folder))?;
        let profiles = experiment::profiles(Some(folder))?;
        let shown = folder.display().to_string();
        section(&mut text, &format!("Experiments in {shown}"), experiments(found));
        section(&mut text, &format!("Profiles in {shown}"), profiles);
    }
    section(&mut text, "Built-in experiments", experiments(experiment::load_embedded()?));
    section(&mut text, "Built-in profiles", experiment::profiles(None)?);
    Ok(text)
}

fn experiments(found: Vec<Experiment>) -> Vec<(String, String)> {
    found.into_iter().map(|experiment| (experiment.name, experiment.summary)).collect()
}

fn section(text: &mut String, title: &str, entries: Vec<(String, String)>) {
    if entries.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("{title}\n"));
    text.push_str(&columns(entries.into_iter().map(|(name, summary)| vec![name, summary]).collect()));
}
