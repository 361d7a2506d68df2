//! Clients that are killed, frozen or stopped, and go on.

use super::*;

/// The streams of one incarnation: by partition, its first sequence and the one after its last.
fn offered(run: &Run, incarnation: u16) -> Vec<(u64, u64)> {
    let journals = run.journals();
    let streams = journals.values().filter_map(|journal| match journal.header.source {
        Source::Producer { incarnation: own, stream, .. } if own == incarnation => {
            Some((stream.partition, (stream.first, journal.next)))
        }
        _ => None,
    });
    streams.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_goes_on_where_the_one_before_was_killed() {
    let mock = mock(2);
    let run = Run::new(mock.bootstrap_servers());
    let mut spec = run.producer(2, 2000.0, &[("linger.ms", "20")]);
    for incarnation in 0..3 {
        let (process, _events) = run.start(&spec).await;
        until(&process, |now, ready, _| ready && acked(now) > 200).await;
        if incarnation < 2 {
            assert_eq!(process.kill().await.how, "signal 9", "{}", run.log(&spec));
            spec = spec.next_incarnation().unwrap();
            assert_eq!(spec.id.incarnation, incarnation + 1);
        } else {
            process.drain(Duration::from_secs(10)).await.unwrap();
            assert!(process.ended(soon()).await.expected, "{}", run.log(&spec));
        }
    }
    let [one, two, three] = [0, 1, 2].map(|incarnation| offered(&run, incarnation));
    assert_eq!((one.len(), two.len(), three.len()), (2, 2, 2));
    for ((one, two), three) in one.into_iter().zip(two).zip(three) {
        assert_eq!((one.0, two.0, three.0), (0, one.1, two.1), "dense over all incarnations");
        assert!(three.1 > three.0);
    }
    let journals = run.journals();
    assert_eq!(journals.len(), 6);
    for (name, journal) in &journals {
        let Source::Producer { incarnation, stream, .. } = journal.header.source else { panic!("{name}") };
        assert_eq!(journal.tail.sealed, incarnation == 2, "{name}");
        assert!(journal.told().keys().all(|sequence| (stream.first..journal.next).contains(sequence)), "{name}");
        // What was due while it was away is nobody's: the first message is answered at once.
        let times = journal.records.iter().filter_map(|record| match record {
            Record::Told { sequence, at_ns, .. } => Some(at_ns.saturating_sub(stream.intended_ns(*sequence))),
            _ => None,
        });
        let latest = Duration::from_nanos(times.max().unwrap());
        assert!(latest < Duration::from_secs(5), "{name}: {latest:?}");
        assert!(stream.intended_ns(stream.first) > stream.intended_ns(0) || stream.first == 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_client_is_silent_until_it_goes_on_as_the_same_process() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 500.0, &[]);
    let (process, _events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 10).await;
    let stat = format!("/proc/{}/stat", process.pid());
    let state = || std::fs::read_to_string(&stat).unwrap().rsplit_once(") ").unwrap().1.chars().next();

    process.pause();
    poll(|| (state() == Some('T')).then_some(())).await;
    // What it had said is heard; then nothing more for longer than it is ever silent.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (lines, offered) = (process.lines(), process.status().borrow().progress.clone());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!((process.lines(), process.status().borrow().progress.clone()), (lines, offered));
    assert_eq!(process.how_it_ended(), None);

    process.resume();
    poll(|| (process.lines() > lines + 1).then_some(())).await;
    // Told to end while it is stopped, it does so when it goes on.
    process.pause();
    poll(|| (state() == Some('T')).then_some(())).await;
    process.drain(Duration::from_secs(10)).await.unwrap();
    process.resume();
    let end = process.ended(soon()).await;
    assert!(end.expected && end.how == "exit 0", "{end:?}");
    assert_eq!(process.how_it_ended(), Some(end));
    let journal = run.journals().remove("baseline-producer-0-0-p0.ljr").unwrap();
    assert_eq!(journal.told().len() as u64, journal.next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_client_can_be_killed() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 100.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 1).await;
    process.pause();
    let end = process.kill().await;
    assert!(end.expected && end.how == "signal 9", "{end:?}");
}
