//! The order of several experiments: as few clusters as can be.

use crate::experiment::{ClusterSpec, Experiment};

/// Puts experiments that need the same cluster behind one another; otherwise they stay in their order.
#[must_use]
pub fn by_cluster(experiments: Vec<Experiment>) -> Vec<Experiment> {
    let mut groups: Vec<(ClusterSpec, Vec<Experiment>)> = Vec::new();
    for experiment in experiments {
        match groups.iter_mut().find(|(spec, _)| *spec == experiment.cluster) {
            Some((_, group)) => group.push(experiment),
            None => groups.push((experiment.cluster.clone(), vec![experiment])),
        }
    }
    groups.into_iter().flat_map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::by_cluster;
    use crate::experiment;

    #[test]
    fn experiments_of_one_cluster_follow_one_another() {
        let folder = tempfile::tempdir().unwrap();
        for (name, cluster) in [
            ("a", ""),
            ("b", "cluster: { disk: 2GiB }\n"),
            ("c", ""),
            ("d", "cluster: { broker_config: { log.retention.ms: 1000 } }\n"),
            ("e", "cluster: { use: three-brokers, disk: 2GiB }\n"),
            ("f", "cluster: { use: three-brokers }\n"),
        ] {
            let text = format!(
                "name: {name}\n{cluster}workload: {{ rate: 1/s, payload: 1KiB }}\nprofiles: {{ baseline: {{ extends: baseline }} }}\n"
            );
            std::fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
        }
        let ordered = by_cluster(experiment::load(&[folder.path().to_owned()]).unwrap());
        let names: Vec<&str> = ordered.iter().map(|experiment| experiment.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "f", "b", "e", "d"]);
    }
}
