//! The ready messages of one priority: some in memory, then perhaps some that are only on disk, then some in
//! memory again.
//!
//! Invariants:
//! * Positions rise from `head` through `stored` to `tail`, and so do the stretches' in `stored`.
//! * Nothing is in `tail` unless something is stored: what is next is at the front of `head`, or must be read.

mod spill;

use std::collections::VecDeque;

pub(in crate::broker::queue) use self::spill::Spill;
use super::line::Line;
use super::stretch::{Portion, Stretch, soonest};
use crate::broker::delivery::{Absent, Deadline, Entry, Position, Run};
use crate::broker::queue::StoredStretch;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Level {
    head: Line,
    stored: VecDeque<Stretch>,
    tail: Line,
    /// Entries in `stored`.
    in_stored: usize,
    /// Of these, those that are not in memory.
    absent: usize,
    last_number: u64,
}

/// What left memory.
#[derive(Default)]
pub(in crate::broker::queue) struct PagedOut {
    /// To be freed when the lock is gone.
    pub(in crate::broker::queue) freed: Vec<Entry>,
    /// Stretches that expire at some time: the first position in each, and when.
    pub(in crate::broker::queue) expiring: Vec<(Position, Deadline)>,
}

/// What may leave memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker::queue) struct PageOut {
    /// Entries at the front that stay.
    pub(in crate::broker::queue) kept: usize,
    /// Everything durable before this position is in the log.
    pub(in crate::broker::queue) saved_before: Position,
    /// How many leave at most.
    pub(in crate::broker::queue) at_most: usize,
}

impl PageOut {
    fn may_leave(&self, entry: &Entry) -> bool {
        entry.durable && entry.position < self.saved_before
    }
}

