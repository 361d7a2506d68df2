//! What is rendered, and what is read back.

use std::time::Duration;

use proptest::prelude::*;

use super::counters::{Counters, read, standing};
use super::delays::Delays;
use super::effect::{Action, Direction, Effect, End, Scope, Side};
use super::plan::Plan;

fn effect(action: Action, direction: Direction) -> Effect {
    let scope = Scope {
        direction,
        peers: vec!["172.30.1.12/32".parse().unwrap()],
        except: vec![],
        ports: vec![9094],
        end: End::Peer,
    };
    Effect { action, scopes: vec![scope] }
}

const LATENCY: Action = Action::Latency { delay: Duration::from_millis(100), jitter: Duration::from_millis(10) };
const BANDWIDTH: Action = Action::Bandwidth { bits_per_second: 1_000_000 };

fn plan(effects: &[(usize, Action, Direction)]) -> Plan {
    effects
        .iter()
        .fold(Plan::default(), |plan, &(id, action, direction)| plan.with(id, effect(action, direction), true).unwrap())
}

/// One command a line, programs left out.
fn shown(line: Option<String>) -> String {
    let line = line.unwrap();
    assert!(!line.contains('\n'), "one command is one line");
    let commands: Vec<String> = line
        .replace("\\n", "\n")
        .lines()
        .map(|line| match line.split_once("bytecode \"") {
            Some((before, rest)) => {
                let (_, after) = rest.split_once('"').unwrap();
                format!("{before}bytecode …{after}")
            }
            None => line.to_owned(),
        })
        .collect();
    commands.join("\n")
}

