//! Entries of a level that may not leave memory by way of the log: they are written elsewhere, and read again.
//!
//! Invariants:
//! * What is to be spilled waits in a stretch, among its neighbours, and can be read from there meanwhile.
//! * It leaves memory only if all of it is as it was when it was written.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Level, PagedIn, Portion, Stretch};
use crate::broker::delivery::{Deadline, Entry, Position};
use crate::broker::paging::Spilled;

/// What may be spilled.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker::queue) struct Spill {
    /// Entries at the front that stay.
    pub(in crate::broker::queue) kept: usize,
    /// What comes next of those behind stays as well.
    pub(in crate::broker::queue) spares_next: bool,
    /// Bytes that are worth a write.
    pub(in crate::broker::queue) least: usize,
    /// What expires by then stays: it goes soon anyway.
    pub(in crate::broker::queue) spares_until: Deadline,
}

/// What came of reading what was spilled.
#[derive(Debug, Default)]
pub(in crate::broker::queue::backlog) struct ReadBack {
    /// Entries that could not be read.
    pub(in crate::broker::queue::backlog) lost: usize,
    /// Bytes of bodies that are gone with them.
    pub(in crate::broker::queue::backlog) bytes: usize,
    /// The first of its neighbours that are not in memory, and when the first of these expires.
    pub(in crate::broker::queue::backlog) next: Option<(Position, Deadline)>,
}

impl Level {
    /// Entries that may be spilled together.
    pub(in crate::broker::queue::backlog) fn to_spill(&self, how: Spill) -> Option<Vec<Entry>> {
        if self.in_stored == self.absent {
            return None;
        }
        let spared = usize::from(how.spares_next);
        self.stored
            .iter()
            .skip(spared)
            .rev()
            .find_map(|stretch| stretch.to_spill(how.least, how.spares_until))
    }

    /// Moves entries from behind those at the front to where they may be spilled from. False if there are none.
    pub(in crate::broker::queue::backlog) fn make_spillable(&mut self, how: Spill) -> bool {
        if self.stored.is_empty() {
            if self.head.len() <= how.kept {
                return false;
            }
            self.tail = self.head.split_off(how.kept);
        } else if self.head.len() > 2 * how.kept {
            // What was just read is not written again at once: that is what `2 *` is for.
            let mut stretches = VecDeque::new();
            let mut behind = self.head.split_off(how.kept);
            while let Some(entry) = behind.pop() {
                self.push_resident(&mut stretches, entry);
            }
            stretches.append(&mut self.stored);
            self.stored = stretches;
            return true;
        }
        let mut stretches = std::mem::take(&mut self.stored);
        let mut is_any = false;
        while let Some(entry) = self.tail.pop() {
            is_any = true;
            if !self.push_resident(&mut stretches, entry) {
                break;
            }
        }
        self.stored = stretches;
        is_any
    }

    /// Adds an entry to the last of these, which are before all that is stored or all of it. True if there is room for
    /// more.
    fn push_resident(&mut self, stretches: &mut VecDeque<Stretch>, entry: Entry) -> bool {
        if !stretches.back().is_some_and(Stretch::has_room) {
            let number = self.next_number();
            stretches.push_back(Stretch::new(number));
        }
        let Some(stretch) = stretches.back_mut() else { return false };
        stretch.push_resident(entry);
        self.in_stored += 1;
        stretch.has_room()
    }

    /// These were written; takes them out of memory if all of them are still there as they were.
    pub(in crate::broker::queue::backlog) fn spilled(
        &mut self,
        entries: &[Entry],
        handle: Arc<dyn Spilled>,
    ) -> Option<Vec<Entry>> {
        let at = self.stretch_of(entries.first()?.position);
        let number = self.next_number();
        let freed = self.stored.get_mut(at)?.spill(entries, handle, number)?;
        self.absent += freed.len();
        Some(freed)
    }

    /// Takes in what was read of what was spilled: to its place, and to the front from there, as far as it can be.
    /// Nothing if it is not there any more.
    pub(in crate::broker::queue::backlog) fn read_back(
        &mut self,
        (first, handle): &(Position, Arc<dyn Spilled>),
        entries: Vec<Entry>,
        is_front: bool,
    ) -> Option<ReadBack> {
        let bodies: usize = entries.iter().map(|entry| entry.message.body_size()).sum();
        let found = entries.len();
        let at = self.stretch_of(*first);
        let stretch = self.stored.get_mut(at)?;
        let extent = stretch.read_back(handle, entries)?;
        let lost = extent.entries.saturating_sub(found);
        self.absent -= extent.entries;
        self.in_stored -= lost;
        let next = stretch.next_due();
        let mut read = ReadBack { lost, bytes: extent.bytes.saturating_sub(bodies), next };
        if is_front && at == 0 {
            read.bytes += self.take_in_resident();
        }
        self.tidy();
        Some(read)
    }

    /// Takes in what is in memory at the front of the first stretch. Returns the bytes of bodies that are found to be
    /// gone.
    fn take_in_resident(&mut self) -> usize {
        let Some(stretch) = self.stored.front() else { return 0 };
        let Ok(up_to) = stretch.in_memory_up_to() else { return 0 };
        let portion = Portion { entries: Vec::new(), count: 0, up_to };
        let number = stretch.number;
        let Some(PagedIn { bytes, entries, .. }) = self.page_in(number, portion) else { return 0 };
        self.take_in(entries);
        bytes
    }
}
