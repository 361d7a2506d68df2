//! Literal histories: each cause, and what is said when its evidence lacks.
//!
//! Topic `t` of profile `p` has one partition; the run starts at 0 ms. Broker 1 leads it under epoch 0 until broker 2 is
//! elected (epoch 1) at 9 s; the final log goes on at offset 100 from there. Messages 100 to 139 were acknowledged by
//! broker 1 at the offsets of their sequences, one every 100 ms from 2 s on.

use super::*;
use crate::category::Category;
use crate::clock::Stamp;
use crate::event::{ClientId, Event, EventKind, Look, PositionSource, Proof, ReplicaLog, Role};
use crate::journal::Stream;
use crate::reconcile::Anomaly;
use crate::record::{Content, Identity, Isolation, Record};

const STREAM: StreamId = StreamId { producer: 0, partition: 0 };
/// CLOCK_BOOTTIME of the run's start.
const START_NS: u64 = 7_000_000_000;

const fn ns(ms: u64) -> u64 {
    START_NS + ms * 1_000_000
}

fn stamp(ms: u64) -> Stamp {
    Stamp { boottime_ns: ns(ms), utc: jiff::Timestamp::UNIX_EPOCH }
}

/// A run that lost messages 100 to 139.
struct Run {
    events: Vec<(u64, EventKind)>,
    truncations: Vec<Truncated>,
    acks: Acks,
    finding: Finding,
    told: Vec<Record>,
    members: Vec<Record>,
    in_log: bool,
    /// Offset and leader epoch of other records that the audit reads.
    audited: Vec<(i64, i32)>,
    /// First sequence of the producer's second incarnation.
    restarted_at: Option<u64>,
}

fn leader(ms: u64, leader: i32, epoch: i32, isr: &[i32]) -> (u64, EventKind) {
    let topic = "t".to_owned();
    (ms, EventKind::PartitionState { topic, partition: 0, leader, leader_epoch: epoch, isr: isr.to_vec() })
}

fn claim(ms: u64, last_held: Option<u64>) -> (u64, EventKind) {
    let view = EventKind::BrokerView {
        broker: 1,
        topic: "t".to_owned(),
        partition: 0,
        leader: 1,
        leader_epoch: 0,
        newest_epoch: 1,
        last_held: last_held.map(stamp),
    };
    (ms, view)
}

fn logs(ms: u64, look: Look, broker: i32, log_end: i64, epochs: &[(i32, i64)]) -> (u64, EventKind) {
    let log = ReplicaLog { topic: "t".to_owned(), partition: 0, log_end: Some(log_end), epochs: epochs.to_vec() };
    let fault = (look != Look::Audit).then_some(0);
    (ms, EventKind::ReplicaLogs { look, fault, broker, replicas: vec![log], trouble: None })
}

fn answers(ms: u64, broker: i32, answers: bool) -> (u64, EventKind) {
    (ms, EventKind::BrokerAnswers { broker, answers })
}

/// A fault on broker 1 from 1 s to 20 s, of a kind that nobody knows.
fn fault(holds: bool) -> [(u64, EventKind); 3] {
    let proof = Proof { holds, summary: String::new(), evidence: serde_json::Map::new() };
    [
        (
            900,
            EventKind::FaultResolved {
                fault: 0,
                kind: "mystery".to_owned(),
                brokers: vec![1],
                clients: vec![],
                basis: String::new(),
                same_for_all: true,
            },
        ),
        (
            1_500,
            EventKind::FaultInjected { fault: 0, called_at: stamp(1_000), proof: proof.clone(), held_ms: Some(19_000) },
        ),
        (20_100, EventKind::FaultHealed { fault: 0, called_at: stamp(20_000), proof }),
    ]
}

fn told(sequence: u64, at_ms: u64, told: Told, error: i32, broker: Option<i32>) -> Record {
    let offset = (told == Told::Acked).then_some(sequence.cast_signed());
    Record::Told { partition: 0, sequence, attempt: 0, told, offset, error, broker, in_txn: false, at_ns: ns(at_ms) }
}

