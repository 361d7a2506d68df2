//! Faults of processes that are no clients but real: what counts as proof, and what does not.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lossproof_ledger::event::ClientId;
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::fault::client::proc::Identity;

/// What a stand-in makes of what is asked of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Obedient,
    /// It never gets the signals.
    Deaf,
    /// Somebody else speaks in its name.
    Talkative,
}

/// Processes that sleep, in place of clients.
struct StandIns {
    manner: Manner,
    running: Mutex<HashMap<ClientName, (u16, Child)>>,
    looks: AtomicU64,
}

fn name(role: Role, member: u16) -> ClientName {
    ClientName { profile: "resilient".to_owned(), role, member }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
}

impl StandIns {
    fn new(manner: Manner) -> Self {
        let running = [name(Role::Producer, 0), name(Role::Consumer, 0), name(Role::Consumer, 1)]
            .into_iter()
            .map(|name| (name, (0, sleeper())))
            .collect();
        Self { manner, running: Mutex::new(running), looks: AtomicU64::new(0) }
    }

    fn signal(&self, client: &ClientName, signal: Signal) {
        if self.manner != Manner::Deaf {
            let running = self.running.lock().unwrap();
            kill_process(Pid::from_child(&running[client].1), signal).unwrap();
        }
    }

    fn end(&self, client: &ClientName) -> End {
        let (_, mut child) = self.running.lock().unwrap().remove(client).unwrap();
        if self.manner == Manner::Deaf {
            // Its end comes from elsewhere.
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        } else {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap();
        End { expected: true, how: format!("signal {signal}") }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        for (_, (_, mut child)) in self.running.lock().unwrap().drain() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl ClientControl for StandIns {
    fn clients(&self) -> Vec<ClientName> {
        vec![name(Role::Producer, 0), name(Role::Consumer, 0), name(Role::Consumer, 1)]
    }

    fn process(&self, client: &ClientName) -> Option<Process> {
        let running = self.running.lock().unwrap();
        let (incarnation, child) = running.get(client)?;
        let ClientName { profile, role, member } = client.clone();
        let stopped = Identity::of(child.id()).is_some_and(Identity::is_stopped);
        let speaks = self.manner == Manner::Talkative || !stopped;
        let lines = self.looks.fetch_add(u64::from(speaks), Ordering::Relaxed);
        Some(Process { id: ClientId { profile, role, member, incarnation: *incarnation }, pid: child.id(), lines })
    }

    fn kill<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>> {
        async { Ok(self.end(client)) }.boxed()
    }

    fn stop<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>> {
        async { Ok(End { expected: self.manner == Manner::Obedient, ..self.end(client) }) }.boxed()
    }

    fn pause(&self, client: &ClientName) {
        self.signal(client, Signal::STOP);
    }

    fn resume(&self, client: &ClientName) {
        self.signal(client, Signal::CONT);
    }

    fn start<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<()>> {
        self.running.lock().unwrap().insert(client.clone(), (1, sleeper()));
        async { Ok(()) }.boxed()
    }

    fn ready<'a>(&'a self, _: &'a ClientName, _: Duration) -> BoxFuture<'a, bool> {
        async { true }.boxed()
    }
}

fn chosen(profile: Option<&str>, role: ClientRole, member: Option<u16>) -> ChosenClients {
    ChosenClients { profile: profile.map(str::to_owned), role, member }
}

async fn inject_into(control: &StandIns, fault: &ClientFault) -> (Vec<ClientName>, Proof) {
    let clients = resolve(Some(control), fault.chosen()).clients;
    let proof = hit(control, fault, &clients).await;
    (clients, proof)
}

#[test]
fn clients_are_chosen_by_profile_role_and_member() {
    let control = StandIns::new(Manner::Obedient);
    let names = |profile, role, member| resolve(Some(&control), &chosen(profile, role, member)).clients;
    assert_eq!(names(None, ClientRole::Producer, None), [name(Role::Producer, 0)]);
    assert_eq!(names(Some("resilient"), ClientRole::Consumer, Some(1)), [name(Role::Consumer, 1)]);
    assert_eq!(names(Some("resilient"), ClientRole::Consumer, None).len(), 2);
    assert_eq!(names(Some("baseline"), ClientRole::Consumer, None), []);
    assert!(resolve(None, &chosen(None, ClientRole::Producer, None)).is_empty());
}

#[tokio::test]
async fn a_kill_is_proven_by_the_end_of_the_process_and_healed_by_another_one() {
    let control = StandIns::new(Manner::Obedient);
    let fault = ClientFault::Kill(chosen(None, ClientRole::Consumer, None));
    let (clients, proof) = inject_into(&control, &fault).await;
    assert!(proof.holds, "{}", proof.summary);
    assert!(proof.summary.contains("ended by signal 9 and is gone"), "{}", proof.summary);
    let again = hit(&control, &fault, &clients).await;
    assert!(!again.holds);
    assert!(again.summary.contains("resilient consumer 0 does not run"), "{}", again.summary);
    let healed = kill::heal(Some(&control), &clients).await;
    assert!(healed.holds && healed.summary.contains("consumer 0 (restart 1) runs as process"), "{}", healed.summary);
}

#[tokio::test]
async fn an_end_of_another_kind_is_no_kill() {
    let control = StandIns::new(Manner::Deaf);
    let (_, proof) = inject_into(&control, &ClientFault::Kill(chosen(None, ClientRole::Producer, None))).await;
    assert!(!proof.holds && proof.summary.contains("ended otherwise: signal 15"), "{}", proof.summary);
}

#[tokio::test]
async fn who_does_not_end_as_asked_was_not_stopped() {
    let control = StandIns::new(Manner::Deaf);
    let (_, proof) = inject_into(&control, &ClientFault::Stop(chosen(None, ClientRole::Producer, None))).await;
    assert!(!proof.holds && proof.summary.contains("did not end as asked"), "{}", proof.summary);
}

#[tokio::test]
async fn a_pause_is_proven_by_stopped_threads_and_silence_and_healed_by_the_same_process() {
    let control = StandIns::new(Manner::Obedient);
    let fault = ClientFault::Pause(chosen(None, ClientRole::Producer, None));
    let Undo::ResumeClients { pids, .. } = undo(&fault, &[name(Role::Producer, 0)], Some(&control)) else {
        panic!("another way back")
    };
    let (clients, proof) = inject_into(&control, &fault).await;
    assert!(proof.holds && proof.summary.contains("is stopped (threads: 1)"), "{}", proof.summary);
    let healed = pause::heal(Some(&control), &clients, &pids).await;
    assert!(healed.holds && healed.summary.contains("the same process"), "{}", healed.summary);
    let other = pause::heal(Some(&control), &clients, &[1]).await;
    assert!(!other.holds && other.summary.contains("is another one"), "{}", other.summary);
}

#[tokio::test]
async fn a_process_that_goes_on_was_not_paused() {
    let fault = ClientFault::Pause(chosen(None, ClientRole::Producer, None));
    join_all([Manner::Deaf, Manner::Talkative].map(async |manner| {
        let control = StandIns::new(manner);
        let (_, proof) = inject_into(&control, &fault).await;
        assert!(!proof.holds && proof.summary.contains("goes on speaking"), "{}", proof.summary);
    }))
    .await;
}

#[tokio::test]
async fn after_the_run_nothing_is_to_be_taken_back_once_the_processes_are_gone() {
    let clients = [name(Role::Producer, 0)];
    let mut child = sleeper();
    let pids = [child.id()];
    assert!(Identity::of(pids[0]).is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    let healed = pause::heal(None, &clients, &pids).await;
    assert!(healed.holds && healed.summary.contains("ended with the run"), "{}", healed.summary);
}
