//! Unsigned LEB128 and zigzag: small numbers in few bytes.

/// Longest encoding of a `u64`, in bytes.
pub(super) const MAX_BYTES: usize = 10;

/// Bytes that fit in a register.
pub(super) const HEAD_BYTES: usize = 8;

/// Bytes being written, `HEAD_BYTES` and at most `N` more. Most entries have no more than the head,
/// which is kept in a register.
pub(super) struct Out<const N: usize> {
    head: u64,
    more: [u8; N],
    len: usize,
}

impl<const N: usize> Out<N> {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self { head: 0, more: [0; N], len: 0 }
    }

    /// Bytes written.
    #[inline(always)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The first bytes, zeros behind the last.
    #[inline(always)]
    pub(super) const fn head(&self) -> [u8; HEAD_BYTES] {
        self.head.to_le_bytes()
    }

    /// The bytes that follow the head, if there are any.
    #[inline(always)]
    pub(super) fn more(&self) -> &[u8] {
        &self.more[..self.len.saturating_sub(HEAD_BYTES)]
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        if self.len < HEAD_BYTES {
            self.head |= u64::from(byte) << (8 * self.len);
        } else {
            self.more[self.len - HEAD_BYTES] = byte;
        }
        self.len += 1;
    }

    #[inline(always)]
    pub(super) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.byte(value.to_le_bytes()[0]);
    }

    #[inline(always)]
    pub(super) fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }
}

/// Bytes being read. Every method gives none where the bytes end or make no number.
pub(super) struct In<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> In<'a> {
    #[inline(always)]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline(always)]
    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Most numbers have one byte or two.
    #[inline(always)]
    pub(super) fn unsigned(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let second = self.byte()?;
        if second < 0x80 {
            return Some(u64::from(first & 0x7f) | u64::from(second) << 7);
        }
        self.at -= 2;
        self.longer()
    }

    #[cold]
    #[inline(never)]
    fn longer(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for position in 0..MAX_BYTES {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if position == MAX_BYTES - 1 && byte > 1 {
                return None;
            }
            value |= bits << (7 * position);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[inline(always)]
    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline(always)]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.unsigned()?.try_into().ok()
    }

    #[inline(always)]
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.signed()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_numbers_take_one_byte() {
        for value in [0, 1, -1, 63, -64] {
            let mut out = Out::<MAX_BYTES>::new();
            out.signed(value);
            assert_eq!(out.len(), 1, "{value}");
        }
    }

    #[test]
    fn an_overlong_number_is_refused() {
        assert_eq!(In::new(&[0xff; 11]).unsigned(), None);
        assert_eq!(In::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).unsigned(), None);
        assert_eq!(In::new(&[0x80]).unsigned(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64) {
            let mut out = Out::<{ 2 * MAX_BYTES }>::new();
            out.unsigned(unsigned);
            out.signed(signed);
            let bytes = [&out.head()[..out.len().min(HEAD_BYTES)], out.more()].concat();
            let mut read = In::new(&bytes);
            prop_assert_eq!(read.unsigned(), Some(unsigned));
            prop_assert_eq!(read.signed(), Some(signed));
            prop_assert_eq!(read.left(), 0);
        }
    }
}
