//! The experiments and profiles that come with the binary.

use include_dir::{Dir, include_dir};

static EXPERIMENTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/experiments");

/// The text of `NAME.yaml` or `profiles/NAME.yaml`.
pub fn text(path: &str) -> Option<&'static str> {
    EXPERIMENTS.get_file(path)?.contents_utf8()
}

/// Names of the embedded experiments, sorted.
#[must_use]
pub fn experiment_names() -> Vec<&'static str> {
    names(&EXPERIMENTS)
}

/// Names of the embedded profiles, sorted.
#[must_use]
pub fn profile_names() -> Vec<&'static str> {
    EXPERIMENTS.get_dir("profiles").map(names).unwrap_or_default()
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
