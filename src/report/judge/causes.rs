//! Why messages of a profile were lost: the journals once more, for the lost ranges only.

use lossproof_ledger::cause::{Acks, Explained, Gather, History};
use lossproof_ledger::journal::Source;
use lossproof_ledger::reconcile::{Process, Reconciliation};

use super::JudgeError;
use super::evidence::{EFFECTS, Journals};
use crate::experiment::Profile;

/// Everything remarkable of a profile, with causes where something was lost.
///
/// # Errors
/// If a journal can't be read.
pub(super) fn explain(
    journals: &Journals,
    profile: &Profile,
    history: &History,
    reconciliation: &Reconciliation,
) -> Result<Vec<Explained>, JudgeError> {
    let mut gather = Gather::new(history, &profile.name, acks(profile), &reconciliation.anomalies);
    if !gather.is_idle() {
        journals.each(&profile.name, &mut |source, record| match source {
            Source::Audit => gather.audit_record(record),
            Source::Producer { stream, .. } => gather.producer_record(stream.producer, record),
            Source::Consumer { member, incarnation } => gather.consumer_record(Process { member, incarnation }, record),
            Source::Effects => gather.consumer_record(EFFECTS, record),
            Source::Tail | Source::Parking => {}
        })?;
        for source in journals.sources(&profile.name) {
            if let Source::Producer { incarnation, stream, .. } = source {
                gather.stream(incarnation, stream);
            }
        }
    }
    Ok(gather.finish())
}

/// What a profile's producers wait for; librdkafka waits for all, unless it is told otherwise.
fn acks(profile: &Profile) -> Acks {
    let options = &profile.producer.options;
    let set = options.iter().rfind(|(name, _)| matches!(name.value.as_str(), "acks" | "request.required.acks"));
    match set.map(|(_, value)| value.as_str()) {
        Some("0") => Acks::Nobody,
        Some("1") => Acks::Leader,
        _ => Acks::All,
    }
}
