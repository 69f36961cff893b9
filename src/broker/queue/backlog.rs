//! The ready messages of a queue: by priority, within a priority in the order of their positions. Some of them may
//! be in the log only, see `level` and `stretch`.
//!
//! Invariants:
//! * A line's slots lie in rising position. A slot in the middle may be empty: its entry expired there. The
//!   first and the last one never are.
//! * The bottom level is at hand, so that a queue without priorities never looks any further.
//! * No level from `top` on has an entry.

mod level;
mod line;
mod spill;
mod stretch;

use std::sync::Arc;

use self::level::{Examined, Level};
pub(super) use self::level::{PageOut, PagedOut, Spill};
pub(super) use self::spill::{SpillStep, ToSpill};
pub(super) use self::stretch::Portion;
pub use self::stretch::{Members, add_member};
use self::stretch::{Part, Stretch};
use super::StoredStretch;
use crate::broker::delivery::{Absent, Deadline, Entry, Position, Run};
use crate::broker::message::Message;
use crate::broker::paging::{Resident, Spilled};
use crate::limits;

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
    resident: Resident,
    /// The stretch in which something has expired: its level, and a position in it. What expires later waits for it.
    due: Option<(Priority, Position)>,
    /// How often all of it was taken out: numbers of stretches mean something between two such times.
    epoch: u64,
}

/// What is to be read of a queue's backlog, and of which of its stretches.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) level: Priority,
    epoch: u64,
    number: u64,
    /// The front of the level, or what has expired in it.
    pub(super) is_front: bool,
    pub(super) members: Vec<Members>,
    /// Where the members end if they are not all; what is in memory before that comes with them.
    pub(super) before: Option<Position>,
    /// This is to be read instead of any members; where it begins.
    pub(super) spilled: Option<(Position, Arc<dyn Spilled>)>,
}

impl Wanted {
    fn part(epoch: u64, level: Priority, number: u64, is_front: bool, part: Part) -> Self {
        let Part { members, before, spilled } = part;
        Self { level, epoch, number, is_front, members, before, spilled }
    }

