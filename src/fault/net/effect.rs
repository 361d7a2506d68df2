//! What a network fault does to a broker's packets, and to which of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use ipnet::Ipv4Net;

/// What happens to the packets in some scopes. The same effect stands at each broker that it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What is done.
    pub action: Action,
    /// A packet in any of them is concerned.
    pub scopes: Vec<Scope>,
}

/// What is done to a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// It is dropped.
    Cut,
    /// It is dropped at random; its sender is not told, as on a bad line. A packet here is what the kernel
    /// hands to the device, which under load is up to 64 KiB of a stream at once.
    Loss {
        /// Above 0, up to 100.
        per_cent: f64,
    },
    /// It is held back. Jitter spreads the delay evenly around its mean, and so reorders packets.
    Latency {
        /// Mean, over 0.
        delay: Duration,
        /// At most this much less or more; at most the delay.
        jitter: Duration,
    },
    /// All packets of the effect share a rate; the queue before it holds 100 ms of it, and at least 256 KiB.
    Bandwidth {
        /// Bits per second, at least 1000.
        bits_per_second: u64,
    },
}

/// Some of a broker's packets. Those of other protocols than TCP and UDP, and later fragments, have no ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// As seen from the broker.
    pub direction: Direction,
    /// Who is at the other end.
    pub peers: Vec<Ipv4Net>,
    /// Who is not, though in `peers`.
    pub except: Vec<Ipv4Net>,
    /// Any of these; all packets, when empty.
    pub ports: Vec<u16>,
    /// At which end the port is looked for.
    pub end: End,
}

/// Which way packets go, as seen from the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the peers.
    To,
    /// From the peers; needs an ifb device.
    From,
    /// Both ways; needs an ifb device.
    Both,
}

/// At which end of a connection a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A listener of the broker's own.
    Own,
    /// A listener of the peer's.
    Peer,
    /// Either.
    Either,
}

/// Where packets are caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// On their way out of the namespace.
    Out,
    /// On their way in.
    In,
}

impl Direction {
    pub(super) fn is_on(self, side: Side) -> bool {
        matches!((self, side), (Self::Both, _) | (Self::To, Side::Out) | (Self::From, Side::In))
    }
}

impl Effect {
    pub(super) fn is_on(&self, side: Side) -> bool {
        self.scopes.iter().any(|scope| scope.direction.is_on(side))
    }

    /// Refuses what would do nothing, or something else than it says.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.scopes.iter().any(|scope| !scope.peers.is_empty()), "a network effect that concerns nobody");
        match self.action {
            Action::Cut => {}
            Action::Loss { per_cent } => {
                ensure!(per_cent > 0.0 && per_cent <= 100.0, "a loss of {per_cent} % is not above 0 and up to 100");
                // Below that the draw of 32 bits never comes out.
                ensure!(per_cent >= 1e-6, "a loss of {per_cent} % is less than one packet in 100 million");
            }
            Action::Latency { delay, jitter } => {
                ensure!(delay >= Duration::from_micros(1), "a latency of {delay:?} is none");
                ensure!(delay <= Duration::from_secs(60), "a latency of {delay:?} is over a minute");
                ensure!(jitter <= delay, "a jitter of {jitter:?} is more than the delay of {delay:?}");
            }
            Action::Bandwidth { bits_per_second } => {
                ensure!(bits_per_second >= 1000, "a bandwidth of {bits_per_second} bit/s is under 1000");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use test_case::test_case;

    use super::{Action, Direction, Effect, End, Scope, Side};

    fn with(action: Action, peers: &[&str]) -> Effect {
        let peers = peers.iter().map(|net| net.parse().unwrap()).collect();
        let scope = Scope { direction: Direction::Both, peers, except: vec![], ports: vec![], end: End::Either };
        Effect { action, scopes: vec![scope] }
    }

    #[test_case(Action::Loss { per_cent: 0.0 })]
    #[test_case(Action::Loss { per_cent: -1.0 })]
    #[test_case(Action::Loss { per_cent: f64::NAN })]
    #[test_case(Action::Loss { per_cent: 100.1 })]
    #[test_case(Action::Loss { per_cent: 1e-9 })]
    #[test_case(Action::Latency { delay: Duration::ZERO, jitter: Duration::ZERO })]
    #[test_case(Action::Latency { delay: Duration::from_millis(1), jitter: Duration::from_millis(2) })]
    #[test_case(Action::Latency { delay: Duration::from_secs(61), jitter: Duration::ZERO })]
    #[test_case(Action::Bandwidth { bits_per_second: 999 })]
    fn what_would_do_nothing_is_refused(action: Action) {
        assert!(with(action, &["10.0.0.1/32"]).check().is_err());
    }

    #[test_case(Action::Cut)]
    #[test_case(Action::Loss { per_cent: 100.0 })]
    #[test_case(Action::Latency { delay: Duration::from_millis(1), jitter: Duration::from_millis(1) })]
    #[test_case(Action::Bandwidth { bits_per_second: 1000 })]
    fn an_effect_needs_somebody_to_concern(action: Action) {
        assert!(with(action, &["10.0.0.1/32"]).check().is_ok());
        assert!(with(action, &[]).check().is_err());
        assert!(Effect { action, scopes: vec![] }.check().is_err());
    }

    #[test]
    fn a_direction_is_seen_from_the_broker() {
        let sides = |direction: Direction| [Side::Out, Side::In].map(|side| direction.is_on(side));
        assert_eq!(sides(Direction::To), [true, false]);
        assert_eq!(sides(Direction::From), [false, true]);
        assert_eq!(sides(Direction::Both), [true, true]);
    }
}
