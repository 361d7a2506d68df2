//! The payloads of a stream: all of one size, but for every so manieth, which is large.

use lossproof_ledger::payload;
use lossproof_ledger::record::Identity;

use crate::experiment::Large;

/// Filled anew for each message.
pub(super) struct Payloads {
    usual: Vec<u8>,
    large: Option<(u64, Vec<u8>)>,
}

impl Payloads {
    /// Sizes in bytes, each at least `payload::MIN_PAYLOAD_BYTES`.
    pub(super) fn new(usual_bytes: usize, large: Option<Large>) -> Self {
        let large = large.map(|Large { every, payload_bytes }| (every, vec![0; payload_bytes]));
        Self { usual: vec![0; usual_bytes], large }
    }

    /// The payload of a message. Of one sequence all attempts have the same size.
    pub(super) fn of(&mut self, identity: &Identity) -> &[u8] {
        let payload = match &mut self.large {
            Some((every, large)) if identity.sequence % *every == *every - 1 => large,
            _ => &mut self.usual,
        };
        payload::encode_into(payload, identity);
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_so_many_is_large() {
        let mut payloads = Payloads::new(100, Some(Large { every: 3, payload_bytes: 2000 }));
        let mut bytes = |sequence, attempt| {
            let identity = Identity { run: 1, producer: 2, incarnation: 0, partition: 3, sequence, attempt };
            let payload = payloads.of(&identity);
            assert_eq!(payload::decode(payload, 1), payload::Decoded::Ours(identity));
            payload.len()
        };
        let all: Vec<_> = (0..7).map(|sequence| bytes(sequence, 0)).collect();
        assert_eq!(all, [100, 100, 2000, 100, 100, 2000, 100]);
        assert_eq!((bytes(2, 1), bytes(3, 1)), (2000, 100), "sent again");
    }

    #[test]
    fn without_large_ones_all_are_alike() {
        let identity = Identity { run: 1, producer: 2, incarnation: 0, partition: 3, sequence: 9, attempt: 0 };
        assert_eq!(Payloads::new(64, None).of(&identity).len(), 64);
    }
}
