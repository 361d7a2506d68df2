//! What the consumers' gap detection said, and how good it was.

use std::fs;
use std::path::Path;

use lossproof_ledger::category::Told;
use lossproof_ledger::cause::Explained;
use lossproof_ledger::gaps::{self, Alarm, FOLDER, Score};
use lossproof_ledger::reconcile::Finding;

use super::{Journals, JudgeError};

/// The score of a profile, if its consumers looked for gaps. `ranges` is all that became of its messages.
///
/// A line that its killed writer did not finish is no alarm.
pub(super) fn score(
    run_dir: &Path,
    profile: &str,
    journals: &Journals,
    ranges: &[Explained],
) -> Result<Option<Score>, JudgeError> {
    let dir = run_dir.join(FOLDER);
    let Ok(entries) = dir.read_dir() else { return Ok(None) };
    let mut alarms: Vec<Alarm> = Vec::new();
    let mut detects = false;
    for entry in entries {
        let path = entry.map_err(|source| JudgeError::unreadable(&dir, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A profile's name may begin with another's.
        let rest = name.strip_prefix(profile).and_then(|rest| rest.strip_prefix("-consumer-"));
        if !rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            continue;
        }
        detects = true;
        let text = fs::read_to_string(&path).map_err(|source| JudgeError::unreadable(&path, source))?;
        alarms.extend(text.lines().filter_map(|line| serde_json::from_str::<Alarm>(line).ok()));
    }
    let lost = ranges.iter().filter(|range| match range.finding {
        Finding::Category(category) => category.is_loss(range.told.unwrap_or(Told::Indeterminate)),
        Finding::Flag(_) => false,
    });
    let lost = lost.map(|range| (range.stream, range.first, range.last));
    Ok(detects.then(|| gaps::score(&alarms, lost, &journals.offered(profile))))
}
