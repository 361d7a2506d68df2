//! One block as it was found on disk: what of it may be believed.

use super::header::u32_at;
use super::{BLOCK_BYTES, BLOCK_FIXED_BYTES, BLOCK_HEADER_BYTES, BLOCK_MAGIC, BLOCK_SEALED, BLOCK_STATE_AT};

/// What the bytes of a block, as many as there are, say of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The block never was, or not this one, or its words or entries are altered.
    Damaged,
    /// Not begun: zeros alone.
    Blank,
    /// Entries that may be believed.
    Entries {
        /// Where they end in the block.
        end: usize,
        /// The writer was done with the block.
        sealed: bool,
        /// Bytes of entries that the file lacks.
        missing: usize,
        /// Bytes behind the last entry up to the last that is not zero.
        behind: usize,
    },
}

/// Looks at the block with this number.
pub(super) fn inspect(bytes: &[u8], number: u64) -> Found {
    let begun = bytes.len() >= BLOCK_HEADER_BYTES
        && bytes[..BLOCK_MAGIC.len()] == BLOCK_MAGIC
        && u64::from(u32_at(bytes, BLOCK_MAGIC.len())) == number;
    if !begun {
        return if bytes.iter().all(|byte| *byte == 0) { Found::Blank } else { Found::Damaged };
    }
    let word = u32_at(bytes, BLOCK_STATE_AT + 4);
    let committed = (word & !BLOCK_SEALED) as usize;
    if committed > BLOCK_BYTES - BLOCK_HEADER_BYTES {
        return Found::Damaged;
    }
    let end = bytes.len().min(BLOCK_HEADER_BYTES + committed);
    let missing = BLOCK_HEADER_BYTES + committed - end;
    if missing == 0 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..BLOCK_FIXED_BYTES]);
        crc.update(&bytes[BLOCK_HEADER_BYTES..end]);
        if crc.finalize() != u32_at(bytes, BLOCK_STATE_AT) {
            return Found::Damaged;
        }
    }
    let behind = bytes[end..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Found::Entries { end, sealed: word & BLOCK_SEALED != 0, missing, behind }
}
