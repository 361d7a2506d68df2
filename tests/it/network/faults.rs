//! Faults of packets as an experiment names them: proven where they bite, not proven where they can't, and gone when
//! healed. Between bare containers that knock at each other's ports, as brokers would.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lossproof::experiment::{Cut, NetworkFault, Path, Peers, Ports, Selector, Shape, Way};
use lossproof::fault::Target;
use lossproof::fault::net::{Need, Network, probe};
use lossproof::fault::network::{Ground, Node, heal, inject};
use lossproof_ledger::event::Proof;

use super::bed::Bed;

const REPLICATION: u16 = 9094;
const CLIENT: u16 = 9092;
/// Longer than any of these tests takes.
const LONGEST_S: u32 = 180;

/// Connections all the time from each node to each other one, and from this host, to these ports; a packet of each
/// every 20 ms or so. Nobody listens there: the refusal comes back the same way.
struct Knocking(Vec<Child>);

impl Knocking {
    fn start(bed: &Bed, ports: &[u16]) -> Self {
        let knock = |addresses: Vec<String>| {
            let each: Vec<String> =
                addresses.iter().map(|a| format!("{{ timeout 0.2 bash -c '</dev/tcp/{a}'; }} 2>/dev/null")).collect();
            // Each by itself, so that one that is not answered holds up no other; and not for ever, should the test be
            // killed.
            let knock = |one: &String| format!("(while [ $SECONDS -lt {LONGEST_S} ]; do {one}; sleep 0.02; done) &");
            let loops: Vec<String> = each.iter().map(knock).collect();
            format!("{} wait", loops.join(" "))
        };
        let to = |nodes: Vec<i32>| -> Vec<String> {
            nodes.iter().flat_map(|&node| ports.iter().map(move |port| format!("{}/{port}", bed.ip(node)))).collect()
        };
        let spawn = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut knocking: Vec<Child> = (1..=3)
            .map(|node| {
                let line = knock(to((1..=3).filter(|other| *other != node).collect()));
                spawn(Command::new("docker").args(["exec", &bed.container(node), "bash", "-c", &line]))
            })
            .collect();
        // In a group of its own, to end all of it.
        use std::os::unix::process::CommandExt;
        knocking.push(spawn(Command::new("bash").args(["-c", &knock(to(vec![1, 2, 3]))]).process_group(0)));
        Self(knocking)
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status().ok();
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn ports(numbers: &[u16]) -> Ports {
    Ports { numbers: numbers.to_vec(), listeners: vec![] }
}

fn cut(shape: Shape, port: u16) -> NetworkFault {
    NetworkFault::Partition(Cut { shape, ports: ports(&[port]) })
}

fn isolate(from: Peers, way: Way, port: u16) -> NetworkFault {
    cut(Shape::Isolate { isolate: Selector::Broker(1), from, way }, port)
}

fn path(peers: Peers, way: Way, port: u16) -> Path {
    Path { target: Selector::Broker(1), peers, way, ports: ports(&[port]) }
}

fn target(brokers: &[i32], peers: &[i32]) -> Target {
    Target { brokers: brokers.to_vec(), peers: peers.to_vec(), same_for_all: true, ..Target::default() }
}

/// Puts a fault on and takes it off again; both proofs.
async fn hit(bed: &Bed, network: &Network, fault: &NetworkFault, target: &Target) -> (Proof, Proof) {
    let ground = ground(bed, network);
    let proof = inject(&ground, 3, fault, target, &|_| {}).await.unwrap();
    let healed = heal(&ground, 3, &[1, 2, 3]).await.unwrap();
    (proof, healed)
}

fn ground<'a>(bed: &'a Bed, network: &'a Network) -> Ground<'a, impl lossproof::fault::net::Namespaces + use<>> {
    let nodes = (1..=3).map(|id| Node { id, ip: bed.ip(id) }).collect();
    Ground { nodes, namespaces: &bed.shells, network }
}

#[tokio::test]
async fn cuts_of_every_shape_bite_and_heal() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2, 3], true).await.unwrap();
    let _knocking = Knocking::start(&bed, &[REPLICATION, CLIENT]);
    let shapes = [
        (isolate(Peers::Brokers, Way::Both, REPLICATION), target(&[1], &[2, 3]), "cut off from brokers 2, 3 on"),
        (isolate(Peers::These(Selector::Broker(2)), Way::Out, REPLICATION), target(&[1], &[2]), "from broker 2 on"),
        (isolate(Peers::Brokers, Way::In, REPLICATION), target(&[1], &[2, 3]), "from brokers 2, 3 on"),
        (isolate(Peers::Brokers, Way::Both, REPLICATION), target(&[1, 2], &[3]), "from broker 3 on"),
        (isolate(Peers::Clients, Way::Both, CLIENT), target(&[1], &[]), "from clients on"),
        (isolate(Peers::Clients, Way::Out, CLIENT), target(&[1], &[]), "from clients on"),
        (isolate(Peers::All, Way::In, CLIENT), target(&[1], &[2, 3]), "from brokers 2, 3 and clients on"),
        (cut(Shape::Bridge(Selector::Broker(2)), REPLICATION), target(&[1, 3], &[1, 3]), "from broker 3 on"),
        (cut(Shape::Ring(Selector::All), REPLICATION), target(&[1, 2, 3], &[1, 2, 3]), "from brokers 3, 2 on"),
    ];
    for (fault, target, says) in shapes {
        let (proof, healed) = hit(&bed, &network, &fault, &target).await;
        assert!(proof.holds && proof.summary.contains(says), "{fault}: {}", proof.summary);
        assert!(healed.holds, "{fault}: {}", healed.summary);
        for node in 1..=3 {
            assert_eq!(network.standing(&bed.shells, node).await.unwrap().rules, 0, "{fault}: node {node}");
        }
    }
    network.clear(&bed.shells, &[1, 2, 3]).await.unwrap();
    bed.assert_as_before();
}

