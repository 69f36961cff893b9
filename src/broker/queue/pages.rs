//! Messages that leave memory, and that are read again.
//!
//! Invariants:
//! * Only what is in the log leaves memory, and only what the log's state knows by now is asked for.
//! * A queue is on the pager's list, or something is being read for it, exactly while `is_wanted`.
//! * What was read is taken in only if the stretch it was read for is as it was; else it is read again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::backlog::{PageOut, PagedOut, Portion, Wanted, add_member};
use super::length::Load;
use super::state::{Lost, QueueState};
use super::{Footprint, Members, Outcome, Queue, StoredStretch};
use crate::broker::change::Put;
use crate::broker::dead_letter::Reason;
use crate::broker::delivery::{Absent, Deadline, Entry, Position};
use crate::broker::paging::{Paging, Spilled};
use crate::broker::turn::Turn;
use crate::limits;

/// What a queue knows of its messages that are not in memory, besides where they are.
#[derive(Debug)]
pub(super) struct Pages {
    /// See the module.
    pub(super) is_wanted: bool,
    /// It is counted among those that read ahead.
    pub(super) is_reader: bool,
    /// A basic.get has found nothing at hand, and none has found anything since.
    pub(super) is_asked: bool,
    waiters: Vec<Waker>,
    /// Given up without their messages, which their dead letters need. Positions in no order.
    lost: Vec<(Absent, Reason)>,
    /// The cycle that collected last, and the position behind all there were then.
    cycle: u64,
    collected_before: Position,
    /// The same of the cycle before, which is over.
    saved_before: Position,
}

/// What the pager finds when it looks at a queue.
pub enum Page {
    /// Nothing is to be read.
    Nothing,
    /// What is to be read is not in the log yet; the next commit cycle may bring it there.
    NotYet,
    /// This is to be read, and given to [`Queue::paged_in`].
    In(PageIn),
}

/// What is to be read of a queue.
#[derive(Debug)]
pub struct PageIn {
    purpose: Purpose,
    /// Bytes of the log that are read at most, or one message.
    pub at_most: u64,
}

impl PageIn {
    /// Where it lies, and what is known of it. Positions rise.
    pub fn members(&self) -> &[Members] {
        match &self.purpose {
            Purpose::Backlog(wanted) => &wanted.members,
            Purpose::Lost(members) => members,
        }
    }

    /// Of which level; `None`: of any.
    pub fn level(&self) -> Option<u8> {
        self.wanted().map(|wanted| wanted.level)
    }

    /// What is to be read instead, and given to [`Queue::read_back`].
    pub fn spilled(&self) -> Option<&Arc<dyn Spilled>> {
        Some(&self.wanted()?.spilled.as_ref()?.1)
    }

    pub(super) fn wanted(&self) -> Option<&Wanted> {
        match &self.purpose {
            Purpose::Backlog(wanted) => Some(wanted),
            Purpose::Lost(_) => None,
        }
    }
}

#[derive(Debug)]
enum Purpose {
    Backlog(Wanted),
    Lost(Vec<Members>),
}

/// What was read of it.
#[derive(Debug, Default)]
pub struct Found {
    /// The messages, positions rising.
    pub puts: Vec<Put>,
    /// How many entries there were; those that are not among the messages could not be read.
    pub count: usize,
    /// Up to which position. `None`: that is all.
    pub up_to: Option<Position>,
}

impl Pages {
    pub(super) fn restored(next: Position) -> Self {
        Self {
            is_wanted: false,
            is_reader: false,
            is_asked: false,
            waiters: Vec::new(),
            lost: Vec::new(),
            cycle: 0,
            collected_before: next,
            saved_before: next,
        }
    }

    /// Whoever waits may look again.
    pub(super) fn wake(&mut self, turn: &mut Turn) {
        self.waiters.drain(..).for_each(|waker| turn.wake(waker));
    }

    /// A cycle collects everything before this position; so the one before is over.
    pub(super) fn collected(&mut self, cycle: u64, before: Position) {
        self.saved_before = self.collected_before;
        (self.cycle, self.collected_before) = (cycle, before);
    }