fn audited(log_start: i64) -> (u64, EventKind) {
    let profile = "p".to_owned();
    let (complete, why, committed) = (true, None, None);
    (31_000, EventKind::PartitionAudited { profile, partition: 0, complete, log_start, attempt: 0, why, committed })
}

impl Run {
    /// Everything that an isolated leader leaves behind, but for what shows that it was isolated.
    fn election() -> Self {
        let events = vec![
            leader(100, 1, 0, &[1, 2, 3]),
            leader(9_000, 2, 1, &[2, 3]),
            logs(30_000, Look::Audit, 2, 200, &[(0, 0), (1, 100)]),
        ];
        Self {
            events,
            truncations: Vec::new(),
            acks: Acks::Leader,
            finding: Finding::Category(Category::LostInCluster),
            told: (100..140).map(|n| told(n, 2_000 + (n - 100) * 100, Told::Acked, 0, Some(1))).collect(),
            members: Vec::new(),
            in_log: false,
            audited: Vec::new(),
            restarted_at: None,
        }
    }

    fn with(mut self, events: impl IntoIterator<Item = (u64, EventKind)>) -> Self {
        self.events.extend(events);
        self
    }

    fn without(mut self, unwanted: impl Fn(&EventKind) -> bool) -> Self {
        self.events.retain(|(_, kind)| !unwanted(kind));
        self
    }

    fn explained(mut self) -> Vec<Explained> {
        let topic = EventKind::TopicCreated { profile: "p".to_owned(), topic: "t".to_owned(), partitions: 1 };
        let start = EventKind::RunStarted { run: String::new(), experiment: String::new(), version: String::new() };
        self.events.extend([(0, start), (0, topic)]);
        if !self.events.iter().any(|(_, event)| matches!(event, EventKind::PartitionAudited { .. })) {
            self.events.push(audited(0));
        }
        self.events.sort_by_key(|(ms, _)| *ms);
        let mut history = History::default();
        for (ms, kind) in self.events {
            history.add(&Event { at: stamp(ms), kind });
        }
        for truncation in self.truncations {
            history.truncated(truncation);
        }
        let anomaly = Anomaly { stream: STREAM, first: 100, last: 139, finding: self.finding };
        let mut gather = Gather::new(&history, "p", self.acks, &[anomaly]);
        let pace = Stream { producer: 0, partition: 0, first: 0, start_ns: ns(0), period_ns: 20_000_000 };
        gather.stream(0, pace);
        if let Some(first) = self.restarted_at {
            gather.stream(1, Stream { first, ..pace });
        }
        let record = |offset: i64, leader_epoch, content| Record::Audited {
            partition: 0,
            offset,
            audit: 0,
            isolation: Isolation::ReadUncommitted,
            leader_epoch,
            content,
        };
        for (offset, epoch) in self.audited {
            gather.audit_record(&record(offset, Some(epoch), Content::Corrupt));
        }
        for sequence in (100..140).filter(|_| self.in_log) {
            let identity = Identity { run: 0, producer: 0, incarnation: 0, partition: 0, sequence, attempt: 0 };
            gather.audit_record(&record(sequence.cast_signed(), None, Content::Message(identity)));
        }
        for record in &self.told {
            gather.producer_record(0, record);
        }
        for record in &self.members {
            gather.consumer_record(Process { member: 4, incarnation: 0 }, record);
        }
        gather.finish()
    }

    /// The cause of all 40 messages, which is one.
    fn cause(self) -> Cause {
        let explained = self.explained();
        assert_eq!(explained.len(), 1, "{explained:#?}");
        assert_eq!((explained[0].first, explained[0].last), (100, 139));
        explained[0].cause.clone().unwrap()
    }
}

const fn election() -> DestroyedBy {
    DestroyedBy::Election {
        leader: Some(2),
        epoch: 1,
        start_offset: 100,
        seen_ns: Some(9_000_000_000),
        unclean: false,
        fault: None,
    }
}

const TAIL: ExposedBy = ExposedBy::UnreplicatedTail { broker: 1, epoch: 0 };

