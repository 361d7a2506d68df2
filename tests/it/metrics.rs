//! The experiment file and the ledger, which do not know each other, name the same metrics.

use std::collections::BTreeSet;

#[test]
fn every_metric_of_a_file_can_be_judged_and_the_other_way_round() {
    let in_files: BTreeSet<&str> = lossproof::experiment::metric::METRICS.iter().map(|metric| metric.name).collect();
    let judged: BTreeSet<&str> = lossproof_ledger::metric::known_metrics().collect();
    assert_eq!(in_files, judged);
}
