//! Three containers on a network of their own, as the brokers' holders are.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lossproof::cluster::shell::NetShell;
use lossproof::fault::net::{Action, Direction, Effect, End, Scope};

use crate::brokers::engine::Engine;

const LABEL: &str = "lossproof-net-dev=1";
const IMAGE: &str = "lossproof/sidecar:1";
/// What says how a namespace is: everything that a network effect can add, and its traces.
const STATE: &str = "tc qdisc show; tc filter show dev eth0; tc filter show dev eth0 parent ffff: 2>/dev/null; ip link show; \
     iptables -t mangle -S | grep -e -N -e -A; pgrep -x delay-packets; cat /proc/net/netfilter/nfnetlink_queue || true";

/// Nodes 1, 2 and 3, removed when this is dropped.
pub struct Bed {
    pub engine: Engine,
    prefix: String,
    pub shells: HashMap<i32, NetShell>,
    before: BTreeMap<i32, String>,
}

impl Bed {
    pub async fn make() -> Self {
        let engine = Engine::exclusive();
        remove_all(&engine);
        let prefix = (200..208)
            .map(|third| format!("172.30.{third}"))
            .find(|prefix| {
                let subnet = format!("{prefix}.0/24");
                engine.try_docker(&["network", "create", "--label", LABEL, "--subnet", &subnet, &name(0)]).is_ok()
            })
            .expect("none of the subnets 172.30.200.0 to 172.30.207.0 is free");
        let mut bed = Self { engine, prefix, shells: HashMap::new(), before: BTreeMap::new() };
        let started: Vec<_> = (1..=3)
            .map(|node| {
                let (name, network, ip) = (name(node), name(0), bed.ip(node).to_string());
                // As compose/three-brokers.yaml makes them.
                let options = ["run", "--detach", "--init", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN"];
                let own = ["--label", LABEL, "--name", &name, "--network", &network, "--ip", &ip];
                let all = [&options[..], &own, &[IMAGE, "sleep", "infinity"]].concat();
                std::process::Command::new("docker").args(all).stdout(std::process::Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut started in started {
            assert!(started.wait().unwrap().success(), "a container did not start");
        }
        for node in 1..=3 {
            bed.before.insert(node, bed.state(node));
            bed.shells.insert(node, bed.open_shell(node).await);
        }
        bed
    }

    pub async fn open_shell(&self, node: i32) -> NetShell {
        let engine = lossproof::cluster::engine::Engine::connect().await.unwrap();
        let shell = NetShell::open(&engine, &name(node)).await.unwrap();
        // It runs once it has answered.
        shell.run(":").await.unwrap();
        shell
    }

    pub fn ip(&self, node: i32) -> Ipv4Addr {
        format!("{}.{}", self.prefix, 10 + node).parse().unwrap()
    }

    pub fn container(&self, node: i32) -> String {
        name(node)
    }

    pub fn bash(&self, node: i32, line: &str) -> String {
        self.engine.docker(&["exec", &name(node), "bash", "-c", line])
    }

    /// How a node's network namespace is.
    pub fn state(&self, node: i32) -> String {
        self.bash(node, STATE)
    }

    pub fn assert_as_before(&self) {
        for (&node, before) in &self.before {
            assert_eq!(self.state(node), *before, "node {node}");
        }
    }

    /// Waits until all is as before, for what happens by itself.
    pub fn wait_until_as_before(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.before.iter().any(|(&node, before)| self.state(node) != *before) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.assert_as_before();
    }

    /// Whether a TCP connection from a node is answered, by acceptance or refusal.
    pub fn answers(&self, from: i32, to: i32, port: u16) -> bool {
        let path = format!("/dev/tcp/{}/{port}", self.ip(to));
        let line = format!("timeout 0.4 bash -c '<{path}' 2>/dev/null; [ $? -ne 124 ] && echo yes || true");
        self.bash(from, &line) == "yes"
    }

    /// The same from this host, which the nodes see as a client behind the bridge.
    pub fn answers_client(&self, to: i32, port: u16) -> bool {
        let address = (self.ip(to), port).into();
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(400)) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        }
    }

    pub fn scope(&self, direction: Direction, peers: &[i32], ports: &[u16]) -> Scope {
        let peers = peers.iter().map(|&peer| self.ip(peer).into()).collect();
        Scope { direction, peers, except: vec![], ports: ports.to_vec(), end: End::Either }
    }

    /// The clients of all nodes.
    pub fn clients(&self, direction: Direction, ports: &[u16]) -> Scope {
        Scope {
            direction,
            peers: vec![format!("{}.0/24", self.prefix).parse().unwrap()],
            except: (1..=3).map(|node| self.ip(node).into()).collect(),
            ports: ports.to_vec(),
            end: End::Own,
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        remove_all(&self.engine);
    }
}

/// One effect at one node.
pub fn at(node: i32, action: Action, scope: Scope) -> BTreeMap<i32, Effect> {
    BTreeMap::from([(node, Effect { action, scopes: vec![scope] })])
}

fn name(node: i32) -> String {
    format!("lossproof-net-test-{node}")
}

fn remove_all(engine: &Engine) {
    let filter = format!("label={LABEL}");
    for (list, remove) in
        [(&["ps", "--all", "--quiet"][..], &["rm", "--force"][..]), (&["network", "ls", "--quiet"], &["network", "rm"])]
    {
        let ids = engine.docker(&[list, &["--filter", &filter]].concat());
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            engine.try_docker(&[remove, &ids].concat()).ok();
        }
    }
}
