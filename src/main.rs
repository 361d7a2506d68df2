//! lossproof: chaos testing for Apache Kafka that accounts for every message.

mod cluster;
mod exit;
mod experiment;
mod fault;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("debug,hyper=info,bollard=info").init();
    let engine = cluster::engine::Engine::connect().await?;
    let session = cluster::session::Session::begin()?;
    let t = std::time::Instant::now();
    let spec =
        experiment::ClusterSpec { definition: "three-brokers".into(), broker_config: vec![], disk_bytes: 1 << 30 };
    let c = cluster::Cluster::start(engine, "apache/kafka:3.9.2", &spec, session).await?;
    println!("up {:?} boot {:?} {:?}", t.elapsed(), c.boot, c.backing);
    println!("{:?}", c.in_namespace(1, "tc qdisc show dev eth0").await);
    println!("{:?}", c.is_as_new().await);
    println!("{:?}", c.free_bytes(1).await);
    println!(
        "{}",
        std::process::Command::new("sh")
            .arg("-c")
            .arg("cat /sys/block/loop*/loop/backing_file; losetup -a")
            .output()
            .map(|o| String::from_utf8_lossy(&o.stdout).to_string())?
    );
    let t = std::time::Instant::now();
    let left = c.tear_down().await?;
    println!("down {:?} {left:?}", t.elapsed());
    Ok(())
}