const fn isolated(claimed_ms: Option<u64>, log_end: Option<i64>) -> ExposedBy {
    ExposedBy::IsolatedLeader { broker: 1, epoch: 0, claimed_ms, log_end, fault: None }
}

/// Broker 1 had gone its own way before healing, and has come back to the others afterwards.
fn parted_and_back() -> [(u64, EventKind); 3] {
    [
        logs(19_000, Look::BeforeHealing, 1, 150, &[(0, 0)]),
        logs(19_000, Look::BeforeHealing, 2, 100, &[(0, 0), (1, 100)]),
        logs(23_000, Look::Recovered, 1, 170, &[(0, 0), (1, 100)]),
    ]
}

#[test]
fn a_leader_that_claims_on_and_comes_back_is_an_isolated_one_that_was_truncated() {
    let cause = Run::election().with([claim(9_000, None), claim(21_000, Some(20_750))]).with(parted_and_back()).cause();
    assert_eq!(cause.exposed_by, [isolated(Some(11_750), Some(150))]);
    let truncation = DestroyedBy::Truncation { broker: 1, from: 150, to: 100, logged_ns: None };
    assert_eq!(cause.destroyed_by, [election(), truncation]);
    let by = Witness::ReplicaLog { broker: 1 };
    assert_eq!(cause.held, Some(Sighting { at_ns: 19_000_000_000, by }));
    assert_eq!(cause.gone, Some(Sighting { at_ns: 23_000_000_000, by }));
    assert_eq!(cause.edge_of, None);
}

#[test]
fn either_witness_of_isolation_is_enough() {
    let claims = Run::election().with([claim(9_000, None), claim(21_000, Some(20_750))]);
    assert_eq!(claims.cause().exposed_by, [isolated(Some(11_750), None)]);
    assert_eq!(Run::election().with(parted_and_back()).cause().exposed_by, [isolated(None, Some(150))]);
}

#[test]
fn without_a_witness_nobody_is_called_isolated_nor_truncated() {
    let cause = Run::election().cause();
    assert_eq!(cause.exposed_by, [TAIL]);
    assert_eq!(cause.destroyed_by, [election()]);
    let by = Witness::Ack { broker: Some(1) };
    assert_eq!(cause.held, Some(Sighting { at_ns: 5_900_000_000, by }));
    assert_eq!(cause.gone, Some(Sighting { at_ns: 31_000_000_000, by: Witness::Audit }));
    // Not even by a fault that is proven to have hit it.
    assert!(
        Run::election()
            .with(fault(true))
            .explained()
            .iter()
            .all(|part| { part.cause.as_ref().unwrap().exposed_by == [TAIL] })
    );
}

#[test]
fn news_that_travels_makes_no_isolated_leader() {
    let brief = Run::election().with([claim(9_000, None), claim(9_500, Some(9_250))]);
    assert_eq!(brief.cause().exposed_by, [TAIL]);
    let once = Run::election().with([claim(9_000, None)]);
    assert_eq!(once.cause().exposed_by, [TAIL]);
}

#[test]
fn a_leader_that_died_meanwhile_was_not_isolated() {
    let dead = [answers(6_000, 1, false), answers(8_500, 1, true)];
    let back = Run::election().with(dead).with([claim(9_000, None), claim(21_000, Some(20_750))]);
    assert_eq!(back.with(parted_and_back()).cause().exposed_by, [TAIL]);
    // Before they were acknowledged, it may have died as it liked.
    let dead = [answers(1_000, 1, false), answers(1_500, 1, true)];
    let before = Run::election().with(dead).with([claim(9_000, None), claim(21_000, Some(20_750))]);
    assert_eq!(before.cause().exposed_by, [isolated(Some(11_750), None)]);
}

#[test]
fn the_epochs_of_the_audited_records_tell_the_final_log_as_well() {
    let mut run = Run::election().without(|kind| matches!(kind, EventKind::ReplicaLogs { .. }));
    run.audited = vec![(98, 0), (99, 0), (100, 1), (101, 1)];
    assert_eq!(run.cause().destroyed_by, [election()]);
}

