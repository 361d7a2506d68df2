//! What producers journal.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_producer_has_told_every_sequence() {
    let mock = mock(3);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(3, 3000.0, &[("acks", "1"), ("linger.ms", "5")]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, ready, _| ready && acked(now) > 2000).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    assert_eq!(end.how, "exit 0");

    let journals = run.journals();
    assert_eq!(journals.len(), 3);
    let mut offered = 0;
    for (name, journal) in &journals {
        assert!(journal.tail.sealed, "{name}: {:?}", journal.tail);
        let told = journal.told();
        assert_eq!(told.len() as u64, journal.next, "{name}");
        assert!(told.values().all(|told| *told == (Told::Acked, 0)));
        assert!(told.keys().copied().eq(0..journal.next));
        let Source::Producer { stream, .. } = journal.header.source else {
            panic!("{name} is no producer's");
        };
        assert_eq!(stream.producer, 5);
        assert_eq!(stream.period_ns, 999_999);
        // Never before its time, and none skipped.
        for record in &journal.records {
            if let Record::Told { sequence, at_ns, offset, .. } = *record {
                assert!(at_ns + 1000 >= stream.intended_ns(sequence));
                assert_eq!(offset, Some(sequence.cast_signed()));
            }
        }
        offered += journal.next;
    }
    let last = process.status().borrow().progress.clone();
    assert_eq!(last, Progress::Producer { offered, acked: offered, errors: 0, in_flight: 0 });

    let mut kinds = Vec::new();
    while let Ok(event) = events.try_recv() {
        kinds.push(event.kind);
    }
    assert!(matches!(
        &kinds[0],
        EventKind::ClientStarted { journal, .. } if journal == "journal/baseline-producer-0-0-p*.ljr"
    ));
    assert!(matches!(kinds.last().unwrap(), EventKind::ClientEnded { expected: true, how, .. } if how == "exit 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_0_proves_nothing() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 500.0, &[("acks", "0")]);
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 50).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    assert!(journal.next > 50);
    for record in &journal.records {
        assert!(matches!(record, Record::Told { told: Told::Unconfirmed, offset: None, .. }), "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_brokers_all_is_indeterminate_or_unsent() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    drop(mock);
    let spec = run.producer(1, 1000.0, &[("queue.buffering.max.messages", "100"), ("message.timeout.ms", "60000")]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| matches!(now, Progress::Producer { errors, .. } if *errors > 200)).await;
    // Shorter than the message timeout: what is queued is purged.
    process.drain(Duration::from_millis(300)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    let told = journal.told();
    assert_eq!(told.len() as u64, journal.next);
    let count = |wanted| told.values().filter(|told| **told == wanted).count();
    let (queue_full, purge_queue) = (-184, -152);
    assert_eq!(count((Told::Indeterminate, purge_queue)), 100);
    assert_eq!(count((Told::Unsent, queue_full)), told.len() - 100);
    let mut notices = 0;
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            assert!(text.contains("100 messages had no report"), "{text}");
            notices += 1;
        }
    }
    assert_eq!(notices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_can_block() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(1, 20_000.0, &[("queue.buffering.max.messages", "5")]);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.on_queue_full = OnQueueFull::Block;
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 200).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    let told = journal.told();
    assert_eq!(told.len() as u64, journal.next);
    assert!(told.values().all(|told| *told == (Told::Acked, 0)));
}

/// An idempotent producer that meets two fatal errors, and what its parent was told.
async fn fatal(on_fatal: OnFatal, enough: impl Fn(&Progress) -> bool) -> (Journal, Vec<String>) {
    let mock = mock(1);
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::InitProducerId, &[fatal, fatal]);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(1, 500.0, &[("enable.idempotence", "true")]);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.on_fatal = on_fatal;
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| enough(now)).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let journal = run.journals().remove("baseline-producer-0-0-p0.ljr").unwrap();
    assert!(journal.tail.sealed);
    assert_eq!(journal.told().len() as u64, journal.next);
    (journal, notices(&mut events))
}

