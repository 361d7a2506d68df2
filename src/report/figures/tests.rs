//! Figures of literal reports, stored as runs store them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lossproof_ledger::gaps::Score;
use lossproof_ledger::verdict::{Reason, Verdict};
use tempfile::TempDir;
use test_case::test_case;

use super::*;
use crate::experiment;
use crate::report::model::OTHERWISE;
use crate::report::{Environment, Profile, sample};

const COMMANDS: Commands<'_> = Commands { default_image: "apache/kafka:3.9.2", by_name: true };
const OLD: &str = "apache/kafka:3.9.2";
const NEW: &str = "apache/kafka:4.3.1";

/// Three in three groups; one is for the newer Kafka alone, and one has a profile with a setting put back.
const CATALOGUE: [(&str, &str); 3] = [
    (
        "broker/leader-partition.yaml",
        "name: leader-partition\nhazard: a leader | cut off\nprotects: acks=*all*\n\
         workload: { rate: 100/s, payload: 1KiB }\nprofiles:\n  baseline: { extends: baseline }\n  \
         patient: { extends: baseline, producer: { retries: 9 } }\n  resilient: { extends: resilient, vary: [acks] }\n\
         faults: [{ at: 3s, for: 5s, kill: { target: { broker: 1 } } }]\n",
    ),
    (
        "consumer/worker-queue.yaml",
        "name: worker-queue\nhazard: a queue in memory\nprotects: patience\n\
         workload: { rate: 100/s, payload: 1KiB }\nprofiles: { baseline: { extends: baseline } }\n",
    ),
    (
        "operation/kip-848.yaml",
        "name: kip-848\nsummary: The new protocol.\nrequires: { kafka: \">=4.0\" }\n\
         workload: { rate: 100/s, payload: 1KiB }\nprofiles: { resilient: { extends: resilient } }\n\
         faults: [{ at: 3s, for: 5s, kill: { target: { broker: 1 } } }]\n\
         must_show: { resilient: { lag_max: \">=1\", gaps_found: \">=1\", resumed_within: 5s } }\n\
         must_hold: { resilient: { lost: 0, phantom: 0 } }\n",
    ),
];

/// A catalogue and a folder of runs.
struct Bed {
    folder: TempDir,
    catalogue: Vec<Experiment>,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in CATALOGUE {
            let path = folder.path().join("experiments").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(folder.path().join("runs")).unwrap();
        let catalogue = experiment::load(&[folder.path().join("experiments")]).unwrap();
        Self { folder, catalogue }
    }

    fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    /// Stores the run of an experiment as it is, so many minutes after the first.
    fn store(&self, place: &str, minutes: u64, mut report: Report) {
        report.started_at += Duration::from_secs(60 * minutes);
        let run_dir = self.runs().join(place);
        fs::create_dir_all(&run_dir).unwrap();
        fs::write(run_dir.join("events.ndjson"), "").unwrap();
        let own = self.catalogue.iter().find(|own| own.name == report.experiment);
        fs::write(run_dir.join("experiment.yaml"), own.map_or("", |own| own.resolved.as_str())).unwrap();
        report.store(&run_dir).unwrap();
    }

    fn page(&self, commands: Commands<'_>) -> String {
        let stored = Stored::find(&self.runs()).unwrap();
        Figures::of(&self.catalogue, &stored).page(commands)
    }

    fn row(&self, experiment: &str) -> String {
        let page = self.page(COMMANDS);
        let mut rows = page.lines().filter(|line| line.starts_with(&format!("| `{experiment}`")));
        rows.next().unwrap().to_owned()
    }
}

/// What became of the messages of a profile that met the fault.
#[derive(Clone, Copy, Default)]
struct Became {
    lost: u64,
    unacknowledged: u64,
    doubled: u64,
    reordered: u64,
    lagging: u64,
    unavailable_ms: Option<u64>,
    at_least: bool,
}

fn report(experiment: &str, image: &str, verdict: Verdict, profiles: &[(&str, Became)]) -> Report {
    let mut report = sample::leader_partition();
    let model = report.profiles["resilient"].clone();
    let profile = |became: &Became| -> Profile {
        let mut profile = model.clone();
        let counts = &mut profile.counts.messages;
        (counts.lost, counts.doubled, counts.reordered) = (became.lost, became.doubled, became.reordered);
        (counts.lagging, counts.undelivered.indeterminate) = (became.lagging, became.unacknowledged);
        profile.counts.unavailable_ms_max = became.unavailable_ms;
        profile.counts.unavailable_at_least = became.at_least;
        profile
    };
    report.profiles = profiles.iter().map(|(name, became)| ((*name).to_owned(), profile(became))).collect();
    report.faults[0].exposure = profiles.iter().map(|(name, _)| ((*name).to_owned(), 100)).collect();
    let environment = Environment { image: Some(image.to_owned()), ..report.environment.clone() };
    Report { experiment: experiment.to_owned(), verdict, reasons: Vec::new(), environment, ..report }
}

