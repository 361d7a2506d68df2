//! Small run directories, written as a run writes them.
//!
//! Two profiles with one partition each and one message every 10 ms, 40 in all; broker 2, which
//! leads both, is cut off from 100 ms to 200 ms.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lossproof_ledger::category::Told;
use lossproof_ledger::clock::Stamp;
use lossproof_ledger::event::{ClientId, Event, EventKind, Phase, PositionSource, Progress, Proof, Role};
use lossproof_ledger::journal::{Header, JournalWriter, Source, Stream};
use lossproof_ledger::record::{Content, Identity, Isolation, Record};
use tempfile::TempDir;

/// Number of the run.
pub const RUN: u64 = 7;
const OFFERED: u64 = 40;
const PERIOD_NS: u64 = 10_000_000;
const START_NS: u64 = 5_000_000_000;
/// From the beginning of one part to that of the next, where profiles are alone.
const APART_MS: u64 = 1_000;

const EXPERIMENT: &str = r#"
name: leader-partition
summary: The leader is cut off from its peers.
topic: { partitions: 1, replication_factor: 3 }
workload: { rate: 100/s, payload: 1KiB, warm_up: 5s, after_recovery: 5s, max: 3m }
profiles:
  resilient:
    producer: { acks: all }
  baseline:
    producer: { acks: 1 }
faults:
  - at: 1s
    for: 1s
    partition: { isolate: { leader_of: 0 }, from: brokers, listeners: [replication] }
must_show:
  baseline: { lost_in_cluster: ">=3" }
must_hold:
  resilient: { lost: 0, unavailable: "<30s" }
min_exposure: { resilient: 10 }
"#;

/// What became of one profile's messages. Those not named are acknowledged, in the log and processed.
#[derive(Default)]
pub struct Fate {
    /// Acknowledged, and not in the log.
    pub gone: BTreeSet<u64>,
    /// Without an answer, and not in the log.
    pub unclear: BTreeSet<u64>,
    /// Twice in the log.
    pub twice: BTreeSet<u64>,
}

/// How a run went.
pub struct Course {
    pub baseline: Fate,
    pub resilient: Fate,
    /// Whether the cut was proven.
    pub proven: bool,
    /// Whether each profile was alone: `baseline` 1,000 ms after `resilient`, on a cluster where broker 3 leads; `proven` is
    /// said of its cut alone.
    pub apart: bool,
    /// Whether it was stopped in the middle of the fault, and its last event cut off.
    pub interrupted: bool,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            baseline: Fate { gone: (11..16).collect(), unclear: [16].into(), ..Fate::default() },
            resilient: Fate::default(),
            proven: true,
            apart: false,
            interrupted: false,
        }
    }
}

/// A moment of the run, in milliseconds since its start.
pub fn stamp(ms: u64) -> Stamp {
    Stamp {
        boottime_ns: START_NS + ms * 1_000_000,
        utc: jiff::Timestamp::from_millisecond(1_700_000_000_000 + ms.cast_signed()).unwrap(),
    }
}

/// Writes a run directory.
pub fn store(course: &Course) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let experiment =
        if course.apart { EXPERIMENT.replace("topic:", "isolation: apart\ntopic:") } else { EXPERIMENT.to_owned() };
    fs::write(dir.path().join("experiment.yaml"), experiment).unwrap();
    fs::create_dir(dir.path().join("journal")).unwrap();
    let profiles = [("resilient", 0, &course.resilient), ("baseline", 1, &course.baseline)];
    for (name, producer, fate) in profiles {
        let since_ns = if course.apart { u64::from(producer) * APART_MS * 1_000_000 } else { 0 };
        journals(dir.path(), name, producer, fate, START_NS + since_ns, course.interrupted);
    }
    let mut text = String::new();
    for (ms, kind) in events(course) {
        let event = Event { at: stamp(ms), kind };
        text.push_str(&serde_json::to_string(&event).unwrap());
        text.push('\n');
    }
    if course.interrupted {
        text.truncate(text.len() - 20);
    }
    fs::write(dir.path().join("events.ndjson"), text).unwrap();
    dir
}