fn notices(events: &mut UnboundedReceiver<Event>) -> Vec<String> {
    let mut notices = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            notices.push(text);
        }
    }
    notices
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fatal_error_a_new_client_goes_on() {
    let (journal, notices) = fatal(OnFatal::Recreate, |now| acked(now) > 100).await;
    let told = journal.told();
    let fallen = told.values().filter(|(told, _)| *told != Told::Acked).count();
    assert!(fallen > 0 && fallen < told.len());
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices.iter().all(|text| text.contains("going on with a new client")), "{notices:?}");
    // One process, one send each.
    assert!(journal.records.iter().all(|record| matches!(record, Record::Told { attempt: 0, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fatal_error_a_stopped_stream_is_offered_and_unsent() {
    let enough = |now: &Progress| matches!(now, Progress::Producer { errors, .. } if *errors > 100);
    let (journal, notices) = fatal(OnFatal::Stop, enough).await;
    let told = journal.told();
    // What the client had taken is told as its reports say; it is less than a second's worth.
    let taken = told.values().take_while(|(told, _)| *told == Told::Indeterminate).count();
    assert!(taken < told.len() - 50, "{taken} of {}", told.len());
    let fatal = RDKafkaErrorCode::Fatal as i32;
    assert!(told.values().skip(taken).all(|told| *told == (Told::Unsent, fatal)), "{told:?}");
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("fatal error") && notices[0].contains("the rest is unsent"), "{notices:?}");
}

/// A transactional producer on a mock that answers requests with errors.
async fn transact(errors: &[(RDKafkaApiKey, RDKafkaRespErr)], enough: u64) -> (Journal, Vec<String>) {
    let mock = mock(1);
    for (request, error) in errors {
        mock.request_errors(*request, &[*error]);
    }
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(1, 500.0, &[]);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.on_fatal = OnFatal::Recreate;
    producing.transactions = Some(Transactions { ids: vec!["mine".to_owned()], messages: 20 });
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > enough).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let journal = run.journals().remove("baseline-producer-0-0-p0.ljr").unwrap();
    assert!(journal.tail.sealed);
    assert_eq!(journal.told().len() as u64, journal.next);
    (journal, notices(&mut events))
}

/// How transactions ended, and how many reports each has, in order.
fn transactions(journal: &Journal) -> Vec<(TxnOutcome, usize)> {
    let mut all = Vec::new();
    let mut reports = 0;
    for record in &journal.records {
        match record {
            Record::Told { in_txn, told, .. } => {
                assert_eq!(*in_txn, *told != Told::Unsent, "{record:?}");
                reports += 1;
            }
            Record::TxnEnded { partition: 0, outcome, .. } => all.push((*outcome, std::mem::take(&mut reports))),
            other => panic!("{other:?} in a producer's journal"),
        }
    }
    assert_eq!(reports, 0, "reports without the end of their transaction");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_of_a_transaction_comes_before_its_end() {
    let (journal, notices) = transact(&[], 200).await;
    let all = transactions(&journal);
    assert!(all.iter().all(|(outcome, _)| *outcome == TxnOutcome::Committed), "{all:?}");
    let (last, full) = all.split_last().unwrap();
    assert!(full.len() >= 10 && full.iter().all(|(_, reports)| *reports == 20), "{all:?}");
    assert!(last.1 <= 20);
    assert_eq!(notices, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_aborts_its_transaction() {
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    let (journal, _) = transact(&[(RDKafkaApiKey::Produce, refused)], 200).await;
    let all = transactions(&journal);
    let aborted: Vec<_> = all.iter().filter(|(outcome, _)| *outcome == TxnOutcome::Aborted).collect();
    assert_eq!(aborted.len(), 1, "{all:?}");
    assert!(all.iter().all(|(outcome, _)| *outcome != TxnOutcome::Unknown), "{all:?}");
    assert!(all.iter().filter(|(outcome, _)| *outcome == TxnOutcome::Committed).count() >= 8, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_known_to_be_one_is_unknown() {
    // The coordinator says that somebody else has the id now; whether it had ended the transaction it does not say.
    let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    let (journal, notices) = transact(&[(RDKafkaApiKey::EndTxn, fenced)], 200).await;
    let all = transactions(&journal);
    assert_eq!(all[0].0, TxnOutcome::Unknown, "{all:?}");
    assert!(all[1..].iter().all(|(outcome, _)| *outcome == TxnOutcome::Committed), "{all:?}");
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("going on with a new client"), "{notices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_made_again_while_its_coordinator_is_away() {
    let away = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
    let (journal, notices) = transact(&[(RDKafkaApiKey::EndTxn, away)], 100).await;
    let all = transactions(&journal);
    assert!(all.iter().all(|(outcome, _)| *outcome == TxnOutcome::Committed), "{all:?}");
    assert_eq!(notices, [""; 0]);
}

/// The same broker costs its name once, in each block.
#[tokio::test(flavor = "multi_thread")]
async fn reports_name_their_broker() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 40_000.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 60_000).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journal = run.journals().remove("baseline-producer-0-0-p0.ljr").unwrap();
    assert!(journal.records.iter().all(|record| matches!(record, Record::Told { broker: Some(1), .. })));
    let path = run.dir.path().join("journal/baseline-producer-0-0-p0.ljr");
    let bytes = std::fs::metadata(path).unwrap().len();
    assert!(bytes <= journal.records.len() as u64 * 8, "{bytes} bytes for {} entries", journal.records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_failed() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(1, 200.0, &[("message.max.bytes", "1000")]);
    let Behaviour::Producer(producing) = &mut spec.behaviour else { unreachable!() };
    producing.payload_bytes = 2000;
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| matches!(now, Progress::Producer { errors, .. } if *errors > 10)).await;
    process.drain(Duration::from_secs(5)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let journals = run.journals();
    let told = journals["baseline-producer-0-0-p0.ljr"].told();
    assert!(told.values().all(|told| *told == (Told::Failed, 10)));
}
