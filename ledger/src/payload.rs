//! A message's payload: who it is, filling that does not compress, and a checksum over both.
//!
//! ```text
//!  0  magic        4 bytes
//!  4  version      u8, then a zero byte
//!  6  attempt      u16      all words little-endian
//!  8  run          u64
//! 16  sequence     u64
//! 24  partition    i32
//! 28  producer     u16
//! 30  incarnation  u16
//! 32  crc32        u32      over bytes 0..32 and 36..end
//! 36  filling      from a generator seeded by the identity, up to the payload's size
//! ```
//! Filling differs for each identity, so that bytes of one message can't stand in for another's, and
//! it does not compress, so that the payload's size is what brokers store.

use crate::record::Identity;

/// Name of the header that marks the record which ends the audit of a partition.
pub const FENCE_HEADER: &str = "lossproof-fence";

/// Smallest payload in bytes: an identity without filling.
pub const MIN_PAYLOAD_BYTES: usize = 36;

const MAGIC: [u8; 4] = [0x4c, 0x50, 0xd7, 0x1e];
const VERSION: u8 = 1;
const IDENTITY_BYTES: usize = 32;

/// What a payload turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// A message of this run, with a good checksum.
    Ours(Identity),
    /// A message of another run of lossproof, with a good checksum.
    OtherRun,
    /// Our magic, and a wrong checksum.
    Corrupt,
    /// Not a payload of lossproof, or of a version that this one does not know.
    Foreign,
}

/// Fills `payload` from end to end with the message of this identity. Allocates nothing.
///
/// # Panics
/// If `payload` is shorter than [`MIN_PAYLOAD_BYTES`]; an experiment's size is checked before it starts.
pub fn encode_into(payload: &mut [u8], identity: &Identity) {
    assert!(payload.len() >= MIN_PAYLOAD_BYTES, "a payload of {} bytes can't hold an identity", payload.len());
    payload[0..4].copy_from_slice(&MAGIC);
    payload[4] = VERSION;
    payload[5] = 0;
    payload[6..8].copy_from_slice(&identity.attempt.to_le_bytes());
    payload[8..16].copy_from_slice(&identity.run.to_le_bytes());
    payload[16..24].copy_from_slice(&identity.sequence.to_le_bytes());
    payload[24..28].copy_from_slice(&identity.partition.to_le_bytes());
    payload[28..30].copy_from_slice(&identity.producer.to_le_bytes());
    payload[30..32].copy_from_slice(&identity.incarnation.to_le_bytes());
    fill(&mut payload[MIN_PAYLOAD_BYTES..], identity);
    let crc = checksum(payload);
    payload[IDENTITY_BYTES..MIN_PAYLOAD_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// Reads a payload back. `run` is this run's number. Never panics, whatever the bytes.
#[must_use]
#[inline]
pub fn decode(payload: &[u8], run: u64) -> Decoded {
    if payload.len() < MIN_PAYLOAD_BYTES || payload[0..4] != MAGIC {
        return Decoded::Foreign;
    }
    let stored = u32::from_le_bytes(array(payload, IDENTITY_BYTES));
    // Before anything else is believed, the run number too: a damaged message of ours must not pass
    // for another run's.
    if checksum(payload) != stored {
        return Decoded::Corrupt;
    }
    if payload[4] != VERSION || payload[5] != 0 {
        return Decoded::Foreign;
    }
    let identity = Identity {
        attempt: u16::from_le_bytes(array(payload, 6)),
        run: u64::from_le_bytes(array(payload, 8)),
        sequence: u64::from_le_bytes(array(payload, 16)),
        partition: i32::from_le_bytes(array(payload, 24)),
        producer: u16::from_le_bytes(array(payload, 28)),
        incarnation: u16::from_le_bytes(array(payload, 30)),
    };
    if identity.run == run { Decoded::Ours(identity) } else { Decoded::OtherRun }
}

fn array<const N: usize>(payload: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&payload[at..at + N]);
    bytes
}

fn checksum(payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&payload[..IDENTITY_BYTES]);
    crc.update(&payload[MIN_PAYLOAD_BYTES..]);
    crc.finalize()
}

const BLOCK_BYTES: usize = 4096;

/// Random words, the same in every build.
const BLOCK: [u64; BLOCK_BYTES / 8] = {
    let mut block = [0; BLOCK_BYTES / 8];
    let mut state = 0;
    let mut at = 0;
    while at < block.len() {
        state = next(state);
        block[at] = mix(state);
        at += 1;
    }
    block
};

