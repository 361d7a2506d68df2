//! A number in the header that changes while the journal is open, so that no checksum over several
//! words can cover it: it brings its own, in one word that is stored at once.

/// Largest number that such a word holds.
pub(super) const MAX: u64 = (1 << 48) - 1;

/// The number in the low 48 bits, above them the complement of the XOR of its three 16-bit parts. No
/// change of up to 16 neighbouring bits goes unseen, and zero is no such word.
///
/// A number beyond [`MAX`] is stored as that: 2⁴⁸ sequences are more than a run can offer.
#[inline]
pub(super) const fn checked(number: u64) -> u64 {
    let number = if number > MAX { MAX } else { number };
    number | check(number) << 48
}

/// The number, if the word is whole.
pub(super) const fn number(word: u64) -> Option<u64> {
    let number = word & MAX;
    if word >> 48 == check(number) { Some(number) } else { None }
}

const fn check(number: u64) -> u64 {
    !(number ^ number >> 16 ^ number >> 32) & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for n in [0, 1, 0xffff, 0x1_0000, 0xdead_beef, MAX] {
            assert_eq!(number(checked(n)), Some(n));
        }
        assert_eq!(number(checked(u64::MAX)), Some(MAX));
    }

    #[test]
    fn no_burst_of_up_to_sixteen_bits_goes_unseen() {
        for n in [0, 1, 77_777, 0xdead_beef_cafe, MAX] {
            for burst in [1, 0b11, 0b101, 0xfff, 0x8001, 0xffff_u64] {
                for shift in 0..64 - (64 - burst.leading_zeros()) {
                    assert_eq!(number(checked(n) ^ burst << shift), None, "{n:#x} {burst:#x} << {shift}");
                }
            }
        }
        assert_eq!(number(0), None);
        assert_eq!(number(u64::MAX), None);
    }
}
