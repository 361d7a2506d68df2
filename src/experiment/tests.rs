//! Whole experiments: what a text becomes, and that no text makes the reader panic.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use test_case::test_case;

use super::source::Source;
use super::*;

/// Everything an experiment needs, in one profile of its own; tests add to it.
const HEAD: &str = "name: sample\nworkload: { rate: 100/s, payload: 1KiB }\n";

fn read(text: &str) -> Result<Experiment, Problems> {
    let source = Source::from_bytes("sample.yaml".to_owned(), None, text.as_bytes().to_vec())?;
    validate::experiment(&source)
}

fn good(text: &str) -> Experiment {
    match read(text) {
        Ok(experiment) => experiment,
        Err(problems) => panic!("{}\n{text}", problems.render(false, 100)),
    }
}

fn with_profile(profile: &str) -> Profile {
    good(&format!("{HEAD}profiles:\n  own: {profile}\n")).profiles.remove(0)
}

fn with_fault(fault: &str) -> FaultSpec {
    good(&format!("{HEAD}profiles: {{ own: {{}} }}\nfaults: [ {fault} ]\n")).faults.remove(0)
}

/// All that an experiment says, without where it was said.
fn essence(experiment: &Experiment) -> String {
    let nowhere = Place { file: String::new(), line: 0, column: 0 };
    let mut experiment = experiment.clone();
    experiment.file = PathBuf::new();
    experiment.group = String::new();
    experiment.resolved = String::new();
    for fault in &mut experiment.faults {
        fault.place = nowhere.clone();
    }
    for expectation in experiment.must_show.iter_mut().chain(&mut experiment.must_hold) {
        expectation.at = nowhere.clone();
    }
    for profile in &mut experiment.profiles {
        for (key, _) in profile.producer.options.iter_mut().chain(&mut profile.consumer.options) {
            key.at = nowhere.clone();
        }
    }
    format!("{experiment:#?}")
}

#[test]
fn every_embedded_experiment_is_sound() {
    let experiments = load_embedded().unwrap();
    assert!(experiments.len() >= 6, "only {}", experiments.len());
    for experiment in &experiments {
        let again = good(&experiment.resolved);
        assert_eq!(essence(&again), essence(experiment));
        assert_eq!(again.resolved, experiment.resolved);
        let name = &experiment.name;
        assert_eq!(experiment.file, PathBuf::from(format!("builtin:{}/{name}", experiment.group)), "named as its file");
        for phrase in [&experiment.summary, &experiment.hazard, &experiment.protects] {
            assert!(!phrase.is_empty(), "{name} lacks its summary, hazard or protects");
        }
        assert!(schedule::offering(experiment) <= Duration::from_secs(90), "{name}");
        // A control shows nothing; all others prove their point on one profile and promise something of another.
        assert!(experiment.group == "controls" || !experiment.must_show.is_empty(), "{name}");
        assert!(!experiment.must_hold.is_empty(), "{name}");
    }
    assert_eq!(
        profiles(None).unwrap().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["baseline", "resilient"]
    );
}

#[test]
fn files_of_the_tests_resolve_to_the_same_experiment() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/experiments/valid"));
    let experiments = load(&[folder]).unwrap();
    assert!(experiments.len() >= 4);
    for experiment in &experiments {
        assert_eq!(essence(&good(&experiment.resolved)), essence(experiment));
    }
}

#[test]
fn defaults() {
    let experiment = good(&format!("{HEAD}profiles: {{ own: {{}} }}\n"));
    assert_eq!(experiment.cluster.definition, "three-brokers");
    assert_eq!(experiment.cluster.disk_bytes, 1 << 30);
    assert_eq!(
        experiment.workload,
        Workload {
            rate_per_s: 100.0,
            payload_bytes: 1024,
            warm_up: Duration::from_secs(5),
            after_recovery: Duration::from_secs(10),
            max: Duration::from_secs(300),
        }
    );
    let own = &experiment.profiles[0];
    assert_eq!(own.topic, TopicSpec { partitions: 3, replication_factor: 3, config: Vec::new() });
    assert_eq!(
        (own.producer.on_queue_full, own.consumer.members, own.consumer.handling.commit),
        (OnQueueFull::Drop, 1, Commit::Auto)
    );
}

