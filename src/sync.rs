//! Locks with a place in an order.
//!
//! Invariants:
//! * A thread takes ranked locks in rising rank only; a debug build panics on anything else.
//! * A panic while a ranked lock is held aborts the process: the state behind it may be half changed,
//!   and restarting from disk is the path that is tested.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[expect(clippy::disallowed_types, reason = "this is the wrapper everybody else must use")]
type Inner<T> = parking_lot::Mutex<T>;

/// The lock order of the process. Gaps leave room.
pub mod rank {
    /// The collection gate: transactions and fan-outs shared, the committer exclusive.
    pub const GATE: u8 = 0;
    /// A virtual host's definitions.
    pub const DEFINITIONS: u8 = 1;
    /// One queue. Never two at once.
    pub const QUEUE: u8 = 2;
    /// One connection's outbox and ledgers.
    pub const OUTBOX: u8 = 3;
    /// One exchange's bindings.
    pub const EXCHANGE: u8 = 4;
    /// The files of spilled messages, which only the page thread reads and writes.
    pub const SPILL: u8 = 7;
    /// The tail of the log. Its state reads the checkpoint while it is held.
    pub const TAIL: u8 = 8;
    /// Anything that calls nothing else while it is held.
    pub const LEAF: u8 = 9;
    /// Memory of large messages that have gone: the last handle to one may be dropped under any other lock.
    pub const SHELF: u8 = 10;
}

/// A mutex with a place in the lock order, see [`rank`].
#[derive(Debug, Default)]
pub struct RankedMutex<const RANK: u8, T> {
    inner: Inner<T>,
}

impl<const RANK: u8, T> RankedMutex<RANK, T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: Inner::new(value) }
    }

    /// Takes the lock, waiting for it if need be.
    pub fn lock(&self) -> RankedGuard<'_, RANK, T> {
        order::enter(RANK);
        RankedGuard { guard: self.inner.lock() }
    }
}

/// Holds a [`RankedMutex`].
#[must_use = "the lock is released at once"]
pub struct RankedGuard<'a, const RANK: u8, T> {
    guard: parking_lot::MutexGuard<'a, T>,
}

impl<const RANK: u8, T> RankedGuard<'_, RANK, T> {
    /// Waits on `condvar`; the lock is free meanwhile.
    pub fn wait(&mut self, condvar: &parking_lot::Condvar) {
        condvar.wait(&mut self.guard);
    }

    /// Waits on `condvar` for at most `timeout`. True if it timed out.
    pub fn wait_for(
        &mut self,
        condvar: &parking_lot::Condvar,
        timeout: std::time::Duration,
    ) -> bool {
        condvar.wait_for(&mut self.guard, timeout).timed_out()
    }
}

impl<const RANK: u8, T> Deref for RankedGuard<'_, RANK, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<const RANK: u8, T> DerefMut for RankedGuard<'_, RANK, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<const RANK: u8, T> Drop for RankedGuard<'_, RANK, T> {
    fn drop(&mut self) {
        order::leave(RANK);
        abort_if_panicking(RANK);
    }
}

/// A reader-writer lock of rank [`rank::GATE`], held shared by whoever makes several queues' changes
/// belong together, exclusively by whoever must see them whole.
#[derive(Debug, Default)]
pub struct Gate {
    inner: parking_lot::RwLock<()>,
}

impl Gate {
    /// A gate nobody holds.
    pub const fn new() -> Self {
        Self { inner: parking_lot::RwLock::new(()) }
    }

    /// Holds the gate together with others who share it.
    pub fn share(&self) -> impl Drop + '_ {
        order::enter(rank::GATE);
        GateGuard { _guard: self.inner.read() }
    }

    /// Holds the gate alone.
    pub fn close(&self) -> impl Drop + '_ {
        order::enter(rank::GATE);
        GateGuard { _guard: self.inner.write() }
    }
}

struct GateGuard<G> {
    _guard: G,
}

impl<G> Drop for GateGuard<G> {
    fn drop(&mut self) {
        order::leave(rank::GATE);
        abort_if_panicking(rank::GATE);
    }
}

/// Counts who holds a place of something that is limited.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<AtomicU64>);

/// A place, free again when it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again at once"]
pub struct Place(Arc<AtomicU64>);

impl Places {
    /// Takes a place. Fails with the limit if as many are taken; without a limit it never does.
    pub fn take(&self, limit: Option<u64>) -> Result<Place, u64> {
        let one_more = |taken| (limit.is_none_or(|limit| taken < limit)).then_some(taken + 1);
        // Only the number counts; nothing else is published with it.
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Place(Arc::clone(&self.0))),
            Err(taken) => Err(limit.unwrap_or(taken)),
        }
    }

    /// How many are taken.
    #[cfg(test)]
    fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A process whose locked state may be half changed must not go on.
fn abort_if_panicking(rank: u8) {
    // A test that fails while it holds a lock should be reported, not kill the other tests.
    if std::thread::panicking() && !cfg!(test) {
        tracing::error!(rank, "panic inside a critical section; stopping to restart from disk");
        std::process::abort();
    }
}

#[cfg(debug_assertions)]
mod order {
    use std::cell::RefCell;

    thread_local! {
        static HELD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn enter(rank: u8) {
        HELD.with_borrow_mut(|held| {
            let highest = held.iter().copied().max();
            assert!(
                highest.is_none_or(|highest| highest < rank),
                "lock of rank {rank} taken while {held:?} are held; the order is rising"
            );
            held.push(rank);
        });
    }

    pub(super) fn leave(rank: u8) {
        HELD.with_borrow_mut(|held| {
            if let Some(at) = held.iter().rposition(|&one| one == rank) {
                held.swap_remove(at);
            }
        });
    }
}

#[cfg(not(debug_assertions))]
mod order {
    pub(super) fn enter(_rank: u8) {}
    pub(super) fn leave(_rank: u8) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_rising_rank() {
        let queue = RankedMutex::<{ rank::QUEUE }, _>::new(());
        let outbox = RankedMutex::<{ rank::OUTBOX }, _>::new(());
        let _queue = queue.lock();
        let _outbox = outbox.lock();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "the order is rising")]
    fn a_lower_rank_under_a_higher_one_is_refused() {
        let queue = RankedMutex::<{ rank::QUEUE }, _>::new(());
        let outbox = RankedMutex::<{ rank::OUTBOX }, _>::new(());
        let _outbox = outbox.lock();
        let _queue = queue.lock();
    }

    #[test]
    fn as_many_places_are_taken_as_there_are_and_a_dropped_one_is_free_again() {
        let places = Places::default();
        let first = places.take(Some(2)).unwrap();
        let _second = places.take(Some(2)).unwrap();
        assert_eq!(places.take(Some(2)).unwrap_err(), 2);
        drop(first);
        let _again = places.take(Some(2)).unwrap();
        let _unlimited = places.take(None).unwrap();
        assert_eq!(places.taken(), 3);
        assert_eq!(places.take(Some(0)).unwrap_err(), 0);
    }

    #[test]
    fn a_released_lock_no_longer_counts() {
        let queue = RankedMutex::<{ rank::QUEUE }, _>::new(());
        let outbox = RankedMutex::<{ rank::OUTBOX }, _>::new(());
        drop(outbox.lock());
        drop(queue.lock());
    }
}
