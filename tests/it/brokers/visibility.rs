//! What is not simply there or lost: what a transaction's end decides, and what leaves the log by rule.

use std::fs;

use lossproof_ledger::event::{EventKind, Phase};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::engine::Engine;
use super::program::{LONG, Program, lossproof};

/// Transactions beside plain messages while a leader is dead. The hasty profile gives its messages up
/// before a new leader is there, so that it must abort. Its coordinator may keep it waiting some 20 s.
const TRANSACTIONS: &str = "name: transactions
topic: { partitions: 3, replication_factor: 3 }
workload: { rate: 500/s, payload: 200B, warm_up: 2s, after_recovery: 20s, max: 2m }
profiles:
  plain: { extends: resilient }
  transactional: { extends: resilient, producer: { transaction_messages: 50, transaction.timeout.ms: 120000 } }
  hasty: { extends: resilient, producer: { transaction_messages: 50, message.timeout.ms: 2500 } }
faults: [{ at: 1s, for: 1s, kill: { target: { leader_of: 0 } } }]
must_hold:
  plain: { lost: 0 }
  transactional: { lost: 0, duplicates: 0 }
  hasty: { lost_in_cluster: 0 }
";

/// Three seconds of retention in small segments, or 50 keys, and groups that fetch every few seconds.
const LEAVING: &str = "name: leaving
topic: { partitions: 2, replication_factor: 3, config: { retention.ms: 3000, segment.bytes: 1048576 } }
cluster:
  use: three-brokers
  broker_config:
    log.initial.task.delay.ms: 500
    log.retention.check.interval.ms: 500
    log.segment.delete.delay.ms: 500
    log.cleaner.backoff.ms: 500
workload: { rate: 1500/s, payload: 2KiB, warm_up: 6s, after_recovery: 6s, max: 2m }
profiles:
  prompt: { extends: resilient }
  lagging:
    extends: resilient
    consumer: { queued.min.messages: 1, fetch.queue.backoff.ms: 5000, fetch.message.max.bytes: 4000000 }
  compacted:
    extends: resilient
    topic:
      config: { cleanup.policy: compact, retention.ms: null, min.cleanable.dirty.ratio: 0.01, max.compaction.lag.ms: 1000 }
    producer: { keys: 50 }
    consumer: { queued.min.messages: 1, fetch.queue.backoff.ms: 5000, fetch.message.max.bytes: 4000000 }
must_show:
  lagging: { expired: \">=500\" }
  compacted: { compacted: \">=500\" }
must_hold:
  prompt: { lost: 0, unreadable: 0 }
  lagging: { lost_in_cluster: 0, unreadable: 0 }
  compacted: { lost: 0, unreadable: 0 }
";

/// Its group reads what is not committed too, and so comes to the fence behind an open transaction.
const OPEN: &str = "name: open
topic: { partitions: 2, replication_factor: 3 }
workload: { rate: 200/s, payload: 200B, warm_up: 4s, after_recovery: 1s, max: 2m }
profiles:
  own:
    extends: resilient
    producer: { transaction_messages: 20, transaction.timeout.ms: 120000 }
    consumer: { isolation.level: read_uncommitted }
";

fn counts(report: &Value, profile: &str) -> impl Fn(&str) -> u64 {
    let counts = report["profiles"][profile]["counts"].clone();
    move |name| counts[name].as_u64().unwrap_or_else(|| panic!("no {name} in {counts}"))
}

#[test]
fn a_transaction_s_end_decides_for_all_its_messages() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[TRANSACTIONS.to_owned()], &[]);
    let code = program.end();
    let report = program.report("transactions");
    assert_eq!(code, Some(0), "{}", report["reasons"]);

    for profile in ["plain", "transactional"] {
        let count = counts(&report, profile);
        assert!(count("acked") > 1000 && count("acked") == count("delivered"), "{profile}: {report:#}");
        assert_eq!((count("torn_txn"), count("aborted_reads"), count("aborted_records")), (0, 0, 0), "{profile}");
    }
    let hasty = counts(&report, "hasty");
    assert!(hasty("failed") > 0, "nothing was aborted: {report:#}");
    assert_eq!((hasty("torn_txn"), hasty("aborted_reads"), hasty("failed_but_landed")), (0, 0, 0), "{report:#}");
    assert!(hasty("acked") > 500, "{report:#}");

    let audited = program.events("transactions").into_iter().filter_map(|event| match event {
        EventKind::PartitionAudited { profile, complete, committed, .. } => Some((profile, complete, committed)),
        _ => None,
    });
    for (profile, complete, committed) in audited {
        assert!(complete, "{profile}");
        match (profile.as_str(), committed) {
            ("plain", None) => {}
            ("transactional" | "hasty", Some(second)) => assert!(second.complete && second.open_from.is_none()),
            other => panic!("{other:?}"),
        }
    }
    program.assert_nothing_left(&engine);
}