/// Names of profiles, with the producer's and consumer's options that matter here.
fn varied(vary: &str) -> Vec<(String, Vec<String>, Option<Varied>)> {
    let text = format!(
        "{HEAD}profiles:\n  baseline: {{ producer: {{ acks: 1, retries: 5 }}, topic: {{ config: {{ flush.messages: 9 }} }} }}\n  \
         own: {{ producer: {{ acks: all, enable.idempotence: true, linger.ms: 50 }}, consumer: {{ enable.auto.commit: false, \
         commit: after_sync }}, vary: {vary} }}\n"
    );
    let experiment = good(&text);
    let again = good(&experiment.resolved);
    assert_eq!(essence(&again), essence(&experiment), "variants follow from what is stored");
    let told = |profile: &Profile| {
        let options = profile.producer.options.iter().chain(&profile.consumer.options);
        let mut told: Vec<String> = options.map(|(key, value)| format!("{}={value}", key.value)).collect();
        told.push(format!("commit={}", profile.consumer.handling.commit.word()));
        told.extend(profile.topic.config.iter().map(|(key, value)| format!("{key}={value}")));
        assert_eq!(profile.is_judged, profile.varied.is_none());
        (profile.name.clone(), told, profile.varied.clone())
    };
    experiment.profiles.iter().skip(2).map(told).collect()
}

#[test]
fn each_setting_to_vary_is_put_back_in_a_profile_of_its_own() {
    let found = varied("[linger.ms, retries, flush.messages]");
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["own-without-linger-ms", "own-without-retries", "own-without-flush-messages"]);
    let told = |n: usize| found[n].1.join(" ");
    let consumer = "enable.auto.commit=false commit=after_sync";
    assert_eq!(told(0), format!("acks=all enable.idempotence=true {consumer}"));
    assert_eq!(told(1), format!("acks=all enable.idempotence=true linger.ms=50 retries=5 {consumer}"));
    assert_eq!(told(2), format!("acks=all enable.idempotence=true linger.ms=50 {consumer} flush.messages=9"));
    let varied = found[1].2.as_ref().unwrap();
    assert_eq!((varied.of.as_str(), varied.setting.as_str(), varied.with.len()), ("own", "retries", 0));
}

#[test]
fn what_does_not_go_without_the_other_is_put_back_with_it() {
    let found = varied("[acks, enable.idempotence, commit]");
    let told: Vec<(String, Vec<String>)> =
        found.into_iter().map(|(_, told, varied)| (told.join(" "), varied.unwrap().with)).collect();
    let consumer = "enable.auto.commit=false commit=after_sync";
    assert_eq!(
        told,
        [
            (format!("acks=1 linger.ms=50 {consumer}"), vec!["enable.idempotence".to_owned()]),
            (format!("acks=all linger.ms=50 {consumer}"), vec![]),
            (
                "acks=all enable.idempotence=true linger.ms=50 commit=auto".to_owned(),
                vec!["enable.auto.commit".to_owned()]
            ),
        ]
    );
}

fn pairs(options: &Options) -> Vec<(&str, &str)> {
    options.iter().map(|(key, value)| (key.value.as_str(), value.as_str())).collect()
}

#[test]
fn options_keep_their_text_and_their_place() {
    let own = with_profile(
        "{ producer: { linger.ms: 0.50, a.b: 1e3, c: yes, d: 0x1F, e: 1_000, f: ~, g: 'null', h: \"x y\" } }",
    );
    assert_eq!(
        pairs(&own.producer.options),
        [
            ("linger.ms", "0.50"),
            ("a.b", "1e3"),
            ("c", "yes"),
            ("d", "0x1F"),
            ("e", "1_000"),
            ("g", "null"),
            ("h", "x y")
        ]
    );
    let Place { file, line, column } = own.producer.options[1].0.at.clone();
    assert_eq!((file.as_str(), line, column), ("sample.yaml", 4, 39));
}

