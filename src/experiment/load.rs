//! From what the user names to validated experiments: all of them, or everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::embedded::{self, PROFILES};
use super::hint::did_you_mean;
use super::source::Source;
use super::{Experiment, Problem, Problems, raw, validate, yaml};

/// What every directory of a run holds, and no folder of experiments: the run's own experiment is none of the user's.
const RUN_MARK: &str = "events.ndjson";

/// Loads every embedded experiment, group by group in order of name.
///
/// # Errors
/// If one is broken, which the tests rule out.
pub fn load_embedded() -> Result<Vec<Experiment>, Problems> {
    let all = embedded::experiments().into_iter();
    all.filter_map(|(group, name)| embedded_file(group, name)).map(File::load).collect()
}

/// Name and summary of each profile in `folder`'s `profiles/`, or of the embedded ones.
///
/// # Errors
/// If one can't be read.
pub fn profiles(folder: Option<&Path>) -> Result<Vec<(String, String)>, Problems> {
    let sources = match folder.map(|folder| folder.join("profiles")) {
        Some(inside) if inside.is_dir() => {
            yaml_files(&inside)?.0.iter().map(|file| Source::read(file)).collect::<Result<_, _>>()?
        }
        Some(_) => Vec::new(),
        None => {
            let names = embedded::profile_names();
            names.iter().filter_map(|name| Source::embedded(&format!("profiles/{name}.yaml"))).collect()
        }
    };
    let mut profiles = Vec::new();
    for source in sources {
        let profile: raw::Profile = yaml::parse(&source, "a profile")?;
        let stem = source.name.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".yaml");
        profiles.push((stem.to_owned(), profile.summary.map(|text| text.value.trim().to_owned()).unwrap_or_default()));
    }
    Ok(profiles)
}

/// Loads files, folders with all folders inside them, and embedded experiments by their bare name. Of a folder, its own
/// `*.yaml` in order of name come first, then folder after folder.
///
/// # Errors
/// Every problem of every file; a caller starts nothing then.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Experiment>, Problems> {
    let mut problems = Vec::new();
    let mut experiments: Vec<Experiment> = Vec::new();
    for path in paths {
        let files = match files(path) {
            Ok(files) => files,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for file in files {
            match file.load() {
                Ok(experiment) => {
                    if let Some(other) = experiments.iter().find(|other| other.name == experiment.name) {
                        let (one, two) = (other.file.display(), experiment.file.display());
                        problems.push(
                            Problem::new(format!("two experiments are named `{}`: {one} and {two}", experiment.name))
                                .hint("reports are stored by name: give each its own, also in different folders"),
                        );
                    }
                    experiments.push(experiment);
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
    }
    if problems.is_empty() { Ok(experiments) } else { Err(Problems(problems)) }
}

/// A file with the group that its experiment belongs to.
struct File {
    source: Result<Arc<Source>, Problem>,
    group: String,
}

impl File {
    fn load(self) -> Result<Experiment, Problems> {
        Ok(Experiment { group: self.group, ..validate::experiment(&self.source?)? })
    }
}

fn embedded_file(group: &str, name: &str) -> Option<File> {
    let source = Source::embedded(&format!("{group}/{name}.yaml"))?;
    Some(File { source: Ok(source), group: group.to_owned() })
}

fn files(path: &Path) -> Result<Vec<File>, Problem> {
    if path.is_dir() {
        return folder(path);
    }
    if path.exists() {
        return Ok(vec![File { source: Source::read(path), group: String::new() }]);
    }
    let wanted = path.to_string_lossy();
    let embedded = embedded::experiments().into_iter().find(|(_, name)| *name == wanted);
    if let Some(file) = embedded.and_then(|(group, name)| embedded_file(group, name)) {
        return Ok(vec![file]);
    }
    let known = embedded::experiment_names();
    Err(Problem::new(format!("there is no file or folder `{wanted}`, nor a built-in experiment of that name")).hint(
        did_you_mean(wanted.trim_end_matches(".yaml"), known.iter().copied())
            .unwrap_or_else(|| "`lossproof list` tells what is built in".to_owned()),
    ))
}

/// The experiments of a folder and of those inside it. What is hidden, holds profiles, or was left by a run is passed
/// over.
fn folder(path: &Path) -> Result<Vec<File>, Problem> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        let (own, inside) = yaml_files(&folder)?;
        let group = folder.strip_prefix(path).unwrap_or(&folder).to_string_lossy().into_owned();
        files.extend(own.iter().map(|file| File { source: Source::read(file), group: group.clone() }));
        // The last is taken first.
        open.extend(inside.into_iter().rev().filter(|inside| is_group(inside)));
    }
    if files.is_empty() {
        return Err(Problem::new(format!("{} holds no experiment: no *.yaml in it", path.display()))
            .hint("nor in a folder inside it; `profiles/` and what runs have left do not count"));
    }
    Ok(files)
}

fn is_group(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name != PROFILES && !name.starts_with('.') && !folder.join(RUN_MARK).exists()
}

/// A folder's own `*.yaml`, and the folders inside it, by name. Links to folders are not followed: they may lead in a
/// circle.
fn yaml_files(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Problem> {
    let unreadable = |error: std::io::Error| Problem::new(format!("{} can't be read: {error}", path.display()));
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in path.read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let inside = entry.path();
        let yaml = inside.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if entry.file_type().map_err(unreadable)?.is_dir() {
            folders.push(inside);
        } else if yaml && inside.is_file() {
            files.push(inside);
        }
    }
    files.sort_unstable();
    folders.sort_unstable();
    Ok((files, folders))
}
