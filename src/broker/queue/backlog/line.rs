//! Entries in memory, in rising position.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::delivery::{Deadline, Entry, Position};
use crate::broker::message::Message;

/// Empty slots are kept until there are this many more of them than entries.
const EMPTY_TOLERATED: usize = 32;

/// An entry in its place. The position outlives the message, so that the places stay searchable.
///
/// A queue writes and reads one for every message that passes. Written field by field and read again as a whole at
/// once, it stalls the processor, which was a tenth of what a small message costs; so whoever adds or takes an
/// entry is inlined, and its fields go between registers and their place.
#[derive(Debug)]
struct Slot {
    position: Position,
    message: Option<Arc<Message>>,
    expires_at: Option<Deadline>,
    returns: u32,
    redelivered: bool,
    durable: bool,
}

impl Slot {
    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    fn of(entry: Entry) -> Self {
        let Entry { position, message, expires_at, returns, redelivered, durable } = entry;
        Self { position, message: Some(message), expires_at, returns, redelivered, durable }
    }

    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    fn into_entry(self) -> Option<Entry> {
        let Self { position, message, expires_at, returns, redelivered, durable } = self;
        Some(Entry { position, message: message?, expires_at, returns, redelivered, durable })
    }

    /// The entry; the place stays.
    fn take(&mut self) -> Option<Entry> {
        let Self { position, expires_at, returns, redelivered, durable, .. } = *self;
        let message = self.message.take();
        Self { position, message, expires_at, returns, redelivered, durable }.into_entry()
    }

    fn is_empty(&self) -> bool {
        self.message.is_none()
    }
}

/// See the module; the invariants are in the parent's parent.
#[derive(Debug, Default)]
pub(super) struct Line {
    slots: VecDeque<Slot>,
    empty: usize,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.empty
    }

    pub(super) fn first(&self) -> Option<Position> {
        self.slots.front().map(|slot| slot.position)
    }

    pub(super) fn last(&self) -> Option<Position> {
        self.slots.back().map(|slot| slot.position)
    }

    /// When its first entry expires.
    #[inline]
    pub(super) fn first_expires_at(&self) -> Option<Deadline> {
        self.slots.front()?.expires_at
    }

    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.slots.back().is_none_or(|last| last.position < entry.position));
        self.slots.push_back(Slot::of(entry));
    }

    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let slot = self.slots.pop_front()?;
        if self.empty > 0 {
            self.trim();
        }
        slot.into_entry()
    }

    /// Takes out the entry at a position, if it expires then.
    pub(super) fn remove(&mut self, position: Position, expires_at: Deadline) -> Option<Entry> {
        let at = self.slots.binary_search_by_key(&position, |slot| slot.position).ok()?;
        let slot = self.slots.get_mut(at).filter(|slot| slot.expires_at == Some(expires_at))?;
        let entry = slot.take()?;
        self.empty += 1;
        self.trim();
        if self.empty > self.len() + EMPTY_TOLERATED {
            self.slots.retain(|slot| !slot.is_empty());
            self.empty = 0;
        }
        Some(entry)
    }

    /// Puts entries back, which come in rising position.
    pub(super) fn put_back(&mut self, returned: Vec<Entry>) {
        let Some(last) = returned.last().map(|entry| entry.position) else { return };
        let slots = returned.into_iter().map(Slot::of);
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

    /// The places of its entries, and when these expire.
    pub(super) fn places(&self) -> impl Iterator<Item = (Position, Option<Deadline>)> {
        let full = self.slots.iter().filter(|slot| !slot.is_empty());
        full.map(|slot| (slot.position, slot.expires_at))
    }

    /// Takes out everything behind its first `kept` places.
    pub(super) fn split_off(&mut self, kept: usize) -> Self {
        let slots = self.slots.split_off(kept.min(self.slots.len()));
        let empty = slots.iter().filter(|slot| slot.is_empty()).count();
        self.empty -= empty;
        let mut behind = Self { slots, empty };
        self.trim();
        behind.trim();
        behind
    }

    /// Adds entries that are all behind its own.
    pub(super) fn append(&mut self, mut behind: Self) {
        debug_assert!(
            self.last().is_none_or(|last| behind.first().is_none_or(|first| last < first))
        );
        self.empty += behind.empty;
        if self.slots.is_empty() {
            self.slots = behind.slots;
        } else {
            self.slots.append(&mut behind.slots);
        }
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.slots.into_iter().filter_map(Slot::into_entry)
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(Slot::is_empty) {
            self.slots.pop_front();
            self.empty -= 1;
        }
        while self.slots.back().is_some_and(Slot::is_empty) {
            self.slots.pop_back();
            self.empty -= 1;
        }
    }
}