    /// What was read of its members, up to there or all of them.
    pub(super) fn portion(
        &self,
        entries: Vec<Entry>,
        count: usize,
        up_to: Option<Position>,
    ) -> Portion {
        let last = self.before.map(|before| Position(before.0.saturating_sub(1)));
        Portion { entries, count, up_to: up_to.or(last) }
    }
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.bottom.len() + self.above
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bottom.len() == 0 && self.above == 0
    }

    /// What of it is in memory.
    #[inline]
    pub(super) fn resident(&self) -> Resident {
        self.resident
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
        self.count_in(&entry);
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
        self.count_out(&entry);
        Some(entry)
    }

    #[inline]
    fn count_in(&mut self, entry: &Entry) {
        self.bytes += entry.message.body_size();
        self.resident.add(entry);
    }

    #[inline]
    fn count_out(&mut self, entry: &Entry) {
        self.bytes -= entry.message.body_size();
        self.resident.subtract(entry);
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
        let entry = if self.bottom.len() > 0 {
            self.bottom.pop()?
        } else {
            let lowest = self.higher.iter_mut().find(|level| level.len() > 0)?;
            let entry = lowest.pop()?;
            self.above -= 1;
            entry
        };
        self.count_out(&entry);
        Some(entry)
    }

    /// Takes an entry out that expired then, from wherever it stands, if it is still there and in memory. If it is
    /// not in memory it is wanted from now on; so is a stretch that the position stands for.
    pub(super) fn remove(
        &mut self,
        position: Position,
        priority: Priority,
        expired_at: Deadline,
    ) -> Option<Entry> {
        let level = self.level_if_any(priority)?;
        let Some(entry) = level.remove(position, expired_at) else {
            let soonest = level.stretch_at(position).and_then(Stretch::due_at);
            let is_due = soonest.is_some_and(|soonest| soonest <= expired_at);
            if is_due {
                self.due.get_or_insert((priority, position));
            }
            return None;
        };
        if priority > 0 {
            self.above -= 1;
        }
        self.count_out(&entry);
        Some(entry)
    }

    /// Puts entries back where they were. They come in rising position.
    pub(super) fn put_back(
        &mut self,
        returned: Vec<Entry>,
        priority_of: impl Fn(&Entry) -> Priority,
    ) {
        for entry in &returned {
            self.count_in(entry);
        }
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

    /// Takes everything out, highest priority first: entries in memory, and where the others lie.
    pub(super) fn take_all(&mut self) -> (impl Iterator<Item = Entry> + use<>, Vec<Run>) {
        let emptied = Self { epoch: self.epoch + 1, ..Self::default() };
        let Self { bottom, higher, .. } = std::mem::replace(self, emptied);
        let levels = higher.into_iter().rev().chain([bottom]);
        let (entries, runs): (Vec<_>, Vec<_>) = levels.map(Level::into_parts).unzip();
        (entries.into_iter().flatten(), runs.concat())
    }

    /// The place of every entry in memory: position and priority, and when it expires. A stretch of others stands for
    /// the first of them that does.
    pub(super) fn places(&self) -> impl Iterator<Item = (Position, Priority, Option<Deadline>)> {
        self.levels_up().flat_map(|(priority, level)| {
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

/// What is not in memory.
impl Backlog {
    /// Entries that are not in memory.
    #[inline]
    pub(super) fn absent(&self) -> usize {
        if self.above == 0 { self.bottom.absent() } else { self.absent_anywhere() }
    }

    #[cold]
    fn absent_anywhere(&self) -> usize {
        self.levels().map(Level::absent).sum()
    }

    /// Nothing has to be read before all of it can be taken.
    #[inline]
    pub(super) fn is_at_hand(&self) -> bool {
        if self.above == 0 {
            return self.bottom.is_at_hand();
        }
        self.levels().all(Level::is_at_hand)
    }

    /// An entry can be taken, not only known to be there.
    pub(super) fn has_next(&self) -> bool {
        if self.above == 0 {
            return self.bottom.at_hand() > 0;
        }
        let next = self.levels().rev().find(|level| level.len() > 0);
        next.is_some_and(|level| level.at_hand() > 0)
    }

    /// How many messages of its size make up so many bytes at the front of a level.
    pub(super) fn kept_at_hand(&self, at_hand_bytes: usize) -> usize {
        at_hand(self.len(), self.bytes, at_hand_bytes)
    }

    fn levels(&self) -> impl DoubleEndedIterator<Item = &Level> {
        std::iter::once(&self.bottom).chain(&self.higher)
    }

    /// The levels and their priorities, the lowest first.
    fn levels_up(&self) -> impl Iterator<Item = (Priority, &Level)> {
        (0..=Priority::MAX).zip(self.levels())
    }

    fn levels_up_mut(&mut self) -> impl Iterator<Item = (Priority, &mut Level)> {
        (0..=Priority::MAX).zip(std::iter::once(&mut self.bottom).chain(&mut self.higher))
    }

    /// Puts entries back that are in the log only, each in its level. They come in rising position.
    pub(super) fn put_back_absent(
        &mut self,
        mut absents: Vec<Absent>,
        level_of: impl Fn(&Absent) -> Priority,
    ) {
        self.bytes += absents.iter().map(|absent| absent.body_size).sum::<usize>();
        while let Some(level) = absents.first().map(&level_of) {
            let (same, others): (Vec<_>, Vec<_>) =
                absents.into_iter().partition(|absent| level_of(absent) == level);
            if level > 0 {
                self.above += same.len();
            }
            self.level(level).put_back_absent(&same);
            absents = others;
        }
    }

    /// Adds what a restart found, behind all there is in its level.
    pub(super) fn restore(&mut self, stretch: StoredStretch) {
        self.bytes += stretch.bytes;
        if stretch.level > 0 {
            self.above += stretch.entries;
        }
        self.level(stretch.level).restore(stretch);
    }

    /// Lets messages leave memory, those of the lowest priority first.
    pub(super) fn page_out(&mut self, how: PageOut) -> Vec<(Priority, PagedOut)> {
        let mut all = Vec::new();
        let mut left = how.at_most;
        let mut resident = self.resident;
        for (priority, level) in self.levels_up_mut() {
            let mut out = PagedOut::default();
            level.page_out(PageOut { at_most: left, ..how }, &mut out);
            left = left.saturating_sub(out.freed.len());
            out.freed.iter().for_each(|entry| resident.subtract(entry));
            if !out.freed.is_empty() {
                all.push((priority, out));
            }
            if left == 0 {
                break;
            }
        }
        self.resident = resident;
        all
    }

    /// What must be read before the next entry can be taken, or soon, which is when less than so many bytes are left;
    /// `least` is for what a queue can best do without.
    pub(super) fn wanted(&self, least: bool, at_hand_bytes: usize) -> Option<Wanted> {
        let mut levels = self.levels_up().filter(|(_, level)| level.len() > 0);
        let (priority, level) = if least { levels.next()? } else { levels.last()? };
        let stretch = level.front()?;
        // Never more than stays when others leave: else it would come and go for good.
        let of_stretch = at_hand(stretch.absent(), stretch.absent_bytes(), at_hand_bytes);
        if level.at_hand() >= of_stretch.min(self.kept_at_hand(at_hand_bytes)) {
            return None;
        }
        Some(Wanted::part(self.epoch, priority, stretch.number, true, stretch.next_part()))
    }

    /// Something in it has expired that must be read before it can be parted with.
    #[inline]
    pub(super) fn has_due(&self) -> bool {
        self.due.is_some()
    }

    /// What must be read because something in it has expired.
    pub(super) fn due(&mut self, now: Deadline) -> Option<Wanted> {
        let (priority, position) = self.due?;
        let level = self.level_if_any(priority);
        let stretch = level.and_then(|level| level.stretch_at(position));
        let due = stretch.and_then(|one| Some((one.number, one.due_part(now)?)));
        if due.is_none() {
            self.due = None;
        }
        due.map(|(number, part)| Wanted::part(self.epoch, priority, number, false, part))
    }

    fn level_of(&mut self, wanted: &Wanted) -> Option<&mut Level> {
        if wanted.epoch == self.epoch { self.level_if_any(wanted.level) } else { None }
    }

    /// Takes in what was read of the front. Returns how many were lost, and where and when the first of the others in its
    /// stretch expires; nothing if that is not the front any more.
    pub(super) fn page_in(
        &mut self,
        wanted: &Wanted,
        portion: Portion,
    ) -> Option<(usize, Option<(Position, Deadline)>)> {
        let mut read = Resident::default();
        portion.entries.iter().for_each(|entry| read.add(entry));
        let bodies: usize = portion.entries.iter().map(|entry| entry.message.body_size()).sum();
        let level = self.level_of(wanted)?;
        let paged_in = level.page_in(wanted.number, portion)?;
        level.take_in(paged_in.entries);
        self.bytes = (self.bytes + bodies).saturating_sub(paged_in.bytes);
        self.resident.join(read);
        if wanted.level > 0 {
            self.above -= paged_in.lost;
        }
        Some((paged_in.lost, paged_in.next))
    }

    /// Takes out what has expired of a portion of a stretch; the others stay where they are. Nothing if the stretch is
    /// not as it was any more.
    pub(super) fn expire(
        &mut self,
        wanted: &Wanted,
        portion: Portion,
        now: Deadline,
    ) -> Option<Expired> {
        let Portion { entries, up_to, .. } = portion;
        let (mut gone, left): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.expires_at.is_some_and(|at| at <= now));
        let soonest = left.iter().filter_map(|entry| entry.expires_at).min();
        let level = self.level_of(wanted)?;
        let examined = Examined { expired: &gone, up_to, soonest };
        let (bytes, next) = level.forget_expired(wanted.number, &examined)?;
        gone.sort_by_key(|entry| (entry.expires_at, entry.position));
        if wanted.level > 0 {
            self.above -= gone.len();
        }
        self.bytes -= bytes;
        Some(Expired { gone, next })
    }
}

/// How many messages should be at hand of which so many have bodies of so many bytes.
fn at_hand(messages: usize, bytes: usize, at_hand_bytes: usize) -> usize {
    let size = bytes / messages.max(1) + limits::ENTRY_OVERHEAD;
    (at_hand_bytes / size).clamp(1, limits::AT_HAND_LOW)
}

/// What of a stretch has expired.
pub(super) struct Expired {
    pub(super) gone: Vec<Entry>,
    /// The first of the others, if all were looked at, and when the first of these expires.
    pub(super) next: Option<(Position, Deadline)>,
}

/// Bytes that a message in memory takes up, with what is kept about it.
pub(in crate::broker) fn footprint(message: &Message) -> usize {
    message.size() + limits::ENTRY_OVERHEAD
}

#[cfg(test)]
mod tests;
