//! Whether this machine can do what the faults of experiments need, found before anything of a run is started.

use std::collections::BTreeMap;

use anyhow::Result;

use super::stop::Stop;
use super::trial::{Trial, on_trial};
use crate::cluster::disks::{Backing, SIDECAR_IMAGE};
use crate::cluster::engine::Engine;
use crate::exit::EnvironmentProblem;
use crate::experiment::{Experiment, Place};
use crate::fault::needs::{Requirement, needs};

/// Something special that faults need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What.
    pub requirement: Requirement,
    /// The faults that need it.
    pub faults: Vec<Needy>,
}

/// A fault that needs something special.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needy {
    /// Where it stands.
    pub place: Place,
    /// Its kind.
    pub kind: &'static str,
}

/// Whether something is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was made to work.
    There,
    /// It is not, and what was said.
    Missing(String),
}

/// What experiments need that only some machines have; nothing, for most.
#[must_use]
pub fn demands<'a>(experiments: impl IntoIterator<Item = &'a Experiment>) -> Vec<Demand> {
    let mut all: BTreeMap<Requirement, Vec<Needy>> = BTreeMap::new();
    for fault in experiments.into_iter().flat_map(|experiment| &experiment.faults) {
        for requirement in needs(&fault.kind).into_iter().filter(|requirement| requirement.is_special()) {
            let needy = Needy { place: fault.place.clone(), kind: fault.kind.name() };
            let known = all.entry(requirement).or_default();
            // One that is repeated stands in the file once.
            if !known.contains(&needy) {
                known.push(needy);
            }
        }
    }
    all.into_iter().map(|(requirement, faults)| Demand { requirement, faults }).collect()
}

/// Tries out what is demanded, in a container that is removed again. In the order of the demands.
///
/// # Errors
/// When it can't be tried, or somebody asked for the end meanwhile.
pub async fn look(engine: &Engine, stop: &Stop, demands: &[Demand]) -> Result<Vec<Answer>> {
    let (answers, _) = on_trial(engine, stop, SIDECAR_IMAGE, async |trial| answers(trial, demands).await).await?;
    Ok(answers)
}

async fn answers(trial: &Trial<'_>, demands: &[Demand]) -> Result<Vec<Answer>> {
    let is_of_packets = |demand: &Demand| matches!(demand.requirement, Requirement::Packets(_));
    let packets = if demands.iter().any(is_of_packets) { Some(trial.packets().await?) } else { None };
    let mut answers = Vec::new();
    for demand in demands {
        answers.push(match demand.requirement {
            Requirement::Packets(need) => {
                let found = packets.iter().flat_map(|packets| &packets.all).find(|found| found.need == need);
                match found {
                    Some(found) if found.there => Answer::There,
                    found => Answer::Missing(found.map(|found| found.said.clone()).unwrap_or_default()),
                }
            }
            Requirement::DiskLimits => trial.disk_limits().await,
            Requirement::LoopDevices => match trial.disks().await? {
                Backing::Loop => Answer::There,
                Backing::Tmpfs => Answer::Missing("none to be had: disks would be in memory (tmpfs)".to_owned()),
            },
        });
    }
    Ok(answers)
}

/// Refuses experiments whose faults need what this machine lacks.
///
/// # Errors
/// An `EnvironmentProblem` that names the faults; or when it can't be tried.
pub async fn check(engine: &Engine, stop: &Stop, experiments: impl IntoIterator<Item = &Experiment>) -> Result<()> {
    let demands = demands(experiments);
    // Without the image nothing starts, which the start itself tells.
    if demands.is_empty() || !engine.has_image(SIDECAR_IMAGE).await? {
        return Ok(());
    }
    let answers = look(engine, stop, &demands).await?;
    refusal(&demands, &answers).map_or(Ok(()), |problem| Err(problem.into()))
}

fn refusal(demands: &[Demand], answers: &[Answer]) -> Option<EnvironmentProblem> {
    let mut what = Vec::new();
    let mut how = Vec::new();
    for (Demand { requirement, faults }, answer) in demands.iter().zip(answers) {
        if let Answer::Missing(said) = answer {
            let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
            let faults: Vec<String> =
                faults.iter().map(|Needy { place, kind }| format!("{}:{} ({kind})", place.file, place.line)).collect();
            what.push(format!("this machine lacks {requirement}{said}, needed by {}", faults.join(", ")));
            how.push(requirement.how());
        }
    }
    let hint = format!("{}; `lossproof doctor` tells all that is missing here", how.join("; "));
    (!what.is_empty()).then(|| EnvironmentProblem::new(what.join("\n"), hint))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Demand, Needy, demands, refusal};
    use crate::experiment::{self, Place};
    use crate::fault::needs::Requirement;
    use crate::fault::net::Need;

    fn demanded(faults: &str) -> Vec<Demand> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.yaml");
        let head = "name: own\nworkload: { rate: 1/s, payload: 1KiB }\nprofiles: { resilient: {} }\nfaults:\n";
        std::fs::write(&file, format!("{head}{faults}")).unwrap();
        demands(&experiment::load(&[file]).unwrap())
    }

    const ORDINARY: &str = "  - { at: 0s, for: 1s, kill: { target: all } }\n  - { at: 2s, for: 1s, partition: { isolate: \
                            controller, from: brokers } }\n";

    #[test]
    fn only_what_is_special_is_looked_for() {
        assert_eq!(demanded(ORDINARY), []);
        let special = "  - { at: 4s, for: 1s, power_loss: { target: all } }\n  - { at: 6s, for: 1s, partition: { isolate: \
                       controller, from: clients } }\n  - { at: 8s, for: 1s, power_loss: { target: { broker: 1 } } }\n";
        let demands = demanded(&format!("{ORDINARY}{special}"));
        let found: Vec<_> = demands
            .iter()
            .map(|demand| {
                (demand.requirement, demand.faults.iter().map(|n| (n.place.line, n.kind)).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            found,
            [
                (Requirement::Packets(Need::Ingress), vec![(8, "partition")]),
                (Requirement::LoopDevices, vec![(7, "power_loss"), (9, "power_loss")]),
            ]
        );
    }

    #[test]
    fn a_refusal_names_the_faults_and_the_remedy() {
        let place = Place { file: "own.yaml".to_owned(), line: 7, column: 1 };
        let demand = |requirement| Demand { requirement, faults: vec![Needy { place: place.clone(), kind: "some" }] };
        let demands = [demand(Requirement::LoopDevices), demand(Requirement::Packets(Need::Delay))];
        assert!(refusal(&demands, &[Answer::There, Answer::There]).is_none());
        let problem = refusal(&demands, &[Answer::There, Answer::Missing("unknown qdisc".to_owned())]).unwrap();
        assert_eq!(
            problem.what,
            "this machine lacks delays (netem or nfqueue) (unknown qdisc), needed by own.yaml:7 (some)"
        );
        assert!(problem.hint.contains("modprobe") && problem.hint.contains("sch_netem"), "{}", problem.hint);
    }
}