#[test]
fn a_profile_is_laid_over_what_it_extends() {
    let own = with_profile(
        "{ extends: resilient, topic: { partitions: 6, config: { retention.ms: 5, unclean.leader.election.enable: null } }, \
         producer: { acks: 1, enable.idempotence: null, linger.ms: 7, on_queue_full: drop } }",
    );
    assert_eq!(own.topic.partitions, 6);
    let config = [("min.insync.replicas", "2"), ("retention.ms", "5")];
    assert_eq!(own.topic.config, config.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(
        pairs(&own.producer.options),
        [("acks", "1"), ("message.timeout.ms", "120000"), ("socket.timeout.ms", "10000"), ("linger.ms", "7")]
    );
    assert_eq!(own.producer.on_queue_full, OnQueueFull::Drop);
    assert_eq!(own.consumer.handling.commit, Commit::AfterSync);
    let files: Vec<_> = own.producer.options.iter().map(|(key, _)| key.at.file.as_str()).collect();
    assert_eq!(files, ["sample.yaml", "builtin:profiles/resilient", "builtin:profiles/resilient", "sample.yaml"]);
}

#[test]
fn a_profile_s_topic_is_laid_over_the_experiment_s() {
    let experiment = good(&format!(
        "{HEAD}topic: {{ partitions: 2, config: {{ retention.ms: 5, segment.bytes: 9 }} }}\n\
         profiles: {{ a: {{ topic: {{ config: {{ retention.ms: 6 }} }} }}, b: {{}} }}\n"
    ));
    let config = |index: usize| {
        experiment.profiles[index].topic.config.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(experiment.profiles.iter().map(|own| own.topic.partitions).collect::<Vec<_>>(), [2, 2]);
    assert_eq!((config(0), config(1)), (vec!["6", "9"], vec!["5", "9"]));
}

#[test_case("{}", Commit::Auto; "nothing said")]
#[test_case("{ enable.auto.commit: true }", Commit::Auto; "switched on")]
#[test_case("{ enable.auto.commit: false }", Commit::AfterSync; "switched off")]
#[test_case("{ commit: after_sync }", Commit::AfterSync; "behaviour alone")]
#[test_case("{ commit: auto, enable.auto.commit: 1 }", Commit::Auto; "both agree")]
fn when_offsets_are_committed(consumer: &str, commit: Commit) {
    assert_eq!(with_profile(&format!("{{ consumer: {consumer} }}")).consumer.handling.commit, commit);
}

#[test_case("{ commit: auto, enable.auto.commit: false }"; "auto and off")]
#[test_case("{ commit: after_sync, enable.auto.commit: true }"; "after and on")]
fn contradictions_about_commits(consumer: &str) {
    assert!(read(&format!("{HEAD}profiles: {{ own: {{ consumer: {consumer} }} }}\n")).is_err());
}

#[test]
fn listeners_of_a_partition_by_default() {
    let fault = with_fault("{ at: 1s, for: 2s, partition: { isolate: controller, from: brokers } }");
    let FaultKind::Network(NetworkFault::Partition(Cut { shape, ports })) = fault.kind else { panic!("{fault:?}") };
    assert_eq!(shape, Shape::Isolate { isolate: Selector::Controller, from: Peers::Brokers, way: Way::Both });
    assert_eq!(ports.numbers, [9094, 9093]);
    assert_eq!(ports.listeners, [Listener::Replication, Listener::Controller]);
    assert_eq!((fault.at, fault.held), (Duration::from_secs(1), Some(Held::For(Duration::from_secs(2)))));
}

#[test_case("all", Selector::All)]
#[test_case("[3, 1]", Selector::These(vec![3, 1]); "ids")]
#[test_case("controller", Selector::Controller)]
#[test_case("random", Selector::Random)]
#[test_case("{ broker: 2 }", Selector::Broker(2); "broker")]
#[test_case("{ leader_of: 1 }", Selector::LeaderOf(1); "leader")]
#[test_case("{ followers_of: 0 }", Selector::FollowersOf(0); "followers")]
fn selectors(text: &str, selector: Selector) {
    let fault = with_fault(&format!("{{ at: 0s, restart: {{ target: {text} }} }}"));
    assert_eq!(fault.kind, FaultKind::Broker(BrokerFault::Restart { target: selector, wait: RestartWait::InSync }));
    assert_eq!(fault.held, None);
}

#[test]
fn faults_are_in_order_of_time() {
    let text = format!(
        "{HEAD}profiles: {{ own: {{}} }}\nfaults:\n- {{ at: 9s, for: 1s, kill: {{ target: all }} }}\n- {{ at: 1s, for: 8s, disk_fill: {{ target: all }} }}\n"
    );
    let times: Vec<_> = good(&text).faults.iter().map(|fault| fault.at.as_secs()).collect();
    assert_eq!(times, [1, 9]);
}

const CUT: &str = "partition: { isolate: { broker: 1 }, from: brokers }";

/// Faults that differ in their times alone.
fn with_cuts(times: &[&str]) -> Vec<FaultSpec> {
    let entries: String = times.iter().map(|time| format!("- {{ {time}, {CUT} }}\n")).collect();
    good(&format!("{HEAD}profiles: {{ own: {{}} }}\nfaults:\n{entries}")).faults
}

fn planned(faults: &[FaultSpec]) -> Vec<u64> {
    faults.iter().map(|fault| fault.planned.as_secs()).collect()
}

#[test]
fn a_fault_comes_after_the_one_before_it_in_the_file() {
    let faults = with_cuts(&[
        "at: 90s, for: 1s",
        "at: 5s, for: 20s",
        "after: injected, at: 3s, for: 1s",
        "after: healed, for: 1s",
        "after: recovered, at: 2s, for: 4s",
    ]);
    // Recovery counts from when all that overlapped with it have ended.
    assert_eq!(planned(&faults), [5, 8, 9, 37, 90]);
    let after = |fault, moment| Some(After { fault, moment });
    assert_eq!(
        faults.iter().map(|fault| fault.after).collect::<Vec<_>>(),
        [None, after(0, Moment::Injected), after(1, Moment::Healed), after(2, Moment::Recovered), None]
    );
    assert_eq!(schedule::groups(&faults), [vec![0, 1, 2], vec![3], vec![4]]);
    assert_eq!(schedule::faults_end(&faults), Duration::from_secs(91));
}

#[test]
fn what_waits_for_an_injection_or_a_healing_belongs_to_it_however_late_it_comes() {
    let faults =
        with_cuts(&["at: 0s, for: 1s", "after: healed, at: 60s, for: 1s", "at: 30s, for: 1s", "at: 70s, for: 1s"]);
    assert_eq!(planned(&faults), [0, 30, 61, 70]);
    assert_eq!(schedule::groups(&faults), [vec![0, 1, 2], vec![3]]);
}

#[test]
fn what_ends_by_itself_has_ended_when_it_is_injected() {
    let faults = "faults:\n- { at: 1s, for: 3s, restart: { target: { broker: 1 } } }\n\
                  - { after: injected, for: 1s, kill: { target: { broker: 1 } } }\n";
    let faults = good(&format!("{HEAD}profiles: {{ own: {{}} }}\n{faults}")).faults;
    assert_eq!(planned(&faults), [1, 16]);
    assert_eq!(schedule::groups(&faults), [[0, 1]]);
}

#[test]
fn a_repeated_fault_is_so_many_faults() {
    let faults = with_cuts(&[
        "at: 3s, every: 10s, times: 3, for: 2s",
        "after: recovered, every: 5s, times: 2, for: 1s",
        "at: 14s, for: 8s",
    ]);
    assert_eq!(planned(&faults), [3, 13, 14, 23, 35, 40]);
    let rounds: Vec<_> = faults.iter().map(|fault| fault.repeat.map(|repeat| (repeat.round, repeat.times))).collect();
    assert_eq!(rounds, [Some((1, 3)), Some((2, 3)), None, Some((3, 3)), Some((1, 2)), Some((2, 2))]);
    // Both count from the recovery from the last time of the one before.
    assert_eq!(faults[4].after, Some(After { fault: 3, moment: Moment::Recovered }));
    assert_eq!(faults[5].after, faults[4].after);
    assert_eq!(schedule::groups(&faults), [vec![0], vec![1, 2], vec![3], vec![4], vec![5]]);
    assert!(faults.iter().all(|fault| fault.place.line == 5 + fault.entry as u64), "{faults:#?}");
}

#[test]
fn another_seed_is_written_down() {
    let text = format!("{HEAD}profiles: {{ own: {{}} }}\n");
    assert_eq!(good(&text).seed, None);
    let seeded = good(&format!("seed: 3\n{text}")).with_seed(u64::MAX).unwrap();
    assert_eq!(good(&seeded.resolved).seed, Some(u64::MAX));
}

/// Two faults of which the second begins while the first holds.
#[test_case("kill: { target: all }", "disk_fill: { target: { broker: 1 } }", true; "all and one")]
#[test_case("kill: { target: { broker: 1 } }", "pause: { target: { broker: 1 } }", true; "the same one")]
#[test_case("kill: { target: { leader_of: 0 } }", "kill: { target: { leader_of: 0 } }", true; "the same role")]
#[test_case("kill: { target: { broker: 1 } }", "pause: { target: { broker: 2 } }", false; "two brokers")]
#[test_case("kill: { target: { broker: 1 } }", "pause: { target: { leader_of: 0 } }", false; "perhaps the same one")]
#[test_case("kill: { target: random }", "kill: { target: random }", false; "perhaps the same one by chance")]
#[test_case("kill: { target: random }", "pause: { target: all }", true; "any and all")]
#[test_case("kill: { target: all }", "partition: { isolate: { broker: 1 }, from: brokers }", false; "a cut")]
fn faults_at_the_same_time(first: &str, second: &str, conflict: bool) {
    let faults = |second_at: &str| {
        format!("faults:\n- {{ at: 1s, for: 8s, {first} }}\n- {{ at: {second_at}, for: 2s, {second} }}\n")
    };
    let text = |at: &str| format!("{HEAD}profiles: {{ own: {{}} }}\n{}", faults(at));
    let overlapping = read(&text("8s 999ms"));
    match overlapping {
        Ok(experiment) => {
            assert!(!conflict);
            assert_eq!(schedule::groups(&experiment.faults), [[0, 1]]);
        }
        Err(problems) => assert!(conflict && problems.to_string().contains("two faults at the same time on")),
    }
    assert_eq!(schedule::groups(&good(&text("9s")).faults), [[0], [1]]);
}

#[test]
fn faults_that_overlap_by_others_stand_together() {
    let cut = |at: &str, held: &str| {
        format!("- {{ at: {at}, for: {held}, partition: {{ isolate: {{ broker: 1 }}, from: brokers }} }}\n")
    };
    let cuts = [cut("0s", "10s"), cut("1s", "2s"), cut("9s", "5s"), cut("13s", "1s"), cut("14s", "1s")].concat();
    let experiment = good(&format!("{HEAD}profiles: {{ own: {{}} }}\nfaults:\n{cuts}"));
    assert_eq!(schedule::groups(&experiment.faults), [vec![0, 1, 2, 3], vec![4]]);
}

#[test]
fn a_third_of_all_replicas_is_each_broker_s() {
    let bytes = |topic: &str| {
        let text = format!("{HEAD}profiles: {{ a: {{ topic: {topic} }}, b: {{ topic: {topic} }} }}\n");
        schedule::bytes_per_broker(&good(&text))
    };
    // 100/s of 1 KiB for 5 s and 10 s, twice.
    assert_eq!(bytes("{ replication_factor: 3 }"), 100 * 1024 * 15 * 2);
    assert_eq!(bytes("{ replication_factor: 1 }"), 100 * 1024 * 15 * 2 / 3);
}

#[test]
fn a_problem_found_later_finds_its_place_again() {
    let own = with_profile("{ extends: baseline }");
    let (key, _) = own.producer.options.iter().find(|(key, _)| key.value == "retry.backoff.ms").unwrap();
    let problem = Problem::at_place("no such option", &key.at, "unknown to librdkafka");
    assert_eq!(problem.place(), Some(&key.at));
    let text = Problems::from(problem).render(false, 100);
    assert!(text.contains("builtin:profiles/baseline:8:3"), "{text}");
    assert!(text.contains("────────"), "the whole key is underlined: {text}");

    let gone = Place { file: "/no/such/file.yaml".to_owned(), line: 3, column: 4 };
    let text = Problems::from(Problem::at_place("no such option", &gone, "here")).render(false, 100);
    assert!(text.contains("no such option (/no/such/file.yaml:3:4)"), "{text}");
}

#[test]
fn problems_of_a_shared_layer_are_reported_once() {
    let text = format!("{HEAD}topic: {{ partitions: 0 }}\nprofiles: {{ a: {{}}, b: {{}}, c: {{}} }}\n");
    assert_eq!(read(&text).unwrap_err().0.len(), 1);
}

#[test]
fn places_count_characters_from_one() {
    let text = "a: é\nb: ü x\n".as_bytes().to_vec();
    let source: Arc<Source> = Source::from_bytes("s".to_owned(), None, text).unwrap();
    for (line, column, found) in [(1, 1, "a"), (1, 4, "é"), (2, 4, "ü"), (2, 6, "x")] {
        let span = source.at_line(line, column);
        assert_eq!(&source.text[span.offset..span.offset + span.len], found);
        assert_eq!((span.place().line, span.place().column), (line, column));
    }
    // Outside of the text: the nearest there is, and no panic.
    assert_eq!(source.at_line(99, 99).offset, source.text.len());
}

const SAMPLES: &[&str] = &[
    include_str!("../../experiments/broker/leader-partition.yaml"),
    include_str!("../../experiments/operation/rolling-restart.yaml"),
    include_str!("../../tests/experiments/valid/every-fault.yaml"),
    include_str!("../../tests/experiments/valid/anchors.yaml"),
    include_str!("../../tests/experiments/valid/schedule.yaml"),
];

/// What YAML, the shape or the values may stumble over.
const SPLINTERS: &[&str] = &[
    ">",
    ">0",
    "|",
    "{",
    "}",
    "[",
    "]",
    "- ",
    ": ",
    "\n",
    "\r",
    "\t",
    "\0",
    "'",
    "\"",
    "#",
    "*a",
    "&a",
    "!x ",
    "<<: ",
    "? ",
    "---\n",
    "...\n",
    "~",
    "null",
    "true",
    "-1",
    "0",
    "99999999999999999999",
    "1e999",
    ".nan",
    "é",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{10ffff}",
    "%",
    "@",
    "`",
    ", ",
    "  ",
    "s",
    "M",
    "all",
    "broker: 9",
    "\\",
    "\u{1b}[31m",
];

/// One change: at a place, so many bytes taken out, a splinter put in.
type Change = (prop::sample::Index, usize, prop::sample::Index);

fn changed(sample: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = sample.as_bytes().to_vec();
    for (at, taken, splinter) in changes {
        let begin = at.index(bytes.len() + 1);
        let end = (begin + taken).min(bytes.len());
        bytes.splice(begin..end, splinter.get(SPLINTERS).bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_text_makes_the_reader_panic(
        sample in prop::sample::select(SAMPLES),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, any::<prop::sample::Index>()), 1..6),
    ) {
        let source = Source::from_bytes("s.yaml".to_owned(), None, changed(sample, &changes)).map_err(Problems::from);
        match source.and_then(|source| validate::experiment(&source)) {
            Ok(experiment) => {
                let again = good(&experiment.resolved);
                prop_assert_eq!(essence(&again), essence(&experiment));
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                let text = problems.render(false, 100);
                prop_assert!(!text.contains('\u{1b}') && !text.contains('\0'), "{}", text);
                prop_assert!(!problems.render(true, 40).is_empty());
            }
        }
    }

    #[test]
    fn every_duration_and_size_reads_back(millis in 0_u64..86_400_000, bytes in any::<u64>()) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(value::duration(&humantime::format_duration(duration).to_string()), Ok(duration));
        prop_assert_eq!(amount::size(&amount::format_size(bytes)), Ok(bytes));
    }
}

#[test_case("kill", true)]
#[test_case("disk_wipe", true)]
#[test_case("power_loss", true)]
#[test_case("pause", false)]
#[test_case("disk_fill", false)]
fn what_stays_down_may_do_so_forever(kind: &str, may: bool) {
    let text = format!(
        "{HEAD}profiles: {{ own: {{}} }}\nfaults: [ {{ at: 1s, for: forever, {kind}: {{ target: {{ broker: 1 }} }} }} ]\n"
    );
    let read = read(&text);
    assert_eq!(read.is_ok(), may);
    if let Ok(experiment) = read {
        assert_eq!(experiment.faults[0].held, Some(Held::Forever));
        assert!(experiment.faults[0].to_string().ends_with(", and never comes back"), "{}", experiment.faults[0]);
    }
}