#[tokio::test]
async fn what_does_not_bite_is_not_proven() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2, 3], true).await.unwrap();

    let alone = isolate(Peers::Brokers, Way::Both, REPLICATION);
    let (proof, _) = hit(&bed, &network, &alone, &target(&[1, 2, 3], &[])).await;
    assert!(!proof.holds && proof.summary.contains("nobody to be cut off from"), "{}", proof.summary);

    // No traffic on those ports.
    let (proof, _) = hit(&bed, &network, &alone, &target(&[1], &[2, 3])).await;
    assert!(!proof.holds && proof.summary.contains("not one packet met the cut"), "{}", proof.summary);
    let loss = NetworkFault::Loss { path: path(Peers::Brokers, Way::Both, REPLICATION), per_cent: 50.0 };
    let (proof, _) = hit(&bed, &network, &loss, &target(&[1], &[2, 3])).await;
    assert!(!proof.holds && proof.summary.contains("not one packet went that way"), "{}", proof.summary);
    let flap = NetworkFault::Flap {
        cut: Cut {
            shape: Shape::Isolate { isolate: Selector::Broker(1), from: Peers::Brokers, way: Way::Both },
            ports: ports(&[REPLICATION]),
        },
        times: 2,
        down: Duration::from_millis(100),
        up: Duration::from_millis(50),
    };
    let (proof, healed) = hit(&bed, &network, &flap, &target(&[1], &[2, 3])).await;
    assert!(!proof.holds && proof.summary.contains("in 2 of 2 turns not one packet"), "{}", proof.summary);
    assert!(healed.holds, "{}", healed.summary);

    let _knocking = Knocking::start(&bed, &[REPLICATION]);
    let rare = NetworkFault::Loss { path: path(Peers::Brokers, Way::Both, REPLICATION), per_cent: 1e-5 };
    let (proof, _) = hit(&bed, &network, &rare, &target(&[1], &[2, 3])).await;
    assert!(!proof.holds && proof.summary.contains("not one was lost"), "{}", proof.summary);
    let wide =
        NetworkFault::Bandwidth { path: path(Peers::Brokers, Way::Both, REPLICATION), bits_per_second: 1_000_000_000 };
    let (proof, _) = hit(&bed, &network, &wide, &target(&[1], &[2, 3])).await;
    assert!(!proof.holds && proof.summary.contains("wider than the traffic"), "{}", proof.summary);

    // A cut that another effect keeps from biting where it should: the harness's listener is gone too.
    let everything = isolate(Peers::Brokers, Way::Both, 9095);
    let (proof, _) = {
        let knocking = Knocking::start(&bed, &[9095]);
        let found = hit(&bed, &network, &everything, &target(&[1], &[2, 3])).await;
        drop(knocking);
        found
    };
    assert!(!proof.holds && proof.summary.contains("more than it should"), "{}", proof.summary);
    network.clear(&bed.shells, &[1, 2, 3]).await.unwrap();
    bed.assert_as_before();
}