#[test]
fn a_log_that_is_only_longer_has_not_parted() {
    // The other follower is behind, and of the same epoch.
    let logs =
        [logs(19_000, Look::BeforeHealing, 1, 150, &[(0, 0)]), logs(19_000, Look::BeforeHealing, 2, 100, &[(0, 0)])];
    assert_eq!(Run::election().with(logs).cause().exposed_by, [TAIL]);
}

#[test]
fn what_was_acknowledged_before_the_cut_was_called_for_was_not_acknowledged_behind_it() {
    let mut run = Run::election().with(parted_and_back()).with(fault(true));
    run.told = (100..140).map(|n| told(n, 990 + (n - 100), Told::Acked, 0, Some(1))).collect();
    run.told.truncate(30);
    run.told.extend((130..140).map(|n| told(n, 2_000 + n, Told::Acked, 0, Some(1))));
    let explained = run.explained();
    let parts: Vec<_> = explained
        .iter()
        .map(|part| {
            let cause = part.cause.clone().unwrap();
            (part.first, part.last, cause.exposed_by[0].clone(), cause.edge_of)
        })
        .collect();
    let held = ExposedBy::IsolatedLeader { broker: 1, epoch: 0, claimed_ms: None, log_end: Some(150), fault: Some(0) };
    let expected = [(100, 109, TAIL, None), (110, 129, isolated(None, Some(150)), Some(0)), (130, 139, held, None)];
    assert_eq!(parts, expected);
}

#[test]
fn a_fault_without_proof_is_not_blamed() {
    let cause = Run::election().with(parted_and_back()).with(fault(false)).cause();
    assert_eq!(cause.exposed_by, [isolated(None, Some(150))]);
    assert_eq!(cause.destroyed_by[0], election());
}

#[test]
fn a_broker_s_own_log_file_is_a_witness_of_its_truncation() {
    let mut run = Run::election();
    let logged = |broker, to, ms: u64| {
        let topic = "t".to_owned();
        Truncated { at_ns: ms * 1_000_000, broker, topic, partition: 0, to }
    };
    // Of others, of what came after, and of before they were acknowledged: not of this.
    run.truncations = vec![logged(3, 100, 9_500), logged(1, 130, 9_600), logged(1, 100, 500), logged(1, 100, 22_000)];
    let cause = run.cause();
    let truncation = DestroyedBy::Truncation { broker: 1, from: 140, to: 100, logged_ns: Some(22_000_000_000) };
    assert_eq!(cause.destroyed_by, [election(), truncation]);
    assert_eq!(cause.gone, Some(Sighting { at_ns: 22_000_000_000, by: Witness::BrokerLog { broker: 1 } }));
}

#[test]
fn a_message_that_the_new_leader_should_hold_is_unexplained() {
    // The final log leaves epoch 0 only beyond them.
    let run = Run::election().without(|kind| matches!(kind, EventKind::ReplicaLogs { .. }));
    let cause = run.with([logs(30_000, Look::Audit, 2, 200, &[(0, 0), (1, 101)])]).cause();
    assert!(cause.is_unexplained(), "{cause:?}");
    assert!(cause.held.is_some() && cause.gone.is_some(), "and yet bracketed");
}

#[test]
fn without_the_final_log_s_epochs_nothing_is_explained() {
    let run = Run::election().with(parted_and_back()).with([claim(9_000, None), claim(21_000, Some(20_750))]);
    let cause = run.without(|kind| matches!(kind, EventKind::ReplicaLogs { look: Look::Audit, .. })).cause();
    assert!(cause.is_unexplained(), "{cause:?}");
}

#[test]
fn an_acknowledgement_of_a_broker_that_never_led_is_unexplained() {
    let mut run = Run::election();
    run.told = (100..140).map(|n| told(n, 2_000, Told::Acked, 0, Some(3))).collect();
    assert!(run.cause().is_unexplained());
}

#[test]
fn without_the_broker_s_name_the_epoch_that_the_log_left_tells_it() {
    let mut run = Run::election();
    // After the election was heard of: the new leader's own acknowledgement would be in the log.
    run.told = (100..140).map(|n| told(n, 9_500, Told::Acked, 0, None)).collect();
    assert_eq!(run.cause().destroyed_by, [election()]);
}