#[test]
fn a_cut_on_the_way_out() {
    let line = Plan::default().go_over_to(&plan(&[(0, Action::Cut, Direction::To)])).unwrap();
    insta::assert_snapshot!(line.unwrap().replace("\\n", "\n"), @r#"
    batch <<< $'qdisc add dev eth0 root handle 1: htb default 0
    class add dev eth0 parent 1:0 classid 1:1000 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:1000 handle 1000: blackhole
    filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode "32,0 0 0 0,2 0 0 0,0 0 0 65536,2 0 0 2,2 0 0 3,32 0 0 30,2 0 0 1,40 0 0 20,69 0 1 8191,5 0 0 11,48 0 0 23,21 0 1 6,5 0 0 3,21 0 1 17,5 0 0 1,5 0 0 5,177 0 0 14,72 0 0 14,2 0 0 2,72 0 0 16,2 0 0 3,96 0 0 1,84 0 0 4294967295,21 0 1 2887647500,5 0 0 1,5 0 0 3,96 0 0 3,21 0 1 9094,5 0 0 1,5 0 0 1,6 0 0 69632,6 0 0 0"'
    "#);
}

#[test]
fn a_cut_both_ways() {
    insta::assert_snapshot!(shown(Plan::default().go_over_to(&plan(&[(0, Action::Cut, Direction::Both)])).unwrap()), @r#"
    ip link add lossproof0 txqueuelen 1000 type ifb && ip link set lossproof0 up && renew_batch && batch <<< $'qdisc add dev eth0 root handle 1: htb default 0
    class add dev eth0 parent 1:0 classid 1:1000 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:1000 handle 1000: blackhole
    filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    qdisc add dev eth0 handle ffff: ingress
    qdisc add dev lossproof0 root handle 1: htb default 0
    class add dev lossproof0 parent 1:0 classid 1:1000 htb rate 100gbit quantum 60000
    qdisc add dev lossproof0 parent 1:1000 handle 1000: blackhole
    filter replace dev lossproof0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    filter replace dev eth0 parent ffff: protocol ip prio 1 handle 1 bpf bytecode … action mirred egress redirect dev lossproof0'
    "#);
}

#[test]
fn effects_that_overlap_have_a_lane_for_each_combination() {
    let all = [
        (0, Action::Loss { per_cent: 10.0 }, Direction::To),
        (1, LATENCY, Direction::To),
        (2, BANDWIDTH, Direction::To),
    ];
    insta::assert_snapshot!(shown(Plan::default().go_over_to(&plan(&all)).unwrap()), @r#"
    batch <<< $'qdisc add dev eth0 root handle 1: htb default 0
    class add dev eth0 parent 1:0 classid 1:12 htb rate 1000000bit ceil 1000000bit quantum 60000
    class add dev eth0 parent 1:0 classid 1:101 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:101 handle 101: pfifo limit 10000
    class add dev eth0 parent 1:0 classid 1:102 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:102 handle 102: netem limit 50000 delay 100000us 10000us
    class add dev eth0 parent 1:0 classid 1:103 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:103 handle 103: netem limit 50000 delay 100000us 10000us
    class add dev eth0 parent 1:12 classid 1:104 htb rate 15625bit ceil 1000000bit quantum 60000
    qdisc add dev eth0 parent 1:104 handle 104: bfifo limit 262144
    class add dev eth0 parent 1:12 classid 1:105 htb rate 15625bit ceil 1000000bit quantum 60000
    qdisc add dev eth0 parent 1:105 handle 105: bfifo limit 262144
    class add dev eth0 parent 1:12 classid 1:106 htb rate 15625bit ceil 1000000bit quantum 60000
    qdisc add dev eth0 parent 1:106 handle 106: netem limit 174 delay 100000us 10000us
    class add dev eth0 parent 1:12 classid 1:107 htb rate 15625bit ceil 1000000bit quantum 60000
    qdisc add dev eth0 parent 1:107 handle 107: netem limit 174 delay 100000us 10000us
    class add dev eth0 parent 1:0 classid 1:2000 htb rate 100gbit quantum 60000
    qdisc add dev eth0 parent 1:2000 handle 2000: blackhole
    filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …'
    "#);
}

#[test]
fn one_more_touches_nothing_that_stands() {
    let one = plan(&[(0, Action::Cut, Direction::To)]);
    let two = one.with(1, effect(BANDWIDTH, Direction::To), true).unwrap();
    insta::assert_snapshot!(shown(one.go_over_to(&two).unwrap()), @r#"
    batch <<< $'class add dev eth0 parent 1:0 classid 1:10 htb rate 1000000bit ceil 1000000bit quantum 60000
    class add dev eth0 parent 1:10 classid 1:101 htb rate 15625bit ceil 1000000bit quantum 60000
    qdisc add dev eth0 parent 1:101 handle 101: bfifo limit 262144
    filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …'
    "#);
    insta::assert_snapshot!(shown(two.go_over_to(&two.without(1)).unwrap()), @r#"
    batch <<< $'filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    class del dev eth0 classid 1:101
    class del dev eth0 classid 1:10'
    "#);
    insta::assert_snapshot!(two.go_back_to(&one).unwrap().split("bytecode").next().unwrap(), @r#"
    tc -force -b - <<< $'filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf
    "#);
}

#[test]
fn a_switch_changes_the_filter_alone() {
    let on = plan(&[(0, Action::Cut, Direction::Both), (1, BANDWIDTH, Direction::To)]);
    insta::assert_snapshot!(shown(on.go_over_to(&on.switched(0, false).unwrap()).unwrap()), @r#"
    batch <<< $'filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    filter replace dev lossproof0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    filter replace dev eth0 parent ffff: protocol ip prio 1 handle 1 bpf bytecode … action mirred egress redirect dev lossproof0'
    "#);
    assert!(on.switched(2, false).is_err());
    assert_eq!(on.go_over_to(&on).unwrap(), None);
}

#[test]
fn the_last_one_goes_with_everything_unless_the_broker_is_kept_ready() {
    let one = plan(&[(0, Action::Cut, Direction::Both)]);
    assert_eq!(one.go_over_to(&one.without(0)).unwrap().as_deref(), Some("clear_network"));
    let ready = Plan { ready: vec![Side::Out, Side::In], ..one };
    insta::assert_snapshot!(shown(ready.go_over_to(&ready.without(0)).unwrap()), @r#"
    batch <<< $'filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    class del dev eth0 classid 1:1000
    filter replace dev lossproof0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …
    filter replace dev eth0 parent ffff: protocol ip prio 1 handle 1 bpf bytecode … action mirred egress redirect dev lossproof0
    class del dev lossproof0 classid 1:1000'
    "#);
}

/// As on a kernel without netem.
fn held(effects: &[(usize, Action, Direction)]) -> Plan {
    Plan { delays: Delays::Queue, ..plan(effects) }
}

#[test]
fn a_latency_without_netem_has_rules_of_its_own() {
    let one = held(&[(0, LATENCY, Direction::Both)]);
    insta::assert_snapshot!(shown(Plan::default().go_over_to(&one).unwrap()), @r#"
    start_holder && ask_holder <<< $'latency 0 100000 10000' && iptables-restore --noflush <<< $'*mangle
    :lossproof-out - [0:0]
    :lossproof-in - [0:0]
    -A OUTPUT -o eth0 -j lossproof-out
    -A INPUT -i eth0 -j lossproof-in
    -A lossproof-out -m mark --mark 0x100/0x100 -j MARK --or-mark 0x200
    -A lossproof-out -m mark --mark 0x100/0x100 -j NFQUEUE --queue-num 1 --queue-bypass
    -A lossproof-out -m mark --mark 0x100/0x100 -j RETURN
    -A lossproof-out -d 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-out -p tcp -m mark --mark 0x40/0x40 -m multiport --dports 9094 -j MARK --or-mark 0x1
    -A lossproof-out -p udp -m mark --mark 0x40/0x40 -m multiport --dports 9094 -j MARK --or-mark 0x1
    -A lossproof-out -j MARK --and-mark 0xffffffbf
    -A lossproof-out -m mark --mark 0/0x3f -j RETURN
    -A lossproof-in -s 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-in -p tcp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x1
    -A lossproof-in -p udp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x1
    -A lossproof-in -j MARK --and-mark 0xffffffbf
    -A lossproof-in -m mark --mark 0/0x3f -j RETURN
    -A lossproof-out -j MARK --or-mark 0x100
    -A lossproof-out -j TEE --gateway 192.0.2.1 --oif eth0
    -A lossproof-out -j NFQUEUE --queue-num 2
    -A lossproof-in -j NFQUEUE --queue-num 1 --queue-bypass
    COMMIT'
    "#);
    // A second one joins it, and both leave.
    let two = one.with(1, effect(LATENCY, Direction::From), true).unwrap();
    insta::assert_snapshot!(shown(one.go_over_to(&two).unwrap()), @r#"
    ask_holder <<< $'latency 1 100000 10000' && iptables-restore --noflush <<< $'*mangle
    :lossproof-out - [0:0]
    :lossproof-in - [0:0]
    -A lossproof-out -m mark --mark 0x100/0x100 -j MARK --or-mark 0x200
    -A lossproof-out -m mark --mark 0x100/0x100 -j NFQUEUE --queue-num 1 --queue-bypass
    -A lossproof-out -m mark --mark 0x100/0x100 -j RETURN
    -A lossproof-out -d 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-out -p tcp -m mark --mark 0x40/0x40 -m multiport --dports 9094 -j MARK --or-mark 0x1
    -A lossproof-out -p udp -m mark --mark 0x40/0x40 -m multiport --dports 9094 -j MARK --or-mark 0x1
    -A lossproof-out -j MARK --and-mark 0xffffffbf
    -A lossproof-out -m mark --mark 0/0x3f -j RETURN
    -A lossproof-in -s 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-in -p tcp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x1
    -A lossproof-in -p udp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x1
    -A lossproof-in -j MARK --and-mark 0xffffffbf
    -A lossproof-in -s 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-in -p tcp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x2
    -A lossproof-in -p udp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x2
    -A lossproof-in -j MARK --and-mark 0xffffffbf
    -A lossproof-in -m mark --mark 0/0x3f -j RETURN
    -A lossproof-out -j MARK --or-mark 0x100
    -A lossproof-out -j TEE --gateway 192.0.2.1 --oif eth0
    -A lossproof-out -j NFQUEUE --queue-num 2
    -A lossproof-in -j NFQUEUE --queue-num 1 --queue-bypass
    COMMIT'
    "#);
    insta::assert_snapshot!(shown(two.go_over_to(&two.without(0)).unwrap()), @r#"
    iptables-restore --noflush <<< $'*mangle
    :lossproof-out - [0:0]
    :lossproof-in - [0:0]
    -A lossproof-out -m mark --mark 0x100/0x100 -j MARK --or-mark 0x200
    -A lossproof-out -m mark --mark 0x100/0x100 -j NFQUEUE --queue-num 1 --queue-bypass
    -A lossproof-out -m mark --mark 0x100/0x100 -j RETURN
    -A lossproof-out -m mark --mark 0/0x3f -j RETURN
    -A lossproof-in -s 172.30.1.12/32 -j MARK --or-mark 0x40
    -A lossproof-in -p tcp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x2
    -A lossproof-in -p udp -m mark --mark 0x40/0x40 -m multiport --sports 9094 -j MARK --or-mark 0x2
    -A lossproof-in -j MARK --and-mark 0xffffffbf
    -A lossproof-in -m mark --mark 0/0x3f -j RETURN
    -A lossproof-out -j MARK --or-mark 0x100
    -A lossproof-out -j TEE --gateway 192.0.2.1 --oif eth0
    -A lossproof-out -j NFQUEUE --queue-num 2
    -A lossproof-in -j NFQUEUE --queue-num 1 --queue-bypass
    COMMIT'
    "#);
    let ready = Plan { ready: vec![Side::Out], ..one.clone() };
    insta::assert_snapshot!(shown(ready.go_over_to(&ready.without(0)).unwrap()), @r#"
    batch <<< $'filter replace dev eth0 parent 1: protocol ip prio 1 handle 1 bpf bytecode …' && iptables-restore --noflush <<< $'*mangle
    -D OUTPUT -o eth0 -j lossproof-out
    -D INPUT -i eth0 -j lossproof-in
    -F lossproof-out
    -F lossproof-in
    -X lossproof-out
    -X lossproof-in
    COMMIT' && end_holder
    "#);
    assert_eq!(one.go_over_to(&one.without(0)).unwrap().as_deref(), Some("clear_network"));
    assert!(one.go_back_to(&ready.without(0)).unwrap().ends_with("end_holder"));
    assert!(!two.go_back_to(&one).unwrap().contains("holder"));
}

#[test]
fn what_is_no_latency_touches_none() {
    let one = held(&[(0, LATENCY, Direction::Both)]);
    let two = one.with(1, effect(Action::Cut, Direction::To), true).unwrap();
    for line in [one.go_over_to(&two), two.go_over_to(&two.switched(1, false).unwrap()), two.go_over_to(&one)] {
        let line = line.unwrap().unwrap();
        assert!(!line.contains("iptables") && !line.contains("holder"), "{line}");
    }
    // Packets that are held there have no lane.
    let all = held(&[(0, LATENCY, Direction::To), (1, BANDWIDTH, Direction::To)]);
    let line = Plan::default().go_over_to(&all).unwrap().unwrap();
    assert!(!line.contains("netem") && line.contains("classid 1:102 htb") && !line.contains("1:103"), "{line}");
}

#[test]
fn a_latency_without_netem_is_counted_by_its_slot() {
    let both = held(&[(0, BANDWIDTH, Direction::To), (4, LATENCY, Direction::To)]);
    let of_program = r#"{"0":{"passed":9,"passed_bytes":9,"dropped":9,"queued":9},"1":{"passed":5,"passed_bytes":300,"dropped":1,"queued":2}}"#;
    let tc = SHOWN.replace("102:", "101:").replace("1:102", "1:101");
    let counters = read(&format!("{tc}\nheld:\n{of_program}\n"), &both).unwrap();
    assert_eq!(counters[&4], Counters { passed: 5, passed_bytes: 300, dropped: 1, queued: 2 });
    assert_eq!(counters[&4].matched(), 8);
    for bad in ["", "held:", "held:\n{}", "held:\nthe program that holds packets back is gone"] {
        assert!(read(&format!("{tc}\n{bad}"), &both).is_err(), "{bad}");
    }
    assert_eq!(standing(&format!("{SHOWN}\nheld:\n12\n")).unwrap().rules, 17);
    assert!(standing(&format!("{SHOWN}\nheld:\niptables is not there\n")).is_err());
}

#[test]
fn a_slot_is_taken_again_and_never_twice() {
    let mut full = Plan::default();
    for id in 0..6 {
        full = full.with(id, effect(BANDWIDTH, Direction::To), true).unwrap();
    }
    assert!(full.with(6, effect(LATENCY, Direction::To), true).is_err());
    assert!(full.with(5, effect(Action::Cut, Direction::To), true).is_err(), "the id is taken");
    let again = full.without(2).with(6, effect(LATENCY, Direction::To), true).unwrap();
    assert_eq!(again.effects[&6].slot, 2);
    assert_eq!(full.with(7, effect(Action::Cut, Direction::To), true).unwrap().effects[&7].slot, 0);
}

const SHOWN: &str = r#"[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{},"bytes":1,"packets":2,"drops":3,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
{"kind":"htb","handle":"1:","dev":"eth0","root":true,"refcnt":3,"options":{"r2q":10},"bytes":999,"packets":99,"drops":9,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
{"kind":"bfifo","handle":"1000:","dev":"eth0","parent":"1:1000","options":{"limit":1},"bytes":0,"packets":0,"drops":42,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
{"kind":"blackhole","handle":"2000:","dev":"eth0","parent":"1:2000","options":{},"bytes":0,"packets":0,"drops":7,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
{"kind":"pfifo","handle":"101:","dev":"eth0","parent":"1:101","options":{},"bytes":1000,"packets":10,"drops":0,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
{"kind":"bfifo","handle":"102:","dev":"eth0","parent":"1:102","options":{},"bytes":300,"packets":3,"drops":1,"overlimits":0,"requeues":0,"backlog":60,"qlen":2},
{"kind":"bfifo","handle":"103:","dev":"eth0","parent":"1:103","options":{},"bytes":100,"packets":1,"drops":5,"overlimits":0,"requeues":0,"backlog":60,"qlen":1}]"#;

#[test]
fn each_effect_has_its_own_counts() {
    let plan = plan(&[
        (0, Action::Cut, Direction::To),
        (1, Action::Loss { per_cent: 10.0 }, Direction::To),
        (2, BANDWIDTH, Direction::To),
    ]);
    let counters = read(SHOWN, &plan).unwrap();
    assert_eq!(counters[&0], Counters { passed: 0, passed_bytes: 0, dropped: 42, queued: 0 });
    // Those that the bandwidth's queue had no room for had passed the loss.
    assert_eq!(counters[&1], Counters { passed: 16, passed_bytes: 1100, dropped: 7, queued: 1 });
    assert_eq!(counters[&2], Counters { passed: 4, passed_bytes: 400, dropped: 6, queued: 3 });
    assert_eq!(counters[&2].matched(), 13);
    let standing = standing(SHOWN).unwrap();
    assert_eq!((standing.rules, standing.dropped), (5, 49));
}

#[test]
fn counters_that_are_not_there_are_an_error() {
    let cut = plan(&[(0, Action::Cut, Direction::Both)]);
    assert!(read(SHOWN, &cut).is_err(), "nothing stands on the way in");
    let other = SHOWN.replace("1000:", "1001:").replace("1:1000", "1:1001");
    assert!(read(&other, &plan(&[(0, Action::Cut, Direction::To)])).is_err());
    assert!(read("[]", &plan(&[(0, BANDWIDTH, Direction::To)])).is_err());
    for bad in ["", "[", "{}", "Error: no", "[{}]", r#"[{"dev":"eth0","handle":"1000:","parent":"1:1000","drops":-1}]"#]
    {
        assert!(read(bad, &Plan::default()).is_err(), "{bad}");
        assert!(standing(bad).is_err(), "{bad}");
    }
    // Another's queues, and numbers that are none, are no effect's.
    for foreign in ["2:1000", "1:", ":", "1:zzzz", "1:10000", "ffff:fff1"] {
        let shown = format!(r#"[{{"dev":"eth0","handle":"1000:","parent":"{foreign}","drops":1}}]"#);
        assert_eq!(standing(&shown).unwrap().rules, 0, "{foreign}");
    }
}

proptest! {
    #[test]
    fn no_output_of_tc_breaks_the_reader(text in "\\PC{0,200}", cut in 0..SHOWN.len()) {
        let plan = plan(&[(0, Action::Cut, Direction::To)]);
        prop_assert!(read(&text, &plan).is_err());
        prop_assert!(read(&SHOWN[..cut], &plan).is_err());
    }
}