impl Level {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.in_stored + self.tail.len()
    }

    /// How many are not in memory.
    pub(super) fn absent(&self) -> usize {
        self.absent
    }

    /// All of it is at hand.
    pub(super) fn is_at_hand(&self) -> bool {
        self.stored.is_empty()
    }

    /// How many are in memory and next.
    pub(super) fn at_hand(&self) -> usize {
        self.head.len()
    }

    pub(super) fn first(&self) -> Option<Position> {
        self.head.first().or_else(|| self.stored.front()?.first())
    }

    /// When its first entry expires, if that is in memory.
    #[inline]
    pub(super) fn first_expires_at(&self) -> Option<Deadline> {
        self.head.first_expires_at()
    }

    #[expect(
        clippy::inline_always,
        reason = "see `line::Slot`: an entry must not go through memory"
    )]
    #[inline(always)]
    pub(super) fn push(&mut self, entry: Entry) {
        let line = if self.stored.is_empty() { &mut self.head } else { &mut self.tail };
        line.push(entry);
    }

    /// Takes the next entry, if that is in memory.
    #[expect(
        clippy::inline_always,
        reason = "see `line::Slot`: an entry must not go through memory"
    )]
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.head.pop()
    }

    /// Takes an entry in memory out that expires then, from wherever it stands.
    pub(super) fn remove(&mut self, position: Position, expires_at: Deadline) -> Option<Entry> {
        if self.stored.is_empty() || self.head.last().is_some_and(|last| position <= last) {
            return self.head.remove(position, expires_at);
        }
        if self.tail.first().is_some_and(|first| first <= position) {
            return self.tail.remove(position, expires_at);
        }
        let at = self.stretch_of(position);
        let entry = self.stored.get_mut(at)?.remove(position, expires_at)?;
        self.in_stored -= 1;
        self.tidy();
        Some(entry)
    }

    /// Puts entries back, which come in rising position.
    pub(super) fn put_back(&mut self, mut returned: Vec<Entry>) {
        let Some(first) = self.stored.front().and_then(Stretch::first) else {
            return self.head.put_back(returned);
        };
        let last = self.stored.back().and_then(Stretch::last).unwrap_or(first);
        let behind = returned.split_off(returned.partition_point(|entry| entry.position <= last));
        let among = returned.split_off(returned.partition_point(|entry| entry.position < first));
        self.head.put_back(returned);
        self.tail.put_back(behind);
        for entry in among {
            let number = self.next_number();
            let at = self.stretch_of(entry.position);
            if let Some(stretch) = self.stored.get_mut(at) {
                stretch.insert(entry, number);
                self.in_stored += 1;
            }
        }
    }

    /// Puts entries back that are in the log only; they come in rising position.
    pub(super) fn put_back_absent(&mut self, absents: &[Absent]) {
        let (Some(first), Some(last)) = (absents.first(), absents.last()) else { return };
        if self.head.last().is_some_and(|behind| first.position < behind) {
            let head = std::mem::take(&mut self.head);
            let stretch = self.in_memory(head);
            self.stored.push_front(stretch);
        }
        if self.tail.first().is_some_and(|before| before < last.position) {
            let tail = std::mem::take(&mut self.tail);
            let stretch = self.in_memory(tail);
            self.stored.push_back(stretch);
        }
        let mut rest = absents;
        while let Some(first) = rest.first() {
            let at = self.stretch_of(first.position);
            let taken = self.put_back_at(at, rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.in_stored += absents.len();
        self.absent += absents.len();
    }

    /// Puts the first of `absents` into the stretch at `at`, or before it: into the one there, or a new one. Returns how many went there.
    fn put_back_at(&mut self, at: usize, absents: &[Absent]) -> usize {
        let number = self.next_number();
        let (Some(next), Some(first)) = (self.stored.get_mut(at), absents.first()) else {
            let stretch = new_stretch(number, absents);
            let taken = stretch.len();
            self.stored.insert(at, stretch);
            return taken;
        };
        let before = next.first().unwrap_or(Position(0));
        if first.position >= before {
            let last = next.last().unwrap_or(before);
            let taken = absents.partition_point(|absent| absent.position <= last);
            next.merge(absents.get(..taken).unwrap_or_default(), number);
            return taken;
        }
        let fits = absents.partition_point(|absent| absent.position < before);
        let absents = absents.get(..fits).unwrap_or_default();
        let behind = at.checked_sub(1).and_then(|at| self.stored.get_mut(at));
        if let Some(stretch) = behind.filter(|stretch| stretch.has_room()) {
            stretch.number = number;
            return add_all(stretch, absents);
        }
        let stretch = new_stretch(number, absents);
        let taken = stretch.len();
        self.stored.insert(at, stretch);
        taken
    }

    fn in_memory(&mut self, line: Line) -> Stretch {
        let mut stretch = Stretch::new(self.next_number());
        stretch.resident.extend(line.into_entries());
        self.in_stored += stretch.len();
        stretch
    }

    /// Lets messages leave memory, from behind those that stay.
    pub(super) fn page_out(&mut self, how: PageOut, out: &mut PagedOut) {
        let limit = out.freed.len() + how.at_most;
        for at in 0..self.stored.len() {
            if out.freed.len() >= limit {
                return;
            }
            self.page_out_among(at, how, out);
        }
        if self.head.len() > how.kept {
            self.page_out_head(how, limit, out);
        }
        while out.freed.len() < limit && self.tail.first().is_some_and(|at| at < how.saved_before) {
            let Some(entry) = self.tail.pop() else { break };
            self.store_last(entry, how, out);
        }
    }

    /// Those that came back to a stretch.
    fn page_out_among(&mut self, at: usize, how: PageOut, out: &mut PagedOut) {
        let number = self.last_number + 1;
        let Some(stretch) = self.stored.get_mut(at) else { return };
        let (freed, soonest) = (out.freed.len(), stretch.soonest);
        stretch.page_out(&|entry| how.may_leave(entry), number, &mut out.freed);
        if out.freed.len() > freed {
            self.last_number = number;
            self.absent += out.freed.len() - freed;
            if stretch.soonest != soonest {
                out.expiring.extend(stretch.next_due());
            }
        }
    }

    /// What is at the front beyond what stays goes before everything that is stored, without the tail if nothing is.
    fn page_out_head(&mut self, how: PageOut, limit: usize, out: &mut PagedOut) {
        let mut behind = self.head.split_off(how.kept);
        let stored = std::mem::take(&mut self.stored);
        let before_stored = |line: &Line| {
            !stored.is_empty() || line.first().is_some_and(|at| at < how.saved_before)
        };
        while before_stored(&behind) {
            let Some(entry) = behind.pop() else { break };
            if out.freed.len() < limit || !stored.is_empty() {
                self.store_last(entry, how, out);
            } else {
                behind.put_back(vec![entry]);
                break;
            }
        }
        if stored.is_empty() && self.stored.is_empty() {
            self.head.append(behind);
        } else if stored.is_empty() {
            self.tail = behind;
        }
        self.stored.extend(stored);
    }

    /// Adds an entry to the last stretch.
    fn store_last(&mut self, entry: Entry, how: PageOut, out: &mut PagedOut) {
        let number = self.next_number();
        if !self.stored.back().is_some_and(Stretch::has_room) {
            self.stored.push_back(Stretch::new(number));
        }
        let Some(stretch) = self.stored.back_mut() else { return };
        stretch.number = number;
        self.in_stored += 1;
        if !how.may_leave(&entry) {
            stretch.push_resident(entry);
            return;
        }
        let soonest = stretch.soonest;
        let absent = Absent::of(&entry);
        stretch.push(&absent);
        self.absent += 1;
        if stretch.soonest != soonest {
            out.expiring.extend(stretch.next_due());
        }
        out.freed.push(entry);
    }

    /// Adds what a restart found, which is behind all there is.
    pub(super) fn restore(&mut self, stretch: StoredStretch) {
        let StoredStretch { members, entries, bytes, expires_at, .. } = stretch;
        let number = self.next_number();
        self.stored.push_back(Stretch::stored(number, members, entries, bytes, expires_at));
        self.in_stored += entries;
        self.absent += entries;
    }

    /// The stretch that comes next.
    pub(super) fn front(&self) -> Option<&Stretch> {
        self.stored.front()
    }

    /// The stretch that holds this position, or would.
    pub(super) fn stretch_at(&self, position: Position) -> Option<&Stretch> {
        self.stored.get(self.stretch_of(position))
    }

    /// Takes a portion out of the stretch of this number, or nothing if that stretch does not come next any more.
    pub(super) fn page_in(&mut self, number: u64, portion: Portion) -> Option<PagedIn> {
        let stretch = self.stored.front_mut().filter(|stretch| stretch.number == number)?;
        let (len, absent) = (stretch.len(), stretch.absent());
        let (entries, bytes) = stretch.take(portion);
        self.in_stored -= len - stretch.len();
        self.absent -= absent - stretch.absent();
        let lost = (len - stretch.len()).saturating_sub(entries.len());
        Some(PagedIn { lost, bytes, entries, next: stretch.next_due() })
    }

    /// What [`Level::page_in`] handed out is at hand now.
    pub(super) fn take_in(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.head.push(entry);
        }
        self.tidy();
    }

    /// Takes out of the stretch of this number what has expired of a portion. Returns the bytes of their bodies, and the
    /// first of the others with when the first of these expires, if all were looked at. Nothing if there is no such
    /// stretch any more.
    pub(super) fn forget_expired(
        &mut self,
        number: u64,
        examined: &Examined<'_>,
    ) -> Option<(usize, Option<(Position, Deadline)>)> {
        let &Examined { expired, up_to, soonest: later } = examined;
        let stretch = self.stored.iter_mut().find(|stretch| stretch.number == number)?;
        let absent = stretch.absent();
        let bytes = stretch.forget_expired(expired);
        let before = stretch.examined.take().and_then(|(_, soonest)| soonest);
        let later = soonest(before, later);
        let mut next = None;
        if let Some(up_to) = up_to {
            stretch.examined = Some((up_to, later));
        } else {
            stretch.soonest = later;
            next = stretch.next_due();
        }
        let gone = absent - stretch.absent();
        self.in_stored -= gone;
        self.absent -= gone;
        self.tidy();
        Some((bytes, next))
    }

    /// Stretches without entries go.
    fn tidy(&mut self) {
        while self.stored.pop_front_if(|stretch| stretch.len() == 0).is_some() {}
        while self.stored.pop_back_if(|stretch| stretch.len() == 0).is_some() {}
        if self.stored.is_empty() && self.tail.len() > 0 {
            let tail = std::mem::take(&mut self.tail);
            self.head.append(tail);
        }
    }

    /// The first stretch that ends at or behind `position`.
    fn stretch_of(&self, position: Position) -> usize {
        self.stored.partition_point(|stretch| stretch.last().is_some_and(|last| last < position))
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The places of its entries in memory, and when these expire; of a stretch, its first.
    pub(super) fn places(&self) -> impl Iterator<Item = (Position, Option<Deadline>)> {
        let stretches = self.stored.iter().filter_map(Stretch::next_due);
        let stretches = stretches.map(|(first, deadline)| (first, Some(deadline)));
        let among = self.stored.iter().flat_map(|stretch| &stretch.resident);
        let among = among.map(|entry| (entry.position, entry.expires_at));
        self.head.places().chain(stretches).chain(among).chain(self.tail.places())
    }

    /// Takes everything out: entries in memory, and where the others lie.
    pub(super) fn into_parts(self) -> (impl Iterator<Item = Entry>, Vec<Run>) {
        let runs = self.stored.iter().flat_map(Stretch::runs).collect();
        let among = self.stored.into_iter().flat_map(|stretch| stretch.resident);
        (self.head.into_entries().chain(among).chain(self.tail.into_entries()), runs)
    }
}

/// What came of reading a portion.
pub(in crate::broker::queue) struct PagedIn {
    /// Entries that could not be read.
    pub(in crate::broker::queue) lost: usize,
    /// Bytes of bodies that are in the log only no more.
    pub(in crate::broker::queue) bytes: usize,
    /// What was read, and what lay in memory among it.
    pub(in crate::broker::queue) entries: Vec<Entry>,
    /// The first of the others in its stretch, and when the first of these expires.
    pub(in crate::broker::queue) next: Option<(Position, Deadline)>,
}

/// A portion of a stretch that was looked through for what has expired.
pub(in crate::broker::queue) struct Examined<'a> {
    pub(in crate::broker::queue) expired: &'a [Entry],
    /// Up to where. `None`: to its end.
    pub(in crate::broker::queue) up_to: Option<Position>,
    /// When the first of the rest expires.
    pub(in crate::broker::queue) soonest: Option<Deadline>,
}

fn new_stretch(number: u64, absents: &[Absent]) -> Stretch {
    let mut stretch = Stretch::new(number);
    add_all(&mut stretch, absents);
    stretch
}

/// Adds entries behind all others as long as there is room. Returns how many.
fn add_all(stretch: &mut Stretch, absents: &[Absent]) -> usize {
    let mut added = 0;
    for absent in absents {
        if !stretch.has_room() {
            break;
        }
        stretch.push(absent);
        added += 1;
    }
    added
}