/// The block, again and again, each time under another word, which SplitMix64 makes from a seed that mixes
/// every word of the identity. What is random stays so under any word, and no two are alike.
fn fill(filling: &mut [u8], identity: &Identity) {
    let who = (u64::from(identity.producer) << 48)
        | (u64::from(identity.incarnation) << 32)
        | u64::from(identity.partition.cast_unsigned());
    let mut state = mix(identity.run);
    state = mix(state ^ who);
    state = mix(state ^ identity.sequence);
    state = mix(state ^ u64::from(identity.attempt));
    for part in filling.chunks_mut(BLOCK_BYTES) {
        state = next(state);
        let word = mix(state);
        let mut chunks = part.chunks_exact_mut(8);
        let mut random = BLOCK.iter();
        for (chunk, random) in chunks.by_ref().zip(random.by_ref()) {
            chunk.copy_from_slice(&(random ^ word).to_le_bytes());
        }
        let rest = chunks.into_remainder();
        let last = (random.next().unwrap_or(&0) ^ word).to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// The next state of SplitMix64.
const fn next(state: u64) -> u64 {
    state.wrapping_add(0x9e37_79b9_7f4a_7c15)
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: Identity =
        Identity { run: 0x0123_4567_89ab_cdef, producer: 3, incarnation: 1, partition: 2, sequence: 77, attempt: 0 };

    fn encoded(identity: &Identity, bytes: usize) -> Vec<u8> {
        let mut payload = vec![0xee; bytes];
        encode_into(&mut payload, identity);
        payload
    }

    #[test]
    fn words_stand_where_the_layout_says() {
        let payload = encoded(&SAMPLE, MIN_PAYLOAD_BYTES);
        assert_eq!(payload[0..4], MAGIC);
        assert_eq!(payload[4..8], [1, 0, 0, 0]);
        assert_eq!(payload[8..16], 0x0123_4567_89ab_cdef_u64.to_le_bytes());
        assert_eq!(payload[16..24], 77_u64.to_le_bytes());
        assert_eq!(payload[24..32], [2, 0, 0, 0, 3, 0, 1, 0]);
    }

    #[test]
    fn every_single_bit_flip_is_seen() {
        for bytes in [MIN_PAYLOAD_BYTES, 61, 300] {
            let good = encoded(&SAMPLE, bytes);
            for bit in 0..bytes * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let expected = if bit < 32 { Decoded::Foreign } else { Decoded::Corrupt };
                assert_eq!(decode(&bad, SAMPLE.run), expected, "bit {bit} of {bytes} bytes");
            }
        }
    }

    #[test]
    fn every_truncation_is_seen() {
        let good = encoded(&SAMPLE, 200);
        for bytes in 0..200 {
            assert!(!matches!(decode(&good[..bytes], SAMPLE.run), Decoded::Ours(_)), "{bytes} bytes");
        }
    }

    #[test]
    fn another_run_is_told_apart_from_damage() {
        let payload = encoded(&SAMPLE, 100);
        assert_eq!(decode(&payload, SAMPLE.run + 1), Decoded::OtherRun);
        assert_eq!(decode(b"", 1), Decoded::Foreign);
        assert_eq!(decode(&[0; 4096], 1), Decoded::Foreign);
        assert_eq!(decode(b"{\"order\": 17, \"amount\": \"12.00 EUR\", \"currency\": 1}", 1), Decoded::Foreign);
    }

    #[test]
    fn an_unknown_version_is_foreign_even_with_a_good_checksum() {
        let mut payload = encoded(&SAMPLE, 64);
        payload[4] = 2;
        let crc = checksum(&payload);
        payload[32..36].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&payload, SAMPLE.run), Decoded::Foreign);
    }

    #[test]
    fn filling_belongs_to_one_identity() {
        let base = encoded(&SAMPLE, 64);
        let others = [
            Identity { run: SAMPLE.run ^ 1, ..SAMPLE },
            Identity { producer: 4, ..SAMPLE },
            Identity { incarnation: 2, ..SAMPLE },
            Identity { partition: 3, ..SAMPLE },
            Identity { sequence: 78, ..SAMPLE },
            Identity { attempt: 1, ..SAMPLE },
        ];
        for other in others {
            assert_ne!(base[36..], encoded(&other, 64)[36..], "{other:?}");
        }
    }

    prop_compose! {
        fn identities()(
            run: u64, producer: u16, incarnation: u16, partition: i32, sequence: u64, attempt: u16,
        ) -> Identity {
            Identity { run, producer, incarnation, partition, sequence, attempt }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(identity in identities(), bytes in MIN_PAYLOAD_BYTES..2000) {
            let payload = encoded(&identity, bytes);
            prop_assert_eq!(decode(&payload, identity.run), Decoded::Ours(identity));
        }

        #[test]
        fn hostile_bytes_are_never_ours(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), run: u64) {
            prop_assert!(!matches!(decode(&bytes, run), Decoded::Ours(_)));
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC);
                prop_assert!(!matches!(decode(&bytes, run), Decoded::Ours(_)));
            }
        }

        #[test]
        fn two_messages_spliced_are_never_ours(a in identities(), b in identities(), cut in 1_usize..127) {
            prop_assume!(a != b);
            let mut spliced = encoded(&a, 128);
            let other = encoded(&b, 128);
            prop_assume!(spliced[..cut] != other[..cut] && spliced[cut..] != other[cut..]);
            spliced[cut..].copy_from_slice(&other[cut..]);
            prop_assert!(!matches!(decode(&spliced, a.run), Decoded::Ours(_)));
            prop_assert!(!matches!(decode(&spliced, b.run), Decoded::Ours(_)));
        }
    }
}
