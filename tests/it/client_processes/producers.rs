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

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fatal_error_a_new_client_goes_on() {
    let mock = mock(1);
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::InitProducerId, &[fatal, fatal]);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 500.0, &[("enable.idempotence", "true")]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 100).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(journal.tail.sealed);
    let told = journal.told();
    assert_eq!(told.len() as u64, journal.next);
    let fallen = told.values().filter(|(told, _)| *told != Told::Acked).count();
    assert!(fallen > 0 && fallen < told.len());
    let mut notices = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            notices.push(text);
        }
    }
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices.iter().all(|text| text.contains("going on with a new client")));
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
