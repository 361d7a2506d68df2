//! Latency, where the kernel can; and where it can't, that this is known and disturbs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use lossproof::fault::net::{Action, Capabilities, Direction, Effect, Need, Network, missing, probe};

use super::bed::{Bed, at};
use super::flow::Flow;

const HIT: u16 = 9094;
const BESIDE: u16 = 9095;
const LATENCY: Action = Action::Latency { delay: Duration::from_millis(100), jitter: Duration::from_millis(20) };

async fn capabilities(bed: &Bed) -> Capabilities {
    probe(|line| async move { bed.shells[&1].run(&line).await }).await.unwrap()
}

#[tokio::test]
async fn a_latency_delays_or_is_refused_without_a_trace() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, LATENCY, bed.scope(Direction::To, &[2], &[HIT]));
    // It must not be touched by the other one's failure.
    let cut = at(1, Action::Cut, bed.scope(Direction::To, &[3], &[HIT]));
    network.put(&bed.shells, 0, &cut, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT)], 600, 60);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let put = network.put(&bed.shells, 1, &effect, true).await;
    let last = flow.count - 100;
    let counters = network.counters(&bed.shells, 1).await.unwrap();
    let flow = flow.end();
    flow.assert_whole(2, BESIDE);
    assert_eq!(flow.at(3, HIT).len(), 0, "the cut leaked");
    assert_eq!(network.counters(&bed.shells, 0).await.unwrap()[&1].dropped, flow.count);

    let lacking = missing(&effect[&1], &capabilities(&bed).await);
    if lacking.is_empty() {
        put.unwrap();
        assert!(counters[&1].queued > 0, "{counters:?}");
        for packet in flow.at(2, HIT).iter().filter(|packet| packet.number >= last) {
            let delay = packet.arrived - packet.sent;
            assert!((80_000..200_000).contains(&delay), "delayed by {delay} us");
        }
        for packet in flow.at(2, BESIDE) {
            assert!(packet.arrived - packet.sent < 60_000, "delayed beside it: {packet:?}");
        }
    } else {
        assert_eq!(lacking, [Need::Netem]);
        let error = format!("{:#}", put.unwrap_err());
        assert!(error.contains("qdisc kind is unknown"), "{error}");
        assert_eq!(counters, BTreeMap::new());
        flow.assert_whole(2, HIT);
    }
    network.take_off(&bed.shells, 1).await.unwrap();
    network.take_off(&bed.shells, 0).await.unwrap();
    bed.assert_as_before();
}

#[tokio::test]
async fn what_the_kernel_has_is_found_without_a_trace() {
    let bed = Bed::make().await;
    let found = capabilities(&bed).await;
    bed.assert_as_before();
    for capability in &found.all {
        println!("{}: {} {}", capability.need, capability.there, capability.said);
        assert_eq!(capability.there, capability.said.is_empty(), "{capability:?}");
    }
    // By hand, in a namespace where nothing else is.
    let there = |trial: &str| {
        let line =
            format!("({trial}) >/dev/null 2>&1 && echo yes || echo no; tc qdisc del dev lo root 2>/dev/null; true");
        bed.bash(3, &line) == "yes"
    };
    assert_eq!(found.has(Need::Netem), there("tc qdisc add dev lo root netem delay 1ms"));
    assert_eq!(found.has(Need::Htb), there("tc qdisc add dev lo root htb"));
    assert_eq!(found.has(Need::Blackhole), there("tc qdisc add dev lo root blackhole"));
    assert_eq!(found.has(Need::Ingress), there("ip link add ifb-by-hand type ifb && ip link del ifb-by-hand"));
    // What cuts need is everywhere that lossproof is tested.
    let cut = Effect { action: Action::Cut, scopes: vec![bed.scope(Direction::Both, &[2], &[])] };
    assert_eq!(missing(&cut, &found), []);
}
