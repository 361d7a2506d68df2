//! The messages of a stream: who they are, and their payloads, of one size but for every so manieth, which
//! is large.

use lossproof_ledger::payload;
use lossproof_ledger::record::Identity;

use crate::experiment::Large;

/// Makes payloads, in place.
pub(super) struct Messages {
    /// Of sequence 0.
    first: Identity,
    usual: Vec<u8>,
    large: Option<(u64, Vec<u8>)>,
}

impl Messages {
    /// The stream of which `first` is sequence 0. Sizes in bytes, each at least `payload::MIN_PAYLOAD_BYTES`.
    pub(super) fn new(first: Identity, usual_bytes: usize, large: Option<Large>) -> Self {
        let large = large.map(|Large { every, payload_bytes }| (every, vec![0; payload_bytes]));
        Self { first, usual: vec![0; usual_bytes], large }
    }

    /// The payload of a message. Of one sequence all attempts have the same size.
    pub(super) fn payload(&mut self, sequence: u64, attempt: u16) -> &[u8] {
        let payload = match &mut self.large {
            Some((every, large)) if sequence % *every == *every - 1 => large,
            _ => &mut self.usual,
        };
        payload::encode_into(payload, &Identity { sequence, attempt, ..self.first });
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Identity = Identity { run: 1, producer: 2, incarnation: 0, partition: 3, sequence: 0, attempt: 0 };

    #[test]
    fn the_last_of_so_many_is_large() {
        let mut messages = Messages::new(FIRST, 100, Some(Large { every: 3, payload_bytes: 2000 }));
        let mut bytes = |sequence, attempt| {
            let payload = messages.payload(sequence, attempt);
            let expected = Identity { sequence, attempt, ..FIRST };
            assert_eq!(payload::decode(payload, 1), payload::Decoded::Ours(expected));
            payload.len()
        };
        let all: Vec<_> = (0..7).map(|sequence| bytes(sequence, 0)).collect();
        assert_eq!(all, [100, 100, 2000, 100, 100, 2000, 100]);
        assert_eq!((bytes(2, 1), bytes(3, 1)), (2000, 100), "sent again");
    }

    #[test]
    fn without_large_ones_all_are_alike() {
        assert_eq!(Messages::new(FIRST, 64, None).payload(9, 0).len(), 64);
    }
}
