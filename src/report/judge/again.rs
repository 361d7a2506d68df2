//! Whether a stored run still says what its experiment would show: then it need not be run again.

use std::path::Path;

use lossproof_ledger::verdict::ReasonKind;

use super::{EXPERIMENT, judge};
use crate::experiment::Experiment;
use crate::report::Report;

/// The report of a complete run of the very same experiment by this lossproof, judged from its directory.
///
/// # Errors
/// A clause that says why it does not serve.
pub fn complete(run_dir: &Path, experiment: &Experiment) -> Result<Report, String> {
    let text = std::fs::read_to_string(run_dir.join(EXPERIMENT));
    let text = text.map_err(|error| format!("{} can't be read: {error}", run_dir.join(EXPERIMENT).display()))?;
    if text != experiment.resolved {
        return Err("the experiment has changed since".to_owned());
    }
    let report = judge(run_dir).map_err(|error| format!("its run can't be judged: {error}"))?;
    if report.environment.lossproof != env!("CARGO_PKG_VERSION") {
        return Err(format!("it was run by lossproof {}", report.environment.lossproof));
    }
    if report.reasons.iter().any(|reason| reason.kind == ReasonKind::Stopped) {
        return Err("its run was stopped before its end".to_owned());
    }
    Ok(report)
}
