//! Which setting of a profile protected it: those without which it was lost, doubled or reordered what otherwise was not.

use indexmap::IndexMap;
use lossproof_ledger::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::model::{Profile, Report};
use crate::experiment::{Experiment, Varied};

/// What came of a profile with one setting put back to the baseline's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ablation {
    /// The whole profile.
    pub profile: String,
    /// The setting.
    pub setting: String,
    /// Settings that had to be put back with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The profile without it.
    pub without: String,
    /// Messages lost without it.
    pub lost: u64,
    /// Processings of messages beyond their first, without it.
    pub doubled: u64,
    /// Messages in the log behind a later one, without it.
    pub reordered: u64,
    /// Whether the setting protected; none if the run does not tell.
    pub protects: Option<bool>,
}

/// All of an experiment, in its order.
pub(super) fn ablations(
    experiment: &Experiment,
    profiles: &IndexMap<String, Profile>,
    verdict: Verdict,
) -> Vec<Ablation> {
    let varied = experiment.profiles.iter().filter_map(|own| Some((&own.name, own.varied.as_ref()?)));
    varied.filter_map(|(name, varied)| ablation(name, varied, profiles, verdict)).collect()
}

fn ablation(name: &str, varied: &Varied, profiles: &IndexMap<String, Profile>, verdict: Verdict) -> Option<Ablation> {
    let (whole, without) = (profiles.get(&varied.of)?, profiles.get(name)?);
    let harms = |profile: &Profile| {
        let counts = &profile.counts.messages;
        [counts.lost, counts.doubled, counts.reordered]
    };
    let harmed = harms(without).iter().zip(harms(whole)).any(|(without, whole)| *without > 0 && whole == 0);
    let open = |profile: &Profile| {
        let counts = &profile.counts.messages;
        !profile.is_complete() || counts.unreadable + counts.lagging + counts.behind_open_txn > 0
    };
    let protects = match harmed {
        // Of the whole one it must be known that it was spared.
        true => (!open(whole)).then_some(true),
        false => (verdict != Verdict::Inconclusive && !open(whole) && !open(without)).then_some(false),
    };
    let [lost, doubled, reordered] = harms(without);
    Some(Ablation {
        profile: varied.of.clone(),
        setting: varied.setting.clone(),
        with: varied.with.clone(),
        without: name.to_owned(),
        lost,
        doubled,
        reordered,
        protects,
    })
}

impl Report {
    /// Ablations of each profile that has some.
    pub(super) fn ablations_by_profile(&self) -> IndexMap<&str, Vec<&Ablation>> {
        let mut all: IndexMap<&str, Vec<&Ablation>> = IndexMap::new();
        for ablation in &self.ablations {
            all.entry(&ablation.profile).or_default().push(ablation);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::report::sample;

    const SPARED: [u64; 4] = [0; 4];

    /// Counts (lost, doubled, reordered, lagging) of the whole profile and of the one without a setting.
    #[test_case(SPARED, [3, 0, 0, 0], Verdict::Pass, Some(true); "lost only without it")]
    #[test_case(SPARED, [0, 2, 0, 0], Verdict::Pass, Some(true); "doubled only without it")]
    #[test_case(SPARED, [0, 0, 2, 0], Verdict::Inconclusive, Some(true); "what was harmed was")]
    #[test_case(SPARED, SPARED, Verdict::Pass, Some(false); "harmed by nothing")]
    #[test_case([0, 5, 0, 0], [0, 9, 0, 0], Verdict::Pass, Some(false); "doubled with it, too")]
    #[test_case([0, 5, 0, 0], [1, 5, 0, 0], Verdict::Pass, Some(true); "doubled with it, and lost without")]
    #[test_case(SPARED, SPARED, Verdict::Inconclusive, None; "the run proves nothing")]
    #[test_case(SPARED, [0, 0, 0, 4], Verdict::Pass, None; "not all came through")]
    #[test_case([0, 0, 0, 4], [3, 0, 0, 0], Verdict::Pass, None; "not known whether the whole one was spared")]
    fn a_setting_protects_where_only_without_it_there_is_harm(
        whole: [u64; 4],
        without: [u64; 4],
        verdict: Verdict,
        expected: Option<bool>,
    ) {
        let profile = |[lost, doubled, reordered, lagging]: [u64; 4]| {
            let mut profile = sample::leader_partition().profiles["resilient"].clone();
            let counts = &mut profile.counts.messages;
            (counts.lost, counts.doubled, counts.reordered, counts.lagging) = (lost, doubled, reordered, lagging);
            profile
        };
        let name = "resilient-without-acks";
        let profiles = IndexMap::from([("resilient".to_owned(), profile(whole)), (name.to_owned(), profile(without))]);
        let varied = Varied { of: "resilient".to_owned(), setting: "acks".to_owned(), with: Vec::new() };
        assert_eq!(ablation(name, &varied, &profiles, verdict).unwrap().protects, expected);
    }
}
