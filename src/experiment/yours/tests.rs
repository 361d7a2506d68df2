//! What is made of files of options.

use std::path::PathBuf;

use test_case::test_case;

use super::*;
use crate::experiment::{OnQueueFull, load};

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/own-configuration")).join(name)
}

fn with(experiment: &str, yours: &Yours) -> Result<Experiment, Without> {
    load(&[PathBuf::from(experiment)]).unwrap().remove(0).with_yours(yours).unwrap()
}

fn producer(text: &str) -> Translated {
    let source = Source::from_bytes("own.properties".to_owned(), None, text.as_bytes().to_vec()).unwrap();
    read(&source, Side::Producer, None).unwrap().0
}

fn value(of: &Options, name: &str) -> Option<String> {
    of.iter().find(|(key, _)| key.value == name).map(|(_, value)| value.clone())
}

/// Options as they stand, and what is told of them, with the files' names alone.
fn told(profile: &Profile) -> String {
    let options = |side: &str, options: &Options| -> String {
        options.iter().map(|(key, value)| format!("{side} {}={value}\n", key.value)).collect()
    };
    let folder = format!("{}/", file("").display());
    let notes: String =
        profile.notes.iter().map(|note| format!("- {}\n", note.replace(folder.trim_end_matches("//"), ""))).collect();
    let (full, commit) = (profile.producer.on_queue_full, profile.consumer.handling.commit);
    format!(
        "{}{}on_queue_full {full:?}, commit {commit:?}\n{notes}",
        options("producer", &profile.producer.options),
        options("consumer", &profile.consumer.options)
    )
}

#[test]
fn javas_options_are_translated_and_its_defaults_put_in() {
    let yours =
        Yours::read(Some(&file("java-producer.properties")), Some(&file("java-consumer.properties")), None).unwrap();
    let experiment = with("leader-partition", &yours).unwrap();
    let names: Vec<&str> = experiment.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["baseline", "resilient", "yours"]);
    let own = &experiment.profiles[2];
    assert_eq!((own.is_judged, &own.topic), (false, &experiment.profiles[0].topic));
    insta::assert_snapshot!("java", told(own));
}

#[test]
fn librdkafkas_options_stand_as_they_are() {
    let yours = Yours::read(Some(&file("librdkafka.properties")), None, None).unwrap();
    insta::assert_snapshot!("librdkafka", told(with("leader-partition", &yours).unwrap().profiles.last().unwrap()));
}

#[test]
fn the_profile_is_stored_with_the_experiment() {
    let yours = Yours::read(Some(&file("java-producer.properties")), None, None).unwrap();
    let experiment = with("leader-partition", &yours).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("experiment.yaml");
    std::fs::write(&stored, &experiment.resolved).unwrap();
    let again = load(&[stored]).unwrap().remove(0);
    assert_eq!(again.resolved, experiment.resolved);
    assert_eq!(told(again.profiles.last().unwrap()), told(experiment.profiles.last().unwrap()));
    assert!(!again.profiles.last().unwrap().is_judged);
    assert_eq!(with_again(&again, &yours), "it has a profile of that name");
}

fn with_again(experiment: &Experiment, yours: &Yours) -> String {
    experiment.with_yours(yours).unwrap().unwrap_err().0
}

#[test]
fn an_experiment_whose_fault_would_miss_it_goes_without() {
    let yours = Yours::read(Some(&file("librdkafka.properties")), None, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    for (profile, why) in
        [("all", None), ("resilient", Some("its faults hit the clients of profiles by their names, and would miss it"))]
    {
        let text = format!(
            "name: own\nworkload: {{ rate: 1/s, payload: 1KiB }}\nprofiles: {{ resilient: {{}} }}\n\
             faults: [{{ at: 1s, for: 1s, client_kill: {{ profile: {profile}, role: consumer }} }}]\n"
        );
        std::fs::write(&path, text).unwrap();
        let found = with(path.to_str().unwrap(), &yours);
        assert_eq!(found.err().map(|without| without.0).as_deref(), why);
    }
}

#[test_case("acks=all", "true"; "all goes with it")]
#[test_case("acks=-1", "true"; "minus one is all")]
#[test_case("acks=1", "false"; "one leader does not")]
#[test_case("retries=0", "false"; "no retry does not")]
#[test_case("max.in.flight.requests.per.connection=6", "false"; "six requests do not")]
#[test_case("max.in.flight.requests.per.connection=5", "true"; "five do")]
#[test_case("acks=1\nenable.idempotence=true", "true"; "what is asked for stays")]
fn idempotence_is_javas_default_where_nothing_speaks_against_it(text: &str, expected: &str) {
    let text = format!("{text}\nbuffer.memory=1048576\n");
    assert_eq!(value(&producer(&text).options, "enable.idempotence").as_deref(), Some(expected));
}

#[test_case("max.block.ms=0", OnQueueFull::Drop)]
#[test_case("max.block.ms=60000", OnQueueFull::Block)]
#[test_case("buffer.memory=1", OnQueueFull::Block)]
fn a_full_queue_blocks_a_java_producer_unless_it_may_not_wait(text: &str, expected: OnQueueFull) {
    assert_eq!(producer(text).on_queue_full, Some(expected));
}

#[test_case("acks=1", Dialect::Java; "both know it")]
#[test_case("acks=1\nkey.serializer=x", Dialect::Java; "a class")]
#[test_case("acks=1\nbuffer.memory=1024", Dialect::Java; "a name of javas")]
#[test_case("acks=1\nmessage.timeout.ms=1024", Dialect::Librdkafka; "a name of librdkafkas")]
#[test_case("acks=1\nsticky.partitioning.linger.ms=10", Dialect::Librdkafka; "java does not know it")]
#[test_case("buffer.memory=1024\nmy.own=10", Dialect::Java; "an own one beside javas")]
fn names_tell_whose_options_they_are(text: &str, expected: Dialect) {
    let source = Source::from_bytes("own.properties".to_owned(), None, text.as_bytes().to_vec()).unwrap();
    assert_eq!(translate::recognized(Side::Producer, &properties::parse(&source)).unwrap(), expected);
}

#[test]
fn every_built_in_experiment_takes_it_or_says_why_not() {
    let yours =
        Yours::read(Some(&file("java-producer.properties")), Some(&file("java-consumer.properties")), None).unwrap();
    let all = crate::experiment::load_embedded().unwrap();
    let mut without = Vec::new();
    let taken = all.iter().filter(|experiment| match experiment.with_yours(&yours).unwrap() {
        Ok(with) => with.profiles.iter().any(|profile| profile.name == YOURS),
        Err(Without(why)) => {
            without.push(format!("{}: {why}", experiment.name));
            false
        }
    });
    assert!(taken.count() * 2 > all.len(), "most of {}: {without:#?}", all.len());
}