#[test]
fn ranges_are_split_where_the_broker_changes() {
    let mut run = Run::election().with([leader(12_000, 1, 2, &[1, 2, 3])]);
    run = run.without(|kind| matches!(kind, EventKind::ReplicaLogs { .. }));
    run = run.with([logs(30_000, Look::Audit, 1, 200, &[(0, 0), (1, 100), (2, 110)])]);
    run.told = (100..120).map(|n| told(n, 2_000, Told::Acked, 0, Some(1))).collect();
    run.told.extend((120..140).rev().map(|n| told(n, 10_000, Told::Acked, 0, Some(2))));
    let explained = run.explained();
    assert_eq!(explained.iter().map(|part| (part.first, part.last)).collect::<Vec<_>>(), [(100, 119), (120, 139)]);
    let second = explained[1].cause.clone().unwrap();
    assert_eq!(second.exposed_by, [ExposedBy::UnreplicatedTail { broker: 2, epoch: 1 }]);
    let DestroyedBy::Election { leader: Some(1), epoch: 2, start_offset: 110, .. } = second.destroyed_by[0] else {
        panic!("{second:?}");
    };
}

#[test]
fn a_leader_that_was_the_only_one_in_sync_is_named_as_such() {
    let shrunk = [leader(800, 1, 0, &[1, 2]), leader(1_000, 1, 0, &[1]), leader(1_500, 1, 0, &[1])];
    let mut run = Run::election().with(shrunk);
    run.acks = Acks::All;
    let cause = run.cause();
    assert_eq!(cause.exposed_by, [ExposedBy::ShrunkIsr { broker: 1, epoch: 0, since_ns: 1_000_000_000 }]);
    let DestroyedBy::Election { unclean: true, .. } = cause.destroyed_by[0] else { panic!("{cause:?}") };
}

#[test]
fn acks_all_with_others_in_sync_has_no_known_exposure() {
    let mut run = Run::election();
    run.acks = Acks::All;
    let cause = run.cause();
    assert_eq!(cause.exposed_by, []);
    assert_eq!(cause.destroyed_by, [election()]);
}

#[test]
fn a_broker_that_comes_back_without_what_it_had_has_not_written_it() {
    // The heir was in sync under acks=all, so it had them; it did not answer before it was elected.
    let mut run = Run::election().with([answers(6_500, 2, false), answers(8_000, 2, true)]);
    run.acks = Acks::All;
    let cause = run.cause();
    assert_eq!(cause.exposed_by, [ExposedBy::UnflushedTail { broker: 2, silent_ns: 6_500_000_000 }]);
    let cut = DestroyedBy::LogCutShort { broker: 2, silent_ns: 6_500_000_000, fault: None };
    assert_eq!(cause.destroyed_by, [election(), cut]);
    // With acks=1 it need not have had them.
    let run = Run::election().with([answers(6_500, 2, false), answers(8_000, 2, true)]);
    assert_eq!(run.cause().exposed_by, [TAIL]);
}

#[test]
fn a_broker_that_comes_back_with_an_empty_disk_has_lost_it_with_that() {
    let wiped = |kind: &str| {
        let mut run = Run::election().with(fault(true));
        for (_, event) in &mut run.events {
            match event {
                EventKind::FaultResolved { kind: of, .. } => *of = kind.to_owned(),
                EventKind::PartitionState { leader, .. } => *leader = 1,
                EventKind::ReplicaLogs { broker, .. } => *broker = 1,
                _ => {}
            }
        }
        run.acks = Acks::All;
        run.with([answers(6_500, 1, false), answers(8_000, 1, true)]).cause()
    };
    let cause = wiped("disk_wipe");
    assert_eq!(cause.exposed_by, []);
    let [DestroyedBy::Election { leader: Some(1), .. }, lost] = cause.destroyed_by.as_slice() else {
        panic!("{cause:?}");
    };
    assert_eq!(*lost, DestroyedBy::DiskLost { broker: 1, fault: 0 });
    let killed = wiped("kill");
    assert_eq!(killed.exposed_by, [ExposedBy::UnflushedTail { broker: 1, silent_ns: 6_500_000_000 }]);
}

