//! Latency, where the kernel can; and where it can't, that this is known and disturbs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use lossproof::fault::net::{Action, Capabilities, Direction, Effect, Need, Network, missing, probe};

use super::bed::{Bed, at};
use super::flow::{Arrivals, Flow};

const HIT: u16 = 9094;
const BESIDE: u16 = 9095;
const LATENCY: Action = Action::Latency { delay: Duration::from_millis(100), jitter: Duration::from_millis(20) };

async fn capabilities(bed: &Bed) -> Capabilities {
    probe(|line| async move { bed.shells[&1].run(&line).await }).await.unwrap()
}

/// Whether packets are held back by rules of their own, as the kernel has no netem.
fn is_held(bed: &Bed) -> bool {
    bed.state(1).contains("lossproof-out")
}

/// How long the packets from one number on took to a node's port, in milliseconds.
fn delays(flow: &Arrivals, node: i32, port: u16, from: u64) -> Vec<u64> {
    let late = flow.at(node, port).iter().filter(|packet| packet.number >= from);
    late.map(|packet| (packet.arrived - packet.sent) / 1000).collect()
}

fn assert_all_in(delays: &[u64], range: std::ops::Range<u64>) {
    assert!(!delays.is_empty() && delays.iter().all(|delay| range.contains(delay)), "not in {range:?}: {delays:?}");
}

#[tokio::test]
async fn a_latency_delays_or_is_refused_without_a_trace() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, LATENCY, bed.scope(Direction::To, &[2], &[HIT]));
    // It must not be touched by the other one's failure.
    let cut = at(1, Action::Cut, bed.scope(Direction::To, &[3], &[HIT]));
    network.put(&bed.shells, 0, &cut, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT)], 800, 60);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let put = network.put(&bed.shells, 1, &effect, true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = flow.count - 100;
    let meanwhile = network.counters(&bed.shells, 1).await.unwrap();
    let flow = flow.end();
    flow.assert_whole(2, BESIDE);
    assert_eq!(flow.at(3, HIT).len(), 0, "the cut leaked");
    assert_eq!(network.counters(&bed.shells, 0).await.unwrap()[&1].dropped, flow.count);

    // Its trial touches nothing that stands.
    let lacking = missing(&effect[&1], &capabilities(&bed).await);
    if lacking.is_empty() {
        put.unwrap();
        assert!(meanwhile[&1].queued > 0, "{meanwhile:?}");
        let after = network.counters(&bed.shells, 1).await.unwrap()[&1];
        assert_eq!((after.queued, after.dropped), (0, 0), "{after:?}");
        assert!(after.passed > 300 && after.passed_bytes > 300 * 60, "{after:?}");
        let delayed = delays(&flow, 2, HIT, last);
        assert_all_in(&delayed, 80..200);
        // It is spread.
        assert!(delayed.iter().any(|delay| *delay < 95) && delayed.iter().any(|delay| *delay > 105), "{delayed:?}");
        assert_all_in(&delays(&flow, 2, BESIDE, 0), 0..60);
    } else {
        assert_eq!(lacking, [Need::Delay]);
        put.unwrap_err();
        assert_eq!(meanwhile, BTreeMap::new());
        flow.assert_whole(2, HIT);
    }
    network.take_off(&bed.shells, 1).await.unwrap();
    network.take_off(&bed.shells, 0).await.unwrap();
    bed.assert_as_before();
}

/// Each way, where two meet, and together with a loss and a bandwidth.
#[tokio::test]
async fn latencies_add_up_with_each_other_and_go_with_all_else() {
    let bed = Bed::make().await;
    let network = Network::default();
    let steady = |ms| Action::Latency { delay: Duration::from_millis(ms), jitter: Duration::ZERO };
    let out = at(1, steady(50), bed.scope(Direction::To, &[2, 3], &[]));
    let within = at(2, steady(100), bed.scope(Direction::Both, &[1], &[HIT]));
    let both = at(1, steady(70), bed.scope(Direction::Both, &[2], &[HIT, 1, 2, 3]));
    let loss = at(1, Action::Loss { per_cent: 50.0 }, bed.scope(Direction::To, &[3], &[HIT]));
    let wide = at(1, Action::Bandwidth { bits_per_second: 100_000_000 }, bed.scope(Direction::To, &[2, 3], &[]));
    if !missing(&within[&2], &capabilities(&bed).await).is_empty() {
        return;
    }
    for (id, effect) in [&out, &within, &both, &loss, &wide].into_iter().enumerate() {
        network.put(&bed.shells, id, effect, true).await.unwrap();
    }
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT), (3, BESIDE)], 500, 60).end();
    assert_all_in(&delays(&flow, 2, HIT, 0), 220..280);
    assert_all_in(&delays(&flow, 2, BESIDE, 0), 50..110);
    assert_all_in(&delays(&flow, 3, HIT, 0), 50..110);
    for (node, port) in [(2, HIT), (2, BESIDE), (3, BESIDE)] {
        flow.assert_whole(node, port);
    }
    let arrived = flow.at(3, HIT).len();
    assert!((180..320).contains(&arrived), "{arrived} of 500");
    for (id, node, matched) in [(0, 1, 2000), (1, 2, 500), (2, 1, 500), (3, 1, 500)] {
        let counted = network.counters(&bed.shells, id).await.unwrap()[&node];
        assert_eq!(counted.matched(), matched, "effect {id}: {counted:?}");
    }
    // Those that stay go on, and what is switched off does nothing.
    network.take_off(&bed.shells, 2).await.unwrap();
    network.switch(&bed.shells, 1, false).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE)], 100, 60).end();
    assert_all_in(&delays(&flow, 2, HIT, 0), 50..110);
    for id in [0, 1, 3, 4] {
        network.take_off(&bed.shells, id).await.unwrap();
    }
    bed.assert_as_before();
}

