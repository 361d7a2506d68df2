//! The classifier against an interpreter of its instructions and a plain reading of the effects.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::effect::{Action, Direction, Effect, End, Scope, Side};
use super::plan::{Placed, Plan, minor};
use super::program::{Instruction, bytecode, code, program};

/// A packet as a broker sees it.
#[derive(Debug, Clone, Copy)]
struct Packet {
    peer: Ipv4Addr,
    own_port: u16,
    peer_port: u16,
    protocol: u8,
    later_fragment: bool,
    /// In words: IP options.
    options: u8,
}

const BROKER: Ipv4Addr = Ipv4Addr::new(172, 30, 1, 11);

impl Packet {
    fn frame(&self, side: Side) -> Vec<u8> {
        let ((from, from_port), (to, to_port)) = match side {
            Side::Out => ((BROKER, self.own_port), (self.peer, self.peer_port)),
            Side::In => ((self.peer, self.peer_port), (BROKER, self.own_port)),
        };
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45 + self.options, 0, 0, 40, 0, 0]);
        // The don't-fragment bit is no part of the offset.
        frame.extend(if self.later_fragment { [0x20, 1] } else { [0x40, 0] });
        frame.extend([64, self.protocol, 0, 0]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        frame.resize(frame.len() + 4 * usize::from(self.options), 0xff);
        frame.extend(from_port.to_be_bytes());
        frame.extend(to_port.to_be_bytes());
        frame
    }

    fn has_ports(&self) -> bool {
        [6, 17].contains(&self.protocol) && !self.later_fragment
    }
}

/// Runs a program as the kernel does; a load beyond the packet's end returns 0.
fn run(program: &[Instruction], packet: &[u8], random: u32) -> u32 {
    let load = |at: usize, size: usize| -> Option<u32> {
        Some(packet.get(at..at + size)?.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    };
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [None; 16], 0);
    loop {
        let Instruction { code, yes, no, k } = program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { yes } else { no });
        let loaded = match code {
            code::LOAD => Some(k),
            code::LOAD_WORD if k == 0xffff_f038 => Some(random),
            code::LOAD_WORD => load(k as usize, 4),
            code::LOAD_HALF => load(k as usize, 2),
            code::LOAD_BYTE => load(k as usize, 1),
            code::LOAD_HALF_AT_X => load((x + k) as usize, 2),
            code::LOAD_MEMORY => Some(memory[k as usize].expect("the kernel refuses a load before a store")),
            _ => Some(a),
        };
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
        match code {
            code::LOAD_X_HEADER_LENGTH => x = 4 * (u32::from(packet[k as usize]) & 0xf),
            code::STORE => memory[k as usize] = Some(a),
            code::AND => a &= k,
            code::OR => a |= k,
            code::JUMP => at += k as usize,
            code::IF_EQUAL => jump(a == k),
            code::IF_AT_LEAST => jump(a >= k),
            code::IF_ANY_BIT => jump(a & k != 0),
            code::RETURN => return k,
            code::RETURN_A => return a,
            _ => {}
        }
    }
}

/// What the effects mean, read plainly.
fn expected(plan: &Plan, packet: &Packet, side: Side, random: u32) -> u32 {
    let matches = |placed: &&Placed| {
        placed.on
            && placed.effect.scopes.iter().any(|scope| {
                let way = match side {
                    Side::Out => scope.direction != Direction::From,
                    Side::In => scope.direction != Direction::To,
                };
                let peer = |nets: &[Ipv4Net]| nets.iter().any(|net| net.contains(&packet.peer));
                let own = packet.has_ports() && scope.ports.contains(&packet.own_port);
                let other = packet.has_ports() && scope.ports.contains(&packet.peer_port);
                let port = match scope.end {
                    End::Own => own,
                    End::Peer => other,
                    End::Either => own || other,
                };
                way && peer(&scope.peers) && !peer(&scope.except) && (scope.ports.is_empty() || port)
            })
    };
    let found: Vec<&Placed> = plan.effects.values().filter(matches).collect();
    if let Some(cut) = found.iter().find(|placed| placed.effect.action == Action::Cut) {
        return 0x1_0000 | u32::from(minor::cut(cut.slot));
    }
    for placed in &found {
        if let Action::Loss { per_cent } = placed.effect.action
            && f64::from(random) < per_cent / 100.0 * 4_294_967_296.0
        {
            return 0x1_0000 | u32::from(minor::loss(placed.slot));
        }
    }
    match found.iter().fold(0, |mask, placed| mask | 1 << placed.slot) {
        0 => 0,
        mask => 0x1_0000 | u32::from(minor::LANE) | mask,
    }
}

