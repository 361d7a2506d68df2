//! `elect_leader`: an election on demand, as by `kafka-leader-election.sh`. A preferred one moves leadership back to
//! the first replica; an unclean one gives a partition that nobody leads to a replica that was not in sync, and what
//! that one lacks is lost.
//!
//! Proof: each broker that answers names the new leader, under a higher leader epoch; of an unclean election, that
//! the new leader was not in sync before. A controller that refuses (the preferred leader leads already, or is not in
//! sync; the partition has a leader) proves nothing. One operator forces an election for all that is offline: where at
//! least one profile's partition was so, the others, which have a leader, are told as such and take nothing from it.

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::{Seen, everywhere, name, names, partitions};
use crate::cluster::Cluster;
use crate::cluster::readiness::with_any;
use crate::cluster::wire::PartitionView;
use crate::experiment::Election;
use crate::fault::Findings;

pub(in crate::fault) async fn inject(
    cluster: &Cluster,
    topics: &[String],
    partition: i32,
    election: Election,
) -> Result<Proof> {
    let before = partitions(cluster, topics, partition).await?;
    let asked = names(&before);
    let outcome = with_any(&cluster.harness(), async |wire| wire.elect_leaders(election, &asked).await).await?;
    let refused = |state: &PartitionView| {
        let found = outcome.iter().find(|((topic, _), _)| *topic == state.topic);
        found.and_then(|(_, refusal)| refusal.clone())
    };
    let elected: Vec<PartitionView> = before.iter().filter(|state| refused(state).is_none()).cloned().collect();
    let seen = newly_led(cluster, &elected).await;
    // Whether it was done to anybody at all.
    let forced = election == Election::Unclean && !elected.is_empty();
    let mut findings = Findings::default();
    for state in &before {
        let after = seen.view.as_ref().and_then(|view| view.partition(&state.topic, partition));
        let (holds, sentence) = match (refused(state), after) {
            (Some(_), _) if forced && state.leader >= 0 => (true, format!("needed no election: {}", led(state))),
            (Some(refusal), _) => (false, format!("the election was refused: {refusal}; {}", led(state))),
            (None, Some(after)) => judge(election, state, after, &seen),
            (None, None) => (false, format!("no broker tells who leads{}", seen.words())),
        };
        let evidence = json!({
            "leader_before": state.leader, "epoch_before": state.leader_epoch, "in_sync_before": state.isr,
            "leader": after.map(|after| after.leader), "epoch": after.map(|after| after.leader_epoch),
            "refusal": refused(state), "seen_by": seen.by,
        });
        let name = name(&state.topic, partition);
        findings.note(name.clone(), holds, format!("{name}: {sentence}"), evidence);
    }
    Ok(findings.proof())
}

/// Whether an election that was granted is what it was meant to be.
fn judge(election: Election, before: &PartitionView, after: &PartitionView, seen: &Seen) -> (bool, String) {
    let (leader, epoch) = (after.leader, after.leader_epoch);
    if !seen.by_all() || leader < 0 || epoch <= before.leader_epoch {
        return (false, format!("broker {leader} leads in epoch {epoch}{}; {}", seen.words(), led(before)));
    }
    let what = match election {
        Election::Preferred if after.preferred() != Some(leader) => {
            return (false, format!("broker {leader} was elected, which is not the preferred leader; {}", led(before)));
        }
        Election::Unclean if before.isr.contains(&leader) => {
            return (false, format!("broker {leader} was elected, and was in sync: that was no unclean election"));
        }
        Election::Preferred => "the preferred leader".to_owned(),
        Election::Unclean => format!("not in sync ({:?} last were)", before.isr),
    };
    (true, format!("broker {leader}, {what}, was elected in epoch {epoch}{}; {}", seen.words(), led(before)))
}

/// Waits until each of these has a leader under a higher epoch.
pub(super) async fn newly_led(cluster: &Cluster, before: &[PartitionView]) -> Seen {
    everywhere(cluster, |view| {
        before.iter().find_map(|state| {
            let name = name(&state.topic, state.partition);
            match view.partition(&state.topic, state.partition) {
                None => Some(format!("no {name}")),
                Some(now) if now.leader < 0 || now.leader_epoch <= state.leader_epoch => {
                    Some(format!("leader {} of {name} in epoch {}", now.leader, now.leader_epoch))
                }
                Some(_) => None,
            }
        })
    })
    .await
}

/// Who led before.
fn led(state: &PartitionView) -> String {
    match state.leader {
        ..0 => format!("nobody led before, in epoch {}", state.leader_epoch),
        leader => format!("broker {leader} led before, in epoch {}", state.leader_epoch),
    }
}
