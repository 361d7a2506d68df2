//! The experiments and profiles that come with the binary.

use include_dir::{Dir, include_dir};

static EXPERIMENTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/experiments");

/// Folder of the profiles; every other one is a group of experiments.
pub const PROFILES: &str = "profiles";

/// The text of `GROUP/NAME.yaml` or `profiles/NAME.yaml`.
pub fn text(path: &str) -> Option<&'static str> {
    EXPERIMENTS.get_file(path)?.contents_utf8()
}

/// Groups and names of the embedded experiments, group by group.
pub fn experiments() -> Vec<(&'static str, &'static str)> {
    let groups = EXPERIMENTS.dirs().filter_map(|dir| Some((dir.path().to_str()?, dir)));
    let groups = groups.filter(|(group, _)| *group != PROFILES);
    let mut all: Vec<_> =
        groups.flat_map(|(group, dir)| names(dir).into_iter().map(move |name| (group, name))).collect();
    all.sort_unstable();
    all
}

/// The file of an embedded experiment, such as `experiments/broker/power-loss.yaml`.
pub fn catalogued(name: &str) -> Option<String> {
    let (group, _) = experiments().into_iter().find(|(_, own)| *own == name)?;
    Some(format!("experiments/{group}/{name}.yaml"))
}

/// Names of the embedded experiments, sorted.
pub fn experiment_names() -> Vec<&'static str> {
    let mut names: Vec<_> = experiments().into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    names
}

/// Names of the embedded profiles, sorted.
pub fn profile_names() -> Vec<&'static str> {
    EXPERIMENTS.get_dir(PROFILES).map(names).unwrap_or_default()
}

fn names(dir: &Dir<'static>) -> Vec<&'static str> {
    let mut names: Vec<_> = dir
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|file| file.path().file_stem()?.to_str())
        .collect();
    names.sort_unstable();
    names
}
