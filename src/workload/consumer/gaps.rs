//! `detect_gaps`: a member that keeps the next sequence that it expects of each producer in each partition,
//! and writes down where one is missing, and which of them came after all. It knows nothing but the messages
//! that it was handed, and forgets all with its process.

use std::fs::File;
use std::io::Write;

use lossproof_ledger::gaps::{Detector, FOLDER};
use lossproof_ledger::record::Identity;

use crate::workload::child::ChildError;
use crate::workload::spec::ClientSpec;

/// A detector with its file.
pub(super) struct GapWatch {
    detector: Detector,
    alarms: File,
}

impl GapWatch {
    /// Beside the journals.
    pub(super) fn open(spec: &ClientSpec) -> Result<Self, ChildError> {
        let dir = spec.journal_dir.with_file_name(FOLDER);
        let path = dir.join(format!("{}.jsonl", spec.name()));
        let file = std::fs::create_dir_all(&dir).and_then(|()| File::create_new(path));
        Ok(Self { detector: Detector::default(), alarms: file.map_err(ChildError::Alarms)? })
    }

    /// A message was polled. An alarm is in the kernel when this returns.
    pub(super) fn see(&mut self, message: &Identity) -> Result<(), ChildError> {
        let Some(alarm) = self.detector.see(message) else { return Ok(()) };
        let mut line = serde_json::to_vec(&alarm).map_err(|error| ChildError::Alarms(error.into()))?;
        line.push(b'\n');
        self.alarms.write_all(&line).map_err(ChildError::Alarms)
    }
}
