//! Where the messages of one read batch are put: one allocation for many small messages.
//!
//! Invariants:
//! * A message owns exactly its own octets; a chunk lives as long as the last message in it.
//! * A chunk is no larger than the octets of the batch it was made for, and never above
//!   [`limits::ARENA_CHUNK`].
//! * A message above [`limits::ARENA_MESSAGE`], or alone in its batch, gets an allocation of its own.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::shelf::Shelf;
use crate::limits;

/// Octets a publish takes on the wire beyond what is kept of it: three frames, the fixed fields of
/// basic.publish and of the content header.
const PUBLISH_OVERHEAD: usize = 3 * limits::FRAME_OVERHEAD as usize + 9 + 12;

/// Memory for the messages of one read batch.
#[derive(Debug, Default)]
pub struct Arena {
    /// Empty, with room for the next messages behind it.
    chunk: BytesMut,
    /// Octets of the read batch that no message has used yet.
    awaited: usize,
    shelf: Arc<Shelf>,
}

impl Arena {
    /// An arena without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that takes the memory of large messages from there.
    #[must_use]
    pub fn beside(shelf: Arc<Shelf>) -> Self {
        Self { shelf, ..Self::default() }
    }

    /// Where the memory of large messages comes from.
    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// A read batch begins, with `batch_bytes` waiting in the read buffer. Allocates nothing yet.
    pub fn begin(&mut self, batch_bytes: usize) {
        self.awaited = batch_bytes.min(limits::ARENA_CHUNK);
    }

    /// Lets go of unused memory; for connections that have fallen silent.
    pub fn release(&mut self) {
        (self.chunk, self.awaited) = (BytesMut::new(), 0);
    }

    /// Joins the two parts of a message in one buffer. `head` is what was read of it already.
    #[inline]
    pub(super) fn join(&mut self, head: &[u8], body: &[u8]) -> Bytes {
        let total = head.len() + body.len();
        if self.chunk.capacity() < total && !self.refill(total) {
            return alone(head, body);
        }
        self.awaited = self.awaited.saturating_sub(total + PUBLISH_OVERHEAD);
        self.chunk.extend_from_slice(head);
        self.chunk.extend_from_slice(body);
        self.chunk.split().freeze()
    }

    /// Makes room for as many messages of this size as the rest of the batch can hold; `false` if that is one.
    #[cold]
    fn refill(&mut self, total: usize) -> bool {
        let expected = self.awaited / (total + PUBLISH_OVERHEAD);
        if expected < 2 {
            self.awaited = 0;
            return false;
        }
        let wanted = expected * total;
        // Reclaiming succeeds when every message of the old chunk is gone: then nothing is allocated.
        if !self.chunk.try_reclaim(wanted) {
            self.chunk = BytesMut::with_capacity(wanted);
        }
        true
    }
}

#[cold]
fn alone(head: &[u8], body: &[u8]) -> Bytes {
    let mut octets = Vec::with_capacity(head.len() + body.len());
    octets.extend_from_slice(head);
    octets.extend_from_slice(body);
    Bytes::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire_size(message: usize) -> usize {
        message + PUBLISH_OVERHEAD
    }

    #[test]
    fn messages_of_one_batch_lie_side_by_side() {
        let mut arena = Arena::new();
        arena.begin(3 * wire_size(8));

        let first = arena.join(b"head", b"one.");
        let second = arena.join(b"head", b"two.");

        assert_eq!((first.as_ref(), second.as_ref()), (&b"headone."[..], &b"headtwo."[..]));
        assert_eq!(first.as_ptr().wrapping_add(8), second.as_ptr());
    }

    #[test]
    fn the_chunk_is_no_larger_than_the_messages_the_batch_can_hold() {
        let mut arena = Arena::new();
        arena.begin(10 * wire_size(8));
        let _first = arena.join(b"head", b"body");

        assert_eq!(arena.chunk.capacity(), 9 * 8);
    }

    #[test]
    fn the_only_message_of_a_batch_keeps_nothing_else_alive() {
        let mut arena = Arena::new();
        arena.begin(wire_size(8));
        let message = arena.join(b"head", b"body");

        assert_eq!(message.as_ref(), b"headbody");
        assert_eq!(arena.chunk.capacity(), 0);
    }

    #[test]
    fn a_chunk_is_used_again_once_its_messages_are_gone() {
        let mut arena = Arena::new();
        arena.begin(2 * wire_size(8));
        let place = arena.join(b"head", b"one.").as_ptr();
        drop(arena.join(b"head", b"two."));

        arena.begin(2 * wire_size(8));
        assert_eq!(arena.join(b"head", b"new.").as_ptr(), place);
    }

    #[test]
    fn a_chunk_is_left_alone_while_a_message_of_it_lives() {
        let mut arena = Arena::new();
        arena.begin(2 * wire_size(8));
        let kept = arena.join(b"head", b"one.");
        drop(arena.join(b"head", b"two."));

        arena.begin(2 * wire_size(8));
        let _new = arena.join(b"head", b"new.");
        assert_eq!(kept.as_ref(), b"headone.");
    }

    #[test]
    fn a_batch_beyond_the_limit_gets_a_chunk_of_the_limit() {
        let mut arena = Arena::new();
        arena.begin(usize::MAX);
        let _message = arena.join(b"head", b"body");

        assert!(arena.chunk.capacity() <= limits::ARENA_CHUNK);
    }
}
