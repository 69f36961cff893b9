//! Neighbours of one priority whose messages are in the log and not in memory, or were spilled.
//!
//! Invariants:
//! * Members lie in rising position and apart. All of them are in the log; so is what lies in `resident`, or it
//!   cannot leave memory and waits among its neighbours until these come back. What is spilled is in neither; its
//!   extents may lie among members, and among each other.
//! * A stretch as of a restart is not exact: its members say between which positions its entries lie, and only the
//!   log knows which of these positions are entries. Nothing else in the queue lies between them then.
//! * Its number changes whenever an entry joins: what was being read for it is then not all of it.

mod extents;

use std::collections::VecDeque;

use self::extents::Extent;
pub(super) use self::extents::Part;
use crate::broker::delivery::{Absent, Deadline, Entry, Position, Run};
use crate::limits;

/// Neighbours about which the same is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    /// Where they lie.
    pub run: Run,
    /// How often each of them came back.
    pub returns: u32,
    /// They were handed to somebody before.
    pub redelivered: bool,
}

impl Members {
    pub(in crate::broker::queue) fn one(absent: &Absent) -> Self {
        let &Absent { position, returns, redelivered, .. } = absent;
        Self { run: Run { first: position, last: position }, returns, redelivered }
    }

    /// Those behind that position.
    pub(super) fn behind(&self, position: Option<Position>) -> Option<Self> {
        let Some(position) = position else { return Some(*self) };
        let first = self.run.first.max(Position(position.0.saturating_add(1)));
        (first <= self.run.last).then_some(Self { run: Run { first, ..self.run }, ..*self })
    }

    /// Takes in `next` if it is the neighbour and the same is known of it.
    fn join(&mut self, next: &Self) -> bool {
        let is_next = self.run.last.0.checked_add(1) == Some(next.run.first.0);
        let joins = is_next && self.returns == next.returns && self.redelivered == next.redelivered;
        if joins {
            self.run.last = next.run.last;
        }
        joins
    }
}

/// Adds `next`, which is behind all of `members`.
pub fn add_member(members: &mut Vec<Members>, next: Members) {
    if !members.last_mut().is_some_and(|last| last.join(&next)) {
        members.push(next);
    }
}

/// What was read of a stretch: its entries up to a position.
#[derive(Debug)]
pub(in crate::broker::queue) struct Portion {
    /// What was found, positions rising.
    pub(in crate::broker::queue) entries: Vec<Entry>,
    /// How many there should have been.
    pub(in crate::broker::queue) count: usize,
    /// Up to where. `None`: that is all of them.
    pub(in crate::broker::queue) up_to: Option<Position>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) number: u64,
    members: Vec<Members>,
    is_exact: bool,
    /// How many of its entries are in the log only, and the bytes of their bodies.
    entries: usize,
    bytes: usize,
    /// When the first of them expires.
    pub(super) soonest: Option<Deadline>,
    pub(super) resident: VecDeque<Entry>,
    /// In the order of their first positions.
    extents: Vec<Extent>,
    /// Bytes of all bodies that were put into it one by one; it takes no more than so many.
    taken: usize,
    /// How far it was looked through for what has expired, and when the first of the rest so far expires.
    pub(super) examined: Option<(Position, Option<Deadline>)>,
}

