//! How a queue parts with messages that it gives up: to its dead letter exchange, or for good.
//!
//! Invariants:
//! * What is dead-lettered is settled here only after its dead letters lie in other queues, both under one hold
//!   of the collection gate: a crash finds the message here or there, never in neither and never in both.
//! * Nothing is routed under the queue's lock; that is the turn's work.

use std::sync::Arc;

use super::state::{Lost, QueueState};
use super::{Guard, Queue};
use crate::broker::delivery::Deadline;
use crate::broker::options::{DeadLetterStrategy, Overflow};
use crate::broker::turn::Turn;
use crate::limits;

/// Messages on their way to a dead letter exchange.
pub(in crate::broker) struct Dead {
    /// Where they died.
    pub(in crate::broker) queue: Arc<Queue>,
    /// Where they go; the empty name is the default exchange.
    pub(in crate::broker) exchange: Arc<str>,
    /// `x-dead-letter-routing-key`
    pub(in crate::broker) routing_key: Option<Arc<str>>,
    /// They are kept until there is a queue that takes them.
    pub(in crate::broker) at_least_once: bool,
    /// What, oldest first; at most a burst.
    pub(in crate::broker) lost: Vec<Lost>,
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
        let Some(exchange) = state.settings.dead_letter_exchange.clone() else {
            state.settle_lost(&lost);
            freed.extend(lost);
            return;
        };
        for lost in bursts(lost) {
            turn.dead_letter(Dead {
                queue: Arc::clone(self),
                exchange: Arc::clone(&exchange),
                routing_key: state.settings.dead_letter_routing_key.clone(),
                at_least_once: state.dead_letters_at_least_once(),
                lost,
            });
        }
    }

    /// These are in other queues now, or nobody wants them.
    pub(in crate::broker) fn settle_lost(self: &Arc<Self>, lost: &[Lost], turn: &mut Turn) {
        if lost.iter().any(|lost| lost.entry.durable) {
            self.change(turn, |state, _| state.settle_lost(lost));
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
            self.lost.append(&mut self.kept);
        }
    }
}
