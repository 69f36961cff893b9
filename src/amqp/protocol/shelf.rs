//! Memory of large messages that have gone, for those that come: what has just been written to a socket is still in a
//! cache, and memory that goes back to the system comes again page by page, each at the price of a fault.
//!
//! Invariants:
//! * No more than [`limits::SHELF_BYTES`] are kept, in pieces from [`limits::BYPASS_LEAST`] to [`limits::SHELF_PIECE`].
//! * A piece has one of eight capacities between two powers of two, so that at most an eighth of it is unused.
//! * What is not needed goes: each [`Shelf::tidy`] lets go of an eighth of what has lain here since the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits;
use crate::sync::{RankedMutex, rank};

/// See the module.
#[derive(Debug, Default)]
pub struct Shelf {
    kept: RankedMutex<{ rank::SHELF }, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_capacity: BTreeMap<usize, Pile>,
    bytes: usize,
}

/// Pieces of one capacity, the one used last on top.
#[derive(Debug, Default)]
struct Pile {
    pieces: Vec<Vec<u8>>,
    /// As many as there have been at any time since the last tidying.
    idle: usize,
}

/// The octets of a message, which come back here when the last handle to it goes.
struct Lent {
    octets: Vec<u8>,
    shelf: Arc<Shelf>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A panic under way must not become one under a lock.
        if !std::thread::panicking() {
            self.shelf.put(std::mem::take(&mut self.octets));
        }
    }
}

impl Shelf {
    /// Moves `octets` to memory for at least so many.
    pub(super) fn enlarge(&self, octets: &mut Vec<u8>, capacity: usize) {
        let capacity = rounded(capacity);
        let mut larger = self.take(capacity).unwrap_or_else(|| Vec::with_capacity(capacity));
        larger.extend_from_slice(octets);
        self.put(std::mem::replace(octets, larger));
    }

    /// The octets as a message, whose memory is used again when it is gone.
    pub(super) fn lend(self: &Arc<Self>, octets: Vec<u8>) -> Bytes {
        if is_kept(octets.capacity()) {
            return Bytes::from_owner(Lent { octets, shelf: Arc::clone(self) });
        }
        Bytes::from(octets)
    }

    fn take(&self, capacity: usize) -> Option<Vec<u8>> {
        let mut guard = self.kept.lock();
        let pile = guard.by_capacity.get_mut(&capacity)?;
        let piece = pile.pieces.pop()?;
        pile.idle = pile.idle.min(pile.pieces.len());
        guard.bytes -= capacity;
        Some(piece)
    }

    fn put(&self, mut piece: Vec<u8>) {
        let capacity = piece.capacity();
        if !is_kept(capacity) {
            return;
        }
        piece.clear();
        let mut guard = self.kept.lock();
        if guard.bytes + capacity <= limits::SHELF_BYTES {
            guard.bytes += capacity;
            guard.by_capacity.entry(capacity).or_default().pieces.push(piece);
        }
    }

    /// Lets go of some of what was not needed, or of everything if memory is short. To be called every
    /// [`limits::MEMORY_INTERVAL`].
    pub fn tidy(&self, is_short: bool) {
        let mut unneeded = Vec::new();
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        kept.by_capacity.retain(|capacity, pile| {
            let count = if is_short { pile.pieces.len() } else { pile.idle.div_ceil(8) };
            unneeded.extend(pile.pieces.drain(..count));
            kept.bytes -= count * capacity;
            pile.idle = pile.pieces.len();
            pile.idle > 0
        });
        drop(guard);
        drop(unneeded);
    }

    /// Octets of memory that wait here.
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}

/// The next of eight sizes between two powers of two.
fn rounded(capacity: usize) -> usize {
    capacity.next_multiple_of((capacity.next_power_of_two() / 16).max(1))
}

fn is_kept(capacity: usize) -> bool {
    (limits::BYPASS_LEAST..=limits::SHELF_PIECE).contains(&capacity)
        && rounded(capacity) == capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(shelf: &Arc<Shelf>, size: usize) -> Bytes {
        let mut octets = Vec::new();
        shelf.enlarge(&mut octets, size);
        octets.resize(size, 1);
        shelf.lend(octets)
    }

    #[test]
    fn the_memory_of_a_message_is_used_by_the_next_of_about_its_size() {
        let shelf = Arc::default();
        let first = message(&shelf, 100_000);
        let (place, handle) = (first.as_ptr(), first.clone());
        drop(first);
        assert_eq!(shelf.bytes(), 0, "there is another handle");
        drop(handle);
        assert!((100_000..112_500).contains(&shelf.bytes()), "{}", shelf.bytes());

        assert_eq!(message(&shelf, 98_400).as_ptr(), place);
        assert_ne!(message(&shelf, 80_000).as_ptr(), place);
    }

    #[test]
    fn octets_move_along_when_their_memory_is_enlarged() {
        let shelf = Arc::new(Shelf::default());
        let mut octets = b"head".to_vec();
        shelf.enlarge(&mut octets, 50_000);
        octets.extend_from_slice(b"body");
        shelf.enlarge(&mut octets, 200_000);
        assert_eq!(octets, b"headbody");
        assert!(shelf.bytes() >= 50_000, "the smaller piece is kept");
    }

    #[test]
    fn at_most_an_eighth_is_unused() {
        for capacity in (limits::BYPASS_LEAST..600_000).step_by(97) {
            let rounded = rounded(capacity);
            assert!(capacity <= rounded && rounded - capacity <= rounded / 8, "{capacity}");
            assert_eq!(super::rounded(rounded), rounded);
        }
    }

    #[test]
    fn what_is_small_or_huge_or_too_much_is_not_kept() {
        let shelf = Arc::default();
        drop(message(&shelf, limits::BYPASS_LEAST / 2));
        drop(message(&shelf, limits::SHELF_PIECE + 1));
        assert_eq!(shelf.bytes(), 0);

        let many: Vec<_> = (0..400).map(|_| message(&shelf, 100_000)).collect();
        drop(many);
        let bytes = shelf.bytes();
        assert!((limits::SHELF_BYTES - 112_500..=limits::SHELF_BYTES).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_is_not_needed_goes_and_what_is_stays() {
        let shelf = Arc::default();
        let many: Vec<_> = (0..100).map(|_| message(&shelf, 100_000)).collect();
        drop(many);
        shelf.tidy(false);
        let kept = shelf.bytes();
        let busy: Vec<_> = (0..100).map(|_| message(&shelf, 100_000)).collect();
        drop(busy);
        shelf.tidy(false);
        assert_eq!(shelf.bytes(), kept, "all of it was needed");

        for _ in 0..60 {
            shelf.tidy(false);
        }
        assert_eq!(shelf.bytes(), 0);
    }
    #[test]
    fn everything_goes_when_memory_is_short() {
        let shelf = Arc::default();
        drop([message(&shelf, 100_000), message(&shelf, 200_000)]);
        assert!(shelf.bytes() > 300_000);
        shelf.tidy(true);
        assert_eq!(shelf.bytes(), 0);
    }
}