/// A run of the experiment with four profiles: what the baseline lost, and how long the resilient one waited.
fn cut(image: &str, verdict: Verdict, lost: u64, unavailable_ms: u64) -> Report {
    let baseline = Became { lost, unacknowledged: lost / 10, unavailable_ms: Some(1_100), ..Became::default() };
    let patient = Became { lost: 3, unacknowledged: 3, doubled: lost / 100, ..Became::default() };
    let resilient = Became { unavailable_ms: Some(unavailable_ms), ..Became::default() };
    let varied = Became { lost: 77_777, ..Became::default() };
    let profiles =
        [("baseline", baseline), ("patient", patient), ("resilient", resilient), ("resilient-without-acks", varied)];
    report("leader-partition", image, verdict, &profiles)
}

fn queue(became: Became, verdict: Verdict) -> Report {
    report("worker-queue", OLD, verdict, &[("baseline", became)])
}

fn with_reason(kind: ReasonKind, profile: Option<&str>, mut report: Report) -> Report {
    report.reasons.push(Reason { kind, profile: profile.map(str::to_owned), text: String::new() });
    report
}

/// Runs of all kinds, not stored in the order of time.
fn many() -> Bed {
    let bed = Bed::new();
    bed.store("4-leader-partition", 40, cut(OLD, Verdict::Inconclusive, 0, 12_400));
    bed.store("1-leader-partition", 10, cut(OLD, Verdict::Pass, 14_966, 12_048));
    bed.store(
        "nightly/2-leader-partition",
        20,
        Report { duration_ms: 81_300, ..cut(OLD, Verdict::Pass, 15_203, 9_000) },
    );
    bed.store(
        "3-leader-partition",
        30,
        with_reason(ReasonKind::Stopped, None, cut(OLD, Verdict::Inconclusive, 1, 60_000)),
    );
    let broken = with_reason(ReasonKind::Broken, Some("resilient"), cut(NEW, Verdict::Fail, 12_000, 48_000));
    bed.store("5-leader-partition", 2_000, broken);
    // None of these counts.
    bed.store("6-leader-partition", 60, cut(OLD, Verdict::Pass, 99_999, 99_999));
    let changed = format!("{}\n# as it was\n", bed.catalogue[0].resolved);
    fs::write(bed.runs().join("6-leader-partition/experiment.yaml"), changed).unwrap();
    let mut yours = cut(OLD, Verdict::Pass, 99_999, 99_999);
    yours.profiles.insert(YOURS.to_owned(), yours.profiles["baseline"].clone());
    bed.store("7-leader-partition", 70, yours);
    let mut otherwise = cut(OLD, Verdict::Pass, 99_999, 99_999);
    otherwise.notes.push(format!("{OTHERWISE}: baseline.lost: >=0"));
    bed.store("8-leader-partition", 80, otherwise);
    bed.store("9-net", 90, Report { experiment: "net".to_owned(), ..cut(OLD, Verdict::Pass, 99_999, 99_999) });
    bed.store("10-net", 91, Report { experiment: "net".to_owned(), ..cut(OLD, Verdict::Pass, 99_999, 99_999) });
    bed.store("11-worker-queue", 95, queue(Became::default(), Verdict::Pass));
    fs::write(bed.runs().join("11-worker-queue/report.json"), "{\"experiment\":\"worker").unwrap();
    bed.store("12-kip-848", 96, report("kip-848", NEW, Verdict::Pass, &[]));
    fs::remove_file(bed.runs().join("12-kip-848/report.json")).unwrap();
    bed.store("14-worker-queue", 97, queue(Became { doubled: 8, ..Became::default() }, Verdict::Pass));
    // What a suite leaves is no run.
    fs::create_dir(bed.runs().join("13-suite")).unwrap();
    fs::write(bed.runs().join("13-suite/matrix.json"), "{}").unwrap();
    bed
}

#[test]
fn the_page_tells_what_all_runs_showed_and_which_do_not_count() {
    let page = many().page(COMMANDS);
    insta::assert_snapshot!("page", page);
    assert!(!page.contains("99,999") && !page.contains("77,777"), "{page}");
}

