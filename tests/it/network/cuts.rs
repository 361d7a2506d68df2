//! Cuts: how fast and how completely they take effect, which way, and what they leave alone.

use std::collections::BTreeMap;
use std::time::Duration;

use lossproof::fault::net::{Action, Direction, Effect, Network};

use super::bed::{Bed, at};
use super::flow::{Flow, now};

const CUT: u16 = 9094;
const BESIDE: u16 = 9095;
const TOGGLES: usize = 20;

/// When it was called and when it returned, on the flow's clock, and whether the cut was on from then.
struct Step {
    called: u64,
    returned: u64,
    on: bool,
}

#[tokio::test]
async fn a_cut_takes_effect_at_once_and_for_itself_alone() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2, 3], true).await.unwrap();
    let targets = [(2, CUT), (2, BESIDE), (3, CUT)];
    let flow = Flow::start(&bed, 1, &targets, 2500, 60);
    tokio::time::sleep(Duration::from_millis(200)).await;

    let mut steps: Vec<Step> = Vec::new();
    let mut step = async |what: &str, on: bool| {
        let called = now();
        match what {
            "put" => {
                let effect = at(1, Action::Cut, bed.scope(Direction::To, &[2], &[CUT]));
                network.put(&bed.shells, 7, &effect, true).await.unwrap();
            }
            "take off" => network.take_off(&bed.shells, 7).await.unwrap(),
            _ => network.switch(&bed.shells, 7, on).await.unwrap(),
        }
        steps.push(Step { called, returned: now(), on });
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    for _ in 0..TOGGLES / 2 {
        step("put", true).await;
        step("take off", false).await;
    }
    step("put", true).await;
    for _ in 0..TOGGLES {
        step("switch", false).await;
        step("switch", true).await;
    }
    let dropped = network.counters(&bed.shells, 7).await.unwrap()[&1].dropped;
    network.take_off(&bed.shells, 7).await.unwrap();
    assert_eq!(network.standing(&bed.shells, 1).await.unwrap().rules, 0);
    let arrivals = flow.end();
    network.clear(&bed.shells, &[1, 2, 3]).await.unwrap();

    arrivals.assert_whole(2, BESIDE);
    arrivals.assert_whole(3, CUT);
    let over = arrivals.at(2, CUT);
    assert!(over.len() < usize::try_from(arrivals.count).unwrap());
    let (mut delays, mut last) = ([Vec::new(), Vec::new()], Vec::new());
    for (number, step) in steps.iter().enumerate() {
        let until = steps.get(number + 1).map_or(u64::MAX, |next| next.called);
        let during = |sent: u64| (step.returned..until).contains(&sent);
        if step.on {
            let leaked: Vec<_> = over.iter().filter(|packet| during(packet.sent) && until < u64::MAX).collect();
            assert!(leaked.is_empty(), "sent after the call had returned, and arrived: {leaked:?}");
            delays[usize::from(number >= TOGGLES)].push(step.returned - step.called);
            let sent = over.iter().map(|packet| packet.sent).filter(|sent| (step.called..step.returned).contains(sent));
            last.push(sent.max().map_or(0, |sent| sent - step.called));
        } else {
            let numbers: Vec<u64> = over.iter().filter(|packet| during(packet.sent)).map(|p| p.number).collect();
            assert!(numbers.len() > 10, "{} packets came through while nothing stood", numbers.len());
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "lost while nothing stood: {numbers:?}");
        }
    }
    assert!(dropped > 20 * TOGGLES as u64, "the switched cut counted {dropped} drops");
    for (what, delays) in ["put on", "switched on"].iter().zip(&mut delays) {
        delays.sort_unstable();
        println!("{what}, us from call to return: {delays:?}");
        // Other work on a small machine may slow down some of them, but not each.
        assert!(delays[0] < 5000, "a cut {what} took {delays:?} us");
    }
    last.sort_unstable();
    println!("us from call to the sending of the last packet that arrived: {last:?}");
    bed.assert_as_before();
}

