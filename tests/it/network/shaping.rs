//! Loss and bandwidth: that they do what they say, in numbers, and only where they say it.

use std::time::Duration;

use lossproof::fault::net::{Action, Direction, Network};

use super::bed::{Bed, at};
use super::flow::Flow;

const HIT: u16 = 9094;
const BESIDE: u16 = 9095;

#[tokio::test]
async fn a_loss_loses_its_share_and_counts_it() {
    let bed = Bed::make().await;
    let network = Network::default();
    for direction in [Direction::To, Direction::From] {
        // At the sender, or at the receiver.
        let (node, peer) = if direction == Direction::To { (1, 2) } else { (2, 1) };
        let effect = at(node, Action::Loss { per_cent: 20.0 }, bed.scope(direction, &[peer], &[HIT]));
        network.put(&bed.shells, 3, &effect, true).await.unwrap();
        let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT)], 2000, 60).end();
        flow.assert_whole(2, BESIDE);
        flow.assert_whole(3, HIT);
        let arrived = flow.at(2, HIT).len() as u64;
        // Five standard deviations around 400.
        assert!((2000 - 490..=2000 - 310).contains(&arrived), "{arrived} of 2000 arrived, {direction:?}");
        let counters = network.counters(&bed.shells, 3).await.unwrap()[&node];
        assert_eq!((counters.dropped, counters.passed), (2000 - arrived, arrived), "{direction:?}");
        network.take_off(&bed.shells, 3).await.unwrap();
        bed.assert_as_before();
    }
}

/// A TCP sender is not told of a loss, so that it repeats as on a bad line: after its own time.
#[tokio::test]
async fn a_total_loss_stops_tcp() {
    let bed = Bed::make().await;
    let network = Network::default();
    assert!(bed.answers(1, 2, HIT));
    let effect = at(1, Action::Loss { per_cent: 100.0 }, bed.scope(Direction::To, &[2], &[HIT]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    assert!(!bed.answers(1, 2, HIT));
    assert!(bed.answers(1, 2, BESIDE) && bed.answers(1, 3, HIT));
    assert!(network.counters(&bed.shells, 0).await.unwrap()[&1].dropped > 0);
}

#[tokio::test]
async fn a_loss_that_nothing_meets_is_none() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, Action::Loss { per_cent: 100.0 }, bed.scope(Direction::To, &[2], &[HIT]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    Flow::start(&bed, 1, &[(2, BESIDE), (3, HIT)], 100, 60).end().assert_whole(3, HIT);
    assert_eq!(network.counters(&bed.shells, 0).await.unwrap()[&1].matched(), 0);
}

#[tokio::test]
async fn a_bandwidth_holds_back_to_its_rate() {
    let bed = Bed::make().await;
    let network = Network::default();
    // 8 Mbit/s of payload into 2 Mbit/s, whose queue of 256 KiB is full after a third of a second.
    let effect = at(1, Action::Bandwidth { bits_per_second: 2_000_000 }, bed.scope(Direction::To, &[2], &[HIT]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT)], 2000, 1000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meanwhile = network.counters(&bed.shells, 0).await.unwrap()[&1];
    let flow = flow.end();
    flow.assert_whole(2, BESIDE);
    flow.assert_whole(3, HIT);
    assert!(meanwhile.queued > 0 && meanwhile.dropped > 0, "{meanwhile:?}");
    let arrived = flow.at(2, HIT);
    let (first, last) = (arrived.first().unwrap(), arrived.last().unwrap());
    // With the headers of Ethernet, IP and UDP.
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let rate = (arrived.len() - 1) as f64 * 1042.0 * 8.0 / (last.arrived - first.arrived) as f64;
    assert!((1.8..2.2).contains(&rate), "{rate} Mbit/s");
    // Those that wait are dropped with their queue.
    network.take_off(&bed.shells, 0).await.unwrap();
    bed.assert_as_before();
}

#[tokio::test]
async fn a_bandwidth_above_the_demand_holds_nothing_back() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, Action::Bandwidth { bits_per_second: 1_000_000_000 }, bed.scope(Direction::To, &[2], &[HIT]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, HIT)], 500, 1000);
    let flow = flow.end();
    flow.assert_whole(2, HIT);
    let counters = network.counters(&bed.shells, 0).await.unwrap()[&1];
    assert_eq!((counters.passed, counters.dropped, counters.queued), (500, 0, 0));
}

/// Two that meet: the packets of both go through both, and each counts them.
#[tokio::test]
async fn effects_that_overlap_work_together() {
    let bed = Bed::make().await;
    let network = Network::default();
    let bandwidth = at(1, Action::Bandwidth { bits_per_second: 2_000_000 }, bed.scope(Direction::To, &[2], &[]));
    let loss = at(1, Action::Loss { per_cent: 50.0 }, bed.scope(Direction::To, &[2, 3], &[HIT]));
    network.put(&bed.shells, 0, &bandwidth, true).await.unwrap();
    network.put(&bed.shells, 1, &loss, true).await.unwrap();
    // 60 + 42 bytes a millisecond are under the rate.
    let flow = Flow::start(&bed, 1, &[(2, HIT), (2, BESIDE), (3, HIT), (3, BESIDE)], 1000, 60).end();
    flow.assert_whole(2, BESIDE);
    flow.assert_whole(3, BESIDE);
    let arrived = [flow.at(2, HIT).len() as u64, flow.at(3, HIT).len() as u64];
    assert!(arrived.iter().all(|arrived| (420..=580).contains(arrived)), "{arrived:?} of 1000");
    let slow = network.counters(&bed.shells, 0).await.unwrap()[&1];
    let lossy = network.counters(&bed.shells, 1).await.unwrap()[&1];
    assert_eq!((lossy.dropped, lossy.passed), (2000 - arrived[0] - arrived[1], arrived[0] + arrived[1]));
    // ARP is no IP, so that nothing else is counted.
    assert_eq!((slow.dropped, slow.passed), (0, 1000 + arrived[0]));
    network.clear(&bed.shells, &[1]).await.unwrap();
    bed.assert_as_before();
}