    fn saved_before(&self, cycles: u64) -> Position {
        if cycles >= self.cycle { self.collected_before } else { self.saved_before }
    }

    pub(super) fn forget_lost(&mut self) {
        self.lost = Vec::new();
    }

    fn lost_members(&mut self) -> Vec<Members> {
        self.lost.sort_unstable_by_key(|(absent, _)| absent.position);
        let mut members = Vec::new();
        for (absent, _) in self.lost.iter().take(limits::STRETCH_ENTRIES) {
            add_member(&mut members, Members::one(absent));
        }
        members
    }
}

/// The pager's side.
impl Queue {
    /// What is to be read for it now.
    pub fn next_page(self: &Arc<Self>, turn: &mut Turn) -> Page {
        let mut state = self.state.lock();
        let Some(page) = state.next_page(&self.surroundings.paging, turn.unix_now()) else {
            state.pages.is_wanted = false;
            state.pages.wake(turn);
            // What expires next may have waited for what is not wanted any more.
            let unchanged = state.footprint();
            self.report(&mut state, unchanged, turn);
            return Page::Nothing;
        };
        let saved_before = state.pages.saved_before(self.surroundings.inbox.cycles());
        let is_saved = page.members().last().is_none_or(|last| last.run.last < saved_before);
        if is_saved { Page::In(page) } else { Page::NotYet }
    }

    /// Takes in what was read.
    pub fn paged_in(self: &Arc<Self>, page: &PageIn, found: Found, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            state.pages.is_wanted = false;
            state.pages.wake(turn);
            if !state.deleted {
                state.paged_in(page, found, turn.unix_now());
            }
        });
    }

    /// Lets messages leave memory that are in the log, at most a burst, but not those at the front; these too, if it
    /// is `whole` and nobody is about to take them. Returns how many left.
    pub fn page_out(&self, whole: bool) -> usize {
        // Declared before the guard: freed after the lock is gone.
        let mut freed = Vec::new();
        let mut state = self.state.lock();
        let before = state.footprint();
        let saved_before = state.pages.saved_before(self.surroundings.inbox.cycles());
        let at_hand_bytes = self.surroundings.paging.at_hand_bytes();
        let is_kept = !whole || state.is_in_demand();
        let kept = if is_kept { state.backlog.kept_at_hand(at_hand_bytes) } else { 0 };
        let how = PageOut { kept, saved_before, at_most: limits::PAGE_OUT_BURST };
        for (priority, PagedOut { freed: left, expiring }) in state.backlog.page_out(how) {
            for (first, soonest) in expiring {
                state.expiries.note_stretch(first, soonest, priority);
            }
            freed.push(left);
        }
        state.tidy_expiries();
        self.surroundings.paging.note(before.resident, state.footprint().resident);
        state.note_reader(&self.surroundings.paging);
        drop(state);
        freed.iter().map(Vec::len).sum()
    }

    /// Bytes of messages that are in memory as well as in the log.
    pub fn resident_bytes(&self) -> usize {
        self.state.lock().backlog.resident().durable
    }

    /// Ready when basic.get may be tried again.
    pub fn poll_at_hand(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.backlog.has_next() || state.backlog.is_empty() || state.deleted {
            return Poll::Ready(());
        }
        state.pages.waiters.push(context.waker().clone());
        Poll::Pending
    }
}

/// The consumers' side: what they had without its message.
impl Queue {
    /// Whoever has a durable message of this queue need not keep it to give it back. Not if it would have to wait
    /// then: who waits is in memory.
    pub fn takes_back_absent(&self) -> bool {
        self.surroundings.paging.is_open() && !self.delays.load(Ordering::Relaxed)
    }

    /// Settles entries that were handed out and whose messages nobody kept.
    pub fn settle_absent(
        self: &Arc<Self>,
        absents: Vec<Absent>,
        outcome: Outcome,
        turn: &mut Turn,
    ) {
        self.change(turn, |state, turn| {
            state.unacked = state.unacked.saturating_sub(absents.len());
            if state.deleted {
                return;
            }
            match outcome {
                Outcome::Settled => state.settle_positions(absents.iter()),
                Outcome::Rejected => {
                    let rejected = |absent| (absent, Reason::Rejected);
                    state.lose_absent(absents.into_iter().map(rejected).collect());
                }
                Outcome::Requeued(_) => state.requeue_absent(absents, turn.unix_now()),
            }
        });
    }
}

