//! `kill`: SIGKILL to the broker's process, as by the kernel's OOM killer or a pulled plug of one machine
//! whose page cache survives.
//!
//! Proof: the process that ran is gone, with exit code 137, and its port refuses. A broker that did
//! not run before proves nothing.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use lossproof_ledger::event::Proof;
use serde_json::{Value, json};

use crate::cluster::wire::Wire;
use crate::cluster::{Broker, Cluster};
use crate::experiment::HARNESS_PORT;
use crate::fault::Findings;

/// Exit code of a process that SIGKILL ended: 128 + 9.
pub(in crate::fault) const KILLED: i64 = 137;
/// How long the engine may take to see a killed process gone.
pub(in crate::fault) const DEATH_LIMIT: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn inject(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let brokers: Vec<&Broker> = brokers.iter().map(|&id| cluster.broker(id)).collect::<Result<_>>()?;
    let before = try_join_all(brokers.iter().map(|broker| cluster.engine.state(&broker.container))).await?;
    // All at the same moment.
    let killed = try_join_all(brokers.iter().map(|broker| cluster.engine.kill(&broker.container, "SIGKILL"))).await?;
    let mut findings = Findings::default();
    for ((broker, before), killed) in brokers.iter().zip(before).zip(killed) {
        let after = cluster.engine.ended(&broker.container, DEATH_LIMIT).await?;
        let refuses = Wire::connect(&broker.address(HARNESS_PORT), Duration::from_secs(1)).await.is_err();
        let id = broker.id;
        let (holds, sentence) = if !before.running || !killed {
            (false, format!("broker {id} was not running when it should have been killed"))
        } else if after.exit_code != KILLED {
            (false, format!("broker {id} ended with exit code {} instead of {KILLED}", after.exit_code))
        } else if !refuses {
            (false, format!("broker {id}'s process is gone, yet its port answers"))
        } else {
            (true, format!("broker {id}: process {} gone by SIGKILL (exit code 137), port refuses", before.pid))
        };
        let evidence = json!({
            "was_running": before.running, "pid": before.pid, "exit_code": after.exit_code, "port_refuses": refuses,
        });
        findings.add(id, holds, sentence, evidence);
    }
    Ok(findings.proof())
}

/// Starts those that do not run. Also the way back from a restart that was interrupted.
pub(in crate::fault) async fn heal(cluster: &Cluster, brokers: &[i32]) -> Result<Proof> {
    let mut findings = Findings::default();
    for (id, outcome) in join_all(brokers.iter().map(async |&id| (id, start(cluster, id).await))).await {
        let started = outcome?;
        let sentence = match &started.ended {
            None => format!("broker {id} runs, started {}", started.at),
            Some(end) => format!("broker {id} does not stay up: {end}"),
        };
        findings.add(id, started.ended.is_none(), sentence, started.evidence());
    }
    Ok(findings.proof())
}

/// What became of a broker that was to run.
pub(in crate::fault) struct Started {
    /// When its process was started last, RFC 3339.
    pub at: String,
    /// How it ended, if it did not stay up.
    pub ended: Option<End>,
}

impl Started {
    /// What a proof keeps of it.
    pub fn evidence(&self) -> Value {
        json!({
            "running": self.ended.is_none(), "started_at": self.at,
            "exit_code": self.ended.as_ref().map(|end| end.exit_code),
            "last_error": self.ended.as_ref().and_then(|end| end.last_error.as_ref()),
        })
    }
}

/// The end of a broker that should run.
#[derive(Debug)]
pub(in crate::fault) struct End {
    exit_code: i64,
    /// The last line of its log that tells of an error.
    last_error: Option<String>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.exit_code)?;
        match &self.last_error {
            Some(line) => write!(f, ", its log says last: {line}"),
            None => f.write_str(", and its log tells of no error"),
        }
    }
}

/// Starts a broker if need be, until its port accepts or its process ends.
pub(in crate::fault) async fn start(cluster: &Cluster, id: i32) -> Result<Started> {
    let broker = cluster.broker(id)?;
    let since = jiff::Timestamp::now().as_second();
    cluster.engine.start(&broker.container).await?;
    let accepts = async {
        loop {
            let state = cluster.engine.state(&broker.container).await?;
            let port = Wire::connect(&broker.address(HARNESS_PORT), Duration::from_millis(200)).await;
            if !state.running || port.is_ok() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // A broker that takes longer is still coming up; that it comes back at all is recovery's question.
    if let Ok(outcome) = tokio::time::timeout(START_LIMIT, accepts).await {
        outcome?;
    }
    let state = cluster.engine.state(&broker.container).await?;
    let ended = if state.running {
        None
    } else {
        let log = cluster.engine.log_since(&broker.container, since).await?;
        Some(End { exit_code: state.exit_code, last_error: last_error(&log) })
    };
    Ok(Started { at: state.started_at, ended })
}

/// The last line that Kafka calls an error with the exception below it, or else the last exception.
fn last_error(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let last = |words: &[&str]| lines.iter().rposition(|line| words.iter().any(|word| line.contains(word)));
    let at = last(&[" ERROR ", " FATAL "]).or_else(|| last(&["Exception", "Error"]))?;
    let exception = lines.get(at + 1).filter(|line| line.contains("Exception: ") || line.contains("Error: "));
    let words: Vec<&str> = lines.get(at).into_iter().chain(exception).map(|line| line.trim()).collect();
    Some(words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::last_error;

    #[test]
    fn the_last_error_of_a_log_is_told_with_its_exception() {
        let log = "[t] INFO a\n[t] ERROR one (x)\n[t] ERROR two (x)\njava.io.IOException: why\n\tat y\n[t] INFO b\n";
        assert_eq!(last_error(log).as_deref(), Some("[t] ERROR two (x): java.io.IOException: why"));
        assert_eq!(last_error("[t] ERROR one (x)\n[t] INFO b\n").as_deref(), Some("[t] ERROR one (x)"));
        assert_eq!(last_error("java.io.IOException: why\n\tat y\n").as_deref(), Some("java.io.IOException: why"));
        assert_eq!(last_error("[t] INFO a\n"), None);
    }
}
