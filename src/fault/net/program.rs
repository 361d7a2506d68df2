//! The classifier of one side of one broker: a classic BPF program that gives each packet its htb class.
//!
//! All effects are in one program, so that the kernel goes over from one set of effects to the next by
//! replacing one filter, between two packets. It needs no right but CAP_NET_ADMIN, unlike eBPF. Jumps are
//! only forward, and far ones go through an unconditional jump, whose reach is not limited to 255.

use std::fmt::Write;

use anyhow::{Result, ensure};
use ipnet::Ipv4Net;

use super::effect::{Action, End, Scope, Side};
use super::plan::{Placed, minor};

/// The kernel takes 4096, but tc's message of 16 KiB holds no more than 2000 of 8 bytes.
const LONGEST: usize = 1900;

/// Offsets in an Ethernet frame with IPv4 in it.
const IP: u32 = 14;
const FRAGMENT: u32 = IP + 6;
const PROTOCOL: u32 = IP + 9;
const SOURCE: u32 = IP + 12;
const DESTINATION: u32 = IP + 16;
/// A load from here is a random number (`SKF_AD_OFF + SKF_AD_RANDOM`).
const RANDOM: u32 = 0xffff_f038;
/// No port is that high.
const NO_PORT: u32 = 0x1_0000;

/// Words of the program's memory.
const MASK: u32 = 0;
const PEER: u32 = 1;
const OWN_PORT: u32 = 2;
const PEER_PORT: u32 = 3;

/// Operation codes, as in `linux/bpf_common.h`.
pub(super) mod code {
    pub const LOAD: u16 = 0x00;
    pub const LOAD_WORD: u16 = 0x20;
    pub const LOAD_HALF: u16 = 0x28;
    pub const LOAD_BYTE: u16 = 0x30;
    pub const LOAD_HALF_AT_X: u16 = 0x48;
    pub const LOAD_MEMORY: u16 = 0x60;
    pub const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
    pub const STORE: u16 = 0x02;
    pub const AND: u16 = 0x54;
    pub const OR: u16 = 0x44;
    pub const JUMP: u16 = 0x05;
    pub const IF_EQUAL: u16 = 0x15;
    pub const IF_AT_LEAST: u16 = 0x35;
    pub const IF_ANY_BIT: u16 = 0x45;
    pub const RETURN: u16 = 0x06;
    pub const RETURN_A: u16 = 0x16;
}

/// One instruction; `yes` and `no` are how many to skip after a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub code: u16,
    pub yes: u8,
    pub no: u8,
    pub k: u32,
}

/// A place that is jumped to before it is known.
#[derive(Debug, Default)]
struct Label {
    jumps: Vec<usize>,
}

#[derive(Debug, Default)]
struct Assembler {
    out: Vec<Instruction>,
}

impl Assembler {
    fn emit(&mut self, code: u16, k: u32) {
        self.out.push(Instruction { code, yes: 0, no: 0, k });
    }

    fn jump(&mut self, to: &mut Label) {
        to.jumps.push(self.out.len());
        self.emit(code::JUMP, 0);
    }

    /// Goes to a label where a comparison holds, and on where it does not.
    fn jump_if(&mut self, comparison: u16, k: u32, to: &mut Label) {
        self.out.push(Instruction { code: comparison, yes: 0, no: 1, k });
        self.jump(to);
    }

    /// The label is here.
    fn place(&mut self, label: Label) {
        for jump in label.jumps {
            // The distance is counted from the instruction after the jump.
            self.out[jump].k = u32::try_from(self.out.len() - jump - 1).unwrap_or(u32::MAX);
        }
    }

    fn jump_if_in(&mut self, nets: &[Ipv4Net], to: &mut Label) {
        for net in nets {
            self.emit(code::LOAD_MEMORY, PEER);
            self.emit(code::AND, net.netmask().to_bits());
            self.jump_if(code::IF_EQUAL, net.network().to_bits(), to);
        }
    }

    /// What is compared later: who is at the other end, and the ports.
    fn prologue(&mut self, side: Side) {
        let (peer, own, other) = match side {
            Side::Out => (DESTINATION, 0, 2),
            Side::In => (SOURCE, 2, 0),
        };
        self.emit(code::LOAD, 0);
        self.emit(code::STORE, MASK);
        self.emit(code::LOAD, NO_PORT);
        self.emit(code::STORE, OWN_PORT);
        self.emit(code::STORE, PEER_PORT);
        self.emit(code::LOAD_WORD, peer);
        self.emit(code::STORE, PEER);
        let (mut has_ports, mut done) = (Label::default(), Label::default());
        self.emit(code::LOAD_HALF, FRAGMENT);
        self.jump_if(code::IF_ANY_BIT, 0x1fff, &mut done);
        self.emit(code::LOAD_BYTE, PROTOCOL);
        for protocol in [6, 17] {
            self.jump_if(code::IF_EQUAL, protocol, &mut has_ports);
        }
        self.jump(&mut done);
        self.place(has_ports);
        self.emit(code::LOAD_X_HEADER_LENGTH, IP);
        self.emit(code::LOAD_HALF_AT_X, IP + own);
        self.emit(code::STORE, OWN_PORT);
        self.emit(code::LOAD_HALF_AT_X, IP + other);
        self.emit(code::STORE, PEER_PORT);
        self.place(done);
    }

