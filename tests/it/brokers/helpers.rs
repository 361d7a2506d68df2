//! Helper containers of faults and of their healing, which go by one name.

use std::time::Duration;

use lossproof::cluster::disks::run_helper;
use lossproof::cluster::engine::Engine as Connected;
use testcontainers::bollard::models::HostConfig;

use super::engine::Engine;

#[tokio::test]
async fn what_an_interrupted_call_left_gives_way_to_the_next() {
    let docker = Engine::exclusive();
    let engine = Connected::connect().await.unwrap();
    let session = format!("test-helpers-{}", std::process::id());
    let name = format!("lossproof-{session}-hand");
    let host = || HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() };
    let id = || docker.docker(&["inspect", "--format", "{{.Id}}", &name]);

    run_helper(&engine, &session, &name, host()).await.unwrap();
    let mut last = id();
    // Dropped at any moment, also while the engine makes the container.
    for millis in [1, 10, 40, 160, 640] {
        tokio::time::timeout(Duration::from_millis(millis), run_helper(&engine, &session, &name, host())).await.ok();
        run_helper(&engine, &session, &name, host()).await.unwrap();
        assert_ne!(last, id(), "after {millis} ms it is another one");
        last = id();
        assert_eq!(docker.docker(&["exec", &name, "echo", "here"]).trim(), "here");
    }
    docker.docker(&["rm", "--force", &name]);
}
