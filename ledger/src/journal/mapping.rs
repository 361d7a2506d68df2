//! The border to mapped memory: the only unsafe code of this crate.
//!
//! A mapping is written by one process, which alone extends and never shortens the mapped part of its
//! file, so that no access faults: space is reserved before it is mapped.

use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};

/// A writable shared mapping of a part of a file.
pub(super) struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes from `offset`, which the file must have, reserved on its file system.
    pub(super) fn new(file: &File, offset: u64, len: usize) -> std::io::Result<Self> {
        let raw = MmapOptions::new().offset(offset).len(len).map_raw(file)?;
        Ok(Self { raw })
    }

    /// Copies `bytes` to position `at`.
    #[inline]
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        // SAFETY: the target lies in the mapping (checked), `&mut self` excludes other writers of this
        // process, and no reference into the mapping lives but the atomic words of `word32` and
        // `word64`, which borrow `self`.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.raw.as_mut_ptr().add(at), bytes.len());
        }
    }

    /// CRC32 of a part.
    pub(super) fn crc32(&mut self, at: usize, len: usize) -> u32 {
        self.check(at, len);
        // SAFETY: the part lies in the mapping (checked), and `&mut self` excludes writers while the
        // slice lives.
        let part = unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(at), len) };
        crc32fast::hash(part)
    }

    /// The aligned 32-bit word at `at`.
    #[inline]
    pub(super) fn word32(&self, at: usize) -> &AtomicU32 {
        self.check(at, 4);
        assert!(at.is_multiple_of(4), "unaligned word");
        // SAFETY: in the mapping and aligned (checked; mappings are page-aligned); all accesses while
        // this reference lives are atomic, as `write` takes `&mut self`.
        unsafe { AtomicU32::from_ptr(self.raw.as_mut_ptr().add(at).cast()) }
    }

    /// The aligned 64-bit word at `at`.
    #[inline]
    pub(super) fn word64(&self, at: usize) -> &AtomicU64 {
        self.check(at, 8);
        assert!(at.is_multiple_of(8), "unaligned word");
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.raw.as_mut_ptr().add(at).cast()) }
    }

    #[inline]
    fn check(&self, at: usize, len: usize) {
        assert!(at <= self.raw.len() && len <= self.raw.len() - at, "outside the mapping");
    }
}
