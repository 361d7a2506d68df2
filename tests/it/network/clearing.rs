//! Afterwards everything is as before, whichever way it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use lossproof::fault::net::{Action, Direction, Effect, Network};

use super::bed::{Bed, at};

/// A cut, a loss and a bandwidth, both ways, on node 1.
async fn put_all(bed: &Bed, network: &Network) {
    let actions = [Action::Cut, Action::Loss { per_cent: 1.0 }, Action::Bandwidth { bits_per_second: 1_000_000 }];
    for (id, action) in actions.into_iter().enumerate() {
        let effect = at(1, action, bed.scope(Direction::Both, &[2, 3], &[9094]));
        network.put(&bed.shells, id, &effect, true).await.unwrap();
    }
    assert!(network.standing(&bed.shells, 1).await.unwrap().rules > 0);
}

#[tokio::test]
async fn all_is_as_before_after_clearing_and_after_the_last_one() {
    let bed = Bed::make().await;
    let network = Network::default();
    put_all(&bed, &network).await;
    for id in [1, 0, 2] {
        network.take_off(&bed.shells, id).await.unwrap();
    }
    bed.assert_as_before();
    put_all(&bed, &network).await;
    // By one who has not put them on, and again where nothing is.
    for _ in 0..2 {
        Network::default().clear(&bed.shells, &[1, 2]).await.unwrap();
        bed.assert_as_before();
    }
}

/// What another one left is removed before the first effect.
#[tokio::test]
async fn leftovers_are_removed_first() {
    let bed = Bed::make().await;
    put_all(&bed, &Network::default()).await;
    let network = Network::default();
    let effect = at(1, Action::Cut, bed.scope(Direction::To, &[2], &[9094]));
    network.put(&bed.shells, 9, &effect, true).await.unwrap();
    assert_eq!(network.standing(&bed.shells, 1).await.unwrap().rules, 1);
    assert!(bed.answers(1, 3, 9094) && !bed.answers(1, 2, 9094));
    network.take_off(&bed.shells, 9).await.unwrap();
    bed.assert_as_before();
}

/// Counters that are gone are no counters of 0.
#[tokio::test]
async fn an_effect_that_something_else_removed_is_not_taken_for_one_that_stands() {
    let bed = Bed::make().await;
    let network = Network::default();
    let effect = at(1, Action::Cut, bed.scope(Direction::To, &[2], &[9094]));
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    bed.bash(1, "tc qdisc del dev eth0 root");
    assert!(network.counters(&bed.shells, 0).await.is_err());
    assert!(network.switch(&bed.shells, 0, false).await.is_err());
    // It goes on from there.
    network.take_off(&bed.shells, 0).await.unwrap();
    network.put(&bed.shells, 0, &effect, true).await.unwrap();
    assert!(!bed.answers(1, 2, 9094));
    network.take_off(&bed.shells, 0).await.unwrap();
    bed.assert_as_before();
}

/// The shell's input ends when lossproof dies.
#[tokio::test(flavor = "multi_thread")]
async fn the_dead_man_s_switch_removes_everything() {
    let mut bed = Bed::make().await;
    put_all(&bed, &Network::default()).await;
    bed.shells.clear();
    bed.wait_until_as_before(Duration::from_secs(5));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let bed = Bed::make().await;
    let network = Network::default();
    let nobody = Effect { action: Action::Cut, scopes: vec![] };
    let somebody = Effect { action: Action::Cut, scopes: vec![bed.scope(Direction::To, &[2], &[])] };
    let both = BTreeMap::from([(1, somebody.clone()), (2, nobody)]);
    assert!(network.put(&bed.shells, 0, &both, true).await.is_err());
    bed.assert_as_before();
    let one = BTreeMap::from([(1, somebody)]);
    network.put(&bed.shells, 0, &one, true).await.unwrap();
    assert!(network.put(&bed.shells, 0, &one, true).await.is_err(), "its id is taken");
    assert!(network.switch(&bed.shells, 1, true).await.is_err(), "there is no such effect");
    assert!(!bed.answers(1, 2, 9094), "the first one stands");
}
