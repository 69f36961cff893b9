//! How a queue parts with messages that it gives up: to its dead letter exchange, or for good.
//!
//! Invariants:
//! * What is dead-lettered is settled here only after its dead letters lie in other queues, both under one hold
//!   of the collection gate: a crash finds the message here or there, never in neither and never in both.
//! * What must be dead-lettered at least once counts towards the queue's limit until it is settled, wherever it is.
//! * Nothing is routed under the queue's lock; that is the turn's work.

use std::sync::Arc;

use super::length::Load;
use super::state::{Lost, QueueState};
use super::{Guard, Queue};
use crate::broker::delivery::Deadline;
use crate::broker::options::{DeadLetterStrategy, Overflow};
use crate::broker::turn::Turn;
use crate::limits;

/// Messages on their way from a queue to an exchange.
pub(in crate::broker) struct Dead {
    /// Where they died, or waited.
    pub(in crate::broker) queue: Arc<Queue>,
    /// Where they go; the empty name is the default exchange.
    pub(in crate::broker) exchange: Arc<str>,
    /// As what.
    pub(in crate::broker) role: Role,
    /// What, oldest first; at most a burst.
    pub(in crate::broker) lost: Vec<Lost>,
}

/// What becomes of messages that a queue parts with.
#[derive(Clone)]
pub(in crate::broker) enum Role {
    /// They are dead letters.
    DeadLetter {
        /// `x-dead-letter-routing-key`
        routing_key: Option<Arc<str>>,
        /// They are kept until there is a queue that takes them.
        at_least_once: bool,
    },
    /// They have waited for as long as they asked to, and go on as if nothing had happened.
    Released,
}

impl Queue {
    /// Hands what is lost to the turn if it is to be dead-lettered, else settles it and moves it to `freed`.
    pub(super) fn part_with_lost(
        self: &Arc<Self>,
        state: &mut Guard<'_>,
        freed: &mut Vec<Lost>,
        turn: &mut Turn,
    ) {
        let lost = std::mem::take(&mut state.lost);
        turn.gave_up(lost.len());
        if let Some(exchange) = self.options.waiting_room_of.clone() {
            return self.hand_over(&exchange, &Role::Released, lost, turn);
        }
        let Some(exchange) = state.settings.dead_letter_exchange.clone() else {
            state.settle_lost(&lost);
            freed.extend(lost);
            return;
        };
        let routing_key = state.settings.dead_letter_routing_key.clone();
        let at_least_once = state.dead_letters_at_least_once();
        if at_least_once {
            state.awaited = state.awaited.plus(load_of(&lost));
        }
        self.hand_over(&exchange, &Role::DeadLetter { routing_key, at_least_once }, lost, turn);
    }

    /// Leaves what is lost to the turn, in bursts.
    fn hand_over(
        self: &Arc<Self>,
        exchange: &Arc<str>,
        role: &Role,
        lost: Vec<Lost>,
        turn: &mut Turn,
    ) {
        for lost in bursts(lost) {
            let (queue, exchange) = (Arc::clone(self), Arc::clone(exchange));
            turn.dead_letter(Dead { queue, exchange, role: role.clone(), lost });
        }
    }

    /// These are in other queues now, or nobody wants them.
    pub(in crate::broker) fn settle_lost(
        self: &Arc<Self>,
        lost: &[Lost],
        role: &Role,
        turn: &mut Turn,
    ) {
        let was_awaited = matches!(role, Role::DeadLetter { at_least_once: true, .. });
        if was_awaited || lost.iter().any(|lost| lost.entry.durable) {
            // Not as a verb: that would give up the next burst while this one is placed, and so on to the last.
            let mut state = self.state.lock();
            let before = state.footprint();
            state.settle_lost(lost);
            if was_awaited {
                state.awaited = state.awaited.minus(load_of(lost));
            }
            self.report(&mut state, before, turn);
        }
    }

    /// These found no place; they stay until they do.
    pub(in crate::broker) fn keep_lost(self: &Arc<Self>, lost: Vec<Lost>, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            if !state.deleted {
                state.kept.extend(lost);
                let retry_at = turn.unix_now().after_ms(limits::DEAD_LETTER_RETRY_MS);
                state.retry_at.get_or_insert(retry_at);
            }
        });
    }
}

/// The same in the same order, in portions of at most [`limits::DEAD_LETTER_BURST`].
fn bursts(lost: Vec<Lost>) -> Vec<Vec<Lost>> {
    if lost.len() <= limits::DEAD_LETTER_BURST {
        return vec![lost];
    }
    let mut bursts = Vec::with_capacity(lost.len().div_ceil(limits::DEAD_LETTER_BURST));
    let mut rest = lost.into_iter().peekable();
    while rest.peek().is_some() {
        bursts.push(rest.by_ref().take(limits::DEAD_LETTER_BURST).collect());
    }
    bursts
}

impl QueueState {
    /// Somebody gets what it parts with.
    pub(super) fn parts_with_letters(&self) -> bool {
        self.is_waiting_room || self.settings.dead_letter_exchange.is_some()
    }

    /// RabbitMQ: only quorum queues, and only if they refuse what they have no room for.
    fn dead_letters_at_least_once(&self) -> bool {
        self.settings.dead_letter_strategy == DeadLetterStrategy::AtLeastOnce
            && self.settings.overflow == Overflow::RejectPublish
            && self.is_quorum()
    }

    /// Gives kept dead letters another try when it is time.
    pub(super) fn retry_kept(&mut self, now: Deadline) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.awaited = self.awaited.minus(load_of(&self.kept));
            self.lost.append(&mut self.kept);
        }
    }
}

fn load_of(lost: &[Lost]) -> Load {
    lost.iter().map(|lost| &*lost.entry.message).collect()
}