fn events(course: &Course) -> Vec<(u64, EventKind)> {
    let mut events = vec![(
        0,
        EventKind::RunStarted {
            run: "20231114-221320-leader-partition".to_owned(),
            experiment: "leader-partition".to_owned(),
            version: "0.1.0".to_owned(),
        },
    )];
    if course.apart {
        for (n, (profile, leader)) in [("resilient", 2), ("baseline", 3)].into_iter().enumerate() {
            let at_ms = n as u64 * APART_MS;
            events.push((at_ms, EventKind::PartStarted { profile: profile.to_owned(), part: n + 1, parts: 2 }));
            events.extend(events_of(course, &[profile], leader, course.proven || profile == "resilient", at_ms));
        }
    } else {
        events.extend(events_of(course, &["resilient", "baseline"], 2, course.proven, 0));
    }
    let Some((last, _)) = events.last().filter(|_| !course.interrupted) else { return events };
    let last = *last;
    events.push((last + 30, EventKind::RunEnded));
    events.push((last + 31, EventKind::PhaseStarted { phase: Phase::TearDown, expected_ms: None }));
    events
}

/// What happens on one cluster, whose leader of everything is cut off.
fn events_of(
    course: &Course,
    profiles: &[&'static str],
    leader: i32,
    proven: bool,
    since_ms: u64,
) -> Vec<(u64, EventKind)> {
    let stamp = |ms: u64| stamp(since_ms + ms);
    let proof = |holds, summary: &str| Proof {
        holds,
        summary: summary.to_owned(),
        evidence: serde_json::Map::from_iter([("dropped".to_owned(), 14.into())]),
    };
    let phase = |phase| EventKind::PhaseStarted { phase, expected_ms: None };
    let mut events = vec![
        (1, phase(Phase::Provision)),
        (
            2,
            EventKind::ClusterReady {
                image: "apache/kafka:3.9.2".to_owned(),
                boot_ms: Some(9_304),
                brokers: vec!["172.30.0.11:9095".to_owned()],
            },
        ),
    ];
    for &profile in profiles {
        let topic = format!("lossproof-{profile}");
        events.push((3, EventKind::TopicCreated { profile: profile.to_owned(), topic: topic.clone(), partitions: 1 }));
        events
            .push((4, EventKind::PartitionState { topic, partition: 0, leader, leader_epoch: 0, isr: vec![1, 2, 3] }));
        for role in [Role::Producer, Role::Consumer] {
            events.push((
                5,
                EventKind::ClientStarted { client: client(profile, role), pid: 4_711, journal: String::new() },
            ));
        }
    }
    events.extend([
        (6, phase(Phase::WarmUp)),
        (50, EventKind::HostLoad { busy: 0.5 }),
        (90, phase(Phase::Faults)),
        (
            99,
            EventKind::FaultResolved {
                fault: 0,
                kind: "partition".to_owned(),
                brokers: vec![leader],
                clients: Vec::new(),
                basis: match profiles {
                    [profile] => format!("broker {leader} leads partition 0 of {profile}"),
                    _ => format!("broker {leader} leads partition 0 of both topics"),
                },
                same_for_all: true,
            },
        ),
        (
            102,
            EventKind::FaultInjected {
                fault: 0,
                called_at: stamp(100),
                proof: if proven {
                    proof(true, "14 packets were dropped.")
                } else {
                    proof(false, "no packet was dropped.")
                },
                held_ms: Some(100),
            },
        ),
    ]);
    if course.interrupted {
        events.push((
            150,
            EventKind::ClientProgress {
                client: client("baseline", Role::Consumer),
                progress: Progress::Consumer { polled: 1, processed: 1 },
            },
        ));
        return since(events, since_ms);
    }
    events.extend([
        (202, EventKind::FaultHealed { fault: 0, called_at: stamp(200), proof: proof(true, "a probe was answered.") }),
        (203, phase(Phase::Recover)),
        (
            250,
            EventKind::FaultRecovered {
                fault: 0,
                reached: true,
                state: "all replicas of 2 partitions are in sync.".to_owned(),
            },
        ),
        (251, phase(Phase::AfterRecovery)),
        (300, EventKind::HostLoad { busy: 0.75 }),
        (400, phase(Phase::Drain)),
    ]);
    let fates = [("resilient", &course.resilient), ("baseline", &course.baseline)];
    for (profile, fate) in fates.into_iter().filter(|(profile, _)| profiles.contains(profile)) {
        let end = log(fate).len() as i64;
        let name = profile.to_owned();
        events.extend([
            (
                410,
                EventKind::ClientEnded {
                    client: client(profile, Role::Producer),
                    expected: true,
                    how: "exit 0".to_owned(),
                },
            ),
            (430, EventKind::FenceWritten { profile: name.clone(), partition: 0, offset: end }),
            (
                450,
                EventKind::GroupPosition {
                    profile: name.clone(),
                    partition: 0,
                    position: end,
                    source: PositionSource::Owner,
                },
            ),
            (
                470,
                EventKind::PartitionAudited {
                    profile: name,
                    partition: 0,
                    complete: true,
                    log_start: 0,
                    attempt: 0,
                    why: None,
                    committed: None,
                },
            ),
        ]);
    }
    events.sort_by_key(|(ms, _)| *ms);
    since(events, since_ms)
}

fn since(events: Vec<(u64, EventKind)>, since_ms: u64) -> Vec<(u64, EventKind)> {
    events.into_iter().map(|(ms, kind)| (since_ms + ms, kind)).collect()
}

fn client(profile: &str, role: Role) -> ClientId {
    ClientId { profile: profile.to_owned(), role, member: 0, incarnation: 0 }
}

/// Sequences in the log, by offset.
fn log(fate: &Fate) -> Vec<u64> {
    let mut log = Vec::new();
    for sequence in (0..OFFERED).filter(|n| !fate.gone.contains(n) && !fate.unclear.contains(n)) {
        log.push(sequence);
        if fate.twice.contains(&sequence) {
            log.push(sequence);
        }
    }
    log
}

fn journals(dir: &Path, profile: &str, producer: u16, fate: &Fate, start_ns: u64, interrupted: bool) {
    let log = log(fate);
    let at_ns = |sequence: u64| start_ns + sequence * PERIOD_NS + 2_000_000;
    let create = |source| {
        let header = Header { run: RUN, profile: profile.to_owned(), source };
        JournalWriter::create(&dir.join("journal"), &header).unwrap()
    };

    let mut told = create(Source::Producer {
        member: 0,
        incarnation: 0,
        stream: Stream { producer, partition: 0, first: 0, start_ns, period_ns: PERIOD_NS },
    });
    told.raise_next(OFFERED);
    for sequence in (0..OFFERED).filter(|n| !fate.unclear.contains(n)) {
        let offset = log.iter().position(|n| *n == sequence);
        let record = Record::Told {
            partition: 0,
            sequence,
            attempt: 0,
            told: Told::Acked,
            offset: offset.map(|offset| offset as i64),
            error: 0,
            broker: None,
            in_txn: false,
            at_ns: at_ns(sequence),
        };
        told.append(&record).unwrap();
    }

    let mut seen = create(Source::Consumer { member: 0, incarnation: 0 });
    let identity = |sequence| Identity { run: RUN, producer, incarnation: 0, partition: 0, sequence, attempt: 0 };
    let mut processed = BTreeSet::new();
    for (offset, sequence) in (0..).zip(&log) {
        if processed.insert(*sequence) {
            let record = Record::Processed {
                partition: 0,
                offset,
                identity: Some(identity(*sequence)),
                at_ns: at_ns(*sequence) + 1_000_000,
            };
            seen.append(&record).unwrap();
        }
    }
    if interrupted {
        return;
    }
    told.seal().unwrap();
    seen.seal().unwrap();

    let mut audit = create(Source::Audit);
    let messages = log.iter().map(|n| Content::Message(identity(*n)));
    for (offset, content) in (0..).zip(messages.chain([Content::Fence])) {
        let record = Record::Audited {
            partition: 0,
            offset,
            audit: 0,
            isolation: Isolation::ReadUncommitted,
            leader_epoch: None,
            content,
        };
        audit.append(&record).unwrap();
    }
    audit.seal().unwrap();
}
