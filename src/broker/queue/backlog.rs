//! The ready messages of a queue: by priority, within a priority in the order of their positions.
//!
//! Invariants:
//! * A level's slots lie in rising position. A slot in the middle may be empty: its entry expired there. The
//!   first and the last one never are.
//! * The bottom level is at hand, so that a queue without priorities never looks any further.
//! * No level from `top` on has an entry.

mod level;

use self::level::Level;
use crate::broker::delivery::{Deadline, Entry, Position};

/// Priority of a message within its queue; 0 is the lowest.
pub(super) type Priority = u8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bottom: Level,
    /// The levels above, as far as they were needed so far; level 1 is the first.
    higher: Vec<Level>,
    /// Entries in `higher`.
    above: usize,
    /// How many levels of `higher` to look at.
    top: usize,
    bytes: usize,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.bottom.len() + self.above
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bottom.len() == 0 && self.above == 0
    }

    /// Bytes of the bodies in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An entry at or before `position` is in it.
    pub(super) fn reaches_back_to(&self, position: Position) -> bool {
        let starts = |level: &Level| level.first().is_some_and(|first| first <= position);
        starts(&self.bottom) || (self.above > 0 && self.higher.iter().any(starts))
    }

    /// Adds an entry whose position is above all others.
    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    pub(super) fn push(&mut self, entry: Entry, priority: Priority) {
        self.bytes += entry.message.body_size();
        let level = if priority == 0 {
            &mut self.bottom
        } else {
            self.above += 1;
            self.level(priority)
        };
        level.push(entry);
    }

    /// Takes the entry that is delivered next.
    #[expect(clippy::inline_always, reason = "see `Slot`: an entry must not go through memory")]
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let is_above = self.above > 0;
        let level = if is_above { self.highest() } else { &mut self.bottom };
        let entry = level.pop()?;
        self.above -= usize::from(is_above);
        self.bytes -= entry.message.body_size();
        Some(entry)
    }

    /// When the entry that is delivered next expires, if it does.
    #[inline]
    pub(super) fn next_expires_at(&mut self) -> Option<Deadline> {
        let level = if self.above == 0 { &self.bottom } else { self.highest() };
        level.first_expires_at()
    }

    /// The highest level that has an entry; one of those above the bottom has.
    #[inline(never)]
    fn highest(&mut self) -> &mut Level {
        while self.top > 1 && self.higher[self.top - 1].len() == 0 {
            self.top -= 1;
        }
        &mut self.higher[self.top - 1]
    }

    /// Takes the entry that a queue can best do without: the oldest of the lowest priority.
    pub(super) fn pop_least(&mut self) -> Option<Entry> {
        let entry = self.bottom.pop().or_else(|| {
            let found = self.higher.iter_mut().find_map(Level::pop)?;
            self.above -= 1;
            Some(found)
        })?;
        self.bytes -= entry.message.body_size();
        Some(entry)
    }

    /// Takes an entry out from wherever it stands, if it is still there.
    pub(super) fn remove(&mut self, position: Position, priority: Priority) -> Option<Entry> {
        let entry = self.level_if_any(priority)?.remove(position)?;
        if priority > 0 {
            self.above -= 1;
        }
        self.bytes -= entry.message.body_size();
        Some(entry)
    }

    /// Puts entries back where they were. They come in rising position.
    pub(super) fn put_back(
        &mut self,
        returned: Vec<Entry>,
        priority_of: impl Fn(&Entry) -> Priority,
    ) {
        self.bytes += returned.iter().map(|entry| entry.message.body_size()).sum::<usize>();
        let mut rest = returned;
        while let Some(priority) = rest.first().map(&priority_of) {
            let (same, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|entry| priority_of(entry) == priority);
            if priority > 0 {
                self.above += same.len();
            }
            self.level(priority).put_back(same);
            rest = others;
        }
    }

    /// Takes everything out, highest priority first.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let Self { bottom, higher, .. } = std::mem::take(self);
        higher.into_iter().rev().chain([bottom]).flat_map(Level::into_entries)
    }

    /// The place of every entry: position and priority, and when it expires.
    pub(super) fn places(&self) -> impl Iterator<Item = (Position, Priority, Option<Deadline>)> {
        let levels = std::iter::once(&self.bottom).chain(&self.higher);
        (0..=Priority::MAX).zip(levels).flat_map(|(priority, level)| {
            level.places().map(move |(position, expires_at)| (position, priority, expires_at))
        })
    }

    fn level_if_any(&mut self, priority: Priority) -> Option<&mut Level> {
        match priority.checked_sub(1) {
            None => Some(&mut self.bottom),
            Some(at) => self.higher.get_mut(usize::from(at)),
        }
    }

    #[inline(never)]
    fn level(&mut self, priority: Priority) -> &mut Level {
        let Some(at) = priority.checked_sub(1).map(usize::from) else { return &mut self.bottom };
        if self.higher.len() <= at {
            self.higher.resize_with(at + 1, Level::default);
        }
        self.top = self.top.max(at + 1);
        &mut self.higher[at]
    }
}

#[cfg(test)]
mod tests;