fn undelivered(told: impl IntoIterator<Item = Record>) -> Run {
    let mut run = Run::election();
    run.finding = Finding::Category(Category::Undelivered);
    run.told = told.into_iter().collect();
    run
}

#[test]
fn what_was_never_acknowledged_names_who_gave_it_up() {
    let all = |state, error| undelivered((100..140).map(move |n| told(n, 4_000, state, error, None)));
    let cases = [
        (Told::Failed, -192, DestroyedBy::Refused { error: -192 }),
        (Told::Unsent, -184, DestroyedBy::QueueFull),
        (Told::Unsent, -190, DestroyedBy::NotTaken { error: -190 }),
        (Told::Indeterminate, -192, DestroyedBy::GivenUp { error: -192 }),
        (Told::Unconfirmed, 0, DestroyedBy::Unconfirmed),
        (Told::Acked, 0, DestroyedBy::NotCommitted),
        (Told::Indeterminate, 0, DestroyedBy::ClientEnded { how: None, fault: None }),
    ];
    for (state, error, destroyed) in cases {
        let cause = all(state, error).cause();
        assert_eq!((cause.exposed_by, cause.destroyed_by), (vec![], vec![destroyed]));
    }
    let client = ClientId { profile: "p".to_owned(), role: Role::Producer, member: 0, incarnation: 0 };
    let ended = EventKind::ClientEnded { client, expected: true, how: "exit 0".to_owned() };
    let cause = undelivered([]).with([(5_000, ended)]).cause();
    assert_eq!(cause.destroyed_by, [DestroyedBy::ClientEnded { how: Some("exit 0".to_owned()), fault: None }]);
}

#[test]
fn what_two_incarnations_had_in_hand_is_kept_apart() {
    let client = |incarnation| ClientId { profile: "p".to_owned(), role: Role::Producer, member: 0, incarnation };
    let ended = |ms, incarnation, how: &str| {
        (ms, EventKind::ClientEnded { client: client(incarnation), expected: true, how: how.to_owned() })
    };
    let mut kill = fault(true);
    if let EventKind::FaultResolved { brokers, clients, .. } = &mut kill[0].1 {
        brokers.clear();
        clients.push(client(0).to_string());
    }
    let ends = [ended(1_200, 0, "signal 9"), ended(30_000, 1, "exit 0")];
    let run = Run { restarted_at: Some(120), ..undelivered([]).with(kill).with(ends) };
    let parts = run.explained();
    let found: Vec<_> = parts.iter().map(|p| (p.first, p.last, p.cause.clone().unwrap().destroyed_by)).collect();
    let by = |how: &str, fault| vec![DestroyedBy::ClientEnded { how: Some(how.to_owned()), fault }];
    assert_eq!(found, [(100, 119, by("signal 9", Some(0))), (120, 139, by("exit 0", None))]);
}

#[test]
fn a_leader_that_did_not_answer_exposed_what_was_under_way() {
    let timed_out = || undelivered((100..140).map(|n| told(n, 4_000, Told::Indeterminate, -192, None)));
    let away =
        |broker, from_ms: u64, fault| vec![ExposedBy::LeaderAway { broker, from_ns: from_ms * 1_000_000, fault }];
    let silent = timed_out().with([answers(3_000, 1, false)]);
    assert_eq!(silent.cause().exposed_by, away(Some(1), 3_000, None));
    let blamed = timed_out().with([answers(3_000, 1, false)]).with(fault(true));
    assert_eq!(blamed.cause().exposed_by, away(Some(1), 3_000, Some(0)));
    let leaderless = timed_out().with([leader(3_000, -1, 0, &[1])]);
    assert_eq!(leaderless.cause().exposed_by, away(None, 3_000, None));
    // It answered, but a fault is proven to have hit it meanwhile.
    let hit = timed_out().with(fault(true)).explained();
    let exposed: Vec<_> = hit.iter().map(|part| part.cause.clone().unwrap().exposed_by).collect();
    assert_eq!(exposed, [[ExposedBy::LeaderHit { broker: 1, fault: 0 }]]);
    assert_eq!(timed_out().with(fault(false)).cause().exposed_by, []);
    // A follower, or the leader before and after: nobody missed them.
    for missed in [[answers(3_000, 2, false), answers(3_100, 2, true)], [answers(500, 1, false), answers(900, 1, true)]]
    {
        assert_eq!(timed_out().with(missed).cause().exposed_by, []);
    }
    assert_eq!(timed_out().with([answers(4_500, 1, false)]).cause().exposed_by, []);
    // It had handed the partition over before.
    let handed_over = timed_out().with([leader(2_500, 3, 1, &[1, 2, 3]), answers(3_000, 1, false)]);
    assert_eq!(handed_over.cause().exposed_by, []);
}