impl QueueState {
    #[inline]
    pub(super) fn footprint(&self) -> Footprint {
        Footprint { unsaved: self.unsaved_bytes(), resident: self.backlog.resident() }
    }

    pub(super) fn restore(&mut self, stretch: StoredStretch) {
        let first = stretch.members.first().map(|members| members.run.first);
        if let Some((first, soonest)) = first.zip(stretch.expires_at) {
            self.expiries.note_stretch(first, soonest, stretch.level);
        }
        self.backlog.restore(stretch);
    }

    /// Something is to be read, and the pager does not know.
    #[inline]
    pub(super) fn wants_page(&self, paging: &Paging) -> bool {
        let has_nothing_stored =
            self.backlog.is_at_hand() && !self.backlog.has_due() && self.pages.lost.is_empty();
        !has_nothing_stored && !self.pages.is_wanted && self.is_something_wanted(paging)
    }

    #[cold]
    fn is_something_wanted(&self, paging: &Paging) -> bool {
        !self.pages.lost.is_empty()
            || self.backlog.has_due()
            || self.wanted_of_backlog(paging.at_hand_bytes()).is_some()
    }

    /// Reading ahead begins with the first message that is stored and in demand, and ends with the last.
    #[inline]
    pub(super) fn note_reader(&mut self, paging: &Paging) {
        let is_reader = !self.backlog.is_at_hand() && self.is_in_demand();
        if is_reader != self.pages.is_reader {
            self.pages.is_reader = is_reader;
            paging.note_reader(is_reader);
        }
    }

    /// Somebody takes what is next, now or as soon as it can.
    pub(super) fn is_in_demand(&self) -> bool {
        self.pages.is_asked || !self.consumers.is_empty()
    }

    fn wanted_of_backlog(&self, at_hand_bytes: usize) -> Option<Wanted> {
        let next =
            if self.is_in_demand() { self.backlog.wanted(false, at_hand_bytes) } else { None };
        next.or_else(|| self.wanted_of_excess(at_hand_bytes))
    }

    /// What is dropped because it is too much may be of a lower priority than what is next.
    fn wanted_of_excess(&self, at_hand_bytes: usize) -> Option<Wanted> {
        let limit = self.limit.filter(|limit| !limit.rejects())?;
        let is_full = limit.is_exceeded(Load::of(&self.backlog, &self.delayed));
        is_full.then(|| self.backlog.wanted(true, at_hand_bytes))?
    }

    fn next_page(&mut self, paging: &Paging, now: Deadline) -> Option<PageIn> {
        let at_most = limits::PAGE_IN_BYTES;
        if !self.pages.lost.is_empty() {
            return Some(PageIn { purpose: Purpose::Lost(self.pages.lost_members()), at_most });
        }
        let at_hand = paging.at_hand_bytes();
        let wanted = self.backlog.due(now).or_else(|| self.wanted_of_backlog(at_hand))?;
        // What has expired is in memory only while it is looked at; the front stays.
        let at_most = if wanted.is_front { at_most.min(at_hand as u64) } else { at_most };
        Some(PageIn { purpose: Purpose::Backlog(wanted), at_most })
    }

    fn paged_in(&mut self, page: &PageIn, found: Found, now: Deadline) {
        let Found { puts, count, up_to } = found;
        let entries = entries(page.members(), puts);
        let missing = count.saturating_sub(entries.len());
        let Purpose::Backlog(wanted) = &page.purpose else {
            return self.give_up_found(page.members(), entries, up_to);
        };
        let portion = wanted.portion(entries, count, up_to);
        if wanted.is_front {
            self.take_in(wanted, portion, missing);
        } else if let Some(expired) = self.backlog.expire(wanted, portion, now) {
            let lost = |entry| Lost { entry, reason: Reason::Expired };
            self.lost.extend(expired.gone.into_iter().map(lost));
            if let Some((first, soonest)) = expired.next {
                self.expiries.note_stretch(first, soonest, wanted.level);
            }
        }
    }

