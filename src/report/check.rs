//! What `check` found, as it is shown.

use serde::Serialize;

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Addresses that were asked.
    pub bootstrap: Vec<String>,
    /// Ids of the cluster's brokers.
    pub brokers: Vec<i32>,
    /// Topics that were seen, internal ones too.
    pub topics: usize,
    /// Their partitions.
    pub partitions: usize,
    /// What the file of the client was read as; none without one.
    pub client: Option<String>,
    /// What was found, the gravest first.
    pub findings: Vec<FoundEntry>,
    /// What could not be seen, and so not be judged.
    pub unseen: Vec<Unseen>,
    /// Sentences on what else a reader should know.
    pub notes: Vec<String>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundEntry {
    /// The rule's name.
    pub rule: &'static str,
    /// What it is.
    pub what: String,
    /// Topics that it is about; empty if none in particular.
    pub topics: Vec<String>,
    /// Why it loses or doubles messages.
    pub why: &'static str,
    /// Settings to change.
    pub changes: Vec<SettingChange>,
    /// What else to do.
    pub advice: Option<String>,
    /// Files of the experiments of the catalogue that show it.
    pub experiments: Vec<String>,
}

/// A setting to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Whose, and its name.
    pub setting: String,
    /// As it is; none if it differs or is not known.
    pub from: Option<String>,
    /// As it should be.
    pub to: String,
}

/// What could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What, and why.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

impl CheckReport {
    /// As JSON, with a new line at its end.
    ///
    /// # Errors
    /// As serde_json; none in practice.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}
