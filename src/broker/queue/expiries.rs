//! When ready messages expire.
//!
//! Invariants:
//! * Every ready entry in memory that expires is in here, and for those of a stretch that are not, the first of them. What is in here may have left the queue since: that is found
//!   out when its time has come, or when such leavings outnumber what is ready.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::backlog::{Backlog, Priority};
use crate::broker::delivery::{Deadline, Entry, Position};

/// Leavings that are not worth looking for.
const LEAVINGS_TOLERATED: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    soonest: BinaryHeap<Reverse<(Deadline, Position, Priority)>>,
}

impl Expiries {
    /// The entry is ready now.
    #[inline]
    pub(super) fn note(&mut self, entry: &Entry, priority: Priority) {
        if let Some(deadline) = entry.expires_at {
            self.soonest.push(Reverse((deadline, entry.position, priority)));
        }
    }

    /// A stretch has such an entry, which is not in memory.
    pub(super) fn note_stretch(&mut self, first: Position, soonest: Deadline, priority: Priority) {
        self.soonest.push(Reverse((soonest, first, priority)));
    }

    /// When somebody should look again.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.soonest.peek().map(|Reverse((deadline, ..))| *deadline)
    }

    /// Takes an entry out of `backlog` whose time has come. What is behind one that must be read first waits for it,
    /// so that they part in the order of their deadlines.
    pub(super) fn take_due(&mut self, now: Deadline, backlog: &mut Backlog) -> Option<Entry> {
        while !backlog.has_due() && self.next().is_some_and(|deadline| deadline <= now) {
            let Some(Reverse((deadline, position, priority))) = self.soonest.pop() else { break };
            if let Some(entry) = backlog.remove(position, priority, deadline) {
                return Some(entry);
            }
        }
        None
    }

    /// Forgets what is ready no more if that is most of what is noted.
    #[inline]
    pub(super) fn tidy(&mut self, backlog: &Backlog) {
        let in_memory = backlog.len() - backlog.absent();
        if self.soonest.len() > 2 * in_memory + LEAVINGS_TOLERATED + backlog.absent() / 64 {
            self.forget_leavings(backlog);
        }
    }

    fn forget_leavings(&mut self, backlog: &Backlog) {
        let mut kept = std::mem::take(&mut self.soonest).into_vec();
        kept.clear();
        kept.extend(backlog.places().filter_map(|(position, priority, expires_at)| {
            Some(Reverse((expires_at?, position, priority)))
        }));
        kept.shrink_to(2 * kept.len() + LEAVINGS_TOLERATED);
        self.soonest = BinaryHeap::from(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::message::{Layout, Message};

    fn entry(position: u64, expires_at_ms: Option<u64>) -> Entry {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        let message = Message::new(Bytes::new(), layout, false, false).unwrap();
        let expires_at = expires_at_ms.map(Deadline::at_ms);
        Entry { expires_at, ..Entry::new(Position(position), Arc::new(message)) }
    }

    #[test]
    fn what_consumers_take_before_its_time_does_not_pile_up() {
        let (mut backlog, mut expiries) = (Backlog::default(), Expiries::default());
        for position in 0..100_000 {
            let entry = entry(position, Some(1_000_000 + position));
            expiries.note(&entry, 0);
            backlog.push(entry, 0);
            backlog.pop();
            expiries.tidy(&backlog);
        }
        assert!(expiries.soonest.capacity() <= 1024, "{}", expiries.soonest.capacity());
    }

    proptest! {
        /// Every entry goes when its time has come and not before, wherever it stands.
        #[test]
        fn each_entry_expires_at_its_time(
            operations in prop::collection::vec((0_u8..5, prop::option::of(0_u64..50)), 1..150)
        ) {
            let (mut backlog, mut expiries) = (Backlog::default(), Expiries::default());
            let (mut model, mut now) = (Vec::new(), 1);
            for (next, (operation, ttl)) in operations.into_iter().enumerate() {
                let next = next as u64;
                match operation {
                    0..3 => {
                        let (entry, priority) = (entry(next, ttl.map(|ttl| now + ttl)), (next % 3) as u8);
                        expiries.note(&entry, priority);
                        backlog.push(entry, priority);
                        model.push((next, ttl.map(|ttl| now + ttl)));
                    }
                    3 => {
                        let popped = backlog.pop().map(|entry| entry.position.0);
                        model.retain(|(position, _)| Some(*position) != popped);
                    }
                    _ => now += ttl.unwrap_or(1),
                }
                let mut gone = Vec::new();
                while let Some(entry) = expiries.take_due(Deadline::at_ms(now), &mut backlog) {
                    gone.push(entry.position.0);
                }
                expiries.tidy(&backlog);
                gone.sort_unstable();
                let is_due = |deadline: Option<u64>| deadline.is_some_and(|at| at <= now);
                let due: Vec<u64> = model.iter().filter(|(_, at)| is_due(*at)).map(|(position, _)| *position).collect();
                prop_assert_eq!(gone, due);
                model.retain(|(_, at)| !is_due(*at));
                prop_assert_eq!(backlog.len(), model.len());
            }
        }
    }
}