#[tokio::test]
async fn a_bad_network_is_proven_and_healed() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2, 3], true).await.unwrap();
    let _knocking = Knocking::start(&bed, &[REPLICATION, CLIENT]);
    let flapping = Cut {
        shape: Shape::Isolate { isolate: Selector::Broker(1), from: Peers::Brokers, way: Way::Both },
        ports: ports(&[REPLICATION]),
    };
    let faults = [
        (NetworkFault::Loss { path: path(Peers::All, Way::Both, CLIENT), per_cent: 30.0 }, "packets lost"),
        (NetworkFault::Loss { path: path(Peers::Brokers, Way::Out, REPLICATION), per_cent: 100.0 }, "packets lost"),
        (
            NetworkFault::Bandwidth { path: path(Peers::Brokers, Way::In, REPLICATION), bits_per_second: 1000 },
            "packets wait in line",
        ),
        (
            NetworkFault::Flap {
                cut: flapping,
                times: 3,
                down: Duration::from_millis(400),
                up: Duration::from_millis(300),
            },
            "3 times cut",
        ),
    ];
    for (fault, says) in faults {
        let (proof, healed) = hit(&bed, &network, &fault, &target(&[1], &[2, 3])).await;
        assert!(proof.holds && proof.summary.contains(says), "{fault}: {}", proof.summary);
        assert!(healed.holds, "{fault}: {}", healed.summary);
    }
    network.clear(&bed.shells, &[1, 2, 3]).await.unwrap();
    bed.assert_as_before();
}

fn latency(peers: Peers, way: Way, delay_ms: u64, jitter_ms: u64) -> NetworkFault {
    let (delay, jitter) = (Duration::from_millis(delay_ms), Duration::from_millis(jitter_ms));
    NetworkFault::Latency { path: path(peers, way, CLIENT), delay, jitter }
}

/// Whether a node can do it.
async fn has_delays(bed: &Bed) -> bool {
    probe(|line| async move { bed.shells[&1].run(&line).await }).await.unwrap().has(Need::Delay)
}