impl Stretch {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            members: Vec::new(),
            is_exact: true,
            entries: 0,
            bytes: 0,
            soonest: None,
            resident: VecDeque::new(),
            extents: Vec::new(),
            taken: 0,
            examined: None,
        }
    }

    /// One as of a restart.
    pub(super) fn stored(
        number: u64,
        members: Vec<Members>,
        entries: usize,
        bytes: usize,
        soonest: Option<Deadline>,
    ) -> Self {
        Self { members, is_exact: false, entries, bytes, soonest, ..Self::new(number) }
    }

    pub(super) fn len(&self) -> usize {
        self.absent() + self.resident.len()
    }

    /// Entries that are not in memory.
    pub(super) fn absent(&self) -> usize {
        self.entries + self.spilled()
    }

    /// Bytes of the bodies that are not in memory.
    pub(super) fn absent_bytes(&self) -> usize {
        self.bytes + self.spilled_bytes()
    }

    pub(super) fn first(&self) -> Option<Position> {
        let member = self.members.first().map(|members| members.run.first);
        let resident = self.resident.front().map(|entry| entry.position);
        member.into_iter().chain(resident).chain(self.first_spilled()).min()
    }

    pub(super) fn last(&self) -> Option<Position> {
        let member = self.members.last().map(|members| members.run.last);
        let resident = self.resident.back().map(|entry| entry.position);
        member.max(resident).max(self.last_spilled())
    }

    /// It may take more in: what it has can be read at once.
    pub(super) fn has_room(&self) -> bool {
        self.is_exact && self.len() < limits::STRETCH_ENTRIES && self.taken < limits::STRETCH_BYTES
    }

    /// Adds an entry behind all others.
    pub(super) fn push(&mut self, absent: &Absent) {
        self.taken += absent.body_size;
        add_member(&mut self.members, Members::one(absent));
        self.count(absent);
    }

    /// Adds an entry in memory behind all others.
    pub(super) fn push_resident(&mut self, entry: Entry) {
        self.taken += entry.message.body_size();
        self.resident.push_back(entry);
    }

    fn count(&mut self, absent: &Absent) {
        self.entries += 1;
        self.bytes += absent.body_size;
        self.soonest = soonest(self.soonest, absent.expires_at);
    }

    /// Adds entries wherever they belong; they come in rising position. `number` is its new one.
    pub(super) fn merge(&mut self, absents: &[Absent], number: u64) {
        self.number = number;
        self.examined = None;
        let mut old = std::mem::take(&mut self.members).into_iter().peekable();
        let mut members = Vec::with_capacity(old.len() + absents.len());
        for absent in absents {
            while let Some(before) = old.next_if(|one| one.run.first < absent.position) {
                add_member(&mut members, before);
            }
            add_member(&mut members, Members::one(absent));
            self.count(absent);
        }
        for behind in old {
            add_member(&mut members, behind);
        }
        self.members = members;
    }

    /// Adds an entry in memory wherever it belongs. `number` is its new one.
    pub(super) fn insert(&mut self, entry: Entry, number: u64) {
        self.number = number;
        let at = self.resident.partition_point(|one| one.position < entry.position);
        self.resident.insert(at, entry);
    }

    /// Takes an entry out of those in memory, if it expires then.
    pub(super) fn remove(&mut self, position: Position, expires_at: Deadline) -> Option<Entry> {
        let at = self.resident.binary_search_by_key(&position, |entry| entry.position).ok()?;
        let expires = self.resident.get(at).is_some_and(|it| it.expires_at == Some(expires_at));
        if expires { self.resident.remove(at) } else { None }
    }

    /// Lets go of the messages in memory that `may_leave`, handing them out to be freed.
    pub(super) fn page_out(
        &mut self,
        may_leave: &dyn Fn(&Entry) -> bool,
        number: u64,
        freed: &mut Vec<Entry>,
    ) {
        if !self.resident.iter().any(may_leave) {
            return;
        }
        let resident = std::mem::take(&mut self.resident);
        let (leave, stay): (Vec<Entry>, VecDeque<Entry>) =
            partition(resident, &mut |entry| may_leave(entry));
        let absents: Vec<Absent> = leave.iter().map(Absent::of).collect();
        self.merge(&absents, number);
        self.resident = stay;
        freed.extend(leave);
    }

    /// Takes out what a portion covers, with what is in memory of that, positions rising. Returns also the bytes
    /// of bodies that are in the log no more.
    pub(super) fn take(&mut self, portion: Portion) -> (Vec<Entry>, usize) {
        let Portion { mut entries, count, up_to } = portion;
        let found = entries.iter().map(|entry| entry.message.body_size()).sum::<usize>();
        let is_covered = |position: Position| up_to.is_none_or(|up_to| position <= up_to);
        self.forget_members(up_to);
        let is_all = self.members.is_empty();
        let gone = if is_all { self.bytes } else { found.min(self.bytes) };
        self.bytes -= gone;
        self.entries = if is_all { 0 } else { self.entries.saturating_sub(count) };
        let before = entries.len();
        while let Some(entry) = self.resident.pop_front_if(|entry| is_covered(entry.position)) {
            entries.push(entry);
        }
        if entries.len() > before {
            entries.sort_unstable_by_key(|entry| entry.position);
        }
        (entries, gone)
    }

    /// Members up to there are no more.
    fn forget_members(&mut self, up_to: Option<Position>) {
        let Some(up_to) = up_to else { return self.members.clear() };
        let left = self.members.iter().filter_map(|members| members.behind(Some(up_to)));
        self.members = left.collect();
    }

    /// Takes out members that have expired, each a single one, positions rising.
    pub(super) fn forget_expired(&mut self, expired: &[Entry]) -> usize {
        let mut gone = 0;
        let mut due = expired.iter().map(|entry| entry.position).peekable();
        let mut members = Vec::with_capacity(self.members.len() + expired.len());
        for mut left in std::mem::take(&mut self.members) {
            while let Some(position) = due.next_if(|&position| position <= left.run.last) {
                if position < left.run.first {
                    continue;
                }
                if position > left.run.first {
                    let last = Position(position.0 - 1);
                    members.push(Members { run: Run { last, ..left.run }, ..left });
                }
                left.run.first = Position(position.0.saturating_add(1));
            }
            if left.run.first <= left.run.last {
                members.push(left);
            }
        }
        self.members = members;
        for entry in expired {
            gone += entry.message.body_size();
        }
        self.entries = self.entries.saturating_sub(expired.len());
        gone = gone.min(self.bytes);
        self.bytes -= gone;
        gone
    }

    /// Where its entries lie that are in the log only.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.members.iter().map(|members| members.run)
    }
}

pub(super) fn soonest(one: Option<Deadline>, other: Option<Deadline>) -> Option<Deadline> {
    one.into_iter().chain(other).min()
}

fn partition(
    entries: VecDeque<Entry>,
    leaves: &mut dyn FnMut(&Entry) -> bool,
) -> (Vec<Entry>, VecDeque<Entry>) {
    let mut leave = Vec::new();
    let mut stay = VecDeque::new();
    for entry in entries {
        if leaves(&entry) {
            leave.push(entry);
        } else {
            stay.push_back(entry);
        }
    }
    (leave, stay)
}
