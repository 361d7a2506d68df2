//! Probes by lossproof itself, from a broker's network namespace or from this host.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::{Ground, Node};
use crate::fault::net::Namespaces;

/// Between containers on one host an answer takes less than a millisecond.
const ANSWER_LIMIT: Duration = Duration::from_millis(400);
/// Three, as the kernel of a busy host may lose one.
const DATAGRAMS: u32 = 3;
/// How long a datagram may take.
const FLIGHT_LIMIT: Duration = Duration::from_millis(300);
/// Slow, but not without an answer.
const SLOW_LIMIT: Duration = Duration::from_secs(130);

/// Which of these addresses answer a TCP connection from a broker's namespace, by acceptance or refusal: both show
/// that packets pass both ways.
pub(super) async fn answered<N: Namespaces>(namespaces: &N, from: i32, addresses: &[String]) -> Result<Vec<String>> {
    let limit = ANSWER_LIMIT.as_secs_f64();
    let probes: Vec<String> = addresses
        .iter()
        .map(|address| {
            let path = address.replace(':', "/");
            format!("{{ timeout {limit} bash -c '</dev/tcp/{path}' 2>/dev/null; [ $? -ne 124 ] && echo {address}; }} &")
        })
        .collect();
    // All at the same time, each a process of its own. In a shell of its own, as one waits for all that it started.
    let printed = namespaces.run(from, &format!("({} wait)", probes.join(" "))).await?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// Whether an address answers a TCP connection from this host, which brokers see as a client.
pub(super) async fn answers_host(address: &str) -> bool {
    tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(address)).await.is_ok()
}

/// Whether packets pass from one broker's namespace to a port of another, one way: UDP datagrams, for which nobody
/// there waits, and which the kernel counts as such.
pub(super) async fn passes<N: Namespaces>(ground: &Ground<'_, N>, from: Node, to: Node, port: u16) -> Result<bool> {
    let before = unawaited(ground, to).await?;
    let path = format!("/dev/udp/{}/{port}", to.ip);
    let line = format!("for n in $(seq {DATAGRAMS}); do {{ echo probe >{path}; }} 2>/dev/null; done; true");
    ground.namespaces.run(from.id, &line).await?;
    let deadline = Instant::now() + FLIGHT_LIMIT;
    loop {
        if unawaited(ground, to).await? > before {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// UDP datagrams that came to ports on which nobody listened (`NoPorts` of `/proc/net/snmp`).
async fn unawaited<N: Namespaces>(ground: &Ground<'_, N>, node: Node) -> Result<u64> {
    let table = ground.namespaces.run(node.id, "grep ^Udp: /proc/net/snmp").await?;
    let mut rows = table.lines().map(|line| line.split_whitespace());
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else {
        anyhow::bail!("no UDP counters: {}", table.trim());
    };
    let value = names.zip(values).find_map(|(name, value)| (name == "NoPorts").then(|| value.parse().ok()));
    value.flatten().with_context(|| format!("no count of unawaited datagrams: {}", table.trim()))
}

/// How long a TCP connection to an address takes from a broker's namespace; none if it is not answered.
pub(super) async fn round_trip<N: Namespaces>(namespaces: &N, from: i32, address: &str) -> Result<Option<Duration>> {
    let path = address.replace(':', "/");
    let line = format!(
        "timeout {} bash -c 'a=$EPOCHREALTIME; {{ : <>/dev/tcp/{path}; }} 2>/dev/null; b=$EPOCHREALTIME; \
         echo $((${{b//[.,]/}} - ${{a//[.,]/}}))' || true",
        SLOW_LIMIT.as_secs()
    );
    let printed = namespaces.run(from, &line).await?;
    Ok(printed.trim().parse().ok().map(Duration::from_micros))
}

/// The same from this host.
pub(super) async fn round_trip_host(address: &str) -> Option<Duration> {
    let began = Instant::now();
    let answered = tokio::time::timeout(SLOW_LIMIT, TcpStream::connect(address)).await.is_ok();
    answered.then(|| began.elapsed())
}
