//! How client processes fail and end.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_producer_leaves_a_readable_journal() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 2000.0, &[]);
    let (process, mut events) = run.start(&spec).await;
    until(&process, |now, _, _| acked(now) > 1000).await;
    let end = process.kill().await;
    assert!(end.expected);
    assert_eq!(end.how, "signal 9");
    let journals = run.journals();
    let journal = &journals["baseline-producer-0-0-p0.ljr"];
    assert!(!journal.tail.sealed);
    assert!(journal.tail.is_undamaged());
    let told = journal.told();
    assert!(told.len() > 1000);
    assert!(told.keys().all(|sequence| *sequence < journal.next));
    let mut last = None;
    while let Ok(event) = events.try_recv() {
        last = Some(event.kind);
    }
    assert!(matches!(last, Some(EventKind::ClientEnded { expected: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails_says_why() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let spec = run.producer(1, 10.0, &[("acks", "1"), ("enable.idempotence", "true")]);
    let (process, mut events) = run.start(&spec).await;
    let end = process.ended(soon()).await;
    assert!(!end.expected);
    assert_eq!(end.how, "exit 1");
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::ClientNotice { text, .. } = event.kind {
            told.push(text);
        }
    }
    assert!(told.iter().any(|text| text.contains("`acks` must be set to `all`")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_end_is_overdue() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 10.0, &[])).await;
    let end = process.ended(Instant::now() + Duration::from_millis(200)).await;
    assert!(!end.expected);
    assert_eq!(end.how, "signal 9, as it did not end in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_a_terminal_do_not_end_a_client() {
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 100.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 5).await;
    for signal in ["-INT", "-TERM"] {
        let kill = Command::new("kill").args([signal, &process.pid().to_string()]).status();
        assert!(kill.unwrap().success());
    }
    let before = acked(&process.status().borrow().progress);
    until(&process, |now, _, _| acked(now) > before + 20).await;
    process.drain(Duration::from_secs(5)).await.unwrap();
    assert!(process.ended(soon()).await.expected);
}

/// Not a test of its own: a parent that starts a client, names it, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn parent_to_be_killed() {
    let Some(dir) = std::env::var_os("LOSSPROOF_TEST_PARENT_DIR") else {
        return;
    };
    let dir = PathBuf::from(dir);
    let mock = mock(1);
    let run = Run::new(mock.bootstrap_servers());
    let (process, _events) = run.start(&run.producer(1, 100.0, &[])).await;
    until(&process, |now, _, _| acked(now) > 5).await;
    std::fs::write(dir.join("pid.part"), process.pid().to_string()).unwrap();
    std::fs::rename(dir.join("pid.part"), dir.join("pid")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_dies_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_processes::lifecycle::parent_to_be_killed"])
        .env("LOSSPROOF_TEST_PARENT_DIR", dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = dir.path().join("pid");
    let pid = poll(|| std::fs::read_to_string(&pid_file).ok()).await;
    // Its state letter; none when it is gone.
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    assert!(state().is_some());
    parent.kill().unwrap();
    parent.wait().unwrap();
    poll(|| matches!(state(), None | Some('Z')).then_some(())).await;
}