#[test]
fn what_can_not_be_read_is_handed_on_with_its_place() {
    let bed = many();
    fs::remove_file(bed.runs().join("1-leader-partition/experiment.yaml")).unwrap();
    let stored = Stored::find(&bed.runs()).unwrap();
    let told: Vec<(&Path, bool)> = stored
        .unreadable
        .iter()
        .map(|found| (found.run_dir.as_path(), found.why.contains("report.json") && found.why.contains("line 1")))
        .collect();
    let (first, second) = (bed.runs().join("1-leader-partition"), bed.runs().join("11-worker-queue"));
    assert_eq!(told, [(first.as_path(), false), (second.as_path(), true)]);
    assert!(stored.unreadable[0].why.starts_with("experiment.yaml can't be read"), "{}", stored.unreadable[0].why);
}

#[test]
fn of_a_folder_of_no_runs_it_is_said_that_nothing_was_run() {
    let bed = Bed::new();
    let page = bed.page(COMMANDS);
    assert!(page.contains("has written this page, and found no run that counts."), "{page}");
    assert_eq!(page.matches("| – | not run |").count(), 3, "{page}");
    assert!(page.contains("| 3.9.2 | `lossproof run NAME` |"), "{page}");
    assert!(!page.contains("Left out") && !page.contains("Not run on"), "{page}");
    assert!(Stored::find(&bed.runs().join("nowhere")).is_err());
}

#[test]
fn the_directory_of_one_run_will_do() {
    let bed = Bed::new();
    bed.store("a", 0, queue(Became { lost: 5, ..Became::default() }, Verdict::Pass));
    let stored = Stored::find(&bed.runs().join("a")).unwrap();
    assert_eq!(Figures::of(&bed.catalogue, &stored).runs().count(), 1);
}

#[test]
fn experiments_of_a_folder_are_run_by_their_files() {
    let bed = Bed::new();
    let page = bed.page(Commands { by_name: false, ..COMMANDS });
    assert!(page.contains("| `lossproof run FILE` |"), "{page}");
    let file = bed.folder.path().join("experiments/consumer/worker-queue.yaml");
    assert!(page.contains(&format!("| `worker-queue`<br>`{}`<br>a queue in memory<br>→ patience |", file.display())));
}

#[test_case(&["pass"], "pass"; "one")]
#[test_case(&["pass", "pass", "pass"], "3 × pass"; "three alike")]
#[test_case(&["pass", "pass", "inconclusive", "pass"], "2 × pass, inconclusive, pass"; "by time")]
#[test_case(&["fail", "stopped", "stopped"], "**fail**, 2 × stopped"; "no run is hidden")]
fn verdicts_are_told_in_order_of_time(ended: &[&str], told: &str) {
    let bed = Bed::new();
    for (minutes, ended) in ended.iter().enumerate() {
        let verdict = match *ended {
            "pass" => Verdict::Pass,
            "fail" => Verdict::Fail,
            _ => Verdict::Inconclusive,
        };
        let mut report = queue(Became::default(), verdict);
        if *ended == "stopped" {
            report = with_reason(ReasonKind::Stopped, None, report);
        }
        // By name, they are in no order.
        bed.store(&format!("{}-worker-queue", (minutes * 7) % 5), minutes as u64, report);
    }
    let row = bed.row("worker-queue");
    assert!(row.contains(&format!("| 3.9.2 | {told}<br>")), "{row}");
}

#[test]
fn a_run_that_was_stopped_is_in_no_figure() {
    let bed = Bed::new();
    let stopped = || {
        with_reason(ReasonKind::Stopped, None, queue(Became { lost: 9, ..Became::default() }, Verdict::Inconclusive))
    };
    bed.store("a", 0, stopped());
    assert!(bed.row("worker-queue").ends_with("| 3.9.2 | stopped | – |"), "{}", bed.row("worker-queue"));
    bed.store("b", 1, Report { duration_ms: 20_000, ..queue(Became { lost: 4, ..Became::default() }, Verdict::Pass) });
    let row = bed.row("worker-queue");
    assert!(row.ends_with("| stopped, pass<br>20 s<br>73,500 messages | **lost 4** |"), "{row}");
}