    fn take_in(&mut self, wanted: &Wanted, portion: Portion, missing: usize) {
        let expiring: Vec<(Position, Deadline)> = portion
            .entries
            .iter()
            .filter_map(|entry| Some((entry.position, entry.expires_at?)))
            .collect();
        if let Some((_, next)) = self.backlog.page_in(wanted, portion) {
            for (position, deadline) in expiring.into_iter().chain(next) {
                self.expiries.note_stretch(position, deadline, wanted.level);
            }
            note_missing(missing);
        }
    }

    /// Parts with what was given up without its message, now that it has one.
    fn give_up_found(&mut self, members: &[Members], found: Vec<Entry>, up_to: Option<Position>) {
        let last = up_to.or_else(|| members.last().map(|last| last.run.last));
        let Some(last) = last else { return };
        let mut found = found.into_iter().peekable();
        // In rising position since they were asked for; what came since is behind.
        let (mut asked, behind): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pages.lost).into_iter().partition(|(absent, _)| {
                absent.position <= last && is_member(members, absent.position)
            });
        asked.sort_unstable_by_key(|(absent, _)| absent.position);
        for (absent, reason) in asked {
            while found.next_if(|entry| entry.position < absent.position).is_some() {}
            if let Some(entry) = found.next_if(|entry| entry.position == absent.position) {
                self.lost.push(Lost { entry: absent.with(entry.message), reason });
            }
        }
        self.pages.lost = behind;
    }

    fn settle_positions<'a>(&mut self, absents: impl Iterator<Item = &'a Absent>) {
        for absent in absents {
            self.unsaved.settle(absent.position);
        }
    }

    /// Gives up entries whose messages are in the log only; their messages matter only to dead letters.
    fn lose_absent(&mut self, lost: Vec<(Absent, Reason)>) {
        if self.parts_with_letters() {
            self.pages.lost.extend(lost);
        } else {
            self.settle_positions(lost.iter().map(|(absent, _)| absent));
        }
    }

    /// The same as `requeue`, of entries whose messages are in the log only.
    fn requeue_absent(&mut self, mut absents: Vec<Absent>, now: Deadline) {
        absents.sort_unstable_by_key(|absent| absent.position);
        let mut lost = Vec::new();
        absents.retain_mut(|absent| {
            absent.redelivered = true;
            if self.counts_returns() {
                absent.returns = absent.returns.saturating_add(1);
            }
            let reason = self.reason_to_give_up(absent.returns, absent.expires_at, now);
            lost.extend(reason.map(|reason| (*absent, reason)));
            reason.is_none()
        });
        for absent in &absents {
            self.note_return(absent.position, absent.returns, None);
            if let Some(deadline) = absent.expires_at {
                let level = self.priorities.level(absent.priority);
                self.expiries.note_stretch(absent.position, deadline, level);
            }
        }
        let priorities = self.priorities;
        self.backlog.put_back_absent(absents, |absent| priorities.level(absent.priority));
        self.lose_absent(lost);
    }
}

pub(super) fn note_missing(missing: usize) {
    if missing > 0 {
        tracing::error!(missing, "messages of a queue cannot be read; they are not delivered");
    }
}

fn is_member(members: &[Members], position: Position) -> bool {
    let at = members.partition_point(|members| members.run.last < position);
    members.get(at).is_some_and(|members| members.run.first <= position)
}

/// Entries of what was found, with what is known of them. Both come in rising position.
fn entries(members: &[Members], puts: Vec<Put>) -> Vec<Entry> {
    let mut rest = members;
    let entry = |Put { position, message, expires_at_ms }| {
        let skipped = rest.partition_point(|members| members.run.last < position);
        rest = rest.get(skipped..).unwrap_or_default();
        let &Members { run, returns, redelivered } = rest.first()?;
        let expires_at = expires_at_ms.map(Deadline::at_ms);
        let entry = Entry { position, message, expires_at, returns, redelivered, durable: true };
        (run.first <= position).then_some(entry)
    };
    puts.into_iter().filter_map(entry).collect()
}
