//! The chain of `extends`: which files it leads to, and that it ends.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::embedded::{self, PROFILES};
use super::hint::did_you_mean;
use super::source::{Source, Span};
use super::value::name;
use super::{Problem, raw, yaml};

/// A chain longer than this is a mistake.
const MAX_CHAIN: usize = 8;

/// The layers below a profile, the deepest first.
pub fn chain(source: &Arc<Source>, own: &raw::Profile) -> Result<Vec<(Arc<Source>, raw::Profile)>, Problem> {
    let mut layers: Vec<(Arc<Source>, raw::Profile)> = Vec::new();
    loop {
        let (source, extends) = match layers.last() {
            Some((source, layer)) => (Arc::clone(source), layer.extends.clone()),
            None => (Arc::clone(source), own.extends.clone()),
        };
        let Some(extends) = extends else { break };
        let at = source.at(&extends.referenced);
        let next = find(&source, &extends.value, &at)?;
        let again = layers.iter().any(|(layer, _)| layer.name == next.name);
        if again || layers.len() == MAX_CHAIN {
            let names: Vec<_> = layers.iter().map(|(layer, _)| layer.name.as_str()).collect();
            return Err(Problem::new("`extends` goes round in a circle, or on for too long")
                .at(&at, format!("leads to {} once more", next.name))
                .hint(format!("the chain is {}", names.join(" -> "))));
        }
        let layer = yaml::parse(&next, "a profile: a map with `producer:`, `consumer:` or `topic:`")?;
        layers.push((next, layer));
    }
    layers.reverse();
    Ok(layers)
}

/// The profile file behind a name: beside the file that asks for it, then beside its folder, which may be a group of a
/// catalogue, then among the embedded ones. A file is never its own base, so that a `baseline.yaml` may extend the embedded
/// `baseline`.
fn find(asking: &Source, wanted: &str, at: &Span) -> Result<Arc<Source>, Problem> {
    name(wanted, "a profile").map_err(|wrong| wrong.at(at))?;
    for path in beside(asking, wanted) {
        if path.is_file() && Some(&path) != asking.path.as_ref() {
            return Source::read(&path);
        }
    }
    let embedded_path = format!("profiles/{wanted}.yaml");
    Source::embedded(&embedded_path).filter(|found| found.name != asking.name).ok_or_else(|| {
        let known = embedded::profile_names();
        let looked: Vec<_> = beside(asking, wanted).iter().map(|path| path.display().to_string()).collect();
        let looked = if looked.is_empty() { String::new() } else { format!(", nor as {}", looked.join(" or ")) };
        Problem::new(format!("there is no profile `{wanted}`"))
            .at(at, format!("not among the built-in ones ({}){looked}", known.join(", ")))
            .hint_if(did_you_mean(wanted, known))
    })
}

fn beside(asking: &Source, wanted: &str) -> Vec<PathBuf> {
    let Some(folder) = asking.path.as_ref().and_then(|path| path.parent()) else {
        return Vec::new();
    };
    let file = format!("{wanted}.yaml");
    vec![folder.join(PROFILES).join(&file), folder.join(&file), above(folder).join(PROFILES).join(&file)]
}

/// The folder that holds another, by a path as short as can be.
fn above(folder: &Path) -> PathBuf {
    match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent().unwrap_or(Path::new("")).to_owned(),
        _ => folder.join(".."),
    }
}