#[test]
fn ranges_are_split_where_the_error_changes() {
    let explained = undelivered((100..140).map(|n| {
        let error = if n < 110 { -192 } else { -195 };
        told(n, 4_000, Told::Indeterminate, error, None)
    }))
    .explained();
    assert_eq!(explained.iter().map(|part| (part.last, part.error)).collect::<Vec<_>>(), [(109, -192), (139, -195)]);
}

#[test]
fn the_best_of_several_attempts_counts() {
    let mut run = undelivered((100..140).map(|n| told(n, 4_000, Told::Unsent, -184, None)));
    run.told.push(told(120, 4_500, Told::Indeterminate, -192, None));
    run.told.push(told(121, 4_500, Told::Unsent, -184, None));
    let parts: Vec<_> = run.explained().iter().map(|part| (part.first, part.last, part.told)).collect();
    let (unsent, given_up) = (Some(Told::Unsent), Some(Told::Indeterminate));
    assert_eq!(parts, [(100, 119, unsent), (120, 120, given_up), (121, 139, unsent)]);
}

fn passed_over(members: &[Record]) -> Run {
    let mut run = Run::election();
    run.finding = Finding::Category(Category::LostByConsumer);
    run.in_log = true;
    run.members = members.to_vec();
    run
}

const fn polled(offset: i64) -> Record {
    Record::Polled { partition: 0, offset, at_ns: ns(7_000) }
}

const fn committed(offset: i64, ok: bool) -> Record {
    Record::Committed { partition: 0, offset, ok, at_ns: ns(8_000) }
}

#[test]
fn a_commit_beyond_what_was_processed_lost_it() {
    let polls: Vec<Record> = (100..140).map(polled).collect();
    let handed_out = ExposedBy::HandedOut { member: 4, incarnation: 0, messages: 40 };
    let commit =
        |closing| DestroyedBy::Commit { member: 4, incarnation: 0, offset: 140, at_ns: 8_000_000_000, closing };
    let cause = passed_over(&[polls.as_slice(), &[committed(140, true)]].concat()).cause();
    assert_eq!((cause.exposed_by, cause.destroyed_by), (vec![handed_out.clone()], vec![commit(false)]));
    let revoked = Record::Revoked { partition: 0, at_ns: ns(7_500) };
    let cause = passed_over(&[polls.as_slice(), &[revoked, committed(140, true)]].concat()).cause();
    assert_eq!(cause.destroyed_by, [commit(true)]);
    // A commit that was refused, or goes to them at most, is no cause.
    let cause = passed_over(&[polls.as_slice(), &[committed(140, false), committed(139, true)]].concat()).cause();
    assert_eq!((cause.exposed_by, cause.destroyed_by), (vec![handed_out], vec![]));
}