fn any_net() -> impl Strategy<Value = Ipv4Net> {
    // Few addresses, so that scopes and packets meet.
    (0_u8..4, prop_oneof![Just(32), Just(31), Just(30), Just(24), Just(0)])
        .prop_map(|(last, length)| Ipv4Net::new(Ipv4Addr::new(172, 30, 1, last), length).unwrap())
}

fn any_effect() -> impl Strategy<Value = Effect> {
    let port = prop_oneof![Just(9092_u16), Just(9094), Just(0), Just(65535)];
    let scope = (
        prop_oneof![Just(Direction::To), Just(Direction::From), Just(Direction::Both)],
        prop::collection::vec(any_net(), 1..4),
        prop::collection::vec(any_net(), 0..2),
        prop::collection::vec(port, 0..3),
        prop_oneof![Just(End::Own), Just(End::Peer), Just(End::Either)],
    )
        .prop_map(|(direction, peers, except, ports, end)| Scope { direction, peers, except, ports, end });
    let action = prop_oneof![
        3 => Just(Action::Cut),
        2 => prop_oneof![Just(100.0), Just(50.0), Just(0.1)].prop_map(|per_cent| Action::Loss { per_cent }),
        1 => Just(Action::Latency { delay: Duration::from_millis(10), jitter: Duration::ZERO }),
        1 => Just(Action::Bandwidth { bits_per_second: 1_000_000 }),
    ];
    (action, prop::collection::vec(scope, 1..3)).prop_map(|(action, scopes)| Effect { action, scopes })
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let port = || prop_oneof![Just(9092_u16), Just(9094), Just(0), Just(65535), Just(40000)];
    let protocol = prop_oneof![4 => Just(6_u8), 1 => Just(17), 1 => Just(1)];
    (0_u8..5, port(), port(), protocol, prop::bool::weighted(0.1), 0_u8..3).prop_map(
        |(last, own_port, peer_port, protocol, later_fragment, options)| Packet {
            peer: Ipv4Addr::new(172, 30, 1, last),
            own_port,
            peer_port,
            protocol,
            later_fragment,
            options,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_classifier_does_what_the_effects_say(
        effects in prop::collection::vec((any_effect(), prop::bool::weighted(0.8)), 0..7),
        packet in any_packet(),
        random in prop_oneof![any::<u32>(), Just(0), Just(u32::MAX)],
    ) {
        let mut plan = Plan::default();
        for (id, (effect, on)) in effects.into_iter().enumerate() {
            // The seventh that is no cut is refused.
            if let Ok(with) = plan.with(id, effect, on) {
                plan = with;
            }
        }
        for side in [Side::Out, Side::In] {
            let program = program(plan.effects.values(), side).unwrap();
            prop_assert_eq!(
                run(&program, &packet.frame(side), random),
                expected(&plan, &packet, side, random),
                "{:?}: {}", side, bytecode(&program)
            );
        }
    }
}

#[test]
fn a_packet_cut_short_is_nobody_s() {
    let peers = vec!["0.0.0.0/0".parse().unwrap()];
    let scope = Scope { direction: Direction::To, peers, except: vec![], ports: vec![9094], end: End::Either };
    let plan = Plan::default().with(0, Effect { action: Action::Cut, scopes: vec![scope] }, true).unwrap();
    let program = program(plan.effects.values(), Side::Out).unwrap();
    let packet = Packet {
        peer: Ipv4Addr::new(172, 30, 1, 12),
        own_port: 1,
        peer_port: 9094,
        protocol: 6,
        later_fragment: false,
        options: 0,
    };
    let frame = packet.frame(Side::Out);
    assert_ne!(run(&program, &frame, 0), 0);
    for length in 15..frame.len() {
        assert_eq!(run(&program, &frame[..length], 0), 0, "of {length} bytes");
    }
}

#[test]
fn a_program_too_long_for_tc_is_refused() {
    let peers = (0..600).map(|i| Ipv4Net::from(Ipv4Addr::from_bits(i))).collect();
    let scope = Scope { direction: Direction::To, peers, except: vec![], ports: vec![], end: End::Own };
    let plan = Plan::default().with(0, Effect { action: Action::Cut, scopes: vec![scope] }, true).unwrap();
    let error = program(plan.effects.values(), Side::Out).map(|program| program.len()).unwrap_err();
    assert!(error.to_string().contains("too many peers"), "{error}");
}