#[test_case(Became { lost: 7, unacknowledged: 7, ..Became::default() }, "**lost 7, never acknowledged**"; "told of none")]
#[test_case(Became { lost: 7, unacknowledged: 2, ..Became::default() }, "**lost 7 (2 never acknowledged)**"; "told of some")]
#[test_case(Became { doubled: 7, reordered: 1_000, ..Became::default() }, "lost 0<br>**doubled 7**<br>**reordered 1,000**"; "again, and late")]
#[test_case(Became { lagging: 7, ..Became::default() }, "lost 0<br>lagging 7"; "not come to")]
#[test_case(Became { unavailable_ms: Some(8_249), at_least: true, ..Became::default() }, "lost 0<br>no ack for at least 8.2 s"; "without an end")]
fn a_cell_tells_what_became_of_messages(became: Became, told: &str) {
    let bed = Bed::new();
    bed.store("a", 0, queue(became, Verdict::Pass));
    let row = bed.row("worker-queue");
    assert!(row.ends_with(&format!("| {told} |")), "{row}");
}

#[test]
fn what_an_experiment_is_about_is_told_where_it_was_measured() {
    let bed = Bed::new();
    let run = || report("kip-848", NEW, Verdict::Pass, &[("resilient", Became::default())]);
    bed.store("a", 0, run());
    let row = bed.row("kip-848");
    assert!(row.ends_with("| lost 0<br>lag max 1,204 |"), "{row}");
    let mut other = run();
    let profile = &mut other.profiles["resilient"];
    (profile.counts.lag_max, profile.counts.messages.unreadable) = (Some(7), 2);
    profile.gaps = Some(Score { found: 5, ..Score::default() });
    bed.store("b", 1, other);
    let row = bed.row("kip-848");
    assert!(row.ends_with("| lost 0<br>gaps found 5<br>lag max 7–1,204<br>unreadable 0–2 |"), "{row}");
}

#[test]
fn that_nothing_was_lost_in_a_run_without_proof_proves_nothing() {
    let bed = Bed::new();
    bed.store("a", 0, queue(Became::default(), Verdict::Inconclusive));
    let row = bed.row("worker-queue");
    assert!(row.ends_with("| lost 0<br>proves nothing |"), "{row}");
    bed.store("b", 1, queue(Became::default(), Verdict::Pass));
    let row = bed.row("worker-queue");
    assert!(row.ends_with("| inconclusive, pass<br>72 s<br>73,500 messages | lost 0 |"), "{row}");
}

#[test]
fn what_the_resilient_profile_does_again_is_no_harm() {
    let bed = Bed::new();
    let again = |lost, doubled| Became { lost, doubled, ..Became::default() };
    let profiles = [("baseline", again(3, 40)), ("patient", again(0, 41)), ("resilient", again(0, 42))];
    bed.store("a", 0, report("leader-partition", OLD, Verdict::Pass, &profiles));
    let row = bed.row("leader-partition");
    let told = "| **lost 3**<br>doubled 40 | lost 0<br>doubled 42 | `patient`: lost 0, doubled 41 |";
    assert!(row.ends_with(told), "{row}");
}

#[test_case("apache/kafka:3.9.2", "3.9.2", true)]
#[test_case("apache/kafka:4.0.0-rc1", "4.0.0-rc1", true; "one to come")]
#[test_case("apache/kafka:latest", "latest", true; "of no version")]
#[test_case("apache/kafka", "`apache/kafka`", true; "without a tag")]
#[test_case("localhost:5000/apache/kafka", "`localhost:5000/apache/kafka`", true; "a port is no tag")]
#[test_case("mirror/kafka:4.3.1", "`mirror/kafka:4.3.1`", false; "of somebody else")]
fn images_are_named_as_short_as_can_be(name: &str, label: &str, serves_the_old: bool) {
    let image = Image { name: Some(name) };
    assert_eq!(image.label(COMMANDS), label);
    let mut old = Bed::new().catalogue.remove(0);
    old.kafka = Some("<4".parse().unwrap());
    // A range without a pre-release takes none.
    assert_eq!(image.serves(&old), serves_the_old && !name.contains("rc"));
}

#[test]
fn images_stand_in_the_order_of_their_versions() {
    let mut images =
        [None, Some("x/y:3.10.0"), Some("a:latest"), Some("x/y:3.9.2"), Some("b/c:3.9.2"), Some("x/y:4.0.0")]
            .map(|name| Image { name });
    images.sort_unstable();
    let told = images.map(|image| image.name.unwrap_or("none"));
    assert_eq!(told, ["b/c:3.9.2", "x/y:3.9.2", "x/y:3.10.0", "x/y:4.0.0", "a:latest", "none"]);
}