#[test]
fn offsets_that_held_others_before_were_not_handed_out() {
    let processed = |offset| Record::Processed { partition: 0, offset, identity: None, at_ns: ns(7_000) };
    let read: Vec<Record> = (100..140).flat_map(|offset| [polled(offset), processed(offset)]).collect();
    let cause = passed_over(&[read.as_slice(), &[committed(140, true)]].concat()).cause();
    assert_eq!(cause.exposed_by, [ExposedBy::OffsetsRead { member: 4, incarnation: 0, messages: 40 }]);
    assert_eq!(cause.destroyed_by.len(), 1);
    // One of them was handed out and not processed: that one was lost in hand.
    let in_hand = [&read[..79], &[committed(140, true)]].concat();
    let cause = passed_over(&in_hand).cause();
    assert_eq!(cause.exposed_by, [ExposedBy::HandedOut { member: 4, incarnation: 0, messages: 1 }]);
}

#[test]
fn a_member_that_jumps_over_them_is_named() {
    let cause = passed_over(&[polled(99), polled(140)]).cause();
    assert_eq!(cause.exposed_by, []);
    assert_eq!(cause.destroyed_by, [DestroyedBy::Skip { member: 4, incarnation: 0, to: 140, at_ns: 7_000_000_000 }]);
}

#[test]
fn a_group_without_a_commit_goes_where_its_reset_leads() {
    let at = |source| EventKind::GroupPosition { profile: "p".to_owned(), partition: 0, position: 200, source };
    let cause = passed_over(&[]).with([(29_000, at(PositionSource::Reset))]).cause();
    assert_eq!(cause.destroyed_by, [DestroyedBy::Reset { position: 200 }]);
    assert!(passed_over(&[]).with([(29_000, at(PositionSource::Owner))]).cause().is_unexplained());
}

#[test]
fn what_expired_was_removed_by_retention() {
    let mut run = Run::election();
    run.finding = Finding::Category(Category::Expired);
    assert_eq!(run.cause().destroyed_by, [DestroyedBy::Retention { log_start: 0 }]);
}

#[test]
fn what_expired_was_deleted_on_demand_where_a_fault_did_so() {
    let deleted = |topic: &str, before: i64| {
        let evidence = serde_json::json!({ "deleted_before": before });
        let evidence = serde_json::Map::from_iter([(format!("{topic}/0"), evidence)]);
        let proof = Proof { holds: true, summary: String::new(), evidence };
        [(1_500, EventKind::FaultInjected { fault: 3, called_at: stamp(1_000), proof, held_ms: None })]
    };
    let destroyed = |topic: &str, before: i64, log_start: i64| {
        let mut run = Run::election().with(deleted(topic, before)).with([audited(log_start)]);
        run.finding = Finding::Category(Category::Expired);
        run.cause().destroyed_by
    };
    let (deletion, retention) =
        (|before| DestroyedBy::Deletion { before, fault: 3 }, |log_start| DestroyedBy::Retention { log_start });
    assert_eq!(destroyed("t", 140, 140), [deletion(140)]);
    assert_eq!(destroyed("t", 140, 150), [deletion(140), retention(150)], "either");
    assert_eq!(destroyed("t", 139, 139), [retention(139)], "not all of them");
    assert_eq!(destroyed("other", 140, 140), [retention(140)]);
}

#[test]
fn what_is_no_loss_has_no_cause() {
    let mut run = Run::election();
    run.finding = Finding::Category(Category::Lagging);
    let explained = run.explained();
    assert_eq!((explained.len(), &explained[0].cause), (1, &None));
}

#[test]
fn of_more_ranges_than_are_looked_at_the_smallest_stay_unexplained() {
    let history = History::default();
    let finding = Finding::Category(Category::Undelivered);
    let range = |n: u64| Anomaly { stream: STREAM, first: n * 10, last: n * 10 + u64::from(n != 5_000), finding };
    let anomalies: Vec<Anomaly> = (0..=10_000).map(range).collect();
    let explained = Gather::new(&history, "p", Acks::All, &anomalies).finish();
    assert_eq!(explained.len(), anomalies.len());
    assert!(explained.iter().zip(&anomalies).all(|(part, range)| (part.first, part.last) == (range.first, range.last)));
    let unexplained: Vec<u64> =
        explained.iter().filter(|part| part.cause.as_ref().unwrap().is_unexplained()).map(|part| part.first).collect();
    assert_eq!(unexplained, [50_000]);
}
