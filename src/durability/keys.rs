//! The keys of the checkpoint. Integers in them are big-endian; every value begins with a version octet.
//!
//! ```text
//! c/                     next queue id, how many definitions there are
//! d | queue | page       what the chunks of a page amount to, see `index` and `summary`
//! i | queue | chunk      where the live entries of a chunk of positions lie, see `slot`
//! q | queue              next position, delivered + 1 or 0, how many entries live
//! r | queue | chunk      how live entries of a chunk of positions came back, see `returns`
//! t/q | queue            queue            t/x | vhost | name   exchange
//! t/b | number           binding          t/v | vhost          virtual host
//! t/p | vhost | kind | name               policy
//! ```
//!
//! A restart reads everything but the `i` keys, which are by far the most; those are read one by one when an
//! entry is needed. It reads all that is before and behind them, so that a key which is none of these is found.

use super::codec::{Reader, RecordError};
use crate::broker::delivery::QueueId;
use crate::store::BULK_KEYS;

pub(super) const COUNTERS_KEY: &[u8] = b"c/";
pub(super) const PAGE_KEYS: &[u8] = b"d";
pub(super) const CHUNK_KEYS: &[u8] = BULK_KEYS.start;
/// The first key behind all chunks.
pub(super) const BEHIND_CHUNK_KEYS: &[u8] = BULK_KEYS.end;
pub(super) const STANDING_KEYS: &[u8] = b"q";
pub(super) const RETURNS_KEYS: &[u8] = b"r";
pub(super) const QUEUE_KEYS: &[u8] = b"t/q";

/// The key of what there is once for a queue.
pub(super) fn queue_key(prefix: &[u8], id: QueueId) -> Vec<u8> {
    [prefix, &id.0.to_be_bytes()].concat()
}

/// The key of one of the parts of a queue.
pub(super) fn queue_part_key(prefix: &[u8], id: QueueId, part: u64) -> Vec<u8> {
    [prefix, &id.0.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// Takes an integer from a key.
pub(super) fn key_number(key: &mut Reader<'_>) -> Result<u64, RecordError> {
    key.array().map(u64::from_be_bytes)
}
