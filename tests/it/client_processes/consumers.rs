//! What consumers journal.

use super::*;

/// Both ways to commit, from the first record to the fence and a clean end.
async fn consume(commit: Commit) -> (Run, Journal, u64) {
    let mock = mock(2);
    let run = Run::new(mock.bootstrap_servers());
    let producer = run.producer(2, 1000.0, &[]);
    let (process, _events) = run.start(&producer).await;
    until(&process, |now, _, _| acked(now) > 500).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
    let offered: u64 = run.journals().values().map(|journal| journal.next).sum();

    // A stranger's message, and the fences.
    let other = stranger(&mock.bootstrap_servers());
    let foreign = BaseRecord::<(), str>::to(TOPIC).partition(0).payload("hello");
    other.send(foreign).unwrap();
    other.flush(Duration::from_secs(10)).unwrap();
    write_fences(&mock.bootstrap_servers(), 2);

    let spec = run.consumer(commit, &[("auto.commit.interval.ms", "200")]);
    let (process, _events) = run.start(&spec).await;
    until(&process, |_, ready, fences| ready && fences.len() == 2).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    let end = process.ended(soon()).await;
    assert!(end.expected, "{end:?}: {}", run.log(&spec));
    assert_eq!(processed(&process.status().borrow().progress), offered + 1);
    let journal = run.journals().remove("baseline-consumer-0-0.ljr").unwrap();
    assert!(journal.tail.sealed);
    (run, journal, offered)
}

/// What any consumer's journal must show.
fn check_consumed(journal: &Journal, offered: u64) {
    let mut identities = BTreeSet::new();
    let (mut polled, mut fences, mut foreign) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut done: BTreeMap<i32, i64> = BTreeMap::new();
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    let (mut assigned, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for record in &journal.records {
        match *record {
            Record::Assigned { partition, .. } => assert!(assigned.insert(partition)),
            Record::Revoked { partition, .. } => assert!(revoked.insert(partition)),
            Record::Polled { partition, offset, .. } => assert!(polled.insert((partition, offset))),
            Record::Processed { partition, offset, identity, .. } => {
                assert!(polled.contains(&(partition, offset)));
                done.insert(partition, offset + 1);
                match identity {
                    Some(identity) => {
                        assert_eq!(identity.partition, partition);
                        assert_eq!((identity.run, identity.producer), (RUN, 5));
                        assert!(identities.insert((identity.partition, identity.sequence)));
                    }
                    None => foreign += 1,
                }
            }
            Record::FenceSeen { partition, offset, .. } => {
                assert!(fences.insert(partition));
                assert_eq!(done.insert(partition, offset + 1), Some(offset));
            }
            Record::Committed { partition, offset, ok, .. } => {
                assert!(ok);
                assert!(offset <= done[&partition], "committed before processing");
                committed.insert(partition, offset);
            }
            ref other => panic!("{other:?} in a consumer's journal"),
        }
    }
    assert_eq!(identities.len() as u64, offered);
    assert_eq!(foreign, 1);
    assert_eq!(fences, BTreeSet::from([0, 1]));
    assert_eq!(assigned, BTreeSet::from([0, 1]));
    assert_eq!(revoked, BTreeSet::from([0, 1]));
    assert_eq!(committed, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_commits_after_processing() {
    let (_run, journal, offered) = consume(Commit::AfterSync).await;
    check_consumed(&journal, offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_with_automatic_commits() {
    let (_run, journal, offered) = consume(Commit::Auto).await;
    check_consumed(&journal, offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_is_journalled_and_made_again() {
    let mock = mock(1);
    mock.request_errors(RDKafkaApiKey::OffsetCommit, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE]);
    let run = Run::new(mock.bootstrap_servers());
    let (producer, _producer_events) = run.start(&run.producer(1, 200.0, &[])).await;
    let spec = run.consumer(Commit::AfterSync, &[]);
    let (consumer, _events) = run.start(&spec).await;
    until(&consumer, |now, _, _| processed(now) > 100).await;
    consumer.drain(Duration::from_secs(10)).await.unwrap();
    assert!(consumer.ended(soon()).await.expected);
    drop(producer);
    let journals = run.journals();
    let journal = &journals["baseline-consumer-0-0.ljr"];
    let mut commits = journal.records.iter().filter_map(|record| match record {
        Record::Committed { offset, ok, .. } => Some((*offset, *ok)),
        _ => None,
    });
    let (refused, ok) = commits.next().unwrap();
    assert!(!ok && refused > 0);
    assert!(commits.clone().all(|(offset, ok)| ok && offset >= refused));
    assert!(commits.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_without_a_position_says_so() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.consumer(Commit::Auto, &[]);
    spec.options = options(&[("auto.offset.reset", "error")]);
    let (process, mut events) = run.start(&spec).await;
    let notice = async {
        loop {
            if let EventKind::ClientNotice { text, .. } = events.recv().await.unwrap().kind {
                break text;
            }
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(60), notice).await.unwrap();
    assert!(text.contains("AutoOffsetReset"), "{text}");
    // It goes on, as such a consumer does: without reading.
    process.drain(Duration::from_secs(10)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
}

/// Members come and go gracefully and commit after processing: nothing is lost. (Some is done twice, as
/// the mock refuses all commits during a rebalance.)
#[tokio::test(flavor = "multi_thread")]
async fn members_hand_partitions_over() {
    let mock = mock(2);
    let run = Run::new(mock.bootstrap_servers());
    let (producer, _producer_events) = run.start(&run.producer(2, 400.0, &[])).await;
    // The mock lets a new generation begin only a second before the session timeout.
    let first = run.consumer(Commit::AfterSync, &[("session.timeout.ms", "4000"), ("heartbeat.interval.ms", "300")]);
    let mut second = first.clone();
    second.id.member = 1;
    let (one, _one_events) = run.start(&first).await;
    until(&one, |now, ready, _| ready && processed(now) > 100).await;
    let (two, _two_events) = run.start(&second).await;
    until(&two, |now, ready, _| ready && processed(now) > 50).await;
    one.drain(Duration::from_secs(10)).await.unwrap();
    assert!(one.ended(soon()).await.expected);
    producer.drain(Duration::from_secs(10)).await.unwrap();
    assert!(producer.ended(soon()).await.expected);
    let mut offered = 0;
    for (name, journal) in run.journals() {
        offered += if name.contains("producer") { journal.next } else { 0 };
    }
    write_fences(&mock.bootstrap_servers(), 2);
    until(&two, |_, _, fences| fences.len() == 2).await;
    two.drain(Duration::from_secs(10)).await.unwrap();
    assert!(two.ended(soon()).await.expected);

    let mut done = BTreeSet::new();
    for (name, journal) in run.journals() {
        let mut owned = BTreeSet::new();
        for record in &journal.records {
            match *record {
                Record::Assigned { partition, .. } => assert!(owned.insert(partition)),
                Record::Revoked { partition, .. } => assert!(owned.remove(&partition)),
                Record::Polled { partition, .. } => assert!(owned.contains(&partition), "{name}"),
                Record::Processed { identity, .. } => {
                    done.insert(identity.unwrap());
                }
                _ => {}
            }
        }
        assert!(owned.is_empty() && journal.tail.sealed, "{name}");
    }
    assert_eq!(done.len() as u64, offered);
}
