//! The matrix of literal reports.

use lossproof_ledger::verdict::Reason;

use super::*;
use crate::report::sample;
use crate::report::terminal::Terminal;
use crate::report::terminal::tests::Page;

/// A report with the counts (lost, doubled, reordered, lagging) of its profiles, all of which met the fault.
fn report(verdict: Verdict, profiles: &[(&str, [u64; 4])]) -> Report {
    let mut sample = sample::leader_partition();
    sample.faults[0].exposure = profiles.iter().map(|(name, _)| ((*name).to_owned(), 100)).collect();
    let all = profiles.iter().map(|(name, [lost, doubled, reordered, lagging])| {
        let mut profile = sample.profiles["resilient"].clone();
        let counts = &mut profile.counts.messages;
        (counts.lost, counts.doubled, counts.reordered, counts.lagging) = (*lost, *doubled, *reordered, *lagging);
        ((*name).to_owned(), profile)
    });
    Report { verdict, profiles: all.collect(), reasons: Vec::new(), ..sample.clone() }
}

fn differs(setting: &str, yours: Option<&str>, resilient: Option<&str>, in_baseline: bool) -> Difference {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Difference {
        change: Change { setting: setting.to_owned(), yours: own(yours), resilient: own(resilient) },
        in_baseline,
    }
}

fn entry<'a>(experiment: &'a str, hazard: &'a str, outcome: Result<&'a Report, Ended>) -> Entry<'a> {
    let protects = "acks=all with min.insync.replicas=2.";
    let run = outcome.is_ok().then(|| format!("20261122-000000-{experiment}"));
    let differences = vec![
        differs("topic min.insync.replicas", None, Some("2"), true),
        differs("producer acks", Some("1"), Some("all"), true),
        differs("producer linger.ms", None, Some("50"), false),
    ];
    Entry { experiment, hazard, protects, outcome, run, differences }
}

fn matrix() -> Matrix {
    let all = |baseline, resilient, yours| [("baseline", baseline), ("resilient", resilient), ("yours", yours)];
    let lost = report(Verdict::Pass, &all([14_966, 0, 0, 0], [0; 4], [12, 3, 0, 0]));
    let again = report(Verdict::Pass, &all([5, 0, 0, 0], [0, 7, 0, 0], [0, 9, 0, 0]));
    let unproven = report(Verdict::Inconclusive, &all([0; 4], [0; 4], [0, 0, 4, 0]));
    let others = [("resilient", [0, 0, 0, 11]), ("acks-0", [0, 3, 0, 0]), ("acks-1", [0; 4]), ("acks-2", [0; 4])];
    let mut lagging = report(Verdict::Pass, &others);
    lagging.faults[0].exposure["acks-2"] = 0;
    let mut broken = report(Verdict::Fail, &all([1, 0, 0, 0], [0; 4], [1, 0, 0, 0]));
    let text = "resilient: unavailable is 40 s, but < 30 s was promised.".to_owned();
    broken.reasons = vec![Reason { kind: ReasonKind::Broken, profile: Some("resilient".to_owned()), text }];
    let mut free = entry("consumer-dlq", "a poison | message", Ok(&broken));
    free.protects = "a dead-letter queue";
    Matrix::of(&[
        entry("leader-partition", "a leader that is cut off goes on acknowledging alone", Ok(&lost)),
        entry("power-loss", "all brokers lose power", Ok(&again)),
        entry("disk-full", "", Ok(&unproven)),
        entry("acks", "acks=0 and acks=1", Ok(&lagging)),
        free,
        entry("kip-848", "the new protocol", Err(Ended::Skipped)),
        entry("netem", "a slow network", Err(Ended::Failed("not started".to_owned()))),
    ])
}

#[test]
fn a_cell_says_what_happened_and_never_more_than_is_known() {
    let matrix = matrix();
    let states = |row: usize| -> Vec<(&str, State)> {
        matrix.rows[row].profiles.iter().map(|(name, cell)| (name.as_str(), cell.state)).collect()
    };
    use State::{Broken, Held, Hurt, Inconclusive};
    assert_eq!(states(0), [("baseline", Hurt), ("resilient", Held), ("yours", Hurt)]);
    assert_eq!(states(1), [("baseline", Hurt), ("resilient", Held), ("yours", Held)]);
    // Nothing lost where the fault is not proven says nothing; what was reordered was.
    assert_eq!(states(2), [("baseline", Inconclusive), ("resilient", Inconclusive), ("yours", Hurt)]);
    // What met no fault has not withstood one.
    assert_eq!(states(3), [("resilient", Inconclusive), ("acks-0", Hurt), ("acks-1", Held), ("acks-2", Inconclusive)]);
    assert_eq!(states(4), [("baseline", Hurt), ("resilient", Broken), ("yours", Hurt)]);
    assert!(states(5).is_empty() && states(6).is_empty());
}

#[test]
fn advice_names_what_protects_and_only_where_something_did() {
    let matrix = matrix();
    let told: Vec<(&str, bool, Vec<&str>)> = matrix
        .open
        .iter()
        .map(|open| {
            let settings = open.settings.iter().map(|change| change.setting.as_str());
            (open.experiment.as_str(), open.named, settings.collect())
        })
        .collect();
    // Processed again, as by the resilient profile, is no harm; and one that did not hold itself is no example.
    let protecting = vec!["topic min.insync.replicas", "producer acks"];
    assert_eq!(
        told,
        [("leader-partition", true, protecting), ("disk-full", false, vec![]), ("consumer-dlq", false, vec![])]
    );
    assert!(names("acks=all with min.insync.replicas=2.", "producer acks"));
    assert!(!names("backpacks and acks.all", "producer acks"));
}

#[test]
fn where_no_setting_is_named_those_that_the_baseline_lacks_are_told_or_all() {
    let report = report(Verdict::Pass, &[("resilient", [0; 4]), ("yours", [2, 0, 0, 0])]);
    let mut entry = entry("e", "h", Ok(&report));
    entry.protects = "patience";
    let told = |entry: Entry<'_>| {
        let open = Matrix::of(&[entry]).open.remove(0);
        (open.settings.into_iter().map(|change| change.setting).collect::<Vec<_>>(), open.named)
    };
    let mut lone = entry.differences.clone();
    lone.iter_mut().for_each(|own| own.in_baseline = false);
    let without = Entry { differences: lone, ..self::entry("e", "h", Ok(&report)) };
    assert_eq!(told(entry), (vec!["topic min.insync.replicas".to_owned(), "producer acks".to_owned()], false));
    assert_eq!(told(Entry { protects: "patience", ..without }).0.len(), 3);
}

#[test]
fn the_matrix_is_shown_and_kept() {
    let matrix = matrix();
    let page = Page::default();
    Terminal::plain(Box::new(page.clone())).matrix(&matrix);
    insta::assert_snapshot!("matrix", page.text());
    let folder = tempfile::tempdir().unwrap();
    matrix.store(folder.path()).unwrap();
    insta::assert_snapshot!("matrix.md", std::fs::read_to_string(folder.path().join("matrix.md")).unwrap());
    let json = std::fs::read(folder.path().join("matrix.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Matrix>(&json).unwrap(), matrix);
}
