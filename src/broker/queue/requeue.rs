//! How messages come back from consumers: at once, after a delay, or not at all.
//!
//! Invariants:
//! * What is ready again is at its old place: the order is that of positions, within a priority.
//! * A return that is counted is on its way to the disk, with its delay, if the message is.
//! * A delay that began runs to its end, also if the queue's settings change meanwhile. The time to live of a
//!   delayed message goes on; the limit of deliveries is looked at before any delay.

use std::hash::{BuildHasher, RandomState};

use super::delayed::Due;
use super::state::{Lost, QueueState};
use crate::broker::change::Retries;
use crate::broker::dead_letter::Reason;
use crate::broker::delivery::{Deadline, Entry, Position};
use crate::broker::retry::Return;
use crate::limits;

impl QueueState {
    /// Entries that were handed out come back, unless it is too late or was once too often.
    pub(super) fn requeue(&mut self, mut entries: Vec<Entry>, how: Return, now: Deadline) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        entries.sort_unstable_by_key(|entry| entry.position);
        let retry = self.settings.delayed_retry.filter(|retry| retry.delays(how));
        let mut back = Vec::with_capacity(entries.len());
        for mut entry in entries {
            entry.redelivered = true;
            if self.counts_returns() {
                entry.returns = entry.returns.saturating_add(1);
            }
            if let Some(reason) = self.reason_to_give_up(entry.returns, entry.expires_at, now) {
                self.lost.push(Lost { entry, reason });
                continue;
            }
            let ready_at = retry.map(|retry| now.after_ms(retry.delay_ms(entry.returns, random())));
            if entry.durable {
                self.note_return(entry.position, entry.returns, ready_at);
            }
            match ready_at {
                Some(ready_at) => self.delayed.add(entry, ready_at),
                None => back.push(entry),
            }
        }
        self.put_back(back);
    }

    /// Quorum queues count always, others if the count decides about delays.
    pub(super) fn counts_returns(&self) -> bool {
        self.is_quorum() || self.settings.delayed_retry.is_some()
    }

    pub(super) fn reason_to_give_up(
        &self,
        returns: u32,
        expires_at: Option<Deadline>,
        now: Deadline,
    ) -> Option<Reason> {
        let limit = self.settings.delivery_limit.filter(|_| self.is_quorum());
        if limit.is_some_and(|limit| u64::from(returns) > limit) {
            return Some(Reason::DeliveryLimit);
        }
        expires_at.filter(|deadline| *deadline <= now).map(|_| Reason::Expired)
    }

    /// A durable entry came back.
    pub(super) fn note_return(
        &mut self,
        position: Position,
        returns: u32,
        ready_at: Option<Deadline>,
    ) {
        if self.counts_returns() {
            let ready_at_ms = ready_at.map(Deadline::as_ms);
            self.unsaved.returned(position, Retries { count: returns, ready_at_ms });
        }
    }

    /// Makes messages ready whose delay is over, at most a burst of them.
    #[inline]
    pub(super) fn release_delayed(&mut self, now: Deadline) {
        if self.delayed.next().is_some_and(|next| next <= now) {
            self.release_burst(now);
        }
    }

    fn release_burst(&mut self, now: Deadline) {
        let mut back = Vec::new();
        for _ in 0..limits::EXPIRY_BURST {
            match self.delayed.take_due(now) {
                Some(Due::Ready(entry)) => back.push(entry),
                Some(Due::Expired(entry)) => {
                    self.lost.push(Lost { entry, reason: Reason::Expired });
                }
                None => break,
            }
        }
        back.sort_unstable_by_key(|entry| entry.position);
        self.put_back(back);
    }

    /// Entries are ready again where they were. They come in rising position.
    fn put_back(&mut self, back: Vec<Entry>) {
        let priorities = self.priorities;
        for entry in &back {
            self.expiries.note(entry, priorities.of_message(&entry.message));
        }
        self.backlog.put_back(back, |entry| priorities.of_message(&entry.message));
    }
}

/// From 0 to 1, both included. Spreads retries; nobody is harmed if somebody guesses it.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(()) >> u32::BITS;
    u32::try_from(bits).map_or(1.0, f64::from) / f64::from(u32::MAX)
}
