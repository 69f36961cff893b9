//! The ready messages of one priority.

use std::collections::VecDeque;

use crate::broker::delivery::{Entry, Position};

/// Empty slots are kept until there are this many more of them than entries.
const EMPTY_TOLERATED: usize = 32;

/// A place in a level. Its position outlives the entry, so that the places stay searchable.
#[derive(Debug)]
struct Slot {
    position: Position,
    entry: Option<Entry>,
}

/// See the module; the invariants are in the parent.
#[derive(Debug, Default)]
pub(super) struct Level {
    slots: VecDeque<Slot>,
    empty: usize,
}

impl Level {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.empty
    }

    pub(super) fn first(&self) -> Option<&Entry> {
        self.slots.front()?.entry.as_ref()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.slots.back().is_none_or(|last| last.position < entry.position));
        self.slots.push_back(Slot { position: entry.position, entry: Some(entry) });
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.slots.pop_front()?.entry;
        if self.empty > 0 {
            self.trim();
        }
        entry
    }

    pub(super) fn remove(&mut self, position: Position) -> Option<Entry> {
        let at = self.slots.binary_search_by_key(&position, |slot| slot.position).ok()?;
        let entry = self.slots.get_mut(at)?.entry.take()?;
        self.empty += 1;
        self.trim();
        if self.empty > self.len() + EMPTY_TOLERATED {
            self.slots.retain(|slot| slot.entry.is_some());
            self.empty = 0;
        }
        Some(entry)
    }

    /// Puts entries back, which come in rising position.
    pub(super) fn put_back(&mut self, returned: Vec<Entry>) {
        let Some(last) = returned.last().map(|entry| entry.position) else { return };
        let slots =
            returned.into_iter().map(|entry| Slot { position: entry.position, entry: Some(entry) });
        if self.slots.front().is_none_or(|first| last < first.position) {
            for slot in slots.rev() {
                self.slots.push_front(slot);
            }
            return;
        }
        // Those behind `last` stay put. Two sorted runs: the standard sort merges them in linear time.
        let cut = self.slots.partition_point(|slot| slot.position < last);
        let mut head: Vec<Slot> = self.slots.drain(..cut).collect();
        head.extend(slots);
        head.sort_by_key(|slot| slot.position);
        for slot in head.into_iter().rev() {
            self.slots.push_front(slot);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.slots.into_iter().filter_map(|slot| slot.entry)
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_front();
            self.empty -= 1;
        }
        while self.slots.back().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_back();
            self.empty -= 1;
        }
    }
}
