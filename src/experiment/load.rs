//! From what the user names to validated experiments: all of them, or everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hint::did_you_mean;
use super::source::Source;
use super::{Experiment, Problem, Problems, embedded, raw, validate, yaml};

/// Loads every embedded experiment, in order of name.
///
/// # Errors
/// If one is broken, which the tests rule out.
pub fn load_embedded() -> Result<Vec<Experiment>, Problems> {
    let names = embedded::experiment_names();
    names
        .iter()
        .filter_map(|name| Source::embedded(&format!("{name}.yaml")))
        .map(|source| validate::experiment(&source))
        .collect()
}

/// Name and summary of each profile in `folder`'s `profiles/`, or of the embedded ones.
///
/// # Errors
/// If one can't be read.
pub fn profiles(folder: Option<&Path>) -> Result<Vec<(String, String)>, Problems> {
    let sources = match folder.map(|folder| folder.join("profiles")) {
        Some(inside) if inside.is_dir() => {
            self::folder(&inside)?.iter().map(|file| Source::read(file)).collect::<Result<_, _>>()?
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

/// Loads files, folders (their `*.yaml` in order of name) and embedded experiments by their bare name.
///
/// # Errors
/// Every problem of every file; a caller starts nothing then.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Experiment>, Problems> {
    let mut problems = Vec::new();
    let mut experiments: Vec<Experiment> = Vec::new();
    for path in paths {
        let sources = match sources(path) {
            Ok(sources) => sources,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for source in sources {
            match source.map_err(Problems::from).and_then(|source| validate::experiment(&source)) {
                Ok(experiment) => {
                    if let Some(other) = experiments.iter().find(|other| other.name == experiment.name) {
                        let (one, two) = (other.file.display(), experiment.file.display());
                        problems.push(
                            Problem::new(format!("two experiments are named `{}`: {one} and {two}", experiment.name))
                                .hint("reports are stored by name: give each its own"),
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

fn sources(path: &Path) -> Result<Vec<Result<Arc<Source>, Problem>>, Problem> {
    if path.is_dir() {
        return Ok(folder(path)?.iter().map(|file| Source::read(file)).collect());
    }
    if path.exists() {
        return Ok(vec![Source::read(path)]);
    }
    let name = path.to_string_lossy();
    if let Some(source) = Source::embedded(&format!("{name}.yaml")).filter(|_| !name.contains(['/', '\\'])) {
        return Ok(vec![Ok(source)]);
    }
    let known = embedded::experiment_names();
    Err(Problem::new(format!("there is no file or folder `{name}`, nor a built-in experiment of that name")).hint(
        did_you_mean(name.trim_end_matches(".yaml"), known.iter().copied())
            .unwrap_or_else(|| format!("built in are {}", known.join(", "))),
    ))
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| Problem::new(format!("{} can't be read: {error}", path.display()));
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Problem::new(format!("{} holds no experiment: no *.yaml in it", path.display()))
            .hint("folders inside it are not searched"));
    }
    files.sort_unstable();
    Ok(files)
}