#[tokio::test]
async fn a_latency_is_proven_and_healed_or_refused() {
    let bed = Bed::make().await;
    let network = Network::default();
    let shapes = [
        (latency(Peers::All, Way::Both, 60, 10), target(&[1], &[2, 3]), "a client"),
        (latency(Peers::Brokers, Way::Out, 100, 0), target(&[1, 2], &[3]), "broker 3"),
        (latency(Peers::These(Selector::Broker(2)), Way::In, 80, 40), target(&[1], &[2]), "broker 2"),
        // The least of it is nothing.
        (latency(Peers::Clients, Way::Both, 50, 50), target(&[1], &[]), "a client"),
    ];
    if !has_delays(&bed).await {
        // Refused as a whole: nothing of it stands.
        assert!(inject(&ground(&bed, &network), 3, &shapes[0].0, &shapes[0].1, &|_| {}).await.is_err());
        assert!(heal(&ground(&bed, &network), 3, &[1, 2, 3]).await.unwrap().holds);
        bed.assert_as_before();
        return;
    }
    for (fault, target, whom) in shapes {
        let (proof, healed) = hit(&bed, &network, &fault, &target).await;
        assert!(proof.holds && proof.summary.contains("longer"), "{fault}: {}", proof.summary);
        assert!(proof.summary.contains(whom), "{fault}: {}", proof.summary);
        assert!(healed.holds && healed.summary.contains("rule removed after"), "{fault}: {}", healed.summary);
        bed.assert_as_before();
    }
}

/// It stands, and does nothing: another one's rule comes before it, or nobody holds the packets.
#[tokio::test]
async fn a_latency_that_does_not_delay_is_not_proven() {
    let bed = Bed::make().await;
    let network = Network::default();
    if !has_delays(&bed).await {
        return;
    }
    let fault = latency(Peers::These(Selector::Broker(2)), Way::Both, 300, 50);
    // As soon as it stands.
    let spoil = "until iptables -t mangle -S OUTPUT | grep -q lossproof || tc qdisc | grep -q netem; do sleep 0.01; done; \
                 pkill -KILL -x delay-packets || tc qdisc del dev eth0 root";
    let mut spoiling = Command::new("docker").args(["exec", &bed.container(1), "bash", "-c", spoil]).spawn().unwrap();
    let (proof, healed) = hit(&bed, &network, &fault, &target(&[1], &[2])).await;
    assert!(spoiling.wait().unwrap().success());
    assert!(!proof.holds && proof.summary.contains("do not take"), "{}", proof.summary);
    assert!(healed.holds, "{}", healed.summary);
    bed.assert_as_before();

    // One at the same time that hits the harness's listener.
    let beside = NetworkFault::Latency {
        path: path(Peers::Clients, Way::Both, 9095),
        delay: Duration::from_millis(200),
        jitter: Duration::ZERO,
    };
    let (proof, healed) = hit(&bed, &network, &beside, &target(&[1], &[])).await;
    assert!(!proof.holds && proof.summary.contains("slow too"), "{}", proof.summary);
    assert!(healed.holds, "{}", healed.summary);
    let nobody = latency(Peers::Brokers, Way::Both, 10, 0);
    let (proof, _) = hit(&bed, &network, &nobody, &target(&[1], &[])).await;
    assert!(!proof.holds && proof.summary.contains("nobody at the other end"), "{}", proof.summary);
    bed.assert_as_before();
}

#[tokio::test]
async fn faults_at_the_same_time_are_proven_each_by_itself() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2, 3], false).await.unwrap();
    let _knocking = Knocking::start(&bed, &[REPLICATION]);
    let ground = ground(&bed, &network);
    let first = isolate(Peers::These(Selector::Broker(2)), Way::Both, REPLICATION);
    let second = isolate(Peers::These(Selector::Broker(3)), Way::Both, REPLICATION);
    for (index, fault, peer) in [(0, &first, 2), (1, &second, 3)] {
        let proof = inject(&ground, index, fault, &target(&[1], &[peer]), &|_| {}).await.unwrap();
        assert!(proof.holds, "{}", proof.summary);
    }
    let healed = heal(&ground, 0, &[1, 2, 3]).await.unwrap();
    assert!(healed.holds && healed.summary.contains("of other faults stay"), "{}", healed.summary);
    assert!(bed.answers(1, 2, REPLICATION) && !bed.answers(1, 3, REPLICATION));
    assert!(heal(&ground, 1, &[1, 2, 3]).await.unwrap().holds);
    network.clear(&bed.shells, &[1, 2, 3]).await.unwrap();
    bed.assert_as_before();
}