#[test]
fn an_open_transaction_of_a_stranger_hides_what_follows() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[OPEN.to_owned()], &[]);
    program.reach("open", Phase::WarmUp);
    let brokers = program.events("open").into_iter().find_map(|event| match event {
        EventKind::ClusterReady { brokers, .. } => Some(brokers.join(",")),
        _ => None,
    });
    let stranger: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers.unwrap())
        .set("transactional.id", "stranger")
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    stranger.init_transactions(LONG).unwrap();
    stranger.begin_transaction().unwrap();
    let message = BaseRecord::<(), str>::to("open-own").partition(0).payload("what nobody commits");
    stranger.send(message).unwrap();
    stranger.flush(LONG).unwrap();

    // A stranger's message is none of ours: the run fails by that.
    assert_eq!(program.end(), Some(1));
    let report = program.report("open");
    let count = counts(&report, "own");
    assert_eq!((count("corrupt"), count("torn_txn"), count("lost_in_cluster")), (1, 0, 0), "{report:#}");
    let seconds: Vec<_> = program
        .events("open")
        .into_iter()
        .filter_map(|event| match event {
            EventKind::PartitionAudited { partition, complete, committed, .. } => {
                assert!(complete);
                Some((partition, committed.unwrap()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(seconds.len(), 2);
    for (partition, second) in seconds {
        assert!(second.complete, "partition {partition}: {second:?}");
        assert_eq!(second.open_from.is_some(), partition == 0, "partition {partition}: {second:?}");
    }
    program.assert_nothing_left(&engine);
}

#[test]
fn what_leaves_the_log_by_rule_is_not_lost() {
    let engine = Engine::exclusive();
    let mut program = Program::run(&engine, &[LEAVING.to_owned()], &[]);
    let code = program.end();
    let report = program.report("leaving");
    assert_eq!(code, Some(0), "{}", report["reasons"]);
    for profile in ["prompt", "lagging", "compacted"] {
        let count = counts(&report, profile);
        assert!(count("in_log") < count("acked") / 2, "{profile}: too little has left the log: {report:#}");
    }
    assert_eq!(counts(&report, "lagging")("compacted"), 0);
    assert_eq!(counts(&report, "compacted")("expired"), 0);
    program.assert_nothing_left(&engine);

    // Without the tail reader's word nobody knows what has become of what left.
    let folder = program.run_dir("leaving");
    for profile in ["lagging", "compacted"] {
        fs::remove_file(folder.join(format!("journal/{profile}-tail.ljr"))).unwrap();
    }
    let again = lossproof(&["analyze", folder.to_str().unwrap()]);
    assert_eq!(again.code, Some(2), "{}{}", again.stdout, again.stderr);
    let report = program.report("leaving");
    for profile in ["lagging", "compacted"] {
        let count = counts(&report, profile);
        assert!(count("unreadable") > 500, "{profile}: {report:#}");
        assert_eq!((count("lost_in_cluster"), count("expired"), count("compacted")), (0, 0, 0), "{profile}");
    }
    assert_eq!(counts(&report, "prompt")("unreadable"), 0);
}
