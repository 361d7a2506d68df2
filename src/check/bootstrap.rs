//! The rule on the brokers that a client asks first.

use std::collections::BTreeSet;

use super::cluster::{Broker, Cluster};
use super::finding::Finding;
use super::rule::Rule;

/// One of the addresses that a client begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it is written, `host:port`.
    pub name: String,
    /// What it resolves to here, `ip:port`; empty if it does not.
    pub resolved: Vec<String>,
}

/// The finding that all of them are one broker, of several. Of an address that is no broker's own nothing is known: a load
/// balancer may stand behind it.
pub fn examine(cluster: &Cluster, list: &[Address]) -> Option<Finding> {
    let mut brokers = BTreeSet::new();
    for address in list {
        let named = cluster.brokers.iter().find(|broker| broker.address.eq_ignore_ascii_case(&address.name));
        if let Some(broker) = named {
            brokers.insert(broker.id);
            continue;
        }
        for resolved in &address.resolved {
            let is_of = |broker: &&Broker| broker.resolved.contains(resolved);
            brokers.insert(cluster.brokers.iter().find(is_of)?.id);
        }
    }
    let [one] = Vec::from_iter(&brokers)[..] else { return None };
    (cluster.brokers.len() > 1).then(|| {
        let names: Vec<&str> = list.iter().map(|address| address.name.as_str()).collect();
        let what = match names.as_slice() {
            [name] => format!("a single bootstrap broker: {name} is broker {one}"),
            names => format!("all bootstrap addresses are of broker {one}: {}", names.join(", ")),
        };
        let all = cluster.brokers.iter().take(3).map(|broker| broker.address.as_str()).collect::<Vec<_>>().join(",");
        Finding::new(Rule::SingleBootstrap, what).change("bootstrap.servers", Some(names.join(",")), all)
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::cluster::samples::cluster;
    use super::*;

    fn address(name: &str, resolved: &[&str]) -> Address {
        Address { name: name.to_owned(), resolved: resolved.iter().map(|ip| (*ip).to_owned()).collect() }
    }

    #[test_case(&[("b1.example:9092", &[])] => true; "one name")]
    #[test_case(&[("B1.example:9092", &[]), ("10.0.0.1:9092", &["10.0.0.1:9092"])] => true; "its name and its address")]
    #[test_case(&[("b1.example:9092", &[]), ("b2.example:9092", &[])] => false; "two brokers")]
    #[test_case(&[("kafka:9092", &["10.0.0.1:9092", "10.0.0.2:9092"])] => false; "a name of two")]
    #[test_case(&[("lb:9092", &["10.9.9.9:9092"])] => false; "a load balancer, maybe")]
    #[test_case(&[("b1.example:9092", &[]), ("lb:9092", &["10.9.9.9:9092"])] => false; "one and a load balancer")]
    #[test_case(&[("b1.example:9092", &[]), ("mistyped:9092", &[])] => true; "what is not there helps nobody")]
    #[test_case(&[] => false; "none")]
    fn all_of_one_broker(list: &[(&str, &[&str])]) -> bool {
        let list: Vec<Address> = list.iter().map(|(name, resolved)| address(name, resolved)).collect();
        examine(&cluster(&[]), &list).is_some()
    }

    #[test]
    fn of_one_broker_there_is_no_second_to_name() {
        let mut one = cluster(&[]);
        one.brokers.truncate(1);
        assert_eq!(examine(&one, &[address("b1.example:9092", &[])]), None);
    }
}
