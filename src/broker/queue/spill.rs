//! Messages that are in no log and leave memory all the same, and that are read again.
//!
//! Invariants:
//! * Nothing is written under the queue's lock: what is offered stays in the queue until it was written, and leaves
//!   memory only if it is as it was.
//! * Only the page thread comes here.

use std::sync::Arc;

use super::Queue;
use super::backlog::{Spill, SpillStep, ToSpill};
use super::pages::{PageIn, note_missing};
use super::state::{Lost, QueueState};
use crate::broker::dead_letter::Reason;
use crate::broker::delivery::{Deadline, Entry};
use crate::broker::paging::Spilled;
use crate::broker::turn::Turn;
use crate::limits;

/// Messages to be written together, and given to [`Queue::spilled`].
#[derive(Debug)]
pub struct SpillBatch(ToSpill);

impl SpillBatch {
    /// The messages, positions rising; not one of them is durable.
    pub fn entries(&self) -> &[Entry] {
        &self.0.entries
    }
}

/// What a queue has to be spilled.
#[derive(Debug)]
pub enum SpillOffer {
    /// This.
    Batch(SpillBatch),
    /// Perhaps something, when it is asked again.
    Again,
    /// Nothing.
    Nothing,
}

impl Queue {
    /// What may be spilled next, if that has so many bytes; but not what is at the front. That too, if it is `whole` and
    /// nobody is about to take it.
    pub fn to_spill(&self, least: usize, whole: bool, now: Deadline) -> SpillOffer {
        let mut state = self.state.lock();
        let spares_next = state.is_in_demand();
        let at_hand = self.surroundings.paging.at_hand_bytes();
        let kept = if whole && !spares_next { 0 } else { state.backlog.kept_at_hand(at_hand) };
        let spares_until = now.after_ms(limits::SPILL_EXPIRES_MS);
        match state.backlog.offer_to_spill(Spill { kept, spares_next, least, spares_until }) {
            SpillStep::Write(batch) => SpillOffer::Batch(SpillBatch(batch)),
            SpillStep::Again => SpillOffer::Again,
            SpillStep::Nothing => SpillOffer::Nothing,
        }
    }

    /// Lets messages leave memory that were written. False if one of them left its place meanwhile; then all stay.
    pub fn spilled(&self, batch: &SpillBatch, handle: Arc<dyn Spilled>) -> bool {
        let mut state = self.state.lock();
        let before = state.footprint();
        // Freed after the lock is gone.
        let freed = state.backlog.spilled(&batch.0, handle);
        state.tidy_expiries();
        self.surroundings.paging.note(before.resident, state.footprint().resident);
        drop(state);
        freed.is_some()
    }

    /// Takes in what was read of [`PageIn::spilled`]; what is missing is lost.
    pub fn read_back(self: &Arc<Self>, page: &PageIn, entries: Vec<Entry>, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            state.pages.is_wanted = false;
            state.pages.wake(turn);
            if !state.deleted {
                state.read_back(page, entries, turn.unix_now());
            }
        });
    }

    /// Bytes of messages that are in memory and in no log.
    pub fn transient_bytes(&self) -> usize {
        self.state.lock().backlog.resident().transient
    }
}

impl QueueState {
    fn read_back(&mut self, page: &PageIn, entries: Vec<Entry>, now: Deadline) {
        let Some(wanted) = page.wanted() else { return };
        // What has expired goes at once: if it waited for its turn, it might be spilled again meanwhile.
        let has_expired =
            |entry: &Entry| !wanted.is_front && entry.expires_at.is_some_and(|at| at <= now);
        let (mut expired, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(has_expired);
        let places = entries.iter().filter_map(|entry| Some((entry.position, entry.expires_at?)));
        let expiring: Vec<_> = places.collect();
        let Some((missing, next)) = self.backlog.read_back(wanted, entries, &expired) else {
            return;
        };
        expired.sort_by_key(|entry| (entry.expires_at, entry.position));
        let lost = |entry| Lost { entry, reason: Reason::Expired };
        self.lost.extend(expired.into_iter().map(lost));
        for (position, deadline) in expiring.into_iter().chain(next) {
            self.expiries.note_stretch(position, deadline, wanted.level);
        }
        note_missing(missing);
    }
}
