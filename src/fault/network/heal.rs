//! The way back from every network fault: its rules are taken off, and those of others stay.

use anyhow::Result;
use lossproof_ledger::event::Proof;
use serde_json::json;

use super::Ground;
use crate::fault::Findings;
use crate::fault::net::Namespaces;

/// Takes the rules of fault number `index` off these brokers and returns what stands there afterwards.
///
/// # Errors
/// When it can't be seen what stands there.
pub async fn heal<N: Namespaces>(ground: &Ground<'_, N>, index: usize, brokers: &[i32]) -> Result<Proof> {
    let Ground { namespaces, network, .. } = *ground;
    // Unreadable counters tell nothing; then what stands must become less.
    let counters = network.counters(namespaces, index).await.ok();
    let mut before = Vec::new();
    for &id in brokers {
        before.push(network.standing(namespaces, id).await);
    }
    if let Err(error) = network.take_off(namespaces, index).await {
        tracing::warn!("network rules: {error:#}");
    }
    let mut findings = Findings::default();
    for (&id, before) in brokers.iter().zip(before) {
        let after = network.standing(namespaces, id).await?;
        let counted = counters.as_ref().map(|counters| counters.get(&id).copied());
        let gone =
            after.rules == 0 || counted == Some(None) || before.as_ref().is_ok_and(|before| after.rules < before.rules);
        let others =
            if gone && after.rules > 0 { format!(", {} of other faults stay", after.rules) } else { String::new() };
        let sentence = match (gone, counted.flatten()) {
            (true, Some(counters)) => format!(
                "broker {id}: rule removed after {} packets, {} of them dropped{others}",
                counters.matched(),
                counters.dropped
            ),
            (true, None) => format!("broker {id}: no rule was there{others}"),
            (false, _) => format!("broker {id}: {} rules are still there", after.rules),
        };
        findings.add(id, gone, sentence, json!({ "rules": after.rules, "counted": counted.flatten() }));
    }
    Ok(findings.proof())
}