/// Packets that are held back when it ends go on, and those after them are not held.
#[tokio::test]
async fn what_is_held_back_is_let_go_in_the_end() {
    let bed = Bed::make().await;
    let network = Network::default();
    // Kept ready, so that no interface's root is changed.
    network.prepare(&bed.shells, &[1], false).await.unwrap();
    let long = Action::Latency { delay: Duration::from_secs(30), jitter: Duration::ZERO };
    let effect = at(1, long, bed.scope(Direction::To, &[2], &[HIT]));
    if !missing(&effect[&1], &capabilities(&bed).await).is_empty() {
        return;
    }
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    let held = is_held(&bed);
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE)], 1000, 60);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(network.counters(&bed.shells, 0).await.unwrap()[&1].queued > 100);
    network.take_off(&bed.shells, 0).await.unwrap();
    let flow = flow.end();
    let arrived = flow.at(2, HIT).len() as u64;
    if held {
        assert_eq!(arrived, flow.count);
    }
    assert!(arrived > 100 && flow.at(2, HIT).iter().any(|packet| packet.arrived - packet.sent < 60_000));
    flow.assert_whole(2, BESIDE);
    network.clear(&bed.shells, &[1]).await.unwrap();
    bed.assert_as_before();
}

/// The dead man's switches: of the program that holds packets, and of the shell.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_program_or_the_shell_packets_pass() {
    let mut bed = Bed::make().await;
    let network = Network::default();
    let long = Action::Latency { delay: Duration::from_secs(30), jitter: Duration::ZERO };
    let effect = at(1, long, bed.scope(Direction::Both, &[2], &[]));
    if !missing(&effect[&1], &capabilities(&bed).await).is_empty() {
        return;
    }
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    assert!(!bed.answers(1, 2, HIT) && bed.answers(1, 3, HIT));
    if is_held(&bed) {
        bed.bash(1, "pkill -KILL -x delay-packets");
        assert!(bed.answers(1, 2, HIT), "the kernel lets packets pass without it");
        assert!(bed.answers(2, 1, HIT));
        let error = format!("{:#}", network.counters(&bed.shells, 0).await.unwrap_err());
        assert!(error.contains("the program that holds packets back is gone"), "{error}");
        assert!(network.standing(&bed.shells, 1).await.unwrap().rules > 0);
        // It goes on from there.
        network.take_off(&bed.shells, 0).await.unwrap();
        bed.assert_as_before();
        network.put(&bed.shells, 0, &effect, true).await.unwrap();
        assert!(!bed.answers(1, 2, HIT));
    }
    bed.shells.clear();
    bed.wait_until_as_before(Duration::from_secs(5));
    assert!(bed.answers(1, 2, HIT));
}

/// A delay is not a limit: what TCP sends is not held up by what is on its way.
#[tokio::test]
async fn a_stream_keeps_its_width() {
    let bed = Bed::make().await;
    let network = Network::default();
    let short = Action::Latency { delay: Duration::from_millis(50), jitter: Duration::ZERO };
    let effect = at(1, short, bed.scope(Direction::To, &[2], &[HIT]));
    if !missing(&effect[&1], &capabilities(&bed).await).is_empty() {
        return;
    }
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    let megabytes = 8;
    let server = "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); bind($s, pack_sockaddr_in(9094, INADDR_ANY)) \
                  or die; listen($s, 1); print qq(ready\\n); $| = 1; accept(my $c, $s); my $all = 0; \
                  while (my $n = sysread $c, my $b, 1 << 20) { $all += $n } print $all;";
    let mut receiver = std::process::Command::new("docker")
        .args(["exec", &bed.container(2), "perl", "-e", &format!("$| = 1; {server}")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(receiver.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let began = std::time::Instant::now();
    bed.bash(1, &format!("head -c {megabytes}M /dev/zero >/dev/tcp/{}/{HIT}", bed.ip(2)));
    let output = receiver.wait_with_output().unwrap();
    assert_eq!(output.stdout, (megabytes << 20).to_string().as_bytes());
    // With two packets of TCP's at a time it would be minutes.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let counted = network.counters(&bed.shells, 0).await.unwrap()[&1];
    assert!(counted.passed_bytes >= megabytes << 20, "{counted:?}");
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
    let queue =
        "delay-packets 7 </dev/null && iptables -t mangle -A FORWARD -j NFQUEUE && iptables -t mangle -F FORWARD";
    let has_delays = there("tc qdisc add dev lo root netem delay 1ms") && found.has(Need::Ingress) || there(queue);
    assert_eq!(found.has(Need::Delay), has_delays);
    assert_eq!(found.has(Need::Htb), there("tc qdisc add dev lo root htb"));
    assert_eq!(found.has(Need::Blackhole), there("tc qdisc add dev lo root blackhole"));
    assert_eq!(found.has(Need::Ingress), there("ip link add ifb-by-hand type ifb && ip link del ifb-by-hand"));
    // What cuts need is everywhere that lossproof is tested.
    let cut = Effect { action: Action::Cut, scopes: vec![bed.scope(Direction::Both, &[2], &[])] };
    assert_eq!(missing(&cut, &found), []);
}