    fn jump_if_in_scope(&mut self, scope: &Scope, to: &mut Label) {
        let (mut peer, mut next) = (Label::default(), Label::default());
        self.jump_if_in(&scope.except, &mut next);
        self.jump_if_in(&scope.peers, &mut peer);
        self.jump(&mut next);
        self.place(peer);
        let ends: &[u32] = match scope.end {
            _ if scope.ports.is_empty() => &[],
            End::Own => &[OWN_PORT],
            End::Peer => &[PEER_PORT],
            End::Either => &[OWN_PORT, PEER_PORT],
        };
        if ends.is_empty() {
            self.jump(to);
        }
        for &end in ends {
            self.emit(code::LOAD_MEMORY, end);
            for &port in &scope.ports {
                self.jump_if(code::IF_EQUAL, port.into(), to);
            }
        }
        self.place(next);
    }

    fn jump_if_matched(&mut self, placed: &Placed, side: Side, to: &mut Label) {
        for scope in placed.effect.scopes.iter().filter(|scope| scope.direction.is_on(side)) {
            self.jump_if_in_scope(scope, to);
        }
    }

    /// A packet that a cut matches has its class at once.
    fn cut(&mut self, placed: &Placed, side: Side) {
        let (mut hit, mut next) = (Label::default(), Label::default());
        self.jump_if_matched(placed, side, &mut hit);
        self.jump(&mut next);
        self.place(hit);
        self.emit(code::RETURN, class(minor::cut(placed.slot)));
        self.place(next);
    }

    /// Of other effects, those that match are noted.
    fn note(&mut self, placed: &Placed, side: Side) {
        let (mut hit, mut next) = (Label::default(), Label::default());
        self.jump_if_matched(placed, side, &mut hit);
        self.jump(&mut next);
        self.place(hit);
        self.emit(code::LOAD_MEMORY, MASK);
        self.emit(code::OR, 1 << placed.slot);
        self.emit(code::STORE, MASK);
        self.place(next);
    }

    fn draw(&mut self, slot: u8, per_cent: f64) {
        let (mut drawn, mut next) = (Label::default(), Label::default());
        self.emit(code::LOAD_MEMORY, MASK);
        self.jump_if(code::IF_ANY_BIT, 1 << slot, &mut drawn);
        self.jump(&mut next);
        self.place(drawn);
        // A number below it means a loss. At 100 % it is out of reach, and there is nothing to draw.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: above 0, up to 2^32")]
        let limit = (per_cent / 100.0 * 4_294_967_296.0).round() as u64;
        if let Ok(limit) = u32::try_from(limit) {
            self.emit(code::LOAD_WORD, RANDOM);
            self.jump_if(code::IF_AT_LEAST, limit, &mut next);
        }
        self.emit(code::RETURN, class(minor::loss(slot)));
        self.place(next);
    }
}

const fn class(minor: u16) -> u32 {
    0x1_0000 | minor as u32
}

/// The program for those of the effects that are on. It returns 0 for a packet that none concerns.
///
/// # Errors
/// When there are so many peers and ports that it gets too long.
pub(super) fn program<'a>(effects: impl Iterator<Item = &'a Placed> + Clone, side: Side) -> Result<Vec<Instruction>> {
    let mut assembler = Assembler::default();
    let on = effects.filter(|placed| placed.on && placed.effect.is_on(side));
    let (cuts, others): (Vec<_>, Vec<_>) = on.partition(|placed| placed.effect.action == Action::Cut);
    if !(cuts.is_empty() && others.is_empty()) {
        assembler.prologue(side);
    }
    for placed in cuts {
        assembler.cut(placed, side);
    }
    for placed in &others {
        assembler.note(placed, side);
    }
    for placed in &others {
        if let Action::Loss { per_cent } = placed.effect.action {
            assembler.draw(placed.slot, per_cent);
        }
    }
    if !others.is_empty() {
        let mut none = Label::default();
        assembler.emit(code::LOAD_MEMORY, MASK);
        assembler.jump_if(code::IF_EQUAL, 0, &mut none);
        assembler.emit(code::OR, class(minor::LANE));
        assembler.emit(code::RETURN_A, 0);
        assembler.place(none);
    }
    assembler.emit(code::RETURN, 0);
    let length = assembler.out.len();
    ensure!(length <= LONGEST, "the network effects on one broker name too many peers and ports ({length} steps)");
    Ok(assembler.out)
}

/// As tc wants it.
pub(super) fn bytecode(program: &[Instruction]) -> String {
    let mut text = program.len().to_string();
    for Instruction { code, yes, no, k } in program {
        write!(text, ",{code} {yes} {no} {k}").ok();
    }
    text
}