#[tokio::test]
async fn a_cut_holds_its_direction() {
    let bed = Bed::make().await;
    let network = Network::default();
    for (direction, out, back) in
        [(Direction::To, false, true), (Direction::From, true, false), (Direction::Both, false, false)]
    {
        let effect = at(1, Action::Cut, bed.scope(direction, &[2], &[CUT]));
        network.put(&bed.shells, 0, &effect, true).await.unwrap();
        let there = Flow::start(&bed, 1, &[(2, CUT), (2, BESIDE)], 100, 60);
        let home = Flow::start(&bed, 2, &[(1, CUT), (1, BESIDE)], 100, 60);
        let (there, home) = (there.end(), home.end());
        assert_eq!(there.at(2, CUT).len(), if out { 100 } else { 0 }, "{direction:?}");
        assert_eq!(home.at(1, CUT).len(), if back { 100 } else { 0 }, "{direction:?}");
        there.assert_whole(2, BESIDE);
        home.assert_whole(1, BESIDE);
        let counters = network.counters(&bed.shells, 0).await.unwrap()[&1];
        let stopped = if out || back { 100 } else { 200 };
        assert_eq!((counters.dropped, counters.passed), (stopped, 0), "{direction:?}");
        network.take_off(&bed.shells, 0).await.unwrap();
        bed.assert_as_before();
    }
}

#[tokio::test]
async fn clients_are_everybody_who_is_no_broker() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, Action::Cut, bed.clients(Direction::Both, &[9092]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    assert!(!bed.answers_client(1, 9092));
    assert!(bed.answers_client(1, BESIDE), "another port");
    assert!(bed.answers_client(2, 9092), "another broker");
    assert!(bed.answers(2, 1, 9092), "a broker is no client");
    assert!(network.counters(&bed.shells, 0).await.unwrap()[&1].dropped > 0);
    network.take_off(&bed.shells, 0).await.unwrap();
    assert!(bed.answers_client(1, 9092));
    bed.assert_as_before();
}

/// A cut that nothing meets is not taken for one that bites.
#[tokio::test]
async fn a_cut_where_nothing_passes_drops_nothing() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, Action::Cut, bed.scope(Direction::Both, &[2], &[CUT]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, BESIDE), (3, CUT)], 100, 60).end();
    flow.assert_whole(2, BESIDE);
    flow.assert_whole(3, CUT);
    assert_eq!(network.counters(&bed.shells, 0).await.unwrap()[&1].matched(), 0);
    let standing = network.standing(&bed.shells, 1).await.unwrap();
    assert_eq!((standing.rules, standing.dropped), (2, 0), "on the way out and on the way in");
    assert_eq!(network.standing(&bed.shells, 2).await.unwrap().rules, 0);
}

/// While one cut stands, others come and go, a loss too: not a packet leaks, and the count goes on.
#[tokio::test]
async fn an_effect_is_not_disturbed_by_others() {
    let bed = Bed::make().await;
    let network = Network::default();
    network.prepare(&bed.shells, &[1, 2], true).await.unwrap();
    let cut = at(1, Action::Cut, bed.scope(Direction::To, &[2], &[CUT]));
    network.put(&bed.shells, 0, &cut, true).await.unwrap();
    let flow = Flow::start(&bed, 1, &[(2, CUT), (2, BESIDE), (3, 9092)], 1500, 60);
    let mut last = 0;
    for round in 0..10 {
        let both = Effect { action: Action::Cut, scopes: vec![bed.scope(Direction::Both, &[3], &[CUT])] };
        network.put(&bed.shells, 1, &BTreeMap::from([(1, both.clone()), (2, both)]), true).await.unwrap();
        let loss = at(1, Action::Loss { per_cent: 100.0 }, bed.scope(Direction::To, &[2], &[CUT]));
        network.put(&bed.shells, 2, &loss, true).await.unwrap();
        network.switch(&bed.shells, 1, false).await.unwrap();
        network.take_off(&bed.shells, 1).await.unwrap();
        network.take_off(&bed.shells, 2).await.unwrap();
        let dropped = network.counters(&bed.shells, 0).await.unwrap()[&1].dropped;
        assert!(dropped >= last && (round < 9 || dropped > 0), "{dropped} drops after {last}");
        last = dropped;
    }
    let flow = flow.end();
    flow.assert_whole(2, BESIDE);
    flow.assert_whole(3, 9092);
    assert_eq!(flow.at(2, CUT).len(), 0);
    assert_eq!(network.counters(&bed.shells, 0).await.unwrap()[&1].dropped, flow.count);
    network.clear(&bed.shells, &[1, 2]).await.unwrap();
    bed.assert_as_before();
}
