//! Entries of a stretch that were spilled: written where only this run of the broker finds them.
//!
//! Invariants:
//! * An extent comes back whole, its entries then lie in `resident`; so a portion never ends inside of one.
//! * An entry is in an extent or in memory, never in both.

use std::sync::Arc;

use super::{Members, Stretch, soonest};
use crate::broker::delivery::{Deadline, Entry, Position, Run};
use crate::broker::paging::Spilled;
use crate::broker::queue::footprint;
use crate::limits;

/// Entries that were spilled together.
#[derive(Debug)]
pub(in crate::broker::queue::backlog) struct Extent {
    first: Position,
    last: Position,
    pub(in crate::broker::queue::backlog) entries: usize,
    /// Bytes of their bodies.
    pub(in crate::broker::queue::backlog) bytes: usize,
    soonest: Option<Deadline>,
    handle: Arc<dyn Spilled>,
}

/// What is to be read of a stretch at once.
#[derive(Debug, Default)]
pub(in crate::broker::queue::backlog) struct Part {
    pub(in crate::broker::queue::backlog) members: Vec<Members>,
    /// Where the members end if they are not all.
    pub(in crate::broker::queue::backlog) before: Option<Position>,
    /// This instead of any members; where it begins.
    pub(in crate::broker::queue::backlog) spilled: Option<(Position, Arc<dyn Spilled>)>,
}

impl Extent {
    fn of(entries: &[Entry], handle: Arc<dyn Spilled>) -> Option<Self> {
        let (first, last) = (entries.first()?.position, entries.last()?.position);
        Some(Self {
            first,
            last,
            entries: entries.len(),
            bytes: entries.iter().map(|entry| entry.message.body_size()).sum(),
            soonest: entries.iter().filter_map(|entry| entry.expires_at).min(),
            handle,
        })
    }

    fn part(&self) -> Part {
        Part { spilled: Some((self.first, Arc::clone(&self.handle))), ..Part::default() }
    }
}

impl Stretch {
    pub(super) fn spilled(&self) -> usize {
        self.extents.iter().map(|extent| extent.entries).sum()
    }

    pub(super) fn spilled_bytes(&self) -> usize {
        self.extents.iter().map(|extent| extent.bytes).sum()
    }

    pub(super) fn first_spilled(&self) -> Option<Position> {
        self.extents.first().map(|extent| extent.first)
    }

    pub(super) fn last_spilled(&self) -> Option<Position> {
        self.extents.iter().map(|extent| extent.last).max()
    }

    /// When the first of its entries that are not in memory expires.
    pub(in crate::broker::queue::backlog) fn due_at(&self) -> Option<Deadline> {
        self.extents.iter().fold(self.soonest, |at, extent| soonest(at, extent.soonest))
    }

    /// The first of its entries that are not in memory, and when the first of these expires. Whenever the one or the
    /// other changes, this is noted: the place stands for the stretch.
    pub(in crate::broker::queue::backlog) fn next_due(&self) -> Option<(Position, Deadline)> {
        let member = self.members.first().map(|members| members.run.first);
        member.into_iter().chain(self.first_spilled()).min().zip(self.due_at())
    }

    /// What is to be read of it to have its first entry.
    pub(in crate::broker::queue::backlog) fn next_part(&self) -> Part {
        let Some(extent) = self.extents.first() else {
            return Part { members: self.members.clone(), ..Part::default() };
        };
        if self.first() == Some(extent.first) {
            return extent.part();
        }
        let members = self.members.iter().filter_map(|members| members.before(extent.first));
        Part { members: members.collect(), before: Some(extent.first), spilled: None }
    }

    /// What is to be read of it because something in it has expired.
    pub(in crate::broker::queue::backlog) fn due_part(&self, now: Deadline) -> Option<Part> {
        let is_due = |soonest: Option<Deadline>| soonest.is_some_and(|at| at <= now);
        if let Some(extent) = self.extents.iter().find(|extent| is_due(extent.soonest)) {
            return Some(extent.part());
        }
        if !is_due(self.soonest) {
            return None;
        }
        let behind = self.examined.map(|(up_to, _)| up_to);
        let members = self.members.iter().filter_map(|members| members.behind(behind));
        Some(Part { members: members.collect(), ..Part::default() })
    }

    /// Entries in memory that may be spilled together, if they are worth it.
    pub(in crate::broker::queue::backlog) fn to_spill(
        &self,
        least: usize,
        spares_until: Deadline,
    ) -> Option<Vec<Entry>> {
        let goes_soon = |entry: &Entry| entry.expires_at.is_some_and(|at| at <= spares_until);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in self.resident.iter().filter(|entry| !entry.durable && !goes_soon(entry)) {
            bytes += footprint(&entry.message);
            if bytes > limits::SPILL_EXTENT && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        (bytes >= least && !entries.is_empty()).then_some(entries)
    }

    /// Lets go of entries that were spilled and hands them out to be freed, or nothing if one of them is not as it was.
    /// `number` is its new one: a portion that is being read may end inside of the extent.
    pub(in crate::broker::queue::backlog) fn spill(
        &mut self,
        entries: &[Entry],
        handle: Arc<dyn Spilled>,
        number: u64,
    ) -> Option<Vec<Entry>> {
        let is_there = |entry: &Entry| {
            let at = self.resident.binary_search_by_key(&entry.position, |one| one.position);
            at.ok().and_then(|at| self.resident.get(at)).is_some_and(|one| is_same(one, entry))
        };
        if !entries.iter().all(is_there) {
            return None;
        }
        let extent = Extent::of(entries, handle)?;
        self.number = number;
        let mut rest = entries.iter().peekable();
        let (spilled, stay) = super::partition(std::mem::take(&mut self.resident), &mut |entry| {
            rest.next_if(|next| next.position == entry.position).is_some()
        });
        self.resident = stay;
        let at = self.extents.partition_point(|one| one.first < extent.first);
        self.extents.insert(at, extent);
        Some(spilled)
    }

    /// Takes an extent out, and what was read of it in. Nothing if it is not there any more.
    pub(in crate::broker::queue::backlog) fn read_back(
        &mut self,
        handle: &Arc<dyn Spilled>,
        entries: Vec<Entry>,
    ) -> Option<Extent> {
        let at = self.extents.iter().position(|extent| Arc::ptr_eq(&extent.handle, handle))?;
        let extent = self.extents.remove(at);
        if self.resident.is_empty() {
            self.resident = entries.into();
        } else {
            self.resident.extend(entries);
            self.resident.make_contiguous().sort_by_key(|entry| entry.position);
        }
        Some(extent)
    }

    /// Up to where all of its entries are in memory. `None`: to its end. An error if not even the first is.
    pub(in crate::broker::queue::backlog) fn in_memory_up_to(
        &self,
    ) -> Result<Option<Position>, Absence> {
        let member = self.members.first().map(|members| members.run.first);
        let Some(absent) = member.into_iter().chain(self.first_spilled()).min() else {
            return Ok(None);
        };
        absent.0.checked_sub(1).map(|last| Some(Position(last))).ok_or(Absence)
    }
}

/// What is next is not in memory.
#[derive(Debug)]
pub(in crate::broker::queue::backlog) struct Absence;

impl Members {
    /// Those before that position.
    fn before(&self, position: Position) -> Option<Self> {
        let last = Position(position.0.checked_sub(1)?).min(self.run.last);
        (self.run.first <= last).then_some(Self { run: Run { last, ..self.run }, ..*self })
    }
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    Arc::ptr_eq(&one.message, &other.message)
        && (one.returns, one.redelivered) == (other.returns, other.redelivered)
}
