//! How long a cluster takes from `up` to ready, against plain `docker compose up` with the same files,
//! volumes and readiness check; and how long it takes to go. Pairs in turn, so that a machine whose
//! speed drifts does not decide; needs a Docker engine (`make setup`).
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use lossproof::cluster::engine::Engine;
use lossproof::cluster::session::{Session, Subnet, forget};
use lossproof::cluster::start::{compose_files, environment};
use lossproof::cluster::{Cluster, disks, readiness, sweep};
use lossproof::experiment::{ClusterSpec, HARNESS_PORT};

const PAIRS: usize = 5;
const IDS: [i32; 3] = [1, 2, 3];

#[tokio::main]
async fn main() {
    let image = std::env::var("KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:3.9.2".to_owned());
    let spec = ClusterSpec { definition: "three-brokers".to_owned(), broker_config: Vec::new(), disk_bytes: 1 << 30 };
    let engine = Engine::connect().await.unwrap();
    let mut ratios = Vec::new();
    for pair in 1..=PAIRS {
        let plain = plain_compose(&engine, &image, &spec).await;
        let session = Session::begin().unwrap();
        let cluster = Cluster::start(engine.clone(), &image, &spec, session).await.unwrap();
        let boot = cluster.boot;
        let started = Instant::now();
        assert!(cluster.tear_down().await.unwrap().is_empty());
        let ratio = boot.as_secs_f64() / plain.as_secs_f64();
        println!(
            "pair {pair}: lossproof {boot:.1?}, plain compose {plain:.1?}, ratio {ratio:.2}; tear-down {:.1?}",
            started.elapsed()
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio: min {:.2}, median {:.2}, max {:.2}", ratios[0], ratios[PAIRS / 2], ratios[PAIRS - 1]);
}

async fn plain_compose(engine: &Engine, image: &str, spec: &ClusterSpec) -> Duration {
    let session = Session::begin().unwrap();
    disks::create(engine, &session.id, &IDS, spec.disk_bytes).await.unwrap();
    let subnet = Subnet::reserve(engine).await.unwrap();
    let mut compose = Command::new("docker");
    compose.args(["compose", "--project-name", &session.project()]);
    for file in compose_files(&session, spec).unwrap() {
        compose.arg("-f").arg(file);
    }
    compose.args(["up", "--detach", "--quiet-pull"]).envs(environment(&session, &subnet, image));
    let started = Instant::now();
    assert!(compose.output().unwrap().status.success());
    let addresses: Vec<_> =
        IDS.iter().map(|id| (*id, format!("{}.{}:{HARNESS_PORT}", subnet.prefix, 10 + id))).collect();
    readiness::ready(&addresses, Duration::from_secs(90)).await.unwrap();
    let boot = started.elapsed();
    assert!(sweep::sweep(engine, &session.id).await.unwrap().is_empty());
    forget(&session.id);
    boot
}
